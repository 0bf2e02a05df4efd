"""Feet that stay where they stand: contacts are found in a motion, and its legs and root are moved so that the feet do not slide.

    lock(motion)                          a motion, by itself
    Footing.of(fine).hold(motion)         a motion at any rate, by what was found in a fine reading of the same motion

What is found (`Footing`) is a function of time: how far each foot and the root have to move. It is found on a grid of 120 Hz and read at
the times of the motion's own frames, each frame by itself. Two readings of one motion are therefore held alike wherever they have frames
at the same time. Everything is in metres and seconds, the floor is y = 0, and nothing is per frame. This module knows no model and no file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.interpolate import CubicHermiteSpline
from scipy.ndimage import maximum_filter1d
from scipy.sparse.linalg import spsolve

from nerm.errors import InputError
from nerm.motion.kinematics import derivative
from nerm.motion.legs import bend
from nerm.motion.motion import Motion
from nerm.motion.resample import resample
from nerm.motion.skeleton import Skeleton

GRID_HZ = 120.0
"""The rate at which contacts are found, whatever the rate of the motion."""
LEGS = tuple(tuple(f"{side}_{name}" for name in ("hip", "knee", "ankle", "foot")) for side in ("l", "r"))

CONTACT_HEIGHT_M = 0.05
"""Of the toe, as in the metrics of feet."""
SPEED_MPS, SPEED_SHARE = 0.4, 0.4
"""A toe in contact is slower than SPEED_MPS + SPEED_SHARE times the root's speed. The metrics' 0.15 m/s would miss the feet that skate; a
foot that swings is faster than the body, which it overtakes."""
ROOT_CUTOFF_HZ = 2.0
CONTACT_S = 0.1
"""The shortest contact."""
GAP_S, GAP_M = 0.1, 0.05
"""A toe that is off the floor for no longer than GAP_S and comes down within GAP_M has been on it all the time."""
TAPER_S = 0.08
"""Over which a contact begins before and ends after its time."""

FOOT_SMOOTH_S, LEG_SMOOTH_S, ROOT_SMOOTH_S = 0.026, 0.005, 0.0632
LEG_FREE_S, ROOT_FREE_S = 1.8, 3.0
"""Times of `_standing`: the larger FOOT_SMOOTH_S, the longer a foot takes to stop, and the calmer is the knee above it; the smaller
LEG_FREE_S, the less legs are bent, and the smaller ROOT_FREE_S, the less the root leaves its path."""
MOST_BENT = 6.0
"""The largest b of `_standing`."""

LIFT_S, ROOT_S = 0.4, 0.2
"""From how long before a foot sinks it is raised, and from how long before a leg would stretch the root comes nearer."""
STRETCH = 0.98
"""Share of its length that a leg may reach where its foot is moved: of a straighter one, the knee jumps when the foot moves a little."""
ACTIVE_M, ACTIVE_S = 0.02, 0.4
"""A leg may stay straighter than STRETCH while its foot is moved by less than about ACTIVE_M for ACTIVE_S around."""
_PASSES = 4


@dataclass(frozen=True, eq=False)
class Footing:
    """What holds the feet of one motion, on the grid.

    feet: [G, 2, 3] metres by which the left and the right foot move.  root: [G, 3] by which everything else does.
    contacts: [G, 2] whether a toe is in contact.
    """

    feet: NDArray[np.float64]
    root: NDArray[np.float64]
    contacts: NDArray[np.bool_]

    @staticmethod
    def of(motion: Motion) -> Footing:
        """Found in a motion, which is brought to GRID_HZ first. InputError for a skeleton without the eight joints of LEGS."""
        legs = _legs(motion.skeleton)
        joints = resample(motion, GRID_HZ, "cubic").joints.astype(np.float64)
        hips, knees, ankles, toes = (joints[:, legs[:, k]] for k in range(4))
        contacts = find_contacts(toes, joints[:, 0])
        lengths = np.linalg.norm(knees - hips, axis=-1) + np.linalg.norm(ankles - knees, axis=-1)
        bent = np.minimum(lengths / np.maximum(np.linalg.norm(ankles - hips, axis=-1), 1e-9), MOST_BENT)
        feet, root = _standing(toes, contacts, bent)
        feet[..., 1] += _covered(-np.minimum(ankles, toes)[..., 1], LIFT_S)
        return Footing(feet, _within_reach(ankles - hips, lengths, feet, root), contacts)

    def hold(self, motion: Motion) -> Motion:
        """The motion with its feet held: any reading, at any rate, of the motion that this was found in.

        Bones keep their lengths, feet their directions, knees the plane they bend in. Frames without a move stay as they are, bit for bit.
        """
        legs = _legs(motion.skeleton)
        feet, root = _at(self.feet, motion.times), _at(self.root, motion.times)
        moved = np.any(feet != 0, axis=(1, 2)) | np.any(root != 0, axis=1)
        before = motion.joints[moved].astype(np.float64)
        after = before + root[moved, None]
        left = before[:, legs[0, 0]] - before[:, legs[1, 0]]
        for side, (hip, knee, ankle, toe) in enumerate(legs):
            target = before[:, ankle] + feet[moved, side]
            after[:, knee], after[:, ankle] = bend(before[:, hip], before[:, knee], before[:, ankle], after[:, hip], target, left)
            after[:, toe] = after[:, ankle] + before[:, toe] - before[:, ankle]
        joints = motion.joints.copy()
        joints[moved] = after
        return Motion(joints, motion.fps, motion.skeleton)


def lock(motion: Motion) -> Motion:
    """The motion with its feet held where they touch the floor; rotations are dropped."""
    return Footing.of(motion).hold(motion)


def has_legs(skeleton: Skeleton) -> bool:
    """Whether a skeleton has the eight joints of LEGS."""
    try:
        _legs(skeleton)
    except InputError:
        return False
    return True


def contacts(motion: Motion) -> list[list[tuple[float, float]]]:
    """For the left and the right toe: from when to when it is on the floor, in seconds."""
    toes = _legs(motion.skeleton)[:, 3]
    joints = resample(motion, GRID_HZ, "cubic").joints.astype(np.float64)
    touching = find_contacts(joints[:, toes], joints[:, 0])
    return [[(start / GRID_HZ, (end - 1) / GRID_HZ) for start, end in _spans(side)] for side in touching.T]


def find_contacts(toes: NDArray[np.float64], root: NDArray[np.float64]) -> NDArray[np.bool_]:
    """[G, 2] which toes are on the floor. toes: [G, 2, 3], root: [G, 3] metres at GRID_HZ."""
    across = derivative(toes, GRID_HZ, 1)[..., [0, 2]]
    body = derivative(root, GRID_HZ, 1, ROOT_CUTOFF_HZ)[:, [0, 2]]
    slow = SPEED_MPS + SPEED_SHARE * np.linalg.norm(body, axis=-1, keepdims=True)
    touching = (toes[..., 1] < CONTACT_HEIGHT_M) & (np.linalg.norm(across, axis=-1) < slow)
    for side in range(2):
        spans = list(_spans(touching[:, side]))
        for (_, end), (start, _) in pairwise(spans):
            if start - end <= GAP_S * GRID_HZ and np.linalg.norm(toes[start, side] - toes[end - 1, side]) < GAP_M:
                touching[end:start, side] = True
        for start, end in _spans(touching[:, side]):
            touching[start:end, side] = end - start >= CONTACT_S * GRID_HZ
    return touching


def _standing(
    toes: NDArray[np.float64], contacts: NDArray[np.bool_], bent: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """By how much the feet [G, 2, 3] and the root [G, 3] move along the floor so that toes in contact stand.

    bent: [G, 2] b below, the length of thigh and shin over the distance from hip to ankle: 1 for a straight leg.
    With x the path of a toe, c its contact (1 on the floor, 0 off it), f the move of its foot, r that of the root, and k = b (f - r) that
    of the knee, nearly, the integral over time and the sum over both feet of

        c |x' + f'|^2 + FOOT_SMOOTH_S^2 |f''|^2 + LEG_SMOOTH_S^2 |k''|^2 + |k|^2 / LEG_FREE_S^2
        + (ROOT_SMOOTH_S^2 |r''|^2 + |r|^2 / ROOT_FREE_S^2) / 2

    is least: a foot on the floor stands, between contacts it goes over from one to the next with little acceleration, the knee is moved
    little, and the root takes what both feet have in common. Without b the knee of a runner's swinging leg, whose heel is near the hip,
    would jump: there a small move of the foot turns the whole leg. The sum is quadratic, and a sparse linear system has its least.
    """
    count = len(toes)
    if count < 3 or not contacts.any():
        return np.zeros((count, 2, 3)), np.zeros((count, 3))
    eye = sparse.eye(count, format="csr")
    first, second = (eye[1:] - eye[:-1]) * GRID_HZ, (eye[2:] - 2 * eye[1:-1] + eye[:-2]) * GRID_HZ**2
    root, *feet = np.eye(3)  # the three unknowns of each time
    terms = [sparse.kron(ROOT_SMOOTH_S * second, root), sparse.kron(eye / ROOT_FREE_S, root)]
    held, slides = [], []
    for side, foot in enumerate(feet):
        weight = _smoothed(contacts[:, side].astype(np.float64), TAPER_S)
        contact = sparse.diags(np.sqrt((weight[1:] + weight[:-1]) / 2))
        held.append(sparse.kron(contact @ first, foot))
        slides.append(contact @ first @ toes[:, side][:, [0, 2]])
        knee = sparse.diags(bent[:, side])
        terms += [sparse.kron(FOOT_SMOOTH_S * second, foot), sparse.kron(LEG_SMOOTH_S * second @ knee, foot - root)]
        terms += [sparse.kron(knee / LEG_FREE_S, foot - root)]
    hold, rest = sparse.vstack(held), sparse.vstack(terms)
    solved = spsolve((hold.T @ hold + rest.T @ rest).tocsc(), -hold.T @ np.concatenate(slides))
    moves = np.zeros((count, 3, 3))
    moves[..., [0, 2]] = solved.reshape(count, 3, 2)
    return moves[:, 1:], moves[:, 0]


def _within_reach(legs: NDArray[np.float64], lengths: NDArray, feet: NDArray, root: NDArray) -> NDArray[np.float64]:
    """[G, 3] the root's move, smoothly brought so near to the feet that no leg stretches.

    legs: [G, 2, 3] from hip to ankle.  lengths: [G, 2] of thigh and shin.  feet: [G, 2, 3] and root: [G, 3] as moved along the floor.
    """
    active = np.clip(_covered(np.linalg.norm(feet - root[:, None], axis=-1), ACTIVE_S) / ACTIVE_M, 0, 1)
    straight = np.maximum(np.linalg.norm(legs, axis=-1) - STRETCH * lengths, 0)
    longest = STRETCH * lengths + (1 - active) * straight
    for _ in range(_PASSES):  # along the legs
        reach = legs + feet - root[:, None]
        distance = np.linalg.norm(reach, axis=-1)
        if not (distance > longest).any():
            return root
        root = root + _smoothed(np.sum(reach * np.maximum(1 - longest / distance, 0)[..., None], axis=1), ROOT_S)
    reach = legs + feet - root[:, None]  # and down, for what is left
    drop = -reach[..., 1] - np.sqrt(np.maximum(longest**2 - np.sum(reach[..., [0, 2]] ** 2, axis=-1), 0))
    root[:, 1] -= _covered(drop.max(axis=1), ROOT_S)
    return root


def _covered(need: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """A smooth function of time that is at least `need` [G, ...] wherever that is positive, and 0 where it is not for `seconds` around."""
    need = np.maximum(need, 0)
    return _smoothed(maximum_filter1d(need, len(_bell(seconds)), axis=0, mode="nearest"), seconds) if need.any() else need


def _smoothed(values: NDArray[np.float64], seconds: float) -> NDArray[np.float64]:
    """The mean of values [G, ...] under a bell that ends `seconds` from its middle; the ends go on."""
    bell = _bell(seconds)
    flat = values.reshape(len(values), -1)
    padded = np.pad(flat, ((len(bell) // 2, len(bell) // 2), (0, 0)), "edge")
    return np.stack([np.convolve(column, bell, "valid") for column in padded.T], axis=-1).reshape(values.shape)


def _bell(seconds: float) -> NDArray[np.float64]:
    bell = np.hanning(2 * round(seconds * GRID_HZ) + 3)[1:-1]
    return bell / bell.sum()


def _at(values: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values [G, ...] at times [n] s, by a local cubic: what is 0 on the grid is 0 between."""
    if len(values) == 1:
        return np.repeat(values, len(times), axis=0)
    grid = np.arange(len(values)) / GRID_HZ
    return CubicHermiteSpline(grid, values, np.gradient(values, grid, axis=0))(np.clip(times, 0, grid[-1]))


def _spans(where: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Runs [start, end) of True."""
    edges = np.flatnonzero(np.diff(np.pad(where.astype(np.int8), 1)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _legs(skeleton: Skeleton) -> NDArray[np.int64]:
    """[2, 4] places of hip, knee, ankle and toe."""
    return np.array([[skeleton.index(name) for name in leg] for leg in LEGS])
