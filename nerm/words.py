"""English sentences about motion: their words, parts of speech, word classes and mirror images. It knows no dataset and no network.

The lexicon lists the known words, each with its part of speech. Trained models depend on its order, which is that of the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from nerm.data.tsv import read_tsv
from nerm.errors import InputError

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


def mirror_caption(text: str) -> str:
    """The caption of the mirrored motion: left and right exchanged, clockwise and counterclockwise too."""

    def other(side: re.Match[str]) -> str:
        word = _OTHER_SIDE[side[1].lower()]
        return word.capitalize() if side[1][0].isupper() else word

    return _SIDE.sub(other, text)


def side_of(text: str) -> int:
    """The side that a sentence names: 1 for the left, or counterclockwise; -1 for the right, or clockwise; 0 if it names none, or both."""
    sides = {1 if word.lower() in ("left", "counterclockwise", "anticlockwise") else -1 for word in _SIDE.findall(text)}
    return sides.pop() if len(sides) == 1 else 0


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
    parts = list(listed)
    for place in range(1, len(tokens)):
        before = listed[place - 1] in _DETERMINED or tokens[place - 1] in _POSSESSIVE
        participle = tokens[place].endswith(("ing", "ed"))
        followed = place + 1 < len(tokens) and listed[place + 1] in ("NOUN", "ADJ")
        if listed[place] == "VERB" and before and not participle and not followed:
            parts[place] = "NOUN"
    return list(zip(tokens, parts, strict=True))


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
    return {word: pos for word, pos in read_tsv(Path(__file__).with_name("lexicon.tsv"), ("word", "pos"))}
