"""Rotations of the 22 SMPL joints in 135 numbers per frame (TEMOS), both ways. z is up, as in AMASS.

A codec treats frames as they are: resample first. Nothing here knows a corpus or a model.

Columns: height of the root; x and y displacement of the root since the frame before (0 in the first); 22 rotations in 6D by matrix rows.

Source: Petrovich et al., TEMOS: Generating Diverse Human Motions from Textual Descriptions, ECCV 2022, section 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.rotations import axis_angle_from_matrix, matrix_from_axis_angle, matrix_from_rows6d, rows6d
from nerm.motion.skeleton import SMPL22

JOINTS = len(SMPL22)
DIMS = 3 + 6 * JOINTS
STEP = slice(1, 3)


def encode_smpl135(rotations: NDArray, translation: NDArray, canonical: bool = True, quarter_turn: bool = True) -> NDArray:
    """Local rotation matrices [T, 22, 3, 3] and root positions [T, 3] metres -> features [T, 135].

    canonical: undo the vertical part of the first root rotation's axis-angle vector (which is not its heading, if the person leans).
    quarter_turn: with `canonical`, a quarter turn beyond, as in the published statistics.
    """
    rotations, translation = np.asarray(rotations), np.asarray(translation)
    if rotations.ndim != 4 or rotations.shape[1:] != (JOINTS, 3, 3) or not len(rotations):
        raise InputError(f"rotations of shape {list(rotations.shape)}; expected [T, {JOINTS}, 3, 3] matrices")
    if translation.shape != (len(rotations), 3):
        raise InputError(f"translation of shape {list(translation.shape)}; expected {[len(rotations), 3]}, one per frame of the rotations")
    world = np.array(rotations, dtype=np.float64)
    steps = np.diff(translation[:, :2].astype(np.float64), axis=0, prepend=translation[:1, :2])
    if canonical:
        vertical = axis_angle_from_matrix(world[0, 0]) * np.array([0.0, 0.0, 1.0])
        back = matrix_from_axis_angle(vertical + np.array([0.0, 0.0, np.pi / 2 if quarter_turn else 0.0])).T
        world[:, 0] = back @ world[:, 0]
        steps = steps @ back[:2, :2].T
    out = np.concatenate([translation[:, 2:], steps, rows6d(world).reshape(len(world), -1)], axis=1)
    return out.astype(rotations.dtype if rotations.dtype.kind == "f" else np.float64)


def decode_smpl135(features: NDArray) -> tuple[NDArray, NDArray]:
    """Features [T, 135], not normalised -> (rotation matrices [T, 22, 3, 3], root positions [T, 3] that start above the origin)."""
    x = np.asarray(features)
    if x.ndim != 2 or x.shape[1] != DIMS or not len(x):
        raise InputError(f"features of shape {list(x.shape)}; expected [T, {DIMS}]")
    path = np.cumsum(x[:, STEP], axis=0)
    return matrix_from_rows6d(x[:, STEP.stop :].reshape(len(x), JOINTS, 6)), np.concatenate([path - path[0], x[:, :1]], axis=1)
