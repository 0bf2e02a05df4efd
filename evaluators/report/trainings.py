"""Several trainings of one system as the one figure that is printed: their mean, and how far they are from each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluators.records import Figure


@dataclass(frozen=True)
class Spread:
    """The figures of several trainings of one system: how many, the lowest and the highest."""

    trainings: int
    lowest: float
    highest: float


def mean_of_trainings(of_trainings: Sequence[Figure]) -> Figure:
    """A figure whose replications are the means over trainings, draw by draw; draws that not all of them have are left out."""
    first = of_trainings[0]
    common = [key for key in first.draws if all(key in figure.draws for figure in of_trainings)]
    if len(of_trainings) == 1 or not common:
        return first
    values = tuple(float(np.mean([figure.draws[key] for figure in of_trainings])) for key in common)
    counts = tuple(dict(zip(first.draws, first.counts, strict=True))[key] for key in common)
    return replace(first, values=values, counts=counts, replications=tuple(k for k, _ in common), seeds=tuple(s for _, s in common))


def spread_of_trainings(of_trainings: Sequence[Figure]) -> Spread:
    """How far they are from each other."""
    means = [figure.mean for figure in of_trainings]
    return Spread(len(means), min(means), max(means))
