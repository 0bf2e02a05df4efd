"""A prepared multirate corpus as a Dataset, with the sentences of its labels."""

from __future__ import annotations

from pathlib import Path

from nerm.data.corpus import load_corpus
from nerm.data.multirate.captions import load_captions
from nerm.data.stored import StoredDataset

BASE_FPS = 20.0


def open_multirate(home: Path | None = None) -> StoredDataset:
    """The corpus of the packaged archives."""
    return _open("multirate", home)


def open_original(home: Path | None = None) -> StoredDataset:
    """The corpus of the original files."""
    return _open("multirate-original", home)


def sentences() -> dict[str, tuple[str, ...]]:
    """Label -> its training sentences."""
    return load_captions().train


def _open(name: str, home: Path | None) -> StoredDataset:
    return StoredDataset(load_corpus(name, home), load_captions().of_item, BASE_FPS)
