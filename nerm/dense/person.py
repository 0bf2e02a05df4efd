"""A motion in the person's own frame: a smooth heading and a root path that are curves, and poses turned by that heading.

The heading is a curve of few points a second, so that a lying person, whose heading jumps, or a fast turn of the hips does not turn the
frame: what the frame leaves out is part of the pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerm.dense.curve import coarse, fitted, on_curve, refined
from nerm.motion import Motion, Skeleton
from nerm.motion.skeleton import heading

FRAME = 4
"""Numbers of a control point that are heading (radians) and root (metres); the others are the pose's."""
SAMPLES = 4
"""Poses that the encoder sees for each control point."""


@dataclass(frozen=True)
class Rates:
    """Control points a second: of codes, and of their coarse part."""

    dense: int = 32
    coarse: int = 4


@dataclass
class Person:
    """A motion, ready for the encoder.

    frame: [P, 4] control points of heading and root.  poses: [P, SAMPLES * (J - 1) * 3] joints about the root, turned by the heading.
    """

    frame: Tensor
    poses: Tensor


def person_of(motion: Motion, rates: Rates) -> Person:
    """A canonical motion in the person's frame."""
    from scipy.interpolate import CubicSpline

    joints = motion.joints.astype(np.float64)
    angles = np.unwrap(heading(joints, motion.skeleton))
    root = torch.from_numpy(fitted(motion.times, joints[:, 0], motion.seconds, rates.dense))
    turn = torch.from_numpy(fitted(motion.times, angles[:, None], motion.seconds, rates.dense))
    turn = refined(coarse(turn, rates.dense, rates.coarse), len(root), rates.dense, rates.coarse)
    at = (np.arange(len(root)) - 1)[:, None] + (np.arange(SAMPLES) - (SAMPLES - 1) / 2) / SAMPLES
    at = np.clip(at.ravel() / rates.dense, 0, motion.seconds)
    about = (joints - joints[:, :1])[:, 1:]
    poses = CubicSpline(motion.times, about)(at) if len(motion) > 2 else about[np.round(at * motion.fps).astype(int)]
    angle = on_curve(torch.from_numpy(at * rates.dense)[None], turn[None])[0, :, 0]
    turned = turned_by(torch.from_numpy(poses), -angle)
    return Person(torch.cat([turn, root], -1).float(), turned.reshape(len(root), -1).float())


def turned_by(vectors: Tensor, angle: Tensor) -> Tensor:
    """Vectors [..., 3] turned about +y by angles [...] radians; the angle's last axes may be missing and are then shared."""
    angle = angle.reshape(*angle.shape, *[1] * (vectors.ndim - 1 - angle.ndim))
    cos, sin = torch.cos(angle), torch.sin(angle)
    x, y, z = vectors.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], -1)


def mirror_signs(skeleton: Skeleton) -> tuple[NDArray, Tensor]:
    """What makes poses of `Person` their mirror images: the order [SAMPLES * (J - 1) * 3] of their numbers, and their signs."""
    bones = len(skeleton) - 1
    order = (np.asarray(skeleton.left_right)[1:] - 1)[:, None] * 3 + np.arange(3)
    places = np.arange(SAMPLES)[:, None] * bones * 3 + order.ravel()
    return places.ravel(), torch.tensor([-1.0, 1.0, 1.0]).repeat(SAMPLES * bones)


MIRROR_FRAME = (-1.0, -1.0, 1.0, 1.0)
"""Signs of heading and root (x, y, z) in a mirror image."""


def people_of(motions: Sequence[Motion], rates: Rates) -> list[Person]:
    """Every motion in the person's frame."""
    return [person_of(motion, rates) for motion in motions]
