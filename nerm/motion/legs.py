"""Two-bone inverse kinematics: where the knee is when hip and ankle are given. It knows one leg at one time, and no foot and no floor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_SHORTEST_M = 1e-9
_FORWARD, _EASY_M = 3.0, 0.01  # how strongly a bend that grows turns forward, and up to which growth hardly
_BENT_M = 0.05  # the farther a knee was off the line already, the less it turns


def bend(hip: Array, knee: Array, ankle: Array, new_hip: Array, new_ankle: Array, left: Array) -> tuple[Array, Array]:
    """Knee and ankle [n, 3] of legs whose hip and ankle are moved, both bones as long as before; all arguments are [n, 3] in metres.

    left: a vector from the right hip to the left one, which is the hinge of a knee.
    The knee stays in the plane it was in, turned by the least rotation that takes the old line from hip to ankle to the new one, and bends
    to the same side. A straight leg has no such plane, and one that is bent backwards a little must not be bent backwards farther: what a
    nearly straight leg bends more than before, it bends forward. An ankle out of reach is given back as near as the straight leg gets.
    """
    thigh, shin = _norm(knee - hip), _norm(ankle - knee)
    before, after = ankle - hip, new_ankle - new_hip
    axis_before, axis = _unit(before), _unit(after)
    distance = np.clip(_norm(after), np.abs(thigh - shin), thigh + shin)
    along = (thigh**2 - shin**2 + distance**2) / np.maximum(2 * distance, _SHORTEST_M)
    off = np.sqrt(np.maximum(thigh**2 - along**2, 0.0))
    side = _turned(_across(knee - hip, axis_before), axis_before, axis)
    was_off = _norm(side)
    more = np.maximum(off - was_off, 0.0)
    forward = _unit(np.cross(axis, left))
    side = _across(side + _FORWARD / (1 + (was_off / _BENT_M) ** 2) * more**2 / (more + _EASY_M) * forward, axis)
    side = np.where(_norm(side) > _SHORTEST_M, side, forward)
    return new_hip + along * axis + off * _unit(side), new_hip + distance * axis


def _turned(vectors: Array, start: Array, end: Array) -> Array:
    """Vectors [n, 3] turned by the least rotation that takes the unit vector start to end (Rodrigues)."""
    cross, cosine = np.cross(start, end), np.sum(start * end, axis=-1, keepdims=True)
    return vectors + np.cross(cross, vectors) + np.cross(cross, np.cross(cross, vectors)) / np.maximum(1 + cosine, _SHORTEST_M)


def _across(vectors: Array, axis: Array) -> Array:
    return vectors - np.sum(vectors * axis, axis=-1, keepdims=True) * axis


def _norm(vectors: Array) -> Array:
    return np.linalg.norm(vectors, axis=-1, keepdims=True)


def _unit(vectors: Array) -> Array:
    return vectors / np.maximum(_norm(vectors), _SHORTEST_M)
