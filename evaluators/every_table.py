"""table=all: every table of a dataset, one after the other, a line of summary for each. It knows no table, and not how one is computed."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence

from evaluators.ground_truth import GroundTruthMissed
from evaluators.tables import Table, list_tables, load_table
from nerm.cli import progress
from nerm.errors import InputError

ALL = "all"
"""In place of the name of a table: every one that lists the dataset."""


def tables_of(dataset: str) -> list[Table]:
    """The tables that list a dataset; an InputError if none does."""
    tables = [load_table(name) for name in list_tables()]
    found = [table for table in tables if dataset in table.datasets]
    if not found:
        known = sorted({name for table in tables for name in table.datasets})
        raise InputError(f"table=all dataset={dataset}; no table lists that dataset: there are tables of {', '.join(known)}")
    return found


def systems_of(table: Table, asked: Sequence[str], known: Sequence[str]) -> list[str]:
    """Those of the rows asked for that a table can have: it lists them, or they are systems."""
    return [name for name in asked if name in table.row_ids or name in known]


def run_every(names: Sequence[str], run_one: Callable[[str], str]) -> int:
    """Run every table and print what `run_one` says of it; what fails does not stop the others. 0, or 1 if some failed."""
    failed: dict[str, str] = {}
    for number, name in enumerate(names):
        progress(f"table {name} ({number + 1} of {len(names)})")
        try:
            said = run_one(name)
        except (InputError, OSError, GroundTruthMissed) as error:
            failed[name] = str(error)
        except Exception as error:  # a mistake in one table must not cost the others
            progress(traceback.format_exc())
            failed[name] = f"{type(error).__name__}: {error}"
        else:
            if said:
                print(said, flush=True)
    for name, reason in failed.items():
        print(f"{name}: failed ({reason})")
    if failed:
        print(f"{len(failed)} of {len(names)} tables failed: {', '.join(failed)}")
    return int(bool(failed))
