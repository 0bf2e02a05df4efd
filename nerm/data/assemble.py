"""Parts -> corpus: one file per finished recording, joined into the files that `nerm.data.corpus` opens.

It knows trials and files, no dataset and no archive format. Every file is written under another name and then renamed, so that a part or a
corpus is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.data import validation
from nerm.data.corpus import content_digest, cut_windows
from nerm.data.preparation import LeftOut, Preparation, Recording, Trial
from nerm.errors import InputError
from nerm.motion import SMPL22

VERSION = 1
_ARRAY = "array."


def write_part(path: Path, trial: Trial | LeftOut) -> None:
    """One trial (or why there is none) as one file, whole or not at all."""
    buffer = io.BytesIO()  # a zip that runs out of disk half-way cannot be closed cleanly; bytes can
    if isinstance(trial, LeftOut):
        np.savez(buffer, left_out=json.dumps(trial))
    else:
        facts = json.dumps({"scale": trial.scale, "start": trial.start, "floor_m": trial.floor_m, "checks": trial.checks})
        arrays: dict[str, NDArray] = {f"{_ARRAY}{name}": values for name, values in trial.arrays.items()}
        np.savez(buffer, joints=trial.joints, lengths=trial.lengths, facts=np.array(facts), **arrays)  # type: ignore[arg-type]
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_part(path: Path) -> Trial | LeftOut | None:
    """The content of a part; None where there is none, or a damaged one."""
    try:
        with np.load(path) as part:
            if "left_out" in part:
                return LeftOut(*json.loads(str(part["left_out"])))
            facts = json.loads(str(part["facts"]))
            arrays = {name.removeprefix(_ARRAY): part[name] for name in part.files if name.startswith(_ARRAY)}
            return Trial(part["joints"], part["lengths"], facts["scale"], facts["start"], facts["floor_m"], facts["checks"], arrays)
    except (FileNotFoundError, zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError, TypeError):
        return None


class Frames:
    """A file of frames [N, ...] float32 that grows by a trial at a time, and the digest of its values."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        """shape: of one frame."""
        self._file, self._shape, self._count = path.open("wb"), shape, 0
        self._digest = hashlib.sha256()
        self._header = self._write_header()

    def add(self, values: NDArray) -> None:
        """Append [T, ...]."""
        data = np.ascontiguousarray(values, dtype="<f4").tobytes()
        self._digest.update(data)
        self._file.write(data)
        self._count += len(values)

    def close(self) -> str:
        """Write the count into the header; the sha256 of the values."""
        self._file.seek(0)
        if self._write_header() != self._header:
            raise RuntimeError("the header of an array changed its size")  # numpy leaves room for the count to grow
        self._file.close()
        return self._digest.hexdigest()

    def _write_header(self) -> int:
        """The npy header; returns where the values begin."""
        shape = (self._count, *self._shape)
        np.lib.format.write_array_header_1_0(self._file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        return self._file.tell()


def assemble(
    kind: Preparation, recordings: Sequence[Recording], trial: Callable[[int], Trial | LeftOut], sources: Path, folder: Path, facts: dict
) -> dict:
    """Write the corpus of these recordings into `folder`; trial(i) is that of recordings[i]. Returns the manifest: facts and counts.

    `sha256` covers the values of joints.npy and of other arrays (float32) and the text of trials.csv, windows.csv and companions, all that
    a result can depend on: motion, rates, splits, labels, windows, scales, captions. It does not cover lengths.npy and validation.csv, nor
    the place, the order and the number of processes in which parts were made. Sines and square roots may round differently on another
    processor: the same hash is promised only on one kind of machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials: list[dict] = []
    windows, lengths, checks, used = [], [], [], []
    left_out: dict[str, dict[str, str]] = {}
    frames_of: dict[str, Frames] = {}
    offset = 0
    for index, recording in enumerate(recordings):
        made = trial(index)
        if isinstance(made, LeftOut):
            left_out.setdefault(made.kind, {})[recording.name] = made.text
            continue
        for name, values in {"joints": made.joints, **made.arrays}.items():
            if name not in frames_of:
                frames_of[name] = Frames(folder / f"{name}.npy", values.shape[1:])
            frames_of[name].add(values)
        known = {key: getattr(recording, key) for key in ("name", "source", "fps", "split", "label")}
        frames = len(made.joints)
        for start, end in cut_windows(frames, recording.fps, kind.window_s):
            windows.append(
                {"trial": len(trials), "start": start, "end": end, "fps": recording.fps, "seconds": (end - start - 1) / recording.fps}
                | {key: known[key] for key in ("source", "split", "label")}
            )
        trials.append(known | {"offset": offset, "frames": frames, "scale": made.scale, "start": made.start, "floor_m": made.floor_m})
        lengths.append(made.lengths)
        checks.append(made.checks)
        used.append(recording)
        offset += frames
    if not used:
        counts = ", ".join(f"{len(names)} {reason}" for reason, names in left_out.items())
        raise InputError(
            f"no recording of dataset '{kind.name}' in {sources} can be used ({counts or 'none is listed'}); look with doctor=true"
        )
    digests = {name: frames.close() for name, frames in frames_of.items()}
    np.save(folder / "lengths.npy", np.stack(lengths))
    for table, entries, index_name in (("trials", trials, "trial"), ("windows", windows, "window")):
        _write_table(folder / f"{table}.csv", entries, index_name)
    _write_table(
        folder / "validation.csv", [{k: t[k] for k in ("name", "source")} | c for t, c in zip(trials, checks, strict=True)], "trial"
    )
    frame = pd.DataFrame(windows)
    findings: dict[str, dict[str, str]] = {}
    for recording, measured in zip(used, checks, strict=True):
        for finding, text in validation.findings(measured).items():
            findings.setdefault(finding, {})[recording.name] = text
    manifest = (
        facts | _more(kind, folder, digests, kind.companions(sources, used), lengths[0]) | ({"left_out": left_out} if left_out else {})
    )
    manifest |= {
        "version": VERSION,
        "sha256": content_digest(folder, manifest),
        "trials": len(trials),
        "frames": offset,
        "hours": round(float(sum(t["frames"] / t["fps"] for t in trials)) / 3600, 3),
        "windows": len(windows),
        "windows_by_rate_and_split": {
            f"{fps:g} fps, {split}": int(n) for (fps, split), n in frame.groupby(["fps", "split"]).size().items()
        },
        "findings": findings,
        "validation": validation.summary([recording.source for recording in used], checks),
    }
    write_manifest(folder, manifest)
    return manifest


