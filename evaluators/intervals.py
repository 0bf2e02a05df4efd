"""Mean, 95 % interval, and difference of replications. It knows only numbers.

Replications are of one of three kinds, which the metric declares (`evaluators.metrics.Metric.resamples`). `draws`: each one draws clips,
pairs or halves anew from the same trials; their mean is known to 1.96 sd / sqrt(n), and nothing is said about other trials. `trials`: each
one is the figure for another bootstrap sample of the trials; their spread itself says how far the figure would move: 1.96 sd.
`processes`: each one measured the same again on the same machine; their mean is known to 1.96 sd / sqrt(n).
Replications of the same (index, seed) saw the same draw; figures whose draws are all the same are compared in pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nerm.errors import InputError

Resamples = Literal["draws", "trials", "processes"]
Draws = Mapping[tuple[int, int], float]
"""(index, seed) of a replication -> its value."""


class Difference(NamedTuple):
    """second - first. half: half width of its 95 % interval, NaN if nothing is known of it.  paired: whether both saw the same draws."""

    mean: float
    half: float
    paired: bool

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval of the difference excludes zero. Without an interval any difference does."""
        return abs(self.mean) > np.nan_to_num(self.half)


def interval(values: ArrayLike, resamples: Resamples = "draws") -> tuple[float, float]:
    """Mean and half width of the 95 % interval, with the population standard deviation, as the text-to-motion field prints it.

    values: [n] replications. The half width of a single value is NaN: one replication says nothing about its spread.
    """
    x = _values(values)
    return float(x.mean()), float(1.96 * standard_error(x, resamples)) if len(x) > 1 else float("nan")


def standard_error(values: ArrayLike, resamples: Resamples = "draws") -> float:
    """Standard deviation of a figure with replications [n]: the spread of draws over trials, or that of a mean of independent draws."""
    x = _values(values)
    return float(x.std() if resamples == "trials" else x.std() / np.sqrt(len(x)))


def difference(first: Draws, second: Draws, resamples: Resamples = "draws") -> Difference:
    """second - first. In pairs if the draws are the same; else, and for processes, the two intervals are taken as independent."""
    if set(first) == set(second) and resamples != "processes":
        return Difference(*interval([second[key] - first[key] for key in first], resamples), True)
    (mean1, half1), (mean2, half2) = (interval(list(side.values()), resamples) for side in (first, second))
    return Difference(mean2 - mean1, float(np.hypot(half1, half2)), False)


def apart(first: Draws, second: Draws, resamples: Resamples = "draws") -> bool:
    """Whether the interval of the difference excludes zero."""
    return difference(first, second, resamples).excludes_zero


def variance_interval(values: ArrayLike) -> tuple[float, float]:
    """Mean and 1.96 x population *variance* of values [n]: what the first action-to-motion code prints, for comparison with it only."""
    x = _values(values)
    return float(x.mean()), float(1.96 * x.var())


def _values(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or len(x) == 0:
        raise InputError(f"replications of shape {list(x.shape)}; expected at least one number")
    return x
