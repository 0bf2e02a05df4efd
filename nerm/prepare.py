"""python -m nerm.prepare dataset=multirate sources=DIR: raw archives -> corpus, resumable; pack=FILE writes a packed copy of it.

Every recording becomes one part file; when all are there they are joined, hashed and moved into place in one step. A run that
was killed goes on with the parts that it finds, as long as the sources are the same. A second run for the same place waits for the first.
doctor=true changes nothing: it prints what is there, missing or damaged, with exit code 0 if all is well and 1 if not. No dataset is
known here by name; its `nerm.data.preparation.Preparation` knows its sources.
"""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from nerm.atomic import replacing
from nerm.cli import InputError, data_home, parse, progress, run
from nerm.data.dataset import preparation
from nerm.data.preparation import LeftOut, Preparation, Recording, Trial
from nerm.help import command
from nerm.lock import alone


@dataclass
class Prepare:
    """Keys of the command.

    dataset: name of the dataset.
    sources: folder with the sources of the dataset (of multirate the archives NAME.tar.xz, or unpacked, NAME/, and manifests NAME.csv), or
    a packed corpus; default NERM_SOURCES/data, else what can be downloaded (of multirate the original files: multirate-original).
    out: where the corpus goes, default NERM_DATA/dataset.  pack: write the prepared corpus into this file instead.
    workers: processes that read recordings.
    registry: file of addresses for downloads, default NERM_REGISTRY or the one that comes with the package.
    doctor: only look, and print one page.
    """

    dataset: str = "multirate"
    sources: str | None = None
    out: str | None = None
    pack: str | None = None
    registry: str | None = None
    workers: int = 2
    doctor: bool = False


@command(Prepare)
def main(arguments: Sequence[str]) -> int:
    settings = parse(Prepare, arguments)
    wanted = preparation(settings.dataset)
    target = Path(settings.out) if settings.out else data_home() / settings.dataset
    if settings.doctor:
        return _look(wanted, settings.sources, target)
    if settings.pack is not None:
        return _pack(target, Path(settings.pack))
    if _is_corpus(target):
        return _already(target)
    with enough_disk(data_home()):
        sources = wanted.locate(settings.sources) or wanted.fetch(settings.registry)
    if sources.is_dir() and not settings.out:
        target = data_home() / wanted.of(sources).name
    with enough_disk(target.parent), alone(target):
        if _is_corpus(target):  # somebody else has just made it
            return _already(target, locked=True)
        manifest = _made(wanted, sources, target, settings.workers)
    from nerm.data.assemble import describe

    print(describe(manifest, target))
    return 0


def _made(wanted: Preparation, sources: Path, target: Path, workers: int) -> dict:
    """The manifest of the corpus, made of a packed one or of a folder of sources."""
    if sources.is_file():
        from nerm.data.pack import unpack

        return unpack(sources, target).manifest
    return prepare(wanted.of(sources), sources, target, workers)


def prepare(kind: Preparation, sources: Path, target: Path, workers: int = 2, only: Sequence[str] = ()) -> dict:
    """Build the corpus of the recordings in `sources` at `target`; returns its manifest. Hold the lock of `target` meanwhile.

    only: some of the collections, for tests; the corpus is then a different one and has another digest.
    """
    from nerm.data.assemble import assemble, read_part

    wanted = kind.recordings(sources, only)
    collections = sorted({recording.source for recording in wanted})
    _nothing_in_the_way(target)
    facts = {"name": kind.name, "made_from": kind.identity(sources, collections)} | ({"only": sorted(only)} if only else {})
    work = target.with_name(target.name + ".partial")
    _resume_or_clear(work, {"facts": facts, "recordings": hashlib.sha256(repr(wanted).encode()).hexdigest()})
    _make_parts(kind, wanted, sources, work, workers)

    def trial(index: int) -> Trial | LeftOut:
        made = read_part(_part(work, index))
        if made is None:
            raise InputError(f"the part of {wanted[index].name} cannot be read; run the same command again, it makes damaged parts anew")
        return made

    try:
        manifest = assemble(kind, wanted, trial, sources, work / "corpus", facts)
        if target.exists():
            target.rmdir()  # known to be empty
        (work / "corpus").rename(target)
    finally:
        shutil.rmtree(work / "corpus", ignore_errors=True)
    shutil.rmtree(work)
    return manifest


