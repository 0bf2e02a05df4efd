"""The network of the extractor `anyrate`, and what it sees of a clip: quantities in SI units, whatever the frame rate.

A clip of m frames at rate s, scaled to one body size, is described by heading-relative joints, their velocities and their accelerations,
low-passed at min(0.4 s, 20) Hz, with the time of every frame as an input. Two rates of one motion therefore look alike within the band that
both hold, and nothing above 20 Hz is seen. What happens above 8 Hz hardly shows in positions, but it shows in accelerations. These come in
two bands, split at 8 Hz (lower where the rate holds less), so that the band of high rates has inputs of its own.
It knows joints and rates; it knows no generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evaluators.extractors.describing import sized
from nerm.clips import canonical, centre_frame, on_ground
from nerm.motion import SMPL22
from nerm.motion.kinematics import derivative, lowpass

CLIP_FRAMES = 32
FEATURES = 4 * 3 * len(SMPL22)
"""Values per frame: joints (m), velocities (m/s), accelerations (m/s^2) of the lower and of the upper band."""


@dataclass
class AnyrateConfig:
    """Size of the network, and the band of its input: min(band_share * fps, band_limit_hz), split at split_share of it."""

    width: int = 128
    dilations: tuple[int, ...] = (1, 2, 4)
    embedding: int = 64
    band_share: float = 0.4
    band_limit_hz: float = 20.0
    split_share: float = 0.4


class AnyrateEncoder(nn.Module):
    """Residual convolutions over the frames of a clip, two frames to a step; the mean over steps is what it learned of the clip.

    asinh limits large inputs, so that an impact or noise does not dominate the others.
    """

    mean: Tensor
    std: Tensor
    time_rps: Tensor

    def __init__(self, config: AnyrateConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("std", torch.ones(FEATURES))
        self.register_buffer("time_rps", 2.0 ** torch.arange(-2, 5) * np.pi, persistent=False)
        self.enter = nn.Conv1d(FEATURES + 2 * len(self.time_rps) + 1, config.width, 3, 2, 1)
        self.blocks = nn.ModuleList(Block(config.width, dilation) for dilation in config.dilations)
        self.leave = nn.Sequential(nn.GroupNorm(1, config.width), nn.GELU(), nn.Conv1d(config.width, config.embedding, 1))

    def forward(self, features: Tensor, fps: Tensor) -> Tensor:
        """features: [n, m, 264] of `clip_features`; fps: [n] -> features [n, 64]."""
        t = (torch.arange(features.shape[1], device=features.device) - centre_frame(features.shape[1])) / fps[:, None].to(features.dtype)
        phase = t[..., None] * self.time_rps
        x = torch.cat([torch.asinh(5 * (features - self.mean) / self.std) / 2, torch.sin(phase), torch.cos(phase), t[..., None]], dim=-1)
        x = self.enter(x.transpose(1, 2))
        for block in self.blocks:
            x = x + block(x)
        return self.leave(x).mean(dim=-1)


class Block(nn.Sequential):
    """What a residual block adds to its input. [n, width, steps] -> the same shape."""

    def __init__(self, width: int, dilation: int) -> None:
        wide = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        super().__init__(nn.GroupNorm(1, width), wide, nn.GELU(), nn.Conv1d(2 * width, width, 1))


def clip_features(joints: NDArray | Tensor, fps: float, config: AnyrateConfig) -> Tensor:
    """What the extractor sees of clips. joints: [n, m, 22, 3] metres at one rate -> [n, m, 264].

    Per frame: the root's place on the ground and its height; the other joints relative to the root's place on the ground (heights are above
    the floor); velocities and accelerations (two bands) of all joints. The axes are those of the centre frame. The filters continue a clip
    beyond its ends by point reflection.
    """
    joints = joints if isinstance(joints, Tensor) else torch.from_numpy(np.array(joints, dtype=np.float32))
    flat = canonical(sized(joints.float())).flatten(2)
    cutoff_hz = min(config.band_share * fps, config.band_limit_hz)
    filters = _filters(joints.shape[1], float(fps), cutoff_hz, config.split_share * cutoff_hz)
    place, velocity, low, high = (torch.einsum("ab,nbc->nac", torch.from_numpy(matrix), flat) for matrix in filters)
    place = place.unflatten(-1, (-1, 3))
    root = place[:, :, :1]
    relative = torch.cat([root, place[:, :, 1:] - on_ground(root)], dim=2)
    return torch.cat([relative.flatten(2), velocity, low, high], dim=-1)


@lru_cache(maxsize=256)
def _filters(frames: int, fps: float, cutoff_hz: float, split_hz: float) -> tuple[NDArray[np.float32], ...]:
    """The low-pass of a clip, its velocity, and its acceleration below and above split_hz, all below cutoff_hz, as [m, m] matrices."""
    identity = np.eye(frames)
    whole, low = derivative(identity, fps, 2, cutoff_hz), derivative(identity, fps, 2, split_hz)
    matrices = (lowpass(identity, fps, cutoff_hz), derivative(identity, fps, 1, cutoff_hz), low, whole - low)
    return tuple(matrix.astype(np.float32) for matrix in matrices)
