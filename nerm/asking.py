"""A file of many sentences: one a line, or a CSV. It knows no system and no motion.

Columns of a CSV: text (or caption), label, seconds, seed, file (name of the motion file; or recording). All but one of text and label may
be left out. The list that `nerm score write_conditions=` writes is read too. A row with both text and label is asked for by its text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from nerm.cli import suggest
from nerm.errors import InputError

COLUMNS = ("text", "caption", "label", "seconds", "seed", "file", "recording", "recorded_fps")
_LONGEST_NAME = 50


@dataclass(frozen=True)
class Asked:
    """One motion that is asked for. name: of its file, without suffix.  seconds, seed: None where the file does not say."""

    name: str
    text: str | None = None
    label: str | None = None
    seconds: float | None = None
    seed: int | None = None


def read_texts(path: Path) -> list[Asked]:
    """What a file asks for; empty lines are left out. A wrong column or value is an InputError with its line."""
    if not path.is_file():
        raise InputError(f"texts={path} {'is a folder' if path.is_dir() else 'does not exist'}; give a file of sentences, or a CSV")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"texts={path} is not text in UTF-8; save it in UTF-8") from None
    asked = _of_table(path, text) if path.suffix.lower() == ".csv" else _of_lines(text)
    if not asked:
        raise InputError(f"texts={path} holds no sentence; expected one a line, or a CSV with the columns {', '.join(COLUMNS[:5])}")
    seen: set[str] = set()
    for each in asked:
        if each.name in seen:
            raise InputError(f"texts={path}: two rows are both of file '{each.name}'; rename one")
        seen.add(each.name)
    return asked


def file_name(number: int, count: int, words: str) -> str:
    """'007-a-person-walks' of a sentence: its number among so many, then its words."""
    said = re.sub(r"[^\w]+", "-", words.lower()).strip("-")[:_LONGEST_NAME].rstrip("-")
    return f"{number:0{len(str(count))}d}-{said}".rstrip("-")


def _of_lines(text: str) -> list[Asked]:
    sentences = [line.strip() for line in text.splitlines() if line.strip()]
    return [Asked(file_name(number, len(sentences), sentence), sentence) for number, sentence in enumerate(sentences, 1)]


def _of_table(path: Path, text: str) -> list[Asked]:
    reader = csv.DictReader(io.StringIO(text), restkey="more", restval="")
    columns = [str(column).strip() for column in reader.fieldnames or []]
    reader.fieldnames = columns
    for column in columns:
        if column not in COLUMNS:
            raise InputError(f"texts={path}: unknown column '{column}'; {suggest(column, COLUMNS)}")
    if not {"text", "caption", "label"} & set(columns):
        raise InputError(f"texts={path}: no column 'text' and none 'label'; the first line names the columns")
    rows = list(reader)
    return [_of_row(path, number, len(rows), row) for number, row in enumerate(rows, 1)]


def _of_row(path: Path, number: int, count: int, row: Mapping[str, str]) -> Asked:
    place = f"texts={path}, line {number + 1}"
    if "more" in row:
        raise InputError(f"{place}: more values than columns; put a sentence with a comma in quotes")
    cells = {column: (row.get(column) or "").strip() for column in COLUMNS}
    text = cells["text"] or cells["caption"] or None
    label = None if text else cells["label"] or None
    name = cells["file"] or cells["recording"] or file_name(number, count, text or label or "")
    if "/" in name or "\\" in name or name.startswith("."):
        raise InputError(f"{place}: file '{name}'; expected the name of a file in the folder out=")
    return Asked(re.sub(r"\.(npz|npy|bvh)$", "", name), text, label, _seconds(place, cells["seconds"]), _seed(place, cells["seed"]))


def _seconds(place: str, cell: str) -> float | None:
    try:
        seconds = float(cell) if cell else None
    except ValueError:
        raise InputError(f"{place}: seconds is '{cell}'; expected a number") from None
    if seconds is not None and not (isfinite(seconds) and seconds > 0):
        raise InputError(f"{place}: seconds is {cell}; expected a positive number")
    return seconds


def _seed(place: str, cell: str) -> int | None:
    if cell and not cell.isdecimal():
        raise InputError(f"{place}: seed is '{cell}'; expected a whole number, 0 or more")
    return int(cell) if cell else None
