"""python -m evaluators.score: any model's motion files against the reference of real motion, in the metrics of the frame-rate table.

    python -m evaluators.score conditions=conditions.csv dataset=multirate      what to generate: recording, caption, label, seconds, seed
    python -m evaluators.score motions=DIR dataset=multirate fps=120            score DIR/<recording>.npz (joints [T, 22, 3] metres, fps)
    python -m evaluators.score motions=DIR name=my-model out=results            and store it as a row of the report

Files that are named after recordings are scored as a system of the table is, captions included. With any other names the motions belong to
no recording: they are compared with real motion as a set, and what needs a caption is left out.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerm.cli import choose, parse, progress, run
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.protocols.clip import Measured, Plan, Record
    from evaluators.protocols.reference import Reference
    from nerm.motion import Motion

USAGE = "usage: python -m evaluators.score motions=DIR dataset=multirate protocol=clip fps=120"
SYSTEM = "scored"


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
    """Motions by number, and what was left out. paired: the numbers are rows of the reference."""

    motions: dict[int, Motion]
    fps: float
    paired: bool
    left_out: dict[str, int]


def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    config = parse(ScoreConfig, arguments, USAGE)
    choose("protocol", config.protocol, ["clip"])
    from evaluators.harness import TIERS
    from evaluators.protocols.reference import load_reference
    from evaluators.run import folders

    choose("tier", config.tier, [name for name, tier in TIERS.items() if not tier.anew])
    if bool(config.motions) == bool(config.conditions):
        raise InputError(f"give either motions=DIR or conditions=FILE.csv. {USAGE}")
    reference = load_reference(config.dataset, [folder / "reference" for folder in folders(config)])
    if config.conditions:
        return write_conditions(reference, Path(config.conditions), config.seed)
    loaded = load_folder(Path(config.motions), reference, config.fps)
    records = score_motions(loaded, reference, config)
    print(table(records, reference, loaded, config))
    if config.name:
        store(records, reference, config)
    return 0


def write_conditions(reference: Reference, path: Path, seed: int) -> int:
    """One line per recording; the fastest recordings count at every rate."""
    from evaluators.protocols.recordings import sample_seed
    from evaluators.store import write_atomic

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("recording", "caption", "label", "seconds", "seed", "recorded_fps"))
    for r in reference.recordings:
        writer.writerow((r.window, r.caption, r.label, f"{r.seconds:g}", sample_seed(seed, r, 0), f"{r.fps:g}"))
    write_atomic(path, out.getvalue().encode())
    print(f"{path}: {len(reference.recordings)} conditions; write joints [T, 22, 3] (metres, y up) and fps to DIR/<recording>.npz")
    return 0


def load_folder(folder: Path, reference: Reference, fps: float | None) -> Loaded:
    """The motions of a folder at one rate. Files that cannot be used are counted by reason, and named on stderr."""
    from evaluators.protocols.rows import at_rate
    from nerm.motion import SMPL22
    from nerm.motion.files import load_motion

    files = sorted(folder.glob("*.npz"))
    if not files:
        raise InputError(f"{folder} holds no .npz file; give the folder with the motions to score")
    known = {str(recording.window): row for row, recording in enumerate(reference.recordings)}
    paired = all(path.stem in known for path in files)
    left_out = {"unreadable": 0, "not on the 22 joints": 0, "resampled": 0}
    found: dict[int, Motion] = {}
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
        found[known[path.stem] if paired else number] = motion
    rates = sorted({motion.fps for motion in found.values()})
    if not found or (fps is None and len(rates) > 1):
        text = ", ".join(f"{rate:g}" for rate in rates)
        raise InputError(f"{folder}: {f'files at {text} fps; give fps=...' if found else 'no file that could be used'}")
    rate = reference.check_rate(float(rates[0] if fps is None else fps))
    for number, motion in found.items():
        if motion.fps != rate:
            left_out["resampled"] += 1
            found[number] = at_rate(motion, motion.seconds, rate, "slerp")
    if not paired:
        found = dict(enumerate(found.values()))
    return Loaded(dict(sorted(found.items())), rate, paired, left_out)


def score_motions(loaded: Loaded, reference: Reference, config: ScoreConfig) -> list[Record]:
    """The records of the motions and, as system `real`, of the floor."""
    import numpy as np

    from evaluators.extractors import load_extractor
    from evaluators.harness import FLOOR, TIERS
    from evaluators.protocols.clip import Draw, Measured, measure, score
    from evaluators.protocols.recordings import SETS
    from evaluators.run import folders

    extractors = {name: load_extractor(name, [folder / "models" for folder in folders(config)]) for name in reference.extractors}
    reference.check_extractors(extractors)
    plans = _plans(loaded, reference)
    if not any(len(plan.rows) for plan in plans.values()):
        raise InputError(f"no motion in {config.motions} holds a clip of 32 frames at {loaded.fps:g} fps, or none is in a set at that rate")
    arrays = measure(loaded.motions, plans, loaded.fps, extractors)
    row = Measured(loaded.fps, np.array(sorted(loaded.motions)), plans, [arrays], loaded.paired)
    draw = Draw(TIERS[config.tier].replications, config.seed)
    upsampling = "slerp" if loaded.left_out["resampled"] else ""
    found = [record | {"system": SYSTEM} for record in score(row, reference, SETS, list(extractors), draw, upsampling)]
    real: Measured = reference.measured(loaded.fps)
    return found + [record | {"system": FLOOR} for record in score(real, reference, SETS, list(extractors), draw)]


def _plans(loaded: Loaded, reference: Reference) -> dict[str, Plan]:
    from evaluators.protocols.clip import plan_clips
    from evaluators.protocols.recordings import SETS, members

    plans: dict[str, Plan] = {}
    known: dict[tuple, Plan] = {}
    for name in SETS:
        rows = set(members(reference.recordings, name, loaded.fps).tolist()) if loaded.paired else set(loaded.motions)
        counts = {row: len(motion) for row, motion in loaded.motions.items() if row in rows}
        plans[name] = known.setdefault(tuple(counts), plan_clips(counts, [round(1000 * loaded.fps), len(counts)]))
    return plans


def table(records: list[Record], reference: Reference, loaded: Loaded, config: ScoreConfig) -> str:
    """Markdown: a line per metric, with the floor beside it, and what was left out."""
    from tabulate import tabulate

    from evaluators.harness import FLOOR
    from evaluators.intervals import interval
    from evaluators.metrics import METRICS
    from evaluators.protocols.recordings import members

    grouped: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for record in records:
        key = (record["metric"], record.get("extractor", ""), record["set"])
        grouped.setdefault(key, {}).setdefault(record["system"], []).append(record["value"])
    rows = []
    for (name, extractor, set_), values in sorted(grouped.items(), key=lambda item: (list(METRICS).index(item[0][0]), item[0][1:])):
        if SYSTEM in values:
            entry = METRICS[name]
            cells = ["{:.{d}f} ± {:.{d}f}".format(*interval(values[s]), d=entry.digits) if s in values else "" for s in (SYSTEM, FLOOR)]
            rows.append([entry.title, entry.unit, extractor, set_, *cells])
    headings = ["metric", "unit", "extractor", "set", "motions", "real (floor)"]
    kind = "each against its recording's caption" if loaded.paired else "as a set, without captions"
    lines = [f"{len(loaded.motions)} motions of {config.motions} at {loaded.fps:g} fps, {kind}; {config.dataset}, tier {config.tier}.", ""]
    lines.append(tabulate(rows, headings, tablefmt="github", disable_numparse=True))
    short = sum(len(motion) < 32 for motion in loaded.motions.values())
    counts = {key: count for key, count in loaded.left_out.items() if key != "resampled"} | {"shorter than a clip of 32 frames": short}
    if loaded.paired:
        wanted = members(reference.recordings, "all", loaded.fps)
        counts["recordings without a file"] = len(set(wanted.tolist()) - set(loaded.motions))
    lines += ["", "Left out: " + ", ".join(f"{count} {reason}" for reason, count in counts.items()) + "."]
    if loaded.left_out["resampled"]:
        lines.append(f"{loaded.left_out['resampled']} files were brought to {loaded.fps:g} fps by slerp.")
    return "\n".join(lines)


def store(records: list[Record], reference: Reference, config: ScoreConfig) -> None:
    """Keep the scores as a row of table=framerates; its figures at other rates stay."""
    from evaluators.report import write_report
    from evaluators.store import Store, provenance
    from evaluators.tables import load_table

    layout, target = load_table("framerates"), Store(config.out)
    if config.name in layout.system_ids or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", config.name):
        raise InputError(f"name={config.name}; use letters, digits and . _ + - and not the id of a row of the table")
    mine: list[dict[str, Any]] = [record for record in records if record["system"] == SYSTEM]
    digests = {"corpus": reference.corpus, "reference": reference.digest}
    known = config.name in target.systems(config.dataset, layout.name, config.tier)
    if known:
        stored = target.read(config.dataset, layout.name, config.tier, config.name)
        if stored["provenance"].get("sha256", {}).get("reference") == reference.digest:
            mine += [record for record in stored["records"] if record["fps"] != mine[0]["fps"]]
    mine = [{key: value for key, value in record.items() if key != "system"} for record in mine if record["metric"] in layout.metrics]
    target.write(
        config.dataset, layout.name, config.tier, config.name, mine, provenance(seed=config.seed, sha256=digests, files=config.motions)
    )
    paths = write_report(target, config.dataset, layout, config.tier)
    progress("wrote " + ", ".join(map(str, paths)))


if __name__ == "__main__":
    run(main)
