"""Rotations that point bones: the shortest swing, a twist about the bone, the best fit to several bones. It knows no skeleton.

What a bone's direction leaves open is its twist; here it is chosen so that it never jumps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_FASTEST_RADPS = 8 * np.pi  # four turns a second: faster than people, slow enough to be seen as motion


def swing(rest: Array, direction: Array) -> Array:
    """The rotations without twist that take unit vectors rest [3] or [T, 3] to direction [T, 3] (unit): [T, 3, 3].

    Rodrigues' formula with (1 - cos) / sin^2 computed without cancellation; opposite vectors turn about any perpendicular axis.
    """
    rest = np.broadcast_to(rest, direction.shape)
    cross = np.cross(rest, direction)
    cosine = np.sum(rest * direction, axis=-1)
    sine2 = np.sum(cross**2, axis=-1)
    factor = np.where(cosine > 0, 1 / (1 + np.abs(cosine)), (1 - cosine) / np.where(sine2 > 0, sine2, 1.0))
    skew = _skew(cross)
    matrices = np.eye(3) + skew + factor[:, None, None] * (skew @ skew)
    opposite = (cosine < 0) & (sine2 < 1e-20)
    if opposite.any():
        across = perpendicular(rest[opposite])
        matrices[opposite] = 2 * across[:, :, None] * across[:, None, :] - np.eye(3)
    return matrices


def best_fit(rest: Array, present: Array) -> Array:
    """The rotations [T, 3, 3] that bring vectors rest [N, 3] nearest to present [T, N, 3] in the sum of squares.

    Wahba's problem (SIAM Review 7, 1965) by singular values (Kabsch, Acta Cryst. A32, 1976). The twist about vectors that all lie on one
    line is not determined; it is then that of the shortest swing of the longest.
    """
    spread = np.einsum("tni,nj->tij", present, rest)
    longest = int(np.argmax(np.linalg.norm(rest, axis=-1)))
    target = present[:, longest] / np.maximum(np.linalg.norm(present[:, longest], axis=-1, keepdims=True), 1e-12)
    usual = swing(rest[longest] / max(float(np.linalg.norm(rest[longest])), 1e-12), target)
    left, _, right = np.linalg.svd(spread + 1e-9 * np.linalg.norm(spread, axis=(1, 2))[:, None, None] * usual)
    left[:, :, 2] *= np.linalg.det(left @ right)[:, None]
    return left @ right


def twist_towards(rotations: Array, axis: Array, reference: Array, goal: Array, prior: float) -> Array:
    """rotations [T, 3, 3] with a turn about the bone, so that their `reference` [3] comes to the side of it on which `goal` lies.

    axis: [T, 3] unit, where the bone points.  goal: [T, 3], for example where the next bone points.  The turn is that of the sum of `prior`
    (for no turn at all) and the part of `goal` across the bone, so it fades out where the two bones lie on one line.
    """
    moved = rotations @ reference
    cosine = prior + np.sum(goal * moved, axis=-1)
    sine = np.sum(goal * np.cross(axis, moved), axis=-1)
    size = np.hypot(sine, cosine)
    known = size > 1e-6
    size = np.where(known, size, 1.0)
    return turn(axis, np.where(known, cosine / size, 1.0), np.where(known, sine / size, 0.0)) @ rotations


def without_jumps(rotations: Array, rest: Array, direction: Array, fps: float) -> Array:
    """The rotations [T, 3, 3], which take rest [3] to direction [T, 3], with a twist about rest added where their own twist would jump.

    The shortest swing is discontinuous where a bone points against its rest direction. Twist is measured against moving the last frame
    along without twist (parallel transport), and follows the given one at no more than four turns a second.
    """
    carried = swing(direction[:-1], direction[1:]) @ rotations[:-1]
    across = perpendicular(rest)
    moved = np.einsum("tji,tj->ti", rotations[1:], carried @ across)  # where the carried frame stands, seen from the given one
    jumps = np.arctan2(moved @ np.cross(rest, across), moved @ across)
    limit = _FASTEST_RADPS / fps
    if not (np.abs(jumps) > limit).any():
        return rotations
    twists = [0.0]
    for jump in jumps.tolist():
        lag = (twists[-1] + jump + np.pi) % (2 * np.pi) - np.pi
        twists.append(lag - min(max(lag, -limit), limit))
    return rotations @ turn(np.broadcast_to(rest, direction.shape), np.cos(twists), np.sin(twists))


def turn(axis: Array, cosine: Array, sine: Array) -> Array:
    """Rotations [T, 3, 3] about unit axes [T, 3]."""
    skew = _skew(axis)
    return np.eye(3) + sine[:, None, None] * skew + (1 - cosine)[:, None, None] * (skew @ skew)


def perpendicular(vectors: Array) -> Array:
    """A unit vector across each of unit vectors [..., 3]."""
    across = np.cross(vectors, np.eye(3)[np.argmin(np.abs(vectors), axis=-1)])
    return across / np.linalg.norm(across, axis=-1, keepdims=True)


def _skew(vectors: Array) -> Array:
    """[T, 3] -> [T, 3, 3]: the matrix of the cross product."""
    x, y, z = vectors.T
    o = np.zeros_like(x)
    return np.stack([o, -z, y, z, o, -x, -y, x, o], axis=-1).reshape(-1, 3, 3)


__all__ = ["best_fit", "perpendicular", "swing", "turn", "twist_towards", "without_jumps"]
