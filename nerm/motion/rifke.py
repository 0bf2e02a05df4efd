"""Rifke of TEMOS: rotation-invariant positions of the 21 joints of KIT-ML in 64 numbers per frame, both ways.

A codec treats frames as they are: the format is per frame by definition (12.5 frames per second), so resample first. The errors of the
original are part of the format and are reproduced: the heading comes from elbows and knees, because the root had been removed before the
joints were counted, and a turn through the back is not wrapped. Nothing here knows a corpus or a model.

Columns: height of the root; x, y, z of joints 1... in the frame's heading, x and z relative to the root; turn since the frame before,
radians; x and z displacement of the root since the frame before, in this frame's heading. The first turn and displacement are 0.

Sources: Holden et al., A Deep Learning Framework for Character Motion Synthesis and Editing, SIGGRAPH 2016, section 4; Petrovich et al.,
TEMOS, ECCV 2022, section 4.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nerm.errors import InputError
from nerm.motion.skeleton import KIT21

DIMS = 3 * len(KIT21) + 1
FPS = 12.5
JOINTS = slice(1, DIMS - 3)
TURN = DIMS - 3
STEP = slice(DIMS - 2, DIMS)

FEET = [KIT21.index(name) for name in ("LMrot", "LF", "RMrot", "RF")]
_RIGHT_MINUS_LEFT = tuple((KIT21.index(right) + 1, KIT21.index(left) + 1) for right, left in (("RH", "LH"), ("RS", "LS")))
_SMOOTHING_FRAMES = 2.0
_FLOOR_SOFTNESS = 0.5
_PLANE = [0, 2]  # x and z


class Parts(NamedTuple):
    """What features hold, put back together. The motion starts above the origin, turned as in its first frame's heading.

    joints: [T, 21, 3].  local: [T, 20, 3] joints 1... in the heading of their frame.  root: [T, 3].
    """

    joints: NDArray
    local: NDArray
    root: NDArray


def encode_rifke64(joints: NDArray, filtered: bool = False) -> NDArray:
    """Joints [T, 21, 3] of KIT-ML (any unit, y up) -> features [T, 64]. filtered: smooth the heading over time."""
    x = checked_joints(joints)
    x = x - np.array([0.0, soft_floor(x[:, FEET, 1]), 0.0])
    root = x[:, 0]
    local = x[:, 1:] - root[:, None] * np.array([1.0, 0.0, 1.0])
    across = sum(x[:, right] - x[:, left] for right, left in _RIGHT_MINUS_LEFT)
    forward = _unit(np.stack([-across[:, 2], across[:, 0]], axis=-1))
    if filtered:
        forward = _unit(gaussian_filter1d(forward, _SMOOTHING_FRAMES, axis=0, mode="constant"))  # zeros beyond the ends, as in the original
    angles = np.arctan2(forward[:, 0], forward[:, 1])
    back = _turns(forward[:, 1], -forward[:, 0])
    out = np.empty((len(x), DIMS))
    out[:, 0] = root[:, 1]
    local[..., _PLANE] = local[..., _PLANE] @ back
    out[:, JOINTS] = local.reshape(len(x), -1)
    out[:, TURN] = np.diff(angles, prepend=angles[0])
    steps = np.diff(root[:, _PLANE], axis=0, prepend=root[:1, _PLANE])
    out[:, STEP] = (steps[:, None] @ back)[:, 0]
    return out.astype(float_type(joints))


def decode_rifke64(features: NDArray) -> Parts:
    """Features [T, 64], not normalised -> joints and their parts. The first frame faces +z whatever its heading was."""
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != DIMS or not len(x):
        raise InputError(f"features of shape {list(x.shape)}; expected [T, {DIMS}]")
    angles = np.cumsum(x[:, TURN])
    angles -= angles[0]
    turns = _turns(np.cos(angles), np.sin(angles))
    path = np.cumsum((x[:, None, STEP] @ turns)[:, 0], axis=0)
    path -= path[0]
    root = np.stack([path[:, 0], x[:, 0], path[:, 1]], axis=-1)
    local = x[:, JOINTS].reshape(len(x), -1, 3)
    turned = local.copy()
    turned[..., _PLANE] = local[..., _PLANE] @ turns + path[:, None]
    joints = np.concatenate([root[:, None], turned], axis=1)
    return Parts(*(part.astype(float_type(features)) for part in (joints, local, root)))


def soft_floor(heights: NDArray) -> float:
    """Height of the floor from feet [T, n]: a little below the height that the lower foot reaches, see Holden et al. 2016."""
    lowest = heights.min(axis=1)
    return float(lowest.min() - np.log(_FLOOR_SOFTNESS + np.exp(lowest.min() - lowest.max())))


def checked_joints(joints: NDArray) -> NDArray[np.float64]:
    """Joints [T, 21, 3] in double precision."""
    x = np.array(joints, dtype=np.float64)
    if x.ndim != 3 or x.shape[1:] != (len(KIT21), 3) or not len(x):
        raise InputError(f"joints of shape {list(x.shape)}; expected [T, {len(KIT21)}, 3], the joints of '{KIT21.name}'")
    if not np.isfinite(x).all():
        raise InputError("joints with a value that is not finite; remove or fill these frames")
    return x


def float_type(values: NDArray) -> np.dtype:
    """The type of results: that of floating input, else double."""
    own = np.asarray(values).dtype
    return own if own.kind == "f" else np.dtype(np.float64)


def _turns(cos: NDArray, sin: NDArray) -> NDArray:
    """[T, 2, 2] for row vectors (x, z)."""
    return np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=-2)


def _unit(vectors: NDArray) -> NDArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
