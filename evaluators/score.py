"""python -m evaluators.score: any model's motion files against the reference of real motion, in the metrics of the frame-rate table.

    python -m evaluators.score conditions=conditions.csv dataset=multirate      what to generate: recording, caption, label, seconds, seed
    python -m evaluators.score motions=DIR dataset=multirate fps=120            score DIR/<recording>.npz (joints [T, 22, 3] metres, fps)
    python -m evaluators.score motions=DIR name=my-model out=results            and store it as a row of the report

Files that are named after recordings are scored like a system of the table, captions included. With any other name the motions belong to no
recording: they are compared with real motion as a set, and metrics that need a caption are left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerm.atomic import replacing
from nerm.cli import choose, data_home, parse, progress, run
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.harness import Harness
    from evaluators.protocols.clip.sets import Plan
    from evaluators.reference import Reference, Subject
    from evaluators.store import Record
    from nerm.motion import Motion

USAGE = "usage: python -m evaluators.score motions=DIR dataset=multirate protocol=clip fps=120"


@dataclass
class ScoreConfig:
    """motions: folder of npz files.  fps: rate to score at (files at another are resampled by slerp); empty is the files' own.

    conditions: write what to generate to this CSV instead.  name: store the scores as this row of table=framerates in `out`.
    """

    motions: str = ""
    conditions: str = ""
    dataset: str = "multirate"
    protocol: str = "clip"
    fps: float | None = None
    tier: str = "quick"
    seed: int = 0
    name: str = ""
    out: str = "results"
    shipped: str = ""


@dataclass
class Loaded:
    """Motions by number, and what was left out. paired: the numbers are places of items."""

    motions: dict[int, Motion]
    fps: float
    paired: bool
    left_out: dict[str, int]


def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    config = parse(ScoreConfig, arguments, USAGE)
    choose("protocol", config.protocol, ["clip"])
    from evaluators.protocols.clip.protocol import TIERS
    from evaluators.run import folders, open_reference

    choose("tier", config.tier, [name for name, tier in TIERS.items() if not tier.anew])
    if bool(config.motions) == bool(config.conditions):
        raise InputError(f"give either motions=DIR or conditions=FILE.csv. {USAGE}")
    subject, references = open_reference(config.dataset, [config.protocol], folders(config))
    if config.conditions:
        return write_conditions(subject, Path(config.conditions), config.seed)
    loaded = load_folder(Path(config.motions), subject, config.fps)
    harness = open_harness(config, subject, references, loaded.fps)
    check_rate(loaded.fps, references[config.protocol], harness)
    scored, floor = score_motions(loaded, harness, config)
    print(table(scored, floor, loaded, harness, config))
    if config.name:
        store(scored, harness, config)
    return 0


def write_conditions(subject: Subject, path: Path, seed: int) -> int:
    """One line per item; the fastest recordings count at every rate."""
    from evaluators.items import sample_seed

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("recording", "caption", "label", "seconds", "seed", "recorded_fps"))
    for item in subject.items:
        caption = item.captions[0] if item.captions else ""
        writer.writerow((item.id, caption, item.label, f"{item.seconds:g}", sample_seed(seed, item, 0), f"{item.fps:g}"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(out.getvalue())
    print(f"{path}: {len(subject.items)} conditions; write joints [T, 22, 3] (metres, y up) and fps to DIR/<recording>.npz")
    return 0


def load_folder(folder: Path, subject: Subject, fps: float | None) -> Loaded:
    """The motions of a folder at one rate. Files that cannot be used are counted by reason, and named on stderr."""
    from nerm.motion import SMPL22
    from nerm.motion.files import load_motion
    from nerm.motion.motion import check_fps
    from nerm.motion.resample import at_rate

    files = sorted(folder.glob("*.npz"))
    if not files:
        raise InputError(f"{folder} holds no .npz file; give the folder with the motions to score")
    place_of = {item.id: place for place, item in enumerate(subject.items)}
    paired = all(path.stem in place_of for path in files)
    left_out = {"unreadable": 0, "not on the 22 joints": 0, "resampled": 0}
    motions: dict[int, Motion] = {}
    for number, path in enumerate(files):
        try:
            motion = load_motion(path)
        except InputError as error:
            progress(f"left out: {error}")
            left_out["unreadable"] += 1
            continue
        if motion.skeleton.names != SMPL22.names:
            left_out["not on the 22 joints"] += 1
            continue
        motions[place_of[path.stem] if paired else number] = motion
    rates = sorted({motion.fps for motion in motions.values()})
    if not motions or (fps is None and len(rates) > 1):
        text = ", ".join(f"{rate:g}" for rate in rates)
        raise InputError(f"{folder}: {f'files at {text} fps; give fps=...' if motions else 'no file that could be used'}")
    rate = check_fps(rates[0] if fps is None else fps)
    for number, motion in motions.items():
        if motion.fps != rate:
            left_out["resampled"] += 1
            motions[number] = at_rate(motion, motion.seconds, rate, "slerp")
    if not paired:
        motions = dict(enumerate(motions.values()))
    return Loaded(dict(sorted(motions.items())), rate, paired, left_out)


def open_harness(config: ScoreConfig, subject: Subject, references: dict, fps: float) -> Harness:
    """What scoring needs of a run: extractors, and real motion at the rate. At a rate that does not ship this needs the dataset."""
    from evaluators.cache import Cache
    from evaluators.extractors import EXTRACTORS, load_extractor
    from evaluators.harness import FLOOR, Harness
    from evaluators.protocols.clip import ENTRIES
    from evaluators.protocols.clip.sets import SETS
    from evaluators.run import folders, same_dataset
    from evaluators.store import Store
    from evaluators.tables import Table
    from nerm.checkpoint import MODELS
    from nerm.data.dataset import load_dataset

    places = [folder / MODELS for folder in folders(config)]
    extractors = {e.name: load_extractor(e.name, places) for e in EXTRACTORS if any((place / e.file).exists() for place in places)}
    layout = Table(
        name="score",
        title="",
        about="",
        rates=(fps,),
        metrics=ENTRIES[0].metrics,
        rows=(FLOOR,),
        protocols=("clip",),
        sets=SETS,
        extractors=tuple(extractors),
    )
    return Harness(
        layout,
        config.tier,
        config.seed,
        subject,
        [FLOOR],
        extractors,
        references,
        lambda row: _no_system(row.id),
        lambda: same_dataset(load_dataset(config.dataset), subject),
        Store(config.out, *folders(config)),
        Cache(data_home() / "cache"),
    )


def check_rate(fps: float, reference: Reference, harness: Harness) -> None:
    """An InputError that says what to do, if real motion at a rate neither ships nor can be measured from the dataset."""
    shipped = reference.rates()
    if fps not in shipped:
        try:
            harness.dataset()
        except InputError as error:
            rates = ", ".join(f"{rate:g}" for rate in shipped)
            reason = f"real motion ships at {rates} fps and not at {fps:g}: give fps= one of these, to resample"
            raise InputError(f"{reason}; or: {error}") from None


def _no_system(name: str) -> Any:
    raise InputError(f"system '{name}' is not loaded: files are scored here")


def score_motions(loaded: Loaded, harness: Harness, config: ScoreConfig) -> tuple[list[Record], list[Record]]:
    """The records of the motions, and those of the floor."""
    import numpy as np

    from evaluators.harness import FLOOR
    from evaluators.protocols.clip import ENTRIES, MOTION_METRICS
    from evaluators.protocols.clip.comparison import Comparison, Draw, Side
    from evaluators.protocols.clip.measuring import band_counts, embed_clips, physical_values
    from evaluators.protocols.clip.protocol import TIERS, ClipProtocol
    from evaluators.protocols.clip.scoring import compare
    from evaluators.protocols.clip.sets import SETS

    protocol = harness.protocols[0]
    assert isinstance(protocol, ClipProtocol)
    fps, plans = loaded.fps, _plans(loaded, harness.subject)
    if not any(len(plan.places) for plan in plans.values()):
        raise InputError(f"no motion in {config.motions} holds a clip of 32 frames at {fps:g} fps, or none is in a set at that rate")
    listed = list(loaded.motions.values())
    kept = {part.name: part for part in protocol.reference_parts(harness.extractors, [fps]) if part.fps in (None, fps)}

    @cache
    def parts(name: str) -> list:
        kind, _, of = name.partition("/")
        if kind == "clips":
            return [embed_clips(loaded.motions, plans, fps, harness.extractors[of])]
        if kind == "motions":
            return [{"motions": harness.extractors[of].embed_motions(listed)}]
        if kind == "matched":
            return [{"matched": harness.extractors[of].match_motions(listed)}]
        if kind == "bands":
            return [band_counts(listed)]
        return [{"values": physical_values(listed, of)}] if kind == "values" else []

    metrics = [name for name in ENTRIES[0].metrics if fps == harness.base_fps or name not in MOTION_METRICS]
    comparison = Comparison(
        harness.items,
        Side(fps, protocol.places(fps), protocol.plans(fps), lambda name: [harness.real(protocol, kept[name])] if name in kept else []),
        Side(fps, np.array(sorted(loaded.motions)), plans, parts, loaded.paired),
        Draw(TIERS[config.tier].replications, config.seed, trials=TIERS[config.tier].trials),
        (protocol.name, protocol.version),
        "slerp" if loaded.left_out["resampled"] else "",
    )
    scored = compare(comparison, metrics, SETS, list(harness.extractors))
    units = [unit for unit in protocol.units(FLOOR) if unit.metric]
    return scored, list(protocol.score(FLOOR, units, lambda part: harness.real(protocol, part), lambda part: harness.real(protocol, part)))


def _plans(loaded: Loaded, subject: Subject) -> dict[str, Plan]:
    from evaluators.protocols.clip.sets import SETS, members, plan_clips

    plans: dict[str, Plan] = {}
    by_counts: dict[tuple, Plan] = {}
    for name in SETS:
        places = set(members(subject.items, name, loaded.fps).tolist()) if loaded.paired else set(loaded.motions)
        counts = {place: len(motion) for place, motion in loaded.motions.items() if place in places}
        plans[name] = by_counts.setdefault(tuple(counts), plan_clips(counts, [round(1000 * loaded.fps), len(counts)]))
    return plans


def table(scored: list[Record], floor: list[Record], loaded: Loaded, harness: Harness, config: ScoreConfig) -> str:
    """Markdown: a line per metric, with the floor in the last column, and what was left out."""
    from tabulate import tabulate

    from evaluators.intervals import interval
    from evaluators.metrics import METRICS, metric
    from evaluators.protocols.clip.sets import members

    grouped: dict[tuple[str, str, str], tuple[list[float], list[float]]] = {}
    for side, records in enumerate((scored, floor)):
        for record in records:
            grouped.setdefault((record.metric, record.extractor, record.set), ([], []))[side].append(record.value)
    order = METRICS.names
    lines_of = []
    for (name, extractor, set_), values in sorted(grouped.items(), key=lambda item: (order.index(item[0][0]), item[0][1:])):
        if values[0]:
            entry = metric(name)
            cells = ["{:.{d}f} ± {:.{d}f}".format(*interval(side, entry.resamples), d=entry.digits) if side else "" for side in values]
            lines_of.append([entry.title, entry.unit, extractor, set_, *cells])
    headings = ["metric", "unit", "extractor", "set", "motions", "real (floor)"]
    kind = "each against its recording's caption" if loaded.paired else "as a set, without captions"
    lines = [f"{len(loaded.motions)} motions of {config.motions} at {loaded.fps:g} fps, {kind}; {config.dataset}, tier {config.tier}.", ""]
    lines.append(tabulate(lines_of, headings, tablefmt="github", disable_numparse=True))
    short = sum(len(motion) < 32 for motion in loaded.motions.values())
    counts = {key: count for key, count in loaded.left_out.items() if key != "resampled"} | {"shorter than a clip of 32 frames": short}
    if loaded.paired:
        wanted = members(harness.items, "all", loaded.fps)
        counts["recordings without a file"] = len(set(wanted.tolist()) - set(loaded.motions))
    lines += ["", "Left out: " + ", ".join(f"{count} {reason}" for reason, count in counts.items()) + "."]
    if loaded.left_out["resampled"]:
        lines.append(f"{loaded.left_out['resampled']} files were brought to {loaded.fps:g} fps by slerp.")
    return "\n".join(lines)


def store(scored: list[Record], harness: Harness, config: ScoreConfig) -> None:
    """Keep the scores as a row of table=framerates; its figures at other rates stay if they were made with the same reference."""
    from evaluators.provenance import provenance
    from evaluators.report import write_report
    from evaluators.store import Document, Store
    from evaluators.tables import load_table

    layout, target = load_table("framerates"), Store(config.out)
    if config.name in [row.id for row in layout.rows] or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", config.name):
        raise InputError(f"name={config.name}; use letters, digits and . _ + - and not the id of a row of the table")
    records = [record for record in scored if record.metric in layout.metrics]
    digests = harness.digests()
    where = (config.dataset, layout.name, config.tier, config.name)
    if config.name in target.systems(*where[:3]):
        before = target.read(*where)
        if before.provenance.get("sha256", {}) == digests:
            records += [record for record in before.records if record.fps != records[0].fps]
    target.write(Document(*where, tuple(records), provenance(seed=config.seed, sha256=digests, files=config.motions), {}))
    paths = write_report(Store(config.out, *harness.store.roots), config.dataset, layout, config.tier)
    progress("wrote " + ", ".join(map(str, paths)))


if __name__ == "__main__":
    run(main)
