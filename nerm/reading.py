"""Reading a code out of the field at a rate: f(t, z) -> motion. It knows nothing of where codes come from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nerm.field import Field
from nerm.motion import Motion, frame_times


def decode(field: Field, z: Tensor, seconds: float, fps: float) -> Motion:
    """Read one code z [d] at a rate. One sequence at a time, so it depends on nothing else."""
    return decode_at(field, z, seconds, torch.as_tensor(frame_times(seconds, fps)), fps)


@torch.no_grad()
def decode_at(field: Field, z: Tensor, seconds: float, times: Tensor, fps: float) -> Motion:
    """Read one code z [d] of a sequence that lasts `seconds` at the given times [n] (s, float64)."""
    device = z.device
    pose = field(times[None].to(device), torch.tensor([seconds], dtype=torch.float64, device=device), z[None].float(), fps)
    joints = field.joints(pose) + pose.root[..., None, :]
    return Motion(joints[0].float().cpu().numpy().astype(np.float32), fps, field.skeleton)
