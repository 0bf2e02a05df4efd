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
_BLOCK = 2048


def euclidean(x: Array, y: Array) -> Array:
    """Euclidean distances. With them the discrepancy is the energy distance (Szekely and Rizzo 2013)."""
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * (x @ y.T)
    return np.sqrt(np.maximum(squares, 0))


def polynomial(x: Array, y: Array) -> Array:
    """Minus KID's kernel, -(a.b / D + 1)^3 (Binkowski et al. 2018). With it the discrepancy is the squared MMD that KID estimates."""
    return -((x @ y.T / x.shape[1] + 1) ** 3)


class Pairs(NamedTuple):
    """Mean unlikeness of the clips of two trials, each [T, T]: real and real, generated and generated, real and generated."""

    xx: Array
    yy: Array
    xy: Array


def pairs_of_trials(x: ArrayLike, x_trials: Sequence, y: ArrayLike, y_trials: Sequence, kernel: Kernel = euclidean) -> tuple[Pairs, list]:
    """Pairs, and the trials [T] in their order: those that both sides have. x [n, D], y [m, D]: features; x_trials [n], y_trials [m]."""
    a, b = (np.asarray(side, dtype=np.float64) for side in (x, y))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or len(a) != len(x_trials) or len(b) != len(y_trials):
        raise InputError(
            f"features of shapes {list(a.shape)} and {list(b.shape)} of {len(x_trials)} and {len(y_trials)} trials; expected [n, D] and "
            "[m, D] with the trial of each"
        )
    trials = sorted(set(x_trials) & set(y_trials))
    if len(trials) < 2:
        raise InputError(f"{len(trials)} trials that both sides have; a distance between trials needs at least 2")
    (a, p), (b, q) = _averaging(a, x_trials, trials), _averaging(b, y_trials, trials)
    return Pairs(_means(a, p, a, p, kernel), _means(b, q, b, q, kernel), _means(a, p, b, q, kernel)), trials


def _averaging(features: Array, of: Sequence, trials: Sequence) -> tuple[Array, Array]:
    """The features of those trials, and the matrix [T, n] that averages over the clips of each."""
    index = {trial: place for place, trial in enumerate(trials)}
    kept = np.array([trial in index for trial in of])
    place = np.array([index[trial] for trial in of if trial in index])
    average = np.zeros((len(trials), len(place)))
    average[place, np.arange(len(place))] = 1.0 / np.bincount(place, minlength=len(trials))[place]
    return features[kept], average


def _means(a: Array, p: Array, b: Array, q: Array, kernel: Kernel) -> Array:
    """p K q', with the kernel in blocks of rows so that memory stays small."""
    starts = range(0, len(a), _BLOCK)
    return np.sum([p[:, start : start + _BLOCK] @ (kernel(a[start : start + _BLOCK], b) @ q.T) for start in starts], axis=0)


def discrepancy(pairs: Pairs, real: ArrayLike, generated: ArrayLike | None = None) -> Array:
    """2 E k(X, Y) - E k(X, X') - E k(Y, Y') over pairs of different trials, for each row of weights.

    real, generated: [..., T] how often each trial counts on either side; generated defaults to `real` (the same trials on both sides).
    Weights that share no trial compare one group of trials with another.
    """
    a = np.asarray(real, dtype=np.float64)
    b = a if generated is None else np.asarray(generated, dtype=np.float64)
    return 2 * _between(a, pairs.xy, b) - _between(a, pairs.xx, a) - _between(b, pairs.yy, b)


def _between(a: Array, matrix: Array, b: Array) -> Array:
    """Weighted mean of a matrix [T, T] without its diagonal."""
    off = matrix - np.diag(np.diag(matrix))
    weight = a.sum(-1) * b.sum(-1) - (a * b).sum(-1)
    return np.einsum("...s,st,...t->...", a, off, b, optimize=True) / weight


def resampled(trials: int, draws: int, seed: int) -> Array:
    """[draws, T] how often each trial occurs in each bootstrap sample. One seed gives one sample for every row that is compared."""
    rng = np.random.default_rng([seed, trials, 6])
    return np.stack([_sample(rng, trials) for _ in range(draws)])


def split(trials: int, draws: int, seed: int) -> tuple[Array, Array]:
    """Two weights [draws, T]: random halves without a common trial, each resampled. For comparing real trials with other real trials."""
    if trials < 4:
        raise InputError(f"{trials} trials; two halves of which each has pairs need at least 4")
    rng = np.random.default_rng([seed, trials, 7])
    sides = np.zeros((2, draws, trials))
    for draw in range(draws):
        order = rng.permutation(trials)
        for side, half in enumerate((order[: trials // 2], order[trials // 2 :])):
            sides[side, draw, half] = _sample(rng, len(half))
    return sides[0], sides[1]


def _sample(rng: np.random.Generator, trials: int) -> Array:
    """[T] counts of a bootstrap sample; one that holds a single trial has no pairs and is drawn again."""
    while True:
        counts = np.bincount(rng.integers(trials, size=trials), minlength=trials)
        if (counts > 0).sum() > 1:
            return counts.astype(np.float64)
