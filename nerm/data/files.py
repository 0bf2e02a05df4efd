"""Official files on disk: where they are, and digests of them. It knows no dataset."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from nerm.errors import InputError


def found(dataset: str, given: str | None, homes: Sequence[str], marker: str) -> Path | None:
    """The folder of sources: the given one, or one of that name in it, that holds `marker`. Not given: of NERM_SOURCES/data, else None."""
    if given is None:
        roots = [Path(os.environ["NERM_SOURCES"]) / "data"] if "NERM_SOURCES" in os.environ else []
    else:
        roots = [Path(given)]
        if not roots[0].exists():
            raise InputError(f"sources={given} does not exist; expected the folder of the official files of dataset '{dataset}'")
    places = [*(roots if given is not None else []), *(root / home for root in roots for home in homes)]
    holding = [place for place in places if (place / marker).exists()]
    return holding[0] if holding else (roots[0] if given is not None else None)


def digest_of(files: Iterable[Path], whole: bool = True) -> str:
    """sha256 of names and contents of files (of names and sizes, if not whole: there can be many gigabytes)."""
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            digest.update(f"{file.name} is missing\n".encode())
            continue
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        if whole:
            digest.update(file.read_bytes())
    return digest.hexdigest()
