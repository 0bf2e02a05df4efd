"""What the preparations of the action datasets share: the recording, its trial, and the check of arrays. It knows no file.

The published poses and root positions stay beside the joints, frame by frame (`ClipDataset.poses`): systems and classifiers of the 25 x 6
format read those and see what the official code would give them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nerm.data.clips import ClipRecording
from nerm.data.preparation import LeftOut, Trial
from nerm.data.validation import measure
from nerm.motion import Motion

POSE = 72
"""Axis-angle of 24 joints."""


@dataclass(frozen=True, kw_only=True)
class ActionClip(ClipRecording):
    """A clip with its place in the official file."""

    number: int


def trial_of(poses: NDArray, root: NDArray, joints: NDArray, own: NDArray, fps: float, scale: float = 1.0) -> Trial | LeftOut:
    """poses: [T, 72], root: [T, 3] as published.  joints: [T, 22, 3] metres on the corpus skeleton, y up.  own: [22] the person's bones."""
    if not all(np.isfinite(values).all() for values in (poses, root, joints)):
        return LeftOut("with values that are not numbers", f"{len(poses)} frames")
    placed = Motion(joints, fps).canonical().joints
    checks = measure(placed, placed, fps, scale, float(placed[..., 1].min()), len(placed))
    arrays = {"poses": poses.astype(np.float32), "translation": root.astype(np.float32)}
    return Trial(placed.astype(np.float32), own.astype(np.float32), scale, 0, 0.0, checks, arrays)
