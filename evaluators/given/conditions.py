"""The list of conditions as a CSV file: what to generate, and what the user's files were made for. One format for both.

    file,recording,caption,label,seconds,seed,fps

file: name of the motion file, with or without its suffix (left out, it is the recording's).  recording: id of the item of the dataset that
the motion was made for.  caption, label: what was asked for, where it is no recording of the dataset.  seconds, seed: as asked for.
fps: rate of the file, needed for an .npy alone.  Every column but `file` or `recording` may be left out. A column `recorded_fps` only
tells the user the rate of the recording.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from evaluators.given.folder import stem_of
from nerm.atomic import replacing
from nerm.cli import suggest
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.generation import Request
    from nerm.data.dataset import Item

COLUMNS = ("file", "recording", "caption", "label", "seconds", "seed", "fps")
TOLD = "recorded_fps"


@dataclass(frozen=True)
class Asked:
    """One row. name: of the file, without suffix.  recording, caption, label: '' where none is given.  line: in the file."""

    name: str
    recording: str = ""
    caption: str = ""
    label: str = ""
    seconds: float | None = None
    fps: float | None = None
    line: int = 0


def write_conditions(path: Path, items: Sequence[Item], requests: Iterable[Request]) -> int:
    """Write one row per request; their number. A recording that is asked for several times has its files numbered."""
    listed = list(requests)
    places = [request.item for request in listed]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*COLUMNS[:-1], TOLD))
    numbers: dict[int, int] = {}
    for request in listed:
        item = items[request.item]
        number = numbers[request.item] = numbers.get(request.item, -1) + 1
        name = item.id if places.count(request.item) == 1 else f"{item.id}-{number}"
        condition = request.condition
        caption = condition.text or ("" if condition.label else next(iter(item.captions), ""))
        label = condition.label or item.label
        writer.writerow((name, item.id, caption, label, f"{request.seconds:g}", request.seed, f"{item.fps:g}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(out.getvalue())
    return len(listed)


def read_conditions(path: Path) -> list[Asked]:
    """The rows of a CSV of conditions; a wrong column or value is an InputError with its line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"conditions={path} is not text in UTF-8; save it as CSV in UTF-8") from None
    except OSError as error:
        raise InputError(f"conditions={path}: {error.strerror}; give a CSV with the columns {', '.join(COLUMNS)}") from None
    reader = csv.DictReader(io.StringIO(text), restkey="more", restval="")
    columns = list(reader.fieldnames or [])
    known = (*COLUMNS, TOLD)
    for column in columns:
        if column not in known:
            raise InputError(f"{path}: unknown column '{column}'; {suggest(str(column), known)}")
    if not {"file", "recording"} & set(columns):
        raise InputError(f"{path}: no column 'file' and none 'recording'; one of them names the motion files")
    rows = [_asked(path, number, row) for number, row in enumerate(reader, 2)]
    if not rows:
        raise InputError(f"{path} has no row; expected one per motion file")
    seen: dict[str, Asked] = {}
    for row in rows:
        other = seen.setdefault(row.name, row)
        if other is not row:
            raise InputError(f"{path}: lines {other.line} and {row.line} are both of file '{row.name}'; keep one")
    return rows


def rates_of(rows: Iterable[Asked]) -> dict[str, float]:
    """Name -> rate of the file, where it is given."""
    return {row.name: row.fps for row in rows if row.fps is not None}


def _asked(path: Path, line: int, row: Mapping[str, str]) -> Asked:
    if "more" in row:
        raise InputError(f"{path}, line {line}: more values than columns; put a caption with a comma in quotes")
    cells = {column: (row.get(column) or "").strip() for column in COLUMNS}
    name = stem_of(cells["file"]) or cells["recording"]
    if not name:
        raise InputError(f"{path}, line {line}: neither a file nor a recording; give the name of the motion file")
    numbers: dict[str, float | None] = {}
    for column in ("seconds", "seed", "fps"):
        try:
            numbers[column] = float(cells[column]) if cells[column] else None
        except ValueError:
            raise InputError(f"{path}, line {line}: {column} is '{cells[column]}'; expected a number") from None
    for column in ("seconds", "fps"):
        value = numbers[column]
        if value is not None and not (isfinite(value) and value > 0):
            raise InputError(f"{path}, line {line}: {column} is {value:g}; expected a positive number")
    return Asked(name, cells["recording"], cells["caption"], cells["label"], numbers["seconds"], numbers["fps"], line)
