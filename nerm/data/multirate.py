"""The corpus `multirate`: CMU (120 and 60 fps), HDM05 (120) and Bandai-Namco (30) at their native rates on one skeleton.

This module knows what the three archives hold: their manifests, skeletons, splits and labels. Storing is the work of
`nerm.data.assemble`, checking that of `nerm.data.validation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nerm.data.archives import folder, identity
from nerm.data.validation import JUMP_MPS, Check, measure
from nerm.errors import InputError
from nerm.motion.amc import read_amc, read_asf
from nerm.motion.bvh import read_bvh
from nerm.motion.capture import Capture
from nerm.motion.mapping import to_smpl22
from nerm.motion.retarget import to_corpus

NAME = "multirate"
SOURCES = ("cmu", "hdm05", "bandai")


@dataclass(frozen=True)
class Recording:
    """One file of an archive and what its manifest says about it.

    asf: path of its skeleton, or the name of one.  frames: as many as the file must hold.  clean: the run [start, end) to use.
    """

    name: str
    source: str
    file: str
    asf: str | None
    layout: str
    fps: float
    metres_per_unit: float
    frames: int
    clean: tuple[int, int] | None
    split: str
    label: str


@dataclass(frozen=True)
class Trial:
    """A recording brought to the corpus skeleton.

    joints: [T, 22, 3] float32 metres, floor at 0.  lengths: [22] metres, the person's own.  scale: corpus metres per recorded metre.
    start: frame of the file where it begins.  floor_m: height that became 0, in corpus metres.  checks: see `nerm.data.validation`.
    """

    joints: NDArray[np.float32]
    lengths: NDArray[np.float32]
    scale: float
    start: int
    floor_m: float
    checks: dict[str, Check]


def recordings(sources: Path, names: Sequence[str] = SOURCES) -> list[Recording]:
    """Every recording that the manifests under `sources` list, in a fixed order."""
    listing = {"cmu": _cmu, "hdm05": _hdm05, "bandai": _bandai}
    found = []
    for name in names:
        table = _manifest(sources, name)
        try:
            found += listing[name](table)
        except (AttributeError, KeyError, ValueError) as error:
            raise InputError(f"{sources / name}.csv cannot be read as the manifest of '{name}' ({error}); fetch it again") from None
    return found


def read_capture(recording: Recording, folder: Path) -> Capture:
    """The points of one recording, out of the unpacked archives in `folder`."""
    path = folder / recording.file
    if recording.asf:
        return read_amc(path, _asf(folder / recording.asf), recording.fps, recording.metres_per_unit)
    capture = read_bvh(path, recording.metres_per_unit)
    if capture.fps is not None and abs(capture.fps / recording.fps - 1) > 0.01:
        raise InputError(f"{path}: {capture.fps:g} fps in the file, {recording.fps:g} in its manifest; one of them is wrong")
    return capture


def read_trial(recording: Recording, folder: Path, read: Callable[[Recording, Path], Capture] = read_capture) -> Trial:
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


def _retarget(points: NDArray, recording: Recording, start: int) -> Trial:
    """Bone directions of the recorded person on the corpus skeleton; the root path scaled by leg length; feet on the floor."""
    joints, own = to_corpus(points)
    checks = measure(points, joints, recording.fps, own.scale, own.floor_m, recording.frames)
    return Trial(joints.astype(np.float32), own.lengths.astype(np.float32), own.scale, start, own.floor_m, checks)


def longest_run_without_jumps(points: NDArray, fps: float) -> tuple[int, int]:
    """[start, end) of the longest run in which no joint of points [T, J, 3] metres is faster than JUMP_MPS."""
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1).max(axis=1, initial=0.0) * fps
    edges = np.concatenate([[0], np.flatnonzero(speed > JUMP_MPS) + 1, [len(points)]])
    longest = int(np.argmax(np.diff(edges)))
    return int(edges[longest]), int(edges[longest + 1])


@lru_cache(maxsize=64)
def _asf(path: Path):  # type: ignore[no-untyped-def]
    return read_asf(path)


def _manifest(sources: Path, name: str) -> pd.DataFrame:
    path = sources / f"{name}.csv"
    if not path.exists():
        raise InputError(f"{path} is missing: the manifest of the archive '{name}' belongs beside {name}.tar.xz")
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a table ({str(error).splitlines()[0]}); fetch it again") from None


def _cmu(table: pd.DataFrame) -> list[Recording]:
    found = []
    for row in table.itertuples():
        found.append(
            Recording(
                name=f"cmu/{row.trial}",
                source="cmu",
                file=row.file,
                asf=f"cmu/asf/{row.subject}.asf" if row.format == "amc" else None,
                layout=row.skeleton,
                fps=float(row.native_fps),
                metres_per_unit=float(row.metres_per_unit),
                frames=int(row.frames),
                clean=(int(row.clean_start), int(row.clean_end)),
                split=_cmu_split(row.trial, row.humanml3d_segments, row.kit_split),
                label=f"cmu/{row.description}" if row.description else "",
            )
        )
    return found


def _cmu_split(trial: str, segments: str, kit_split: str) -> str:
    """Test if any official segment of the trial is test, else val if any is, else train; unlisted trials by hash 80/5/15."""
    listed = {segment.rsplit(":", 1)[1] for segment in segments.split(";") if segment} | ({kit_split} if kit_split else set())
    for split in ("test", "val", "train"):
        if split in listed:
            return split
    percent = _hash(trial) % 100
    return "train" if percent < 80 else "val" if percent < 85 else "test"


def _hdm05(table: pd.DataFrame) -> list[Recording]:
    return [
        Recording(
            name=Path(row.file).stem,
            source="hdm05",
            file=row.file,
            asf=f"hdm05/asf/HDM_{row.actor}.asf",
            layout="asf31",
            fps=float(row.fps),
            metres_per_unit=float(row.metres_per_unit),
            frames=int(row.frames),
            clean=(int(row.clean_start), int(row.clean_end)),
            split=row.split,
            label=f"hdm05/{row.action_code}",
        )
        for row in table.itertuples()
    ]


def _bandai(table: pd.DataFrame) -> list[Recording]:
    held_out = {}  # of each content x style pair of dataset-2: two takes test, one val, in the order of their hashes
    for _, takes in table[table.dataset == "2"].groupby(["content", "style"]):
        for file, split in zip(sorted(takes.file, key=_hash), ("test", "test", "val"), strict=False):
            held_out[file] = split
    return [
        Recording(
            name=Path(row.file).stem,
            source="bandai",
            file=row.file,
            asf=None,
            layout="bandai",
            fps=float(row.fps),
            metres_per_unit=float(row.metres_per_unit),
            frames=int(row.frames),
            clean=None,
            split=held_out.get(row.file, "train"),
            label=f"bandai/{row.content}/{row.style}",
        )
        for row in table.itertuples()
    ]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


__all__ = ["NAME", "SOURCES", "Recording", "Trial", "folder", "identity", "read_capture", "read_trial", "recordings"]
