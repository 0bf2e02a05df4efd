"""What the classifiers of `multirate` see of a motion: joints at 20 fps, in one size, place and heading.

Place and heading are those of the first frame, so that turning and going somewhere can be seen, and where it happens cannot. It knows no
network and no dataset.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evaluators.extractors.describing import sized
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.motion.resample import at_rate
from nerm.motion.skeleton import heading, yaw_matrix

FPS = 20.0
LONGEST = 200
"""Frames of a motion that are looked at, 10 s."""
_FLOOR = np.array([1.0, 0.0, 1.0])


def frames_of(motion: Motion) -> NDArray[np.float32]:
    """[T, 22, 3] metres at 20 fps, the root's place at frame 0 above the origin and the body facing +z there; heights unchanged."""
    joints = at_rate(motion, motion.seconds, FPS).joints[:LONGEST].astype(np.float64)
    if len(joints) == 0 or joints.shape[1:] != (22, 3) or not np.isfinite(joints).all():
        raise InputError(f"a motion of shape {list(joints.shape)} or with a value that is not finite; expected [T, 22, 3] metres")
    joints = sized(torch.from_numpy(joints)[None])[0].numpy()
    turn = yaw_matrix(-heading(joints[:1])[0])
    return ((joints - joints[0, 0] * _FLOOR) @ turn.T).astype(np.float32)


def relative(x: Tensor) -> Tensor:
    """Joints [..., 22, 3]: the root as it is, the others as seen from its place on the floor. Heights stay above the floor."""
    root = x[..., :1, :]
    return torch.cat([root, x[..., 1:, :] - root * x.new_tensor(_FLOOR)], dim=-2)


def padded(listed: Sequence[NDArray]) -> tuple[Tensor, Tensor]:
    """[n, T, 22, 3], each motion continued by its last frame, and the frames of each [n]."""
    lengths = [len(x) for x in listed]
    longest = max(lengths)
    stacked = np.stack([np.concatenate([x, np.repeat(x[-1:], longest - len(x), axis=0)]) for x in listed])
    return torch.from_numpy(stacked.astype(np.float32)), torch.tensor(lengths)
