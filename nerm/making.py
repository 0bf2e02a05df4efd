"""Sampling many motions into files, a few at a time: what is there already is left, and what is doubtful is said. It knows no system."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from tqdm import tqdm

from nerm import __version__
from nerm.atomic import replacing
from nerm.cli import progress, suggest
from nerm.errors import InputError
from nerm.generator import Condition, Continues, Generator, HasVariants
from nerm.held import held, wants_feet_held
from nerm.known import far_from_known, too_alike, trained_labels
from nerm.motion import Motion
from nerm.motion.files import Writing, save_motion
from nerm.motion.made_by import BESIDE, write_beside

TOGETHER = 8
"""Motions of one call. A motion does not depend on what else is in its call."""
_FEET = {True: "feet locked (feet=off leaves them as sampled)", False: "feet as sampled (feet=lock keeps them from sliding)"}


@dataclass(frozen=True)
class Wanted:
    """One motion and its file. conditions, seconds: one of each, or several that are met one after the other."""

    path: Path
    conditions: tuple[Condition, ...]
    seconds: tuple[float, ...]
    seed: int


class Sampling(Protocol):
    """How motions are sampled; what is None is the system's own."""

    fps: float
    guidance: float | None
    sampler: str | None
    stance: bool
    durations: str
    reading: str
    names: str
    metres_per_unit: float
    size: str | None
    feet: str


def make(system: Generator, wanted: Sequence[Wanted], how: Sampling, index: Path | None = None) -> tuple[int, int]:
    """Sample and write what is wanted; how many were made, and how many were there.

    index: JSON of file name -> what it was made by, for a folder. A file in it that exists and would be made by the same is left.
    """
    known: dict[str, Any] = json.loads(index.read_text()) if index and index.exists() else {}
    facts = {each: made_by(system, each, how) for each in wanted}
    missing = [each for each in wanted if not (index and each.path.exists() and known.get(each.path.name) == facts[each])]
    with tqdm(total=len(wanted), initial=len(wanted) - len(missing), unit="motion", file=sys.stderr, disable=index is None) as bar:
        for conditions, made in groupby(_sampled(system, missing, how), key=lambda pair: pair[0].conditions):
            motions = []
            for each, motion in made:
                save_motion(motion, each.path, Writing(how.metres_per_unit, how.names, size=how.size, made_by=facts[each]))
                motions.append(motion)
                if index:
                    known[each.path.name] = facts[each]
                    _write(index, known)
                    bar.update()
                else:
                    feet = _FEET["feet" in facts[each]]
                    frames = f"{len(motion)} frames at {motion.fps:g} fps, {motion.seconds:.2f} s"
                    beside = each.path.suffix.lower() in BESIDE and write_beside(each.path, facts[each])
                    progress(f"{each.path}: {frames}, system '{system.name}', {feet}" + (f"; made by: {beside.name}" if beside else ""))
            if len(conditions) == 1:
                alike = too_alike(motions, conditions[0], system.facts.dataset)
                read = conditions[0].text is not None and isinstance(system, HasVariants) and system.reading == "known"
                warn(alike + "; with reading=drawn they differ more" * bool(alike and read))
    return len(missing), len(wanted) - len(missing)


def made_by(system: Generator, each: Wanted, how: Sampling) -> dict[str, Any]:
    """What a motion depends on: the sentences or the label, seconds, rate, seed, system, digest of its weights, this package's version,
    whether feet are held, and names, unit and size of the file where they are not the usual ones."""
    said_of: dict[str, Any] = {"texts": [condition.text for condition in each.conditions], "seconds": list(each.seconds)}
    if len(each.conditions) == 1:
        said_of = {"text": each.conditions[0].text, "label": each.conditions[0].label, "seconds": each.seconds[0]}
    asked = {**said_of, "fps": how.fps, "seed": each.seed}
    by = {"system": system.name, "model": system.digest, "guidance": how.guidance, "sampler": how.sampler}
    usual = Writing()
    files = {
        "names": None if how.names == usual.names else how.names,
        "metres_per_unit": None if how.metres_per_unit == usual.metres_per_unit else how.metres_per_unit,
        "size": how.size,
        "feet": "lock" if wants_feet_held(how.feet, each.path) else None,
    }
    left_out: dict[str, Any] = {"stance": None if how.stance else False}
    left_out |= {name: None if value == "known" else value for name, value in (("durations", how.durations), ("reading", how.reading))}
    said = {**asked, **by, **left_out, **files, "version": __version__}
    return {key: value for key, value in said.items() if value is not None}


