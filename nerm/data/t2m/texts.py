"""Text files and split lists of HumanML3D and KIT-ML, and which pieces of a clip the official loader makes items of.

Its rules: a clip of fewer frames than a dataset's least, or of 200 or more, is left out with all of its pieces. A line of a text file
describes the whole clip, or from `start` to `end` seconds, which is an item of its own under the same length rule. A second of a text file
is 20 frames, in KIT-ML too (its features have 12.5 a second); it is so in the official loader, and in all published figures.

Source: Guo et al., Generating Diverse and Natural 3D Human Motions from Text, CVPR 2022, and the loader published with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple

from nerm.errors import InputError

FRAMES_PER_SECOND = 20
TOO_LONG = 200
SPLITS = ("train", "val", "test")


class Line(NamedTuple):
    """One line of a text file. start, end: seconds of a text file, both 0 for the whole clip."""

    caption: str
    tokens: str
    start: float
    end: float


class Piece(NamedTuple):
    """An item of a clip. name: its id.  start, end: frames of the clip."""

    name: str
    start: int
    end: int
    captions: tuple[str, ...]
    tokens: tuple[str, ...]


def read_texts(path: Path) -> list[Line]:
    """The lines of a text file, 'caption#word/POS word/POS#start#end' each."""
    lines = []
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no text in UTF-8 ({error.reason}); restore the official file") from None
    for number, line in enumerate(content.splitlines(), 1):
        if not line.strip():
            continue
        try:
            caption, tokens, start, end = line.strip().split("#")
            times = [0.0 if math.isnan(float(time)) else float(time) for time in (start, end)]
        except ValueError:
            raise InputError(f"{path}, line {number}: {line[:60]!r}; expected caption#word/POS word/POS#start#end") from None
        lines.append(Line(caption, tokens, *times))
    return lines


def read_list(path: Path) -> list[str]:
    """The ids of a split."""
    if not path.is_file():
        raise InputError(f"{path} is missing; the folder of sources holds train.txt, val.txt and test.txt with one id a line")
    return [line.strip() for line in path.read_text().splitlines() if line.strip()]


def read_lists(sources: Path) -> dict[str, str]:
    """Id -> split, of train.txt, val.txt and test.txt in their order; an id in two of them is an InputError."""
    found: dict[str, str] = {}
    for split in SPLITS:
        for name in read_list(sources / f"{split}.txt"):
            if found.setdefault(name, split) != split:
                raise InputError(f"{sources}: '{name}' is listed in {found[name]}.txt and in {split}.txt; restore the official lists")
    return found


def pieces(name: str, frames: int, lines: Sequence[Line], least: int) -> Iterator[Piece]:
    """The items of a clip of so many frames: the whole, and a piece for every line with times. None if the clip breaks the length rule.

    The official loader puts a random letter before the id of a piece. Here the letters are A, B, ... in the order of the lines.
    """
    if not fits(frames, least):
        return
    whole = [line for line in lines if line.start == line.end == 0]
    if whole:
        yield Piece(name, 0, frames, tuple(line.caption for line in whole), tuple(line.tokens for line in whole))
    for number, line in enumerate(line for line in lines if not line.start == line.end == 0):
        start, end, _ = slice(int(line.start * FRAMES_PER_SECOND), int(line.end * FRAMES_PER_SECOND)).indices(frames)
        if fits(end - start, least):
            letter = ascii_uppercase[number % 26] * (number // 26 + 1)
            yield Piece(f"{letter}_{name}", start, end, (line.caption,), (line.tokens,))


def fits(frames: int, least: int) -> bool:
    """The length rule."""
    return least <= frames < TOO_LONG


def mirrored(name: str) -> bool:
    """Whether the id is that of a mirror image: M012314 is that of 012314, A_M012314 that of A_012314."""
    return name.rpartition("_")[2].startswith("M")


def unmirrored(name: str) -> str:
    """The id of the original of a mirror image; the id itself for others."""
    letter, underscore, clip = name.rpartition("_")
    return letter + underscore + clip.removeprefix("M")
