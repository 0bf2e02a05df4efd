"""Networks that embed motions, texts or both in a space where distances mean something. Listing them imports none.

An extractor is a folder of this package whose `__init__.py` declares an ExtractorEntry, or a plugin that does (`nerm.registry`).
"""

from __future__ import annotations

import os
from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nerm.checkpoint import SUFFIX
from nerm.errors import InputError, MissingFile
from nerm.motion import Motion
from nerm.registry import Registry, load_object


class Classified(NamedTuple):
    """What a classifier says of n motions. features: [n, D], for distances.  scores: [n, classes], the highest is its answer."""

    features: NDArray[np.float32]
    scores: NDArray[np.float32]


class Extractor(ABC):
    """A trained network. digest: sha256 of its weights.  reads: the format whose features it takes unchanged from a system, '' for none.

    classes: what it tells apart, in the order of its scores; a published file that names none has numbers.
    """

    name: str
    version: int
    digest: str
    reads: str = ""
    classes: tuple[str, ...] = ()

    def embed_clips(self, joints: NDArray, fps: float) -> NDArray[np.float32]:
        """Clips [n, m, 22, 3] in metres at one rate -> [n, D]."""
        raise InputError(f"extractor '{self.name}' embeds no clips")

    def embed_motions(self, motions: Sequence[Motion]) -> NDArray[np.float32]:
        """Whole motions at any rate -> [n, D], where distances between motions are taken."""
        raise InputError(f"extractor '{self.name}' embeds no whole motions")

    def match_motions(self, motions: Sequence[Motion]) -> NDArray[np.float32]:
        """Whole motions at any rate -> [n, E], in the space of `embed_texts`. For many extractors both spaces are one."""
        return self.embed_motions(motions)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Sentences -> [n, E], in the space of `match_motions`."""
        raise InputError(f"extractor '{self.name}' embeds no texts")

    def classify(self, motions: Sequence[Motion], seed: int = 0) -> Classified:
        """Whole motions at any rate -> features and class scores, in input order.

        seed: of what a published classifier draws at every call (the recurrent one its initial state); other classifiers ignore it.
        """
        raise InputError(f"extractor '{self.name}' embeds no actions")


@runtime_checkable
class ReadsTokens(Protocol):
    """What an extractor of texts may also offer: reading the words and word classes that were published with a caption."""

    def embed_tokens(self, tokens: Sequence[str]) -> NDArray[np.float32]:
        """'word/POS word/POS ...' each -> [n, E], in the space of `embed_texts`."""
        ...


@dataclass(frozen=True)
class Official:
    """A published file of weights, which does not ship here: a user gives it.

    files: its names, any of which will do.  source: where it is published.  folder: where it is looked for in NERM_SOURCES/data, beside the
    folders of models.  sha256: of the file, '' where none is known; another file is refused.
    """

    files: tuple[str, ...]
    source: str
    folder: str
    sha256: str = ""


@dataclass(frozen=True)
class ExtractorEntry:
    """An extractor as data; "module:function" strings are imported when they are needed.

    embeds: of 'clips', 'motions', 'texts', 'actions' (a classifier).  version: of the weights and of every metric on them.
    loads: (path) -> Extractor.  trains: (dataset, budget, folder, path) -> None, writes the weights to `path`.
    decisive_fps: rates at which its controls must hold.  trained_on: the kinds of damage that its training shows it; no control is among
    them (`evaluators.extractors.acceptance`).  reproduces: as in `baselines.base.System`.
    weights: False for an extractor without weights; `loads` is then called with None.  official: its published file, if it is not trained
    here.  skeletons: names of those that it reads.
    """

    name: str
    title: str
    embeds: tuple[str, ...]
    version: int
    loads: str
    trains: str = ""
    decisive_fps: tuple[float, ...] = ()
    trained_on: tuple[str, ...] = ()
    reproduces: Mapping[str, str] = field(default_factory=dict)
    licence: str = ""
    weights: bool = True
    official: Official | None = None
    skeletons: tuple[str, ...] = ("smpl22",)

    @property
    def file(self) -> str:
        """Its file in a folder of models."""
        return self.official.files[0] if self.official else f"{self.name}{SUFFIX}"


EXTRACTORS: Registry[ExtractorEntry] = Registry("extractor", ExtractorEntry, "evaluators.extractors")


def load_extractor(name: str, folders: Iterable[Path]) -> Extractor:
    """The extractor of that name from the first folder that holds its file. Shipped weights must be the frozen ones.

    An official extractor without its file is an InputError that says which file to get from where.
    """
    from evaluators.extractors.frozen import check_frozen

    entry, folders = EXTRACTORS.get(name), list(folders)
    if not entry.weights:
        return load_object(entry.loads)(None)
    if entry.official:
        return load_object(entry.loads)(official_file(entry.name, entry.official, folders))
    path = next((folder / entry.file for folder in folders if (folder / entry.file).exists()), None)
    if path is None:
        where = " or ".join(map(str, folders))
        raise InputError(f"no {entry.file} in {where}; train the extractor: python -m evaluators.train extractor={name}")
    extractor = load_object(entry.loads)(path)
    check_frozen(name, extractor.version, extractor.digest, path)
    return extractor


def official_file(name: str, official: Official, folders: Iterable[Path]) -> Path:
    """The published file of an extractor in one of the folders or in NERM_SOURCES, its digest verified where one is known."""
    from nerm.checkpoint import sha256

    sources = os.environ.get("NERM_SOURCES")
    places = [*folders, *([Path(sources) / "data" / official.folder] if sources else [])]
    path = next((place / file for place in places for file in official.files if (place / file).is_file()), None)
    if path is None:
        where, files = " or ".join(map(str, places)), " or ".join(official.files)
        raise MissingFile(f"extractor '{name}' is a published one that does not ship: put {files} of {official.source} into {where}")
    if official.sha256 and (found := sha256(path)) != official.sha256:
        raise InputError(
            f"{path} has sha256 {found[:12]}; the file published by {official.source} has {official.sha256[:12]}: download it again"
        )
    return path
