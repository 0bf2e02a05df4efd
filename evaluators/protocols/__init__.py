"""Protocols: what motion a table asks for, what is measured on it, and how figures are computed from that. Listing them imports none.

A protocol is a folder of this package whose `__init__.py` declares a ProtocolEntry, or a plugin that does (`nerm.registry`). A run:
requests -> motion (cached) -> parts (cached: one extractor's embeddings, or one metric's values, at one rate) -> records -> store.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from typing import Protocol as Interface

from numpy.typing import NDArray

from nerm.registry import Registry, load_object

if TYPE_CHECKING:
    from pathlib import Path

    from evaluators.extractors import Extractor
    from evaluators.generation import Request
    from evaluators.intervals import Resamples
    from evaluators.metrics import Metric
    from evaluators.records import Record
    from evaluators.tables import Row, Table
    from nerm.data.dataset import Dataset, Item
    from nerm.generator import Generator
    from nerm.motion import Motion

Arrays = Mapping[str, NDArray]


@dataclass(frozen=True)
class Part:
    """What is kept of a row's motions at a rate: the embeddings of one extractor, the values of one metric, or what a protocol needs.

    asks: the name of the requests that it is measured on, '' if it needs no motion.  extractor, metric: those whose digest or version it
    depends on, '' for none.  settings: what else it depends on, as plain data.
    """

    name: str
    fps: float | None = None
    asks: str = ""
    extractor: str = ""
    metric: str = ""
    settings: Any = None

    @property
    def place(self) -> str:
        """Its name in a file: '20/clips/guo'."""
        return f"{self.fps:g}/{self.name}" if self.fps is not None else self.name


@dataclass(frozen=True)
class Unit:
    """One figure that a protocol computes, for all sets together or for one. Figures are stored, resumed and kept by unit.

    parts: of the row.  reference: parts of real motion that it is compared with.  metric: '' for a curve, which is no figure.
    """

    metric: str
    fps: float
    parts: tuple[Part, ...]
    reference: tuple[Part, ...] = ()
    set: str = ""

    @property
    def name(self) -> str:
        """Its name in a stored document: 'clip_fid@120', 'mre@20/train'."""
        return f"{self.metric or 'curve'}@{self.fps:g}" + (f"/{self.set}" if self.set else "")


class Run(Interface):
    """What a protocol is given: the table, the items, and access to motion and parts. `evaluators.harness.Harness` is one."""

    @property
    def table(self) -> Table: ...

    @property
    def tier(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def base_fps(self) -> float: ...

    @property
    def dataset_name(self) -> str: ...

    @property
    def items(self) -> Sequence[Item]:
        """The items that the table is about, with the time of each that counts."""
        ...

    @property
    def extractors(self) -> Mapping[str, Extractor]:
        """Those of the table, in its order."""
        ...

    def dataset(self) -> Dataset:
        """The prepared dataset, or an InputError that says how to prepare it."""
        ...

    def system(self, row: Row) -> Generator:
        """The system of a row, with the row's weights."""
        ...

    def weights(self, row: Row) -> Path | None:
        """The file with the weights of a row's system, None for those that its `loads` finds by itself."""
        ...

    def codes_file(self, row: Row) -> Path | None:
        """The file with the codes of a row's training, None if none was given."""
        ...

    def motions(self, row: Row, protocol: EvaluationProtocol, asks: str, fps: float, wanted: Sequence[int]) -> dict[int, Motion]:
        """Place in the requests of that name -> motion at fps."""
        ...

    def forget(self) -> None:
        """Free the memory of motions that were given."""
        ...

    def upsampling(self, row: Row) -> str:
        """What records say of how a system's motion came to a rate; '' if it was made there, and for recordings."""
        ...

    def part(self, row: Row, protocol: EvaluationProtocol, part: Part) -> Arrays:
        """A part of a row, measured or from the cache; a part of real motion from the reference, if it is there."""
        ...

    def real(self, protocol: EvaluationProtocol, part: Part) -> Arrays:
        """A part of real motion."""
        ...


class EvaluationProtocol(ABC):
    """One protocol in one run. `units` says what it computes, and needs no motion for that; nothing here writes a file."""

    name: str
    version: int
    parts_version: int = 0
    """Version of how parts are measured, which rises less often than that of the figures; 0: they rise together."""
    tiers: Mapping[str, Any]
    """Tier -> the protocol's settings there; part of every key."""

    def __init__(self, run: Run) -> None:
        self.run = run

    @abstractmethod
    def units(self, row: Row) -> list[Unit]:
        """Every figure of the table that this protocol can compute for a row, here and now."""

    def requests(self, row: Row, asks: str) -> Sequence[Request]:
        """The requests of the name `asks` for a row; those for a system are the same at every rate."""
        return ()

    def wanted(self, part: Part) -> Sequence[int]:
        """The places in its requests that a part is measured on."""
        return range(0)

    @abstractmethod
    def measure(self, row: Row, part: Part) -> Arrays:
        """Measure a part of a row."""

    @abstractmethod
    def score(self, row: Row, units: Sequence[Unit], part: Callable[[Part], Arrays], real: Callable[[Part], Arrays]) -> Iterable[Record]:
        """The records of units at one rate. part, real: the row's and real motion's parts."""

    def curves(self, units: Sequence[Unit], part: Callable[[Part], Arrays]) -> dict[float, NDArray]:
        """Curves [2, F] of a row by rate, of units without a metric. The report draws them; no check compares them."""
        return {}

    def reference_parts(self, extractors: Iterable[str], rates: Sequence[float]) -> list[Part]:
        """The parts of real motion to keep, so that a clone without data can score a system; [] for none."""
        return []

    def about(self) -> dict[str, Any]:
        """What provenance says about its samples (counts, left out)."""
        return {}


@dataclass(frozen=True)
class ProtocolEntry:
    """A protocol as data.

    opens: "module:Class" of an EvaluationProtocol.  metrics: those it can compute.  tiers: their names.  parts_version: of how parts are
    measured, 0 if it is that of the protocol; parts that are kept stay good while only their scoring changes.
    resamples: what its replications are, '' where it is what each metric declares (`Metric.resamples`).
    """

    name: str
    title: str
    version: int
    opens: str
    metrics: tuple[str, ...]
    tiers: tuple[str, ...] = field(default=("quick", "full", "paper"))
    parts_version: int = 0
    resamples: Resamples | Literal[""] = ""

    @property
    def kept_version(self) -> int:
        """The version that kept parts carry."""
        return self.parts_version or self.version


PROTOCOLS: Registry[ProtocolEntry] = Registry("protocol", ProtocolEntry, "evaluators.protocols")


def open_protocol(name: str, run: Run) -> EvaluationProtocol:
    """The protocol of that name for a run."""
    return load_object(PROTOCOLS.get(name).opens)(run)


def resamples_of(entry: Metric, protocol: str) -> Resamples:
    """What the replications of a metric by a protocol are; of one that is not known here, what the metric declares."""
    return (PROTOCOLS.get(protocol).resamples if protocol in PROTOCOLS else "") or entry.resamples
