"""A motion of the 22 joints as NeRM's field knows it: codes fitted to its windows, read out at any time. It knows no file and no corpus.

One code is fitted to every window of at most 10 s; neighbouring windows are cross-faded over 1 s, in place and heading of the person.
What the field adds to a cubic between frames counts as far as it was right where it could be checked: at frames that were held out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.resample import slerp
from nerm.motion.skeleton import bone_directions, heading, joints_from_directions, yaw_matrix

if TYPE_CHECKING:
    from torch import Tensor

    from nerm.field import Field
    from nerm.fitting import FitError

OVERLAP_S = 1.0
_SAME_S = 1e-6
_LEAST_FRAMES = 9  # fewer hold out too little to say anything


@dataclass(frozen=True, eq=False)
class Window:
    """A code and its place: the frames [start, end) of the motion, moved by `offset` [3] after a turn by `yaw`."""

    code: Tensor
    start_s: float
    seconds: float
    yaw: float
    offset: NDArray


@dataclass(frozen=True, eq=False)
class FittedMotion:
    """A motion on the corpus skeleton as a function of time: windows of the field, cross-faded, in their place.

    credit: the weight of the field between the motion's frames, 0 to 1 (see `held_out_credit`).
    """

    field: Field
    motion: Motion
    windows: list[Window]
    credit: float = 0.0

    def at(self, times: NDArray) -> tuple[NDArray, NDArray]:
        """Root [n, 3] and bone directions [n, 21, 3] at times [n] s: neighbouring windows are blended, joints never are."""
        root, directions = np.zeros((len(times), 3)), np.zeros((len(times), len(SMPL22) - 1, 3))
        before_s = 0.0  # where the window before ends
        for window in self.windows:
            end_s = window.start_s + window.seconds
            inside = (times >= window.start_s - _SAME_S) & (times <= end_s + _SAME_S)
            next_root, next_directions = self._read(window, times[inside])
            share = fade(times[inside], window.start_s, before_s)[:, None]
            root[inside] += share * (next_root - root[inside])
            directions[inside] = slerp(directions[inside], next_directions, share[..., None])
            before_s = end_s
        return root, directions

    def with_detail(self, times: NDArray) -> tuple[NDArray, NDArray]:
        """The motion at its own frames; between them a cubic, plus `credit` times the difference of the field from a cubic of its samples.

        Written as x_cubic + credit (f - f_cubic) for root and directions, where every _cubic passes through the motion's frames.
        """
        root, directions = (
            self.credit * f + _cubic(self.motion, x - self.credit * sample, times)
            for f, x, sample in zip(self.at(times), self.original, self.samples, strict=True)
        )
        return root, _unit(directions)

    def without_field(self, times: NDArray) -> tuple[NDArray, NDArray]:
        """The same with a credit of 0: the cubic."""
        root, directions = (_cubic(self.motion, x, times) for x in self.original)
        return root, _unit(directions)

    @property
    def original(self) -> tuple[NDArray, NDArray]:
        """Root and bone directions of the motion's own frames."""
        return self.motion.root, bone_directions(self.motion.joints, SMPL22)

    @cached_property
    def samples(self) -> tuple[NDArray, NDArray]:
        """The fit at the motion's own frames."""
        return self.at(self.motion.times)

    @property
    def error(self) -> FitError:
        """In mm of the corpus skeleton."""
        from nerm.fitting import fit_error

        return fit_error(joints_from_directions(*self.samples, SMPL22), self.motion.joints)

    def _read(self, window: Window, times: NDArray) -> tuple[NDArray, NDArray]:
        """One window at times [n] s of the motion, which lie inside of it up to rounding."""
        import torch

        inside = torch.as_tensor(np.clip(times - window.start_s, 0, window.seconds), device=window.code.device)
        seconds = torch.tensor([window.seconds], dtype=torch.float64, device=window.code.device)
        with torch.no_grad():
            pose = self.field(inside[None], seconds, window.code[None], self.motion.fps)
        turn = yaw_matrix(window.yaw).T
        root, directions = (x[0].double().cpu().numpy() @ turn for x in (pose.root, pose.directions))
        return root + window.offset, directions


