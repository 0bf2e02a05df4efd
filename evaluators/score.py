"""nerm score, or python -m evaluators.score: any model's motion files against real motion, in the metrics of a table.

    nerm score write_conditions=conditions.csv                what to generate: recording, caption, label, seconds, seed
    nerm score motions=DIR                                    score DIR/<recording>.npz (or .npy, .bvh)
    nerm score motions=DIR conditions=mine.csv protocol=text  files of any name, with what each was asked for
    nerm score motions=DIR name=my-model out=results          and store it as a row of the report

Files that are named after recordings, or whose conditions say so, are scored like a system of the table, each with the others of its
trial. Others are compared with real motion as a set. Metrics that need captions, labels or more motions than there are, are left out, and
the output says what they need. docs/score-my-model.md tells more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerm.cli import choose, data_home, parse, progress, run
from nerm.errors import InputError
from nerm.help import command

if TYPE_CHECKING:
    from evaluators.given import Given, ScoresFiles
    from evaluators.given.folder import Folder
    from evaluators.harness import Harness
    from evaluators.records import Record
    from evaluators.tables import Table

USAGE = "usage: python -m evaluators.score motions=DIR dataset=multirate protocol=clip fps=120"
PROTOCOL = {"clip": "framerates", "text": "text", "action": "action", "unconditional": "unconditional"}
"""protocol= -> the table whose protocol, extractors and sets score the files, and in which a row is stored."""
TIERS = ("quick", "full")


@dataclass
class ScoreConfig:
    """Keys of the command. Give either motions or write_conditions.

    motions: folder of files: joints [T, 22, 3] in metres (.npz, .npy), 263 features a frame (.npy), .bvh, poses of AMASS (.npz), or .amc.
    conditions: a CSV that says what each file was made for.
    write_conditions: write what to generate to this CSV instead.
    dataset: whose real motion the files are compared with.
    protocol: clip, text, action or unconditional.
    fps: rate to score at (files at another are resampled by slerp); left out, it is the table's only rate, or the files' own.
    in_fps: rate of .npy and .amc files, which carry none; in a folder without them it corrects a rate that the files name wrongly.
    metres_per_unit: unit of the files; left out, joints are in metres, and that of a .bvh is guessed.
    up: the axis that is up in the files, for example z; left out, it is y for joints, found for a .bvh, and z for files of AMASS.
    body: the body model (.npz of SMPL, SMPL-H or SMPL-X) of files of AMASS; body=mean is a mean adult.
    joints: a JSON file that names the 22 joints of .bvh files of an unknown skeleton.
    index: which motion of each file, from 0, where they hold several.
    asf: the skeleton of .amc files.
    tier: quick or full: how many replications.
    seed: of the replications.
    name: store the scores as this row of the protocol's table in `out`.
    out: folder of the report.
    shipped: folder of models/ and reference/; left out, it is out, then results/ of this project.
    """

    motions: str = ""
    conditions: str = ""
    write_conditions: str = ""
    dataset: str = "multirate"
    protocol: str = "clip"
    fps: float | None = None
    in_fps: float | None = None
    metres_per_unit: float | None = None
    up: str | None = None
    body: str | None = None
    joints: str | None = None
    index: int | None = None
    asf: str | None = None
    tier: str = "quick"
    seed: int = 0
    name: str = ""
    out: str = "results"
    shipped: str = ""


@command(ScoreConfig)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    config = parse(ScoreConfig, arguments, USAGE)
    table = check(config)
    if config.write_conditions:
        return write(config, table)
    from evaluators.given.conditions import rates_of, read_conditions
    from evaluators.given.folder import rate_of, read_folder
    from evaluators.given.keeping import keep
    from evaluators.given.printing import printed
    from nerm.motion.files import Reading
    from nerm.motion.matching import read_joint_map

    rows = read_conditions(Path(config.conditions)) if config.conditions else None
    names = read_joint_map(config.joints) if config.joints else None
    how = Reading(metres_per_unit=config.metres_per_unit, up=config.up, index=config.index, body=config.body, asf=config.asf, joints=names)
    folder = read_folder(Path(config.motions), config.in_fps, rates_of(rows or []), how)
    fps = config.fps or (table.rates[0] if len(table.rates) == 1 else None)
    harness = open_harness(config, table, rate_of(folder, fps))
    check_rate(harness)
    given, notes = prepare(harness, folder, rows, config)
    scored = scorer(harness).score_given(given)
    for reason, unused in (scored.left_out or {}).items():
        folder.leave_out(reason, unused)
    kind = "each against its recording's caption" if given.paired else f"as a set, {captions(given)}"
    count = f"{len(given.motions)} motion{'s' * (len(given.motions) != 1)}"
    head = f"{count} of {config.motions} at {given.fps:g} fps, {kind}; {config.dataset}, protocol {config.protocol}, tier {config.tier}."
    print(printed(scored, floor(harness), head, folder.left_out, notes))
    if config.name:
        about = {"seed": config.seed, "files": config.motions}
        paths = keep(scored.records, config.name, table, (config.dataset, config.tier), harness.digests(), harness.store, about)
        progress("wrote " + ", ".join(map(str, paths)))
    return 0


def check(config: ScoreConfig) -> Table:
    """The protocol's table, or an error before anything is loaded."""
    from evaluators.given.keeping import check_name
    from evaluators.tables import list_tables, load_table
    from nerm.data.dataset import DATASETS

    choose("protocol", config.protocol, [name for name, table in PROTOCOL.items() if table in list_tables()])
    choose("tier", config.tier, TIERS)
    choose("dataset", config.dataset, DATASETS.names)
    if bool(config.motions) == bool(config.write_conditions):
        raise InputError(f"give either motions=DIR or write_conditions=FILE.csv. {USAGE}")
    table = load_table(PROTOCOL[config.protocol]).on(config.dataset)
    if config.name:
        check_name(config.name, table)
    return table


