"""The corpus `multirate`: CMU (120 and 60 fps), HDM05 (120) and Bandai-Namco (30) at their native rates on one skeleton.

This module knows what the three archives hold: their manifests, skeletons, splits and labels. Storing is `prepare`'s work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.amc import read_amc, read_asf
from nerm.motion.bvh import read_bvh
from nerm.motion.mapping import to_smpl22
from nerm.motion.skeleton import bone_directions, joints_from_directions

SOURCES = ("cmu", "hdm05", "bandai")
JUMP_MPS = 20.0  # a mapped joint faster than this is a tracking jump
_LEG = [SMPL22.index(n) for n in ("l_knee", "l_ankle", "r_knee", "r_ankle")]


@dataclass(frozen=True)
class Recording:
    """One file of an archive and what its manifest says about it."""

    name: str
    source: str
    file: str
    asf: str | None
    layout: str
    fps: float
    metres_per_unit: float
    clean: tuple[int, int] | None
    split: str
    label: str


@dataclass(frozen=True)
class Trial:
    """A recording brought to the corpus skeleton.

    joints: [T, 22, 3] float32 metres.  lengths: [22] metres, the person's own.  scale: corpus metres per recorded metre.
    """

    joints: NDArray[np.float32]
    lengths: NDArray[np.float32]
    scale: float
    start: int
    floor_m: float
    findings: tuple[str, ...]


def recordings(sources: Path, names: Sequence[str] = SOURCES) -> list[Recording]:
    """Every recording that the manifests under `sources` list, in a fixed order."""
    listing = {"cmu": _cmu, "hdm05": _hdm05, "bandai": _bandai}
    return [recording for name in names for recording in listing[name](_manifest(sources, name))]


def read_trial(recording: Recording, folder: Path) -> Trial:
    """Read, validate and retarget one recording out of the unpacked archives in `folder`."""
    path = folder / recording.file
    if recording.asf:
        capture = read_amc(path, _asf(folder / recording.asf), recording.fps, recording.metres_per_unit)
    else:
        capture = read_bvh(path, recording.metres_per_unit)
        if capture.fps is not None and abs(capture.fps / recording.fps - 1) > 0.01:
            raise InputError(f"{recording.file}: {capture.fps:g} fps in the file, {recording.fps:g} in its manifest; one of them is wrong")
    points = to_smpl22(capture, recording.layout)
    start, end = recording.clean or (0, len(points))
    joints, start, findings = _without_jumps(points[start:end], recording, start)
    return _retarget(joints, start, findings)


def _retarget(points: NDArray, start: int, findings: list[str]) -> Trial:
    """Bone directions of the recorded person on the corpus skeleton; the root path scaled by leg length; feet on the floor."""
    bones = np.linalg.norm(points[:, 1:] - points[:, SMPL22.parents[1:]], axis=-1)
    lengths = np.concatenate([[0.0], np.median(bones, axis=0)])
    scale = SMPL22.lengths[_LEG].sum() / lengths[_LEG].sum()
    joints = joints_from_directions(points[:, 0] * scale, bone_directions(points, SMPL22), SMPL22)
    floor = float(np.percentile(joints[..., 1].min(axis=1), 1))
    joints[..., 1] -= floor
    wobble = np.ptp(bones[:, np.array(_LEG) - 1], axis=0).max()
    if wobble > 0.02:
        findings.append(f"leg bones change by {wobble * 1000:.0f} mm")
    if abs(floor) > 0.15:
        findings.append(f"floor at {floor:.2f} m, moved to 0")
    if not 0.7 < scale < 1.4:
        findings.append(f"scale {scale:.2f} is unusual; check metres_per_unit")
    return Trial(joints.astype(np.float32), lengths.astype(np.float32), float(scale), start, floor, tuple(findings))


def _without_jumps(points: NDArray, recording: Recording, start: int) -> tuple[NDArray, int, list[str]]:
    """The longest run in which no mapped joint is faster than JUMP_MPS."""
    if not np.isfinite(points).all():
        raise InputError(f"{recording.file}: values that are not finite; the recording cannot be used: remove it from the manifest")
    speed = np.linalg.norm(np.diff(points, axis=0), axis=-1).max(axis=1) * recording.fps
    jumps = np.flatnonzero(speed > JUMP_MPS)
    edges = np.concatenate([[0], jumps + 1, [len(points)]])
    longest = int(np.argmax(np.diff(edges)))
    findings = [f"{len(jumps)} tracking jumps; longest clean run kept"] if len(jumps) else []
    return points[edges[longest] : edges[longest + 1]], start + int(edges[longest]), findings


@lru_cache(maxsize=64)
def _asf(path: Path):  # type: ignore[no-untyped-def]
    return read_asf(path)


def _manifest(sources: Path, name: str) -> pd.DataFrame:
    path = sources / f"{name}.csv"
    if not path.exists():
        raise InputError(f"{path} is missing: the manifest of the archive '{name}' belongs beside {name}.tar.xz")
    return pd.read_csv(path, dtype=str, keep_default_na=False)


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
            clean=None,
            split=held_out.get(row.file, "train"),
            label=f"bandai/{row.content}/{row.style}",
        )
        for row in table.itertuples()
    ]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
