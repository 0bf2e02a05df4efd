"""Downloading the original files of the recordings, each checked by a digest: the registry's, or the one noted at first use.

It knows addresses and files, no motion. Digests lie beside the files in `digests.sha256`, in the format of the command sha256sum.
"""

from __future__ import annotations

import hashlib
import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import quote

from nerm.atomic import replacing
from nerm.cli import data_home, progress
from nerm.data.multirate.originals import DIGESTS, REGISTRY, Entry, read_registry
from nerm.errors import InputError
from nerm.lock import alone

_AT_ONCE = 4
_TIMEOUT_S = 30


def download_sources(registry: str | Path | None = None, folder: Path | None = None) -> Path:
    """The folder of original files, complete and checked; downloads what is missing.

    registry: file of addresses, default NERM_REGISTRY or the one of the package.  folder: default `originals` under NERM_DATA.
    The digest of a file without one in the registry is noted when it is first used; afterwards other content is an error, on disk and on
    the server alike. Files that were put there by hand count as downloaded.
    """
    path = Path(registry or os.environ.get("NERM_REGISTRY") or REGISTRY)
    entries = read_registry(path)
    folder = folder or originals_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        noted = read_digests(folder)
        missing = [entry for entry in entries if not (folder / entry.file).exists()]
        for entry in entries:
            if (folder / entry.file).exists():
                _check(folder, entry, noted)
        if missing:
            progress(f"prepare: downloading {len(missing)} of {len(entries)} files into {folder}")
            _download_all(missing, folder, noted, path)
        with replacing(folder / REGISTRY.name) as temporary:
            temporary.write_bytes(path.read_bytes())
    return folder


def originals_folder() -> Path:
    """Where downloaded originals lie."""
    return data_home() / "originals"


def _download_all(missing: list[Entry], folder: Path, noted: dict[str, str], registry: Path) -> None:
    done = 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs: dict[Future[None], Entry] = {pool.submit(_download, entry, folder, noted.get(entry.file)): entry for entry in missing}
        for job in as_completed(jobs):
            entry = jobs[job]
            error = job.exception()
            if error is not None:
                pool.shutdown(wait=False, cancel_futures=True)
                if isinstance(error, OSError) and error.errno is not None:  # the disk, not the network
                    raise error
                raise InputError(_sentence(entry, error, folder, registry, len(missing) - done)) from None
            _check(folder, entry, noted)
            done += 1
            if done % 100 == 0 or done == len(missing):
                progress(f"prepare: {done} of {len(missing)} files downloaded")


def _download(entry: Entry, folder: Path, noted: str | None) -> None:
    """One file, moved into place only when it is complete and its digest fits."""
    import pooch

    pooch.get_logger().setLevel(logging.WARNING)
    known = entry.sha256 or noted
    store = pooch.create(
        path=folder,
        base_url="",
        registry={entry.file: f"sha256:{known}" if known else None},
        urls={entry.file: quote(entry.url, safe=":/?&=%~+,@")},
        retry_if_failed=1,
    )
    (folder / entry.file).parent.mkdir(parents=True, exist_ok=True)  # pooch's own is not safe with several threads
    store.fetch(entry.file, downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S, chunk_size=1 << 16))


def _check(folder: Path, entry: Entry, noted: dict[str, str]) -> None:
    """Compare a file with its digest; note it if there is none yet."""
    with (folder / entry.file).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known = entry.sha256 or noted.get(entry.file)
    if known and digest != known:
        where = "in the registry" if entry.sha256 else f"at first use in {folder / DIGESTS}"
        raise InputError(
            f"{folder / entry.file} has changed: its sha256 is {digest[:12]}..., noted {where} is {known[:12]}...; "
            "delete the file to download it again, or its record if the change is meant"
        )
    if noted.get(entry.file) != digest:
        noted[entry.file] = digest
        with (folder / DIGESTS).open("a") as file:
            file.write(f"{digest}  {entry.file}\n")


def read_digests(folder: Path) -> dict[str, str]:
    """file -> sha256; a line that was cut short when a process was killed is ignored."""
    path = folder / DIGESTS
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.split("  ", 1) for line in lines)
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2 and len(pair[0]) == 64}


def _sentence(entry: Entry, error: BaseException, folder: Path, registry: Path, left: int) -> str:
    reason = "its content has another digest than " + ("the registry's" if entry.sha256 else "at first use")
    if "does not match the known hash" not in str(error):
        reason = f"{type(error).__name__}: {str(error).splitlines()[0][:120]}" if str(error) else type(error).__name__
    return (
        f"cannot download {entry.url} ({reason}): put it there as {folder / entry.file}, likewise the {left} files still missing of those "
        f"that {registry} lists, and run the same command again, "
        "or give sources=DIR with cmu.tar.xz, hdm05.tar.xz, bandai.tar.xz and their .csv"
    )
