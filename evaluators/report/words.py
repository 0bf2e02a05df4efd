"""The words of a report: how values, rates, metrics and lists are said, and the grid they stand in. Markdown and page share them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tabulate import tabulate

from evaluators.metrics import Metric
from evaluators.report.model import Section, number


def grid(lines: list[list[str]], headings: list[str]) -> str:
    """A Markdown table; the first column holds the systems."""
    align = ("left", *["right"] * len(headings))
    return tabulate(lines, ["system", *headings], tablefmt="github", disable_numparse=True, colalign=align)


def with_interval(value: float, half: float | None, entry: Metric) -> str:
    """A value and its interval; one that is zero to the printed digits is printed as zero if its interval is wider than that."""
    if half is None or np.isnan(half):
        return number(value, entry)
    if abs(value) <= half < 10.0**-entry.digits:  # rounding errors of figures that are equal
        return f"{0:.{entry.digits}f} ± {0:.{entry.digits}f}"
    text = f"{value:.{entry.digits}f}" if half >= 10.0**-entry.digits else number(value, entry)
    text = text.removeprefix("-") if "e" not in text and float(text) == 0 else text
    return f"{text} ± {half:.1e}" if "e" in text else f"{text} ± {half:.{entry.digits}f}"


def name_of(entry: Metric) -> str:
    return entry.title + (f" ({entry.unit})" if entry.unit else "")


def versions(section: Section) -> str:
    return f"{section.protocol or 'protocol'} v{section.protocol_version}, metric v{section.version}"


def better(entry: Metric) -> str:
    return {"higher": "higher is better", "lower": "lower is better", "real": "nearest to real is best"}[entry.direction]


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def heading(fps: float | None) -> str:
    return "any rate" if fps is None else f"{fps:g} fps"


def and_(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def span(counts: Sequence[int]) -> str:
    return "" if not counts else str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
