"""The scores of given motions as Markdown: a line per figure with the floor beside it, and what was left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from tabulate import tabulate

from evaluators.enough import sentence
from evaluators.given import Scored
from evaluators.intervals import interval
from evaluators.metrics import METRICS, Metric, metric
from evaluators.records import Record

HEADINGS = ("metric", "unit", "extractor", "set", "motions", "real (floor)")


def printed(scored: Scored, floor: Sequence[Record], head: str, left_out: Mapping[str, int], notes: Sequence[str]) -> str:
    """head: the first line.  left_out: reason -> files.  notes: sentences for the end."""
    order = METRICS.names
    grouped: dict[tuple[str, str, str], tuple[list[float], list[float]]] = {}
    for side, records in enumerate((scored.records, floor)):
        for record in records:
            grouped.setdefault((record.metric, record.extractor, record.set), ([], []))[side].append(record.value)
    rows = []
    for (name, extractor, set_), sides in sorted(grouped.items(), key=lambda item: (order.index(item[0][0]), item[0][1:])):
        entry = metric(name)
        rows.append([entry.title, entry.unit, extractor, set_, *(_cell(values, entry) for values in sides)])
    lines = [head, "", tabulate(rows, HEADINGS, tablefmt="github", disable_numparse=True), ""]
    counted = ", ".join(f"{count} {reason}" for reason, count in left_out.items() if count)
    lines.append(f"Left out: {counted or 'nothing'}.")
    few = sentence(scored.short)
    if few:
        lines.append(f"Too few for a figure: {few}.")
    return "\n".join([*lines, *notes])


def _cell(values: Sequence[float], entry: Metric) -> str:
    """Mean and interval; '' without a value."""
    if not values:
        return ""
    mean, half = interval(values, entry.resamples)
    return f"{mean:.{entry.digits}f}" + ("" if np.isnan(half) else f" ± {half:.{entry.digits}f}")
