"""Where the body goes, from what its legs do: a small network that reads poses and says which foot it stands on.

A root path and poses that are made side by side do not quite belong together, and the feet slide. Here the poses decide: while a foot
stands, the root moves by as much as the foot moves back relative to it. The network weighs the four joints of the feet, and a free choice
for jumps, at 32 moments a second; the path follows by addition, whatever rate the motion is read at. The path that was made with
the poses is a hint, of which training shows a disturbed one. Heights stay as they were made. (Root velocity from the local pose: MoMask++.)

It knows joints and times; it knows no code and no condition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from nerm.errors import InputError
from nerm.generator import Stands
from nerm.motion import Motion, Skeleton, frame_times
from nerm.motion.skeleton import heading
from nerm.settings import settings_of

if TYPE_CHECKING:
    from nerm.checkpoint import Checkpoint

RATE = 32
"""Moments a second at which the path is made."""
FEET = ("l_ankle", "r_ankle", "l_foot", "r_foot")
SMOOTH_S = 0.125
"""Standard deviation of the window over which the heading is smoothed; a lying person's jumps."""
HINT_MPS = 0.4
"""Disturbance of the root's velocity that training shows, root mean square."""


@dataclass
class StanceConfig:
    """Settings of the network.

    width: channels.
    dilations: of its layers, in moments.
    joints: of the skeleton.
    firmness: by how much the logits of feet are raised where a path is made; what is sampled is a worse hint than what is trained on.
    """

    width: int = 64
    dilations: list[int] = field(default_factory=lambda: [1, 2, 4, 8])
    joints: int = 22
    firmness: float = 1.0

    @property
    def seen(self) -> int:
        """Numbers of a moment: joints about the root, velocities of the feet about the root, the turn's velocity, height, and the hint."""
        return 3 * (self.joints - 1) + 3 * len(FEET) + 4


