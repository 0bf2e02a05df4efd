"""What a page says of one table, as plain data: rows, figures, differences, published figures and provenance. It knows no HTML.

Every printed text is made here, in the words of the Markdown report, so that the script of the page formats no number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluators.intervals import interval
from evaluators.metrics import Metric, metric
from evaluators.records import Document
from evaluators.report.differences import change, dimensions
from evaluators.report.markdown import equal_sets, intervals, label, notes, shared_steps
from evaluators.report.model import Key, Report, Section, number
from evaluators.report.origins import UNDERTRAINED
from evaluators.report.pictures import drawn_rows
from evaluators.report.words import better, heading, name_of, versions, with_interval
from evaluators.tables import training_of

ROLES = ("generator", "oracle", "control", "real")


def content(report: Report) -> dict[str, Any]:
    """The data of one table. Cells name rows, columns and sections by their place in the lists."""
    keys = sorted({key for section in report.sections for key in section.rows}, key=lambda key: (report.table.place(key[0]), key[1]))
    first = report.main.first if report.main else None
    return {
        "id": identity(report),
        "dataset": report.dataset,
        "table": report.table.name,
        "tier": report.tier,
        "layout": report.table.layout,
        "rows": [_row(report, key, keys) for key in keys],
        "first": keys.index(first) if first in keys else None,
        "main": report.sections.index(report.main) if report.main else 0,
        "sections": [_section(section, keys) for section in report.sections] + _only_published(report),
        "published": _published(report),
        "documents": [_origin(document, report) for document in report.documents],
    }


def identity(report: Report) -> str:
    """What the table is called in addresses."""
    return f"{report.dataset}-{report.table.name}-{report.tier}"


def remarks(report: Report) -> list[str]:
    """What a reader of the table should know, as lines of Markdown."""
    lines = [f"{report.table.about} n is the number of samples per replication."]
    shown = [report.main] if report.main else []
    lines += [intervals(shown)] if shown else []
    lines += [*notes(report), equal_sets(report), dimensions(report, heading), *shared_steps(report).split("\n- ")]
    return [line for line in lines if line.strip()]


# --- rows and figures -----------------------------------------------------------------------------------------------------------------


def _row(report: Report, key: Key, keys: Sequence[Key]) -> dict[str, Any]:
    system = key[0]
    documents = [i for i, document in enumerate(report.documents) if training_of(document.system)[0] == system]
    return {"id": system, "title": label(report, key, keys), "role": report.rows[system].role, "upsampling": key[1], "documents": documents}


def _section(section: Section, keys: Sequence[Key]) -> dict[str, Any]:
    drawn = _drawn(section)
    best = {fps: section.best(fps) for fps in section.rates}
    cells = []
    for key in section.rows:
        for column, fps in enumerate(section.rates):
            if (*key, fps) in section.cells:
                cells.append([keys.index(key), column, *_cell(section, key, fps), key in best[fps]])
    return _about(section.metric) | {
        "extractor": section.extractor,
        "set": section.set,
        "versions": versions(section) if section.several_versions else "",
        "rates": section.rates,
        "columns": [heading(fps) for fps in section.rates],
        "same": {str(section.rates.index(fps)): other for fps, other in section.repeated.items()},
        "drawn": [i for i, key in enumerate(keys) if key[0] in drawn and key in section.rows],
        "cells": cells,
    }


def _drawn(section: Section) -> list[str]:
    """The rows that the picture of the report draws, and an oracle where there is one."""
    present = list(dict.fromkeys(key[0] for key in section.rows))
    drawn = drawn_rows(section.report, present)
    role = {name: section.report.rows[name].role for name in present}
    oracles = [name for name in present if role[name] == "oracle"]
    return drawn if "oracle" in (role[name] for name in drawn) else [*drawn, *oracles[:1]]


def _cell(section: Section, key: Key, fps: float | None) -> list[Any]:
    """value, half width, text, n, text of the difference from the first row."""
    figure, entry = section.cells[*key, fps], section.metric
    value, half = interval(figure.values, section.resamples)
    text = with_interval(value, half, entry)
    spread = section.spreads.get((*key, fps))
    if spread:
        text += f" ({spread.trainings} trainings: {number(spread.lowest, entry)} to {number(spread.highest, entry)})"
    difference = change(section, key, fps) if key != section.first else ""
    return [_plain(value), _plain(half), text, min(figure.counts), difference]


def _about(entry: Metric) -> dict[str, Any]:
    return {
        "metric": entry.name,
        "title": name_of(entry),
        "direction": entry.direction,
        "better": better(entry),
        "definition": entry.definition,
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(f"{value:.6g}")


# --- published figures ----------------------------------------------------------------------------------------------------------------


def _only_published(report: Report) -> list[dict[str, Any]]:
    """Metrics of which there are published figures and none of ours, as sections without cells."""
    here = {section.metric_id for section in report.sections}
    empty = []
    for found in dict.fromkeys(p.metric for p in report.published if p.metric not in here):
        rates = sorted({p.fps for p in report.published if p.metric == found}, key=lambda fps: fps or 0)
        places = {"extractor": "", "set": "", "versions": "published only", "rates": rates, "columns": [heading(fps) for fps in rates]}
        empty.append(_about(metric(found)) | places | {"same": {}, "drawn": [], "cells": []})
    return empty


def _published(report: Report) -> dict[str, Any] | None:
    """Figures by published system, whether that system was run here, and why they may not be compared with ours."""
    where = report.table.published
    if not report.published or where is None:
        return None
    systems = [
        {
            "title": system,
            "run": system in report.run_here,
            "cells": [[p.metric, p.fps, with_interval(p.value, p.ci95, metric(p.metric))] for p in report.published if p.system == system],
        }
        for system in dict.fromkeys(p.system for p in report.published)
    ]
    other = where.dataset != report.dataset
    reason = f"not comparable: other corpus ({where.dataset}), other extractor" if other else f"as published for {where.dataset}"
    return {"reason": reason, "comparable": not other, "systems": systems}


# --- provenance -----------------------------------------------------------------------------------------------------------------------


def _origin(document: Document, report: Report) -> dict[str, Any]:
    """Pairs of a name and what is known, for a reader who asks where the figures of a row come from."""
    source = document.provenance
    training = source.get("training") or {}
    facts = {
        "row": f"{document.system}, tier {document.tier}",
        "replications": f"{len(document.records):,} in raw/{document.dataset}/{document.table}/{document.tier}/{document.system}.json",
        "commit": source.get("commit"),
        "device": ", ".join(str(source[key]) for key in ("device", "dtype") if source.get(key)),
        "packages": _listed(source.get("packages")) + (f", python {source['python']}" if source.get("python") else ""),
        "seed": source.get("seed"),
        "settings": _listed(source.get("settings")),
        "counts": _counts(source.get("counts")),
        "stance": source.get("stance"),
    }
    facts |= {f"sha256 of {key}": value for key, value in sorted((source.get("sha256") or {}).items())}
    facts |= {f"training: {key}": value for key, value in _training(training).items()}
    pairs = [[key, str(value)] for key, value in facts.items() if value not in (None, "", {}, [])]
    return {"row": document.system, "facts": pairs}


def _training(facts: Mapping[str, Any]) -> dict[str, str]:
    seconds, parameters = facts.get("seconds"), facts.get("parameters")
    undertrained = f"yes {UNDERTRAINED}: its validation loss still fell by more than 2 % over the last fifth"
    return {
        "minutes": f"{seconds / 60:.0f}" if seconds else "",
        "parameters": f"{parameters:,}" if parameters else "",
        "steps": _listed(facts.get("steps")),
        "samples seen": _listed(facts.get("samples")),
        "device": str(facts.get("device") or ""),
        "undertrained": undertrained if facts.get("undertrained") else "",
    }


def _counts(counts: Any) -> str:
    """Counts by set and rate, the equal ones together."""
    if not isinstance(counts, Mapping):
        return _listed(counts)
    places: dict[str, list[str]] = {}
    for place, found in counts.items():
        places.setdefault(_listed(found), []).append(str(place))
    return "; ".join(f"{', '.join(where)}: {found}" for found, where in places.items())


def _listed(value: Any) -> str:
    """'a 1, b 2' of a mapping; anything else as it is."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_listed(inner)}".strip() for key, inner in value.items())
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value)
