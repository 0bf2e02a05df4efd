"""python -m nerm.prepare dataset=multirate sources=DIR: raw archives -> corpus, resumable; pack=FILE writes a packed copy of it.

Every recording becomes one part file; when all are there they are joined, hashed and moved into place in one step. A run that
was killed goes on with the parts that it finds, as long as the sources are the same.
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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from nerm.cli import InputError, choose, data_home, parse, progress, run

DATASETS = ["multirate", "multirate-original"]


@dataclass
class Prepare:
    """Settings of the command.

    sources: folder with the archives NAME.tar.xz (or unpacked, NAME/) and manifests NAME.csv, or a packed corpus; default
    NERM_SOURCES/data, else the original files are downloaded, which makes the corpus multirate-original.
    out: where the corpus goes, default NERM_DATA/dataset.  pack: write the prepared corpus into this file instead.
    registry: file of addresses for downloads, default NERM_REGISTRY or the one that comes with the package.
    """

    dataset: str = "multirate"
    sources: str | None = None
    out: str | None = None
    pack: str | None = None
    registry: str | None = None
    workers: int = 2


def main(arguments: Sequence[str]) -> int:
    settings = parse(Prepare, arguments)
    choose("dataset", settings.dataset, DATASETS)
    target = Path(settings.out) if settings.out else data_home() / settings.dataset
    if settings.pack is not None:
        return _pack(target, Path(settings.pack))
    if _is_corpus(target):
        return _already(target)
    with enough_disk(data_home()):
        sources = find_sources(settings.sources, settings.dataset, settings.registry)
    if not settings.out:
        target = data_home() / _kind(sources).NAME if sources.is_dir() else target
        if _is_corpus(target):
            return _already(target)
    with enough_disk(target.parent):
        if sources.is_file():
            from nerm.data.pack import unpack

            manifest = unpack(sources, target).manifest
        else:
            manifest = prepare(sources, target, settings.workers)
    from nerm.data.assemble import describe

    print(describe(manifest, target))
    return 0


def find_sources(given: str | None, dataset: str = "multirate", registry: str | None = None) -> Path:
    """What to prepare from: as given (a folder or a packed corpus), else NERM_SOURCES, else the downloaded originals."""
    if given is not None:
        path = Path(given)
        if not path.exists():
            raise InputError(
                f"sources={given} does not exist; expected a packed corpus (.nermpack), "
                "or a folder with cmu.tar.xz, hdm05.tar.xz, bandai.tar.xz and their .csv"
            )
        return path
    if dataset == "multirate" and "NERM_SOURCES" in os.environ:
        return Path(os.environ["NERM_SOURCES"]) / "data"
    from nerm.data.download import download_sources

    return download_sources(registry)


def prepare(sources: Path, target: Path, workers: int = 2, only: Sequence[str] | None = None) -> dict:
    """Build the corpus of the recordings in `sources` at `target`; returns its manifest.

    only: a part of the archives (cmu, hdm05, bandai), for trials; the corpus is then another one and has another hash.
    """
    from nerm.data.assemble import assemble, read_part

    kind = _kind(sources)
    wanted = kind.recordings(sources, *([tuple(only)] if only else []))
    names = sorted({recording.source for recording in wanted})
    _nothing_in_the_way(target)
    facts = {"name": kind.NAME, "made_from": kind.identity(sources, names)} | ({"only": sorted(only)} if only else {})
    work = target.with_name(target.name + ".partial")
    _resume_or_clear(work, {"facts": facts, "recordings": hashlib.sha256(repr(wanted).encode()).hexdigest()})
    todo = [i for i in range(len(wanted)) if read_part(_part(work, i)) is None]
    if todo:
        folders = {name: kind.folder(sources, name, work / "raw") for name in sorted({wanted[i].source for i in todo})}
        jobs = [(_part(work, i), wanted[i], folders[wanted[i].source], kind.read_capture) for i in todo]
        for done, _ in enumerate(_in_parallel(_make_part, jobs, workers), len(wanted) - len(todo) + 1):
            if done % 100 == 0 or done == len(wanted):
                progress(f"prepare: {done} of {len(wanted)} recordings")
    shutil.rmtree(work / "raw", ignore_errors=True)

    def trial(index: int):  # type: ignore[no-untyped-def]
        made = read_part(_part(work, index))
        if made is None:
            raise InputError(f"the part of {wanted[index].name} cannot be read; run the same command again, it makes damaged parts anew")
        return made

    try:
        manifest = assemble(wanted, trial, work / "corpus", facts)
        if target.exists():
            target.rmdir()  # known to be empty
        (work / "corpus").rename(target)
    finally:
        shutil.rmtree(work / "corpus", ignore_errors=True)
    shutil.rmtree(work)
    return manifest


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


def _kind(sources: Path):  # type: ignore[no-untyped-def]
    """The module that knows these sources: packaged archives, or downloaded originals."""
    from nerm.data import multirate, originals

    return originals if originals.is_home(sources) else multirate


def _is_corpus(path: Path) -> bool:
    return (path / "manifest.json").exists()


def _already(target: Path) -> int:
    shutil.rmtree(target.with_name(target.name + ".partial"), ignore_errors=True)  # of a run killed after its last step but one
    manifest = json.loads((target / "manifest.json").read_text())
    print(f"{target} holds corpus '{manifest['name']}', sha256 {manifest['sha256'][:12]}; delete the folder to prepare it again")
    return 0


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
        from nerm.atomic import replacing

        with replacing(record) as temporary:
            temporary.write_text(text)


def _part(work: Path, index: int) -> Path:
    return work / "parts" / f"{index:05d}.npz"


def _make_part(job: tuple) -> None:
    from nerm.data.assemble import write_part
    from nerm.data.multirate import read_trial

    path, recording, folder, read = job
    write_part(path, read_trial(recording, folder, read))


def _begin_worker() -> None:
    """Leave interrupts to the main process, and end with it: workers of a killed one would wait for ever."""
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

__all__ = ["Prepare", "enough_disk", "find_sources", "prepare"]
