"""Opens what figures are computed with and what lies in folders of results: extractors, and what is kept of real motion.

Runs of tables and the scoring of files open the same. It knows no system, and nothing of how a figure is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from evaluators.extractors import Extractor, load_extractor
from evaluators.protocols import PROTOCOLS
from evaluators.reference import Reference, Subject, how_to_build, load_subject, subject_of
from evaluators.tables import Table
from nerm.checkpoint import MODELS, RESULTS
from nerm.data.dataset import Dataset, load_dataset
from nerm.errors import InputError, MissingFile


def folders(out: str, shipped: str = "") -> list[Path]:
    """Where models, references and stored rows are looked for: in `shipped` alone, else in the folder of results and in what ships."""
    return [Path(shipped)] if shipped else list(dict.fromkeys([Path(out).resolve(), RESULTS]))


def open_extractors(table: Table, places: Sequence[Path], strict: bool) -> tuple[dict[str, Extractor], str]:
    """Name -> extractor of a table, without those whose published file is not here, and what is said of these ('' if all are here).

    strict: such a one is an error.
    """
    opened: dict[str, Extractor] = {}
    absent = ""
    for name in table.extractors:
        try:
            opened[name] = load_extractor(name, [folder / MODELS for folder in places])
        except MissingFile as missing:
            if strict:
                raise
            absent = str(missing)
    return opened, absent


def open_reference(dataset: str, protocols: Sequence[str], places: Sequence[Path]) -> tuple[Subject, dict]:
    """The table's subject, and the reference of each protocol. A subject that does not ship comes from the prepared dataset."""
    shipped = load_subject(dataset, [folder / "reference" for folder in places])
    subject, folder = shipped if shipped else (subject_of(load_dataset(dataset)), None)
    return subject, {name: Reference(name, PROTOCOLS.get(name).kept_version, folder, subject.digest) for name in protocols}


def same_dataset(dataset: Dataset, subject: Subject) -> Dataset:
    """The dataset; an InputError if the reference was made from another one."""
    if dataset.digest != subject.digest:
        raise InputError(
            f"dataset '{dataset.name}' has digest {dataset.digest[:12]} and its reference was made from {subject.digest[:12]}; build the "
            f"reference again: {how_to_build(dataset.name)}"
        )
    return dataset
