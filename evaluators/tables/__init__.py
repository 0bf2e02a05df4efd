"""Tables as data: which systems, metrics, rates, sets and extractors, and how the report lays them out. No code runs here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from omegaconf import OmegaConf

from evaluators.metrics import metric
from nerm.cli import choose, suggest
from nerm.errors import InputError
from nerm.motion.motion import check_fps

Role = Literal["generator", "oracle", "control", "real"]
FOLDER = Path(__file__).parent
T = TypeVar("T")


@dataclass(frozen=True)
class System:
    """One row. Only generators compete for the best value. published: the name of the row in published.csv, if it has one."""

    id: str
    title: str
    role: Role = "generator"
    published: str = ""


@dataclass(frozen=True)
class Published:
    """Where the published figures of a table stand in published.csv, and which section of ours they are printed beside."""

    table: str
    dataset: str
    extractor: str = ""
    set: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the report. Everything is in the order in which it is printed; rates are in frames per second.

    quick: the rows that tier=quick computes unless others are asked for; the rest of its report comes from the stored full run.
    ratio: a system and those it is compared with; below each table of a `figure` metric stands what it has over the best of them.
    """

    name: str
    title: str
    about: str
    rates: tuple[float, ...]
    metrics: tuple[str, ...]
    systems: tuple[System, ...]
    protocols: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    extractors: tuple[str, ...] = ()
    figure: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    ratio: tuple[str, ...] = ()
    published: Published | None = None

    @property
    def system_ids(self) -> list[str]:
        return [system.id for system in self.systems]

    def system(self, name: str) -> System:
        """The row of a system; one that the table does not list is a generator under its own name (a user's own model)."""
        return next((system for system in self.systems if system.id == name), System(name, name))


def list_tables() -> list[str]:
    """The names that `load_table` knows."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_table(name: str) -> Table:
    """A table by its name."""
    return read_table(FOLDER / f"{choose('table', name, list_tables())}.yaml")


def read_table(path: Path) -> Table:
    """A table from a YAML file, checked: unknown keys, metrics and roles are answered with the nearest known ones."""
    raw = OmegaConf.to_container(OmegaConf.load(path))
    if not isinstance(raw, dict):
        raise InputError(f"{path} holds no settings; expected the keys of a table")
    data: dict[str, Any] = {str(key): tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
    if data.get("systems") is not None:
        data["systems"] = tuple(_make(System, row, f"{path.name}, systems") for row in data["systems"])
    if data.get("published") is not None:
        data["published"] = _make(Published, data["published"], f"{path.name}, published")
    table = _make(Table, {"name": path.stem, **data}, path.name)
    for row in table.systems:
        choose(f"{path.name}, role of {row.id}", row.role, get_args(Role))
    if len(set(table.system_ids)) < len(table.systems):
        raise InputError(f"{path.name} lists a system twice; its systems are {', '.join(table.system_ids)}")
    for key, names in (("quick", table.quick), ("ratio", table.ratio)):
        for name in names:
            choose(f"{path.name}, {key}", name, table.system_ids)
    for known in (*table.metrics, *table.figure):
        metric(known)
    for rate in table.rates:
        check_fps(rate, f"{path.name}, rate")
    return table


def position(name: str, names: Iterable[str]) -> tuple[int, str]:
    """Sorting key: the listed names in their order, then the others by name."""
    known = list(names)
    return (known.index(name), "") if name in known else (len(known), name)


def _make(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """A dataclass from a mapping; unknown and missing keys are errors."""
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(data, Mapping):
        raise InputError(f"{where}: {data!r}; expected the keys {', '.join(known)}")
    for key in data:
        if key not in known:
            raise InputError(f"{where}: unknown key '{key}'; {suggest(str(key), list(known))}")
    missing = [key for key, item in known.items() if key not in data and item.default is MISSING]
    if missing:
        raise InputError(f"{where}: missing {', '.join(missing)}")
    return kind(**data)
