"""The animation of any rig at another frame rate. It knows channels, no file text.

Upwards the frames of the input stay; downwards what the new rate cannot hold is removed first (the resampler's mode `antialias`).
At a jump that no motion makes, such as the seam of two takes, the curves (`nerm.motion.rig_curves`) are broken.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from nerm.cli import choose
from nerm.motion.bvh_parsing import BvhFile
from nerm.motion.euler import unwrapped, without_flips
from nerm.motion.motion import check_fps
from nerm.motion.rig_curves import RigCurves, RigMethod, Space, channels_of, is_ball

Array = NDArray[np.float64]
_JUMP_SHARE, _JUMP_SIZE = 12.0, 0.03
"""A jump moves the joints 12 times as far as the frames around it, and by 3 % of the figure's size."""
_AROUND = 4


def resample_rig(file: BvhFile, fps: float, method: RigMethod = "cubic", space: Space | None = None) -> BvhFile:
    """The same rig with frames at k / fps. Upwards the input's frames are kept (angles may differ by whole turns, or by the other
    triple of the same rotation, where the input jumps); downwards it is low-passed first. space: see above; None lets the clip decide."""
    fps = check_fps(fps)
    choose("method", method, get_args(RigMethod))
    if fps == file.fps:
        return file
    from nerm.motion.resample import frame_times

    frames = continuous(file)
    position = frame_times((len(frames) - 1) / file.fps, fps) * file.fps
    whole = np.round(position)
    position = np.clip(np.where(np.abs(position - whole) < 1e-6, whole, position), 0, len(frames) - 1)
    values = np.empty((len(position), frames.shape[1]))
    starts = [0, *(cut + 1 for cut in jumps(file)), len(frames)]
    for start, end in pairwise(starts):
        inside = (position >= start - 0.5) & (position < end - 0.5)
        if inside.any():
            curves = RigCurves(file.nodes, frames[start:end], file.fps, fps, method, space)
            values[inside] = curves.at(np.clip(position[inside] - start, 0, end - start - 1))
    if fps > file.fps:
        exact = np.flatnonzero(position == np.round(position))
        values[exact] = _kept(file, frames[position[exact].astype(int)], values[exact])
    return replace(file, values=values, fps=fps)


def continuous(file: BvhFile) -> Array:
    """The values [T, channels] with angles that do not jump."""
    values = np.array(file.values, dtype=np.float64)
    for channels in channels_of(file.nodes):
        columns = list(channels.rotations)
        if columns:
            angles = values[:, columns]
            values[:, columns] = without_flips(angles, channels.axes) if is_ball(channels, values) else unwrapped(angles, trusted=True)
    return values


def jumps(file: BvhFile) -> list[int]:
    """Frames after which the figure jumps: its joints move far more than just before and after, and than its size allows."""
    return np.flatnonzero(_haste(file) > _JUMP_SHARE).tolist()


def _haste(file: BvhFile) -> Array:
    """[T - 1] by how much the joints move further from a frame to the next than in the frames around; 0 for small steps."""
    steps = np.zeros(max(len(file.values) - 1, 0))
    if len(steps) < 2:
        return steps
    points = RigCurves(file.nodes, file.values, 1.0, 1.0, "linear").points(file.values)
    size = np.linalg.norm(np.ptp(points[:, :: max(points.shape[1] // 50, 1)], axis=0), axis=-1).max()
    steps = np.linalg.norm(np.diff(points, axis=1), axis=-1).mean(axis=0)
    near = [np.concatenate([steps[max(k - _AROUND, 0) : k], steps[k + 1 : k + 1 + _AROUND]]).max() for k in range(len(steps))]
    return np.where(steps > _JUMP_SIZE * size, steps / np.maximum(near, 1e-9 * size), 0.0)


def _kept(file: BvhFile, frames: Array, values: Array) -> Array:
    """The input's frames, in the form of their angles that the curve around them has."""
    kept = np.array(frames)
    for channels in channels_of(file.nodes):
        columns = list(channels.rotations)
        if len(columns) == 3 and len(set(channels.axes)) == 3:
            other = np.abs(kept[:, columns] - values[:, columns]).max(axis=1) > 1e-6
            kept[np.ix_(other, columns)] = values[np.ix_(other, columns)]
    return kept
