"""The sentences of the multirate labels, written from the facts of each label. It knows no motion and no network.

A label (`cmu/...`, `hdm05/...`, `bandai/content/style`) has at least five sentences for training and one that is kept for tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nerm.cli import suggest
from nerm.data.tsv import read_tsv
from nerm.errors import InputError

SOURCES = ("cmu", "hdm05", "bandai")


@dataclass(frozen=True)
class Captions:
    """train: label -> sentences.  test: label -> the sentence that no training sees."""

    train: dict[str, tuple[str, ...]]
    test: dict[str, str]

    def __len__(self) -> int:
        return len(self.train)

    @property
    def labels(self) -> list[str]:
        return sorted(self.train)

    def train_sentences(self, label: str) -> tuple[str, ...]:
        """The training sentences of a label; an unknown label is an InputError."""
        return self.train[self._known(label)]

    def test_sentence(self, label: str) -> str:
        """The test sentence of a label; an unknown label is an InputError."""
        return self.test[self._known(label)]

    def of_item(self, label: str, split: str) -> tuple[str, ...]:
        """The captions of an item: its label's training sentences, or the test sentence alone in split test; none without a label."""
        if not label:
            return ()
        return (self.test_sentence(label),) if split == "test" else self.train_sentences(label)

    def sentences(self) -> Iterator[tuple[str, str, str]]:
        """(label, use, sentence) of every sentence; use is train or test."""
        for label in self.labels:
            yield from ((label, "train", sentence) for sentence in self.train[label])
            yield label, "test", self.test[label]

    def _known(self, label: str) -> str:
        if label not in self.train:
            if not label:
                raise InputError("an empty label has no caption; leave out windows without a label")
            near = "" if "/" in label else f"labels start with {', '.join(f'{source}/' for source in SOURCES)}; "
            hint = suggest(label, self.labels)
            raise InputError(f"label '{label}' has no caption; {near}{hint if hint.startswith('did') else 'see load_captions().labels'}")
        return label


@lru_cache(maxsize=1)
def load_captions() -> Captions:
    """All sentences that come with the package."""
    train: dict[str, list[str]] = {}
    test: dict[str, str] = {}
    for source in SOURCES:
        path = Path(__file__).with_name(f"{source}.tsv")
        for label, use, caption in read_tsv(path, ("label", "use", "caption")):
            key = f"{source}/{label}"
            if use == "train":
                train.setdefault(key, []).append(caption)
            elif use == "test" and key not in test:
                test[key] = caption
            else:
                raise InputError(f"{path}: '{label}' has a line of use '{use}'; expected train lines and a single test line")
    if train.keys() != test.keys():
        raise InputError(f"captions: {sorted(train.keys() ^ test.keys())[0]} lacks train sentences or its test sentence")
    return Captions({label: tuple(sentences) for label, sentences in train.items()}, test)
