"""From generated HumanML3D features to a motion at any rate, and the statistics that official checkpoints leave to other files.

It knows the format and the resampler; it knows no network.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from nerm.cli import choose
from nerm.errors import InputError
from nerm.motion import Motion, frame_count
from nerm.motion.features import FEATURES_263, append_last_pose, decode_humanml263
from nerm.motion.motion import check_fps
from nerm.motion.resample import Method, at_times, frame_times

FPS = FEATURES_263.fps


class FeatureReadout:
    """Normalised features [n, 263] -> Motion of 22 joints. mean, std: [263].

    upsampling: how the resampler fills in frames.  longest: feature rows that the network can make; None for no limit.
    """

    def __init__(self, mean: Tensor | ArrayLike, std: Tensor | ArrayLike, upsampling: str = "slerp", longest: int | None = None) -> None:
        self.mean, self.std = _statistic(mean, "mean"), _statistic(std, "std")
        self.method: Method = choose("upsampling", upsampling, get_args(Method))  # type: ignore[assignment]
        self.longest = longest

    def frames(self, seconds: float) -> int:
        """Feature rows to generate: frames at 20 fps from 0 to at most `seconds`. No time, or more than `longest`, is an InputError."""
        if not (isinstance(seconds, int | float) and math.isfinite(seconds) and seconds > 0):
            raise InputError(f"seconds={seconds}; expected a positive number of seconds")
        count = frame_count(seconds, FPS)
        if self.longest is not None and count > self.longest:
            most = (self.longest - 1) / FPS
            raise InputError(f"seconds={seconds:g}; this system makes at most {most:g} s ({self.longest} frames at {FPS:g} fps)")
        return count

    def motion(self, features: Tensor | NDArray, seconds: float, fps: float) -> Motion:
        """The motion of the first frames(seconds) rows, at `fps`: exactly frame_count(seconds, fps) frames at k / fps.

        The rows end up to a frame before `seconds`. Where the asked-for rate has a frame later than that, the pose after the last row is
        taken from the velocities of that row.
        """
        fps, count = check_fps(fps), self.frames(seconds)
        x = np.asarray(torch.as_tensor(features).detach().float().cpu(), dtype=np.float64)
        if x.ndim != 2 or x.shape[1] != FEATURES_263.dims or len(x) < count:
            raise InputError(f"features of shape {list(x.shape)}; {seconds:g} s need at least {[count, FEATURES_263.dims]}")
        x = x[:count] * self.std + self.mean
        joints = decode_humanml263(x)
        times = frame_times(seconds, fps)
        if times[-1] > (count - 1) / FPS + 1e-9:
            joints = append_last_pose(joints, x)
        motion = Motion(joints.astype(np.float32), FPS)
        if fps == FPS:
            return motion
        # Frame k of the format is at k / 20 s; both rates start at 0.
        return at_times(motion, times, fps, self.method)


def load_statistics(checkpoint: str | Path, dims: int = FEATURES_263.dims) -> tuple[Tensor, Tensor]:
    """(mean [dims], std [dims]) from the mean.npy and std.npy (or Mean.npy, Std.npy) that belong to an official checkpoint.

    Looked for beside the checkpoint, in its parent folder, and in a folder `meta` of either. Official checkpoints do not hold them.
    """
    beside = Path(checkpoint).resolve().parent
    for folder in (beside, beside / "meta", beside.parent, beside.parent / "meta"):
        for names in (("mean.npy", "std.npy"), ("Mean.npy", "Std.npy")):
            if all((folder / name).is_file() for name in names):
                mean, std = (torch.from_numpy(_statistic(_array(folder / name), str(folder / name), dims)).float() for name in names)
                return mean, std
    raise InputError(
        f"the checkpoint {checkpoint} comes without the statistics of its features; put the mean.npy and std.npy of its training data "
        f"({dims} numbers each, published with the data set) into {beside}"
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
