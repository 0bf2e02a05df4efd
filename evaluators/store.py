"""Raw replications with their provenance, as files. Every number of a report comes from here.

The path is the identity: ROOT/raw/<dataset>/<table>/<tier>/<system>.json holds all replications of one row of a table, and nothing else
does. Equal results are equal bytes: keys are sorted, values have seven digits and other floats nine, and what depends on the machine
(seconds, memory) stands apart in `machine`. The store knows no metric, no extractor and no system.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from re import fullmatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.cli import progress
from nerm.errors import InputError

LOCAL = ("quick",)
"""Tiers whose results do not ship."""
FORMAT = 2
DIGITS = 7
"""Of a stored value: as many as the single precision has in which motion is made."""
_REPLICATION = ("replication", "seed", "n", "value")
_OFTEN_EQUAL = ("seed", "n")
"""Fields of a replication that stand once if they are the same in all of a series."""
_SHARED = ("replication", "seed", "n", "version", "extractor", "upsampling", "protocol", "protocol_version", "training")
"""Fields that most series of a file have in common. They stand once, in `shared`; a series holds only those in which it differs."""


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


_SERIES = {f.name: None if f.default is MISSING else f.default for f in fields(Record) if f.name not in _REPLICATION}
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


class Store:
    """A folder of results: `raw/`, the reports, published.csv.

    root: where results are written.  more: folders that are read where root lacks something, in that order, and never written. Results of
    LOCAL tiers are those of root alone: nobody else's quick run is taken for one's own.
    """

    def __init__(self, root: str | Path, *more: str | Path) -> None:
        self.root = Path(root)
        self.roots = tuple(dict.fromkeys([self.root, *map(Path, more)]))

    def _roots(self, tier: str) -> tuple[Path, ...]:
        return (self.root,) if tier in LOCAL else self.roots

    def path(self, dataset: str, table: str, tier: str, system: str) -> Path:
        """Where the document of that identity is written."""
        return self.root / _place(dataset, table, tier, system)

    def systems(self, dataset: str, table: str, tier: str) -> list[str]:
        """The ids that have results, in any of the folders, sorted."""
        folder = _place(dataset, table, tier, "x").parent
        return sorted({path.stem for root in self._roots(tier) for path in (root / folder).glob("*.json") if not path.name.startswith(".")})

    def tables(self) -> list[tuple[str, str, str]]:
        """(dataset, table, tier) of everything that is stored, in any of the folders, sorted."""
        found = {
            (path.parts[-4], path.parts[-3], path.parts[-2])
            for root in self.roots
            for path in (root / "raw").glob("*/*/*/*.json")
            if not path.name.startswith(".") and root in self._roots(path.parts[-2])
        }
        return sorted(found)

    def read(self, dataset: str, table: str, tier: str, system: str) -> Document:
        """The document of one row, from the first folder that has it whole. A damaged one is reported, and renamed if it is in root."""
        place = _place(dataset, table, tier, system)
        for path in (root / place for root in self._roots(tier)):
            if path.is_file():
                try:
                    return self._read(path, dataset, table, tier, system)
                except InputError as error:
                    self._set_aside(path, error)
        raise InputError(f"nothing is stored under {place} in {' or '.join(map(str, self._roots(tier)))}; run the table again")

    def documents(self, dataset: str, table: str, tier: str) -> list[Document]:
        """All rows that are stored whole, sorted by id."""
        whole = []
        for system in self.systems(dataset, table, tier):
            try:
                whole.append(self.read(dataset, table, tier, system))
            except InputError:
                continue  # damaged, as `read` has reported
        return whole

    def write(self, document: Document) -> Path:
        """Replace the document of one row in root, whole or not at all."""
        path = self.path(document.dataset, document.table, document.tier, document.system)
        head = {"format": FORMAT, "dataset": document.dataset, "table": document.table, "tier": document.tier, "system": document.system}
        data = _dump({**head, "provenance": document.provenance, "machine": document.machine}, _to_series(document.records))
        write_atomic(path, data)
        return path

    def curves(self, dataset: str, table: str, tier: str, system: str, name: str) -> dict[float, NDArray[np.float64]]:
        """fps -> [2, F] hz and density, from the first folder that holds results of the row; empty if it has no curves."""
        place = _place(dataset, table, tier, system)
        root = next((root for root in self._roots(tier) if (root / place).is_file()), self.root)
        path = root / place.with_name(f"{system}.{name}.csv")
        points: dict[float, list[tuple[float, float]]] = {}
        if path.is_file():
            try:
                with path.open(newline="") as file:
                    for fps, hz, density in list(csv.reader(file))[1:]:
                        points.setdefault(float(fps), []).append((float(hz), float(density)))
            except (ValueError, csv.Error) as error:
                self._set_aside(path, InputError(f"{path} is no whole file of curves ({error})"))
                return {}
        return {fps: np.array(pairs).T for fps, pairs in points.items()}

    def write_curves(self, dataset: str, table: str, tier: str, system: str, name: str, curves: Mapping[float, NDArray]) -> Path:
        """Write fps -> [2, F] hz and density as SYSTEM.NAME.csv beside the document in root; columns fps, hz, density."""
        out = io.StringIO()
        out.write("fps,hz,density\n")
        for fps, (hz, density) in curves.items():
            out.writelines(f"{fps:g},{x:.6g},{y:.6g}\n" for x, y in zip(hz, density, strict=True))
        path = self.path(dataset, table, tier, system).with_name(f"{system}.{name}.csv")
        write_atomic(path, out.getvalue().encode())
        return path

    def file(self, name: str) -> Path:
        """A file of the results folder (published.csv) from the first folder that has it; root's path if none has."""
        return next((root / name for root in self.roots if (root / name).is_file()), self.root / name)

    def _read(self, path: Path, *identity: str) -> Document:
        document = read_document(path)
        try:
            _check(document)
        except ValueError as error:
            raise InputError(f"{path} is not a complete result file ({error}); delete it and run its table again") from None
        for key, expected in zip(("dataset", "table", "tier", "system"), identity, strict=True):
            if getattr(document, key) != expected:
                raise InputError(f"{path} says {key} '{getattr(document, key)}' inside; a result file must not be renamed: write it anew")
        return document

    def _set_aside(self, path: Path, error: InputError) -> None:
        aside = path.with_name(f"{path.name}.damaged")
        if path.is_relative_to(self.root):
            path.replace(aside)
        progress(f"{error}; " + (f"kept aside as {aside.name}" if path.is_relative_to(self.root) else "left out"))


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
            group = grouped.setdefault((*head, *(getattr(record, key) for key in _SERIES)), {})
            if record.replication in group:
                raise InputError(
                    f"replication {record.replication} of {record.metric} is stored twice for {'/'.join(head)}; give each one its own index"
                )
            group[record.replication] = record
    keys = ("dataset", "table", "tier", "system", *_SERIES)
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


