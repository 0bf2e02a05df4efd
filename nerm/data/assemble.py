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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from nerm.atomic import replacing
from nerm.data import validation
from nerm.data.corpus import cut_windows
from nerm.data.preparation import Recording, Trial
from nerm.motion import SMPL22

VERSION = 1


def write_part(path: Path, trial: Trial) -> None:
    """One trial as one file, whole or not at all."""
    facts = json.dumps({"scale": trial.scale, "start": trial.start, "floor_m": trial.floor_m, "checks": trial.checks})
    buffer = io.BytesIO()  # a zip that runs out of disk half-way cannot be closed cleanly; bytes can
    np.savez(buffer, joints=trial.joints, lengths=trial.lengths, facts=facts)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def read_part(path: Path) -> Trial | None:
    """The trial of a part; None where there is none, or a damaged one."""
    try:
        with np.load(path) as part:
            facts = json.loads(str(part["facts"]))
            return Trial(part["joints"], part["lengths"], facts["scale"], facts["start"], facts["floor_m"], facts["checks"])
    except (FileNotFoundError, zipfile.BadZipFile, zlib.error, ValueError, EOFError, KeyError):
        return None


def assemble(recordings: Sequence[Recording], trial: Callable[[int], Trial], folder: Path, facts: dict) -> dict:
    """Write the corpus of these recordings into `folder`; trial(i) is the trial of recordings[i]. Returns the manifest: facts and counts.

    `sha256` covers the values of joints.npy (float32) and the text of trials.csv and windows.csv, all that a result can depend on:
    motion, rates, splits, labels, windows, scales. It does not cover lengths.npy and validation.csv, nor the place, the order and the
    number of processes in which parts were made. Sines and square roots may round differently on another processor: the same hash is
    promised only on one kind of machine.
    """
    folder.mkdir(parents=True, exist_ok=True)
    trials, windows, lengths, checks = [], [], [], []
    digest = hashlib.sha256()
    offset = 0
    with (folder / "joints.npy").open("wb") as file:
        header = _write_header(file, 0)
        for index, recording in enumerate(recordings):
            made = trial(index)
            data = np.ascontiguousarray(made.joints, dtype="<f4").tobytes()
            digest.update(data)
            file.write(data)
            lengths.append(made.lengths)
            known = {key: getattr(recording, key) for key in ("name", "source", "fps", "split", "label")}
            frames = len(made.joints)
            trials.append(known | {"offset": offset, "frames": frames, "scale": made.scale, "start": made.start, "floor_m": made.floor_m})
            for start, end in cut_windows(frames, recording.fps):
                windows.append(
                    {"trial": index, "start": start, "end": end, "fps": recording.fps, "seconds": (end - start - 1) / recording.fps}
                    | {key: known[key] for key in ("source", "split", "label")}
                )
            checks.append(made.checks)
            offset += frames
        file.seek(0)
        if _write_header(file, offset) != header:
            raise RuntimeError("the header of joints.npy changed its size")  # numpy leaves room for the count to grow
    np.save(folder / "lengths.npy", np.stack(lengths))
    for table, entries, index_name in (("trials", trials, "trial"), ("windows", windows, "window")):
        digest.update(_write_table(folder / f"{table}.csv", entries, index_name).encode())
    _write_table(
        folder / "validation.csv", [{k: t[k] for k in ("name", "source")} | c for t, c in zip(trials, checks, strict=True)], "trial"
    )
    frame = pd.DataFrame(windows)
    findings: dict[str, dict[str, str]] = {}
    for recording, measured in zip(recordings, checks, strict=True):
        for kind, text in validation.findings(measured).items():
            findings.setdefault(kind, {})[recording.name] = text
    manifest = facts | {
        "version": VERSION,
        "sha256": digest.hexdigest(),
        "trials": len(trials),
        "frames": offset,
        "hours": round(float(sum(t["frames"] / t["fps"] for t in trials)) / 3600, 3),
        "windows": len(windows),
        "windows_by_rate_and_split": {
            f"{fps:g} fps, {split}": int(n) for (fps, split), n in frame.groupby(["fps", "split"]).size().items()
        },
        "findings": findings,
        "validation": validation.summary([recording.source for recording in recordings], checks),
    }
    write_manifest(folder, manifest)
    return manifest


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
    if "validation" in manifest:
        lines.append(f"  every check of every trial: {path / 'validation.csv'}")
    return "\n".join(lines)


def _write_table(path: Path, entries: list[dict], index_name: str) -> str:
    table = pd.DataFrame(entries).rename_axis(index_name).rename(columns={"name": "trial_name"})
    text = table.to_csv(float_format="%.6f", lineterminator="\n")
    path.write_text(text)
    return text


def _write_header(file: IO[bytes], frames: int) -> int:
    """The npy header of float32 joints; returns where the values begin."""
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (frames, len(SMPL22), 3)})
    return file.tell()