class Stance(nn.Module):
    """offset, scale: [seen] of the training's numbers."""

    offset: Tensor
    scale: Tensor

    def __init__(self, config: StanceConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.register_buffer("offset", torch.zeros(config.seen))
        self.register_buffer("scale", torch.ones(config.seen))
        self.enter = nn.Linear(3 * config.seen, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in config.dilations)
        self.near = nn.ModuleList(nn.Linear(3 * width, width) for _ in config.dilations)
        self.mix = nn.ModuleList(nn.Linear(width, width) for _ in config.dilations)
        self.leave = nn.Linear(width, len(FEET) + 1 + 2)

    def matrices(self) -> list[nn.Parameter]:
        """The matrices between channels, which Muon trains."""
        return [p for part in (self.near, self.mix) for p in part.parameters() if p.ndim == 2]

    def forward(self, seen: Tensor, firmness: float = 0.0) -> Tensor:
        """seen: [B, K, seen] as `observed` gives it -> the root's velocity [B, K, 2] in the person's frame, x and z, m/s.

        firmness: see `StanceConfig`; 0 in training.
        """
        h = self.enter(around((seen - self.offset) / self.scale, 1))
        for norm, near, mix, dilation in zip(self.norms, self.near, self.mix, self.config.dilations, strict=True):
            h = h + mix(F.gelu(near(around(norm(h), dilation))))
        weights, more = self.leave(F.gelu(h)).split([len(FEET) + 1, 2], -1)
        start = 3 * (self.config.joints - 1)
        feet = seen[..., start : start + 3 * len(FEET)].unflatten(-1, (len(FEET), 3))[..., (0, 2)]
        choices = torch.cat([-feet, seen[..., None, -2:]], -2)
        weights = weights + firmness * torch.tensor([1.0] * len(FEET) + [0.0], device=weights.device)
        return (weights.softmax(-1)[..., None] * choices).sum(-2) + more

    @torch.no_grad()
    def path(self, joints: NDArray, seconds: float, times: NDArray, skeleton: Skeleton) -> NDArray[np.float64]:
        """Where the root is [T, 2], x and z, at times [T] s. joints: [K + 1, J, 3] as they were made, at `moments_of(seconds)`."""
        from scipy.interpolate import CubicSpline

        moments, joints = moments_of(seconds), joints.astype(np.float64)
        step = float(moments[1])
        seen, angle = observed(joints, step, skeleton)
        velocity = self(torch.from_numpy(seen).float()[None].to(self.offset.device), self.config.firmness)[0].double().cpu().numpy()
        made = np.concatenate([np.zeros((1, 2)), np.cumsum(in_world(velocity, angle) * step, axis=0)]) + joints[0, 0, (0, 2)]
        return CubicSpline(moments, made)(times)

    def stood(self, motion: Motion, joints: NDArray, seconds: float) -> Motion:
        """The motion with the path that its legs ask for. joints: as for `path`; seconds: that it was asked for."""
        moved = self.path(joints, seconds, frame_times(seconds, motion.fps), motion.skeleton) - motion.joints[:, 0, (0, 2)]
        placed = motion.joints.astype(np.float64)
        placed[..., (0, 2)] += moved[:, None]
        return Motion(placed.astype(np.float32), motion.fps, motion.skeleton)


class HasStance(Stands):
    """A system that may have a stance, and gives it to any motion. stance: None if it was trained without that stage."""

    name: str
    stance: Stance | None

    @property
    def stands(self) -> bool:
        return self.stance is not None

    def stood(self, motion: Motion) -> Motion:
        """A motion of any rate with the path that its legs ask for; one of a single frame stays where it is."""
        from nerm.motion.resample import at_times

        if self.stance is None:
            raise InputError(f"system '{self.name}' has no stance; it was trained without that stage")
        joints = self.stance.config.joints
        if len(motion.skeleton) != joints:
            raise InputError(f"a motion of {len(motion.skeleton)} joints; the stance of system '{self.name}' is for {joints}")
        if len(motion) < 2:
            return motion
        made = at_times(motion, moments_of(motion.seconds), motion.fps, "cubic").joints
        return self.stance.stood(motion, made, motion.seconds)


def load_stance(stored: Checkpoint) -> Stance | None:
    """The stance in a system's model file; None if it has none."""
    if "stance" not in stored.about:
        return None
    loose = {"firmness": 0.0}  # of a file that does not say
    stance = Stance(settings_of(StanceConfig, loose | stored.about["stance"]))
    stance.load_state_dict(stored.part("stance."))
    return stance.eval()


def no_stance(skeleton: Skeleton) -> str:
    """Why no stance can be learned for a skeleton; '' if it can."""
    missing = [name for name in (*FEET, "l_hip", "r_hip", "l_shoulder", "r_shoulder") if not skeleton.has(name)]
    return f"skeleton '{skeleton.name}' has no {', '.join(missing)}" if missing else ""


def moments_of(seconds: float) -> NDArray[np.float64]:
    """The moments [K + 1] s at which a path is made: about RATE a second, from 0 to the end."""
    return np.linspace(0, seconds, max(round(seconds * RATE), 2) + 1)


def around(x: Tensor, dilation: int) -> Tensor:
    """[B, K, c] -> [B, K, 3 c]: every moment with those `dilation` before and after it, zeros beyond the ends."""
    padded = F.pad(x, (0, 0, dilation, dilation))
    return torch.cat([padded[:, : -2 * dilation], x, padded[:, 2 * dilation :]], -1)


def observed(joints: NDArray, step: float, skeleton: Skeleton) -> tuple[NDArray, NDArray]:
    """What the network sees [K, seen] between moments of joints [K + 1, J, 3] that are `step` s apart, and the heading there [K].

    The hint is the last of its numbers: the root's velocity, x and z. All is in the person's frame.
    """
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(np.unwrap(heading(joints, skeleton)), SMOOTH_S * RATE, mode="nearest")
    angle = (smooth[1:] + smooth[:-1]) / 2
    about = joints - joints[:, :1]
    velocity = np.diff(about[:, [skeleton.index(name) for name in FEET]], axis=0) / step
    root = np.diff(joints[:, 0], axis=0) / step
    pose = (about[1:, 1:] + about[:-1, 1:]) / 2
    turn = np.diff(smooth) / step
    height = (joints[1:, 0, 1] + joints[:-1, 0, 1]) / 2
    vectors = in_frame(np.concatenate([pose, velocity, root[:, None]], axis=1), angle)
    return np.concatenate([vectors[:, :-1].reshape(len(pose), -1), turn[:, None], height[:, None], vectors[:, -1, (0, 2)]], axis=1), angle


def in_frame(vectors: NDArray, angle: NDArray) -> NDArray:
    """Vectors [K, n, 3] of the world in the frame of somebody who faces angle [K]."""
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    return np.stack([cos * x - sin * z, y, cos * z + sin * x], -1)


def in_world(plane: NDArray, angle: NDArray) -> NDArray:
    """Vectors x, z [K, 2] of that frame in the world."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * plane[:, 0] + sin * plane[:, 1], cos * plane[:, 1] - sin * plane[:, 0]], -1)
