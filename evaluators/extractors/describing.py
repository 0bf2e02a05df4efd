"""What can be said of a clip in plain quantities: pose, size and speed of movement, acceleration by band, root, feet and floor.

Descriptors are functions of joints, without a learned number. An extractor whitens them, alone or beside what a network has learned, so
that each counts by how unusual a difference is among people. Clips are scaled to one body size first: a taller person is no difference.
Energies are floored at what a millimetre of measuring noise has in the band, so that noise below it hardly shows.
It knows joints and rates; it knows no generator and no dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerm.clips import canonical, on_ground
from nerm.motion import SMPL22
from nerm.motion.kinematics import PHYSICAL_CUTOFF_HZ, derivative, lowpass

BANDS_HZ = ((0.0, 4.0), (4.0, 8.0), (8.0, 12.0), (12.0, 20.0))
FLOORS = (1.0, 2.0, 10.0, 40.0)
"""Of the energy in each band, (m/s^2)^2 per joint: one to four times that of white noise of 1 mm at FLOORS_FPS; of the lowest, far more."""
FLOORS_FPS = 120.0
BAND_SHARE = 0.4
"""The share of a rate that is used, as the highest frequency."""
PARTS = {
    "trunk": ("pelvis", "spine1", "spine2", "spine3", "neck", "head"),
    "l_arm": ("l_shoulder", "l_elbow", "l_wrist"),
    "r_arm": ("r_shoulder", "r_elbow", "r_wrist"),
    "l_leg": ("l_knee", "l_ankle", "l_foot"),
    "r_leg": ("r_knee", "r_ankle", "r_foot"),
}
_PARTS = [[SMPL22.index(name) for name in names] for names in PARTS.values()]
_FEET = [SMPL22.index(name) for name in ("l_ankle", "r_ankle", "l_foot", "r_foot")]
_BONES = [
    joint
    for joint, name in enumerate(SMPL22.names)
    if name.partition("_")[2] in ("knee", "ankle", "elbow", "wrist") or name in PARTS["trunk"][1:5]
]
_SIZE_M = float(SMPL22.lengths[_BONES].sum())
FLOOR_M = 0.06
"""A foot is on the floor below about this height."""


class Described(NamedTuple):
    """Of n clips. pose: [n, 63] metres, the mean pose.  rest: [n, D] all other descriptors.

    tempo: [D] by how much each of them grows when the same movement is done e times as fast, from its dimension alone.
    """

    pose: Tensor
    rest: Tensor
    tempo: Tensor


def highest_hz(fps: float) -> float:
    """The highest frequency that is looked at."""
    return min(BAND_SHARE * fps, BANDS_HZ[-1][1])


def bands(fps: float) -> int:
    """How many of BANDS_HZ are looked at: those of which a rate holds at least half, and always two."""
    return max(sum(highest_hz(fps) >= (low + high) / 2 for low, high in BANDS_HZ), 2)


def sized(joints: Tensor) -> Tensor:
    """Clips [n, m, 22, 3], each scaled so that its limbs and trunk have the lengths of the standard skeleton in sum."""
    bones = joints[:, :, _BONES] - joints[:, :, [SMPL22.parents[joint] for joint in _BONES]]
    return joints * (_SIZE_M / bones.norm(dim=-1).sum(-1).mean(1).clamp(min=1e-3))[:, None, None, None]


def noise_floors(fps: float) -> tuple[float, ...]:
    """FLOORS at a rate. The fewer frames a second, the more of white noise lies in each Hz; the lowest band's floor covers it at any rate.

    All bands above the lowest are raised alike, because a whitening lives on how they vary together.
    """
    return (FLOORS[0], *(max(FLOORS_FPS / fps, 1.0) * floor for floor in FLOORS[1:]))


def describe(joints: NDArray | Tensor, fps: float, floors: Sequence[float] = FLOORS, top_hz: float = np.inf) -> Described:
    """Clips [n, m, 22, 3] in metres at one rate, in any place and heading. floors: of the energy in each band.

    top_hz: the highest frequency that is looked at, if it is below that of the rate.
    """
    joints = joints if isinstance(joints, Tensor) else torch.from_numpy(np.array(joints, dtype=np.float32))
    flat = canonical(sized(joints.float())).flatten(2)
    passed, velocity, *filters = _filters(joints.shape[1], float(fps), min(highest_hz(fps), top_hz))
    position, velocity, *accelerations = (
        torch.einsum("ab,nbc->nac", torch.from_numpy(matrix), flat).unflatten(-1, (-1, 3)) for matrix in (passed, velocity, *filters)
    )
    relative = position - on_ground(position[:, :, :1])
    speed, own_speed = velocity.norm(dim=-1), (velocity - velocity[:, :, :1]).norm(dim=-1)
    groups: list[tuple[Tensor, float]] = [
        (_of_parts(lambda part: torch.log(relative[:, :, part].std(1).norm(dim=-1).mean(1) + 0.003)), 1.0),
        (_of_parts(lambda part: torch.log(speed[:, :, part].mean((1, 2)) + 0.03)), 1.0),
        (_of_parts(lambda part: torch.log(own_speed[:, :, part].mean((1, 2)) + 0.03))[:, 1:], 1.0),
    ]
    for acceleration, floor in zip(accelerations, floors, strict=False):
        energy = acceleration.square().sum(-1)
        groups.append((_of_parts(lambda part, energy=energy, floor=floor: torch.log(energy[:, :, part].mean((1, 2)) + floor)), 4.0))
    groups += [(_root(position, velocity), 0.0), (_floor(position, velocity), 0.0)]
    rest, tempo = torch.cat([group for group, _ in groups], 1), [torch.full((group.shape[1],), by) for group, by in groups]
    return Described(relative.mean(1)[:, 1:].flatten(1), rest, torch.cat(tempo))


def _of_parts(measure) -> Tensor:
    """[n, 5] a measure of each part of the body."""
    return torch.stack([measure(part) for part in _PARTS], 1)


def _root(position: Tensor, velocity: Tensor) -> Tensor:
    """Sideways, forward and upward velocity of the root, and its height."""
    mean = torch.asinh(3 * velocity[:, :, 0].mean(1))
    return torch.cat([mean, position[:, :, 0, 1].mean(1, keepdim=True)], 1)


def _floor(position: Tensor, velocity: Tensor) -> Tensor:
    """How high the lowest of the feet is, how fast it slides, how slow the slowest foot is, and how long one of them is on the floor."""
    height, slide = position[:, :, _FEET, 1], velocity[:, :, _FEET][..., [0, 2]].norm(dim=-1)
    low, lowest = height.min(-1)
    support = slide.gather(-1, lowest[..., None])[..., 0]
    return torch.stack(
        [
            torch.asinh(30 * low.min(1).values),
            torch.asinh(30 * low.mean(1)),
            torch.log(support.quantile(0.25, dim=1) + 0.02),
            torch.log(slide.mean(1).min(-1).values + 0.02),
            torch.sigmoid((FLOOR_M - low) / 0.01).mean(1),
        ],
        1,
    )


@lru_cache(maxsize=64)
def _filters(frames: int, fps: float, top: float) -> tuple[NDArray[np.float32], ...]:
    """Low-pass, velocity, and acceleration in each band, as [m, m] matrices that continue a clip beyond its ends by point reflection."""
    identity = np.eye(frames)
    matrices = [lowpass(identity, fps, top), derivative(identity, fps, 1, min(PHYSICAL_CUTOFF_HZ, top))]
    for low, high in BANDS_HZ[: bands(fps)]:
        band = derivative(identity, fps, 2, min(high, max(top, low)))
        matrices.append(band - derivative(identity, fps, 2, low) if low else band)
    return tuple(matrix.astype(np.float32) for matrix in matrices)
