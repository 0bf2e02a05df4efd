"""Computes what is missing of a table and stores it, row by row, each with where it comes from.

Several processes share the cache: each makes its part of the motion, then measures its part; then the first one scores. A run never loses a
figure: what is stored of a row and cannot be computed here stays as it is. What a figure means is the protocol's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from evaluators.generation import REAL
from evaluators.ground_truth import GroundTruthMissed, explanation, floor_row, misses
from evaluators.harness import Harness
from evaluators.protocols import EvaluationProtocol, Unit
from evaluators.provenance import machine, provenance
from evaluators.records import Document, Record, figures
from evaluators.tables import Row
from nerm.cli import progress
from nerm.errors import InputError

CURVES = "spectrum"


def compute(harness: Harness, index: int = 0, count: int = 1, wait: Callable[[], None] = lambda: None, guarded: bool = True) -> list[str]:
    """Compute and store what is missing; the ids of the rows that were computed. index, count: this process and how many there are.

    guarded: real motion comes first where it was published, and a GroundTruthMissed is raised where it is not as published.
    """
    guarded = guarded and bool(harness.table.ground_truth) and index == 0 and bool(harness.rows)
    first = check_ground_truth(harness) if guarded else []
    missing = [row for row in harness.rows if harness.missing(row)]
    for row in harness.rows:
        if row not in missing and row.id not in first and index == 0:
            progress(f"{row.id}: stored already, with the same models, reference and seed")
    if count > 1:
        for block in harness.blocks(missing)[index::count]:
            harness.generation.make(block)
        wait()
        for share in harness.shares(missing)[index::count]:
            harness.measure(*share)
        wait()
    if index == 0:
        with tqdm(total=len(missing) * len(harness.table.rates), unit="rate", file=sys.stderr, disable=None) as bar:
            for row in missing:
                bar.set_description(row.id)
                path = compute_row(harness, row, lambda: bar.update() and None)
                bar.write(f"{row.id}: {path}", file=sys.stderr)
    return [*first, *(row.id for row in missing)]


def check_ground_truth(harness: Harness) -> list[str]:
    """Compute real motion if it is not stored, and raise a GroundTruthMissed where it is not as published; the ids of what was computed."""
    row = floor_row(harness.table)
    harness.check(row)
    computed = [row.id] if harness.missing(row) else []
    if computed:
        progress(f"{row.id}: computed first, to be compared with what was published ({compute_row(harness, row)})")
    document = harness.stored(row)
    missed = misses(harness.table, figures([document] if document else []))
    if missed:
        raise GroundTruthMissed(explanation(harness.table, harness.subject.dataset, missed))
    return computed


def compute_row(harness: Harness, row: Row, step: Callable[[], None] = lambda: None) -> Path:
    """Compute the missing figures of a row and store them with those that are there. step: called after every rate."""
    began = time.perf_counter()
    where = (harness.subject.dataset, harness.table.name, harness.tier, row.id)
    missing, before, drawn = harness.missing(row), harness.stored(row), harness.store.curves(*where, CURVES)
    kept, kept_units = _kept(harness, row, before, missing)
    records: list[Record] = []
    curves: dict[float, Any] = {}
    for fps in harness.table.rates:
        for protocol, units in missing:
            of_rate = [unit for unit in units if unit.fps == fps]
            if of_rate:
                part = lambda part, protocol=protocol: harness.part(row, protocol, part)  # noqa: E731
                real = lambda part, protocol=protocol: harness.real(protocol, part)  # noqa: E731
                scored = protocol.score(row, [unit for unit in of_rate if unit.metric], part, real)
                records += [replace(record, training=row.training) for record in scored]
                curves |= protocol.curves(of_rate, part)
        harness.forget_motions()
        step()
    harness.forget()
    computed = {unit.name: harness.unit_key(row, protocol, unit) for protocol, units in missing for unit in units}
    about = provenance_of(harness, row) | {"units": dict(sorted({**kept_units, **computed}.items()))}
    if before is not None and "counts" in about:
        about["counts"] = {**before.provenance.get("counts", {}), **about["counts"]}
    seconds = round(time.perf_counter() - began, 1)
    path = harness.store.write(Document(*where, (*kept, *records), about, machine(seconds=seconds)))
    if drawn or curves:
        harness.store.write_curves(*where, CURVES, dict(sorted({**drawn, **curves}.items())))
    return path


def _kept(
    harness: Harness, row: Row, before: Document | None, missing: Sequence[tuple[EvaluationProtocol, list[Unit]]]
) -> tuple[list[Record], dict[str, str]]:
    """Records of the stored row that this run does not compute, and their keys. Some of other weights are an InputError."""
    if before is None:
        return [], {}
    new = [(unit, protocol) for protocol, units in missing for unit in units]
    kept = [record for record in before.records if not any(_is_of(record, unit, protocol) for unit, protocol in new)]
    planned = {unit.name for _, units in harness.plan(row) for unit in units}
    left = [record for record in kept if not any(name in planned for name in _unit_names(record))]
    if left:
        old, today = before.provenance.get("sha256", {}).get("model"), harness.digests(row).get("model")
        planned_metrics = {unit.metric for _, units in harness.plan(row) for unit in units}
        names = ", ".join(sorted({f"{r.metric} (set {r.set})" if r.metric in planned_metrics else r.metric for r in left}))
        if old != today:
            raise InputError(
                f"{harness.store.path(before.dataset, before.table, before.tier, row.id)} holds figures of other weights ({str(old)[:8]}) "
                f"that cannot be computed here ({names}); give another out=, or move the file away to begin the row anew"
            )
        progress(f"{row.id}: {names} cannot be computed here and stay as they are stored")
    computed = {unit.name for unit, _ in new}
    return kept, {name: key for name, key in before.provenance.get("units", {}).items() if name not in computed}


def provenance_of(harness: Harness, row: Row) -> dict[str, Any]:
    """What is stored with a row."""
    more: dict[str, Any] = harness.generation.about(row)
    for protocol in harness.protocols:
        more |= protocol.about()
    if row.system != REAL:
        facts = harness.systems(row).facts
        more |= {"training": {key: value for key, value in asdict(facts).items() if value not in (None, "", {})}} if facts.known else {}
    if row.checkpoint:
        more["checkpoint"] = row.checkpoint
    if row.title != harness.table.stored_row(row.id, row.checkpoint).title:
        more["title"] = row.title  # nobody else knows it
    device = "cpu" if row.system == REAL else harness.device
    return provenance(**more, device=device, dtype="float32", seed=harness.seed, sha256=harness.digests(row))


def _unit_names(record: Record) -> tuple[str, str]:
    """The names of the units that a record can belong to."""
    name = f"{record.metric}@{record.fps:g}" if record.fps is not None else record.metric
    return name, f"{name}/{record.set}"


def _is_of(record: Record, unit: Unit, protocol: EvaluationProtocol) -> bool:
    return record.protocol == protocol.name and unit.metric == record.metric and unit.name in _unit_names(record)


def processes() -> tuple[int, int, Callable[[], None]]:
    """(index of this process, number of processes, function that waits for all). A single process imports nothing for this."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1, lambda: None
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    if state.num_processes != int(os.environ["WORLD_SIZE"]):
        raise InputError(
            f"{os.environ['WORLD_SIZE']} processes were started and know of {state.num_processes}; start them with accelerate launch"
        )
    return state.process_index, state.num_processes, state.wait_for_everyone
