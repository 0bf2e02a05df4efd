"""What is compared: a row and real motion at one rate, and how the replications of their figures are drawn. It computes no figure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics import metric
from evaluators.protocols import Arrays
from evaluators.protocols.clip.sets import Plan, members
from evaluators.records import Record
from evaluators.resampling import TrialDraws, around, draws_of
from nerm.data.dataset import Item


@dataclass(frozen=True)
class Draw:
    """How replications are drawn.

    replications: of figures that draw clips, pairs or halves.  trials: bootstrap samples of trials.  anew: the k-th replication uses the
    k-th motion of each item; else a random one of them.
    """

    replications: int
    seed: int = 0
    anew: bool = False
    trials: int = 20

    def pick(self, replication: int, items: int, motions: int) -> NDArray[np.int64]:
        """[items] which motion of each item."""
        if self.anew:
            return np.full(items, replication % motions)
        return np.random.default_rng([self.seed, replication, 4]).integers(motions, size=items)


@dataclass(frozen=True)
class Side:
    """One side of a comparison at one rate: real motion, or a row of the table.

    places: [R] places of the items that it has motion for, sorted.  plans: set -> its clips.  parts: name of a part -> its arrays, one dict
    for each motion of an item.  own: given if its motions belong to no item of the dataset; then its places are those in this list, which
    says what each was asked for; all of them are compared with either half.  kept: what was computed of this side alone, for the rows that
    come after.
    """

    fps: float
    places: NDArray[np.int64]
    plans: Mapping[str, Plan]
    parts: Callable[[str], Sequence[Arrays]]
    own: Sequence[Item] | None = None
    kept: dict[tuple, Any] = field(default_factory=dict)

    @property
    def paired(self) -> bool:
        """Whether its motions were made for items of the dataset."""
        return self.own is None

    def listed(self, items: Sequence[Item]) -> Sequence[Item]:
        """What its places number: the items of the dataset, or its own."""
        return items if self.own is None else self.own

    def able(self, set_: str, half: NDArray) -> NDArray[np.int64]:
        """Indices of the clips of a set that may be drawn for a half of the items."""
        places = self.plans[set_].places
        return np.flatnonzero(np.isin(places, half)) if self.paired else np.arange(len(places))

    def of_set(self, items: Sequence[Item], set_: str) -> NDArray[np.int64]:
        """Those of its places that are in a set; all of them if it is not paired."""
        return np.intersect1d(members(items, set_, self.fps), self.places) if self.paired else self.places

    def stack(self, part: str, name: str) -> NDArray:
        """[K, ...] an array of a part over the motions of an item."""
        return np.stack([arrays[name] for arrays in self.parts(part)]).astype(np.float64)

    def trials(self, items: Sequence[Item], places: Iterable[int]) -> NDArray[np.str_]:
        """The trial of each place."""
        listed = self.listed(items)
        return np.array([listed[place].group for place in places])


@dataclass(frozen=True)
class Comparison:
    """A row against real motion at one rate. pairs: of motions of one caption, for multimodality."""

    items: Sequence[Item]
    real: Side
    row: Side
    draw: Draw
    protocol: tuple[str, int]
    upsampling: str = ""
    real_is_row: bool = False
    pairs: int = 0

    def record(
        self, name: str, value: float, replication: int, n: int, set_: str, extractor: str = "", draws: TrialDraws | None = None
    ) -> Record:
        """One replication of one figure. draws: those of trials that it comes from, if it does."""
        return Record(
            metric=name,
            value=float(value),
            n=n,
            replication=replication,
            seed=self.draw.seed if draws is None else draws.seed,
            fps=self.row.fps,
            set=set_,
            extractor=extractor,
            upsampling=self.upsampling,
            version=metric(name).version,
            protocol=self.protocol[0],
            protocol_version=self.protocol[1],
        )

    def over_trials(
        self, name: str, values: NDArray, plain: float, n: int, set_: str, draws: TrialDraws, extractor: str = ""
    ) -> Iterator[Record]:
        """A figure with its values [draws] in bootstrap samples of trials, moved so that their mean is `plain`, that of all trials."""
        finite = np.flatnonzero(np.isfinite(values))
        if len(finite) and np.isfinite(plain):
            for replication, value in zip(finite.tolist(), around(values[finite], plain), strict=True):
                yield self.record(name, value, replication, n, set_, extractor, draws)

    def draws(self, trials: Iterable[str], count: int | None = None) -> TrialDraws:
        """Bootstrap samples of trials: the same for every row that has these trials."""
        return draws_of(trials, count or self.draw.trials, self.draw.seed)

    def pick(self, replication: int, motions: int) -> NDArray[np.int64]:
        return self.draw.pick(replication, max(len(self.items), len(self.row.places)), motions)


def index(places: NDArray, wanted: NDArray) -> NDArray[np.int64]:
    """The index in `places` of each of `wanted`."""
    return np.searchsorted(places, wanted)
