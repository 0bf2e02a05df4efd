"""Mean and 95 % interval over replications. It knows only numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nerm.errors import InputError


def interval(values: ArrayLike) -> tuple[float, float]:
    """Mean and half width 1.96 s / sqrt(n) with the population standard deviation s, as the text-to-motion field prints it.

    The half width of a single value is NaN: one replication says nothing about its spread.
    """
    x = _values(values)
    return float(x.mean()), float(1.96 * x.std() / np.sqrt(len(x))) if len(x) > 1 else float("nan")


def bootstrap_interval(values: ArrayLike, seed: int = 0, draws: int = 2000) -> tuple[float, float, float]:
    """Mean and ends of its 95 % percentile bootstrap interval; for few or skewed replications, where 1.96 s / sqrt(n) is too narrow."""
    x = _values(values)
    means = x[np.random.default_rng(seed).integers(len(x), size=(draws, len(x)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(x.mean()), float(low), float(high)


def variance_interval(values: ArrayLike) -> tuple[float, float]:
    """Mean and 1.96 x population *variance*: what the first action-to-motion tables print as an interval. For comparison with them only."""
    x = _values(values)
    return float(x.mean()), float(1.96 * x.var())


def disjoint(first: ArrayLike, second: ArrayLike) -> bool:
    """Whether the 95 % intervals of two sets of replications do not touch; a single replication counts as a point."""
    (mean1, half1), (mean2, half2) = interval(first), interval(second)
    return abs(mean1 - mean2) > np.nan_to_num(half1) + np.nan_to_num(half2)


def _values(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise InputError(f"replications of shape {list(x.shape)}; expected at least one number")
    return x
