"""Euler angles of BVH channels as curves: without jumps, and next to given ones. It knows axes and angles, no file and no joint.

R = R_a(angle_a) R_b(angle_b) R_c(angle_c) for three different axes a, b, c has two triples of angles, (x, y, z) and
(x + 180, 180 - y, z + 180) degrees, and whole turns may be added to each.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nerm.motion.rotations import matrix_from_quaternion, quaternion_multiply

Array = NDArray[np.float64]
_LOCKED = 1e-6  # sine of the middle angle's distance from 90 degrees below which the outer ones are not told apart
_FLIP_DEG, _LOCKED_JUMP_DEG, _FLIP_SHARE = 90.0, 10.0, 0.5


def quaternions(axes: str, degrees: Array) -> Array:
    """Rotations (w, x, y, z) [..., 4] of angles [..., len(axes)] in degrees, the first axis outermost."""
    half = np.deg2rad(degrees) / 2
    result = np.zeros((*degrees.shape[:-1], 4))
    result[..., 0] = 1.0
    for index, axis in enumerate(axes):
        turn = np.zeros_like(result)
        turn[..., 0], turn[..., 1 + "xyz".index(axis)] = np.cos(half[..., index]), np.sin(half[..., index])
        result = quaternion_multiply(result, turn) if index else turn
    return result


def unwrapped(degrees: Array, trusted: bool = False) -> Array:
    """Angles [T, n] without jumps of whole turns.

    trusted: a channel that leaves a range of 360 degrees is written without wrapping; there a step of more than 180 degrees (a wheel)
    stays, unless it is nearly a whole number of turns.
    """
    result = np.unwrap(degrees, axis=0, period=360.0)
    if trusted and len(degrees) > 1:
        step, short = np.diff(degrees, axis=0), np.diff(result, axis=0)
        meant = (np.ptp(degrees, axis=0) > 360.0) & (np.abs(short) > 0.25 * np.abs(step))
        step = np.where(meant, step, short)
        result = np.concatenate([degrees[:1], degrees[:1] + np.cumsum(step, axis=0)])
    same = np.abs(result - degrees) < 1e-9  # the numbers of the file, to the last bit
    return np.where(same, degrees, degrees + 360.0 * np.round((result - degrees) / 360.0))


def without_flips(degrees: Array, axes: str) -> Array:
    """Angles [T, 3] of three different axes, each triple in that of its two forms which follows the frame before; whole turns too.

    The file's own form is kept unless it jumps by more than 90 degrees (in sum) and the other one by less than half as much. In gimbal
    lock the outer angles are shared out anew, going on as before, if that saves half of a jump of more than 10 degrees.
    """
    result = unwrapped(degrees)
    locked = np.abs(np.cos(np.deg2rad(degrees[:, 1]))) < _LOCKED
    limit = np.where(locked, _LOCKED_JUMP_DEG, _FLIP_DEG)[1:]
    if not (np.abs(np.diff(result, axis=0)).sum(axis=-1) > limit).any():
        return result
    for frame in range(1, len(result)):
        before = result[frame - 1]
        result[frame] = own = near(degrees[frame], before)
        step = np.abs(own - before).sum()
        if step > limit[frame - 1]:
            other = near(other_form(degrees[frame]), before)
            if locked[frame]:
                ahead = before + (before - result[frame - 2] if frame > 1 else 0.0)
                other = angles_near(quaternions(axes, degrees[frame]), axes, ahead)
            if np.abs(other - before).sum() < _FLIP_SHARE * step:
                result[frame] = other
    return result


def near(degrees: Array, reference: Array) -> Array:
    """The angles plus whole turns, next to the reference; unchanged to the last bit if no turn is added."""
    return degrees + 360.0 * np.round((reference - degrees) / 360.0)


def other_form(degrees: Array) -> Array:
    """The other triple [..., 3] of the same rotation."""
    return np.stack([degrees[..., 0] + 180.0, 180.0 - degrees[..., 1], degrees[..., 2] + 180.0], axis=-1)


def angles_near(rotations: Array, axes: str, reference: Array) -> Array:
    """Angles [..., 3] in degrees of rotations (w, x, y, z) [..., 4] about three different axes, next to the reference [..., 3].

    Where the middle angle is 90 degrees (gimbal lock) only the sum or the difference of the outer angles is defined; both then move from
    the reference by the same amount.
    """
    r = matrix_from_quaternion(rotations)
    form, locked = _form(r, axes)
    result = _nearer(form, reference)
    if locked.any():
        result[locked] = _locked_near(r[locked], axes, reference[locked])
    return result


def followed(matrices: Array, axes: str, start: Array) -> Array:
    """Angles [..., T, 3] in degrees of rotations [..., T, 3, 3], each next to the frame before; the first next to start [..., 3]."""
    form, locks = _form(matrices, axes)
    result = np.empty_like(form)
    before = start
    for frame in range(form.shape[-2]):
        angles, locked = _nearer(form[..., frame, :], before), locks[..., frame]
        if locked.any():
            angles[locked] = _locked_near(matrices[..., frame, :, :][locked], axes, before[locked])
        result[..., frame, :] = before = angles
    return result


def _form(r: Array, axes: str) -> tuple[Array, NDArray[np.bool_]]:
    """One of the two triples [..., 3] in degrees of rotations [..., 3, 3], and where they are in gimbal lock."""
    a, b, c, sign = _axes(axes)
    level = np.hypot(r[..., a, a], r[..., a, b])
    angles = [np.arctan2(-sign * r[..., b, c], r[..., c, c]), np.arctan2(sign * r[..., a, c], level)]
    return np.rad2deg(np.stack([*angles, np.arctan2(-sign * r[..., a, b], r[..., a, a])], axis=-1)), level < _LOCKED


def _nearer(form: Array, reference: Array) -> Array:
    """Of the two triples of a rotation [..., 3], with whole turns, that next to the reference [..., 3]."""
    own, other = near(form, reference), near(other_form(form), reference)
    distance = [np.abs(angles - reference).sum(axis=-1, keepdims=True) for angles in (own, other)]
    return np.where(distance[0] <= distance[1], own, other)


def _axes(axes: str) -> tuple[int, int, int, float]:
    a, b, c = ("xyz".index(axis) for axis in axes)
    return a, b, c, 1.0 if (b - a) % 3 == 1 else -1.0


def _locked_near(r: Array, axes: str, reference: Array) -> Array:
    """The triples of gimbal lock that are nearest to the reference."""
    a, b, c, sign = _axes(axes)
    side = np.sign(r[:, a, c])  # R depends on first + side * last
    middle = near(90.0 * sign * side, reference[:, 1])
    whole = np.rad2deg(np.arctan2(sign * r[:, c, b], r[:, b, b]))
    given = reference[:, 0] + side * reference[:, 2]
    excess = near(whole, given) - given
    return np.stack([reference[:, 0] + excess / 2, middle, reference[:, 2] + side * excess / 2], axis=-1)
