"""The critic of the refinement: it tells clips of recordings from clips that were read out of codes. It knows clips and rates, no field.

The features of a clip do not depend on its rate: joints about the root's place on the ground, velocities and accelerations in SI units, in
the axes of its middle frame. Frequencies above a few hertz are smoothed away first, since the texture makes them and not the field.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerm.clips import canonical, on_ground
from nerm.motion import SMPL22, Skeleton

BLUR_S = 0.04
"""Standard deviation of the Gaussian that clips are smoothed with: half the amplitude is left at 4.7 Hz, a tenth at 8.5."""
REACH = 4  # frames on either side that the smoothing sees


def clip_features(joints: Tensor, fps: Tensor, skeleton: Skeleton = SMPL22) -> Tensor:
    """joints: [n, m, J, 3] metres at fps [n], about 30 -> [n, m - 2 REACH - 2, 9 J].

    A frame has its joints (m), their velocities (m/s) and their accelerations (m/s^2).
    """
    place = canonical(smooth(joints, fps), skeleton)
    rate = fps.to(place.dtype)[:, None, None, None]
    velocity = torch.diff(place, dim=1) * rate
    acceleration = torch.diff(velocity, dim=1) * rate
    place = place[:, 1:-1]
    root = place[:, :, :1]
    position = torch.cat([root, place[:, :, 1:] - on_ground(root)], dim=2)
    return torch.cat([position.flatten(2), velocity[:, 1:].flatten(2), acceleration.flatten(2)], dim=-1)


def smooth(joints: Tensor, fps: Tensor) -> Tensor:
    """joints: [n, m, J, 3] at fps [n] -> [n, m - 2 REACH, J, 3], blurred in time."""
    offset_s = torch.arange(-REACH, REACH + 1, device=joints.device) / fps[:, None]
    weight = torch.softmax(-0.5 * (offset_s / BLUR_S).square(), dim=1).to(joints.dtype)
    return torch.einsum("nmjck,nk->nmjc", joints.unfold(1, 2 * REACH + 1, 1), weight)


class Critic(nn.Module):
    """Convolutions over the frames of a clip; the verdict is the mean of their outputs. asinh keeps a single impact from dominating.

    mean, std: [9 J] of recordings' features.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, width: int = 192) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.enter = nn.Conv1d(len(mean) + 1, width, 3, padding=1)
        self.mix = nn.Conv1d(width, width, 3, padding=1)
        self.halve = nn.ModuleList(nn.Conv1d(width, width, 3, stride=2, padding=1) for _ in range(2))
        self.leave = nn.Conv1d(width, 1, 1)

    def forward(self, features: Tensor, fps: Tensor) -> Tensor:
        """features: [n, m, 9 J] at fps [n] -> verdicts [n], larger for recordings."""
        x = torch.asinh(2 * (features - self.mean) / self.std)
        rate = torch.log2(fps.to(x.dtype) / 60)[:, None, None].expand(*x.shape[:2], 1)
        h = F.leaky_relu(self.enter(torch.cat([x, rate], -1).transpose(1, 2)), 0.2)
        h = h + F.leaky_relu(self.mix(h), 0.2)
        for layer in self.halve:
            h = F.leaky_relu(layer(h), 0.2)
        return self.leave(h).mean((1, 2))
