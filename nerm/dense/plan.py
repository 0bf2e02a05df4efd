"""The coarse part of a dense code, its plan: a curve in the same numbers with 4 control points a second. It holds motion up to about 2 Hz:
where somebody goes, what they do, and when.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nerm.dense.curve import coarse, points_of, refined
from nerm.dense.field import DenseFieldConfig
from nerm.dense.person import FRAME, turned_by


def plan_of(z: Tensor, config: DenseFieldConfig) -> Tensor:
    """The plan [Q, 4 + pose] nearest to a dense code z [P, 4 + pose]."""
    return coarse(z, config.rate, config.coarse_rate)


def dense_of(plan: Tensor, points: int, config: DenseFieldConfig) -> Tensor:
    """Plans [..., Q, 4 + pose] as dense codes [..., points, 4 + pose]: the same curves; after the end of a plan they stay where it is."""
    count = points_of((points - 3) / config.rate, config.coarse_rate)
    last = plan[..., -1:, :].expand(*plan.shape[:-2], max(count - plan.shape[-2], 0), -1)
    return refined(torch.cat([plan, last], -2)[..., :count, :], points, config.rate, config.coarse_rate)


def anchored(z: Tensor) -> Tensor:
    """Dense codes [..., P, 4 + pose] moved and turned so that they start above the origin and face +z."""
    start = (z[..., :1, :FRAME] + 4 * z[..., 1:2, :FRAME] + z[..., 2:3, :FRAME]) / 6
    angle = start[..., 0]
    root = turned_by(z[..., 1:FRAME] - start[..., 1:] * torch.tensor([1.0, 0.0, 1.0]).to(z), -angle.expand(z.shape[:-1]))
    return torch.cat([z[..., :1] - start[..., :1], root, z[..., FRAME:]], -1)
