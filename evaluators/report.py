"""Markdown, CSV and figure of a table: a pure function of the store, the table's layout and published.csv, byte for byte reproducible.

It computes no metric and reads no clock; what depends on the machine (`machine` blocks) is not read.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from tabulate import tabulate

from evaluators.intervals import interval
from evaluators.metrics import METRICS, Metric, metric
from evaluators.picture import picture
from evaluators.store import Figure, Store, figures, write_atomic
from evaluators.tables import Published, Table, position
from nerm.errors import InputError

COLUMNS = ("table", "dataset", "tier", "system", "metric", "fps", "value", "ci95", "n", "extractor", "upsampling", "set", "published")
FALLBACK = {"quick": "full"}
"""Where the rows come from that a tier did not compute: in a clone without data these are floor, oracles and controls."""
INTERVAL = {
    "quick": "Pool-bootstrap interval: every replication redraws conditions, clips and pairs from one generated pool.",
    "full": "Pool-bootstrap interval: every replication redraws conditions, clips and pairs from one generated pool.",
    "paper": "Every replication generates anew, as published.",
}
STORED = "†"
UNDERTRAINED = "‡"


@dataclass(frozen=True)
class PublishedFigure:
    """One row of published.csv, in the unit of our metric."""

    system: str
    metric: str
    fps: float | None
    value: float
    ci95: float | None


@dataclass(frozen=True)
class Report:
    """What is printed: the figures of one table at one tier, those taken over from another tier included."""

    table: Table
    dataset: str
    tier: str
    figures: tuple[Figure, ...]
    provenance: tuple[dict, ...]
    published: tuple[PublishedFigure, ...]

    @cached_property
    def training(self) -> dict[str, dict]:
        """System -> how it was trained, where that is known."""
        found = {document["system"]: document["provenance"].get("training") for document in self.provenance}
        return {system: facts for system, facts in found.items() if facts}

    @cached_property
    def sections(self) -> list[Section]:
        """Figures that may stand in one table: same metric, version, extractor, set and protocol; in the order of the layout."""
        grouped: dict[tuple, list[Figure]] = {}
        for figure in self.figures:
            key = (figure.metric, figure.extractor, figure.set, figure.version, figure.protocol, figure.protocol_version)
            grouped.setdefault(key, []).append(figure)
        table = self.table

        def order(key: tuple) -> tuple:
            return (*(position(x, names) for x, names in zip(key, (table.metrics, table.extractors, table.sets), strict=False)), key[3:])

        return [Section(self, tuple(grouped[key]), *key) for key in sorted(grouped, key=order)]


@dataclass(frozen=True)
class Section:
    """One table of the Markdown: systems down, frame rates across."""

    report: Report
    figures: tuple[Figure, ...]
    metric_id: str
    extractor: str
    set: str
    version: int
    protocol: str
    protocol_version: int

    @property
    def metric(self) -> Metric:
        return metric(self.metric_id)

    @cached_property
    def rates(self) -> list[float | None]:
        return sorted({figure.fps for figure in self.figures}, key=lambda fps: -1.0 if fps is None else fps)

    @cached_property
    def rows(self) -> list[tuple[str, str]]:
        """(system, upsampling), in the order of the layout."""
        found = {(figure.system, figure.upsampling) for figure in self.figures}
        return sorted(found, key=lambda row: (position(row[0], self.report.table.system_ids), row[1]))

    @cached_property
    def cells(self) -> dict[tuple[str, str, float | None], Figure]:
        return {(figure.system, figure.upsampling, figure.fps): figure for figure in self.figures}

    @cached_property
    def title(self) -> str:
        unit = f" ({self.metric.unit})" if self.metric.unit else ""
        parts = [f"{self.metric.title}{unit}"]
        parts += [f"extractor `{self.extractor}`"] if self.extractor else []
        parts += [f"set `{self.set}`"] if self.set else []
        versions = {(s.version, s.protocol, s.protocol_version) for s in self.report.sections if s.key == self.key}
        parts += [f"{self.protocol or 'protocol'} v{self.protocol_version}, metric v{self.version}"] if len(versions) > 1 else []
        return ", ".join(parts)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.metric_id, self.extractor, self.set)

    def label(self, system: str, upsampling: str) -> str:
        several = sum(1 for row in self.rows if row[0] == system) > 1
        mark = UNDERTRAINED if self.report.training.get(system, {}).get("undertrained") else ""
        return self.report.table.system(system).title + (f" ({upsampling or 'own rate'})" if several else "") + mark

    def best(self, fps: float | None) -> frozenset[tuple[str, str]]:
        """The rows of the best generator at a rate, among those this tier computed; equal printed values share it."""
        mine = [f for f in self.figures if f.fps == fps]
        role = {f.system: self.report.table.system(f.system).role for f in mine}
        values = {
            (f.system, f.upsampling): float(np.mean(f.values)) for f in mine if role[f.system] == "generator" and f.tier == self.report.tier
        }
        real = [float(np.mean(f.values)) for f in mine if role[f.system] == "real"]
        if len(values) < 2 or (self.metric.direction == "real" and len(real) != 1):
            return frozenset()
        score = {"higher": lambda v: -v, "lower": lambda v: v, "real": lambda v: abs(v - real[0])}[self.metric.direction]
        winner = min(values.values(), key=score)
        printed = _number(winner, self.metric)
        return frozenset(row for row, value in values.items() if _number(value, self.metric) == printed)

    def takes(self, published: Published | None) -> bool:
        """Whether published figures are printed beside this section."""
        return published is not None and self.extractor in ("", published.extractor) and self.set in ("", published.set)


def build(store: Store, dataset: str, table: Table, tier: str) -> Report:
    """Everything the report needs, read from the store; systems the tier lacks are taken over from the full run, and marked."""
    tiers = {system: tier for system in store.systems(dataset, table.name, tier)}
    if not tiers:
        raise InputError(
            f"nothing is stored for dataset={dataset} table={table.name} tier={tier} under {store.root}; run python -m evaluators.run "
            f"table={table.name} dataset={dataset} tier={tier} first"
        )
    fallback = FALLBACK.get(tier)
    if fallback:
        tiers = {system: fallback for system in store.systems(dataset, table.name, fallback)} | tiers
    order = sorted(tiers, key=lambda system: position(system, table.system_ids))
    documents = [store.read(dataset, table.name, tiers[system], system) for system in order]
    found = figures(record for document in documents for record in document["records"])
    return Report(
        table, dataset, tier, tuple(found), tuple(documents), tuple(read_published(store.root / "published.csv", table.published))
    )


def write_report(store: Store, dataset: str, table: Table, tier: str) -> list[Path]:
    """Write ROOT/<dataset>/<table>.<tier>.md, .csv and .png; the paths written."""
    report = build(store, dataset, table, tier)
    stem = store.root / dataset / f"{table.name}.{tier}"
    texts = {".md": markdown(report).encode(), ".csv": comma_separated(report).encode(), ".png": picture(report)}
    paths = []
    for suffix, data in texts.items():
        if data:
            paths.append(stem.with_name(stem.name + suffix))
            write_atomic(paths[-1], data)
    return paths


def read_published(path: Path, where: Published | None) -> list[PublishedFigure]:
    """The published figures of one table and dataset, scaled to our units; none if there is no such file."""
    if where is None or not path.exists():
        return []
    found = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["table"] == where.table and row["dataset"] == where.dataset and row["metric"] in METRICS:
                scale = METRICS[row["metric"]].published_scale
                fps, ci95 = (float(row[key]) if row[key] else None for key in ("fps", "ci95"))
                ci95 = None if ci95 is None else ci95 * scale
                found.append(PublishedFigure(row["system"], row["metric"], fps, float(row["value"]) * scale, ci95))
    return found


# --- CSV ------------------------------------------------------------------------------------------------------------------------------


def comma_separated(report: Report) -> str:
    """One row per figure. `n` is the number of samples behind each replication.

    A published figure stands in the row of the same system, metric and rate, or else in a row of its own, of tier `published` and without
    a value of ours.
    """
    beside = {(p.system, p.metric, p.fps): p for p in report.published}
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
                mean, half = interval(figure.values)
                published = None
                if section.takes(report.table.published):
                    key = (report.table.system(system).published, figure.metric, fps)
                    published = beside.get(key)
                    used.add(key)
                row = (report.table.name, report.dataset, figure.tier, system, figure.metric, _rate(fps), _plain(mean), _plain(half))
                about = (min(figure.counts), figure.extractor, upsampling, figure.set)
                writer.writerow((*row, *about, _plain(published.value) if published else ""))
    ids = {s.published: s.id for s in report.table.systems if s.published}
    for key, left in beside.items():
        if key not in used and report.table.published:
            name = ids.get(left.system, left.system)
            where = (report.table.name, report.table.published.dataset, "published", name, left.metric, _rate(left.fps))
            writer.writerow((*where, "", "", "", "", "", "", _plain(left.value)))
    return out.getvalue()


# --- Markdown -------------------------------------------------------------------------------------------------------------------------


def markdown(report: Report) -> str:
    """The report as Markdown."""
    table, published = report.table, report.table.published
    replications = sorted({len(figure.values) for figure in report.figures})
    parts = [f"# {table.title}\n", f"Dataset `{report.dataset}`, tier `{report.tier}`. {table.about}\n"]
    parts.append(
        f"Values are means ± 95 % intervals (1.96 standard errors) over {_span(replications)} replications. {INTERVAL.get(report.tier, '')}"
        "\nThe best generator of a column is bold; controls, oracles and real motion do not compete.\n"
        "n is the number of samples per replication.\n"
    )
    taken = [table.system(d["system"]).title for d in report.provenance if d["tier"] != report.tier]
    if taken:
        parts.append(
            f"{STORED} Computed in the stored run of tier `{FALLBACK[report.tier]}`, not in this one (such rows need data or time "
            f"that this tier does without): {'; '.join(taken)}. Everything else was computed in tier `{report.tier}`.\n"
        )
    else:
        parts.append(f"Every row was computed in tier `{report.tier}`.\n")
    trained = _training(report)
    parts += [trained] if trained else []
    shown: set[str] = set()
    for section in report.sections:
        beside = [p for p in report.published if p.metric == section.metric_id] if section.takes(published) else []
        shown.update(p.metric for p in beside)
        parts += [
            f"## {section.title}\n",
            f"{_direction(section.metric)}{section.metric.definition}.\n",
            _section_table(section, beside) + "\n",
        ]
        ratio = _ratio(section, beside)
        parts += [ratio + "\n"] if ratio else []
    rest = [p for p in report.published if p.metric not in shown]
    if rest and published:
        parts.append("## Published figures\n")
        for name in dict.fromkeys(p.metric for p in rest):
            rates = sorted({p.fps for p in rest if p.metric == name}, key=lambda fps: fps or 0)
            rows = _published_rows([p for p in rest if p.metric == name], rates, metric(name), published)
            parts += [f"{metric(name).title}:\n", _grid(rows, [_heading(fps) for fps in rates]) + "\n"]
    parts.append("## Provenance\n")
    parts.append(_provenance(report) + "\n")
    return "\n".join(parts)


def _training(report: Report) -> str:
    """The systems with what they had: parameters, samples, time, device. Rows that share a generator share a line."""
    rows: dict[str, list[str]] = {}
    marked = False
    for document in report.provenance:
        facts = report.training.get(document["system"])
        model = document["provenance"].get("sha256", {}).get("model", "")
        if not facts or model in rows:
            continue
        marked |= bool(facts.get("undertrained"))
        minutes = f"{facts['seconds'] / 60:.0f}" if "seconds" in facts else ""
        parameters = f"{facts['parameters'] / 1e6:.2f} M" if "parameters" in facts else ""
        rows[model] = [
            report.table.system(document["system"]).title + (UNDERTRAINED if facts.get("undertrained") else ""),
            *(parameters, _stages(facts.get("steps")), _stages(facts.get("samples")), minutes, str(facts.get("device", ""))),
        ]
    if not rows:
        return ""
    heads = ["system", "parameters", "steps", "samples seen", "minutes", "device"]
    table = tabulate(list(rows.values()), heads, tablefmt="github", disable_numparse=True)
    note = (
        f"\n\n{UNDERTRAINED} undertrained: its validation loss still fell by more than 2 % over the last fifth of the training."
        if marked
        else ""
    )
    return f"## Training\n\n{table}{note}\n"


def _stages(count: int | dict[str, int] | None) -> str:
    if isinstance(count, dict):
        return ", ".join(f"{name} {value:,}" for name, value in count.items())
    return "" if count is None else f"{count:,}"


def _section_table(section: Section, beside: list[PublishedFigure]) -> str:
    best = {fps: section.best(fps) for fps in section.rates}
    rows = []
    for system, upsampling in section.rows:
        cells = [section.cells.get((system, upsampling, fps)) for fps in section.rates]
        texts = ["" if c is None else _cell(c, section.metric, (system, upsampling) in best[c.fps]) for c in cells]
        here = [cell for cell in cells if cell is not None]
        mark = STORED if here[0].tier != section.report.tier else ""
        rows.append([section.label(system, upsampling) + mark, *texts, _span(sorted({n for cell in here for n in cell.counts}))])
    if beside and section.report.table.published:
        rows += _published_rows(beside, section.rates, section.metric, section.report.table.published)
    return _grid(rows, [*map(_heading, section.rates), "n"])


def _ratio(section: Section, beside: list[PublishedFigure]) -> str:
    """One sentence: the table's first system over the best of those it is compared with, at the highest rate, ours and as published."""
    table = section.report.table
    if not table.ratio or section.metric_id not in table.figure or section.metric.direction == "real":
        return ""
    best = {"lower": min, "higher": max}[section.metric.direction]
    fps = max((rate for rate in section.rates if rate is not None), default=None)
    found = {f.system: float(np.mean(f.values)) for f in section.figures if f.fps == fps and f.system in table.ratio}
    mine, *others = table.ratio
    if mine not in found or not any(name in found for name in others):
        return ""
    rival = best((name for name in others if name in found), key=found.__getitem__)
    names = {name: table.system(name).published or name for name in others}
    compared = ", ".join(names[name] for name in others if name in found)
    share = found[mine] / found[rival]
    text = f"{table.system(mine).title} over the best of {compared} ({names[rival]}) at {_heading(fps)}: {share:.2f}"
    said = {p.system: p.value for p in beside if p.fps == fps}
    if table.system(mine).published in said and any(name in said for name in names.values()):
        top, bottom = said[table.system(mine).published], best(said[name] for name in names.values() if name in said)
        text += f"; published: {top:g} / {bottom:g} = {top / bottom:.2f}"
    return text + "."


