"""What of a table can be computed on a dataset of another skeleton than the 22 joints: its extractors, its rows. It knows no metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from evaluators.extractors import EXTRACTORS
from evaluators.generation import REAL
from evaluators.tables import Row, Table
from nerm.cli import progress
from nerm.data.dataset import DATASETS
from nerm.errors import InputError
from nerm.generator import Generator


def for_dataset(table: Table, dataset: str, base_fps: float) -> Table:
    """The table with the extractors that read the dataset's skeleton; one of metrics at a single rate is at the dataset's base rate."""
    skeleton = DATASETS.get(dataset).skeleton
    extractors = tuple(name for name in table.extractors if skeleton in EXTRACTORS.get(name).skeletons)
    left_out = [name for name in table.extractors if name not in extractors]
    if left_out:
        progress(f"extractors {', '.join(left_out)} are left out: they do not read skeleton '{skeleton}' of dataset '{dataset}'")
    rates = (base_fps,) if table.layout == "metrics" and len(table.rates) == 1 else table.rates
    return replace(table, extractors=extractors, rates=rates)


def same_skeleton(row: Row, dataset: str, system: Callable[[Row], Generator]) -> None:
    """An InputError if a row cannot be compared with the dataset's motion, because it is of another skeleton."""
    skeleton = DATASETS.get(dataset).skeleton
    if row.system == REAL:
        if row.variant and skeleton != "smpl22":
            raise InputError(f"recordings of skeleton '{skeleton}' are not damaged; damage is defined on the 22 joints")
        return
    trained_on = system(row).facts.dataset
    if trained_on in DATASETS and DATASETS.get(trained_on).skeleton != skeleton:
        raise InputError(
            f"it was trained on '{trained_on}', whose motion has another skeleton than that of '{dataset}'; train it on that "
            f"(dataset={dataset}) and give {row.system}.checkpoint=PATH"
        )
