"""Distances between sets of motion in which a trial, and not a clip, is the unit: unbiased, and zero for motion of one distribution.

Clips of one trial (one performance by one person) resemble each other, so a thousand clips of thirty trials say no more about the world
than thirty trials do. Here every trial counts once, however long it is, and two clips of one trial are never compared. What is left is an
unbiased estimate of a maximum mean discrepancy: its expectation is zero where both sides have one distribution, for any number of trials.
Intervals come from resampling trials. Pure functions on arrays; they know no system and no extractor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nerm.errors import InputError

Array = NDArray[np.float64]
Kernel = Callable[[Array, Array], Array]
"""(x [n, D], y [m, D]) -> [n, m]: how unlike each pair is."""
_BLOCK = 512


def euclidean(x: Array, y: Array) -> Array:
    """[n, m] Euclidean distances of x [n, D] and y [m, D]. With them the discrepancy is the energy distance (Szekely and Rizzo 2013)."""
    squares = x @ y.T
    squares *= -2
    squares += (x * x).sum(1)[:, None]
    squares += (y * y).sum(1)
    return np.sqrt(np.maximum(squares, 0, out=squares), out=squares)


def polynomial(x: Array, y: Array) -> Array:
    """[n, m] minus KID's kernel, -(a.b / D + 1)^3, of x [n, D] and y [m, D] (Binkowski et al. 2018).

    With it the discrepancy is the squared MMD that KID estimates.
    """
    base = x @ y.T
    base /= x.shape[1]
    base += 1
    return -(base * base * base)


KERNELS: dict[str, Kernel] = {"trial_distance": euclidean, "trial_kid": polynomial}
"""Metric id -> the kernel that makes it."""


class Pairs(NamedTuple):
    """Mean unlikeness of the clips of two trials, each [T, T]: real and real, generated and generated, real and generated."""

    xx: Array
    yy: Array
    xy: Array


def trial_distance(x: ArrayLike, x_trials: Sequence, y: ArrayLike, y_trials: Sequence) -> float:
    """Energy distance between the trials that both sides have. x [n, D], y [m, D]: features; x_trials [n], y_trials [m]."""
    return _plain(x, x_trials, y, y_trials, euclidean)


def trial_kid(x: ArrayLike, x_trials: Sequence, y: ArrayLike, y_trials: Sequence) -> float:
    """The same with the polynomial kernel of KID. x [n, D], y [m, D]: features; x_trials [n], y_trials [m]."""
    return _plain(x, x_trials, y, y_trials, polynomial)


def _plain(x: ArrayLike, x_trials: Sequence, y: ArrayLike, y_trials: Sequence, kernel: Kernel) -> float:
    pairs, trials = pairs_of_trials(x, x_trials, y, y_trials, kernel)
    return float(discrepancy(pairs, np.ones(len(trials))))


def pairs_of_trials(x: ArrayLike, x_trials: Sequence, y: ArrayLike, y_trials: Sequence, kernel: Kernel = euclidean) -> tuple[Pairs, list]:
    """Pairs, and the trials [T] in their order: those that both sides have. x [n, D], y [m, D]: features; x_trials [n], y_trials [m]."""
    x_of, y_of = np.asarray(x_trials), np.asarray(y_trials)
    trials = common_trials(x_of, y_of)
    a, p, b, q = (side[np.isin(of, trials)] for side, of in ((np.asarray(x), x_of), (x_of, x_of), (np.asarray(y), y_of), (y_of, y_of)))
    return Pairs(means_of_pairs(a, p, a, p, kernel), means_of_pairs(b, q, b, q, kernel), means_of_pairs(a, p, b, q, kernel)), trials


def common_trials(first: ArrayLike, second: ArrayLike) -> list:
    """The trials that both sides have, of first [n] and second [m], sorted; fewer than two allow no distance."""
    trials = np.intersect1d(first, second).tolist()
    if len(trials) < 2:
        raise InputError(f"{len(trials)} trials that both sides have; a distance between trials needs at least 2")
    return trials


def means_of_pairs(x: ArrayLike, x_trials: ArrayLike, y: ArrayLike, y_trials: ArrayLike, kernel: Kernel = euclidean) -> Array:
    """[S, T] mean of the kernel over the clips of each trial of x [n, D] and each trial of y [m, D], trials in sorted order."""
    a, b = (np.asarray(side, dtype=np.float64) for side in (x, y))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or len(a) != np.size(x_trials) or len(b) != np.size(y_trials):
        raise InputError(
            f"features of shapes {list(a.shape)} and {list(b.shape)} with {np.size(x_trials)} and {np.size(y_trials)} trials; expected "
            "[n, D] and [m, D] with the trial of each"
        )
    a, starts, counts = _by_trial(a, x_trials)
    b, columns, widths = _by_trial(b, y_trials)
    sums = np.concatenate(
        [np.add.reduceat(kernel(a[row : row + _BLOCK], b), columns, axis=1) for row in range(0, len(a), _BLOCK)]  # in blocks: less memory
    )
    return np.add.reduceat(sums, starts, axis=0) / (counts[:, None] * widths)


def _by_trial(features: Array, trials: ArrayLike) -> tuple[Array, NDArray[np.int64], NDArray[np.int64]]:
    """The features in the order of their trials, the place where each trial starts, and how many it has. Always a copy: equal features
    then give equal products to the last bit, whether they are compared with themselves or with a copy."""
    of = np.asarray(trials)
    order = np.argsort(of, kind="stable")
    _, starts, counts = np.unique(of[order], return_index=True, return_counts=True)
    return features[order], starts, counts


def discrepancy(pairs: Pairs, real: ArrayLike, generated: ArrayLike | None = None, same_trials: bool = True) -> Array:
    """2 E k(X, Y) - E k(X, X') - E k(Y, Y') over pairs of different trials, for each row of weights.

    real, generated: [..., T] how often each trial counts on either side; generated defaults to `real` (the same trials on both sides).
    Weights that share no trial compare one group of trials with another. same_trials: False if the two sides have trials of their own,
    so that a trial of one side is never one of the other.
    """
    a = np.asarray(real, dtype=np.float64)
    b = a if generated is None else np.asarray(generated, dtype=np.float64)
    return 2 * _between(a, pairs.xy, b, same_trials) - _between(a, pairs.xx, a) - _between(b, pairs.yy, b)


def _between(a: Array, matrix: Array, b: Array, same_trials: bool = True) -> Array:
    """Weighted mean of a matrix [S, T], without its diagonal if both sides have the same trials."""
    off = matrix - np.diag(np.diag(matrix)) if same_trials else matrix
    weight = a.sum(-1) * b.sum(-1) - ((a * b).sum(-1) if same_trials else 0)
    return np.einsum("...s,st,...t->...", a, off, b, optimize=True) / weight


def drawn(pairs: Pairs, weights: ArrayLike) -> Array:
    """[draws] the discrepancy in bootstrap samples of trials, both sides with the same ones. weights: [draws, T], from `resampled`.

    To first order: the figure of all trials and, for every trial that a sample holds more or less often than once, what the figure would
    lose without it (the jackknife). A plain reweighting of all pairs counts the chance that lies in pairs three times where both sides are
    nearly alike, and intervals are then too wide by half (Arcones and Gine 1992). The difference of two rows' draws is the draw of their
    difference.
    """
    h = (pairs.xy - pairs.xx) + (pairs.xy - pairs.yy)
    h = (h + h.T) / 2  # exactly zero for equal sides
    trials = len(h)
    if trials < 3:
        raise InputError(f"{trials} trials; draws of a distance need at least 3")
    of_trial = (h.sum(1) - np.diag(h)) / (trials - 1)
    mean = float(of_trial.mean())
    return mean + (np.asarray(weights) - 1) @ (of_trial - mean) * (2 * (trials - 1) / (trials * (trials - 2)))


def drawn_apart(pairs: Pairs, real: ArrayLike, generated: ArrayLike) -> Array:
    """The same for two sides with trials of their own: weights [draws, S] and [draws, T], drawn independently."""
    sizes = len(pairs.xx), len(pairs.yy)
    plain = float(discrepancy(pairs, np.ones(sizes[0]), np.ones(sizes[1]), same_trials=False))
    total = np.full(len(np.asarray(real)), plain)
    for weights, within, between in ((real, pairs.xx, pairs.xy.mean(1)), (generated, pairs.yy, pairs.xy.mean(0))):
        own = 2 * (between - (within.sum(1) - np.diag(within)) / (len(within) - 1))
        total += (np.asarray(weights) - 1) @ (own - own.mean()) / len(within)
    return total


def resampled(trials: int, draws: int, seed: int) -> Array:
    """[draws, T] how often each trial occurs in each bootstrap sample. One seed gives one sample for every row that is compared."""
    rng = np.random.default_rng([seed, trials, 6])
    return np.stack([_sample(rng, trials) for _ in range(draws)])


def split(trials: int, draws: int, seed: int) -> tuple[Array, Array]:
    """Two weights [draws, T]: random halves without a common trial. For comparing real trials with other real trials."""
    if trials < 4:
        raise InputError(f"{trials} trials; two halves of which each has pairs need at least 4")
    rng = np.random.default_rng([seed, trials, 7])
    sides = np.zeros((2, draws, trials))
    for draw in range(draws):
        order = rng.permutation(trials)
        for side, half in enumerate((order[: trials // 2], order[trials // 2 :])):
            sides[side, draw, half] = 1.0
    return sides[0], sides[1]


def _sample(rng: np.random.Generator, trials: int) -> Array:
    """[T] counts of a bootstrap sample; one that holds a single trial has no pairs and is drawn again."""
    while True:
        counts = np.bincount(rng.integers(trials, size=trials), minlength=trials)
        if (counts > 0).sum() > 1:
            return counts.astype(np.float64)
