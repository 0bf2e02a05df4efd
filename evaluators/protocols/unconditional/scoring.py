"""From features of motions to the records of the unconditional protocol. It knows no system and no network.

A generated motion belongs to no item, so each counts as a trial of its own; recordings (real or damaged) belong to their trials. Floors
compare halves of the real trials, and precision and recall compare one half of the real motions with as many of the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics.distribution import diversity, frechet, kernel_distances, nearest_distances, precision_recall
from evaluators.protocols.action.scoring import against_train
from evaluators.protocols.clip.comparison import Comparison, index
from evaluators.protocols.clip.over_trials import frechet_records, mean_records
from evaluators.protocols.clip.sets import halves
from evaluators.protocols.clip.trial_scoring import trial_records
from evaluators.protocols.unconditional import HALVED, TRIAL_DISTANCES
from evaluators.protocols.whole_parts import SET
from evaluators.records import Record

PAIRS = 200
SUBSETS = 5
"""Subsets of KID in a replication: a hundred, as published, in twenty replications."""
LARGEST_SUBSET = 1000
"""Motions of a subset of KID in the published code, which has no more than these."""


def unconditional_records(comparison: Comparison, wanted: Sequence[str], extractor: str, train: Callable[[], NDArray]) -> Iterator[Record]:
    """train: [L, N, D] features of training motions."""
    row, draw = comparison.row, comparison.draw
    x = comparison.real.stack(f"motions/{extractor}", "motions")
    y = row.stack(f"motions/{extractor}", "motions")
    yield from trial_records(comparison, [name for name in TRIAL_DISTANCES if name in wanted], SET, extractor)
    if "fid" in wanted and not comparison.real_is_row:
        yield from frechet_records(comparison, "fid", x, comparison.real.places, y, row.places, SET, extractor)
    if "fid_train" in wanted:
        yield from against_train(comparison, y, train(), extractor)
    if "nearest_train" in wanted:
        distances = np.stack([nearest_distances(motions, train()[0]) for motions in y])
        yield from mean_records(comparison, "nearest_train", distances, row.places, SET, extractor)
    drawn = [name for name in ("kid", *HALVED, "diversity") if name in wanted]
    drawn += ["fid"] if "fid" in wanted and comparison.real_is_row else []
    for replication in range(draw.replications if drawn else 0):
        one = y[comparison.pick(replication, len(y))[row.places], np.arange(len(row.places))]
        values = _drawn(comparison, x[replication % len(x)], one, replication, {*drawn})
        for name in drawn:
            value, n = values[name]
            yield comparison.record(name, value, replication, n, SET, extractor)


def _drawn(comparison: Comparison, x: NDArray, y: NDArray, replication: int, wanted: set[str]) -> dict[str, tuple[float, int]]:
    """Metric -> value and samples, as far as there are enough, of real features x [n, D] and those of a row y [n, D] in one replication."""
    places, seed = comparison.real.places, comparison.draw.seed
    first, second = (index(places, half) for half in halves(comparison.items, places, seed, replication))
    rng = np.random.default_rng([seed, replication, 9])
    if not comparison.row.paired:
        second = np.sort(rng.permutation(len(y))[: len(second)])
    a, b = x[first], y[second]
    apart = comparison.real_is_row or comparison.row.paired  # recordings of one trial are not compared with each other
    of_real, of_row = (a, b) if apart else (x, y)
    size = min(len(of_real) // 2, len(of_row) // 2, LARGEST_SUBSET)
    values: dict[str, tuple[float, int]] = {}
    if size >= 2:
        values["kid"] = float(kernel_distances(of_real, of_row, rng, SUBSETS, size, replace=False).mean()), size
    if wanted & {*HALVED}:
        values |= dict(zip(HALVED, ((share, len(b)) for share in precision_recall(a, b)), strict=True))
    return values | {
        "diversity": (diversity(y, PAIRS, rng, replace=True), PAIRS),
        "fid": (frechet(a, b), len(b)) if comparison.real_is_row else (float("nan"), 0),
    }
