"""What a batch of the text-motion training is made of: motions, sentences, and which of them are put side by side because they are alike.

A batch of unlike actions teaches little: "walks" is soon told from "kicks". Half of a batch are therefore families: actions that share a
word (walk and walk-turn-left, whatever the source, style or speed), and motions beside their mirror images where the sentence names a side.
It knows datasets and features; it knows no network.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.t2m.layers import UNIT
from evaluators.extractors.guo.extractor import FPS, LONGEST_FRAMES, canonical_clips
from nerm.data.dataset import DATASETS, Dataset
from nerm.errors import InputError
from nerm.motion import resample
from nerm.motion.features import FEATURES_263, encode_humanml263
from nerm.motion.skeleton import LEFT_RIGHT22
from nerm.registry import load_object
from nerm.words import mirror_caption

_NO_KIN = {"and", "the", "with", "human", "subject", "both", "hand", "hands", "normal", "to", "of", "on", "in", "left", "right", "up"}


class Split(NamedTuple):
    """The captioned motions of a split at 20 fps. joints: [T_k, 22, 3] each; labels, captions: one label and some sentences per motion."""

    joints: list[NDArray]
    labels: list[str]
    captions: list[tuple[str, ...]]


def load_split(dataset: Dataset, split: str) -> Split:
    """Items with captions and at least 5 frames at 20 fps; one without a label is an action of its own."""
    items = [item for item in dataset.items(split) if item.captions and item.seconds >= UNIT / FPS]
    if not items:
        raise InputError(
            f"dataset '{dataset.name}' has no motion with captions in split '{split}'; the evaluator is trained on motions with captions"
        )
    joints = [resample(dataset.motion(item), FPS, "cubic", "sample").joints for item in items]
    return Split(joints, [item.label or item.id for item in items], [item.captions for item in items])


def training_sentences(dataset: Dataset, split: Split) -> dict[str, tuple[str, ...]]:
    """Label -> sentences: of all labels if the dataset's entry declares its sentences, else of the labels in `split`."""
    entry = DATASETS.get(dataset.name) if dataset.name in DATASETS else None
    if entry is not None and entry.sentences:
        return load_object(entry.sentences)()
    return dict(zip(split.labels, split.captions, strict=True))


def features_of(joints: NDArray, mirrored: bool = False) -> NDArray:
    """Joints [T, 22, 3] of a clip -> features [T-1, 263] as the extractor makes them."""
    if mirrored:
        joints = joints[:, LEFT_RIGHT22] * np.array([-1.0, 1.0, 1.0])
    return encode_humanml263(canonical_clips(joints[None])[0])


def pieces_of(joints: NDArray, mirrored: bool = False) -> list[NDArray]:
    """Features [T_k, 263], in single precision, of a motion; of one longer than the extractor reads, those of overlapping pieces."""
    most = LONGEST_FRAMES + 1
    starts = range(0, max(len(joints) - most, 0) + most // 2, most // 2) if len(joints) > most else (0,)
    return [features_of(joints[start : start + most], mirrored).astype(np.float32) for start in starts if len(joints) - start > UNIT]


class Entry(NamedTuple):
    """A place in a batch: the number of the motion, and whether it is mirrored with its sentence."""

    motion: int
    mirrored: bool


class Families:
    """Which labels are alike, and what a mirrored motion of a label is called."""

    def __init__(self, split: Split) -> None:
        self.by_label: dict[str, list[int]] = {}
        for number, label in enumerate(split.labels):
            self.by_label.setdefault(label, []).append(number)
        self.names = list(self.by_label)
        self.sided = {label: any(mirror_caption(text) != text for text in split.captions[own[0]]) for label, own in self.by_label.items()}
        with_word: dict[str, list[str]] = {}
        for label in self.names:
            for word in _words(label):
                with_word.setdefault(word, []).append(label)
        self.alike = {label: sorted({other for word in _words(label) for other in with_word[word]} - {label}) for label in self.names}

    def meaning(self, label: str, mirrored: bool) -> str:
        """One name for motions that the same sentences describe: veering left, mirrored, is veering right."""
        other = mirror_caption(label) if mirrored and self.sided[label] else label
        return f"{label}, mirrored" if other == label and mirrored and self.sided[label] else other

    def draw(self, size: int, share: float, random: np.random.Generator) -> list[Entry]:
        """`size` entries of different meanings (fewer if there are fewer); about `share` of them in families of up to six."""
        entries: dict[str, Entry] = {}

        def add(label: str, mirrored: bool) -> None:
            if len(entries) < size:
                entries.setdefault(self.meaning(label, mirrored), Entry(int(random.choice(self.by_label[label])), mirrored))

        order = [self.names[k] for k in random.permutation(len(self.names))]
        for label in order:
            if len(entries) >= size * share:
                break
            mirrored = bool(random.random() < 0.5)
            add(label, mirrored)
            if self.sided[label]:
                add(label, not mirrored)
            kin = self.alike[label]
            for k in random.permutation(len(kin))[:4]:
                add(kin[k], bool(random.random() < 0.5))
        for label in order[::-1]:
            add(label, bool(random.random() < 0.5))
        return list(entries.values())


def _words(label: str) -> set[str]:
    """The words of a label that say what is done; those of names written together count as well."""
    spaced = re.sub(r"([a-z])([A-Z0-9])", r"\1 \2", label.partition("/")[2])
    return {word for word in re.findall(r"[a-z]{2,}", spaced.lower()) if word not in _NO_KIN}


def cropped(features: NDArray, shortest: int, longest: int, random: np.random.Generator) -> NDArray:
    """Between `shortest` and `longest` of the frames: half of the time from the beginning, as the extractor reads motions."""
    most = min(longest, len(features))
    frames = int(random.integers(min(shortest, most), most + 1)) if random.random() < 0.5 else most
    start = int(random.integers(len(features) - frames + 1)) if random.random() < 0.5 else 0
    return features[start : start + frames]


LENGTHS = np.zeros(FEATURES_263.dims, dtype=bool)
"""The columns that are lengths: they grow with the size of a body."""
for _columns in (FEATURES_263.root_velocity, FEATURES_263.root_height, FEATURES_263.ric, FEATURES_263.vel):
    LENGTHS[_columns] = True


def resized(features: NDArray, factor: float) -> NDArray:
    """The features [T, 263] of a body larger by that factor, with its path."""
    return np.where(LENGTHS, features * np.float32(factor), features)
