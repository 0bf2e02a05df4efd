"""python -m nerm.prepare dataset=multirate sources=DIR: raw archives -> corpus, resumable.

Every recording becomes one part file; when all are there they are joined, hashed and moved into place in one step. A run that
was killed goes on with the parts that it finds.
"""

from __future__ import annotations

import errno
import hashlib
import json
import lzma
import multiprocessing
import os
import shutil
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nerm.cli import MISSING, InputError, choose, data_home, parse, progress, run

VERSION = 1


@dataclass
class Prepare:
    """sources: folder with the archives NAME.tar.xz and manifests NAME.csv (default: NERM_SOURCES/data, else they are downloaded)."""

    dataset: str = "multirate"
    sources: str | None = None
    out: str | None = None
    workers: int = 2


def main(arguments: Sequence[str]) -> int:
    settings = parse(Prepare, arguments)
    choose("dataset", settings.dataset, ["multirate"])
    target = Path(settings.out) if settings.out else data_home() / settings.dataset
    if (target / "manifest.json").exists():
        manifest = json.loads((target / "manifest.json").read_text())
        print(f"{target} holds corpus '{manifest['name']}', sha256 {manifest['sha256'][:12]}; delete the folder to prepare it again")
        return 0
    sources = find_sources(settings.sources)
    try:
        manifest = prepare(sources, target, settings.workers)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise InputError(f"the disk that holds {target.parent} is full; free about 1.5 GB and run the same command again to resume") from None
        raise
    print(_summary(manifest, target))
    return 0


def find_sources(given: str | None) -> Path:
    """The folder that holds the raw archives: as given, else NERM_SOURCES, else downloaded."""
    if given is not None:
        folder = Path(given)
        if not folder.is_dir():
            raise InputError(f"sources={given} is not a folder; expected one that holds cmu.tar.xz, hdm05.tar.xz and bandai.tar.xz with their .csv")
        return folder
    if "NERM_SOURCES" in os.environ:
        return Path(os.environ["NERM_SOURCES"]) / "data"
    from nerm.data.download import download_sources

    return download_sources()


def prepare(sources: Path, target: Path, workers: int = 2) -> dict:
    """Build the corpus of the archives in `sources` at `target`; returns its manifest."""
    from nerm.data import multirate

    work = target.with_name(target.name + ".partial")
    (work / "parts").mkdir(parents=True, exist_ok=True)
    wanted = multirate.recordings(sources)
    todo = [(i, r) for i, r in enumerate(wanted) if not _part(work, i).exists()]
    if todo:
        for name in sorted({recording.source for _, recording in todo}):
            unpack(sources, name, work / "raw")
        jobs = [(i, recording, work) for i, recording in todo]
        for done, _ in enumerate(_in_parallel(_make_part, jobs, workers), len(wanted) - len(todo) + 1):
            if done % 100 == 0 or done == len(wanted):
                progress(f"prepare: {done} of {len(wanted)} recordings")
    manifest = _assemble(wanted, work)
    shutil.rmtree(work / "raw", ignore_errors=True)
    shutil.rmtree(work / "parts")
    if target.exists():
        raise InputError(f"{target} exists and is not a corpus; move it away and run the same command again")
    work.rename(target)
    return manifest


def unpack(sources: Path, name: str, folder: Path) -> None:
    """Unpack NAME.tar.xz into folder, once; an unpacked copy NAME/ beside the manifest is used as it is."""
    marker = folder / f"{name}.complete"
    if marker.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    archive = sources / f"{name}.tar.xz"
    if (sources / name).is_dir() and not archive.exists():
        (folder / name).symlink_to((sources / name).resolve())
    else:
        if not archive.exists():
            raise InputError(f"{archive} is missing: put the archive '{name}.tar.xz' and '{name}.csv' there")
        progress(f"prepare: unpacking {archive.name}")
        try:
            with tarfile.open(archive, "r|xz") as tar:
                tar.extractall(folder, filter="data")
        except (EOFError, lzma.LZMAError, tarfile.TarError) as error:
            raise InputError(f"{archive} is truncated or damaged ({error}): fetch it again; parts that were done are kept") from None
    marker.touch()


def _part(work: Path, index: int) -> Path:
    return work / "parts" / f"{index:05d}.npz"


