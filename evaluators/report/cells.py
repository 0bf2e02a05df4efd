"""How numbers, rates and names are printed in Markdown, and the grid that they stand in. It knows no report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from evaluators.metrics import Metric
from evaluators.report.model import number


def grid(lines: list[list[str]], headings: list[str]) -> str:
    align = ("left", *["right"] * len(headings))
    return tabulate(lines, ["system", *headings], tablefmt="github", disable_numparse=True, colalign=align)


def with_interval(value: float, half: float | None, entry: Metric) -> str:
    """A value and its interval; one that is zero to the printed digits is printed as zero if its interval is wider than that."""
    if half is None or np.isnan(half):
        return number(value, entry)
    text = f"{value:.{entry.digits}f}" if half >= 10.0**-entry.digits else number(value, entry)
    text = text.removeprefix("-") if "e" not in text and float(text) == 0 else text
    return f"{text} ± {half:.1e}" if "e" in text else f"{text} ± {half:.{entry.digits}f}"


def name_of(entry: Metric) -> str:
    return entry.title + (f" ({entry.unit})" if entry.unit else "")


def heading(fps: float | None) -> str:
    return "any rate" if fps is None else f"{fps:g} fps"


def and_(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
