"""Do two sets of replications differ by more than chance explains, and by enough to matter? It knows numbers, and not what of.

Replications of the same draws are compared in pairs; those of other draws as two samples, or, where they resample trials, by what both
intervals explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from numpy.typing import NDArray

from evaluators.intervals import Resamples, interval

_FEWEST = 4


def significant(old: Sequence[float], new: Sequence[float], p: float = 0.01) -> tuple[bool, str]:
    """Whether two independent sets of replications differ, and by which test.

    Mann-Whitney where both have at least four replications and it can reach p at all (2 / C(n + m, n) < p: with p = 0.01 five each);
    otherwise 95 % intervals that do not touch.
    """
    if min(len(old), len(new)) >= _FEWEST and 2 / comb(len(old) + len(new), len(old)) < p:
        from scipy.stats import mannwhitneyu

        level = 1.0 if np.ptp([*old, *new]) == 0 else float(mannwhitneyu(old, new, alternative="two-sided").pvalue)
        return level < p, f"Mann-Whitney p={level:.2g}"
    (mean1, half1), (mean2, half2) = interval(old), interval(new)
    apart = abs(mean1 - mean2) > np.nan_to_num(half1) + np.nan_to_num(half2)  # a single replication counts as a point
    return bool(apart), "intervals apart" if apart else "intervals touch"


def significant_in_pairs(old: Sequence[float], new: Sequence[float], p: float = 0.01, resamples: Resamples = "draws") -> tuple[bool, str]:
    """Whether replications of the same draws differ: tests that their differences are 0, and that the new ones are the old ones times 1.

    A single pair differs if it is not equal. p is shared by the two tests. Draws over trials are no independent evidence, so it is their
    spread, and not that of their mean, that a change must exceed.
    """
    x, y = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    square = float(x @ x)
    factor = float(x @ y) / square if square > 0 else 1.0
    # Of y = f x + rest, f - 1 is the mean of a sample whose spread is that of the rest, in units of x.
    scaled = (factor - 1) + (y - factor * x) / np.sqrt(square / len(x)) if square > 0 else y - x
    level = min(1.0, 2 * min(_paired_level(change, resamples) for change in (y - x, scaled)))
    return level < p, f"paired {'t' if resamples == 'draws' else 'interval'} p={level:.2g}"


def significant_over_trials(old: Sequence[float], new: Sequence[float], p: float = 0.01) -> tuple[bool, str]:
    """Whether two figures whose replications resample trials differ, from other draws: by more than both intervals explain."""
    level = level_over_trials(old, new)
    return level < p, f"intervals over trials p={level:.2g}"


def level_over_trials(old: Sequence[float], new: Sequence[float]) -> float:
    """p of the difference of two means that are as uncertain as their replications are spread."""
    from scipy.stats import norm

    change, spread = abs(np.mean(new) - np.mean(old)), np.hypot(np.std(old), np.std(new))
    return float(2 * norm.sf(change / spread)) if spread > 1e-9 * change else float(change == 0)


def welch_level(old: Sequence[float], new: Sequence[float]) -> float:
    """p of Welch's t test of two independent sets, of logarithms if all values are positive; 0 if a single replication allows no test."""
    x, y = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    if (x > 0).all() and (y > 0).all():
        x, y = np.log(x), np.log(y)
    if min(len(x), len(y)) < 2 or max(x.std(), y.std()) <= 1e-9 * abs(x.mean() - y.mean()):
        return 0.0
    from scipy.stats import ttest_ind

    return float(np.nan_to_num(ttest_ind(x, y, equal_var=False).pvalue, nan=1.0))


def _paired_level(change: NDArray[np.float64], resamples: Resamples) -> float:
    """p of a t test that the mean is 0. If all changes are equal, p is 0, or 1 where they are all 0."""
    spread = change.std(ddof=1) if len(change) > 1 else 0.0
    if spread <= 1e-9 * abs(change.mean()):
        return 0.0 if change.any() else 1.0
    from scipy.stats import t

    error = spread if resamples == "trials" else spread / np.sqrt(len(change))
    return float(2 * t.sf(abs(change.mean()) / error, len(change) - 1))


def large_enough(old: Sequence[float], new: Sequence[float], size: float, paired: bool) -> bool:
    """Whether a change is at least `size` of the figure; draw by draw also of their typical value, for figures around zero."""
    x, y, least = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64), size * (1 - 1e-5)
    large = abs(y.mean() - x.mean()) >= least * abs(x.mean()) and y.mean() != x.mean()
    if not paired:
        return bool(large)
    typical = np.sqrt(np.mean(x**2))
    near_zero = abs(x.mean()) < 1.96 * x.std()  # a share of such a mean says nothing
    return bool(np.sqrt(np.mean((y - x) ** 2)) >= least * typical > 0 or (large and not near_zero))


def beyond_chance(levels: Sequence[float], p: float) -> float:
    """The largest p that chance does not explain: of hundreds of figures some differ at any fixed level (Benjamini and Hochberg, 1995)."""
    ordered = np.sort(levels)
    bounds = p * np.arange(1, len(ordered) + 1) / max(len(ordered), 1)
    return float(np.max(bounds[ordered <= bounds], initial=0.0))
