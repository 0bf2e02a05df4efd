"""The CSV of a report: one line per figure, with every set and rate."""

from __future__ import annotations

import csv
import io

import numpy as np

from evaluators.intervals import interval
from evaluators.report.model import Report

COLUMNS = (
    *("table", "dataset", "tier", "system", "metric", "fps", "value", "ci95", "n", "extractor", "upsampling", "set", "published"),
    *("trainings", "lowest", "highest"),
)


def comma_separated(report: Report) -> str:
    """One line per figure. `n` is the number of samples behind each replication.

    A published figure stands in the line of the same system, metric and rate, or else in a line of its own, of tier `published` and
    without a value of ours. `trainings`: how many a figure is the mean of, with the lowest and the highest of them.
    """
    by_key = {(p.system, p.metric, p.fps): p for p in report.published}
    used = set()
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for section in report.sections:
        for system, upsampling in section.rows:
            for fps in section.rates:
                figure = section.cells.get((system, upsampling, fps))
                if figure is None:
                    continue
                mean, half = interval(figure.values, section.resamples)
                published = None
                if section.takes(report.table.published):
                    key = (report.rows[system].published, figure.metric, fps)
                    published = by_key.get(key)
                    used.add(key)
                line = (report.table.name, report.dataset, figure.tier, system, figure.metric, _rate(fps), _plain(mean), _plain(half))
                about = (min(figure.counts), figure.extractor, upsampling, figure.set)
                spread = section.spreads.get((system, upsampling, fps))
                trainings = (spread.trainings, _plain(spread.lowest), _plain(spread.highest)) if spread else (1, "", "")
                writer.writerow((*line, *about, _plain(published.value) if published else "", *trainings))
    ids = {row.published: row.id for row in report.table.rows if row.published}
    for key, left in by_key.items():
        if key not in used and report.table.published:
            name = ids.get(left.system, left.system)
            where = (report.table.name, report.table.published.dataset, "published", name, left.metric, _rate(left.fps))
            writer.writerow((*where, "", "", "", "", "", "", _plain(left.value), "", "", ""))
    return out.getvalue()


def _rate(fps: float | None) -> str:
    return "" if fps is None else f"{fps:g}"


def _plain(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
