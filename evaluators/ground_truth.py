"""Is real motion measured as it was published? Where it is not, no other figure by that extractor may be compared with published ones.

What was published of real motion, and how far ours may be from it, is data of a table (`ground_truth`). It knows figures, and no network.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from evaluators.metrics import metric
from evaluators.records import Figure
from evaluators.tables import REAL, GroundTruth, Row, Table

SKIP = "skip"
CHECKS = ("check", SKIP)
"""Values of the setting `ground_truth`."""


class Miss(NamedTuple):
    """A figure of real motion that is not as published."""

    metric: str
    value: float
    expected: GroundTruth


class GroundTruthMissed(Exception):
    """Real motion is not measured as it was published: nothing else is scored. The message says what to look at."""


def floor_row(table: Table) -> Row:
    """The row of real motion as it is; a table that lists none has it all the same."""
    listed = (row for row in table.rows if row.system == REAL and not (row.variant or row.upsampling))
    return next(listed, Row(REAL, "Real", "real"))


def misses(table: Table, figures: Iterable[Figure]) -> list[Miss] | None:
    """The figures of real motion that are further from the published ones than is allowed; None where no figure can be compared."""
    by, row = table.published.extractor if table.published else "", floor_row(table).id
    means = {f.metric: f.mean for f in figures if f.system == row and f.extractor == by and f.metric in table.ground_truth}
    if not means:
        return None
    found = [Miss(name, means[name], expected) for name, expected in table.ground_truth.items() if name in means]
    return [miss for miss in found if not abs(miss.value - miss.expected.value) <= miss.expected.tolerance]


def in_words(missed: Iterable[Miss]) -> str:
    """'FID is 0.412 (published 0.002, allowed 0.003 from it)', ..."""
    return ", ".join(
        f"{metric(name).title} is {value:.{metric(name).digits}f} (published {expected.value:g}, allowed {expected.tolerance:g} from it)"
        for name, value, expected in missed
    )


def explanation(table: Table, dataset: str, missed: Iterable[Miss]) -> str:
    """Why scoring stops, and what to do."""
    by = table.published.extractor if table.published else ""
    return (
        f"real motion of dataset '{dataset}' by extractor '{by}' is not as published: {in_words(missed)}. No figure of a system would be "
        f"comparable, so nothing else is scored. Look at the dataset (python -m nerm.prepare dataset={dataset} doctor=true), and at the "
        f"weights of the extractor with the mean.npy and std.npy beside them; for other data in this layout give ground_truth={SKIP}"
    )
