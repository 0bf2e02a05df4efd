"""Scores of given motions as a row of a table's report."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from baselines.base import SYSTEMS
from evaluators.provenance import provenance
from evaluators.records import Document, Record
from evaluators.report import write_report
from evaluators.store import Store
from evaluators.tables import Table
from nerm.cli import progress
from nerm.errors import InputError


def check_name(name: str, table: Table) -> None:
    """An InputError if a row of files cannot have that name."""
    if name in table.row_ids or name in SYSTEMS or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise InputError(f"name={name}; use letters, digits and . _ + - and not the id of a row of the table or of a system")


def keep(
    records: Sequence[Record],
    name: str,
    table: Table,
    where: tuple[str, str],
    digests: Mapping[str, str],
    store: Store,
    about: dict[str, Any],
) -> list[Path]:
    """Store the records that the table prints as row `name`, and write the report; the paths written.

    where: dataset, tier.  Figures of the row at other rates stay if they were made with the same extractors and reference (`digests`).
    """
    check_name(name, table)
    fps = records[0].fps
    kept = [record for record in records if record.metric in table.metrics and (not record.set or record.set in table.sets)]
    if fps not in table.rates:
        progress(f"table {table.name} is printed for {', '.join(f'{rate:g}' for rate in table.rates)} fps; the row is one at {fps:g} fps")
    dataset, tier = where
    target = Store(store.root)
    if name in target.systems(dataset, table.name, tier):
        before = target.read(dataset, table.name, tier, name)
        if before.provenance.get("sha256", {}) == digests:
            kept += [record for record in before.records if record.fps != fps]
        else:
            progress(f"{name}: figures at other rates were made with other extractors or another reference, and are replaced")
    target.write(
        Document(dataset, table.name, tier, name, tuple(kept), provenance(sha256=dict(digests), title=f"{name} (files)", **about), {})
    )
    return write_report(store, dataset, table, tier)
