"""What can be said of a whole motion in plain quantities: the descriptors of its windows, on average.

It knows motions and rates; it knows no network and no dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors.describing import describe
from nerm.motion import Motion, resample

FPS = 20.0
WINDOW = 32
HOP = 8
"""Frames at FPS of a window, and from one window to the next."""
MOST_WINDOWS = 4096
"""Described at a time, so that memory stays small."""


class Whole(NamedTuple):
    """Of n motions. pose: [n, 63] metres, their mean pose.  rest: [n, D] means over windows of all other descriptors.

    tempo: [D] as in `Described`.
    """

    pose: NDArray[np.float32]
    rest: NDArray[np.float32]
    tempo: NDArray[np.float32]


def describe_motions(motions: Sequence[Motion]) -> Whole:
    """Of motions at any rate, of at least 4 frames at 20 fps; one that is shorter than a window is a window."""
    return describe_joints([resample(motion, FPS, "cubic", "sample").joints for motion in motions])


def describe_joints(motions: Sequence[NDArray]) -> Whole:
    """The same of joints [T_k, 22, 3] at 20 fps."""
    by_length: dict[int, list[tuple[int, NDArray]]] = {}
    for number, joints in enumerate(motions):
        length = min(len(joints), WINDOW)
        for start in range(0, len(joints) - length + 1, HOP):
            by_length.setdefault(length, []).append((number, joints[start : start + length]))
    owners: list[int] = []
    parts: list[tuple[NDArray, NDArray]] = []
    tempo = np.zeros(0, np.float32)
    for windows in by_length.values():
        owners += [number for number, _ in windows]
        for start in range(0, len(windows), MOST_WINDOWS):
            described = describe(np.stack([window for _, window in windows[start : start + MOST_WINDOWS]]), FPS)
            parts.append((described.pose.numpy(), described.rest.numpy()))
            tempo = described.tempo.numpy()
    pose, rest = (np.concatenate([part[k] for part in parts]) if parts else np.zeros((0, 0), np.float32) for k in (0, 1))
    of = np.asarray(owners, dtype=np.int64)
    return Whole(_average(pose, of, len(motions)), _average(rest, of, len(motions)), tempo)


def _average(x: NDArray, of: NDArray, count: int) -> NDArray[np.float32]:
    """[count, D] the mean of the rows of x [n, D] that belong to each."""
    total = np.zeros((count, x.shape[1]))
    np.add.at(total, of, x.astype(np.float64))
    return (total / np.maximum(np.bincount(of, minlength=count), 1)[:, None]).astype(np.float32)
