"""Motions that the user brings as files, and what a protocol offers that scores them. It knows no file format and no metric.

A folder and a list of conditions -> `Given` (`folder`, `conditions`, `matching`) -> the protocol's `score_given` -> records (`printing`,
`keeping`). `python -m evaluators.score` puts these together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from evaluators.enough import Shortage
    from evaluators.generation import Request
    from evaluators.records import Record
    from nerm.data.dataset import Item
    from nerm.motion import Motion


@dataclass(frozen=True)
class Given:
    """The user's motions at one rate, and what each was made for.

    motions: place -> motion at fps, in the order of their places.  own: None if the places are those of the dataset's items, for which the
    motions were made; else they are places in this list, in which each motion is an item and a group (a trial) of its own, with the caption
    and the label that it was asked for, as far as they are known.  upsampling: the method that brought some of them to fps, '' if none was.
    """

    fps: float
    motions: Mapping[int, Motion]
    own: tuple[Item, ...] | None = None
    upsampling: str = ""

    @property
    def paired(self) -> bool:
        """Whether the motions were made for items of the dataset."""
        return self.own is None


class Scored(NamedTuple):
    """The records of the user's motions, and the metrics that are left out because there are too few motions.

    left_out: reason -> how many motions the protocol could not use.
    """

    records: Sequence[Record]
    short: Sequence[Shortage] = ()
    left_out: Mapping[str, int] | None = None


class ScoresFiles(ABC):
    """What a protocol may also offer: scoring motions of the user against the real motion that it compares systems with."""

    @abstractmethod
    def score_given(self, given: Given) -> Scored:
        """The records of the table's metrics for given motions, at their rate. Real motion comes from `Run.real`, as for a system."""

    @abstractmethod
    def asks_for(self, fps: float | None = None) -> Sequence[Request]:
        """What a system is asked for, one request per motion: what the user should generate. fps: only what counts at that rate."""

    @abstractmethod
    def known_labels(self) -> Sequence[str]:
        """The labels that a motion can have been asked for by."""