def _published_rows(found: list[PublishedFigure], rates: list[float | None], entry: Metric, where: Published) -> list[list[str]]:
    rows = []
    for system in dict.fromkeys(p.system for p in found):
        cells = {p.fps: p for p in found if p.system == system}
        texts = [_with_interval(cells[fps].value, cells[fps].ci95, entry) if fps in cells else "" for fps in rates]
        rows.append([f"*{system}, published, {where.dataset}*", *(f"*{text}*" if text else "" for text in texts), ""])
    return rows


def _grid(rows: list[list[str]], headings: list[str]) -> str:
    rows = [row[: len(headings) + 1] for row in rows]
    return tabulate(rows, ["system", *headings], tablefmt="github", disable_numparse=True, colalign=("left", *["right"] * len(headings)))


def _provenance(report: Report) -> str:
    rows = []
    for document in report.provenance:
        source = document["provenance"]
        hashes = ", ".join(f"{name} {str(digest)[:8]}" for name, digest in sorted(source.get("sha256", {}).items()))
        shown = [source.get(key) for key in ("device", "dtype")]
        commit = source.get("commit") or ""
        commit = commit[:10] + "+" * commit.endswith("+")  # + code that was changed since the commit
        rows.append([f"`{document['system']}`", document["tier"], *(str(x) if x is not None else "" for x in shown), commit, hashes])
    parts = [tabulate(rows, ["system", "tier", "device", "dtype", "commit", "sha256"], tablefmt="github", disable_numparse=True)]
    versions = sorted({", ".join(f"{k} {v}" for k, v in sorted(d["provenance"].get("packages", {}).items())) for d in report.provenance})
    parts += [f"\nPackages: {line}." for line in versions if line]
    lines = {_left_out(d["provenance"]["counts"]) for d in report.provenance if d["provenance"].get("counts")}
    parts += [f"\n{line}" for line in sorted(lines)]
    parts.append(f"\nRaw replications: `raw/{report.dataset}/{report.table.name}/<tier>/<system>.json`.")
    return "\n".join(parts)


