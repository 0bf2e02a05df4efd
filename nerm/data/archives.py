"""The packaged archives NAME.tar.xz on disk: unpacked once, told apart by content. It knows no motion."""

from __future__ import annotations

import hashlib
import lzma
import shutil
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from nerm.cli import progress
from nerm.errors import InputError


def folder(sources: Path, name: str, scratch: Path) -> Path:
    """The folder under which the files of archive `name` lie.

    This is `scratch`, into which NAME.tar.xz is unpacked if that is not done yet, or `sources` itself if it holds NAME/ and no archive.
    """
    archive = sources / f"{name}.tar.xz"
    if not archive.exists():
        if (sources / name).is_dir():
            return sources
        raise InputError(f"{archive} is missing: put the archive {name}.tar.xz with its manifest {name}.csv into {sources}")
    marker = scratch / f"{name}.complete"
    if not marker.exists():
        shutil.rmtree(scratch / name, ignore_errors=True)  # what an interrupted run left
        scratch.mkdir(parents=True, exist_ok=True)
        progress(f"prepare: unpacking {archive.name}")
        with _opened(archive) as tar:
            for member in tar:
                unpack(tar, member, scratch)
        marker.touch()
    return scratch


def unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    """Write one file or folder under target, and nothing outside of it (Python has filters for that only since 3.11.4)."""
    place = target / member.name
    if not place.resolve().is_relative_to(target.resolve()) or not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"it holds {member.name}, which is not a plain file or folder inside it")
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(member)
    assert content is not None  # it is a file
    with content, place.open("wb") as file:
        shutil.copyfileobj(content, file)


def identity(sources: Path, names: Sequence[str]) -> dict[str, str]:
    """Name -> sha256 of each archive; an unpacked one is only named. A missing one is no error here; `folder` raises it later."""
    digests = {}
    for name in names:
        archive = sources / f"{name}.tar.xz"
        if archive.exists():
            digests[archive.name] = archive_digest(archive)
        else:
            digests[name] = "unpacked"
    return digests


def archive_digest(archive: Path) -> str:
    """sha256 of an archive's bytes."""
    with archive.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def members(archive: Path) -> set[str]:
    """The names of all files in an archive, which is read to its end; a damaged one is an InputError."""
    names = set()
    with _opened(archive) as tar:
        for member in tar:
            if member.isfile():
                names.add(member.name)
    return names


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """An archive as a stream of members; after them it is read to the checksum at its end."""
    try:
        with lzma.open(archive) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                yield tar
            while stream.read(1 << 20):
                pass
    except (EOFError, lzma.LZMAError, tarfile.TarError) as error:
        raise InputError(f"{archive} is truncated or damaged ({str(error).rstrip('.')}): fetch it again and run the same command") from None
