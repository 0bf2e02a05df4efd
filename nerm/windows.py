"""Training items in memory: poses of many windows, clips drawn from them at many rates. It knows datasets and motion, no field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nerm.cli import choose
from nerm.data.dataset import Dataset, Item, mirror_images
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, Skeleton, resample
from nerm.settings import Stage1Config


@dataclass
class Windows:
    """Poses of many windows in memory, each turned to face +z above the origin. frames: [N, J, 3]; the rest is per window."""

    frames: Tensor
    offset: Tensor
    count: Tensor
    fps: Tensor
    seconds: Tensor
    mirrored: Tensor
    skeleton: Skeleton = SMPL22

    def __len__(self) -> int:
        return len(self.offset)


def load_windows(motions: Sequence[Motion], mirror: bool = False) -> Windows:
    """Gather motions (canonical already) in memory; with mirror, each is added a second time with left and right exchanged."""
    counts = torch.tensor([len(m) for m in motions])
    offset = torch.cumsum(counts, 0) - counts
    fps = torch.tensor([m.fps for m in motions], dtype=torch.float64)
    frames = torch.from_numpy(np.concatenate([m.joints for m in motions]).astype(np.float32))
    twice = 2 if mirror else 1
    return Windows(
        frames,
        offset.repeat(twice),
        counts.repeat(twice),
        fps.repeat(twice),
        ((counts - 1) / fps).repeat(twice),
        torch.arange(twice * len(motions)) >= len(motions),
        motions[0].skeleton,
    )


def training_windows(dataset: Dataset, split: str, config: Stage1Config) -> tuple[list[Item], Windows]:
    """The items of a split and their motions as training data; at the fixed rate if that is what is trained.

    Items that are mirror images of others are left out: mirroring costs NeRM nothing.
    """
    mirrored = mirror_images(dataset)
    items = [item for item in dataset.items(split) if item.id not in mirrored]
    if not items:
        raise InputError(f"dataset '{dataset.name}' has no item in split '{split}'; nothing can be learned from it")
    motions = [dataset.motion(item) for item in items]
    if choose("training_rate", config.training_rate, ["native", "fixed"]) == "fixed":
        fps = config.fixed_fps or dataset.base_fps
        motions = [resample(motion, fps, "cubic") for motion in motions]
    return items, load_windows(motions)


def training_recordings(dataset: Dataset, split: str, training_rate: str, fixed_fps: float | None) -> tuple[list[Item], list[Motion]]:
    """The items of a split and their motions: at their own rates, or with training_rate=fixed at one (None: the dataset's base_fps)."""
    items, windows = training_windows(dataset, split, Stage1Config(training_rate=training_rate, fixed_fps=fixed_fps))
    return items, [window_motion(windows, index) for index in range(len(windows))]


def draw_windows(windows: Windows, count: int, generator: torch.Generator) -> Tensor:
    """[count] windows, long ones in proportion to their length."""
    return torch.multinomial(windows.seconds.float() + 0.5, count, replacement=True, generator=generator)


class Clips(NamedTuple):
    """Clips of recordings.  windows: [B] indices of their windows.  times: [B, m] s in the window.  seconds: [B] durations of the windows.

    fps: [B] of the clip.  joints: [B, m, J, 3] metres.
    """

    windows: Tensor
    times: Tensor
    seconds: Tensor
    fps: Tensor
    joints: Tensor


def draw_clips(windows: Windows, index: Tensor, frames: int, stride: Tensor, generator: torch.Generator) -> Clips:
    """One clip of `frames` frames per window of index [B], every stride-th [B] of the window's frames, at a random place.

    Shorter windows are seen at a smaller stride, or repeat their last frames' times.
    """
    fps, count = windows.fps[index], windows.count[index]
    stride = torch.minimum(stride, torch.clamp((count - 1) // (frames - 1), min=1))
    reach = stride * (frames - 1)
    start = (torch.rand(len(index), generator=generator) * (torch.clamp(count - 1 - reach, min=0) + 1)).long()
    frame = torch.minimum(start[:, None] + stride[:, None] * torch.arange(frames), count[:, None] - 1)
    joints = windows.frames[windows.offset[index][:, None] + frame]
    flipped = joints[:, :, torch.from_numpy(windows.skeleton.left_right)] * torch.tensor([-1.0, 1.0, 1.0])
    joints = torch.where(windows.mirrored[index][:, None, None, None], flipped, joints)
    times = frame / fps[:, None]
    return Clips(index, times, windows.seconds[index], fps / stride, joints)


def many_rates(fps: Tensor, generator: torch.Generator, lowest_only: bool = False) -> Tensor:
    """Strides [B] for windows at fps [B]: half of them at the native rate, the others at native / k, at least 20 fps."""
    slowest = torch.clamp((fps / 20 + 1e-6).floor(), min=1)
    uniform = torch.rand(len(fps), generator=generator, dtype=torch.float64)
    stride = torch.where(uniform < 0.5, torch.ones_like(fps), 1 + ((uniform - 0.5) * 2 * slowest).floor())
    return (slowest if lowest_only else stride).long()


def window_motion(windows: Windows, index: int) -> Motion:
    """One window."""
    start, count = int(windows.offset[index]), int(windows.count[index])
    motion = Motion(windows.frames[start : start + count].numpy(), float(windows.fps[index]), windows.skeleton)
    return motion.mirrored() if windows.mirrored[index] else motion