def _make_part(job: tuple) -> None:
    import numpy as np

    from nerm.data import multirate

    index, recording, work = job
    trial = multirate.read_trial(recording, work / "raw")
    path = _part(work, index)
    temporary = path.with_suffix(".tmp")
    facts = json.dumps({"scale": trial.scale, "start": trial.start, "floor_m": trial.floor_m, "findings": trial.findings})
    with temporary.open("wb") as file:
        np.savez(file, joints=trial.joints, lengths=trial.lengths, facts=facts)
    temporary.replace(path)


def _in_parallel(work, jobs: list, workers: int) -> Iterator:  # type: ignore[no-untyped-def]
    if workers <= 1:
        yield from map(work, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(work, jobs, chunksize=4)


def _assemble(wanted: list, work: Path) -> dict:
    """Join the parts into the corpus files inside `work`."""
    import numpy as np
    import pandas as pd

    from nerm.data.corpus import cut_windows

    trials, windows, lengths, findings = [], [], [], {}
    offset = 0
    digest = hashlib.sha256()
    raw = work / "joints.raw"
    with raw.open("wb") as file:
        for index, recording in enumerate(wanted):
            try:
                with np.load(_part(work, index)) as part:
                    joints, own, facts = part["joints"], part["lengths"], json.loads(str(part["facts"]))
            except (zipfile.BadZipFile, ValueError, EOFError, KeyError):
                _part(work, index).unlink()
                raise InputError(f"the part of {recording.name} is damaged and was removed; run the same command again") from None
            data = np.ascontiguousarray(joints, dtype=np.float32).tobytes()
            digest.update(data)
            file.write(data)
            lengths.append(own)
            findings |= {recording.name: facts["findings"]} if facts["findings"] else {}
            row = asdict(recording)
            trials.append(
                {k: row[k] for k in ("name", "source", "fps", "split", "label")}
                | {"offset": offset, "frames": len(joints)}
                | {k: facts[k] for k in ("scale", "start", "floor_m")}
            )
            for start, end in cut_windows(len(joints), recording.fps):
                windows.append(
                    {"trial": index, "start": start, "end": end, "fps": recording.fps, "seconds": (end - start - 1) / recording.fps}
                    | {k: row[k] for k in ("source", "split", "label")}
                )
            offset += len(joints)
    _as_npy(raw, work / "joints.npy", (offset, 22, 3))
    np.save(work / "lengths.npy", np.stack(lengths))
    for name, rows, index_name in (("trials", trials, "trial"), ("windows", windows, "window")):
        table = pd.DataFrame(rows).rename_axis(index_name)
        text = table.rename(columns={"name": "trial_name"}).to_csv(float_format="%.6f", lineterminator="\n")
        (work / f"{name}.csv").write_text(text)
        digest.update(text.encode())
    frame = pd.DataFrame(windows)
    manifest = {
        "name": "multirate",
        "version": VERSION,
        "sha256": digest.hexdigest(),
        "trials": len(trials),
        "frames": offset,
        "hours": round(float(sum(t["frames"] / t["fps"] for t in trials)) / 3600, 3),
        "windows": len(windows),
        "windows_by_rate_and_split": {f"{fps:g} fps, {split}": int(n) for (fps, split), n in frame.groupby(["fps", "split"]).size().items()},
        "findings": findings,
    }
    (work / "manifest.json").write_text(json.dumps(manifest, indent=1, sort_keys=True))
    return manifest


def _as_npy(raw: Path, target: Path, shape: tuple[int, ...]) -> None:
    """Put the npy header in front of raw float32 values without reading them into memory."""
    import numpy as np

    with raw.open("rb") as source, target.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": shape})
        shutil.copyfileobj(source, out, 1 << 24)
    raw.unlink()


def _summary(manifest: dict, target: Path) -> str:
    counts = "; ".join(f"{k}: {v}" for k, v in manifest["windows_by_rate_and_split"].items())
    found = "".join(f"\n  {name}: {', '.join(what)}" for name, what in sorted(manifest["findings"].items()))
    return (
        f"corpus '{manifest['name']}' at {target}: {manifest['trials']} trials, {manifest['frames']} frames, {manifest['hours']} h, "
        f"{manifest['windows']} windows ({counts})\nsha256 {manifest['sha256']}\nvalidation:{found or ' nothing found'}"
    )


if __name__ == "__main__":
    run(main)

__all__ = ["MISSING", "Prepare", "find_sources", "prepare", "unpack"]
