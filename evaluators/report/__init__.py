"""Reports: Markdown, CSV and pictures of a table, and the summary of a run. Pure functions of the store, the table and published.csv.

Equal stores give equal bytes: no clock is read, and nothing that depends on the machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluators.report.markdown import line_of, markdown, summary_lines
from evaluators.report.model import Report
from evaluators.report.pictures import picture
from evaluators.report.reading import build
from evaluators.report.spectra import picture_of_spectra
from evaluators.report.values import comma_separated
from evaluators.store import Store, write_atomic
from evaluators.tables import Table

__all__ = ["Report", "build", "summary", "summary_line", "write", "write_report"]


def write_report(store: Store, dataset: str, table: Table, tier: str) -> list[Path]:
    """Write the report of a table; the paths written."""
    return write(build(store, dataset, table, tier), store)


def write(report: Report, store: Store) -> list[Path]:
    """Write ROOT/<dataset>/<table>.<tier>.md, .csv, and .png and .spectra.png where there is something to draw; the paths written."""
    drawn = {".png": picture(report), ".spectra.png": picture_of_spectra(report, store)}
    drawn = {suffix: data for suffix, data in drawn.items() if data}
    stem = store.root / report.dataset / f"{report.table.name}.{report.tier}"
    names = [stem.name + suffix for suffix in drawn]
    files = {".md": markdown(report, names).encode(), ".csv": comma_separated(report).encode(), **drawn}
    paths = []
    for suffix, data in files.items():
        paths.append(stem.with_name(stem.name + suffix))
        write_atomic(paths[-1], data)
    return paths


def summary(report: Report, computed: Sequence[str], paths: Sequence[Path]) -> str:
    """What a run says at its end, in at most 30 lines: the rows computed now (ids), the main metric of every row, where the files are."""
    return "\n".join(summary_lines(report, computed, paths))


def summary_line(report: Report, computed: Sequence[str], paths: Sequence[Path]) -> str:
    """The same in one line: how many rows, the main metric of the table's first row, the Markdown."""
    return line_of(report, computed, paths)