def open_harness(config: ScoreConfig, table: Table, fps: float) -> Harness:
    """What scoring needs of a run: the protocol, its extractors, and real motion at the rate."""
    from evaluators.cache import Cache
    from evaluators.extractors import load_extractor
    from evaluators.given import ScoresFiles
    from evaluators.harness import FLOOR, Harness
    from evaluators.metrics import METRICS
    from evaluators.opening import folders, open_reference, same_dataset
    from evaluators.protocols import PROTOCOLS
    from evaluators.protocols.clip.measuring import of_plugin
    from evaluators.store import Store
    from nerm.checkpoint import MODELS
    from nerm.data.dataset import load_dataset
    from nerm.registry import load_object

    names = [name for name in table.protocols if issubclass(load_object(PROTOCOLS.get(name).opens), ScoresFiles)]
    if not names:
        raise InputError(
            f"protocol={config.protocol} scores no files; its table is computed by python -m evaluators.run table={table.name}"
        )
    places = folders(config.out, config.shipped)
    extractors = {}
    for name in table.extractors:
        try:
            extractors[name] = load_extractor(name, [place / MODELS for place in places])
        except InputError as error:
            progress(f"without extractor {name}: {error}")
    metrics = PROTOCOLS.get(config.protocol).metrics if config.protocol in table.protocols else table.metrics
    metrics = (*metrics, *(entry.name for entry in METRICS if entry.name not in metrics and of_plugin(entry.name)))
    subject, references = open_reference(config.dataset, names[:1], places)
    return Harness(
        replace(table, name="score", rates=(fps,), metrics=metrics, rows=(FLOOR,), protocols=(names[0],), extractors=tuple(extractors)),
        config.tier,
        config.seed,
        subject,
        [FLOOR],
        extractors,
        references,
        lambda row: _no_system(row.id),
        lambda: same_dataset(load_dataset(config.dataset), subject),
        Store(config.out, *places),
        Cache(data_home() / "cache"),
    )


def scorer(harness: Harness) -> ScoresFiles:
    """The protocol of the run, as what scores files."""
    from evaluators.given import ScoresFiles

    protocol = harness.protocols[0]
    assert isinstance(protocol, ScoresFiles)
    return protocol


