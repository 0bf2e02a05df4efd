"""THE temporal resampler (version 1). Everything in the project that changes a frame rate goes through it.

Resampling is part of a metric: it is defined here mathematically and does not depend on a library's defaults.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.kinematics import lowpass
from nerm.motion.motion import Motion, check_fps
from nerm.motion.skeleton import bone_directions, joints_from_directions

VERSION = 1
"""Part of the key of every stored figure."""
Method = Literal["linear", "cubic", "slerp"]
Mode = Literal["sample", "antialias"]
NYQUIST_SHARE = 0.45
"""The low-pass of `antialias` passes up to this share of the new rate."""


def frame_count(seconds: float, fps: float) -> int:
    """n = floor(seconds * fps + 1e-6) + 1: frames at k / fps from 0 to at most `seconds`."""
    return int(np.floor(seconds * fps + 1e-6)) + 1


def frame_times(seconds: float, fps: float) -> NDArray[np.float64]:
    """[n] seconds, k / fps."""
    return np.arange(frame_count(seconds, fps)) / fps


def resample(motion: Motion, fps: float, method: Method = "slerp", mode: Mode = "sample") -> Motion:
    """The motion at another frame rate; frames at coinciding times are the motion's own.

    method: linear | cubic (natural spline) | slerp (bone directions along the great circle, bone lengths and root linear).
    mode: `sample` takes point values; `antialias` removes what the new rate cannot hold first (only when going down).
    """
    fps = check_fps(fps)
    if mode not in get_args(Mode):
        raise InputError(f"mode={mode}; expected one of {', '.join(get_args(Mode))}")
    if fps == motion.fps:
        return motion
    if mode == "antialias" and fps < motion.fps:
        motion = Motion(lowpass(motion.joints, motion.fps, NYQUIST_SHARE * fps), motion.fps, motion.skeleton)
    return at_times(motion, frame_times(motion.seconds, fps), fps, method)


def at_times(motion: Motion, times: NDArray[np.float64], fps: float, method: Method = "slerp") -> Motion:
    """The motion at times [n] (seconds, inside the motion), labelled with `fps`."""
    if method not in get_args(Method):
        raise InputError(f"method={method}; expected one of {', '.join(get_args(Method))}")
    position = times * motion.fps
    if len(times) == 0 or position[0] < -1e-6 or position[-1] > len(motion) - 1 + 1e-6:
        raise InputError(f"times from {times[:1]} to {times[-1:]} s; the motion runs from 0 to {motion.seconds:.4f} s")
    nearest = np.round(position)
    position = np.clip(np.where(np.abs(position - nearest) < 1e-6, nearest, position), 0, len(motion) - 1)
    low = np.minimum(position.astype(int), max(len(motion) - 2, 0))
    share = (position - low)[:, None, None]
    if method == "cubic" and len(motion) >= 3:
        from scipy.interpolate import CubicSpline

        joints = CubicSpline(np.arange(len(motion)), motion.joints.astype(np.float64), bc_type="natural")(position)
    else:
        high = np.minimum(low + 1, len(motion) - 1)
        first, second = motion.joints[low].astype(np.float64), motion.joints[high].astype(np.float64)
        joints = _slerp_pose(first, second, share, motion) if method == "slerp" else first + share * (second - first)
    exact = position == np.round(position)
    joints[exact] = motion.joints[position[exact].astype(int)]
    return Motion(joints.astype(motion.joints.dtype), fps, motion.skeleton)


def at_rate(motion: Motion, seconds: float, fps: float, method: Method = "cubic") -> Motion:
    """Point values of a motion at k / fps up to `seconds`, or to its end; at its own rate the frames are unchanged."""
    return at_times(motion, frame_times(min(seconds, motion.seconds), fps), fps, method)


def _slerp_pose(first: NDArray, second: NDArray, share: NDArray, motion: Motion) -> NDArray:
    """Between two poses [n, J, 3]: directions on the great circle, lengths and root linear."""
    parents = motion.skeleton.parents[1:]
    directions = slerp(bone_directions(first, motion.skeleton), bone_directions(second, motion.skeleton), share)
    length1 = np.linalg.norm(first[:, 1:] - first[:, parents], axis=-1)
    length2 = np.linalg.norm(second[:, 1:] - second[:, parents], axis=-1)
    lengths = np.concatenate([np.zeros((len(first), 1)), length1 + share[..., 0] * (length2 - length1)], axis=1)
    root = first[:, 0] + share[:, 0] * (second[:, 0] - first[:, 0])
    return joints_from_directions(root, directions, motion.skeleton, lengths)


def slerp(first: NDArray, second: NDArray, share: NDArray) -> NDArray:
    """Spherical linear interpolation of unit vectors [..., 3]; opposite vectors fall back to the chord."""
    cosine = np.clip(np.sum(first * second, axis=-1, keepdims=True), -1.0, 1.0)
    angle = np.arccos(cosine)
    sine = np.sin(angle)
    small = sine < 1e-6
    safe = np.where(small, 1.0, sine)
    weight1 = np.where(small, 1 - share, np.sin((1 - share) * angle) / safe)
    weight2 = np.where(small, share, np.sin(share * angle) / safe)
    mixed = weight1 * first + weight2 * second
    return mixed / np.maximum(np.linalg.norm(mixed, axis=-1, keepdims=True), 1e-9)