def _more(kind: Preparation, folder: Path, digests: dict[str, str], companions: Mapping[str, bytes], lengths: NDArray) -> dict[str, Any]:
    """What the manifest says of a corpus that is more than joints on the 22-joint skeleton; writes its companions."""
    skeleton = kind.skeleton(lengths)
    more: dict[str, Any] = {}
    if skeleton != SMPL22:
        more["skeleton"] = {"name": skeleton.name, "lengths": [round(float(length), 7) for length in skeleton.lengths]}
    arrays = {name: digest for name, digest in digests.items() if name != "joints"}
    if arrays:
        more["arrays"] = arrays
    for name, content in companions.items():
        (folder / name).write_bytes(content)
    return more | ({"files": sorted(companions)} if companions else {})


def write_manifest(folder: Path, manifest: dict) -> None:
    """Write the last file of a corpus: if it exists, the others are complete."""
    with replacing(folder / "manifest.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")


def describe(manifest: dict, path: Path) -> str:
    """What a corpus holds and what validation found, for people."""
    counts = "; ".join(f"{k}: {v}" for k, v in manifest["windows_by_rate_and_split"].items())
    lines = [
        f"corpus '{manifest['name']}' at {path}: {manifest['trials']} trials, {manifest['frames']} frames, {manifest['hours']} h, "
        f"{manifest['windows']} windows ({counts})",
        f"sha256 {manifest['sha256']}",
    ]
    for source, ranges in manifest.get("validation", {}).items():
        ranges_shown = (
            ("floor_m", "floor", "m"),
            ("fastest_mps", "fastest joint", "m/s"),
            ("limb_change_mm", "limb change", "mm"),
            ("scale", "scale", ""),
        )
        parts = [f"{name} {ranges[key][0]:.2f} to {ranges[key][2]:.2f} {unit}".rstrip() for key, name, unit in ranges_shown]
        lines.append(f"validation of {source}: {', '.join(parts)}")
    for kind, trials in manifest["findings"].items():
        examples = "; ".join(f"{name}: {text}" for name, text in list(trials.items())[:3])
        lines.append(f"  {kind}, {len(trials)} trial{'s' * (len(trials) != 1)}: {examples}{' ...' if len(trials) > 3 else ''}")
    for reason, left in manifest.get("left_out", {}).items():
        lines.append(f"  left out, {reason}: {len(left)} ({', '.join(list(left)[:3])}{', ...' if len(left) > 3 else ''})")
    if "validation" in manifest:
        lines.append(f"  every check of every trial: {path / 'validation.csv'}")
    return "\n".join(lines)


def _write_table(path: Path, entries: list[dict], index_name: str) -> None:
    table = pd.DataFrame(entries).rename_axis(index_name).rename(columns={"name": "trial_name"})
    text = table.to_csv(float_format="%.6f", lineterminator="\n")
    path.write_text(text)