def check_label(condition: Condition, dataset: str) -> None:
    """An InputError that names the nearest ones, if a label is asked for that training did not have."""
    label, known = condition.label, list(trained_labels(dataset))
    if label is None or not known or label in known:
        return
    within = [name for name in known if label.lower() in name.lower()][:5]
    near = f"did you mean {' or '.join(within)}?" if within else suggest(label, known)
    hint = near if near.startswith("did") else "none is like it"
    raise InputError(f"label '{label}' was not trained; {hint} (nerm labels search={label})")


def say_if_far(condition: Condition, dataset: str) -> None:
    """A warning if a sentence is far from everything that training had."""
    warn(far_from_known(condition.text, dataset) if condition.text is not None else "")


def say_if_in_parts(system: Generator, condition: Condition, seconds: float) -> None:
    """A line if a condition is made in several parts, because training has nothing of it that lasts so long."""
    parts = system.parts(condition, seconds) if isinstance(system, Continues) else 1
    if parts > 1:
        asked = condition.text or condition.label
        progress(f"'{asked}' does not last {seconds:g} s in training: it is made in {parts} parts that go on from each other")


def warn(text: str) -> None:
    """A line on stderr; nothing for ''."""
    if text:
        with tqdm.external_write_mode(file=sys.stderr):  # a bar is taken away for it
            progress(f"warning: {text}")


def _sampled(system: Generator, wanted: Sequence[Wanted], how: Sampling) -> Iterator[tuple[Wanted, Motion]]:
    for chunk in _calls(system, wanted):
        sample = partial(_call, system, chunk, how.guidance)
        hold = wants_feet_held(how.feet, chunk[0].path)
        yield from zip(chunk, held(sample, how.fps, system.native_fps) if hold else sample(how.fps), strict=True)


def _calls(system: Generator, wanted: Sequence[Wanted]) -> Iterator[Sequence[Wanted]]:
    """What is sampled together: a few motions of one piece each, or one that is a sequence."""
    for is_sequence, group in groupby(wanted, key=partial(_is_sequence, system)):
        some, together = list(group), 1 if is_sequence else TOGETHER
        yield from (some[start : start + together] for start in range(0, len(some), together))


def _call(system: Generator, chunk: Sequence[Wanted], guidance: float | None, fps: float) -> list[Motion]:
    if isinstance(system, Continues) and _is_sequence(system, chunk[0]):
        return [system.sample_sequence(x.conditions, x.seconds, fps, x.seed, guidance) for x in chunk]
    conditions, seconds, seeds = [x.conditions[0] for x in chunk], [x.seconds[0] for x in chunk], [x.seed for x in chunk]
    return system.sample(conditions, seconds, fps, seeds, guidance=guidance)


def _is_sequence(system: Generator, each: Wanted) -> bool:
    if isinstance(system, Continues):
        return len(each.conditions) > 1 or each.seconds[0] > system.longest_s
    if len(each.conditions) > 1:
        raise InputError(f"system '{system.name}' takes one sentence at a time; several in a row are for system=nerm")
    return False


def _write(index: Path, known: Mapping[str, Any]) -> None:
    with replacing(index) as temporary:
        temporary.write_text(json.dumps(known, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
