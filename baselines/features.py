"""What systems of a fixed rate share when they generate: the sentence or class of a condition, noise from seeds, and motion from features.

It knows the published formats, the resampler and labels of datasets; it knows no network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nerm.cli import choose, suggest
from nerm.data.actions.labels import HUMANACT12, UESTC
from nerm.data.dataset import sentence_of
from nerm.errors import InputError, MissingFile
from nerm.generator import Condition
from nerm.motion import SMPL22, Motion, Skeleton, frame_count
from nerm.motion.actions import FORMAT as ACTION_FORMAT
from nerm.motion.actions import ROWS as ACTION_ROWS
from nerm.motion.actions import decode_actions25, frames_of_actions25
from nerm.motion.features import FEATURES_263, append_last_pose, decode, format_of_dims
from nerm.motion.motion import Features, check_fps
from nerm.motion.resample import Method, at_times, frame_times
from nerm.motion.smpl import joints_from_poses

FPS = FEATURES_263.fps
ACTIONS = {len(names): names for names in (HUMANACT12, UESTC)}
"""Number of classes of an action model -> the names of its actions."""


def sentence_for(condition: Condition, dataset: str) -> str | None:
    """The sentence for a system that reads only sentences: the text, or the first training sentence of the label, or None."""
    return condition.text if condition.label is None else sentence_of(condition.label, dataset)


def action_for(condition: Condition, classes: int) -> int | None:
    """The class number of a label: the name of an action (of HumanAct12 or UESTC) or a number. None for no condition."""
    names = ACTIONS.get(classes, ())
    if condition.text is not None:
        raise InputError(f"text {condition.text!r}; this model takes action labels: give one such as '{(names or ('0', '1'))[1]}'")
    label = condition.label
    if label is None:
        return None
    if label in names:
        return names.index(label)
    if label.isdecimal() and int(label) < classes:
        return int(label)
    raise InputError(f"label '{label}' is no action of this model; {suggest(label, [*names, f'0 to {classes - 1}'])}")


class Noise:
    """Normal noise of a batch, one draw after the other. Every sample has a generator of its own on the CPU, with its own seed.

    So a sample does not depend on what else is in the batch, nor on the device.
    """

    def __init__(self, seeds: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> None:
        """shapes: the shape of a draw, for each sample."""
        self._generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self._shapes = list(shapes)

    def draw(self) -> list[Tensor]:
        """The next draw of every sample."""
        return [torch.randn(shape, generator=g) for shape, g in zip(self._shapes, self._generators, strict=True)]


def valid_frames(lengths: Tensor, frames: int) -> Tensor:
    """[B] lengths -> [B, frames] bool, True up to the length."""
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def whole_frames(seconds: float, longest: int | None, fps: float = FPS, beyond: bool = False) -> int:
    """Frames at fps from 0 to at most `seconds`, or (beyond) to the first at or after it. Raises InputError on wrong seconds."""
    if not (isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0):
        raise InputError(f"seconds={seconds}; expected a positive number of seconds")
    count = math.ceil(seconds * fps - 1e-6) + 1 if beyond else frame_count(seconds, fps)
    if longest is not None and count > longest:
        most = (longest - 1) / fps
        raise InputError(f"seconds={seconds:g}; this system makes at most {most:g} s ({longest} frames at {fps:g} fps)")
    return count


class Readout(Protocol):
    """What turns the features that a network made into a motion."""

    def frames(self, seconds: float) -> int:
        """Number of frames to generate for a motion of `seconds`."""
        ...

    def motion(self, features: Tensor, seconds: float, fps: float) -> Motion:
        """frame_count(seconds, fps) frames at k / fps."""
        ...


class FeatureReadout:
    """Normalised features [n, D] -> Motion. mean, std: [D], 263 numbers for the 22 joints at 20 fps, 251 for the 21 of KIT-ML at 12.5.

    upsampling: how the resampler fills in frames.  longest: feature frames that the network can make; None for no limit.
    """

    def __init__(self, mean: Tensor | ArrayLike, std: Tensor | ArrayLike, upsampling: str = "slerp", longest: int | None = None) -> None:
        self.format = format_of_dims(int(np.shape(mean)[-1]))
        self.mean, self.std = _statistic(mean, "mean", self.format.dims), _statistic(std, "std", self.format.dims)
        self.method: Method = choose("upsampling", upsampling, get_args(Method))  # type: ignore[assignment]
        self.longest = longest

    def frames(self, seconds: float) -> int:
        """Feature frames to generate, at the format's rate from 0 to at most `seconds`. InputError if not positive or above `longest`."""
        return whole_frames(seconds, self.longest, self.format.fps)

    def motion(self, features: Tensor | NDArray, seconds: float, fps: float) -> Motion:
        """The motion of the first frames(seconds) feature frames, at `fps`: exactly frame_count(seconds, fps) frames at k / fps.

        At its own rate the motion carries its features. They end up to one frame before `seconds`. If `fps` has a frame after that
        end, one more pose is made from the velocities of the last one.
        """
        fps, count, format = check_fps(fps), self.frames(seconds), self.format
        x = np.asarray(torch.as_tensor(features).detach().float().cpu(), dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != format.dims or len(x) < count:
            raise InputError(f"features of shape {list(x.shape)}; {seconds:g} s need at least {[count, format.dims]}")
        x = x[:count] * self.std + self.mean
        joints, unit, skeleton = decode(x, format), format.metres_per_unit, self._skeleton
        if fps == format.fps:
            return Motion((joints * unit).astype(np.float32), fps, skeleton, features=Features(format.name, x))
        times = frame_times(seconds, fps)
        if times[-1] > (count - 1) / format.fps + 1e-9:
            joints = append_last_pose(joints, x, format)
        # Frame k of the format is at k / format.fps s; both rates start at 0.
        return at_times(Motion((joints * unit).astype(np.float32), format.fps, skeleton), times, fps, self.method)

    @cached_property
    def _skeleton(self) -> Skeleton:
        """That of the format; of another than the 22 joints at the lengths of the mean pose, which are about those of the data."""
        known = self.format.skeleton
        if known is SMPL22:
            return known
        return known.with_lengths_of(decode(self.mean[None], self.format)[0] * self.format.metres_per_unit, known.name)


class ActionReadout:
    """Decoded action features [n, 150] -> Motion: rotations and translation of the 24 SMPL joints, of which 22 are kept.

    The 150 numbers of a frame are the 25 x 6 format component by component. The action data are upside down (y down, camera axes),
    so a motion is turned by half a turn about x, put on the floor and turned to face +z.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def frames(self, seconds: float) -> int:
        """Frames to decode: at 20 fps, up to the first at or after `seconds`."""
        return whole_frames(seconds, self.longest, beyond=True)

    def motion(self, features: Tensor, seconds: float, fps: float) -> Motion:
        """frame_count(seconds, fps) frames at k / fps. At 20 fps the motion carries its features, which are not turned."""
        x = features.detach().float().cpu().numpy().astype(np.float64).reshape(len(features), 6, ACTION_ROWS).transpose(2, 1, 0)
        rotations, translation = decode_actions25(x)
        motion = Motion(joints_from_poses(rotations, translation).astype(np.float32), FPS).canonical()
        resampled = motion if fps == FPS else at_times(motion, frame_times(seconds, fps), fps)
        motion = resampled[: frame_count(seconds, fps)]
        return replace(motion, features=Features(ACTION_FORMAT, frames_of_actions25(x)[: len(motion)])) if fps == FPS else motion


def load_statistics(checkpoint: str | Path, dims: int = FEATURES_263.dims) -> tuple[Tensor, Tensor]:
    """(mean [dims], std [dims]) from the mean.npy and std.npy (or Mean.npy, Std.npy) that belong to an official checkpoint.

    Looked for beside the checkpoint, in its parent folder, and in a folder `meta` of either. Official checkpoints do not hold them.
    """
    home = Path(checkpoint).resolve().parent
    for folder in (home, home / "meta", home.parent, home.parent / "meta"):
        for names in (("mean.npy", "std.npy"), ("Mean.npy", "Std.npy")):
            if all((folder / name).is_file() for name in names):
                mean, std = (torch.from_numpy(_statistic(_array(folder / name), str(folder / name), dims)).float() for name in names)
                return mean, std
    raise MissingFile(
        f"the checkpoint {checkpoint} comes without the statistics of its features; put the mean.npy and std.npy of its training data "
        f"({dims} numbers each, published with the data set) into {home}"
    )


def _array(path: Path) -> NDArray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is no array of numbers ({str(error).splitlines()[0][:80]}); put the published file there") from None


def _statistic(values: Tensor | ArrayLike, name: str, dims: int = FEATURES_263.dims) -> NDArray[np.float64]:
    array = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
    if array.shape != (dims,) or not np.isfinite(array).all():
        raise InputError(f"{name} of shape {list(array.shape)}; expected {dims} finite numbers")
    return array
