"""Raw replications with their provenance, and a content-addressed cache of features. Every number of a report comes from here.

The path is the identity: ROOT/raw/<dataset>/<table>/<tier>/<system>.json holds all replications of one system, and nothing else does.
Equal results are equal bytes: keys are sorted, floats have nine digits, and what depends on the machine (seconds, memory, time of day)
stands apart in `machine`. The store knows no metric, no extractor and no system.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError

FORMAT = 2
_READ = (1, FORMAT)  # format 1 has no `shared`: every series says everything
_SERIES: dict[str, Any] = {
    "metric": None,
    "version": 1,
    "fps": None,
    "set": "",
    "extractor": "",
    "upsampling": "",
    "protocol": "",
    "protocol_version": 1,
}
"""What identifies a series of replications, with defaults; `metric` must be given, fps=None is a figure without a rate."""
_REPLICATION = ("replication", "seed", "n", "value")
_SHARED = ("replication", "seed", "n", "version", "extractor", "upsampling", "protocol", "protocol_version")
"""What the series of a file mostly agree on. It stands once, in `shared`, and a series says only what it has otherwise."""
_PACKAGES = ("nerm", "numpy", "scipy", "torch", "transformers", "diffusers", "accelerate")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")

Record = dict[str, Any]


class Store:
    """The results folder. root: the folder that holds `raw/` (and the reports, and published.csv)."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def path(self, dataset: str, table: str, tier: str, system: str) -> Path:
        for kind, name in (("dataset", dataset), ("table", table), ("tier", tier), ("system", system)):
            if not _NAME.fullmatch(name):
                raise InputError(f"{kind} '{name}' cannot name a file of results; use letters, digits and . _ + -")
        return self.root / "raw" / dataset / table / tier / f"{system}.json"

    def systems(self, dataset: str, table: str, tier: str) -> list[str]:
        """The systems that have results, sorted."""
        return sorted(path.stem for path in self.path(dataset, table, tier, "x").parent.glob("*.json"))

    def read(self, dataset: str, table: str, tier: str, system: str) -> dict[str, Any]:
        """The whole document of one system: identity, records, provenance, machine."""
        path = self.path(dataset, table, tier, system)
        document = read_document(path)
        for key, expected in (("dataset", dataset), ("table", table), ("tier", tier), ("system", system)):
            if document[key] != expected:
                raise InputError(f"{path} says {key} '{document[key]}' inside; a result file must not be renamed: write it anew")
        return document

    def records(self, dataset: str, table: str, tier: str, system: str | None = None) -> list[Record]:
        """One dict per replication, with dataset, table, tier and system filled in; empty if nothing is stored."""
        found = self.systems(dataset, table, tier)
        wanted = found if system is None else [name for name in found if name == system]
        return [record for name in wanted for record in self.read(dataset, table, tier, name)["records"]]

    def write(
        self,
        dataset: str,
        table: str,
        tier: str,
        system: str,
        records: Iterable[Mapping[str, Any]],
        provenance: Mapping[str, Any],
        machine: Mapping[str, Any] | None = None,
    ) -> Path:
        """Replace the results of one system, atomically.

        records: per replication metric, value and n; optional fps, version, set, extractor, upsampling, protocol, protocol_version,
        replication, seed. Other keys are kept with their series. provenance: see `provenance`. machine: what may differ between equal runs.
        """
        path = self.path(dataset, table, tier, system)
        head = {"format": FORMAT, "dataset": dataset, "table": table, "tier": tier, "system": system}
        write_atomic(path, _dump({**head, "provenance": provenance, "machine": machine or {}}, _to_series(records)))
        return path


@dataclass(frozen=True)
class Figure:
    """All replications of one figure. values: one per replication; counts: samples per replication."""

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


def figures(records: Iterable[Record]) -> list[Figure]:
    """Records grouped into figures, in the order of first appearance; a replication that occurs twice is an error."""
    keys = ("dataset", "table", "tier", "system", *_SERIES)
    grouped: dict[tuple, dict[int, Record]] = {}
    for record in records:
        group = grouped.setdefault(tuple(record[key] for key in keys), {})
        if record["replication"] in group:
            where = ", ".join(f"{key}={record[key]}" for key in keys)
            raise InputError(f"replication {record['replication']} is stored twice for {where}; give each one its own index")
        group[record["replication"]] = record
    return [
        Figure(
            **dict(zip(keys, key, strict=True)),
            values=tuple(r["value"] for r in group.values()),
            counts=tuple(r["n"] for r in group.values()),
        )
        for key, group in grouped.items()
    ]


def read_document(path: Path) -> dict[str, Any]:
    """A raw result file with its series spread out into `records`; a file that is none is an InputError."""
    try:
        document = json.loads(path.read_text())
        head = {key: document[key] for key in ("dataset", "table", "tier", "system")}
        shared = document.pop("shared", {})
        document["records"] = [head | record for series in document.pop("series") for record in _from_series(shared | series)]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path} is not a complete result file ({type(error).__name__}: {error}); delete it and run its table again"
        ) from None
    if document.get("format") not in _READ:
        raise InputError(f"{path} has result format {document.get('format')}; this version reads {' and '.join(map(str, _READ))}")
    return document


