"""Training clips of the extractor `anyrate`: cut out of recordings at any rate and time, between their frames too."""

from __future__ import annotations

import torch
from scipy.ndimage import spline_filter1d
from torch import Tensor

from evaluators.extractors.anyrate.network import CLIP_FRAMES
from nerm.motion.skeleton import LEFT_RIGHT22
from nerm.windows import Windows


def spline_windows(windows: Windows) -> Windows:
    """The windows with their frames replaced by the coefficients of the cubic spline through them."""
    frames = windows.frames.numpy()
    for offset, count in set(zip(windows.offset.tolist(), windows.count.tolist(), strict=True)):
        frames[offset : offset + count] = spline_filter1d(frames[offset : offset + count], axis=0, mode="mirror")
    return windows


def overlapping(seconds: Tensor, rates: list[float], generator: torch.Generator) -> list[Tensor]:
    """Start times (s) of two clips, of which the shorter one lies at least half inside the longer one. seconds: [n] of the windows."""
    length = [(CLIP_FRAMES - 1) / rate for rate in rates]
    u = torch.rand(2, len(seconds), generator=generator, dtype=torch.float64)
    start = u[0] * (seconds - length[0])
    slack = min(length) / 2
    low = (start - length[1] + slack).clamp(min=0)
    high = torch.minimum(start + length[0] - slack, seconds - length[1])
    return [start, low + u[1] * (high - low).clamp(min=0)]


def clips_at(windows: Windows, index: Tensor, start_s: Tensor, fps: float | Tensor, frames: int = CLIP_FRAMES) -> Tensor:
    """Clips [n, frames, 22, 3] of `spline_windows` from start_s [n] on at fps, a number or [n]. A window stands still beyond its ends."""
    rate = torch.as_tensor(fps, dtype=torch.float64).reshape(-1, 1)
    steps = torch.arange(frames, dtype=torch.float64) / rate
    last = windows.count[index][:, None] - 1
    position = torch.minimum(((start_s[:, None] + steps) * windows.fps[index][:, None]).clamp(min=0), last.double())
    base = torch.minimum(position.floor().long(), last - 1)
    u = (position - base).float()[..., None, None]
    taps = []
    for k in (-1, 0, 1, 2):
        frame = (base + k).abs()
        frame = torch.where(frame > last, 2 * last - frame, frame)  # mirrored, as the coefficients were made
        taps.append(windows.frames[windows.offset[index][:, None] + frame])
    weights = ((1 - u) ** 3, 4 - 6 * u**2 + 3 * u**3, 1 + 3 * u + 3 * u**2 - 3 * u**3, u**3)
    joints = torch.stack([weight * tap for weight, tap in zip(weights, taps, strict=True)]).sum(0) / 6
    flipped = joints[:, :, torch.from_numpy(LEFT_RIGHT22)] * torch.tensor([-1.0, 1.0, 1.0])
    return torch.where(windows.mirrored[index][:, None, None, None], flipped, joints)
