"""A corpus on disk as a Dataset: its windows are the items. It knows no dataset by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from nerm.cli import choose
from nerm.data.corpus import Corpus
from nerm.data.dataset import SPLITS, Item
from nerm.errors import InputError
from nerm.motion import Motion, Skeleton


def no_captions(label: str, split: str) -> tuple[str, ...]:
    """The captions of a dataset that has none."""
    return ()


@dataclass(frozen=True)
class StoredDataset:
    """A Dataset of the windows of a corpus (`nerm.data.dataset.Dataset`). An item's id is the number of its window, its group the trial's.

    captions: (label, split) -> the sentences of an item.
    """

    corpus: Corpus
    captions: Callable[[str, str], tuple[str, ...]] = no_captions
    base_fps: float = 20.0

    @property
    def name(self) -> str:
        return self.corpus.name

    @property
    def digest(self) -> str:
        return self.corpus.digest

    @property
    def skeleton(self) -> Skeleton:
        return self.corpus.skeleton

    def items(self, split: str) -> Sequence[Item]:
        """The windows of a split in the order of the corpus."""
        return self._items[choose("split", split, SPLITS)]

    def motion(self, item: Item) -> Motion:
        """The window of an item, starting above the origin and facing +z."""
        if not item.id.isdecimal() or int(item.id) not in self.corpus.windows.index:
            raise InputError(f"item '{item.id}' is not in dataset '{self.name}'; give an item of its own")
        return self.corpus.window(int(item.id))

    @cached_property
    def _items(self) -> dict[str, tuple[Item, ...]]:
        by_split: dict[str, list[Item]] = {split: [] for split in SPLITS}
        for row in self.corpus.windows.itertuples():
            fps = float(row.fps)
            by_split.setdefault(row.split, []).append(
                Item(
                    id=str(row.Index),
                    group=str(row.trial),
                    fps=fps,
                    seconds=float(row.end - row.start - 1) / fps,
                    captions=self.captions(row.label, row.split),
                    label=row.label,
                    source=row.source,
                )
            )
        return {split: tuple(items) for split, items in by_split.items()}
