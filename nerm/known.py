"""What a system was trained on, by its dataset's name: labels and sentences; and whether a sentence, or its samples, are far from them.

It needs no prepared data, and knows no network but the text encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerm.data.dataset import DATASETS, LabelFacts
from nerm.generator import Condition
from nerm.motion import Motion
from nerm.motion.spread import spread_m
from nerm.registry import load_object
from nerm.text import TextEncoder, load_text_encoder
from nerm.words import mirror_caption, side_of

ENCODER = "mpnet"
"""That sentences are compared by, unless a system reads them by another one."""
NEAR = 0.64
"""A sentence nearer than this to a training sentence (cosine of all-mpnet-base-v2's embeddings) is not warned of. It is the 5 % quantile of
the test sentences of labels that training has. Of the test sentences of the 19 labels that it lacks 5 % are below it, too, which are about
the same kinds of movement; of 14 that are no English description of a movement all; of 10 actions that the corpus lacks 9
(docs/findings.md)."""
AS_NEAR = 0.05
"""Labels whose cosine is less than that of the nearest one by no more than this are as much what a sentence asks for as that one."""
ALIKE = 0.5
"""Samples of one condition are called alike if their spread is less than this share of that of recordings."""

SEVERAL = 5
"""Labels that a sentence's samples are compared with."""


class Known(NamedTuple):
    """A label that training has, one of its sentences ('' if it has none), and how near that is, -1 to 1."""

    label: str
    sentence: str
    cosine: float


def trained_labels(dataset: str) -> dict[str, LabelFacts | None]:
    """Label -> what training has of it, None where that is not known. Empty for a dataset that is not known, or has no labels."""
    entry = DATASETS.get(dataset) if dataset in DATASETS else None
    if entry is None:
        return {}
    if entry.labels:
        return dict(load_object(entry.labels)())
    return dict.fromkeys(load_object(entry.sentences)()) if entry.sentences else {}


def trained_sentences(dataset: str) -> dict[str, tuple[str, ...]]:
    """Label -> the sentences that training has of it."""
    labels = trained_labels(dataset)
    entry = DATASETS.get(dataset) if labels else None
    known = load_object(entry.sentences)() if entry and entry.sentences else {}
    return {label: tuple(known.get(label, ())) for label in labels}


class Read(NamedTuple):
    """How sentences are compared: by an encoder's embeddings, in a space [k, d] of them (`nerm.sentence_space`) or, without one, as they
    are."""

    encoder: str = ENCODER
    space: NDArray[np.float32] | None = None

    def of(self, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embeddings [n, d] -> [n, k or d] of length 1."""
        return _unit(embeddings if self.space is None else embeddings @ self.space.T)


PLAIN = Read()


def nearest(text: str, dataset: str, count: int = 3, read: Read = PLAIN) -> list[Known]:
    """The labels that training has whose sentences, or mirror images of these, are nearest to a text; the nearest first."""
    labels, sentences, embeddings = _embedded(dataset, read.encoder)
    if not labels:
        return []
    cosines = read.of(embeddings) @ read.of(_encoder(read.encoder).encode([text]))[0]
    found: dict[str, Known] = {}
    for place in np.argsort(-cosines):
        found.setdefault(labels[place], Known(labels[place], sentences[place], float(cosines[place])))
        if len(found) == count:
            break
    return list(found.values())


def known_meanings(dataset: str, read: Read, one_sided: bool) -> NDArray[np.float32]:
    """[labels, k] of length 1: the mean of the sentences of each label that training has. one_sided: of its sentences, and mirror images,
    that name no side or the left."""
    labels, sentences, embeddings = _embedded(dataset, read.encoder)
    heard = [place for place, text in enumerate(sentences) if not one_sided or side_of(text) >= 0]
    if not heard:
        return np.zeros((0, 0), np.float32)
    places = {label: place for place, label in enumerate(dict.fromkeys(labels))}
    vectors = read.of(embeddings[heard])
    sums = np.zeros((len(places), vectors.shape[1]), np.float32)
    np.add.at(sums, [places[labels[place]] for place in heard], vectors)
    return _unit(sums)


def known_durations(condition: Condition, dataset: str, read: Read = PLAIN) -> list[tuple[float, float]]:
    """Seconds of the shortest and of the longest piece that training has of what a condition asks for: of the label, or of each of the
    labels that are nearest to the sentence. Empty where nothing is asked for, or that is not known."""
    near = nearest(condition.text, dataset, SEVERAL, read) if condition.text is not None else []
    labels = [each.label for each in near if each.cosine >= near[0].cosine - AS_NEAR]
    facts = trained_labels(dataset)
    known = [facts.get(label) for label in ([condition.label] if condition.label is not None else labels)]
    return [(each.shortest_s, each.longest_s) for each in known if each]


def far_from_known(text: str, dataset: str) -> str:
    """What is to be said of a sentence that is far from everything that training has; '' for one that is not."""
    known = nearest(text, dataset)
    if not known or known[0].cosine >= NEAR:
        return ""
    near = "; ".join(f"{each.label} ('{each.sentence}')" for each in known)
    return f"'{text}' is far from every sentence of the training, so expect anything. The nearest known actions: {near}. See: nerm labels"


def too_alike(motions: Sequence[Motion], condition: Condition, dataset: str) -> str:
    """What is to be said of samples of one condition that are nearly the same; '' if they are not, or if recordings are not known."""
    label, recordings_m = _variety(condition, dataset)
    if len(motions) < 2 or recordings_m is None:
        return ""
    spread = spread_m(motions)
    if spread >= ALIKE * recordings_m:
        return ""
    asked = condition.text or condition.label or "no condition"
    return (
        f"the {len(motions)} motions of '{asked}' are nearly the same: joints of two of them are {1000 * spread:.0f} mm apart on average, "
        f"{spread / recordings_m:.2f} of the {1000 * recordings_m:.0f} mm between recordings of {label}"
    )


def _variety(condition: Condition, dataset: str) -> tuple[str, float | None]:
    """(what is compared with, its variety): the label; the median of the nearest labels that have several recordings; or of all labels."""
    known = {label: facts.variety_m for label, facts in trained_labels(dataset).items() if facts and facts.variety_m is not None}
    if not known:
        return "", None
    if condition.label in known:
        return condition.label, known[condition.label]
    text = condition.text or next(iter(trained_sentences(dataset).get(condition.label or "", ())), "")
    if not text:
        return "one label", float(np.median(list(known.values())))
    near = [each.label for each in nearest(text, dataset, 10**6) if each.label in known][:SEVERAL]
    return f"such actions ({near[0]} and others)", float(np.median([known[label] for label in near]))


@lru_cache(maxsize=2)
def _embedded(dataset: str, encoder: str) -> tuple[list[str], list[str], NDArray[np.float32]]:
    """(label, sentence, unit embedding) of every training sentence and of its mirror image, which training has too."""
    pairs = [(label, text) for label, texts in trained_sentences(dataset).items() for text in texts]
    pairs += [(label, mirror_caption(text)) for label, text in pairs if mirror_caption(text) != text]
    labels, texts = [label for label, _ in pairs], [text for _, text in pairs]
    return labels, texts, _unit(_encoder(encoder).encode(texts))


@lru_cache(maxsize=2)
def _encoder(name: str) -> TextEncoder:
    return load_text_encoder(name)


def _unit(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
