"""Bootstrap draws of trials: one sample for every figure and every row that has the same trials, so that they are compared in pairs.

It knows trials by name, and numbers; no metric, no motion and no protocol.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evaluators.metrics.trials import resampled
from nerm.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class TrialDraws:
    """How often each trial counts in each draw. trials: [T] names, sorted.  weights: [draws, T].  seed: stored with every replication;
    equal seeds (and indices) mean equal draws of equal trials."""

    trials: NDArray[np.str_]
    weights: Array
    seed: int

    def of(self, names: ArrayLike) -> NDArray[np.int64]:
        """[n] the place of each trial name in `trials`."""
        return np.searchsorted(self.trials, np.asarray(names))

    def samples(self, names: ArrayLike) -> list[NDArray[np.int64]]:
        """The indices of each draw, repeated ones included, among things of trials `names` [n]: for figures that are no means."""
        counts = self.weights[:, self.of(names)].astype(np.int64)
        return [np.repeat(np.arange(counts.shape[1]), of_draw) for of_draw in counts]

    def means(self, values: ArrayLike, names: ArrayLike) -> Array:
        """[draws] the mean of values [n] of trials `names` [n] in each draw; NaN in a draw that holds none of them."""
        x, of = np.asarray(values, dtype=np.float64), self.of(names)
        sums, counts = np.bincount(of, x, len(self.trials)), np.bincount(of, minlength=len(self.trials))
        with np.errstate(invalid="ignore"):
            return self.weights @ sums / (self.weights @ counts)


def draws_of(names: Iterable[str], draws: int, seed: int) -> TrialDraws:
    """Bootstrap samples of the trials among `names`. A single trial is drawn once: its figure has no interval. seed: of the run."""
    trials = np.unique(list(names))
    if len(trials) == 0:
        raise InputError("no motion of any trial; at least one is needed")
    if len(trials) == 1:
        return TrialDraws(trials, np.ones((1, 1)), draw_seed(trials, seed))
    own = draw_seed(trials, seed)
    return TrialDraws(trials, resampled(len(trials), draws, own), own)


def draw_seed(trials: Iterable[str], seed: int) -> int:
    """The seed of the draws of a list of trials in a run: another list has another seed."""
    return int(np.random.SeedSequence([seed, zlib.crc32("\n".join(trials).encode())]).generate_state(1)[0])


def around(draws: ArrayLike, plain: float) -> Array:
    """Draws moved so that their mean is the plain figure of all trials: what they are for is their spread."""
    x = np.asarray(draws, dtype=np.float64)
    return x - x.mean() + plain
