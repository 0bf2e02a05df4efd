"""nerm sample, or python -m nerm.sample: a sentence, an action label or nothing into motion at any frame rate, by any system.

    nerm sample text="a person walks forward" seconds=4 fps=120 out=walk.bvh
    nerm sample text="a person kicks" count=8 seed=1 out=kick.npz            kick-0.npz to kick-7.npz
    nerm sample label=hdm05/squat1Reps system=mdm out=squat.html             nerm labels lists the labels, nerm list the systems
    nerm sample 'texts=["a person walks","a person jumps up"]' out=both.bvh  one motion that does them in a row; seconds= is of each
    nerm sample text="a person runs" seconds=40 out=run.bvh                  longer than 10 s, up to 60, by system=nerm
    nerm sample texts=sentences.txt out=DIR format=bvh                       one motion a line; the same command goes on where it stopped

A CSV of sentences has the columns text, and if wanted label, seconds, seed and file; the list of nerm score write_conditions=FILE is one.
What a motion was made by stands in its file, of a .bvh or .npy in FILE.json beside it, and for all files of a folder in DIR/made_by.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nerm.cli import MISSING, InputError, parse, progress, run
from nerm.devices import device_of
from nerm.help import command

if TYPE_CHECKING:
    from nerm.asking import Asked
    from nerm.generator import Generator
    from nerm.making import Wanted

USAGE = 'For example: text="a person walks forward" seconds=4 fps=120 out=walk.bvh'
SYSTEMS = "baselines.base:load_system"
"""(name, checkpoint, device) -> Generator. Systems are registered above this package, which therefore names none of them."""


@dataclass
class Sample:
    """Keys of the command. Give one of text, label and texts, or none for motion without a condition.

    text: a sentence in English that says what a person does.
    label: an action label that training had; nerm labels lists them.
    texts: sentences that one motion does in a row, such as ["a person walks","a person jumps up"]; or a file of many sentences,
        one a line, or a CSV.
    out: the file to write: .bvh, .glb, .npz, .npy, .gif, .mp4 or .html; numbered where count is more than 1; with a file of sentences, a
        folder.
    format: of the files in that folder: npz, bvh, or another suffix that out= may have.
    names: of the joints in a .bvh or .glb: smpl (left_hip) or mixamo (mixamorig:LeftUpLeg).
    metres_per_unit: of a .bvh; 0.01 writes centimetres.
    size: of a .mp4 or .gif in pixels, such as 640x480.
    feet: lock keeps feet from sliding, off leaves them as sampled, auto locks them in files that people look at (not .npz and .npy).
    seconds: length of the motion; of sentences in a row, of each: one number for all, or [4,2.5].
    fps: frames per second.
    seed: of the first motion; the next ones have the next numbers. The same seed is the same motion at every rate.
    count: how many motions of each sentence.
    system: name of a registered system.
    model: weights in place of the shipped ones: a file, or the name of one in results/models.
    guidance: weight of classifier-free guidance; left out, the system's own.
    sampler: ddpm, ddim or dpm-solver++, for a system that has the choice; left out, the system's own.
    durations: known asks for the nearest duration that training has of such an action, and for several parts of it where the motion is to
        last much longer; asked asks for what seconds= says, whatever training has.
    reading: known reads a sentence as the mean of what it may mean, of the meanings that training has; drawn as one of these, another one
        for another seed, so that samples vary about as people do; asked as it is.
    stance: false leaves paths as they were sampled, instead of letting the legs decide where the body goes.
    device: auto, cpu or cuda.
    """

    text: str | None = None
    label: str | None = None
    texts: list[str] = field(default_factory=list)
    out: str = MISSING
    format: str = "npz"
    names: str = "smpl"
    metres_per_unit: float = 0.01
    size: str | None = None
    feet: str = "auto"
    seconds: list[float] = field(default_factory=lambda: [4.0])
    fps: float = 60.0
    seed: int = 0
    count: int = 1
    system: str = "nerm"
    model: str | None = None
    guidance: float | None = None
    sampler: str | None = None
    durations: str = "known"
    reading: str = "known"
    stance: bool = True
    device: str = "auto"


@command(Sample)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(Sample, arguments, USAGE)
    device_of(settings.device)
    if settings.count < 1 or settings.seed < 0:
        raise InputError(f"count={settings.count} seed={settings.seed}; expected a count of at least 1 and a seed of at least 0")
    if not all(isinstance(text, str) and text.strip() for text in settings.texts):
        raise InputError(f"texts={settings.texts}; expected sentences, each in quotes if it holds a comma or a colon, or a file. {USAGE}")
    if sum(map(bool, (settings.text is not None, settings.label is not None, settings.texts))) > 1:
        raise InputError(f"give one of text=, label= and texts=, or none of them. {USAGE}")
    from nerm.asking import read_texts
    from nerm.held import wants_feet_held
    from nerm.motion.files import Writing

    listed = settings.texts[0] if len(settings.texts) == 1 else None  # a file of sentences
    file = Path(settings.out if listed is None else f"motion.{settings.format.lstrip('.')}")
    Writing(settings.metres_per_unit, settings.names, size=settings.size).check(file)
    wants_feet_held(settings.feet, file)
    wanted = _of_folder(read_texts(Path(listed)), settings) if listed else _of_one(settings)
    from nerm.making import check_label, make, say_if_far, say_if_in_parts
    from nerm.motion.made_by import INDEX

    system = load(settings)
    dataset = system.facts.dataset
    for condition in dict.fromkeys(condition for each in wanted for condition in each.conditions):
        check_label(condition, dataset)
        say_if_far(condition, dataset)
    for condition, seconds in dict.fromkeys(pair for each in wanted for pair in zip(each.conditions, each.seconds, strict=True)):
        say_if_in_parts(system, condition, seconds)
    index = Path(settings.out) / INDEX if listed else None
    made, kept = make(system, wanted, settings, index)
    if index:
        progress(f"{settings.out}: {made} motion{'s' * (made != 1)} made, {kept} there already; {index.name} says what each was made by")
    return 0


def load(settings: Sample) -> Generator:
    """The system that the settings name, with its weights and variant."""
    from nerm.checkpoint import model_path
    from nerm.generator import HasVariants
    from nerm.registry import load_object

    file = model_path(settings.model) if settings.model else None
    system = load_object(SYSTEMS)(settings.system, file, device_of(settings.device))
    if isinstance(system, HasVariants):
        return system.variant(settings.sampler, settings.stance, settings.durations, settings.reading)
    if settings.sampler is not None or not settings.stance:
        raise InputError(f"system '{settings.system}' has no choice of sampler and no stance: leave sampler= and stance= out")
    return system


def _of_one(settings: Sample) -> list[Wanted]:
    """The motions of one condition, or of several in a row, in files with numbers if there are several motions."""
    from nerm.generator import Condition
    from nerm.making import Wanted
    from nerm.motion.files import check_writable

    out = check_writable(settings.out)
    conditions = tuple(map(Condition, settings.texts)) or (Condition(settings.text, settings.label),)
    seconds = settings.seconds * len(conditions) if len(settings.seconds) == 1 else settings.seconds
    if len(seconds) != len(conditions):
        count = f"{len(conditions)} sentences" if len(conditions) > 1 else "one motion"
        raise InputError(f"seconds= has {len(seconds)} numbers for {count}; give one, or one each")
    paths = [out] if settings.count == 1 else [out.with_stem(f"{out.stem}-{number}") for number in range(settings.count)]
    return [Wanted(path, conditions, tuple(seconds), settings.seed + number) for number, path in enumerate(paths)]


def _of_folder(asked: Sequence[Asked], settings: Sample) -> list[Wanted]:
    """The motions of many conditions, in a folder."""
    from nerm.generator import Condition
    from nerm.making import Wanted
    from nerm.motion.files import check_writable

    out, suffix = Path(settings.out), settings.format.lower().lstrip(".")
    if out.exists() and not out.is_dir():
        raise InputError(
            f"out={out} is a file; with texts= it is the folder for the motions: give another name, and format= for the suffix"
        )
    if len(settings.seconds) != 1:
        raise InputError("seconds= has several numbers; with a file of sentences give one, or a column 'seconds' in a CSV")
    out.mkdir(parents=True, exist_ok=True)
    check_writable(out / f"motion.{suffix}")
    wanted = []
    for place, each in enumerate(asked):
        condition, seconds = Condition(each.text, each.label), each.seconds or settings.seconds[0]
        first = settings.seed + place * settings.count if each.seed is None else each.seed
        for number in range(settings.count):
            name = each.name if settings.count == 1 else f"{each.name}-{number}"
            wanted.append(Wanted(out / f"{name}.{suffix}", (condition,), (seconds,), first + number))
    return wanted


if __name__ == "__main__":
    run(main)
