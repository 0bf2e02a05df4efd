"""Brings a motion to another frame rate: by NeRM, or by interpolation for comparison.

    python -m nerm.upsample in=clip.bvh fps=120 out=smooth.bvh method=nerm

method=nerm fits one code to every window of at most 10 s, reads the field at the new times, cross-fades neighbouring windows over 1 s
and returns to the person's own place, heading and proportions. method=slerp and method=cubic interpolate the frames as they are.
This module knows files, fits and the resampler, but no corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from nerm.cli import MISSING, choose, parse, progress, run
from nerm.errors import InputError
from nerm.help import command
from nerm.motion import SMPL22, Motion, frame_times, resample
from nerm.motion.motion import check_fps
from nerm.motion.resample import Method, slerp
from nerm.motion.retarget import from_corpus, to_corpus
from nerm.motion.skeleton import bone_directions, heading, joints_from_directions, yaw_matrix

if TYPE_CHECKING:
    from torch import Tensor

    from nerm.field import Field
    from nerm.fitting import FitError

USAGE = "Usage: python -m nerm.upsample in=clip.bvh fps=120 out=smooth.bvh method=nerm|slerp|cubic keep=detail|nothing"
METHODS = ("nerm", "slerp", "cubic")
KEEP = ("detail", "nothing")
OVERLAP_S = 1.0
_LENGTHS_VARY_M = 1e-3
_SAME_S = 1e-6


@dataclass
class UpsampleConfig:
    """Keys of the command.

    in: the motion file to read: .bvh, .npz or .npy.
    out: the motion file to write: .bvh, .npz, .npy, .gif, .mp4 or .html.
    fps: the rate wanted.
    method: nerm (fit and field), slerp or cubic (interpolation).
    keep: detail adds the interpolated error of the fit, so that the input's frames stay as they are (see `with_detail`);
    nothing is the fit alone, which is off by some tens of mm.
    in_fps: rate of a .npy, which carries none.
    metres_per_unit: of a .bvh; guessed if left out.
    model: name or path of NeRM's weights.
    steps: of the fit; left out, as many as it needs by default.
    seed: of the fit.
    """

    in_: str = MISSING
    out: str = MISSING
    fps: float = MISSING
    method: str = "nerm"
    keep: str = "detail"
    in_fps: float | None = None
    metres_per_unit: float | None = None
    model: str = "nerm"
    steps: int | None = None
    seed: int = 0


@command(UpsampleConfig)
def main(arguments: Sequence[str]) -> None:
    from nerm.motion.files import check_writable, load_motion, save_motion

    config = parse(UpsampleConfig, arguments, USAGE)
    check_fps(config.fps)
    choose("method", config.method, METHODS)
    choose("keep", config.keep, KEEP)
    out = check_writable(config.out)
    motion = load_motion(config.in_, config.in_fps, config.metres_per_unit)
    motion = with_constant_lengths(motion)
    if config.method == "nerm":
        from nerm.model import load_nerm

        field = load_nerm(config.model).field
        result = upsample(field, motion, config.fps, config.keep, config.steps, config.seed)
    else:
        result = interpolate(motion, config.fps, config.method)
    save_motion(result, out)
    print(f"{out}: {result.seconds:.3f} s at {result.fps:g} fps from {motion.fps:g} fps by {config.method}")


def upsample(field: Field, motion: Motion, fps: float, keep: str = "detail", steps: int | None = None, seed: int = 0) -> Motion:
    """A motion of the 22 joints, of any length, read out of the field at `fps`, in its own place, heading and (constant) bone lengths.

    keep: see `UpsampleConfig`. Says on stderr how well the field fits. Raises InputError on another skeleton or a wrong rate.
    """
    check_fps(fps)
    choose("keep", keep, KEEP)
    if motion.skeleton.names != SMPL22.names:
        raise InputError(
            f"motion on skeleton '{motion.skeleton.name}' of {len(motion.skeleton)} joints; NeRM knows the 22 joints of '{SMPL22.name}': "
            "use method=slerp or method=cubic"
        )
    joints, proportions = to_corpus(motion.joints.astype(np.float64))
    fitted = fit_motion(field, Motion(joints, motion.fps), steps, seed)
    error = fitted.error
    text = f"fitted {len(fitted.windows)} window{'s' * (len(fitted.windows) > 1)}: {error.mre_mm:.0f} mm per joint (root subtracted)"
    text += f", root path {error.root_mm:.0f} mm"
    if keep == "detail":
        text += f"; the input's frames are kept, and {fitted.credit:.0%} of what the field adds between them"
    progress(text)
    times = frame_times(motion.seconds, fps)
    root, directions = fitted.with_detail(times) if keep == "detail" else fitted.at(times)
    return Motion(from_corpus(root, directions, proportions).astype(motion.joints.dtype), fps, motion.skeleton)


def interpolate(motion: Motion, fps: float, method: str) -> Motion:
    """By the project's resampler, then on the motion's own (constant) bone lengths: cubic alone would stretch them."""
    return with_constant_lengths(resample(motion, fps, cast(Method, choose("method", method, METHODS[1:]))), _lengths(motion))


def with_constant_lengths(motion: Motion, lengths: NDArray | None = None) -> Motion:
    """Bone directions and root kept, every bone at one length [J] (its median where not given); a large change is said on stderr."""
    constant = _lengths(motion) if lengths is None else lengths
    directions = bone_directions(motion.joints.astype(np.float64), motion.skeleton)
    joints = joints_from_directions(motion.root.astype(np.float64), directions, motion.skeleton, constant)
    moved = float(np.linalg.norm(joints - motion.joints, axis=-1).max())
    if lengths is None and moved > _LENGTHS_VARY_M:
        progress(f"the bones of the input change their lengths; held constant, joints move by up to {1000 * moved:.0f} mm")
    return Motion(joints.astype(motion.joints.dtype), motion.fps, motion.skeleton)


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
    """A motion on the corpus skeleton as a function of time: windows of the field, cross-faded, in their place."""

    field: Field
    motion: Motion
    windows: list[Window]

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
        original = self.motion.root, bone_directions(self.motion.joints, SMPL22)
        root, directions = (
            self.credit * f + _cubic(self.motion, x - self.credit * sample, times)
            for f, x, sample in zip(self.at(times), original, self.samples, strict=True)
        )
        return root, directions / np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), 1e-9)

    @cached_property
    def samples(self) -> tuple[NDArray, NDArray]:
        """The fit at the motion's own frames."""
        return self.at(self.motion.times)

    @cached_property
    def credit(self) -> float:
        """The weight of the field between frames, 0 to 1: the regression of the motion's accelerations on the fit's.

        Second differences at the motion's own rate weigh the highest frequencies that can be compared. A field that fits badly there is
        not to be trusted above them, and its noise is left out.
        """
        fitted_acceleration = np.diff(joints_from_directions(*self.samples, SMPL22), n=2, axis=0)
        truth = np.diff(self.motion.joints, n=2, axis=0)
        return float(np.clip(np.sum(fitted_acceleration * truth) / max(np.sum(fitted_acceleration**2), 1e-12), 0, 1))

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
    """Codes for a motion [T, 22, 3] on the corpus skeleton: equal windows of at most `longest_s` that overlap by OVERLAP_S."""
    from nerm.fitting import STEPS, fit_codes

    spans = cut_overlapping(len(motion), motion.fps, field.config.longest_s)
    parts = [motion[start:end] for start, end in spans]
    codes = fit_codes(field, [part.canonical() for part in parts], steps=STEPS if steps is None else steps, seed=seed)
    windows = []
    for code, part, (start, _) in zip(codes, parts, spans, strict=True):
        first = part.joints[0].astype(np.float64)
        windows.append(Window(code, start / motion.fps, part.seconds, float(heading(first)), np.array([first[0, 0], 0.0, first[0, 2]])))
    return FittedMotion(field, motion, windows)


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


def _cubic(motion: Motion, values: NDArray, times: NDArray) -> NDArray:
    """values [T, ...] at the motion's frames -> [n, ...] at times s."""
    from scipy.interpolate import CubicSpline

    if len(motion) < 3:
        share = (times * motion.fps).reshape(-1, *[1] * (values.ndim - 1))
        return values[0] + share * (values[-1] - values[0])
    return CubicSpline(np.arange(len(motion)), values, bc_type="natural")(times * motion.fps)


def _lengths(motion: Motion) -> NDArray:
    bones = np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, motion.skeleton.parents[1:]], axis=-1).astype(np.float64)
    return np.concatenate([[0.0], np.median(bones, axis=0)])


if __name__ == "__main__":
    run(main)
