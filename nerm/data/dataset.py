"""What every dataset looks like from outside: items with captions and labels, and their motion. It knows no dataset by name.

A dataset is a folder of this package whose `__init__.py` declares a DatasetEntry, or a plugin that does (`nerm.registry`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from numpy.typing import NDArray

from nerm.cli import suggest
from nerm.errors import InputError
from nerm.motion import Motion, Skeleton
from nerm.registry import Registry, load_object

if TYPE_CHECKING:
    from nerm.data.preparation import Preparation

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Item:
    """One motion of a dataset, and the facts about it.

    id: unique in its dataset.  group: what it is a part of (a trial); items of a group share a split and are not independent.
    fps: of the recording.  captions: sentences that describe it; those of a test item are never used in training.  label: '' if unknown.
    source: the collection that it comes from, '' if the dataset has only one.
    """

    id: str
    group: str
    fps: float
    seconds: float
    captions: tuple[str, ...] = ()
    label: str = ""
    source: str = ""


class Dataset(Protocol):
    """Items of three splits and their motion, at native rates.

    digest: sha256 of everything that a number could depend on.  base_fps: the rate at which its field generates and evaluates.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str: ...

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def base_fps(self) -> float: ...

    def items(self, split: str) -> Sequence[Item]:
        """The items of a split, always in the same order."""
        ...

    def motion(self, item: Item) -> Motion:
        """The motion of an item, starting above the origin and facing +z."""
        ...


@runtime_checkable
class HoldsMirrorImages(Protocol):
    """What a dataset offers whose items include mirror images of others.

    mirror_images: id of such an item -> id of the item that it is the mirror image of.
    """

    @property
    def mirror_images(self) -> Mapping[str, str]: ...


@runtime_checkable
class HoldsFeatures(Protocol):
    """What a dataset may offer whose motion can come with published features.

    statistics: (mean, deviation) of these features, which belong to the dataset; None if it has none.
    """

    @property
    def statistics(self) -> tuple[NDArray, NDArray] | None: ...


@runtime_checkable
class HoldsTokens(Protocol):
    """What a dataset may offer whose captions were published with their words and word classes."""

    def tokens(self, item: Item) -> tuple[str, ...]:
        """Of each caption of an item, 'word/POS word/POS ...' as published."""
        ...


@dataclass(frozen=True)
class LabelFacts:
    """What training has of a label. recordings: how many.  seconds: all of them together.  shortest_s, longest_s: of one piece, of those
    that they are cut into.

    variety_m: how far joints of two recordings are apart on average, at the same time after both begin at the origin, facing +z, in
    metres; None for a single recording.
    """

    recordings: int
    seconds: float
    shortest_s: float
    longest_s: float
    variety_m: float | None = None


@dataclass(frozen=True)
class DatasetEntry:
    """A dataset as data; "module:attribute" strings are imported when they are needed.

    opens: (home: Path | None) -> Dataset, from the folder of prepared datasets (None: NERM_DATA).
    prepares: a `Preparation`, for python -m nerm.prepare; '' if nothing has to be prepared.
    sentences: () -> training sentences by label, known without the data; '' if it has no labels.
    labels: () -> {label: LabelFacts} of the labels that training has, known without the data; '' if that is not known.
    classes: () -> {label: its action class}, known without the data; '' if every label is a class of its own.
    skeleton: the name of its motion's.
    """

    name: str
    title: str
    opens: str
    prepares: str = ""
    sentences: str = ""
    labels: str = ""
    classes: str = ""
    licence: str = ""
    skeleton: str = "smpl22"


DATASETS: Registry[DatasetEntry] = Registry("dataset", DatasetEntry, "nerm.data")


def load_dataset(name: str, home: Path | None = None) -> Dataset:
    """The prepared dataset of that name, or an error that says how to prepare it."""
    return load_object(DATASETS.get(name).opens)(home)


def mirror_images(dataset: Dataset) -> Mapping[str, str]:
    """Id of an item that is the mirror image of another one -> the other one's id; empty for most datasets."""
    return dataset.mirror_images if isinstance(dataset, HoldsMirrorImages) else {}


def published_statistics(dataset: Dataset) -> tuple[NDArray, NDArray] | None:
    """(mean, deviation), each [dims], of the features that come with a dataset's motion; None for a dataset without features of its own."""
    return dataset.statistics if isinstance(dataset, HoldsFeatures) else None


def preparation(name: str) -> Preparation:
    """How the dataset of that name is prepared."""
    entry = DATASETS.get(name)
    if not entry.prepares:
        raise InputError(f"dataset '{name}' needs no preparation: {entry.title}")
    return load_object(entry.prepares)


def sentence_of(label: str, dataset: str) -> str:
    """The first training sentence of a label of a dataset: systems that read only sentences use it for the label."""
    entry = DATASETS.get(dataset)
    known = load_object(entry.sentences)() if entry.sentences else {}
    if label not in known:
        raise InputError(f"label '{label}' has no sentence in dataset '{dataset}'; {suggest(label, sorted(known))}")
    return known[label][0]


def classes_of(items: Sequence[Item], dataset: str) -> dict[Item, str]:
    """Item -> action class, of the items that have one, in their order. dataset: name of the one that they are of."""
    entry = DATASETS.get(dataset) if dataset in DATASETS else None
    if entry is None or not entry.classes:
        return {item: item.label for item in items if item.label}
    known = load_object(entry.classes)()
    return {item: known[item.label] for item in items if item.label in known}


def action_items(dataset: Dataset, split: str) -> dict[Item, str]:
    """Item -> action class, of the items of a split that have one."""
    return classes_of(dataset.items(split), dataset.name)


def item_number(item: Item) -> int:
    """The number of an item that seeds its random draws: the id itself if it is decimal, else its hash."""
    return int(item.id) if item.id.isascii() and item.id.isdigit() else int.from_bytes(hashlib.sha256(item.id.encode()).digest()[:4], "big")
