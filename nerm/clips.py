"""Short clips of joints in axes of their own, whatever their rate: for extractors. It knows no model."""

from __future__ import annotations

import torch
from torch import Tensor

from nerm.motion import SMPL22, Skeleton


def centre_frame(frames: int) -> int:
    """The frame that gives a clip its origin in time, place and heading."""
    return frames // 2


def canonical(joints: Tensor, skeleton: Skeleton = SMPL22) -> Tensor:
    """Clips [n, m, J, 3] moved and turned so that the root is above the origin and faces +z at the centre frame; heights unchanged."""
    centre = joints[:, centre_frame(joints.shape[1])]
    left_hip, right_hip, left_shoulder, right_shoulder = (skeleton.index(n) for n in ("l_hip", "r_hip", "l_shoulder", "r_shoulder"))
    across = (centre[:, left_hip] - centre[:, right_hip]) + (centre[:, left_shoulder] - centre[:, right_shoulder])
    yaw = torch.atan2(-across[:, 2], across[:, 0])
    cos, sin, zero, one = torch.cos(yaw), torch.sin(yaw), torch.zeros_like(yaw), torch.ones_like(yaw)
    turn = torch.stack([cos, zero, -sin, zero, one, zero, sin, zero, cos], -1).unflatten(-1, (3, 3))
    return torch.einsum("nij,nmkj->nmki", turn, joints - on_ground(centre[:, None, :1]))


def on_ground(x: Tensor) -> Tensor:
    """x [..., 3] without its height."""
    return x * x.new_tensor([1.0, 0.0, 1.0])
