"""What the packaged archives of multirate hold: their manifests NAME.csv, skeletons, splits and labels.

Unpacking is the work of `nerm.data.archives`, storing that of `nerm.data.assemble`, checking that of `nerm.data.validation`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd

from nerm.data.multirate.captions import SOURCES
from nerm.data.multirate.trials import SourceFile
from nerm.errors import InputError
from nerm.motion.amc import AcclaimSkeleton, read_amc, read_asf
from nerm.motion.bvh import capture_of, mended, parse_bvh
from nerm.motion.capture import Capture


def recordings(sources: Path, names: Sequence[str] = SOURCES) -> list[SourceFile]:
    """Every recording that the manifests under `sources` list, in a fixed order."""
    listing = {"cmu": _cmu, "hdm05": _hdm05, "bandai": _bandai}
    listed = []
    for name in names:
        table = _manifest(sources, name)
        try:
            listed += listing[name](table)
        except (AttributeError, KeyError, ValueError) as error:
            raise InputError(f"{sources / name}.csv cannot be read as the manifest of '{name}' ({error}); fetch it again") from None
    return listed


def read_capture(recording: SourceFile, folder: Path) -> Capture:
    """The points of one recording, out of the unpacked archives in `folder`; the manifest says which frames are no motion."""
    path = folder / recording.file
    if recording.asf:
        return read_amc(path, _asf(folder / recording.asf), recording.fps, recording.metres_per_unit)
    capture = capture_of(mended(parse_bvh(path), begins_with_t_pose=False), recording.metres_per_unit)
    if capture.fps is not None and abs(capture.fps / recording.fps - 1) > 0.01:
        raise InputError(f"{path}: {capture.fps:g} fps in the file, {recording.fps:g} in its manifest; one of them is wrong")
    return capture


@lru_cache(maxsize=64)
def _asf(path: Path) -> AcclaimSkeleton:
    return read_asf(path)


def _manifest(sources: Path, name: str) -> pd.DataFrame:
    path = sources / f"{name}.csv"
    if not path.exists():
        raise InputError(f"{path} is missing: the manifest of the archive '{name}' belongs beside {name}.tar.xz")
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a table ({str(error).splitlines()[0]}); fetch it again") from None


def _cmu(table: pd.DataFrame) -> list[SourceFile]:
    files = []
    for row in table.itertuples():
        files.append(
            SourceFile(
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
    return files


def _cmu_split(trial: str, segments: str, kit_split: str) -> str:
    """Test if any official segment of the trial is test, else val if any is, else train; unlisted trials by hash 80/5/15."""
    listed = {segment.rsplit(":", 1)[1] for segment in segments.split(";") if segment} | ({kit_split} if kit_split else set())
    for split in ("test", "val", "train"):
        if split in listed:
            return split
    percent = _hash(trial) % 100
    return "train" if percent < 80 else "val" if percent < 85 else "test"


def _hdm05(table: pd.DataFrame) -> list[SourceFile]:
    return [
        SourceFile(
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


def _bandai(table: pd.DataFrame) -> list[SourceFile]:
    held_out = {}  # of each content x style pair of dataset-2: two takes test, one val, in the order of their hashes
    for _, takes in table[table.dataset == "2"].groupby(["content", "style"]):
        for file, split in zip(sorted(takes.file, key=_hash), ("test", "test", "val"), strict=False):
            held_out[file] = split
    return [
        SourceFile(
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
