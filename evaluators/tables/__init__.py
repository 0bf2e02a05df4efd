"""Tables as data: which rows, metrics, rates, sets and extractors, and how the report lays them out. No row is known by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from omegaconf import OmegaConf

from evaluators.metrics import metric
from nerm.cli import choose, suggest
from nerm.errors import InputError
from nerm.motion.motion import check_fps
from nerm.registry import plugin_folders

Role = Literal["generator", "oracle", "control", "real"]
Layout = Literal["rates", "metrics"]
FOLDER = Path(__file__).parent
REAL = "real"
"""The system of rows that are made of recordings."""
CURVES = 8
"""The most curves that one picture shows."""
T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One row. Only generators compete for the best value. A row whose system is not implemented shows its published figures alone.

    published: its name in published.csv, if it has one.  system: where its motion comes from, by default its id; `real` is recordings.
    variant: damage done to recordings, or `train` for those of the training split (`evaluators.counterparts`); of a system, what is done to
    its motion (`evaluators.treatments`).  upsampling: the motion is made at the dataset's base rate and brought to others by that method.
    checkpoint: name of a file with weights of the user.  training: which of several trainings of the system, 0 for the first.
    """

    id: str
    title: str
    role: Role = "generator"
    published: str = ""
    system: str = ""
    variant: str = ""
    upsampling: str = ""
    checkpoint: str = ""
    training: int = 0

    def __post_init__(self) -> None:
        if not self.system:
            object.__setattr__(self, "system", self.id)

    @property
    def is_implemented(self) -> bool:
        """Whether it can be run: it is made of recordings, or there is a system of that name."""
        from baselines.base import SYSTEMS

        return self.system == REAL or self.system in SYSTEMS

    def with_training(self, training: int) -> Row:
        """The same row from another training of its system: its figures are printed with those of the first."""
        return replace(self, id=f"{self.id}.seed{training}", training=training)

    def with_checkpoint(self, digest: str, file_name: str) -> Row:
        """The same row with weights of a user, a row of its own: published figures are not of these weights."""
        name = Path(file_name).name
        title = f"{self.title} (weights {name})"
        return replace(self, id=f"{self.id}+{digest[:8]}", title=title, published="", checkpoint=name)


@dataclass(frozen=True)
class Main:
    """The figures that answer the question of a table. extractor, set: given only where a metric has several."""

    metric: str
    extractor: str = ""
    set: str = ""


@dataclass(frozen=True)
class Published:
    """Where the published figures of a table are in published.csv, and the extractor and set of our figures that they are printed with.

    dataset: of the published figures, where there are none of the dataset that is run.  official: the extractor that they were computed
    with, in which DATASET stands for the dataset's name; figures of ours by another one are not comparable. '' where it is not known.
    """

    table: str
    dataset: str
    extractor: str = ""
    set: str = ""
    official: str = ""


@dataclass(frozen=True)
class GroundTruth:
    """The published value of real motion, in the unit of our metric, and how far ours may be from it."""

    value: float
    tolerance: float


@dataclass(frozen=True)
class Table:
    """A table of the report. Everything is in the order in which it is printed; rates are in frames per second.

    question: what the table answers, with the figures of `main`.  pictured: metrics that are drawn.  curves: rows that are drawn where
    there are too many; by default those of `compared`, then the others in their order.
    datasets: those it is computed on, the first one unless another is asked for.
    quick: the rows that tier=quick computes unless others are asked for; the rest of its report comes from the stored full run.
    compared: lists of a row and the rows whose best it is compared with, which answer the question. The first row of the first list
    leads: every row's difference from it is printed.
    layout: `rates` has frame rates across, `metrics` has the metrics of the main extractor and set.
    ground_truth: metric -> what real motion gives by the extractor of `published`; a run stops where it does not.
    by_dataset: dataset -> keys that are others there, such as the extractors that were published with it (`on`).
    """

    name: str
    title: str
    about: str
    rates: tuple[float, ...]
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]
    question: str = ""
    datasets: tuple[str, ...] = ("multirate",)
    protocols: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    extractors: tuple[str, ...] = ()
    main: Main | None = None
    pictured: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    compared: tuple[tuple[str, ...], ...] = ()
    published: Published | None = None
    layout: Layout = "rates"
    ground_truth: Mapping[str, GroundTruth] = field(default_factory=dict)
    by_dataset: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def leading(self) -> str:
        """The row that every other is compared with; '' if the table compares none."""
        return self.compared[0][0] if self.compared else ""

    def on(self, dataset: str) -> Table:
        """The table as it is on a dataset."""
        return replace(self, by_dataset={}, **self.by_dataset.get(dataset, {}))

    @property
    def row_ids(self) -> list[str]:
        return [row.id for row in self.rows]

    def row(self, name: str) -> Row:
        """The row of that id; one that the table does not list is the system of that name (a plugin's, or a user's own files)."""
        from baselines.base import SYSTEMS

        listed = next((row for row in self.rows if row.id == name), None)
        return listed or Row(name, SYSTEMS.get(name).title if name in SYSTEMS else name, system=name)

    def stored_row(self, name: str, checkpoint: str = "") -> Row:
        """The row of a stored id; ID+DIGEST is row ID with the weights of the file `checkpoint`, ID.seedN that of another training."""
        first, training = training_of(name)
        if training:
            return self.stored_row(first, checkpoint).with_training(training)
        base, plus, digest = name.rpartition("+")
        if plus and name not in self.row_ids and re.fullmatch("[0-9a-f]{8}", digest):
            return self.row(base).with_checkpoint(digest, checkpoint or digest)
        return self.row(name)

    def place(self, name: str) -> tuple[int, str]:
        """Sorting key of a stored id: the listed rows in their order, each before those with other weights, then the others by name."""
        first = training_of(name)[0]
        base = first if first in self.row_ids else first.rpartition("+")[0] or first
        return position(base, self.row_ids)[0], "" if name == base and base in self.row_ids else name


