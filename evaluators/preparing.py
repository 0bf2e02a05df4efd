"""From what is asked for to a run that is ready: opens what it needs and finds the rows that can be computed here.

Systems and the dataset are opened when they are first needed. It computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from baselines.base import load_system
from evaluators.asked import Asked
from evaluators.cache import Cache
from evaluators.harness import Harness
from evaluators.opening import folders, open_extractors, open_reference, same_dataset
from evaluators.skeletons import for_dataset, same_skeleton
from evaluators.store import Store
from evaluators.tables import Row
from evaluators.treatments import TREATMENTS
from evaluators.user_class import UserClass
from evaluators.weights import Weights
from nerm.cli import data_home, progress
from nerm.data.dataset import Dataset, load_dataset
from nerm.errors import InputError
from nerm.generator import Generator, HasVariants


def prepare(asked: Asked) -> Harness:
    """The run of a table, with the rows that were asked for, else with those that can be computed here."""
    places = folders(asked.out, asked.shipped)

    @cache
    def dataset() -> Dataset:
        return same_dataset(load_dataset(asked.dataset), subject)

    subject, references = open_reference(asked.dataset, asked.table.protocols, places)
    table = for_dataset(asked.table, asked.dataset, subject.base_fps)
    weights = Weights(places, asked.checkpoints)
    systems = systems_with(weights, asked.classes, asked.device)
    extractors, absent = open_extractors(table, places, strict=bool(asked.rows))
    harness = Harness(
        table=table,
        tier=asked.tier,
        seed=asked.seed,
        subject=subject,
        rows=[],
        extractors=extractors,
        references=references,
        systems=systems,
        datasets=dataset,
        store=Store(asked.out, *places),
        cache=Cache(Path(asked.cache) if asked.cache else data_home() / "cache"),
        codes={name: Path(path) for name, path in asked.codes.items()},
        device=asked.device,
        files=weights.file,
    )
    harness.rows = rows_here(harness, asked.rows, weights, absent)
    return harness


def systems_with(weights: Weights, classes: Sequence[str], device: str) -> Callable[[Row], Generator]:
    """Row -> its system with the row's weights, each loaded once, asked as its variant says. classes: the user's, which
    are made at once."""
    own = {generator.name: generator for generator in map(UserClass, classes)}

    @cache
    def system(name: str, file: Path | None) -> Generator:
        return own[name] if name in own else load_system(name, file, device)

    @cache
    def asked(name: str, file: Path | None, variant: str) -> Generator:
        made, asks = system(name, file), TREATMENTS[variant].asks
        if not isinstance(made, HasVariants):
            raise InputError(f"system '{name}' has no choice of {' and '.join(asks)}; a row with such a variant is for NeRM")
        return made.variant(durations=asks.get("durations"), reading=asks.get("reading"))

    def of_row(row: Row) -> Generator:
        varied = row.variant in TREATMENTS and bool(TREATMENTS[row.variant].asks)
        return asked(row.system, weights.file(row), row.variant) if varied else system(row.system, weights.file(row))

    return of_row


def rows_here(harness: Harness, asked: Sequence[Row], weights: Weights, absent: str) -> list[Row]:
    """The rows to compute, each followed by those of its further trainings. Of rows that were asked for none may be impossible here.

    absent: what is said where a row has nothing to compute because an extractor's file is not here; '' if all are.
    """
    table = harness.table
    of_tier = [row for row in table.rows if harness.tier != "quick" or not table.quick or row.id in table.quick]
    rows: list[Row] = []
    skipped: dict[str, list[str]] = {}
    for wanted in asked or [row for row in of_tier if row.is_implemented]:
        trainings = weights.rows(wanted)
        try:
            same_skeleton(trainings[0], harness.dataset_name, harness.systems)
            for row in trainings:
                harness.check(row)
                if absent and not any(unit.metric for _, units in harness.plan(row) for unit in units):
                    raise InputError(absent)
                rows.append(row)
        except InputError as error:
            if asked:
                raise
            skipped.setdefault(str(error), []).append(trainings[0].id)
    for reason, names in skipped.items():
        progress(f"{', '.join(names)}: not computed here ({reason})")
    return rows