def read_document(path: Path) -> Document:
    """A raw result file; a file that is none, or has another format, is an InputError."""
    try:
        raw = json.loads(path.read_text())
        version = raw["format"]
        if version == FORMAT:
            shared = raw.get("shared", {})
            records = tuple(record for series in raw["series"] for record in _from_series(shared | series))
            head = (raw["dataset"], raw["table"], raw["tier"], raw["system"])
            return Document(*head, records, raw["provenance"], raw["machine"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path} is not a complete result file ({type(error).__name__}: {error}); delete it and run its table again"
        ) from None
    raise InputError(f"{path} has result format {version}; this version reads {FORMAT}")


def _check(document: Document) -> None:
    """A ValueError for content that no run writes, and that a report would stumble over."""
    if not (isinstance(document.provenance, dict) and isinstance(document.machine, dict)):
        raise ValueError("provenance and machine are no dicts")
    seen = set()
    for record in document.records:
        key = tuple(getattr(record, name) for name in (*_SERIES, "replication"))
        if key in seen:
            raise ValueError(f"replication {record.replication} of {record.metric} twice")
        seen.add(key)
        if not np.isfinite(record.value):
            raise ValueError(f"{record.metric} is {record.value}")
        texts = (record.metric, record.set, record.extractor, record.upsampling, record.protocol)
        if not all(isinstance(text, str) for text in texts) or not isinstance(record.fps, (int, float, type(None))):
            raise ValueError(f"a series of {record.metric} with a value of a wrong type")


