"""What a dataset defines for its preparation: its sources, the recordings in them, and how to read one. It knows no dataset by name.

`python -m nerm.prepare` makes a corpus of it: `nerm.data.assemble` stores what `read` returns, and `nerm.data.doctor` looks at the whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerm.data.corpus import WINDOW_S
from nerm.data.validation import Check
from nerm.errors import InputError
from nerm.motion import SMPL22, Skeleton


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recording of the sources, and the facts about it. A dataset adds what it needs to read it.

    name: unique.  source: the collection that it comes from.  fps: native rate.  split: train, val or test.  label: '' if unknown.
    """

    name: str
    source: str
    fps: float
    split: str
    label: str


@dataclass(frozen=True)
class Trial:
    """A recording brought to the corpus skeleton.

    joints: [T, J, 3] float32 metres, floor at 0.  lengths: [J] metres, the person's own.  scale: corpus metres per recorded metre.
    start: frame of the file where it begins.  floor_m: height that became 0, in corpus metres.  checks: `nerm.data.validation.measure`.
    arrays: what else the sources say of each frame, by name, [T, ...] float32.
    """

    joints: NDArray[np.float32]
    lengths: NDArray[np.float32]
    scale: float
    start: int
    floor_m: float
    checks: dict[str, Check]
    arrays: Mapping[str, NDArray] = field(default_factory=dict)


class LeftOut(NamedTuple):
    """A recording that is not used. kind: why, one of a few words, for counting.  text: what was found."""

    kind: str
    text: str


class Finding(NamedTuple):
    """One line of the doctor's page. state: ok, note (nothing to mend), missing or damaged."""

    state: str
    text: str

    @property
    def well(self) -> bool:
        return self.state in ("ok", "note")


class Preparation(ABC):
    """How a dataset is prepared. Worker processes find it by its name (`nerm.data.dataset.preparation`)."""

    name: str
    window_s: float = WINDOW_S
    """Trials are cut into windows of at most this long; infinite for a dataset whose recordings are its items."""

    @abstractmethod
    def locate(self, given: str | None) -> Path | None:
        """Where the sources are: as given (a folder, or a packed corpus), else where they usually are, else None. Fetches nothing."""

    def fetch(self, registry: str | None) -> Path:
        """The folder of sources after downloading what is missing of them. registry: a file of addresses in place of the usual one."""
        raise InputError(f"dataset '{self.name}' is not downloaded; give sources=DIR")

    def of(self, sources: Path) -> Preparation:
        """The preparation that fits these sources; a different one if they make a different dataset."""
        return self

    @abstractmethod
    def recordings(self, sources: Path, only: Sequence[str] = ()) -> Sequence[Recording]:
        """Every recording, in a fixed order. only: names of collections, all if empty."""

    @abstractmethod
    def identity(self, sources: Path, collections: Sequence[str]) -> dict[str, str]:
        """Digests that identify the sources; they become `made_from` of the corpus."""

    @abstractmethod
    def folder(self, sources: Path, collection: str, scratch: Path) -> Path:
        """The folder that `read` finds the files of a collection in. scratch: a folder to unpack into."""

    @abstractmethod
    def read(self, recording: Recording, folder: Path) -> Trial | LeftOut:
        """One recording, read, checked and brought to the corpus skeleton; or why it is left out."""

    def skeleton(self, lengths: NDArray) -> Skeleton:
        """The skeleton of the corpus. lengths: [J] metres, those of the first trial."""
        return SMPL22

    def companions(self, sources: Path, used: Sequence[Recording]) -> Mapping[str, bytes]:
        """File name -> content, of what else belongs to the corpus: captions of the recordings that were used, statistics."""
        return {}

    @abstractmethod
    def examine(self, sources: Path | None, made_from: Mapping[str, str]) -> list[Finding]:
        """Which of the sources are present, missing or damaged; changes nothing.

        sources: what `locate` gave.  made_from: of the corpus that has been prepared, empty if there is none: sources with these digests
        are known to be whole.
        """
