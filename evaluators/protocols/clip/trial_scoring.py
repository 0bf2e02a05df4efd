"""The distances that decide: between trials of real motion and of a row's motion for the same items, and their floor.

Both sides have all their clips of a set. A generated motion is of the trial of the item that it was made for, and clips of one trial are
never compared, neither across the sides nor within one. Replications are bootstrap samples of trials. The floor compares random halves of
the real trials; its expectation is zero. Motions that belong to no item are trials of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics.trials import KERNELS, Kernel, Pairs, common_trials, discrepancy, drawn, drawn_apart, means_of_pairs, split
from evaluators.protocols.clip.comparison import Comparison, index
from evaluators.protocols.clip.sets import first_set
from evaluators.records import Record
from evaluators.resampling import Array, TrialDraws, draw_seed


def trial_records(comparison: Comparison, wanted: Sequence[str], set_: str, extractor: str) -> Iterator[Record]:
    """Distances between trials, of clips or of whole motions."""
    for name in wanted:
        if comparison.real_is_row:
            yield from _floor(comparison, name, set_, extractor)
        elif comparison.row.paired:
            yield from _of_same_trials(comparison, name, set_, extractor)
        else:
            yield from _of_other_trials(comparison, name, set_, extractor)


def _floor(comparison: Comparison, name: str, set_: str, extractor: str) -> Iterator[Record]:
    """Halves of the real trials without a common trial."""
    trials, xx = _real(comparison, name, set_, extractor)
    seed = draw_seed(trials, comparison.draw.seed)
    halves = split(len(trials), comparison.draw.trials, seed)
    draws = TrialDraws(trials, halves[0], seed)
    for replication, value in enumerate(discrepancy(Pairs(xx, xx, xx), *halves)):
        yield comparison.record(name, value, replication, len(trials), set_, extractor, draws)


def _of_same_trials(comparison: Comparison, name: str, set_: str, extractor: str) -> Iterator[Record]:
    trials, xx = _real(comparison, name, set_, extractor)
    x, of_x = _clips(comparison, "real", set_, extractor)
    y, of_y = _clips(comparison, "row", set_, extractor)
    common = np.array(common_trials(of_x, of_y))
    kept = np.searchsorted(trials, common)
    mine_x, mine_y = np.isin(of_x, common), np.isin(of_y, common)
    yy, xy = _row(x[0][mine_x], of_x[mine_x], y[:, mine_y], of_y[mine_y], KERNELS[name])
    pairs, draws = Pairs(xx[np.ix_(kept, kept)], yy, xy), comparison.draws(common)
    plain = float(discrepancy(pairs, np.ones(len(common))))
    yield from comparison.over_trials(name, drawn(pairs, draws.weights), plain, len(common), set_, draws, extractor)


def _of_other_trials(comparison: Comparison, name: str, set_: str, extractor: str) -> Iterator[Record]:
    trials, xx = _real(comparison, name, set_, extractor)
    x, of_x = _clips(comparison, "real", set_, extractor)
    y, of_y = _clips(comparison, "row", set_, extractor)
    yy, xy = _row(x[0], of_x, y, of_y, KERNELS[name])
    first, second = comparison.draws(trials), comparison.draws(of_y)
    values = drawn_apart(Pairs(xx, yy, xy), first.weights, second.weights)
    plain = float(discrepancy(Pairs(xx, yy, xy), np.ones(len(xx)), np.ones(len(yy)), same_trials=False))
    yield from comparison.over_trials(name, values, plain, len(second.trials), set_, second, extractor)


def _row(x: Array, of_x: NDArray, y: Array, of_y: NDArray, kernel: Kernel) -> tuple[Array, Array]:
    """Means of pairs within a row, and between real motion and it: each motion of an item in turn, then their mean. y: [K, n, D]."""
    within = [means_of_pairs(motions, of_y, motions, of_y, kernel) for motions in y]
    between = [means_of_pairs(x, of_x, motions, of_y, kernel) for motions in y]
    return np.mean(within, axis=0), np.mean(between, axis=0)


def _real(comparison: Comparison, name: str, set_: str, extractor: str) -> tuple[NDArray[np.str_], Array]:
    """The trials of real motion and the means of their pairs; computed once for all rows of a run."""
    side = comparison.real
    key = ("pairs", name, side.fps, first_set(side.plans, set_), extractor)
    if key not in side.kept:
        x, of = _clips(comparison, "real", set_, extractor)
        side.kept[key] = np.unique(of), means_of_pairs(x[0], of, x[0], of, KERNELS[name])
    return side.kept[key]


def _clips(comparison: Comparison, which: str, set_: str, extractor: str) -> tuple[Array, NDArray[np.str_]]:
    """The clips of a side [K, n, D], or its motions if there are no clips of the extractor, and their trials [n]."""
    side = comparison.real if which == "real" else comparison.row
    if not comparison.real.parts(f"clips/{extractor}"):
        places = side.of_set(comparison.items, set_)
        return side.stack(f"motions/{extractor}", "motions")[:, index(side.places, places)], side.trials(comparison.items, places)
    plan = side.plans[set_]
    return side.stack(f"clips/{extractor}", first_set(side.plans, set_)), side.trials(comparison.items, plan.places.tolist())