def training_of(name: str) -> tuple[str, int]:
    """The id of the row that a stored id belongs to, and which training it is of: ID.seedN is the N-th further one of row ID."""
    match = re.fullmatch(r"(.+)\.seed([1-9]\d*)", name)
    return (match[1], int(match[2])) if match else (name, 0)


def list_tables() -> list[str]:
    """The names that `load_table` knows: those of this folder and those that lie beside plugins."""
    return sorted(_files())


def load_table(name: str) -> Table:
    """A table by its name."""
    files = _files()
    return read_table(files[choose("table", name, sorted(files))])


def read_table(path: Path) -> Table:
    """A table from a YAML file, checked: an unknown key, metric or role is an InputError with the nearest known ones."""
    raw = OmegaConf.to_container(OmegaConf.load(path))
    if not isinstance(raw, dict):
        raise InputError(f"{path} holds no settings; expected the keys of a table")
    data = _values(raw, path.name)
    others = data.pop("by_dataset", None) or {}
    data["by_dataset"] = {str(name): _values(keys, f"{path.name}, by_dataset, {name}") for name, keys in others.items()}
    table = _make(Table, {"name": path.stem, **data}, path.name)
    _check(table, path.name)
    for name, keys in table.by_dataset.items():
        _make(Table, {"name": path.stem, **data, **keys}, f"{path.name}, by_dataset, {name}")
        _check(table.on(name), f"{path.name}, by_dataset, {name}")
    return table


def _values(raw: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """The values of a table's keys as the dataclass has them."""
    data: dict[str, Any] = {str(key): tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
    if data.get("rows") is not None:
        data["rows"] = tuple(_make(Row, row, f"{where}, rows") for row in data["rows"])
    for key, kind in (("published", Published), ("main", Main)):
        if data.get(key) is not None:
            data[key] = _make(kind, data[key], f"{where}, {key}")
    if data.get("compared") is not None:
        if not all(isinstance(names, list) and len(names) > 1 for names in data["compared"]):
            raise InputError(f"{where}, compared: {data['compared']!r}; expected lists of a row and one or more others: [[nerm, t2m, mdm]]")
        data["compared"] = tuple(map(tuple, data["compared"]))
    if data.get("ground_truth") is not None:
        expected = {str(name): about for name, about in data["ground_truth"].items()}
        data["ground_truth"] = {name: _make(GroundTruth, about, f"{where}, ground_truth, {name}") for name, about in expected.items()}
    return data


def position(name: str, names: Iterable[str]) -> tuple[int, str]:
    """Sorting key: the listed names in their order, then the others by name."""
    listed = list(names)
    return (listed.index(name), "") if name in listed else (len(listed), name)


def _files() -> dict[str, Path]:
    """Name -> file of every table. Other YAML files may lie beside a plugin: a table has rows or metrics."""
    files: dict[str, Path] = {}
    for folder in dict.fromkeys([FOLDER, *plugin_folders()]):
        for path in sorted(folder.glob("*.yaml")):
            if folder == FOLDER or re.search(r"^(rows|metrics):", path.read_text(errors="replace"), re.MULTILINE):
                if path.stem in files:
                    raise InputError(f"table '{path.stem}' is in {files[path.stem]} and in {path}: rename one")
                files[path.stem] = path
    return files


def _check(table: Table, where: str) -> None:
    for row in table.rows:
        choose(f"{where}, role of {row.id}", row.role, get_args(Role))
    choose(f"{where}, layout", table.layout, get_args(Layout))
    if len(set(table.row_ids)) < len(table.rows):
        raise InputError(f"{where} lists a row twice; its rows are {', '.join(table.row_ids)}")
    compared = tuple(chain.from_iterable(table.compared))
    for key, names in (("quick", table.quick), ("compared", compared), ("curves", table.curves)):
        for name in names:
            choose(f"{where}, {key}", name, table.row_ids)
    if len(table.curves) > CURVES:
        raise InputError(f"{where}, curves: {len(table.curves)} rows; one picture shows at most {CURVES}")
    for name in (*table.metrics, *table.pictured):
        metric(name)
    for name in table.ground_truth:
        choose(f"{where}, ground_truth", name, table.metrics)
    if table.ground_truth and table.published is None:
        raise InputError(f"{where}: ground_truth without `published`, which names the extractor that it is of")
    if table.main:
        choose(f"{where}, main metric", table.main.metric, table.metrics)
        for key, name, names in (("extractor", table.main.extractor, table.extractors), ("set", table.main.set, table.sets)):
            if name:
                choose(f"{where}, main {key}", name, names)
    for rate in table.rates:
        check_fps(rate, f"{where}, rate")


def _make(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """A dataclass from a mapping; unknown and missing keys are errors."""
    allowed = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(data, Mapping):
        raise InputError(f"{where}: {data!r}; expected the keys {', '.join(allowed)}")
    for key in data:
        if key not in allowed:
            raise InputError(f"{where}: unknown key '{key}'; {suggest(str(key), list(allowed))}")
    missing = [key for key, item in allowed.items() if key not in data and item.default is MISSING and item.default_factory is MISSING]
    if missing:
        raise InputError(f"{where}: missing {', '.join(missing)}")
    return kind(**data)
