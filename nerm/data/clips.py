"""A corpus whose recordings are its items, as a Dataset: published ids, captions with tokens, mirror images, statistics, features.

It knows no dataset by name. An official layout becomes such a corpus (`nerm.data.t2m`, `nerm.data.actions`); lengths of batches, pools and
draws are those of a protocol and not known here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nerm.cli import choose
from nerm.data.corpus import Corpus
from nerm.data.dataset import SPLITS, Item
from nerm.data.preparation import Recording
from nerm.errors import InputError
from nerm.motion import Motion, Skeleton
from nerm.motion.actions import FORMAT as ACTION_FORMAT
from nerm.motion.actions import encode_actions25, frames_of_actions25
from nerm.motion.motion import Features

ITEMS = "items.json"
FEATURES = "features"
"""The array that holds the published features."""


@dataclass(frozen=True, kw_only=True)
class ClipRecording(Recording):
    """A recording that is an item.

    group: what it is a part of, with its mirror image and its crops.  mirror_of: name of the recording that it is the mirror image of.
    captions: sentences.  tokens: of each caption, 'word/POS word/POS ...' as published.
    """

    group: str
    mirror_of: str = ""
    captions: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()


def items_file(used: Sequence[Recording]) -> bytes:
    """The companion of a corpus that holds what its tables do not: one item a line."""
    lines = []
    for recording in used:
        assert isinstance(recording, ClipRecording)
        about = {name: getattr(recording, name) for name in ("group", "mirror_of", "captions", "tokens")}
        lines.append(json.dumps({"name": recording.name} | {name: value for name, value in about.items() if value}))
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode()


@dataclass(frozen=True)
class ClipDataset:
    """A Dataset of the trials of a corpus.

    feature_format: of the features that the corpus holds beside its joints, '' for none.
    borrowed: split without items of its own -> the split whose items it has.
    sentences: label -> its sentences, the last of which is kept for tests; for a dataset whose items have labels and no captions.
    """

    corpus: Corpus
    base_fps: float
    feature_format: str = ""
    borrowed: Mapping[str, str] = field(default_factory=dict)
    sentences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

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
        """The items of a split in the order of the corpus."""
        return self._items[choose("split", split, SPLITS)]

    def motion(self, item: Item) -> Motion:
        """The motion of an item, with its published features, or its poses as features, where the dataset has them."""
        place = self._place(item)
        motion = self.corpus.trial(place).canonical()
        if self.feature_format:
            return replace(motion, features=Features(self.feature_format, self.corpus.array(FEATURES, place)))
        if self._has_poses:
            values = frames_of_actions25(encode_actions25(*self.poses(item))).astype(np.float32)
            return replace(motion, features=Features(ACTION_FORMAT, values))
        return motion

    def tokens(self, item: Item) -> tuple[str, ...]:
        """Of each caption of an item, 'word/POS word/POS ...' as published; empty for a dataset without tokens."""
        return tuple(self._about[self._place(item)].get("tokens", ()))

    def poses(self, item: Item) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(axis-angle of the 24 SMPL joints [T, 72], position of the root [T, 3]) of an item, as published."""
        if not self._has_poses:
            raise InputError(f"dataset '{self.name}' has no poses of a body model; humanact12 and uestc do")
        place = self._place(item)
        return self.corpus.array("poses", place), self.corpus.array("translation", place)

    @property
    def _has_poses(self) -> bool:
        return "poses" in self.corpus.manifest.get("arrays", {})

    @cached_property
    def mirror_images(self) -> Mapping[str, str]:
        """Id of an item that is the mirror image of another of its split -> the other's id."""
        split = dict(zip(self.corpus.trials["trial_name"], self.corpus.trials["split"], strict=True))
        pairs = {entry["name"]: entry["mirror_of"] for entry in self._about if "mirror_of" in entry}
        return {mirrored: plain for mirrored, plain in pairs.items() if split.get(plain) == split[mirrored]}

    @property
    def statistics(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """(mean, deviation) of the published features that belong to the dataset; None without them."""
        if not self.feature_format:
            return None
        mean, std = (np.load(self.corpus.path / name, allow_pickle=False).astype(np.float64) for name in ("Mean.npy", "Std.npy"))
        return mean, std

    def _place(self, item: Item) -> int:
        if item.id not in self._places:
            raise InputError(f"item '{item.id}' is not in dataset '{self.name}'; give an item of its own")
        return self._places[item.id]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in zip(self.corpus.trials.index.tolist(), self.corpus.trials["trial_name"], strict=True)}

    @cached_property
    def _about(self) -> list[dict]:
        return json.loads((self.corpus.path / ITEMS).read_text())

    @cached_property
    def _items(self) -> dict[str, tuple[Item, ...]]:
        return {split: tuple(self._item(place, split) for place in self._of(self.borrowed.get(split, split))) for split in SPLITS}

    def _of(self, split: str) -> list[int]:
        return self.corpus.trials.index[self.corpus.trials["split"] == split].tolist()

    def _item(self, place: int, split: str) -> Item:
        row, about = self.corpus.trials.loc[place], self._about[place]
        captions = tuple(about.get("captions", ()))
        if row.label in self.sentences:
            spoken = self.sentences[row.label]
            captions = spoken[-1:] if split == "test" else spoken[:-1]
        fps = float(row.fps)
        return Item(row.trial_name, about["group"], fps, float(row.frames - 1) / fps, captions, row.label, row.source)
