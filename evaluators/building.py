"""Building what is kept of real motion: every protocol's parts, measured from a prepared dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from evaluators.cache import Cache
from evaluators.extractors import EXTRACTORS, load_extractor
from evaluators.harness import FLOOR, Harness
from evaluators.protocols import PROTOCOLS
from evaluators.reference import RATES, save_parts, save_subject, short, subject_of
from evaluators.store import Store
from evaluators.tables import Row, Table
from nerm.checkpoint import MODELS
from nerm.data.dataset import Dataset
from nerm.errors import InputError
from nerm.generator import Generator


def build_reference(dataset: Dataset, places: Sequence[Path], folder: Path, rates: Sequence[float] = RATES) -> list[Path]:
    """Measure the parts and write them to `folder`; the paths written. places: folders that hold models/."""
    subject = subject_of(dataset)
    extractors = {}
    for known in (EXTRACTORS.get(name) for name in EXTRACTORS.names):
        # What ships does not depend on files that others publish.
        if known.official or dataset.skeleton.name not in known.skeletons:
            continue
        try:
            extractors[known.name] = load_extractor(known.name, [place / MODELS for place in places])
        except InputError:
            continue  # nothing is kept for an extractor that is not trained
    paths = [save_subject(subject, folder)]
    with TemporaryDirectory() as scratch:
        for entry in PROTOCOLS:
            table = Table(name="reference", title="", about="", rates=tuple(rates), metrics=(), rows=(), protocols=(entry.name,))
            harness = Harness(
                table, entry.tiers[0], 0, subject, [], extractors, {}, _no_system, lambda: dataset, Store(scratch), Cache(Path(scratch))
            )
            protocol = harness.protocols[0]
            kept = protocol.reference_parts(extractors, [fps for fps in rates if any(item.fps >= fps for item in subject.items)])
            measured = [(part, short(part, protocol.measure(FLOOR, part))) for part in tqdm(kept, desc=entry.name, disable=None)]
            if measured:
                digests = {name: extractor.digest for name, extractor in extractors.items()}
                paths += save_parts(folder, subject, (entry.name, entry.kept_version), measured, digests)
    return paths


def _no_system(row: Row) -> Generator:
    raise InputError(f"row {row.id}: only real motion is measured here")
