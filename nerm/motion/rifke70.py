"""Rifke of language2pose (JL2P, Hier): the 21 joints of KIT-ML relative to a smoothed root path, in 70 numbers per frame, both ways.

A codec treats frames as they are: the format is per frame by definition (12.5 frames per second), so resample first. The errors of the
original are part of the format and are reproduced: the joints of the contacts are those before the ones of the floor, because a reference
joint had been put in front, and contacts are a displacement per frame. Nothing here knows a corpus or a model.

Columns: x, y, z of all joints in the frame's heading, x and z relative to the smoothed path; x and z displacement of the path to the next
frame; turn to the next frame, radians; contacts of two left and two right joints. Networks read 68 of them: see `NETWORK`.

Sources: Holden et al., A Deep Learning Framework for Character Motion Synthesis and Editing, SIGGRAPH 2016, section 4; Ahuja and Morency,
Language2Pose, 3DV 2019, section 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nerm.errors import InputError
from nerm.motion.rifke import FEET, checked_joints, float_type, soft_floor
from nerm.motion.rotations import matrix_from_quaternion, quaternion_between
from nerm.motion.skeleton import KIT21, yaw_matrix

_POSITIONS = 3 * len(KIT21)
STEP = slice(_POSITIONS, _POSITIONS + 2)
TURN = _POSITIONS + 2
CONTACTS = slice(_POSITIONS + 3, _POSITIONS + 7)
DIMS = CONTACTS.stop
NETWORK = [1, *range(3, DIMS)]
"""The columns that networks read: all but x and z of the root. Hier leaves out the contacts, the last four, as well."""

_PATH_SMOOTHING_FRAMES = 3.0
_HEADING_SMOOTHING_FRAMES = 20.0
_ACROSS = tuple((KIT21.index(left), KIT21.index(right)) for left, right in (("LS", "RS"), ("LH", "RH")))
_CONTACT_JOINTS = [joint - 1 for joint in FEET]
_CONTACT_SQUARED_STEP = 0.05
_CONTACT_HEIGHTS = np.array([3.0, 2.0, 3.0, 2.0])


def encode_rifke70(joints: NDArray) -> NDArray[np.float64]:
    """Joints [T, 21, 3] of KIT-ML (millimetres of a body 1 m tall, y up), T >= 2 -> features [T-1, 70]."""
    x = checked_joints(joints)
    if len(x) < 2:
        raise InputError("motion of 1 frame; the features describe steps between frames and need at least 2")
    x -= np.array([0.0, soft_floor(x[:, FEET, 1]), 0.0])
    path = gaussian_filter1d(x[:, 0] * np.array([1.0, 0.0, 1.0]), _PATH_SMOOTHING_FRAMES, axis=0, mode="nearest")
    turns = _to_heading(x)
    steps = np.diff(path, axis=0)
    squared = np.sum(np.diff(x[:, _CONTACT_JOINTS], axis=0) ** 2, axis=-1)
    out = np.empty((len(steps), DIMS))
    out[:, :_POSITIONS] = ((x - path[:, None]) @ np.swapaxes(turns, -1, -2))[:-1].reshape(len(steps), -1)
    out[:, STEP] = (turns[1:] @ steps[..., None])[:, [0, 2], 0]
    change = turns[1:] @ np.swapaxes(turns[:-1], -1, -2)
    out[:, TURN] = np.arctan2(change[:, 0, 2], change[:, 2, 2])
    out[:, CONTACTS] = (squared < _CONTACT_SQUARED_STEP) & (x[:-1, _CONTACT_JOINTS, 1] < _CONTACT_HEIGHTS)
    return out


def decode_rifke70(features: NDArray) -> NDArray:
    """Features [T, 70], not normalised -> joints [T, 21, 3], from the origin and the +z heading on.

    As in the original, the root lies on the smoothed path, and each frame has made the step to the next one already.
    """
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != DIMS or not len(x):
        raise InputError(f"features of shape {list(x.shape)}; expected [T, {DIMS}]")
    back = np.swapaxes(yaw_matrix(-np.cumsum(x[:, TURN])), -1, -2)  # for row vectors
    steps = np.zeros((len(x), 1, 3))
    steps[:, 0, [0, 2]] = x[:, STEP]
    path = np.cumsum(steps @ back, axis=0)
    local = x[:, :_POSITIONS].reshape(len(x), -1, 3).copy()
    local[:, 0, [0, 2]] = 0.0
    return (local @ back + path).astype(float_type(features))


def _to_heading(x: NDArray) -> NDArray:
    """[T, 3, 3] rotations from the world to the smoothed heading of hips and shoulders."""
    across = sum(x[:, left] - x[:, right] for left, right in _ACROSS)
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    forward = np.cross(across, np.array([[0.0, 1.0, 0.0]]))
    forward = gaussian_filter1d(forward, _HEADING_SMOOTHING_FRAMES, axis=0, mode="nearest")
    return matrix_from_quaternion(quaternion_between(forward, np.array([0.0, 0.0, 1.0])))