def _left_out(counts: dict[str, dict[str, int]]) -> str:
    """counts: what was measured -> recordings, clips, left_out."""
    listed = ", ".join(f"{name} fps: {c['left_out']} of {c['recordings']} ({c['clips']} clips)" for name, c in counts.items())
    return f"Recordings shorter than a clip, left out of clip metrics: {listed}."


# --- shared ---------------------------------------------------------------------------------------------------------------------------


def _number(value: float, entry: Metric) -> str:
    text = f"{value:.{entry.digits}f}"
    return text if float(text) or not value else f"{value:.1e}"


def _with_interval(mean: float, half: float | None, entry: Metric) -> str:
    return _number(mean, entry) + ("" if half is None or np.isnan(half) else f" ± {half:.{entry.digits}f}")


def _cell(figure: Figure, entry: Metric, best: bool) -> str:
    text = _with_interval(*interval(figure.values), entry)
    return f"**{text}**" if best else text


def _direction(entry: Metric) -> str:
    return {"higher": "Higher is better: ", "lower": "Lower is better: ", "real": "Nearest to real is best: "}[entry.direction]


def _heading(fps: float | None) -> str:
    return "any rate" if fps is None else f"{fps:g} fps"


def _rate(fps: float | None) -> str:
    return "" if fps is None else f"{fps:g}"


def _plain(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def _span(counts: list[int]) -> str:
    return "" if not counts else str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
