"""How `multirate` and `multirate-original` are prepared: from packaged archives, or from the downloaded files of the original homes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from nerm.data import archives
from nerm.data.multirate import originals, packaged
from nerm.data.multirate.captions import SOURCES
from nerm.data.multirate.download import download_sources, originals_folder, read_digests
from nerm.data.multirate.trials import SourceFile, read_trial
from nerm.data.preparation import Finding, Preparation, Recording, Trial
from nerm.errors import InputError


class _Multirate(Preparation):
    """The common part: the sources that are given decide which of the two is prepared."""

    def fetch(self, registry: str | None) -> Path:
        return download_sources(registry)

    def of(self, sources: Path) -> Preparation:
        return ORIGINAL if originals.is_home(sources) else MULTIRATE


class Packaged(_Multirate):
    """From cmu.tar.xz, hdm05.tar.xz and bandai.tar.xz (or unpacked) and their manifests."""

    name = "multirate"

    def locate(self, given: str | None) -> Path | None:
        if given is not None:
            return _existing(given)
        return Path(os.environ["NERM_SOURCES"]) / "data" if "NERM_SOURCES" in os.environ else None

    def recordings(self, sources: Path, only: Sequence[str] = ()) -> Sequence[SourceFile]:
        return packaged.recordings(sources, tuple(only) or SOURCES)

    def identity(self, sources: Path, collections: Sequence[str]) -> dict[str, str]:
        return archives.identity(sources, collections)

    def folder(self, sources: Path, collection: str, scratch: Path) -> Path:
        return archives.folder(sources, collection, scratch)

    def read(self, recording: Recording, folder: Path) -> Trial:
        assert isinstance(recording, SourceFile)  # as `recordings` lists them
        return read_trial(recording, folder, packaged.read_capture)

    def examine(self, sources: Path | None, made_from: Mapping[str, str]) -> list[Finding]:
        if sources is None:
            text = "no archives are known: give sources=DIR or set NERM_SOURCES, else the original files are downloaded"
            return [Finding("note" if made_from else "missing", text)]
        return [line for name in SOURCES for line in _examine_archive(sources, name, made_from)]


class Originals(_Multirate):
    """From the files that the registry lists."""

    name = "multirate-original"

    def locate(self, given: str | None) -> Path | None:
        return None if given is None else _existing(given)

    def recordings(self, sources: Path, only: Sequence[str] = ()) -> Sequence[SourceFile]:
        return originals.recordings(sources, tuple(only) or SOURCES)

    def identity(self, sources: Path, collections: Sequence[str]) -> dict[str, str]:
        return originals.identity(sources)

    def folder(self, sources: Path, collection: str, scratch: Path) -> Path:
        return sources  # nothing is packed here

    def read(self, recording: Recording, folder: Path) -> Trial:
        assert isinstance(recording, SourceFile)
        return read_trial(recording, folder, originals.read_capture)

    def examine(self, sources: Path | None, made_from: Mapping[str, str]) -> list[Finding]:
        sources = sources or originals_folder()
        if not originals.is_home(sources):
            text = f"no downloaded files at {sources}: the command without doctor=true fetches them"
            return [Finding("note" if made_from else "missing", text)]
        entries, known = originals.read_registry(sources / originals.REGISTRY.name), read_digests(sources)
        missing = [entry.file for entry in entries if not (sources / entry.file).exists()]
        changed = [entry.file for entry in entries if entry.file not in missing and not _unchanged(sources, entry, known)]
        lines = [Finding("ok", f"{len(entries) - len(missing) - len(changed)} of {len(entries)} files have their digests")]
        for state, files in (("missing", missing), ("damaged", changed)):
            lines += [Finding(state, _some(files))] if files else []
        return lines


def _examine_archive(sources: Path, name: str, made_from: Mapping[str, str]) -> list[Finding]:
    """The manifest and the archive of one collection."""
    manifest, archive = sources / f"{name}.csv", sources / f"{name}.tar.xz"
    if not manifest.exists():
        return [Finding("missing", f"{manifest}, the manifest of {archive.name}")]
    try:
        files = packaged.recordings(sources, [name])
    except InputError as error:
        return [Finding("damaged", str(error))]
    return [Finding("ok", f"{manifest.name} lists {len(files)} recordings"), _examine_files(sources, archive, files, made_from)]


def _examine_files(sources: Path, archive: Path, files: Sequence[SourceFile], made_from: Mapping[str, str]) -> Finding:
    """An archive (or its unpacked folder), compared with what its manifest lists."""
    name = archive.name.partition(".")[0]
    if archive.exists():
        what = f"{archive.name}, {archive.stat().st_size / 2**20:.1f} MiB"
        if archives.archive_digest(archive) == made_from.get(archive.name):
            return Finding("ok", f"{what}: the corpus was made of it")
        try:
            held = archives.members(archive)
        except InputError as error:
            return Finding("damaged", str(error))
    elif (sources / name).is_dir():
        what = f"{name}, an unpacked archive"
        held = {str(path.relative_to(sources)) for path in (sources / name).rglob("*") if path.is_file()}
    else:
        return Finding("missing", str(archive))
    missing = sorted({path for file in files for path in (file.file, file.asf) if path} - held)
    if missing:
        return Finding("damaged", f"{what}: lacks {_some(missing)}")
    return Finding("ok", f"{what}: whole, with every file of its manifest{'; the corpus was made of another one' if made_from else ''}")


def _unchanged(folder: Path, entry: originals.Entry, known: Mapping[str, str]) -> bool:
    expected = entry.sha256 or known.get(entry.file)
    return expected is None or hashlib.sha256((folder / entry.file).read_bytes()).hexdigest() == expected


def _existing(given: str) -> Path:
    path = Path(given)
    if not path.exists():
        raise InputError(
            f"sources={given} does not exist; expected a packed corpus (.nermpack), "
            "or a folder with cmu.tar.xz, hdm05.tar.xz, bandai.tar.xz and their .csv"
        )
    return path


def _some(files: Sequence[str]) -> str:
    return f"{', '.join(files[:3])}{f' and {len(files) - 3} more' if len(files) > 3 else ''}"


MULTIRATE, ORIGINAL = Packaged(), Originals()
