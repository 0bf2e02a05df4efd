"""Figures whose replications are bootstrap samples of trials: means over items, retrieval, and Frechet distances of full sets.

Items of one trial come and go together. Every motion of an item is used. A figure's mean is that of all trials, and its replications say
how far it would move with other trials.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics.distribution import frechet
from evaluators.metrics.retrieval import POOL as TEXTS
from evaluators.metrics.retrieval import pools, r_precision
from evaluators.protocols.clip.comparison import Comparison
from evaluators.records import Record
from evaluators.resampling import TrialDraws

FRECHET_DRAWS = 20
"""The most bootstrap samples of a Frechet distance, which costs more than all else: enough to say how far it spreads."""
POOLINGS = 3
"""Pools are drawn so often in each bootstrap sample: it is the trials that should differ, and not the pools."""


def mean_records(comparison: Comparison, name: str, values: NDArray, places: NDArray, set_: str, extractor: str = "") -> Iterator[Record]:
    """The mean of values [K, n] of every motion of the row's items at `places` [n]; values that are not finite do not count."""
    draws = comparison.draws(comparison.row.trials(comparison.items, places))
    means, plain = means_over_trials(draws, values, comparison.row.trials(comparison.items, places))
    yield from comparison.over_trials(name, means, plain, len(places), set_, draws, extractor)


def means_over_trials(draws: TrialDraws, values: NDArray, trials: NDArray) -> tuple[NDArray, float]:
    """[draws] means of finite values [K, n] of n trials, and their mean over all."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.full(len(draws.weights), np.nan), float("nan")
    of = np.broadcast_to(trials, values.shape)[finite]
    return draws.means(values[finite], of), float(values[finite].mean())


def retrieval_records(
    comparison: Comparison, wanted: Mapping[str, int], asked: NDArray, motions: NDArray, places: NDArray, set_: str, extractor: str
) -> Iterator[Record]:
    """R-precision of motions [K, n, D] of the items at `places` [n]; none where there are fewer labels than a pool holds.

    wanted: metric -> how many of the nearest count.  asked: [n, D] what has to find them: texts, or recordings.

    The figure is the mean over pools of distinct labels of the full set (Guo et al. 2022), drawn as often as the tier has replications.
    A bootstrap sample of trials is pooled in the same way; one with fewer labels than a pool holds is given items of further labels.
    """
    items = comparison.row.listed(comparison.items)
    labels = np.array([items[place].label for place in places])
    if len(set(labels.tolist())) < TEXTS:
        return
    draw, everything = comparison.draw, np.arange(len(places))

    def shares(chosen: NDArray, replication: int, seed: int) -> NDArray:
        answers = motions[comparison.pick(replication, len(motions))[places], everything][chosen]
        return r_precision(asked[chosen], answers, pools(len(chosen), seed, TEXTS, labels[chosen].tolist()))

    plain = np.mean([shares(everything, k, 1000 * draw.seed + k) for k in range(draw.replications)], axis=0)
    trials = comparison.row.trials(comparison.items, places)
    draws = comparison.draws(trials)
    samples = [_with_labels(s, labels, np.random.default_rng([draws.seed, k, 8])) for k, s in enumerate(draws.samples(trials))]
    drawn = [np.mean([shares(s, k, POOLINGS * k + again) for again in range(POOLINGS)], axis=0) for k, s in enumerate(samples)]
    for name, nearest in wanted.items():
        values = np.array(drawn)[:, nearest - 1]
        yield from comparison.over_trials(name, values, plain[nearest - 1], len(places), set_, draws, extractor)


def _with_labels(sample: NDArray, labels: NDArray, rng: np.random.Generator) -> NDArray:
    """A sample of item numbers, and one item of each of as many further labels as a pool needs."""
    missing = np.setdiff1d(labels, labels[sample])
    lacking = max(TEXTS - (len(np.unique(labels)) - len(missing)), 0)
    added = [rng.choice(np.flatnonzero(labels == label)) for label in rng.permutation(missing)[:lacking]]
    return np.concatenate([sample, added]).astype(np.int64)


def frechet_records(
    comparison: Comparison, name: str, x: NDArray, x_places: NDArray, y: NDArray, y_places: NDArray, set_: str, extractor: str
) -> Iterator[Record]:
    """The Frechet distance of the full sets of the same trials. x: [n, D] or [L, n, D] real, y: [K, m, D]; places: the item of each sample.

    The figure is the mean over the K motions of an item, so that it has the samples of one motion an item. L: how often real motions were
    embedded, by an extractor that draws; the k-th motions are compared with the k-th embedding.
    """
    x = x if x.ndim == 3 else x[None]
    items, (real, row) = comparison.items, (comparison.real, comparison.row)
    of_x, of_y = real.trials(items, x_places), row.trials(items, y_places)
    if row.paired:
        common = np.intersect1d(of_x, of_y)
        mine_x, mine_y = np.isin(of_x, common), np.isin(of_y, common)
        x, of_x, y, of_y, y_places = x[:, mine_x], of_x[mine_x], y[:, mine_y], of_y[mine_y], y_places[mine_y]
    plain = float(np.mean([frechet(x[k % len(x)], motions) for k, motions in enumerate(y)]))
    first, second = (comparison.draws(of, min(FRECHET_DRAWS, comparison.draw.trials)) for of in (of_x, of_y))
    values = []
    for k, (of_real, of_row) in enumerate(zip(first.samples(of_x), second.samples(of_y), strict=True)):
        picked = comparison.pick(k, len(y))[y_places]
        values.append(frechet(x[k % len(x), of_real], y[picked[of_row], of_row]))
    yield from comparison.over_trials(name, np.array(values), plain, y.shape[1], set_, second, extractor)
