"""Recordings of CMU, HDM05 and Bandai-Namco, and how a file becomes a trial. It knows neither archives nor addresses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.data.preparation import Recording, Trial
from nerm.data.validation import measure
from nerm.errors import InputError
from nerm.motion.capture import Capture
from nerm.motion.faults import jumps
from nerm.motion.mapping import to_smpl22
from nerm.motion.retarget import to_corpus


@dataclass(frozen=True, kw_only=True)
class SourceFile(Recording):
    """A recording and its file.

    asf: path of its skeleton, or the name of one.  frames: as many as the file must hold.  clean: the run [start, end) to use.
    """

    file: str
    asf: str | None
    layout: str
    metres_per_unit: float
    frames: int
    clean: tuple[int, int] | None


def read_trial(recording: SourceFile, folder: Path, read: Callable[[SourceFile, Path], Capture]) -> Trial:
    """Read, check and retarget one recording; `read` turns its file into points."""
    capture = read(recording, folder)
    if len(capture) != recording.frames:
        raise InputError(
            f"{folder / recording.file}: {len(capture)} frames in the file, {recording.frames} in its manifest; "
            "the file is cut off or another one: fetch it again"
        )
    points = to_smpl22(capture, recording.layout)
    if not np.isfinite(points).all():
        raise InputError(f"{folder / recording.file}: values that are not finite; remove the recording from the manifest")
    start, end = recording.clean or (0, len(points))
    first, last = longest_run_without_jumps(points[start:end], recording.fps)
    return _retarget(points[start + first : start + last], recording, start + first)


def longest_run_without_jumps(points: NDArray, fps: float) -> tuple[int, int]:
    """[start, end) of the longest run in which no joint of points [T, J, 3] metres is faster than `nerm.motion.faults.JUMP_MPS`."""
    edges = np.concatenate([[0], jumps(points, fps) + 1, [len(points)]])
    longest = int(np.argmax(np.diff(edges)))
    return int(edges[longest]), int(edges[longest + 1])


def _retarget(points: NDArray, recording: SourceFile, start: int) -> Trial:
    """Bone directions of the recorded person on the corpus skeleton; the root path scaled by leg length; feet on the floor."""
    joints, own = to_corpus(points)
    checks = measure(points, joints, recording.fps, own.scale, own.floor_m, recording.frames)
    return Trial(joints.astype(np.float32), own.lengths.astype(np.float32), own.scale, start, own.floor_m, checks)
