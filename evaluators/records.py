"""What is stored: replications of figures, the rows of tables that they belong to, and figures with all their replications.

It knows no file (`evaluators.store`, `evaluators.raw_file`), no metric, no extractor and no system.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from nerm.errors import InputError

REPLICATION = ("replication", "seed", "n", "value")
"""Fields of a record that differ between the replications of one series."""


@dataclass(frozen=True, slots=True)
class Record:
    """One replication of one figure.

    n: samples behind it.  seed: of its draw; replications of equal index and seed saw the same draw.  fps: None for a figure without one.
    set: of recordings.  extractor, upsampling, protocol: '' for none.  version: of the metric.  training: which of several of its system.
    """

    metric: str
    value: float
    n: int
    replication: int = 0
    seed: int = 0
    fps: float | None = None
    set: str = ""
    extractor: str = ""
    upsampling: str = ""
    version: int = 1
    protocol: str = ""
    protocol_version: int = 1
    training: int = 0


SERIES = {f.name: None if f.default is MISSING else f.default for f in fields(Record) if f.name not in REPLICATION}
"""What identifies a series of replications, with defaults."""


@dataclass(frozen=True)
class Document:
    """What is stored of one row of a table. system: the row's id.  machine: what may differ between equal runs."""

    dataset: str
    table: str
    tier: str
    system: str
    records: tuple[Record, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """All replications of one figure, in their order. values, counts (samples), replications (indices), seeds: one per replication."""

    dataset: str
    table: str
    tier: str
    system: str
    metric: str
    version: int
    fps: float | None
    set: str
    extractor: str
    upsampling: str
    protocol: str
    protocol_version: int
    values: tuple[float, ...]
    counts: tuple[int, ...]
    replications: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()
    training: int = 0

    @property
    def mean(self) -> float:
        """The mean over replications."""
        return float(np.mean(self.values))

    @cached_property
    def draws(self) -> dict[tuple[int, int], float]:
        """(index, seed) of a replication -> its value: what two figures have in common are replications of the same draws."""
        return dict(zip(zip(self.replications, self.seeds, strict=True), self.values, strict=True))


def figures(documents: Iterable[Document]) -> list[Figure]:
    """The records of documents grouped into figures, in the order of first appearance; a replication that occurs twice is an error."""
    grouped: dict[tuple, dict[int, Record]] = {}
    for document in documents:
        head = (document.dataset, document.table, document.tier, document.system)
        for record in document.records:
            group = grouped.setdefault((*head, *(getattr(record, key) for key in SERIES)), {})
            if record.replication in group:
                raise InputError(
                    f"replication {record.replication} of {record.metric} is stored twice for {'/'.join(head)}; give each one its own index"
                )
            group[record.replication] = record
    keys = ("dataset", "table", "tier", "system", *SERIES)
    return [
        Figure(
            **dict(zip(keys, key, strict=True)),
            values=tuple(record.value for record in group.values()),
            counts=tuple(record.n for record in group.values()),
            replications=tuple(group),
            seeds=tuple(record.seed for record in group.values()),
        )
        for key, group in grouped.items()
    ]