def _make_parts(kind: Preparation, wanted: Sequence[Recording], sources: Path, work: Path, workers: int) -> None:
    """The parts of all recordings that have none yet, or a damaged one."""
    from nerm.data.assemble import read_part

    todo = [index for index in range(len(wanted)) if read_part(_part(work, index)) is None]
    if todo:
        collections = sorted({wanted[index].source for index in todo})
        folders = {name: kind.folder(sources, name, work / "raw") for name in collections}
        jobs = [(_part(work, index), wanted[index], folders[wanted[index].source], kind.name) for index in todo]
        for done, _ in enumerate(_in_parallel(_make_part, jobs, workers), len(wanted) - len(todo) + 1):
            if done % 100 == 0 or done == len(wanted):
                progress(f"prepare: {done} of {len(wanted)} recordings")
    shutil.rmtree(work / "raw", ignore_errors=True)


@contextmanager
def enough_disk(folder: Path) -> Iterator[None]:
    """Turns a full disk into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"the disk that holds {folder} is full: free about 1 GB there and run the same command again; what was finished is kept"
            ) from None
        raise


def _is_corpus(path: Path) -> bool:
    return (path / "manifest.json").exists()


def _already(target: Path, locked: bool = False) -> int:
    work = target.with_name(target.name + ".partial")
    if work.exists():  # left by a run that was killed before its last step
        with nullcontext() if locked else alone(target):
            shutil.rmtree(work, ignore_errors=True)
    manifest = json.loads((target / "manifest.json").read_text())
    print(f"{target} holds corpus '{manifest['name']}', sha256 {manifest['sha256'][:12]}; delete the folder to prepare it again")
    return 0


def _look(wanted: Preparation, sources: str | None, target: Path) -> int:
    from nerm.data.doctor import examine

    page, well = examine(wanted, sources, target)
    print(page)
    return 0 if well else 1


def _pack(corpus: Path, path: Path) -> int:
    from nerm.data.corpus import load_corpus
    from nerm.data.pack import pack

    if path.suffix != ".nermpack":
        raise InputError(f"pack={path}: the name of a packed corpus ends in .nermpack")
    with enough_disk(path.parent):
        facts = pack(load_corpus(corpus.name, corpus.parent), path)
    print(f"{path}: {facts['bytes'] / 2**20:.1f} MiB, joints within {facts['max_error_mm']:.3f} mm, sha256 when unpacked {facts['sha256']}")
    return 0


def _nothing_in_the_way(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists and is not a corpus; move it away and run the same command again")


def _resume_or_clear(work: Path, state: dict) -> None:
    """Keep the parts of an interrupted run if they come from the same sources, else begin again."""
    record = work / "state.json"
    text = json.dumps(state, indent=1, sort_keys=True)
    if work.exists() and not (record.exists() and record.read_text() == text):
        progress(f"prepare: {work} comes from other sources or another version; beginning again")
        shutil.rmtree(work)
    (work / "parts").mkdir(parents=True, exist_ok=True)
    if not record.exists():
        with replacing(record) as temporary:
            temporary.write_text(text)


def _part(work: Path, index: int) -> Path:
    return work / "parts" / f"{index:05d}.npz"


def _make_part(job: tuple) -> None:
    from nerm.data.assemble import write_part

    path, recording, folder, dataset = job
    write_part(path, preparation(dataset).read(recording, folder))


def _begin_worker() -> None:
    """Ignore interrupts, which the main process handles, and end with it: otherwise workers of a killed process would wait for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _in_parallel(work: Callable[[tuple], None], jobs: list[tuple], workers: int) -> Iterator[None]:
    if workers <= 1:
        yield from map(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_begin_worker) as pool:
        try:
            yield from pool.map(work, jobs, chunksize=4)
        except BrokenProcessPool:
            raise InputError("a worker process was killed, perhaps for lack of memory; run the same command again to resume") from None
        finally:
            pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    run(main)
