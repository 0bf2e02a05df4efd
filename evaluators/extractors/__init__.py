"""Networks that embed motions, texts or both in a space where distances mean something. Listing them imports none.

An extractor is a folder of this package whose `__init__.py` declares an ExtractorEntry, or a plugin that does (`nerm.registry`).
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.checkpoint import SUFFIX
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.registry import Registry, load_object


class Extractor(ABC):
    """A trained network. digest: sha256 of its weights.  reads: the format whose features it takes unchanged from a system, '' for none."""

    name: str
    version: int
    digest: str
    reads: str = ""

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


@dataclass(frozen=True)
class ExtractorEntry:
    """An extractor as data; "module:function" strings are imported when they are needed.

    embeds: of 'clips', 'motions', 'texts'.  version: of the weights and of every metric on them.
    loads: (path) -> Extractor.  trains: (dataset, budget, folder, path) -> None, writes the weights to `path`.
    decisive_fps: rates at which its controls must hold.  trained_on: the kinds of damage that its training shows it; no control is among
    them (`evaluators.extractors.acceptance`).  reproduces: as in `baselines.base.System`.
    weights: False for an extractor without weights; `loads` is then called with None.
    skeletons: names of those that it reads.
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
    skeletons: tuple[str, ...] = ("smpl22",)

    @property
    def file(self) -> str:
        """Its file in a folder of models."""
        return f"{self.name}{SUFFIX}"


EXTRACTORS: Registry[ExtractorEntry] = Registry("extractor", ExtractorEntry, "evaluators.extractors")


def load_extractor(name: str, folders: Iterable[Path]) -> Extractor:
    """The trained extractor of that name from the first folder that holds its file. Shipped weights must be the frozen ones."""
    from evaluators.extractors.frozen import check_frozen

    entry, folders = EXTRACTORS.get(name), list(folders)
    if not entry.weights:
        return load_object(entry.loads)(None)
    path = next((folder / entry.file for folder in folders if (folder / entry.file).exists()), None)
    if path is None:
        where = " or ".join(map(str, folders))
        raise InputError(f"no {entry.file} in {where}; train the extractor: python -m evaluators.train extractor={name}")
    extractor = load_object(entry.loads)(path)
    check_frozen(name, extractor.version, extractor.digest, path)
    return extractor
