"""From features and class scores of motions to the records of the action protocol. It knows no system and no network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics.distribution import (
    Moments,
    diversity,
    frechet,
    moments,
    nearest_distances,
    quota_multimodality,
)
from evaluators.protocols.action import DISTANCES, DRAWN
from evaluators.protocols.clip.comparison import Comparison, index
from evaluators.protocols.clip.over_trials import FRECHET_DRAWS, frechet_records, mean_records
from evaluators.protocols.clip.sets import halves
from evaluators.protocols.clip.trial_scoring import trial_records
from evaluators.protocols.whole_parts import SET
from evaluators.records import Record

PAIRS = 200
"""Pairs of motions, for diversity."""
CLASS_PAIRS = 20
"""Pairs of motions of each class, for multimodality."""


def action_records(
    comparison: Comparison, wanted: Sequence[str], extractor: str, classes: NDArray, count: int, train: Callable[[], NDArray]
) -> Iterator[Record]:
    """classes: [n] the class of every item that counts, of `count` classes.  train: [L, N, D] features of training motions."""
    row = comparison.row
    y = row.stack(f"motions/{extractor}", "motions")
    if "accuracy" in wanted:
        right = row.stack(f"motions/{extractor}", "scores").argmax(-1) == classes
        yield from mean_records(comparison, "accuracy", right.astype(np.float64), row.places, SET, extractor)
    yield from trial_records(comparison, [name for name in DISTANCES if name in wanted], SET, extractor)
    if "fid_test" in wanted:
        yield from _against_test(comparison, y, extractor)
    if "fid_train" in wanted:
        yield from against_train(comparison, y, train(), extractor)
    if "nearest_train" in wanted:
        distances = np.stack([nearest_distances(motions, train()[0]) for motions in y])
        yield from mean_records(comparison, "nearest_train", distances, row.places, SET, extractor)
    for replication in range(comparison.draw.replications if {*DRAWN} & {*wanted} else 0):
        features = _of_replication(comparison, replication, y)
        rng = np.random.default_rng([comparison.draw.seed, replication, 5])
        spread = diversity(features, PAIRS, rng, replace=True)
        within = quota_multimodality(features, classes, count, CLASS_PAIRS, rng)
        for name, value, pairs in (("diversity", spread, PAIRS), ("multimodality", within, CLASS_PAIRS * count)):
            if name in wanted:
                yield comparison.record(name, value, replication, pairs, SET, extractor)


def _of_replication(comparison: Comparison, replication: int, y: NDArray) -> NDArray:
    """[n, D] one motion of every item: those of the replication's own seed, or a random one of each."""
    places = comparison.row.places
    return y[comparison.pick(replication, len(y))[places], np.arange(len(places))]


def _against_test(comparison: Comparison, y: NDArray, extractor: str) -> Iterator[Record]:
    """Real motion is compared with other windows of itself where a classifier sees several, as published; else halves of it."""
    places, of_row, draw = comparison.real.places, comparison.row.places, comparison.draw
    x = comparison.real.stack(f"motions/{extractor}", "motions")
    if not comparison.real_is_row or len(x) > 1:
        other = np.roll(y, -1, axis=0) if comparison.real_is_row else y
        yield from frechet_records(comparison, "fid_test", x, places, other, of_row, SET, extractor)
        return
    for replication in range(draw.replications):
        first, second = (index(places, half) for half in halves(comparison.items, places, draw.seed, replication))
        yield comparison.record("fid_test", frechet(x[0, first], x[0, second]), replication, len(second), SET, extractor)


def against_train(comparison: Comparison, y: NDArray, train: NDArray, extractor: str) -> Iterator[Record]:
    """FID of a row [K, n, D] against training motions [L, N, D], which stay as they are while the row's trials are drawn."""
    of_train: list[Moments] = [moments(features) for features in train]
    places = comparison.row.places
    trials = comparison.row.trials(comparison.items, places)
    plain = float(np.mean([frechet(of_train[k % len(train)], motions) for k, motions in enumerate(y)]))
    draws = comparison.draws(trials, min(FRECHET_DRAWS, comparison.draw.trials))
    values = []
    for k, sample in enumerate(draws.samples(trials)):
        picked = comparison.pick(k, len(y))[places]
        values.append(frechet(of_train[k % len(train)], y[picked[sample], sample]))
    yield from comparison.over_trials("fid_train", np.array(values), plain, y.shape[1], SET, draws, extractor)