def check_rate(harness: Harness) -> None:
    """An InputError that says what to do, if real motion at the rate neither ships nor can be measured from the dataset."""
    fps, protocol = harness.table.rates[0], harness.protocols[0].name
    shipped = harness.references[protocol].rates(harness.extractors)
    if fps in shipped:
        return
    try:
        harness.dataset()
    except InputError as error:
        if not shipped:
            raise InputError(f"no real motion ships for protocol {protocol}, and {error}") from None
        listed = ", ".join(f"{rate:g}" for rate in shipped)
        nearest = sorted(sorted(shipped, key=lambda rate: max(rate / fps, fps / rate))[:2])
        helps = " or ".join(f"fps={rate:g}" for rate in nearest)
        text = f"real motion ships at {listed} fps and not at {fps:g}, where it could be measured if the data were there ({error})"
        raise InputError(f"{text}; {helps} resamples the files") from None
    progress(f"real motion does not ship at {fps:g} fps: it is measured from the prepared dataset, once")


def prepare(harness: Harness, folder: Folder, rows: Sequence[Any] | None, config: ScoreConfig) -> tuple[Given, list[str]]:
    """The motions at the rate with what they were made for, and sentences about them. What is left out is counted in the folder."""
    from evaluators.given import Given
    from evaluators.given.folder import METHOD, at_one_rate
    from evaluators.given.matching import match

    protocol, fps = scorer(harness), harness.table.rates[0]
    matched = match(folder, rows, harness.items, protocol.known_labels(), Path(config.conditions))
    motions, notes = matched.motions, list(matched.notes)
    if matched.own is None:
        counted = {request.item for request in protocol.asks_for(fps)}
        slow = [place for place in motions if place not in counted]
        folder.leave_out(f"of recordings that do not count at {fps:g} fps", len(slow))
        folder.leave_out("recordings without a file", len(counted - set(motions)))
        motions = {place: motion for place, motion in motions.items() if place in counted}
        if not motions:
            raise InputError(f"{config.motions}: every file is of a recording that does not count at {fps:g} fps; give a lower fps=")
    motions, resampled = at_one_rate(motions, fps)
    folder.leave_out("shorter than a clip of 32 frames", sum(len(motion) < 32 for motion in motions.values()))
    if resampled:
        notes.append(f"{resampled} files were brought to {fps:g} fps by {METHOD}.")
    return Given(fps, motions, matched.own, METHOD if resampled else ""), notes


def captions(given: Given) -> str:
    """How many of several motions of the user's own have captions."""
    count = sum(bool(item.captions) for item in given.own or ())
    return f"{count} with captions" if count else "without captions"


def floor(harness: Harness) -> list[Record]:
    """The records of real motion against real motion. Those of a plugin's metric do not ship: without the dataset there are none."""
    from evaluators.harness import FLOOR
    from evaluators.protocols.clip.measuring import of_plugin

    protocol = harness.protocols[0]
    units = [unit for unit in protocol.units(FLOOR) if unit.metric]
    own = [unit for unit in units if of_plugin(unit.metric)]
    try:
        if own:
            harness.dataset()
    except InputError as error:
        units = [unit for unit in units if unit not in own]
        progress(f"without real motion's {', '.join(unit.metric for unit in own)}, which does not ship: {error}")
    real = lambda part: harness.real(protocol, part)  # noqa: E731
    return list(protocol.score(FLOOR, units, real, real))


def write(config: ScoreConfig, table: Table) -> int:
    """Write what a system is asked for."""
    from evaluators.given.conditions import write_conditions

    harness = open_harness(config, replace(table, extractors=()), config.fps or table.rates[0])
    requests = scorer(harness).asks_for(config.fps)
    count = write_conditions(Path(config.write_conditions), harness.items, requests)
    print(f"{config.write_conditions}: {count} conditions; write joints [T, 22, 3] (metres, y up) and fps to DIR/<file>.npz")
    return 0


def _no_system(name: str) -> Any:
    raise InputError(f"system '{name}' is not loaded: files are scored here")


if __name__ == "__main__":
    run(main)