def _to_series(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Records that differ in nothing but their replication, folded into one dict of lists: a twentieth of the size."""
    folded: dict[str, dict[str, Any]] = {}
    for record in records:
        unknown = {key: value for key, value in record.items() if key not in ("dataset", "table", "tier", "system", *_REPLICATION)}
        series = _plain(_SERIES | unknown)
        if series["metric"] is None or "value" not in record or "n" not in record:
            raise InputError(f"a record with keys {', '.join(sorted(record))}; metric, value and n are needed")
        value = float(record["value"])
        if not np.isfinite(value):
            raise InputError(f"{series['metric']} is {value} at replication {record.get('replication', 0)}; leave out what is not defined")
        lists = folded.setdefault(canonical(series), series | {key: [] for key in _REPLICATION})
        lists["replication"].append(int(record.get("replication", 0)))
        lists["seed"].append(int(record.get("seed", 0)))
        lists["n"].append(int(record["n"]))
        lists["value"].append(value)
    for lists in folded.values():
        order = np.argsort(lists["replication"], kind="stable")
        for key in _REPLICATION:
            lists[key] = [lists[key][i] for i in order]
        if len(set(lists["n"])) == 1:
            lists["n"] = lists["n"][0]
    return [folded[key] for key in sorted(folded)]


def _from_series(series: Mapping[str, Any]) -> list[Record]:
    shared = {key: value for key, value in series.items() if key not in _REPLICATION}
    counts = series["n"] if isinstance(series["n"], list) else [series["n"]] * len(series["value"])
    columns = zip(series["replication"], series["seed"], counts, series["value"], strict=True)
    return [{**shared, **dict(zip(_REPLICATION, column, strict=True))} for column in columns]


def _dump(head: Mapping[str, Any], series: Sequence[Mapping[str, Any]]) -> bytes:
    """Sorted JSON, one line per series so that a difference can be read."""
    text = json.dumps(_plain(head), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    shared = {key: _most_common([canonical(item[key]) for item in series]) for key in _SHARED} if series else {}
    own = [{key: value for key, value in item.items() if canonical(value) != shared.get(key)} for item in series]
    common = canonical({key: json.loads(value) for key, value in shared.items()})
    lines = ",\n".join("  " + canonical(item) for item in own)
    return (text.removesuffix("\n}") + f',\n "shared": {common},\n "series": [\n{lines}\n ]\n}}\n').encode()


def _most_common(texts: Sequence[str]) -> str:
    """The first in the alphabet of equally common ones."""
    counts = Counter(texts)
    return max(sorted(counts), key=counts.__getitem__)


# --- provenance -----------------------------------------------------------------------------------------------------------------------


def provenance(**extra: Any) -> dict[str, Any]:
    """Where a result comes from: package versions, Python, commit, and what the caller knows.

    The caller adds device, dtype, seeds, counts and the sha256 of corpus, split, extractor and model as keywords.
    """
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {"packages": versions, "python": platform.python_version(), "commit": _commit(), **extra}


def machine(**extra: Any) -> dict[str, Any]:
    """The machine a result was computed on, for the `machine` block; the caller adds seconds and memory."""
    return {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count(), **extra}


def sha256_file(path: str | Path) -> str:
    """The digest of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _commit() -> str | None:
    """The commit of the checkout this package runs from, '+' appended if its code was changed; None outside a checkout."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--", "nerm", "baselines", "evaluators")
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changed else "")


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=20).stdout.strip()


# --- cache ----------------------------------------------------------------------------------------------------------------------------


class Cache:
    """Arrays under the hash of what they were made from. Several processes may share one; a broken file is made again."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def path(self, key: Mapping[str, Any]) -> Path:
        digest = hashlib.sha256(canonical(key).encode()).hexdigest()
        return self.root / digest[:2] / f"{digest}.npz"

    def get_or(self, key: Mapping[str, Any], make: Callable[[], Mapping[str, NDArray]]) -> dict[str, NDArray]:
        """The arrays stored under key, else those of make(), stored. key: everything the arrays depend on, as plain data."""
        path = self.path(key)
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            pass  # absent, or cut short by a full disk or a kill: made again below
        arrays = {name: np.asarray(array) for name, array in make().items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with _replacing(path) as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        return arrays


def canonical(data: Any) -> str:
    """One-line JSON with sorted keys and floats of nine digits: equal data, equal text."""
    return json.dumps(_plain(data), sort_keys=True, ensure_ascii=False, allow_nan=False)


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


def write_atomic(path: str | Path, data: bytes) -> None:
    """Write a file so that a reader, or a kill, sees the old one or the new one and never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _replacing(path) as file:
        file.write(data)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A temporary file beside `path` that takes its place when the block ends well, and vanishes otherwise."""
    temporary = tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False)  # noqa: SIM115
    try:
        with temporary:
            yield temporary  # type: ignore[misc]
        Path(temporary.name).chmod(0o644)
        Path(temporary.name).replace(path)
    except BaseException:
        Path(temporary.name).unlink(missing_ok=True)
        raise
