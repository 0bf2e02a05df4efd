"""What protocols of whole motions at the dataset's base rate share: what is asked for, how extractors see it, and the two sides compared.

A recording may be longer than a published classifier takes; it then sees a window of it, drawn anew for every seed, and so differs from
seed to seed even on real motion. It knows no metric.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import Extractor
from evaluators.generation import REAL, Request
from evaluators.given import Given, Scored, ScoresFiles
from evaluators.items import sample_seed
from evaluators.protocols import Arrays, EvaluationProtocol, Part, Unit
from evaluators.protocols.clip.comparison import Comparison, Draw, Side
from evaluators.protocols.whole_parts import nothing_cut, published, seen, windows
from evaluators.records import Record
from evaluators.tables import Row
from nerm.data.dataset import Item
from nerm.generator import Condition

PUBLISHED_FRAMES = 60
"""Frames that the published classifiers were trained on and are given."""
MOST = 3000
"""The most training motions that count, as published."""
TRAIN_SEED = 1000
"""Seed of the first windows of training motions, so that they are not those of test motions."""


@dataclass(frozen=True)
class Tier:
    """motions: per item, one for each seed.  replications: of figures that draw pairs or subsets.  trials: bootstrap samples of trials.

    anew: the k-th replication has the k-th motions alone, as published.
    """

    motions: int
    replications: int
    trials: int
    anew: bool = False


TIERS = {
    "quick": Tier(motions=1, replications=5, trials=20),
    "full": Tier(motions=3, replications=20, trials=100),
    "paper": Tier(motions=20, replications=20, trials=100, anew=True),
}


class WholeMotionProtocol(EvaluationProtocol, ScoresFiles):
    """Motions asked for with a condition of each item, and what extractors make of them."""

    tiers = TIERS
    metrics: tuple[str, ...]
    usable: str = "usable"
    """What a motion is that counts here, in a sentence."""
    trained: tuple[str, ...] = ()
    """Those of its metrics that compare with training motions."""

    @abstractmethod
    def condition(self, item: Item) -> Condition:
        """What a system is asked for in place of an item."""

    @abstractmethod
    def sees(self, name: str) -> bool:
        """Whether an extractor of the table counts here."""

    @abstractmethod
    def counted(self, items: Sequence[Item]) -> NDArray[np.int64]:
        """The places of the items that count."""

    @abstractmethod
    def defined(self, metric: str, extractor: Extractor) -> bool:
        """Whether a metric is defined in the space of an extractor."""

    @abstractmethod
    def records(self, comparison: Comparison, extractor: str, metrics: Sequence[str], train: Callable[[], NDArray]) -> Sequence[Record]:
        """The records of an extractor. train: [L, N, D] features of training motions."""

    @property
    def settings(self) -> Tier:
        return TIERS[self.run.tier]

    @cached_property
    def places(self) -> NDArray[np.int64]:
        return self.counted(self.run.items)

    @cached_property
    def _kept(self) -> dict[tuple, Any]:
        return {}

    # --- what is asked for ------------------------------------------------------------------------------------------------------------

    @cached_property
    def frames(self) -> int:
        """The number of frames of every motion, if a published classifier is among the extractors; else 0."""
        return PUBLISHED_FRAMES if any(published(name) for name in self.run.extractors if self.sees(name)) else 0

    def requests(self, row: Row, asks: str) -> Sequence[Request]:
        """'0', '1', ...: a motion for every item that counts, as long as its recording, or as many frames as are published."""
        items, seed = self.run.items, self.run.seed
        fixed = (self.frames - 1) / self.run.base_fps if self.frames and row.system != REAL else None
        return [
            Request(k, self.condition(items[k]), fixed or items[k].seconds, sample_seed(seed, items[k], int(asks)))
            for k in self.places.tolist()
        ]

    def wanted(self, part: Part) -> Sequence[int]:
        return range(len(self.places)) if part.asks else range(0)

    # --- figures and their parts ------------------------------------------------------------------------------------------------------

    def units(self, row: Row) -> list[Unit]:
        fps = self.run.base_fps
        if fps not in self.run.table.rates or not len(self.places):
            return []
        units = []
        for name in self.metrics:
            using = [e for e, extractor in self.run.extractors.items() if self.sees(e) and self.defined(name, extractor)]
            if name in self.run.table.metrics and using:
                parts = tuple(part for extractor in using for part in self._of_row(row, extractor))
                reference = tuple(part for extractor in using for part in self._of_real(extractor, name in self.trained))
                units.append(Unit(name, fps, parts, reference))
        return units

    def _of_row(self, row: Row, extractor: str) -> tuple[Part, ...]:
        if row.system == REAL and not (row.variant or row.upsampling):
            return self._of_real(extractor, train=False)
        return self._motions(extractor, 1 if row.system == REAL and not published(extractor) else self.settings.motions)

    def _of_real(self, extractor: str, train: bool) -> tuple[Part, ...]:
        """Parts of recordings: one for each seed where a published classifier sees another window at each, else one."""
        count = self.settings.motions if published(extractor) else 1
        of_train = tuple(Part(_numbered(f"train/{extractor}", k), None, "", extractor) for k in range(count))
        return self._motions(extractor, count) + (of_train if train else ())

    def _motions(self, extractor: str, count: int) -> tuple[Part, ...]:
        return tuple(Part(_numbered(f"motions/{extractor}", k), self.run.base_fps, str(k), extractor) for k in range(count))

    def reference_parts(self, extractors, rates: Sequence[float]) -> list[Part]:
        if self.run.base_fps not in rates or not len(self.places):
            return []
        kept = [name for name in extractors if self.sees(name) and not published(name)]
        return [part for name in kept for part in self._of_real(name, train=bool(self.trained))]

    # --- measuring --------------------------------------------------------------------------------------------------------------------

    def measure(self, row: Row, part: Part) -> Arrays:
        extractor = self.run.extractors[part.extractor]
        if part.name.startswith("train/"):
            return self._train(extractor, _number(part))
        number, fps = int(part.asks), self.run.base_fps
        motions = self.run.motions(row, self, part.asks, fps, self.wanted(part))
        listed = list(motions.values())
        if published(part.extractor) and row.system == REAL:
            listed = windows(listed, [self.run.items[k] for k in self.places], self.frames, self.run.seed, number)
        return seen(extractor, listed, number)

    def _train(self, extractor: Extractor, number: int) -> Arrays:
        dataset = self.run.dataset()
        items = list(dataset.items("train"))
        items = [items[k] for k in self.counted(items)]
        if len(items) > MOST:
            items = [items[k] for k in np.sort(np.random.default_rng([self.run.seed, number]).permutation(len(items))[:MOST])]
        motions = [dataset.motion(item) for item in items]
        if published(extractor.name):
            motions = windows(motions, items, self.frames, self.run.seed, TRAIN_SEED + number)
        return {"motions": seen(extractor, motions, TRAIN_SEED + number)["motions"].astype(np.float16)}

    # --- scoring ----------------------------------------------------------------------------------------------------------------------

    def score(self, row: Row, units: Sequence[Unit], part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]) -> Sequence[Record]:
        records: list[Record] = []
        for extractor in self.run.extractors:
            wanted = [unit.metric for unit in units if any(p.extractor == extractor for p in unit.parts)]
            if wanted:
                sides = (
                    self.side(real, self._of_real(extractor, train=False), kept=self._kept),
                    self.side(part, self._of_row(row, extractor), None if row.system == REAL or self.pairs_items else self._unpaired),
                )
                draw = Draw(self.settings.replications, self.run.seed, self.settings.anew and row.system != REAL, self.settings.trials)
                floor = row.system == REAL and not row.variant and not row.upsampling
                protocol = (self.name, self.version)
                comparison = Comparison(self.run.items, *sides, draw, protocol, self.run.upsampling(row), floor)
                train = lambda name=extractor: self.train(name, real)  # noqa: E731
                records += self.records(comparison, extractor, wanted, train)
        return records

    pairs_items: bool = True
    """Whether a generated motion belongs to its item: never so where nothing of the item was asked for."""

    @cached_property
    def _unpaired(self) -> list[Item]:
        """The items, each a trial of its own: what motions are that were made for none of them."""
        return [replace(item, group=f"motion {place}") for place, item in enumerate(self.run.items)]

    def parts_of_real(self, extractor: str) -> tuple[Part, ...]:
        """The parts of test recordings in the space of an extractor."""
        return self._of_real(extractor, train=False)

    def train(self, extractor: str, real: Callable[[Part], Arrays] | None = None) -> NDArray:
        """[L, N, D] features of training motions."""
        of = real or (lambda part: self.run.real(self, part))
        parts = [part for part in self._of_real(extractor, train=True) if part.name.startswith("train/")]
        return np.stack([of(part)["motions"] for part in parts]).astype(np.float64)

    def side(
        self, of: Callable[[Part], Arrays], parts: Sequence[Part], own: Sequence[Item] | None = None, kept: dict | None = None
    ) -> Side:
        """A side of a comparison. of: measures a part.  own: as in `Side`."""
        motions = lambda name: [of(p) for p in parts] if name.startswith("motions/") else []  # noqa: E731
        return Side(self.run.base_fps, self.places, nothing_cut(), motions, own, {} if kept is None else kept)

    def score_given(self, given: Given) -> Scored:
        from evaluators.protocols.whole_given import score_given

        return score_given(self, given)

    def asks_for(self, fps: float | None = None) -> Sequence[Request]:
        return self.requests(Row("files", "files"), "0")

    def known_labels(self) -> Sequence[str]:
        return sorted({item.label for item in self.run.items if item.label})

    def about(self) -> dict[str, Any]:
        return {self.name: asdict(self.settings) | {"items": len(self.places)}}


def _numbered(name: str, number: int) -> str:
    return f"{name}/{number}" if number else name


def _number(part: Part) -> int:
    last = part.name.rpartition("/")[2]
    return int(last) if part.name.count("/") > 1 else 0
