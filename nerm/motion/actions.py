"""The 25 x 6 format of the action data (HumanAct12, UESTC): 24 joint rotations and one translation per frame, both ways.

Rotations are 6D by matrix ROWS, unlike the columns of the 263-d features. The codec takes frames as they are and knows no corpus.

Source: Petrovich et al., Action-Conditioned 3D Human Motion Synthesis with Transformer VAE, ICCV 2021, section 3.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.rotations import matrix_from_axis_angle, matrix_from_rows6d, rows6d
from nerm.motion.skeleton import SMPL24, Skeleton, forward_kinematics
from nerm.motion.smpl import T_POSE

JOINTS = len(SMPL24)
ROWS = JOINTS + 1
"""24 rotations and the translation."""
FORMAT = "actions25"
"""Name of the format in `Motion.features`, whose values are [T, 150] there: the 25 rows of a frame one after the other."""


def encode_actions25(rotations: NDArray, translation: NDArray) -> NDArray:
    """Rotations and root positions -> [25, 6, T].

    rotations: [T, 24, 3] or [T, 72] axis-angle (radians), or [T, 24, 3, 3] matrices, of SMPL24.  translation: [T, 3] metres; it is
    stored relative to frame 0 as (x, y, z, 0, 0, 0) in the last row.
    """
    rotations, translation = np.asarray(rotations), np.asarray(translation)
    if rotations.ndim == 2 and rotations.shape[1] == JOINTS * 3:
        rotations = rotations.reshape(-1, JOINTS, 3)
    if rotations.ndim not in (3, 4) or rotations.shape[1] != JOINTS or set(rotations.shape[2:]) != {3} or len(rotations) == 0:
        raise InputError(f"rotations of shape {list(rotations.shape)}; expected [T, 24, 3] axis-angle or [T, 24, 3, 3] matrices")
    if translation.shape != (len(rotations), 3):
        raise InputError(f"translation of shape {list(translation.shape)}; expected {[len(rotations), 3]}, one per frame of the rotations")
    if not (np.isfinite(rotations).all() and np.isfinite(translation).all()):
        raise InputError("rotations or translation with a value that is not finite; remove or fill these frames")
    matrices = matrix_from_axis_angle(rotations) if rotations.ndim == 3 else rotations
    out = np.zeros((len(rotations), ROWS, 6), dtype=rotations.dtype if rotations.dtype.kind == "f" else np.float64)
    out[:, :JOINTS] = rows6d(matrices)
    out[:, JOINTS, :3] = translation - translation[0]
    return np.ascontiguousarray(out.transpose(1, 2, 0))


def decode_actions25(features: NDArray) -> tuple[NDArray, NDArray]:
    """[25, 6, T] -> (rotation matrices [T, 24, 3, 3], translation [T, 3] metres relative to frame 0). Any 6 numbers are made a rotation."""
    x = np.asarray(features)
    if x.ndim != 3 or x.shape[:2] != (ROWS, 6) or x.shape[2] == 0:
        raise InputError(f"features of shape {list(x.shape)}; expected [25, 6, T]")
    if not np.isfinite(x).all():
        raise InputError("features with a value that is not finite; expected [25, 6, T] numbers")
    frames = x.transpose(2, 0, 1)
    return matrix_from_rows6d(frames[:, :JOINTS]), np.ascontiguousarray(frames[:, JOINTS, :3])


def frames_of_actions25(features: NDArray) -> NDArray:
    """[25, 6, T] -> [T, 150], as `Motion.features` holds them."""
    return np.ascontiguousarray(np.asarray(features).transpose(2, 0, 1)).reshape(-1, ROWS * 6)


def rotations_of_frames(frames: NDArray) -> NDArray:
    """[T, 150] -> [T, 24, 6] rotations by rows, as they were made."""
    return _rows(frames)[:, :JOINTS]


def positions_of_frames(frames: NDArray, body: Skeleton = T_POSE) -> NDArray:
    """[T, 150] -> joint positions [T, 24, 3] in the axes of the data, translation included.

    body: rest offsets of the joints. The published evaluation takes those of the SMPL model, which the mean body resembles only.
    """
    rotations, translation = decode_actions25(_rows(frames).transpose(1, 2, 0))
    return forward_kinematics(rotations, translation, body)


def _rows(frames: NDArray) -> NDArray:
    x = np.asarray(frames)
    if x.ndim != 2 or x.shape[1] != ROWS * 6:
        raise InputError(f"features of shape {list(x.shape)}; expected [T, {ROWS * 6}]")
    return x.reshape(-1, ROWS, 6)


def window_frames(length: int, frames: int, rng: random.Random) -> NDArray[np.int64]:
    """[frames] indices into a clip of `length` frames: a random contiguous window, or the whole clip with its last frame repeated.

    As in the original, one integer is drawn per clip that is long enough, and the last possible start is never drawn.
    """
    if length < 1 or frames < 1:
        raise InputError(f"a window of {frames} frames from a clip of {length}; both must be at least 1")
    start = rng.randint(0, max(0, length - frames - 1)) if length >= frames else 0
    return np.minimum(start + np.arange(frames), length - 1)
