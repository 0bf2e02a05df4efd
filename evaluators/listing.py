"""nerm list, or python -m evaluators.listing: tables, systems, metrics, extractors, datasets and protocols by name.

Also what `dry_run=true` of a table prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nerm.cli import parse, run
from nerm.help import command

if TYPE_CHECKING:
    from evaluators.harness import Harness

NOT_RUN = "published figures only"


@dataclass
class Listing:
    """There are no keys."""


@command(Listing)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    parse(Listing, arguments)
    print(listing())
    return 0


def listing() -> str:
    """Tables, systems, metrics, extractors, datasets and protocols by name; imports nothing heavy."""
    from baselines.base import SYSTEMS
    from evaluators.extractors import EXTRACTORS
    from evaluators.metrics import METRICS
    from evaluators.protocols import PROTOCOLS
    from evaluators.tables import list_tables, load_table
    from nerm.data.dataset import DATASETS

    tables = [load_table(name) for name in list_tables()]
    rows = {row.id: f"{row.title} ({row.role if row.is_implemented else NOT_RUN})" for table in tables for row in table.rows}
    systems = rows | {system.name: f"{system.title} (generator)" for system in SYSTEMS}
    parts = {
        "tables": {table.name: table.title for table in tables},
        "systems": systems,
        "metrics": {entry.name: f"{entry.title}{f' [{entry.unit}]' if entry.unit else ''}" for entry in METRICS},
        "extractors": {entry.name: entry.title for entry in EXTRACTORS},
        "datasets": {entry.name: entry.title for entry in DATASETS},
        "protocols": {entry.name: entry.title for entry in PROTOCOLS},
    }
    return "\n".join(line for kind, titles in parts.items() for line in [kind, *columns(titles)])


def columns(lines: Mapping[str, str]) -> list[str]:
    """Name and text, the texts below each other."""
    width = max(map(len, lines), default=0) + 2
    return [f"  {name:<{width}}{text}" for name, text in lines.items()]


def describe(harness: Harness) -> str:
    """What a run would compute."""
    from evaluators.harness import is_floor

    lines = [f"table={harness.table.name} dataset={harness.subject.dataset} tier={harness.tier} seed={harness.seed}"]
    for protocol in harness.protocols:
        lines += [f"  {protocol.name}: {protocol.tiers[harness.tier]}"]
        lines += [
            f"  {name:<14}{c['recordings']:>5} recordings, {c['left_out']} shorter than a clip; {c['clips']} clips"
            for name, c in protocol.about().get("counts", {}).items()
        ]
    rows: dict[str, str] = {}
    for row in harness.rows:
        missing = harness.missing(row)
        figures = sum(bool(unit.metric) for _, units in missing for unit in units)
        blocks = harness.blocks([row]) if figures else []
        motions = sum(len(block.requests) for block in blocks)
        work = f"{figures} figures" + (
            ", from the reference" if is_floor(row) else f", {motions} motions or codes to ask for" if motions else ""
        )
        rows[row.id] = work if missing else "stored already"
    rows |= {row.id: NOT_RUN for row in harness.table.rows if not row.is_implemented}
    return "\n".join([*lines, *columns(rows)])


if __name__ == "__main__":
    run(main)