def canonical(data: Any) -> str:
    """One-line JSON with sorted keys and floats of nine digits: equal data, equal text."""
    return json.dumps(_plain(data), sort_keys=True, ensure_ascii=False, allow_nan=False)


def write_atomic(path: str | Path, data: bytes) -> None:
    """Write a file, and the folders above it, so that after a kill, or for a reader, it is the old one or the new one and never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _place(dataset: str, table: str, tier: str, system: str) -> Path:
    """The path of a document below a folder of results."""
    for kind, name in (("dataset", dataset), ("table", table), ("tier", tier), ("system", system)):
        if not fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
            raise InputError(f"{kind} '{name}' cannot name a file of results; use letters, digits and . _ + -")
    return Path("raw") / dataset / table / tier / f"{system}.json"


def _to_series(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Records that differ in nothing but their replication, folded into one dict of lists: a twentieth of the size."""
    folded: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda record: record.replication):
        if not np.isfinite(record.value):
            raise InputError(f"{record.metric} is {record.value} at replication {record.replication}; leave out what is not defined")
        plain = _plain(asdict(record))
        series = {key: plain[key] for key in _SERIES}
        lists = folded.setdefault(canonical(series), series | {key: [] for key in _REPLICATION})
        for key in _REPLICATION:
            lists[key].append(float(f"{record.value:.{DIGITS}g}") if key == "value" else plain[key])
    for lists in folded.values():
        for key in _OFTEN_EQUAL:
            if len(set(lists[key])) == 1:
                lists[key] = lists[key][0]
    return [folded[key] for key in sorted(folded)]


def _from_series(series: Mapping[str, Any]) -> list[Record]:
    kept = {key: series.get(key, default) for key, default in _SERIES.items()}
    if kept["metric"] is None:
        raise KeyError("metric")
    seeds, counts = (series[key] if isinstance(series[key], list) else [series[key]] * len(series["value"]) for key in _OFTEN_EQUAL)
    columns = zip(series["replication"], seeds, counts, series["value"], strict=True)
    return [Record(**kept, replication=int(r), seed=int(s), n=int(n), value=float(v)) for r, s, n, v in columns]


def _dump(head: Mapping[str, Any], series: Sequence[Mapping[str, Any]]) -> bytes:
    """Sorted JSON, one line per series so that a difference can be read."""
    text = json.dumps(_plain(head), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    shared = {key: _most_common([canonical(item[key]) for item in series]) for key in _SHARED} if series else {}
    own = [{key: value for key, value in item.items() if canonical(value) != shared.get(key)} for item in series]
    common = canonical({key: json.loads(value) for key, value in shared.items()})
    lines = ",\n".join("  " + canonical(item) for item in own)
    return (text.removesuffix("\n}") + f',\n "shared": {common},\n "series": [\n{lines}\n ]\n}}\n').encode()


def _most_common(texts: Sequence[str]) -> str:
    """The most common text; of equally common ones the first in the alphabet."""
    counts = Counter(texts)
    return max(sorted(counts), key=counts.__getitem__)


def _plain(data: Any) -> Any:
    """Data of dicts, sequences, numbers, text and paths as JSON knows them; anything else is an error."""
    if isinstance(data, Mapping):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    if isinstance(data, np.ndarray) and data.size <= 4096:
        return _plain(data.tolist())
    if isinstance(data, np.generic):
        return _plain(data.item())
    if isinstance(data, float):
        if not np.isfinite(data):
            raise InputError(f"the number {data} cannot be stored; leave out what is not defined")
        return float(f"{data:.9g}")
    if data is None or isinstance(data, (bool, int, str)):
        return data
    if isinstance(data, Path):
        return data.as_posix()
    raise InputError(f"a {type(data).__name__} cannot be stored as JSON; give numbers, text, lists and dicts")
