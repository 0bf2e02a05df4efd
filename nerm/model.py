"""NeRM = field + denoiser + conditions."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nerm.field import Field
from nerm.motion import SMPL22, Motion, frame_times


def decode(field: Field, z: Tensor, seconds: float, fps: float) -> Motion:
    """Read one code z [d] at a rate: a Motion that starts near the origin. The batch has one element, so nothing else can matter."""
    times = torch.as_tensor(frame_times(seconds, fps), device=z.device)
    return decode_at(field, z, seconds, times, fps)


@torch.no_grad()
def decode_at(field: Field, z: Tensor, seconds: float, times: Tensor, fps: float) -> Motion:
    """Read one code z [d] of a sequence that lasts `seconds` at the given times [n] (s, float64)."""
    pose = field(times[None], torch.tensor([seconds], dtype=torch.float64, device=z.device), z[None], fps)
    joints = field.joints(pose) + pose.root[..., None, :]
    return Motion(joints[0].float().cpu().numpy().astype(np.float32), fps, SMPL22)
