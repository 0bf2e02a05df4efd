"""What a report is made from: the stored rows of a table, and the published figures that belong to it. It knows no format of a report."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from evaluators.metrics import METRICS, metric
from evaluators.records import figures
from evaluators.report.model import FALLBACK, PublishedFigure, Report
from evaluators.store import Store
from evaluators.tables import Published, Table, training_of
from nerm.errors import InputError


def build(store: Store, dataset: str, table: Table, tier: str) -> Report:
    """Everything the report needs, read from the store; rows that the tier lacks are taken over from the full run."""
    table = table.on(dataset)
    documents = {document.system: document for document in store.documents(dataset, table.name, tier)}
    if tier in FALLBACK:
        computed = {training_of(name)[0] for name in documents}
        stored = {document.system: document for document in store.documents(dataset, table.name, FALLBACK[tier])}
        documents |= {name: document for name, document in stored.items() if training_of(name)[0] not in computed}
    if not documents:
        raise InputError(
            f"nothing is stored for dataset={dataset} table={table.name} tier={tier} under {store.root}; run python -m evaluators.run "
            f"table={table.name} dataset={dataset} tier={tier} first"
        )
    ordered = tuple(documents[name] for name in sorted(documents, key=table.place))
    table, published = with_published(table, dataset, store.file("published.csv"))
    known = set(METRICS.names)  # a plugin that declared another one may not be here
    listed = (replace(figure, system=training_of(figure.system)[0]) for figure in figures(ordered) if figure.metric in known)
    return Report(table, dataset, tier, ordered, tuple(listed), tuple(published))


def with_published(table: Table, dataset: str, path: Path) -> tuple[Table, list[PublishedFigure]]:
    """The table and its published figures: those of the dataset, or, where there are none, those of the dataset that the table names."""
    if table.published is None:
        return table, []
    named = table.published
    found = {name: read_published(path, replace(named, dataset=name)) for name in (dataset, named.dataset)}
    chosen = dataset if found[dataset] else named.dataset
    return replace(table, published=replace(named, dataset=chosen, official=named.official.replace("DATASET", chosen))), found[chosen]


def read_published(path: Path, where: Published | None) -> list[PublishedFigure]:
    """The published figures of one table and dataset, scaled to our units; none if there is no such file."""
    if where is None or not path.exists():
        return []
    listed = []
    with path.open(newline="") as file:
        for line in csv.DictReader(file):
            if line["table"] == where.table and line["dataset"] == where.dataset and line["metric"] in METRICS:
                scale = metric(line["metric"]).published_scale
                fps, ci95 = (float(line[key]) if line[key] else None for key in ("fps", "ci95"))
                ci95 = None if ci95 is None else ci95 * scale
                listed.append(PublishedFigure(line["system"], line["metric"], fps, float(line["value"]) * scale, ci95))
    return listed
