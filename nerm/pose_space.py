"""Coordinates of codes in which distance is distance of poses: what stage 2 denoises. It knows the field and its codes; no condition.

In the field's own coordinates every direction of a code counts alike, even one that hardly changes a pose. Here the average of J^T J
over codes and times, J = d(pose and its velocity) / dz, is the metric, and the principal axes of the codes under it are the coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nerm.field import Pose

VELOCITY_S = 0.1  # one metre per second of velocity counts as this many metres of position
ROOT_SHARE = 0.5  # weight of the root's position; joints about the root have 1
STEP_S = 0.05  # time over which velocities are measured


@dataclass
class PoseSpace:
    """z = y @ back + shift.

    shift: [d].  to: [d, k].  back: [k, d].  weight: [k] effect of a squared error of each coordinate on poses, mean 1.
    """

    shift: Tensor
    back: Tensor
    to: Tensor
    weight: Tensor

    def enter(self, z: Tensor) -> Tensor:
        """Codes [n, d] of the field -> coordinates."""
        return (z - self.shift) @ self.to


class Reads(Protocol):
    """A field, as far as its poses' metric is concerned: times [B, m] s, durations [B] s and codes [B, d] -> poses; and their joints."""

    def __call__(self, times_s: Tensor, seconds: Tensor, z: Tensor) -> Pose: ...

    def joints(self, pose: Pose) -> Tensor: ...


def pose_space(field: Reads, codes: Tensor, seconds: Tensor, flatness: float, largest: float, keep: int = 0) -> PoseSpace:
    """The pose space of codes [n, d] of windows that last seconds [n].

    flatness: deviations are proportional to (variance in poses)^(1/2 - flatness): 0 keeps distances as they are, 1/2 makes all
    coordinates alike; in between, details are denoised after the coarse motion.  largest: deviation of the first coordinate.
    keep: how many leading coordinates there are; 0 is all.
    """
    metric = pose_metric(field, codes, seconds)
    values, vectors = torch.linalg.eigh(metric + 1e-6 * metric.diagonal().mean() * torch.eye(len(metric), dtype=torch.float64))
    root = vectors * values.sqrt() @ vectors.T
    inverse = vectors * values.rsqrt() @ vectors.T
    centred = (codes - codes.mean(0)).double()
    covariance = centred.T @ centred / len(centred)
    variance, axes = torch.linalg.eigh(root @ covariance @ root)
    variance, axes = variance.flip(0).clamp(min=1e-12)[: keep or None], axes.flip(1)[:, : keep or None]
    deviation = largest * (variance / variance[0]) ** (0.5 - flatness)
    factor = deviation / variance.sqrt()
    weight = factor**-2
    return PoseSpace(codes.mean(0), ((axes / factor).T @ inverse).float(), (root @ axes * factor).float(), (weight / weight.mean()).float())


def pose_metric(field: Reads, mean: Tensor, seconds: Tensor, draws: int = 24, codes: int = 256, times: int = 8) -> Tensor:
    """[d, d] float64: the average of J^T J, from random projections of J (their expectation is exact)."""
    generator = torch.Generator().manual_seed(0)
    metric = torch.zeros(mean.shape[1], mean.shape[1], dtype=torch.float64)
    for _ in range(draws):
        index = torch.randint(len(mean), (codes,), generator=generator)
        z, lasts = mean[index].clone().requires_grad_(), seconds[index].double()
        at = torch.rand(codes, times, generator=generator, dtype=torch.float64) * lasts[:, None]
        pose = field(torch.cat([at, at + STEP_S], 1), lasts, z)
        places = torch.cat([field.joints(pose)[:, :, 1:].flatten(2), ROOT_SHARE * pose.root], -1)
        start, end = places.chunk(2, dim=1)
        poses = torch.cat([start, VELOCITY_S / STEP_S * (end - start)], -1)
        (gradient,) = torch.autograd.grad((poses * torch.randn(poses.shape, generator=generator)).sum() / times**0.5, z)
        metric += gradient.double().T @ gradient.double() / (draws * codes)
    return metric
