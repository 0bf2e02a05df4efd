"""Published figures in Markdown: every row of the paper, run here or not, and how far ours can be compared with it. It reads no file."""

from __future__ import annotations

from collections.abc import Sequence

from evaluators.ground_truth import in_words, misses
from evaluators.metrics import Metric, metric
from evaluators.report.model import PublishedFigure, Report, Section, compare
from evaluators.report.words import and_, grid, heading, name_of, with_interval


def published_note(report: Report) -> str:
    """One sentence or two: what the published figures were computed with, and whether ours may be compared with them; '' without any."""
    where = report.table.published
    if where is None or not report.published:
        return ""
    if where.dataset != report.dataset:
        text = (
            f"Published figures are of dataset `{where.dataset}` and of the extractor of its benchmark: they are not to be compared with "
            "ours."
        )
    elif report.comparable:
        text = (
            f"Published figures are of this dataset and of extractor `{where.official}`: our figures by that extractor can be compared "
            "with them, and those by other extractors cannot. Tier `paper` has the published replications."
        )
    else:
        text = (
            "Published figures are of this dataset and of the official extractor, by which nothing is stored here: only figures without an "
            "extractor can be compared with them."
        )
    missed = misses(report.table, report.figures)
    if missed:
        text += (
            f" Real motion is not measured here as it was published ({in_words(missed)}): do not compare systems with published figures."
        )
    elif missed is not None:
        text += " Real motion is measured here as it was published."
    scaled = [m for m in dict.fromkeys(metric(p.metric) for p in report.published) if m.published_scale != 1]
    units = [f"Published {m.title} is printed without a unit; 1 is read as {m.published_scale:g} {m.unit}." for m in scaled]
    return " ".join([text, *units])


def systems(report: Report) -> list[str]:
    """The systems that have published figures, in their order."""
    return list(dict.fromkeys(p.system for p in report.published))


def not_run(report: Report, system: str) -> str:
    """The mark of a published system without a row of figures here."""
    return "" if system in report.run_here else "; not run here"


def published_lines(report: Report, sections: Sequence[Section], fps: float | None) -> list[list[str]]:
    """The lines of published systems where metrics stand across: label, then a cell for every section."""
    taken = [s.metric_id if s.takes(report.table.published) else "" for s in sections]
    where = report.table.published
    elsewhere = f" on {where.dataset}" if where and where.dataset != report.dataset else ""
    columns = [_cells([p for p in report.published if p.metric == name], [fps], metric(name)) if name else {} for name in taken]
    lines = []
    for system in systems(report):
        texts = [column.get(system, [""])[0] for column in columns]
        if any(texts):
            lines.append([f"*{system}, published{elsewhere}{not_run(report, system)}*", *texts])
    return lines


def published_tables(report: Report) -> list[str]:
    """Where rates stand across: a table for each published metric, and the comparisons of our table computed from it."""
    if not report.published:
        return []
    parts = ["## Published figures\n", published_note(report) + "\n"]
    for name in dict.fromkeys(p.metric for p in report.published):
        of_metric = [p for p in report.published if p.metric == name]
        rates = sorted({p.fps for p in of_metric}, key=lambda fps: fps or 0)
        rows = [[f"*{system}{not_run(report, system)}*", *texts] for system, texts in _cells(of_metric, rates, metric(name)).items()]
        parts += [f"{name_of(metric(name))}:\n", grid(rows, [heading(fps) for fps in rates]) + "\n"]
        values = {p.system: p.value for p in of_metric if p.fps == rates[-1]}
        for names in report.table.compared:
            found = compare(values, tuple(report.table.row(row).published for row in names), rates[-1], metric(name))
            if found and values[found.rival]:
                best = f"{found.rival}, the best of {and_(found.others)}" if len(found.others) > 1 else found.rival
                share = values[found.mine] / values[found.rival]
                parts.append(
                    f"At {heading(found.fps)}, published {metric(name).title} of {found.mine} is {share:.2f} times that of {best}.\n"
                )
    return parts


def _cells(listed: Sequence[PublishedFigure], rates: Sequence[float | None], entry: Metric) -> dict[str, list[str]]:
    """System -> its published figures at the rates, in italics."""
    cells = {(p.system, p.fps): f"*{with_interval(p.value, p.ci95, entry)}*" for p in listed}
    return {system: [cells.get((system, fps), "") for fps in rates] for system in dict.fromkeys(p.system for p in listed)}
