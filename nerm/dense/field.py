"""f(t, z) with a code that is dense in time: 32 control points a second, as many as events at 8 to 12 Hz need (docs/findings.md).

A code [P, 4 + pose] is a uniform cubic B-spline (nerm.dense.curve). Its first numbers are the heading (radians) and the root's position
(metres); the others are the pose in the person's own frame, which a small network reads. An encoder that is convolutional in time makes
the code of a recording in one pass, so nothing is found by descent, and a code depends only on its neighbourhood. Nothing here is per
frame: reading at 60 fps and keeping every third frame gives the same as reading at 20.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerm.dense.curve import on_curve
from nerm.dense.person import FRAME, SAMPLES, Person, Rates, turned_by
from nerm.field import Pose, ancestry, skeleton_of

REACH = 3
"""Control points on either side of one that its code depends on."""


@dataclass
class DenseFieldConfig:
    """Settings of the field.

    pose: numbers of a control point that are the pose's; heading and root have four more.
    rate: control points a second.
    coarse_rate: control points a second of the coarse part, which the first denoiser makes.
    width: of the hidden layers that read a code.
    layers: how many.
    encoder: channels of the encoder.
    longest_s: of a motion that is trained on, in seconds.
    skeleton: of the motion; a training takes it from its dataset.
    bone_lengths: metres, with 0 for the root; none is those of the skeleton of that name.
    """

    pose: int = 36
    rate: int = 32
    coarse_rate: int = 4
    width: int = 256
    layers: int = 3
    encoder: int = 192
    longest_s: float = 10.0
    skeleton: str = "smpl22"
    bone_lengths: list[float] | None = None

    @property
    def rates(self) -> Rates:
        return Rates(self.rate, self.coarse_rate)

    @property
    def size(self) -> int:
        """Numbers of a control point."""
        return FRAME + self.pose


class DenseField(nn.Module):
    """The encoder and the field that reads its codes. Both have a linear part, which starts as principal components (`start_linear`)."""

    mean_directions: Tensor
    to_joints: Tensor

    def __init__(self, config: DenseFieldConfig) -> None:
        super().__init__()
        self.config = config
        self.skeleton = skeleton_of(config.skeleton, config.bone_lengths)
        bones = len(self.skeleton) - 1
        seen = SAMPLES * bones * 3
        self.near = nn.ModuleList(nn.Linear(3 * size, config.encoder) for size in (seen, config.encoder))
        self.code = nn.Linear(3 * config.encoder, 2 * config.pose)
        self.straight = nn.Linear((2 * REACH + 1) * seen, config.pose)
        self.enter = nn.Linear(config.pose, config.width)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(config.layers))
        self.layers = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.layers))
        self.leave = nn.Linear(config.width, 3 * bones)
        self.plain = nn.Linear(config.pose, 3 * bones, bias=False)
        for layer in (self.code, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("mean_directions", torch.as_tensor(self.skeleton.axes[1:], dtype=torch.float32))
        self.register_buffer("to_joints", ancestry(self.skeleton), persistent=False)

    def gaussians(self, poses: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log-variances [B, P, pose] from what `Person` holds, poses [B, P + 2 * REACH, ...]."""
        h = poses
        for layer in self.near:
            h = F.gelu(layer(neighbours(h, 3)))
        mean, logvar = self.code(neighbours(h, 3)).chunk(2, dim=-1)
        return mean + self.straight(neighbours(poses, 2 * REACH + 1)), logvar - 6.0

    @torch.no_grad()
    def encode(self, person: Person) -> Tensor:
        """The code [P, 4 + pose] of a motion in the person's frame: the means."""
        device = self.mean_directions.device
        poses = torch.cat([person.poses[:1].expand(REACH, -1), person.poses, person.poses[-1:].expand(REACH, -1)]).to(device)
        return torch.cat([person.frame.to(device), self.gaussians(poses[None])[0][0]], -1)

    def forward(self, times_s: Tensor, z: Tensor) -> Pose:
        """The pose at times_s [B, m] (seconds from the first frame, float64) of codes z [B, P, 4 + pose]."""
        return self.pose(on_curve(times_s * self.config.rate, z))

    def pose(self, at: Tensor) -> Pose:
        """The pose of curves that were read: at [..., 4 + pose]. In single precision: rounding to bfloat16 is seen in velocities."""
        with torch.autocast(at.device.type, enabled=False):
            frame, pose = at[..., :FRAME], at[..., FRAME:]
            h = self.enter(pose)
            for norm, layer in zip(self.norms, self.layers, strict=True):
                h = h + layer(F.gelu(norm(h)))
            bones = self.mean_directions + (self.plain(pose) + self.leave(h)).unflatten(-1, (-1, 3))
            bones = F.normalize(bones, dim=-1, eps=1e-6)
            return Pose(frame[..., 1:], turned_by(bones, frame[..., 0]))

    def matrices(self) -> list[nn.Parameter]:
        """The matrices of the hidden layers, which Muon trains."""
        return [p for part in (self.near, self.layers) for p in part.parameters() if p.ndim == 2]

    def joints(self, pose: Pose) -> Tensor:
        """Joint positions [..., J, 3] relative to the root, metres."""
        return torch.einsum("jb,...bc->...jc", self.to_joints, pose.directions)


def neighbours(x: Tensor, count: int) -> Tensor:
    """[B, P, c] -> [B, P - count + 1, count * c]: every point with those around it."""
    return x.unfold(1, count, 1).transpose(-1, -2).flatten(-2)
