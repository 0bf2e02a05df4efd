"""One run of a table: everything that it needs, what every figure depends on, and which figures are missing.

A figure is missing if its stored key is not today's. So an interrupted run resumes, a repeated one costs nothing, and adding a metric
computes that metric alone. A run opens nothing (`evaluators.preparing`) and scores nothing (`evaluators.computing`) by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.cache import Cache
from evaluators.canonical import canonical
from evaluators.enough import sentence, with_enough
from evaluators.extractors import Extractor
from evaluators.generation import REAL, Block, Generation
from evaluators.metrics import metric
from evaluators.protocols import Arrays, EvaluationProtocol, Part, Unit, open_protocol
from evaluators.records import Document
from evaluators.reference import Reference, Subject, short
from evaluators.store import Store
from evaluators.tables import Row, Table
from nerm.cli import progress
from nerm.data.dataset import Dataset, Item
from nerm.errors import InputError
from nerm.generator import Generator
from nerm.motion import Motion
from nerm.motion.resample import VERSION as RESAMPLER

FLOOR = Row(REAL, "real motion", "real")


@dataclass
class Harness:
    """Everything that a run needs, and what a protocol is given (`evaluators.protocols.Run`).

    rows: those to compute.  references: protocol -> shipped parts of real motion.  systems: gives the generator of a row.
    datasets: opens the dataset.  codes: system -> file with the codes of its training; SYSTEM.seedN for those of a further training.
    files: gives the file with the weights of a row.
    """

    table: Table
    tier: str
    seed: int
    subject: Subject
    rows: Sequence[Row]
    extractors: Mapping[str, Extractor]
    references: Mapping[str, Reference]
    systems: Callable[[Row], Generator]
    datasets: Callable[[], Dataset]
    store: Store
    cache: Cache
    codes: Mapping[str, Path] = field(default_factory=dict)
    device: str = "cpu"
    files: Callable[[Row], Path | None] = lambda row: None
    _motions: dict[tuple, dict[int, Motion]] = field(default_factory=dict, repr=False)
    _real: dict[tuple[str, str], Arrays] = field(default_factory=dict, repr=False)
    _memo: dict[tuple, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def generation(self) -> Generation:
        return Generation(self.cache, self.items, self.base_fps, self.subject.digest, self.systems, self.datasets, self.seed)

    @cached_property
    def protocols(self) -> list[EvaluationProtocol]:
        return [open_protocol(name, self) for name in self.table.protocols]

    # --- what a protocol is given -----------------------------------------------------------------------------------------------------

    @property
    def dataset_name(self) -> str:
        return self.subject.dataset

    @property
    def items(self) -> Sequence[Item]:
        return self.subject.items

    @property
    def base_fps(self) -> float:
        return self.subject.base_fps

    def dataset(self) -> Dataset:
        return self.datasets()

    def system(self, row: Row) -> Generator:
        return self.systems(row)

    def codes_file(self, row: Row) -> Path | None:
        return self.codes.get(f"{row.system}.seed{row.training}" if row.training else row.system)

    def weights(self, row: Row) -> Path | None:
        return self.files(row)

    def upsampling(self, row: Row) -> str:
        return "" if row.system == REAL else self.generation.upsampling(row)

    def motions(self, row: Row, protocol: EvaluationProtocol, asks: str, fps: float, wanted: Sequence[int]) -> dict[int, Motion]:
        key = (row.id, protocol.name, asks, fps)
        if key not in self._motions:
            self._motions[key] = self.generation.motions(row, protocol.requests(row, asks), fps, wanted)
        return self._motions[key]

    def part(self, row: Row, protocol: EvaluationProtocol, part: Part) -> Arrays:
        if is_floor(row):
            return self.real(protocol, part)
        return self.cache.get_or(self.part_key(row, protocol, part), lambda: protocol.measure(row, part))

    def real(self, protocol: EvaluationProtocol, part: Part) -> Arrays:
        place = (protocol.name, part.place)
        if place not in self._real:
            arrays = self._shipped(protocol, part)
            if arrays is None:
                arrays = self.cache.get_or(self.part_key(FLOOR, protocol, part), lambda: short(part, protocol.measure(FLOOR, part)))
            self._real[place] = arrays
        return self._real[place]

    def _shipped(self, protocol: EvaluationProtocol, part: Part) -> Arrays | None:
        reference = self.references.get(protocol.name)
        return reference.get(part, self._extractor_digest(part.extractor)) if reference is not None else None

    def forget(self) -> None:
        """Free the memory of what systems made."""
        self.forget_motions()
        self.generation.forget()

    def forget_motions(self) -> None:
        """Free the memory of motions at a rate; codes, which can be read at any other, stay."""
        self._motions.clear()

    # --- keys -------------------------------------------------------------------------------------------------------------------------

    def part_key(self, row: Row, protocol: EvaluationProtocol, part: Part) -> dict[str, Any]:
        """All that a part depends on."""
        return {
            "protocol": [protocol.name, protocol.parts_version or protocol.version],
            "resampler": RESAMPLER,
            "part": part.place,
            "settings": part.settings,
            "extractor": self._extractor_digest(part.extractor),
            "metric": [part.metric, metric(part.metric).version] if part.metric else [],
            "subject": self.subject.key,
            "source": self.generation.identity(row, part.fps or self.base_fps),
            "requests": self._requests_digest(row, protocol, part.asks) if part.asks else "",
        }

    def unit_key(self, row: Row, protocol: EvaluationProtocol, unit: Unit) -> str:
        """The first 16 digits of the sha256 of all that a figure depends on."""

        def key() -> str:
            depends_on = {
                "metric": [unit.metric, metric(unit.metric).version] if unit.metric else [],
                "protocol": [protocol.name, protocol.version],
                "parts": [self.part_key(row, protocol, part) for part in unit.parts],
                "reference": [self._reference_digest(protocol, part) for part in unit.reference],
                "sets": self.table.sets,
                "tier": _plain(protocol.tiers[self.tier]),
                "seed": self.seed,
                "upsampling": self.upsampling(row),
            }
            return hashlib.sha256(canonical(depends_on).encode()).hexdigest()[:16]

        return self._once(("key", row.id, protocol.name, unit.name), key)

    def digests(self, row: Row = FLOOR) -> dict[str, str]:
        """sha256 of what a row's figures were made with."""
        digests = {"corpus": self.subject.digest} | {name: extractor.digest for name, extractor in self.extractors.items()}
        for reference in self.references.values():
            digests |= reference.digests({name: extractor.digest for name, extractor in self.extractors.items()})
        return digests | ({} if row.system == REAL else {"model": self.systems(row).digest})

    def _extractor_digest(self, name: str) -> str:
        return self.extractors[name].digest if name else ""

    def _requests_digest(self, row: Row, protocol: EvaluationProtocol, asks: str) -> str:
        def digest() -> str:
            requests = [asdict(request) for request in protocol.requests(row, asks)]
            return hashlib.sha256(canonical(requests).encode()).hexdigest()

        return self._once(("requests", row.id, protocol.name, asks), digest)

    def _reference_digest(self, protocol: EvaluationProtocol, part: Part) -> str:
        """Digest of the shipped arrays; for a part that is measured here, of what it is measured from."""

        def of() -> str:
            arrays = self._shipped(protocol, part)
            if arrays is None:
                return hashlib.sha256(canonical(self.part_key(FLOOR, protocol, part)).encode()).hexdigest()
            digest = hashlib.sha256()
            for name, array in sorted(arrays.items()):
                digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
            return digest.hexdigest()

        return self._once(("reference", protocol.name, part.place), of)

    def _once(self, key: tuple, make: Callable[[], Any]) -> Any:
        if key not in self._memo:
            self._memo[key] = make()
        return self._memo[key]

    def check(self, row: Row) -> None:
        """An error if the row cannot be made here, or if it is compared with real motion that does not ship and is not here."""
        self.generation.check(row)
        for protocol, units in self.plan(row):
            for unit in units:
                needed = [*unit.reference, *(unit.parts if is_floor(row) else ())]
                if any(part.asks and self._shipped(protocol, part) is None for part in needed):
                    self.dataset()
                    return

    # --- what is there and what is missing --------------------------------------------------------------------------------------------

    def stored(self, row: Row) -> Document | None:
        """What the store holds of a row; None for nothing, or for a damaged entry, which the store has reported and set aside."""
        where = (self.subject.dataset, self.table.name, self.tier)
        try:
            return self.store.read(*where, row.id) if row.id in self.store.systems(*where) else None
        except InputError:
            return None

    def plan(self, row: Row) -> list[tuple[EvaluationProtocol, list[Unit]]]:
        """Every figure of a row that can be computed here, by protocol. A metric that needs more trials than there are is left out."""
        return self._once(("plan", row.id), lambda: [(protocol, self._enough(row, protocol)) for protocol in self.protocols])

    def _enough(self, row: Row, protocol: EvaluationProtocol) -> list[Unit]:
        units, short_of = with_enough(protocol, row, self.items)
        if short_of:
            progress(f"{row.id}: left out: {sentence(short_of)}")
        return units

    def missing(self, row: Row) -> list[tuple[EvaluationProtocol, list[Unit]]]:
        """The figures of `plan` that are not stored under today's key."""
        document = self.stored(row)
        stored_keys = document.provenance.get("units", {}) if document else {}
        plan = [(p, [unit for unit in units if stored_keys.get(unit.name) != self.unit_key(row, p, unit)]) for p, units in self.plan(row)]
        return [(protocol, units) for protocol, units in plan if units]

    def blocks(self, rows: Sequence[Row]) -> list[Block]:
        """The blocks that the missing figures of rows need from their systems; one that several rows share is listed once."""
        blocks: dict[str, Block] = {}
        for row in rows:
            for protocol, units in self.missing(row):
                for part in dict.fromkeys(part for unit in units for part in unit.parts if part.asks and part.fps):
                    wanted = protocol.wanted(part)
                    for block in self.generation.blocks(row, protocol.requests(row, part.asks), part.fps or self.base_fps, wanted):
                        blocks.setdefault(self.generation.digest(block), block)
        return list(blocks.values())

    def shares(self, rows: Sequence[Row]) -> list[tuple[Row, EvaluationProtocol, list[Part]]]:
        """The parts of rows, in groups for several processes: one group per name, with all its rates; no part is in two groups."""
        shares: dict[tuple, tuple[Row, EvaluationProtocol, list[Part]]] = {}
        seen: set[str] = set()
        for row in rows:
            for protocol, units in [] if is_floor(row) else self.missing(row):
                for part in dict.fromkeys(part for unit in units for part in unit.parts):
                    digest = canonical(self.part_key(row, protocol, part))
                    if digest not in seen:
                        seen.add(digest)
                        shares.setdefault((row.id, protocol.name, part.name), (row, protocol, []))[2].append(part)
        return list(shares.values())

    def measure(self, row: Row, protocol: EvaluationProtocol, parts: Sequence[Part]) -> None:
        """Measure parts into the cache."""
        for part in parts:
            self.part(row, protocol, part)
        self.forget()


def is_floor(row: Row) -> bool:
    """Whether a row is real motion as it is, which the reference holds."""
    return row.system == REAL and not row.variant and not row.upsampling


def _plain(settings: Any) -> Any:
    return asdict(settings) if is_dataclass(settings) and not isinstance(settings, type) else settings
