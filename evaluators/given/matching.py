"""Which motion was made for what: a folder's files, and a list of conditions if there is one, against the items of a dataset.

What does not fit is an InputError, or is counted: nothing is left out in silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluators.given.conditions import Asked
from evaluators.given.folder import Folder
from nerm.cli import progress, suggest
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.motion import Motion

_NAMED = 5
"""So many of several names are printed."""


@dataclass(frozen=True)
class Matched:
    """Motions by place, still at their own rates. own: as in `evaluators.given.Given`.  notes: sentences for the user."""

    motions: dict[int, Motion]
    own: tuple[Item, ...] | None
    notes: tuple[str, ...] = ()


def match(folder: Folder, rows: Sequence[Asked] | None, items: Sequence[Item], labels: Sequence[str], source: Path) -> Matched:
    """Motions of a folder with what they were made for. rows: the list of conditions, None for none.  source: its file, for messages.

    Without a list, files that are all named after recordings were made for them; any other names mean nothing.
    """
    if rows is None:
        return _by_name(folder, items)
    asked = {row.name: row for row in rows}
    used = {name: row for name, row in asked.items() if name in folder.motions}
    if not used:
        example = f"'{rows[0].name}' and '{next(iter(folder.motions))}'"
        raise InputError(f"{source} and {folder.path} have no file in common ({example}); the column 'file' names the motion files")
    without = [name for name in folder.motions if name not in asked]
    if without:
        progress(f"left out: no row of {source} is for {_some(without)}")
    folder.leave_out(f"files without a row in {source.name}", len(without))
    folder.leave_out(f"rows of {source.name} without a motion", len(asked) - len(used))
    _check_labels(used.values(), labels, source)
    of_recordings = [row for row in used.values() if row.recording]
    if of_recordings and len(of_recordings) < len(used):
        other = next(row for row in used.values() if not row.recording)
        text = f"line {of_recordings[0].line} has a recording and line {other.line} has none"
        raise InputError(f"{source}: {text}; give a recording in every row, or in none")
    matched = _with_recordings(folder, used, items, source) if of_recordings else _without_recordings(folder, used)
    return Matched(matched.motions, matched.own, _notes(folder, used))


def _by_name(folder: Folder, items: Sequence[Item]) -> Matched:
    place_of = {item.id: place for place, item in enumerate(items)}
    named = [name for name in folder.motions if name in place_of]
    if len(named) == len(folder.motions):
        return Matched({place_of[name]: motion for name, motion in folder.motions.items()}, None)
    notes: tuple[str, ...] = ()
    if named:
        other = next(name for name in folder.motions if name not in place_of)
        text = f"{len(named)} of {len(folder.motions)} names are those of recordings ({named[0]}) and others are not ({other})"
        notes = (f"{text}, so none was taken for one; conditions=FILE.csv can say what each was made for.",)
    return _without_recordings(folder, {name: Asked(name) for name in folder.motions}, notes)


def _with_recordings(folder: Folder, used: Mapping[str, Asked], items: Sequence[Item], source: Path) -> Matched:
    place_of = {item.id: place for place, item in enumerate(items)}
    motions: dict[int, Motion] = {}
    row_of: dict[int, Asked] = {}
    for name, row in used.items():
        where = f"{source}, line {row.line}: recording '{row.recording}'"
        if row.recording not in place_of:
            raise InputError(f"{where} is no test item of the dataset; {_suggest(row.recording, list(place_of))}")
        place = place_of[row.recording]
        item = items[place]
        for kind, given, own in (("caption", row.caption, item.captions), ("label", row.label, (item.label,) if item.label else ())):
            if given and own and given not in own:
                raise InputError(f"{where} has the {kind} '{own[0]}', not '{given}'; leave out one of recording and {kind}")
        if place in motions:
            raise InputError(f"{where} is that of line {row_of[place].line} too; score one motion of a recording at a time")
        motions[place], row_of[place] = folder.motions[name], row
    return Matched(motions, None)


def _without_recordings(folder: Folder, used: Mapping[str, Asked], notes: tuple[str, ...] = ()) -> Matched:
    """Each motion is an item of its own."""
    motions = {place: folder.motions[name] for place, name in enumerate(used)}
    own = tuple(
        Item(name, f"motion {place}", motion.fps, motion.seconds, (row.caption,) if row.caption else (), row.label)
        for (place, motion), (name, row) in zip(motions.items(), used.items(), strict=True)
    )
    return Matched(motions, own, notes)


def _check_labels(rows, known: Sequence[str], source: Path) -> None:
    for row in rows:
        if row.label and row.label not in known:
            raise InputError(f"{source}, line {row.line}: label '{row.label}' does not exist here; {_suggest(row.label, known)}")


def _notes(folder: Folder, used: Mapping[str, Asked]) -> tuple[str, ...]:
    """How many motions are not as long as they were asked to be, to a frame."""
    lengths = [(folder.motions[name], row.seconds) for name, row in used.items() if row.seconds]
    shorter = sum(motion.seconds < seconds - 1.001 / motion.fps for motion, seconds in lengths)
    longer = sum(motion.seconds > seconds + 1.001 / motion.fps for motion, seconds in lengths)
    if not shorter + longer:
        return ()
    return (f"{shorter} motions are shorter and {longer} longer than they were asked to be; they are scored as they are.",)


def _suggest(word: str, known: Sequence[str]) -> str:
    """The nearest known names, or some of them."""
    if len(known) <= 3 * _NAMED:
        return suggest(word, known)
    text = suggest(word, known)
    return text if text.startswith("did you mean") else f"it can be {_some(known)}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
