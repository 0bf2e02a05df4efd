"""Records of what a frame rate is worth: peaks in fast actions, and the 8-20 Hz band as a distribution. It knows no motion."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics import metric
from evaluators.metrics.detail.bands import Powers
from evaluators.protocols.clip import BANDS, PEAKS
from evaluators.protocols.clip.sets import members
from evaluators.store import Record
from nerm.data.dataset import Item

if TYPE_CHECKING:
    from evaluators.protocols.clip.scoring import Comparison

FAST = re.compile(r"kick|punch|jump|hop|leap", re.IGNORECASE)
"""What a label or a caption of a fast action says."""
FIGURES: dict[str, Callable[[Powers], float]] = {
    "band_median": lambda powers: powers.quantile(0.5),
    "band_top1": lambda powers: powers.top_share(),
    "band_still": lambda powers: powers.quantile(0.5, slice(1)),
}
"""Metric of BANDS that needs no recordings -> its figure."""


def is_fast(item: Item) -> bool:
    """Whether an item is of a kick, punch, jump, hop or leap, as its label or its captions say."""
    return any(FAST.search(text) for text in (item.label, *item.captions))


def detail_records(comparison: Comparison, metrics: Sequence[str], set_: str) -> Iterator[Record]:
    """Items are drawn with replacement, the same for every row."""
    wanted = [name for name in (*PEAKS, *BANDS) if name in metrics and comparison.row.fps >= metric(name).lowest_fps]
    yield from _peak_records(comparison, [name for name in wanted if name in PEAKS], set_)
    yield from _band_records(comparison, [name for name in wanted if name in BANDS], set_)


def _peak_records(comparison: Comparison, wanted: Sequence[str], set_: str) -> Iterator[Record]:
    """Quantiles over motions of fast actions; none for motions that belong to no item, whose action is not known."""
    row, draw = comparison.row, comparison.draw
    places = np.array([k for k in row.of_set(comparison.items, set_) if row.paired and is_fast(comparison.items[k])], dtype=np.int64)
    if not wanted or not len(places):
        return
    y = {of: row.stack(f"values/{of}", "values") for of in dict.fromkeys(PEAKS[name][0] for name in wanted)}
    for replication in range(draw.replications):
        rng = np.random.default_rng([draw.seed, replication, 7])
        drawn = places[rng.integers(len(places), size=len(places))]
        for name in wanted:
            of, quantile = PEAKS[name]
            pick = comparison.pick(replication, len(y[of]))
            values = y[of][pick[drawn], np.searchsorted(row.places, drawn)]
            yield comparison.record(name, float(np.quantile(values, quantile)), replication, len(places), set_)


def _band_records(comparison: Comparison, wanted: Sequence[str], set_: str) -> Iterator[Record]:
    """Of the counts of all motions drawn; the distance from recordings of the same items."""
    real, row, items, draw = comparison.real, comparison.row, comparison.items, comparison.draw
    wanted = [name for name in wanted if name in FIGURES or not comparison.real_is_row]
    if not wanted:
        return
    places = row.of_set(items, set_)
    counts, energy = row.stack("bands", "counts"), row.stack("bands", "energy")
    x = [real.stack("bands", name)[0] for name in ("counts", "energy")] if "band_distribution" in wanted else []
    for replication in range(draw.replications):
        rng = np.random.default_rng([draw.seed, replication, 3])
        drawn = places[rng.integers(len(places), size=len(places))]
        which = comparison.pick(replication, len(counts))[drawn], np.searchsorted(row.places, drawn)
        powers = _together(counts[which], energy[which])
        values = {name: figure(powers) for name, figure in FIGURES.items() if name in wanted}
        if x:
            compared = np.searchsorted(real.places, drawn if row.paired else members(items, set_, row.fps))
            values["band_distribution"] = powers.distance(_together(*(array[compared] for array in x)))
        for name, value in values.items():
            if np.isfinite(value):
                yield comparison.record(name, value, replication, len(places), set_)


def _together(counts: NDArray, energy: NDArray) -> Powers:
    """Of several motions: counts [n, 4 * bins], energy [n, bins]."""
    return Powers(counts.sum(axis=0).reshape(-1, energy.shape[1]), energy.sum(axis=0))
