"""What a report says about differences: of every row from the first, in words, and what FID rests on. Every word follows an interval."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evaluators.intervals import Difference
from evaluators.report.model import Comparison, Key, Report, Section, number

Heading = Callable[[float | None], str]
"""How a rate is printed."""
_RESTS_ON = {"clip_dimensions": "clip-FID", "motion_dimensions": "FID"}
"""Metric id of effective dimensions -> the distance that has to estimate so many."""


def change(section: Section, key: Key, fps: float | None) -> str:
    """The difference of a row from the first at a rate, marked where its interval excludes zero; '' where one of them has no figure."""
    first = section.first
    if first is None or (*first, fps) not in section.cells or (*key, fps) not in section.cells:
        return ""
    found = section.difference(first, key, fps)
    mark = ("▲ " if found.mean > 0 else "▼ ") if found.excludes_zero else ""
    return mark + signed(found, section)


def signed(found: Difference, section: Section) -> str:
    """'+3.1 ± 0.4', with the digits of the metric."""
    digits = section.metric.digits
    return f"{found.mean:+.{digits}f}" + ("" if np.isnan(found.half) else f" ± {found.half:.{digits}f}")


def comparisons_in_words(section: Section, heading: Heading) -> str:
    """A sentence for every comparison of the table, at the highest rate; '' if there is none."""
    return " ".join(_in_words(comparison, section, heading) for comparison in section.comparisons)


def _in_words(comparison: Comparison, section: Section, heading: Heading) -> str:
    rows, entry = section.report.rows, section.metric
    names = [rows[name].published or rows[name].title for name in comparison.others]
    listed = f", the best of {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else ""
    other, own = (section.key_of(name, comparison.fps) for name in (comparison.rival, comparison.mine))
    found = section.difference(other, own, comparison.fps)
    mine, rival = rows[comparison.mine].title, rows[comparison.rival].title
    begins = f"At {heading(comparison.fps)}, {entry.title} of {mine}"
    pairs = " in pairs" if found.paired else ""
    if not found.excludes_zero:
        return f"{begins} differs from that of {rival}{listed} by {signed(found, section)}{pairs}: zero is not excluded."
    half = "" if np.isnan(found.half) else f" ± {found.half:.{entry.digits}f}"
    side = "above" if found.mean > 0 else "below"
    return f"{begins} is {number(abs(found.mean), entry)}{half} {side} that of {rival}{listed}{pairs and ', compared' + pairs}."


def is_dimensions(section: Section) -> bool:
    """Whether a section holds effective dimensions, which stand in a sentence and in no table."""
    return section.metric_id in _RESTS_ON


def dimensions(report: Report, heading: Heading) -> str:
    """How many directions of real motion the Frechet distances estimate, and from how many samples."""
    texts = []
    for section in report.sections:
        if is_dimensions(section) and section.own_rates:
            figures = [figure for fps in section.own_rates for figure in section.cells.values() if figure.fps == fps]
            listed = ", ".join(f"{f.mean:.{section.metric.digits}f} at {heading(f.fps)} (n {min(f.counts):,})" for f in figures)
            texts.append(f"{_RESTS_ON[section.metric_id]}, extractor `{section.extractor}`, set `{section.set}`: {listed}")
    if not texts:
        return ""
    return f"Effective dimensions of real motion, which a Frechet distance has to estimate from n samples: {'; '.join(texts)}."
