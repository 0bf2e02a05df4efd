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
from evaluators.records import Record
from nerm.data.dataset import Item

if TYPE_CHECKING:
    from evaluators.protocols.clip.comparison import Comparison

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
    """Trials are drawn with replacement, the same for every row."""
    wanted = [name for name in (*PEAKS, *BANDS) if name in metrics and comparison.row.fps >= metric(name).lowest_fps]
    yield from _peak_records(comparison, [name for name in wanted if name in PEAKS], set_)
    yield from _band_records(comparison, [name for name in wanted if name in BANDS], set_)


def _peak_records(comparison: Comparison, wanted: Sequence[str], set_: str) -> Iterator[Record]:
    """Quantiles over motions of fast actions, as far as captions or labels say so."""
    row, items = comparison.row, comparison.items
    listed = row.listed(items)
    places = np.array([k for k in row.of_set(items, set_) if is_fast(listed[k])], dtype=np.int64)
    trials = row.trials(items, places)
    if not wanted or len(places) == 0:
        return
    draws = comparison.draws(trials)
    for name in wanted:
        of, quantile = PEAKS[name]
        values = row.stack(f"values/{of}", "values")[:, np.searchsorted(row.places, places)]
        drawn = np.array([np.quantile(values[:, sample], quantile) for sample in draws.samples(trials)])
        yield from comparison.over_trials(name, drawn, float(np.quantile(values, quantile)), len(places), set_, draws)


def _band_records(comparison: Comparison, wanted: Sequence[str], set_: str) -> Iterator[Record]:
    """Of the counts of all motions drawn; the distance from recordings of the same items."""
    real, row, items = comparison.real, comparison.row, comparison.items
    wanted = [name for name in wanted if name in FIGURES or not comparison.real_is_row]
    if not wanted:
        return
    places = row.of_set(items, set_)
    counts, energy = row.stack("bands", "counts"), row.stack("bands", "energy")
    x = [real.stack("bands", name)[:1] for name in ("counts", "energy")] if "band_distribution" in wanted else []

    def figures(chosen: NDArray) -> dict[str, float]:
        which = np.searchsorted(row.places, places[chosen])
        powers = _together(counts[:, which], energy[:, which])
        values = {name: figure(powers) for name, figure in FIGURES.items() if name in wanted}
        if x:
            compared = np.searchsorted(real.places, places[chosen] if row.paired else members(items, set_, row.fps))
            values["band_distribution"] = powers.distance(_together(*(array[:, compared] for array in x)))
        return values

    trials = row.trials(items, places)
    draws = comparison.draws(trials)
    plain, drawn = figures(np.arange(len(places))), [figures(sample) for sample in draws.samples(trials)]
    for name, value in plain.items():
        yield from comparison.over_trials(name, np.array([values[name] for values in drawn]), value, len(places), set_, draws)


def _together(counts: NDArray, energy: NDArray) -> Powers:
    """Of several motions of several items: counts [K, n, 4 * bins], energy [K, n, bins]."""
    return Powers(counts.sum(axis=(0, 1)).reshape(-1, energy.shape[-1]), energy.sum(axis=(0, 1)))
