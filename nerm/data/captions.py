"""Captions of the multirate labels, and the words they are made of: what every text model of the project reads.

A label (`cmu/...`, `hdm05/...`, `bandai/content/style`) has at least five sentences for training and one that is kept for tests. The
lexicon lists every word of them with its part of speech. Nothing here knows a motion or a network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from nerm.cli import suggest
from nerm.errors import InputError

SOURCES = ("cmu", "hdm05", "bandai")
SPECIAL = ("PAD", "unk", "sos", "eos")
LONGEST = 20  # words of a caption that are read; with sos and eos 22, as in the published text encoders

# fmt: off
WORD_CLASSES = (
    "VERB", "NOUN", "DET", "ADP", "NUM", "AUX", "PRON", "ADJ", "ADV", "Loc_VIP", "Body_VIP", "Obj_VIP", "Act_VIP", "Desc_VIP", "OTHER",
)
"""The 15 word classes of the published text encoders, in the order of their one-hot rows (Guo et al., CVPR 2022)."""
_MOTION_WORDS = {
    "Loc_VIP": "left right clockwise counterclockwise anticlockwise forward back backward up down straight curve",
    "Body_VIP": "arm chin foot feet face hand mouth leg waist eye knee shoulder thigh",
    "Obj_VIP": "stair dumbbell chair window floor car ball handrail baseball basketball",
    "Act_VIP": "walk run swing pick bring kick put squat throw hop dance jump turn stumble stop sit lift lower raise wash stand kneel "
               "stroll rub bend balance flap jog shuffle lean rotate spin spread climb",
    "Desc_VIP": "slowly carefully fast careful slow quickly happy angry sad happily angrily sadly",
}
# fmt: on
_CLASS_OF_WORD = {word: name for name, words in _MOTION_WORDS.items() for word in words.split()}
_WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*")
# "with no strength left" has no side.
_SIDE = re.compile(
    r"(?<!strength )(?<!energy )\b(left|right|counterclockwise|anticlockwise|clockwise)(?=(?:wards?|most)?\b)", re.IGNORECASE
)
_OTHER_SIDE = {
    "left": "right",
    "right": "left",
    "clockwise": "counterclockwise",
    "counterclockwise": "clockwise",
    "anticlockwise": "clockwise",
}
_DETERMINED = ("DET",)
_POSSESSIVE = ("his", "her", "their", "its")


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

    def sentences(self) -> Iterator[tuple[str, str, str]]:
        """(label, use, sentence) of every sentence; use is train or test."""
        for label in self.labels:
            yield from ((label, "train", sentence) for sentence in self.train[label])
            yield label, "test", self.test[label]

    def _known(self, label: str) -> str:
        if label not in self.train:
            if not label:
                raise InputError("an empty label has no caption; leave out windows without a label")
            near = "" if "/" in label else f"labels start with {', '.join(f'{s}/' for s in SOURCES)}; "
            hint = suggest(label, self.labels)
            raise InputError(f"label '{label}' has no caption; {near}{hint if hint.startswith('did') else 'see load_captions().labels'}")
        return label


@lru_cache(maxsize=1)
def load_captions() -> Captions:
    """All captions that come with the package."""
    train: dict[str, list[str]] = {}
    test: dict[str, str] = {}
    for source in SOURCES:
        for label, use, caption in _rows(f"{source}.tsv", ("label", "use", "caption")):
            key = f"{source}/{label}"
            if use == "train":
                train.setdefault(key, []).append(caption)
            elif use == "test" and key not in test:
                test[key] = caption
            else:
                raise InputError(f"captions/{source}.tsv: '{label}' has a row of use '{use}'; expected train rows and a single test row")
    if train.keys() != test.keys():
        raise InputError(f"captions: {sorted(train.keys() ^ test.keys())[0]} lacks train sentences or its test sentence")
    return Captions({label: tuple(sentences) for label, sentences in train.items()}, test)


def mirror_caption(text: str) -> str:
    """What the caption says of the mirrored motion: left and right exchanged, clockwise and counterclockwise too."""

    def other(found: re.Match[str]) -> str:
        word = _OTHER_SIDE[found[1].lower()]
        return word.capitalize() if found[1][0].isupper() else word

    return _SIDE.sub(other, text)


def words(text: str) -> list[str]:
    """The lower-case words of a text; hyphens and apostrophes inside a word stay."""
    return _WORD.findall(text.lower())


def tag(text: str) -> list[tuple[str, str]]:
    """(word, part of speech) of every word: universal tags from the lexicon, X for a word that is not in it.

    A word listed as a verb is a noun directly after a determiner or possessive ("a walk"), unless it is a participle or a noun or
    adjective follows it.
    """
    lexicon = _lexicon()
    tokens = words(text)
    listed = [lexicon.get(word, "X") for word in tokens]
    found = list(listed)
    for place in range(1, len(tokens)):
        before = listed[place - 1] in _DETERMINED or tokens[place - 1] in _POSSESSIVE
        participle = tokens[place].endswith(("ing", "ed"))
        followed = place + 1 < len(tokens) and listed[place + 1] in ("NOUN", "ADJ")
        if listed[place] == "VERB" and before and not participle and not followed:
            found[place] = "NOUN"
    return list(zip(tokens, found, strict=True))


@lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """The closed vocabulary: PAD, unk, sos, eos, then every word of the lexicon in alphabetical order."""
    return (*SPECIAL, *sorted(_lexicon()))


def word_class(word: str, pos: str) -> str:
    """The word class, of the 15 of the published text encoders, of a tagged word. Words that matter for motion have classes of their own.

    The published lists hold base forms, and so nouns and verbs are compared without their endings.
    """
    if word in _CLASS_OF_WORD:
        return _CLASS_OF_WORD[word]
    if pos in ("NOUN", "VERB"):
        for base in _base_forms(word):
            if base in _CLASS_OF_WORD:
                return _CLASS_OF_WORD[base]
    return pos if pos in WORD_CLASSES else "OTHER"


def encode_caption(text: str) -> tuple[list[int], list[int]]:
    """(indices into `vocabulary`, indices into WORD_CLASSES) of sos, at most 20 words, eos. A text without a word is an InputError."""
    tagged = tag(text)[:LONGEST]
    if not tagged:
        raise InputError(f"text {text!r} holds no word; give a description in English, such as 'a person walks forward'")
    index = _indices()
    ids = [index["sos"], *(index.get(word, index["unk"]) for word, _ in tagged), index["eos"]]
    other = WORD_CLASSES.index("OTHER")
    return ids, [other, *(WORD_CLASSES.index(word_class(word, pos)) for word, pos in tagged), other]


def _base_forms(word: str) -> Iterator[str]:
    """Candidates for the word without a plural, -s, -ed or -ing."""
    for ending in ("s", "es", "ed", "ing", "d"):
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            stem = word[: -len(ending)]
            yield stem
            if ending in ("ed", "ing"):
                yield stem + "e"
                if stem[-1] == stem[-2]:
                    yield stem[:-1]


@lru_cache(maxsize=1)
def _indices() -> dict[str, int]:
    return {word: index for index, word in enumerate(vocabulary())}


@lru_cache(maxsize=1)
def _lexicon() -> dict[str, str]:
    return {word: pos for word, pos in _rows("lexicon.tsv", ("word", "pos"))}


def _rows(name: str, header: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The rows of a tab-separated file of the package, header checked."""
    lines = (files("nerm.data") / "captions" / name).read_text(encoding="utf-8").splitlines()
    rows = [tuple(line.split("\t")) for line in lines if line]
    if not rows or rows[0] != header or any(len(row) != len(header) for row in rows):
        raise InputError(f"captions/{name} is not a table of {', '.join(header)}; reinstall the package")
    return rows[1:]
