"""What the doctor says of the official files of HumanML3D and KIT-ML: present, missing, damaged, and what each split would hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nerm.data.preparation import Finding, LeftOut
from nerm.data.t2m.layout import MOTIONS, STATISTICS, TEXTS
from nerm.data.t2m.statistics import of_the_evaluator, read_statistics
from nerm.data.t2m.texts import SPLITS, read_lists
from nerm.errors import InputError

if TYPE_CHECKING:
    from nerm.data.t2m.official import Clip, Official

_HARMLESS = ("too short or too long",)
"""Reasons to leave a clip out that are rules of the dataset and no damage."""


def page(kind: Official, sources: Path, made_from: Mapping[str, str]) -> list[Finding]:
    """The findings about a folder of official files; every motion file is read to its end."""

    lines = [_folder(sources / MOTIONS, "npy"), _folder(sources / TEXTS, "txt"), _statistics(kind, sources)]
    try:
        listed = read_lists(sources)
    except InputError as error:
        return [*lines, Finding("missing", str(error))]
    if not (sources / MOTIONS).is_dir():
        return lines
    try:
        clips = [clip for name, split in listed.items() for clip in kind.clips(sources, name, split)]
    except InputError as error:
        return [*lines, Finding("damaged", str(error))]
    for split in SPLITS:
        names = sum(of == split for of in listed.values())
        lines += _split(kind, sources / MOTIONS, split, names, [clip for clip in clips if clip.split == split])
    if made_from and all((sources / name).exists() for name in STATISTICS):
        same = kind.identity(sources, ()) == dict(made_from)
        lines.append(Finding("ok" if same else "note", f"the corpus was made of {'these files' if same else 'other files than these'}"))
    return lines


def _folder(folder: Path, ending: str) -> Finding:
    if not folder.is_dir():
        return Finding("missing", f"{folder.name}/, a folder of .{ending} files")
    count = sum(1 for _ in folder.glob(f"*.{ending}"))
    return Finding("ok" if count else "missing", f"{folder.name}/: {count} files")


def _statistics(kind: Official, sources: Path) -> Finding:
    try:
        _, std = read_statistics(sources, kind.format)
    except InputError as error:
        return Finding("missing" if "missing" in str(error) else "damaged", str(error))
    if of_the_evaluator(std):
        text = (
            "Mean.npy and Std.npy are those of the official evaluator, in which root and contacts weigh 25 times as much, not the dataset's"
        )
        return Finding("note", text)
    return Finding("ok", f"Mean.npy and Std.npy: {kind.format.dims} numbers each")


def _split(kind: Official, motions: Path, split: str, names: int, clips: Sequence[Clip]) -> list[Finding]:
    """What a split would hold, and why listed clips give no item."""
    outcomes = [(clip, _outcome(kind, clip, motions)) for clip in clips]
    used = [clip for clip, left_out in outcomes if left_out is None]
    pieces = sum(clip.name != clip.file.removesuffix(".npy") for clip in used)
    captions = sum(len(clip.captions) for clip in used)
    text = f"{split}: {names} listed, {len(used)} items (of which {pieces} pieces of a clip), {captions} captions"
    if names != kind.listed[split]:
        text += f"; the published list has {kind.listed[split]}"
    lines = [Finding("ok" if used else "missing", text)]
    reasons = Counter(left_out.kind for _, left_out in outcomes if left_out is not None)
    for reason, count in reasons.items():
        some = [clip.name for clip, left_out in outcomes if left_out is not None and left_out.kind == reason][:3]
        state = "note" if reason in _HARMLESS else "missing" if reason.startswith("without a") else "damaged"
        lines.append(Finding(state, f"{split}: {count} {reason} ({', '.join(some)}{', ...' if count > 3 else ''})"))
    return lines


def _outcome(kind: Official, clip: Clip, motions: Path) -> LeftOut | None:
    made = kind.read(clip, motions)
    return made if isinstance(made, LeftOut) else None