def fit_motion(field: Field, motion: Motion, steps: int | None = None, seed: int = 0) -> FittedMotion:
    """Codes for a motion [T, 22, 3] on the corpus skeleton: equal windows of at most `longest_s` that overlap by OVERLAP_S. Credit 0."""
    from nerm.fitting import STEPS, fit_codes

    spans = cut_overlapping(len(motion), motion.fps, field.config.longest_s)
    parts = [motion[start:end] for start, end in spans]
    codes = fit_codes(field, [part.canonical() for part in parts], steps=STEPS if steps is None else steps, seed=seed)
    windows = []
    for code, part, (start, _) in zip(codes, parts, spans, strict=True):
        first = part.joints[0].astype(np.float64)
        windows.append(Window(code, start / motion.fps, part.seconds, float(heading(first)), np.array([first[0, 0], 0.0, first[0, 2]])))
    return FittedMotion(field, motion, windows)


def held_out_credit(field: Field, motion: Motion, steps: int | None = None, seed: int = 0) -> float:
    """How much of what the field adds to a cubic between frames is the motion's own, 0 to 1.

    Codes are fitted to every second frame alone. At the frames left out, what a cubic through the kept ones lacks is regressed on what
    the field adds to a cubic of its own samples. So the field gets no credit for what a cubic already explains, nor for frames that it
    has been shown. At the motion's own rate, twice as high, it can only know less.
    """
    if len(motion) < _LEAST_FRAMES:
        return 0.0
    half = motion[::2]
    fitted = fit_motion(field, half, steps, seed)
    times = motion.times[1 : 2 * len(half) - 2 : 2]
    between, samples, kept = fitted.at(times), fitted.samples, fitted.original
    added = joints_from_directions(between[0] - _cubic(half, samples[0], times), between[1] - _cubic(half, samples[1], times), SMPL22)
    plain = joints_from_directions(_cubic(half, kept[0], times), _cubic(half, kept[1], times), SMPL22)
    lacking = motion.joints[1 : 2 * len(half) - 2 : 2] - plain
    return float(np.clip(np.sum(added * lacking) / max(np.sum(added**2), 1e-12), 0, 1))


def cut_overlapping(frames: int, fps: float, longest_s: float, overlap_s: float = OVERLAP_S) -> list[tuple[int, int]]:
    """Spans [start, end) of frames that cover a motion: the fewest of nearly equal length, each at most longest_s, that share overlap_s.

    The overlap is rounded up to whole frames, and is shorter if a window holds too few frames.
    """
    most = int(np.floor(longest_s * fps + 1e-6))  # steps between frames
    if most < 1:
        raise InputError(f"a motion of {fps:g} fps; windows of {longest_s:g} s need at least {1 / longest_s:g} fps")
    steps = frames - 1
    if steps <= most:
        return [(0, frames)]
    shared = min(int(np.ceil(overlap_s * fps - 1e-6)), most // 3)
    count = int(np.ceil((steps - shared) / (most - shared)))
    starts = np.floor(np.arange(count + 1) * ((steps - shared) / count) + 1e-6).astype(int)
    return [(int(a), int(b) + shared + 1) for a, b in pairwise(starts)]


def fade(times: NDArray, start_s: float, end_s: float) -> NDArray:
    """[n] from 0 at start_s to 1 at end_s with no velocity and no acceleration at either (6 u^5 - 15 u^4 + 10 u^3).

    Without time between the two it is 1.
    """
    u = np.clip((times - start_s) / (end_s - start_s), 0.0, 1.0) if end_s > start_s else np.ones_like(times)
    return u**3 * (10 - 15 * u + 6 * u**2)


def _unit(vectors: NDArray) -> NDArray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _cubic(motion: Motion, values: NDArray, times: NDArray) -> NDArray:
    """values [T, ...] at the motion's frames -> [n, ...] at times s."""
    from scipy.interpolate import CubicSpline

    if len(motion) < 3:
        share = (times * motion.fps).reshape(-1, *[1] * (values.ndim - 1))
        return values[0] + share * (values[-1] - values[0])
    return CubicSpline(np.arange(len(motion)), values, bc_type="natural")(times * motion.fps)
