"""From measured parts to records: halves by group, clips and pairs drawn by seed, one record per replication.

A replication splits the items of a set in two, within labels (protocol version 1: at random). The real side is drawn from one half. A row's
side is the row's motions for the items of the other half. So every row is compared exactly as the floor is (real clips of one half against
real clips of the other), and value minus floor is what the row adds. Halves and clips of a replication are the same for every row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import EXTRACTORS
from evaluators.metrics import metric
from evaluators.metrics.distribution import diversity, frechet, multimodality, nearest_distance, precision_recall
from evaluators.metrics.retrieval import POOL as TEXTS
from evaluators.metrics.retrieval import matching_distance, pools, r_precision
from evaluators.protocols import Arrays
from evaluators.protocols.clip import DISTANCES, MOTION_METRICS, PHYSICAL
from evaluators.protocols.clip.detail import detail_records
from evaluators.protocols.clip.sets import FRAMES, Plan, first_set, halves, members
from evaluators.store import Record
from nerm.data.dataset import Item
from nerm.errors import InputError

CLIPS = 1000
PAIRS = 300
RETRIEVAL = ("r_precision_top1", "r_precision_top2", "r_precision_top3", "multimodal_dist")


@dataclass(frozen=True)
class Draw:
    """How replications are drawn. anew: the k-th replication uses the k-th motion of each item; else a random one of them."""

    replications: int
    seed: int = 0
    anew: bool = False

    def pick(self, replication: int, items: int, motions: int) -> NDArray[np.int64]:
        """[items] which motion of each item."""
        if self.anew:
            return np.full(items, replication % motions)
        return np.random.default_rng([self.seed, replication, 4]).integers(motions, size=items)


@dataclass(frozen=True)
class Side:
    """One side of a comparison at one rate: real motion, or a row of the table.

    places: [R] places of the items that it has motion for, sorted.  plans: set -> its clips.  parts: name of a part -> its arrays, one dict
    for each motion of an item.  paired: False if its motions belong to no item (places then only numbers them): all of them are compared
    with either half.
    """

    fps: float
    places: NDArray[np.int64]
    plans: Mapping[str, Plan]
    parts: Callable[[str], Sequence[Arrays]]
    paired: bool = True

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

    def record(self, name: str, value: float, replication: int, n: int, set_: str, extractor: str = "") -> Record:
        """One replication of one figure."""
        return Record(
            metric=name,
            value=float(value),
            n=n,
            replication=replication,
            seed=self.draw.seed,
            fps=self.row.fps,
            set=set_,
            extractor=extractor,
            upsampling=self.upsampling,
            version=metric(name).version,
            protocol=self.protocol[0],
            protocol_version=self.protocol[1],
        )

    def pick(self, replication: int, motions: int) -> NDArray[np.int64]:
        return self.draw.pick(replication, max(len(self.items), len(self.row.places)), motions)


def compare(comparison: Comparison, metrics: Sequence[str], sets: Sequence[str], extractors: Sequence[str]) -> list[Record]:
    """Every metric that is asked for and defined at the rate. Physical quantities are measured on the first set with clips alone."""
    able = [name for name in sets if len(comparison.row.plans[name].places)]
    records: list[Record] = []
    for set_ in able:
        for name in extractors:
            embeds = EXTRACTORS.get(name).embeds
            if "clips" in embeds:
                wanted = [m for m in DISTANCES if m in metrics and (m == "clip_fid" or "texts" not in embeds)]
                records += clip_records(comparison, wanted, set_, name)
            of_motions = [m for m in MOTION_METRICS if m in metrics and (m != "multimodality" or comparison.row.parts(f"repeats/{name}"))]
            if "texts" in embeds and of_motions:
                records += motion_records(comparison, of_motions, set_, name)
        if set_ == able[0]:
            records += physical_records(comparison, metrics, set_)
            records += detail_records(comparison, metrics, set_)
    return records


def clip_records(comparison: Comparison, wanted: Sequence[str], set_: str, extractor: str) -> Iterator[Record]:
    """Distances of clips."""
    if not wanted:
        return
    real, row, items, seed = comparison.real, comparison.row, comparison.items, comparison.draw.seed
    of_row = row.plans[set_].places
    x, y = (side.stack(f"clips/{extractor}", first_set(side.plans, set_)) for side in (real, row))
    for replication in range(comparison.draw.replications):
        first, second = halves(items, members(items, set_, row.fps), seed, replication)
        rng = np.random.default_rng([seed, replication, 2])
        chosen = _choose(rng, real.able(set_, first)), _choose(rng, row.able(set_, second))
        pick = comparison.pick(replication, len(y))
        a, b = x[0, chosen[0]], y[pick[of_row[chosen[1]]], chosen[1]]
        values = {"clip_fid": frechet(a, b)} if "clip_fid" in wanted else {}
        if "precision" in wanted or "recall" in wanted:
            values |= dict(zip(("precision", "recall"), precision_recall(a, b), strict=True))
        for name in wanted:
            yield comparison.record(name, values[name], replication, CLIPS, set_, extractor)


def _choose(rng: np.random.Generator, able: NDArray[np.int64]) -> NDArray[np.int64]:
    """CLIPS of the clips `able`; with replacement only if there are fewer."""
    if len(able) == 0:
        raise InputError(f"no clip of {FRAMES} frames in one half of a set; longer motions, or motions of more items, are needed")
    return able[rng.choice(len(able), CLIPS, replace=len(able) < CLIPS)]


def physical_records(comparison: Comparison, metrics: Sequence[str], set_: str) -> Iterator[Record]:
    """Means over items that are drawn with replacement, the same for every row; the energy error compares with the same items."""
    real, row, items, draw = comparison.real, comparison.row, comparison.items, comparison.draw
    places = row.of_set(items, set_)
    wanted = [name for name in PHYSICAL if name in metrics and row.fps >= metric(name).lowest_fps]
    error = "band_energy_error" in metrics and not comparison.real_is_row and row.fps >= metric("band_energy").lowest_fps
    y = {name: row.stack(f"values/{name}", "values") for name in dict.fromkeys([*wanted, *(["band_energy"] if error else [])])}
    x = real.stack("values/band_energy", "values")[0] if error else None
    motions = len(next(iter(y.values()))) if y else 1
    for replication in range(draw.replications):
        rng = np.random.default_rng([draw.seed, replication, 3])
        drawn = places[rng.integers(len(places), size=len(places))]
        pick = comparison.pick(replication, motions)
        values = {name: array[pick[drawn], _index(row.places, drawn)] for name, array in y.items()}
        for name in wanted:
            finite = values[name][np.isfinite(values[name])]
            if len(finite):
                yield comparison.record(name, finite.mean(), replication, len(places), set_)
        if x is not None:
            compared = drawn if row.paired else members(items, set_, row.fps)
            energy, expected = values["band_energy"].mean(), x[_index(real.places, compared)].mean()
            if energy > 0 and expected > 0:
                yield comparison.record("band_energy_error", abs(np.log2(energy / expected)), replication, len(places), set_)


def motion_records(comparison: Comparison, wanted: Sequence[str], set_: str, extractor: str) -> Iterator[Record]:
    """Whole motions in the space of an extractor that embeds texts too."""
    real, row, items, draw = comparison.real, comparison.row, comparison.items, comparison.draw
    places = row.of_set(items, set_)
    y = row.stack(f"motions/{extractor}", "motions")
    captioned = np.array([row.paired and bool(items[place].captions) for place in places])
    labelled = places[captioned]
    labels = [items[place].label for place in labelled]
    for replication in range(draw.replications):
        pick = comparison.pick(replication, len(y))
        first, second = halves(items, members(items, set_, row.fps), draw.seed, replication)
        everything = y[pick[places], _index(row.places, places)]
        half = everything[np.isin(places, second)] if row.paired else everything
        values: dict[str, tuple[float, int]] = {}
        if "fid" in wanted and len(half) > 1:
            x = real.stack(f"motions/{extractor}", "motions")[0]
            values["fid"] = frechet(x[_index(real.places, first)], half), len(half)
        if "nearest_train" in wanted and len(half) > 1:
            train = real.stack(f"train/{extractor}", "train")[0]
            values["nearest_train"] = nearest_distance(half, train), len(half)
        rng = np.random.default_rng([draw.seed, replication, 5])
        pairs = min(PAIRS, len(places))
        values["diversity"] = diversity(everything, pairs, rng), pairs
        if len(set(labels)) >= TEXTS and any(name in wanted for name in RETRIEVAL):
            asked, answers = real.stack(f"texts/{extractor}", "texts")[0][labelled], everything[captioned]
            chosen = pools(len(labelled), 1000 * draw.seed + replication, TEXTS, labels)
            shares = r_precision(asked, answers, chosen)
            values |= {f"r_precision_top{k}": (value, chosen.size) for k, value in enumerate(shares, start=1)}
            kept = np.sort(chosen, axis=None)
            values["multimodal_dist"] = matching_distance(asked[kept], answers[kept]), len(kept)
        if "multimodality" in wanted:  # its draws come after those of diversity
            drawn = row.parts(f"repeats/{extractor}")[0]["repeats"]
            values["multimodality"] = multimodality(drawn, comparison.pairs, rng), len(drawn)
        for name, (value, n) in values.items():
            if name in wanted:
                yield comparison.record(name, value, replication, n, set_, extractor)


def _index(places: NDArray, wanted: NDArray) -> NDArray[np.int64]:
    """The index in `places` of each of `wanted`."""
    return np.searchsorted(places, wanted)
