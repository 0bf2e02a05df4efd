"""The coarse part of a dense code: what the first denoiser makes. It is a curve in the same numbers with 4 control points a second, and is
read by the same field; it holds motion up to about 2 Hz: where somebody goes, what they do, and when.

A plan is the curve's control points one after the other, [Q * (4 + pose)], always as many as the longest motion has: after the end of a
shorter one the curve stays where it is, which nothing reads.
"""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor

from nerm.dense.curve import coarse, on_curve, points_of, refined
from nerm.dense.field import DenseField, DenseFieldConfig
from nerm.dense.person import FRAME, turned_by
from nerm.field import Pose


class CoarseReader:
    """Reads plans z [B, Q * (4 + pose)] through a field, as `nerm.pose_space` asks for it."""

    def __init__(self, field_: DenseField) -> None:
        self.field = field_

    def __call__(self, times_s: Tensor, seconds: Tensor, z: Tensor) -> Pose:
        return self.field.pose(on_curve(times_s * self.field.config.coarse_rate, z.unflatten(-1, (-1, self.field.config.size))))

    def joints(self, pose: Pose) -> Tensor:
        return self.field.joints(pose)


def plan_points(config: DenseFieldConfig) -> int:
    """Control points of every plan."""
    return points_of(ceil(config.longest_s), config.coarse_rate)


def plan_of(z: Tensor, config: DenseFieldConfig) -> Tensor:
    """The plan [Q * (4 + pose)] nearest to a dense code z [P, 4 + pose]."""
    few = coarse(z, config.rate, config.coarse_rate)
    end = (few[-3:-2] + 4 * few[-2:-1] + few[-1:]) / 6
    return torch.cat([few, end.expand(plan_points(config) - len(few), -1)]).flatten()


def dense_of(plan: Tensor, points: int, config: DenseFieldConfig) -> Tensor:
    """Plans [..., Q * (4 + pose)] as dense codes [..., points, 4 + pose]: the same curves."""
    few = points_of((points - 3) / config.rate, config.coarse_rate)
    z = plan.unflatten(-1, (-1, config.size))[..., :few, :]
    return refined(z, points, config.rate, config.coarse_rate)


def anchored(z: Tensor) -> Tensor:
    """Dense codes [..., P, 4 + pose] moved and turned so that they start above the origin and face +z."""
    start = (z[..., :1, :FRAME] + 4 * z[..., 1:2, :FRAME] + z[..., 2:3, :FRAME]) / 6
    angle = start[..., 0]
    root = turned_by(z[..., 1:FRAME] - start[..., 1:] * torch.tensor([1.0, 0.0, 1.0]).to(z), -angle.expand(z.shape[:-1]))
    return torch.cat([z[..., :1] - start[..., :1], root, z[..., FRAME:]], -1)
