"""python -m evaluators.run: compute a table and write its report.

    python -m evaluators.run list                                              tables, systems, metrics, extractors, datasets, protocols
    python -m evaluators.run table=framerates dataset=multirate systems=[nerm,nerm-fixed] tier=quick
    python -m evaluators.run table=framerates dry_run=true                     what would be computed, and what is stored already
    python -m evaluators.run table=all dataset=multirate tier=full             every table of the dataset, a line of summary for each
    python -m evaluators.run reference dataset=multirate                       the kept parts of real motion, built from the dataset
    python -m evaluators.run page out=results                                  index.html, the page of all that is stored, once more

Figures are stored one by one: the same command resumes. SYSTEM.checkpoint=PATH computes other weights of a system as a row of their own.
Further trainings of a system lie beside its weights as SYSTEM.seed1.safetensors, SYSTEM.seed2.safetensors: the rows of that system are
computed for each, and the report prints their mean and their spread. systems=package.module:Class computes a generator class of the
user's, from the current folder or installed (docs/score-my-model.md). SYSTEM.codes=PATH gives the codes of its training
(field.safetensors of a run), to reconstruct the training items; SYSTEM.seed1.codes=PATH those of a further one. With several processes
(accelerate launch -m evaluators.run ...) each makes its part. Without the dataset, rows made of recordings are the shipped ones.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from nerm.cli import choose, data_home, parse, progress, run
from nerm.devices import DEVICES, device_of
from nerm.errors import InputError, MissingFile
from nerm.help import command

if TYPE_CHECKING:
    from evaluators.extractors import Extractor
    from evaluators.harness import Harness
    from evaluators.reference import Subject
    from evaluators.report import Report
    from evaluators.tables import Row, Table
    from nerm.data.dataset import Dataset
    from nerm.generator import Generator

InWords: TypeAlias = "Callable[[Report, Sequence[str], Sequence[Path]], str]"
"""(report, ids of the rows computed now, paths written) -> what is said of them."""
USAGE = (
    "usage: python -m evaluators.run table=framerates dataset=multirate systems=[nerm] tier=quick | list | page | reference dataset=NAME"
)
FILES = ("checkpoint", "codes")
_OF_SYSTEM = re.compile(rf"([\w.+-]+)\.({'|'.join(FILES)})=(.*)")


@dataclass
class RunConfig:
    """Keys of the command.

    table: a name, or all.
    dataset: what it is computed on; left out, the table's own.
    systems: rows to compute, as [nerm,mdm]; empty is all that can be computed here.
    tier: quick, full or paper: how many motions and replications.
    device: auto, cpu, cuda or mps.
    seed: of the samples and the replications.
    out: folder of the reports and of raw/.
    dry_run: only say what would be computed, and what is stored already.
    shipped: folder of models/, reference/ and stored rows; left out, it is out, then results/ of this project.
    cache: folder of what may be used again; left out, it is NERM_DATA/cache.
    ground_truth: check stops where real motion is not measured as it was published; skip does not, for data of one's own.
    """

    table: str = "framerates"
    dataset: str = ""
    systems: list[str] = field(default_factory=list)
    tier: str = "quick"
    device: str = "auto"
    seed: int = 0
    out: str = "results"
    dry_run: bool = False
    shipped: str = ""
    cache: str = ""
    ground_truth: str = "check"


@command(RunConfig)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    words = list(arguments)
    if words[:1] == ["list"]:
        from evaluators.listing import listing

        print(listing())
        return 0
    if words[:1] == ["page"]:
        return pages(parse(RunConfig, words[1:], USAGE))
    build = words[:1] == ["reference"]
    if words and "=" not in words[0] and not build:
        raise InputError(f"'{words[0]}' is neither list, page, reference nor key=value. {USAGE}")
    files, rest = split_files(words[build:])
    config = parse(RunConfig, rest, USAGE)
    if build:
        return build_and_save(config)
    from evaluators.every_table import ALL

    if config.table == ALL:
        return run_all(config, files)
    from evaluators.ground_truth import GroundTruthMissed
    from evaluators.report import summary

    try:
        said = run_table(config, files, summary)
    except GroundTruthMissed as missed:
        progress(f"stopped: {missed}")
        return 1
    if said:
        print(said)
    return 0


def run_all(config: RunConfig, files: dict[str, dict[str, str]]) -> int:
    """Every table of the dataset; 1 if one of them failed."""
    from baselines.base import SYSTEMS
    from evaluators.every_table import run_every, systems_of, tables_of
    from evaluators.report import summary_line
    from nerm.data.dataset import DATASETS

    dataset = choose("dataset", config.dataset or "multirate", DATASETS.names)
    tables = {table.name: table for table in tables_of(dataset)}

    def run_one(name: str) -> str:
        systems = systems_of(tables[name], config.systems, SYSTEMS.names)
        if config.systems and not systems:
            return f"{name}: it has no row {' or '.join(config.systems)}"
        return run_table(replace(config, table=name, dataset=dataset, systems=systems), files, summary_line)

    return run_every(list(tables), run_one)


def run_table(config: RunConfig, files: dict[str, dict[str, str]], in_words: InWords) -> str:
    """Compute a table and write its report; what `in_words` says of it, and '' in all processes but the first."""
    from evaluators.ground_truth import SKIP
    from evaluators.report.model import FALLBACK

    table, rows = check(config, files)
    harness = prepare(config, table, rows, files)
    if config.dry_run:
        from evaluators.listing import describe

        return describe(harness)
    index, count, wait = processes()
    computed = compute(harness, index, count, wait, guarded=config.ground_truth != SKIP)
    if not harness.rows and not any(
        harness.store.systems(config.dataset, table.name, tier) for tier in (config.tier, FALLBACK.get(config.tier, config.tier))
    ):
        return "" if index else f"{table.name} on {config.dataset}: no row can be computed here and none is stored, so there is no report"
    return "" if index else report(harness, computed, in_words)


def split_files(words: Sequence[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """SYSTEM.checkpoint=PATH and SYSTEM.codes=PATH, and the other words; `systems=nerm` is a list of one."""
    files: dict[str, dict[str, str]] = {kind: {} for kind in FILES}
    rest = []
    for word in words:
        match = _OF_SYSTEM.fullmatch(word)
        if match:
            files[match[2]][match[1]] = match[3]
        elif word.startswith("systems=") and not word.startswith("systems=["):
            rest.append(f"systems=[{word.removeprefix('systems=')}]")
        else:
            rest.append(word)
    return files, rest


def check(config: RunConfig, files: dict[str, dict[str, str]]) -> tuple[Table, list[Row]]:
    """The table and the rows asked for, or an error with suggestions, before anything is loaded. No rows: all that can be computed."""
    from baselines.base import SYSTEMS
    from evaluators.ground_truth import CHECKS
    from evaluators.protocols import PROTOCOLS
    from evaluators.tables import Row, list_tables, load_table, training_of
    from evaluators.user_class import is_class, row_of
    from nerm.data.dataset import DATASETS

    choose("table", config.table, list_tables())
    choose("ground_truth", config.ground_truth, CHECKS)
    device_of(config.device, (*DEVICES, "mps"))
    table = load_table(config.table)
    config.dataset = choose("dataset", config.dataset or table.datasets[0], DATASETS.names)
    table = table.on(config.dataset)
    for name in table.protocols:
        choose("tier", config.tier, PROTOCOLS.get(name).tiers)
    for kind in FILES:
        for name, path in files[kind].items():
            choose(f"{kind} of system", training_of(name)[0] if kind == "codes" else name, SYSTEMS.names)
            if not Path(path).is_file():
                raise InputError(f"{name}.{kind}={path}; that file does not exist")
    if config.seed < 0:
        raise InputError(f"seed={config.seed}; expected 0 or a positive number")
    listed = {row.id: row for row in table.rows}
    rows = []
    for name in dict.fromkeys(config.systems):
        if is_class(name):
            rows.append(row_of(name))
            continue
        choose("systems", name, [*listed, *(system for system in SYSTEMS.names if system not in listed)])
        row = listed.get(name) or Row(name, SYSTEMS.get(name).title, system=name)
        if not row.is_implemented:
            raise InputError(
                f"systems={name}; there is no system '{row.system}' here, so the table shows only what was published: leave it out"
            )
        rows.append(row)
    return table, rows


def prepare(config: RunConfig, table: Table, asked: list[Row], files: dict[str, dict[str, str]]) -> Harness:
    """Load subject, extractors and, as far as they are needed, systems and dataset. Without rows: what can be computed here."""
    from baselines.base import load_system
    from evaluators.cache import Cache
    from evaluators.harness import Harness
    from evaluators.skeletons import for_dataset, same_skeleton
    from evaluators.store import Store
    from evaluators.user_class import UserClass, is_class
    from nerm.checkpoint import MODELS, SUFFIX
    from nerm.data.dataset import load_dataset

    places = folders(config)

    @cache
    def dataset() -> Dataset:
        return same_dataset(load_dataset(config.dataset), subject)

    subject, references = open_reference(config.dataset, table.protocols, places)
    table = for_dataset(table, config.dataset, subject.base_fps)
    device = device_of(config.device, (*DEVICES, "mps"))

    classes = {generator.name: generator for generator in map(UserClass, filter(is_class, dict.fromkeys(config.systems)))}

    @cache
    def system(name: str, file: Path | None) -> Generator:
        return classes[name] if name in classes else load_system(name, file, device)

    def file_of(row: Row) -> Path | None:
        shipped = places[-1] / MODELS / f"{row.system}{SUFFIX}"
        return Path(given[row.id]) if given.get(row.id) else shipped if shipped.exists() else None

    extractors, absent = open_extractors(table, places, strict=bool(asked))
    rows: list[Row] = []
    skipped: dict[str, list[str]] = {}
    given: dict[str, str] = {}
    harness = Harness(
        table,
        config.tier,
        config.seed,
        subject,
        rows,
        extractors,
        references,
        lambda row: system(row.system, file_of(row)),
        dataset,
        Store(config.out, *places),
        Cache(Path(config.cache) if config.cache else data_home() / "cache"),
        {name: Path(path) for name, path in files["codes"].items()},
        device,
        file_of,
    )
    by_tier = [row for row in table.rows if config.tier != "quick" or not table.quick or row.id in table.quick]
    for row in asked or [row for row in by_tier if row.is_implemented]:
        weights = files["checkpoint"].get(row.system, "") or own_weights(row.system, places)
        row = with_weights(row, weights, places)
        others = {} if row.checkpoint else further_trainings(row.system, places)
        if row.checkpoint:
            given[row.id] = weights
        try:
            same_skeleton(row, config.dataset, harness.systems)
            for one in (row, *(row.with_training(number) for number in others)):
                given |= {one.id: str(others[one.training])} if one.training else {}
                harness.check(one)
                if absent and not any(unit.metric for _, units in harness.plan(one) for unit in units):
                    raise InputError(absent)
                rows.append(one)
        except InputError as error:
            if asked:
                raise
            skipped.setdefault(str(error), []).append(row.id)
    for reason, names in skipped.items():
        progress(f"{', '.join(names)}: not computed here ({reason})")
    return harness


def open_extractors(table: Table, places: Sequence[Path], strict: bool) -> tuple[dict[str, Extractor], str]:
    """Name -> extractor of a table, without those whose published file is not here, and what is said of these ('' if all are here).

    strict: such a one is an error.
    """
    from evaluators.extractors import load_extractor
    from nerm.checkpoint import MODELS

    opened: dict[str, Extractor] = {}
    absent = ""
    for name in table.extractors:
        try:
            opened[name] = load_extractor(name, [folder / MODELS for folder in places])
        except MissingFile as missing:
            if strict:
                raise
            absent = str(missing)
    return opened, absent


def with_weights(row: Row, checkpoint: str, places: Sequence[Path]) -> Row:
    """The row with other weights of its system: a row of its own, unless the weights are the shipped ones."""
    from nerm.checkpoint import MODELS, SUFFIX, sha256

    if not checkpoint:
        return row
    digest, shipped = sha256(checkpoint), places[-1] / MODELS / f"{row.system}{SUFFIX}"
    return row if shipped.exists() and sha256(shipped) == digest else row.with_checkpoint(digest, checkpoint)


def further_trainings(system: str, places: Sequence[Path]) -> dict[int, Path]:
    """Number -> weights of the further trainings of a system, SYSTEM.seedN, from the first folder of results that has each."""
    from evaluators.tables import training_of
    from nerm.checkpoint import MODELS, SUFFIX

    found: dict[int, Path] = {}
    for place in places:
        for path in (place / MODELS).glob(f"{system}.seed*{SUFFIX}"):
            name, number = training_of(path.name.removesuffix(SUFFIX))
            if name == system and number:
                found.setdefault(number, path)
    return dict(sorted(found.items()))


def own_weights(system: str, places: Sequence[Path]) -> str:
    """The weights of a system in the user's folder of results, where that is not the one that ships."""
    from nerm.checkpoint import MODELS, SUFFIX

    path = places[0] / MODELS / f"{system}{SUFFIX}"
    return str(path) if len(places) > 1 and path.exists() else ""


def open_reference(dataset: str, protocols: Sequence[str], places: Sequence[Path]) -> tuple[Subject, dict]:
    """The table's subject, and the reference of each protocol. A subject that does not ship comes from the prepared dataset."""
    from evaluators.protocols import PROTOCOLS
    from evaluators.reference import Reference, load_subject, subject_of
    from nerm.data.dataset import load_dataset

    shipped = load_subject(dataset, [folder / "reference" for folder in places])
    subject, folder = shipped if shipped else (subject_of(load_dataset(dataset)), None)
    return subject, {name: Reference(name, PROTOCOLS.get(name).kept_version, folder, subject.digest) for name in protocols}


def same_dataset(dataset: Dataset, subject: Subject) -> Dataset:
    """The dataset; an InputError if the reference was made from another one."""
    from evaluators.reference import how_to_build

    if dataset.digest != subject.digest:
        raise InputError(
            f"dataset '{dataset.name}' has digest {dataset.digest[:12]} and its reference was made from {subject.digest[:12]}; build the "
            f"reference again: {how_to_build(dataset.name)}"
        )
    return dataset


def compute(harness: Harness, index: int = 0, count: int = 1, wait: Callable[[], None] = lambda: None, guarded: bool = True) -> list[str]:
    """Compute and store what is missing; the ids of the rows that were computed. index, count: this process and how many there are.

    guarded: real motion comes first where it was published, and a GroundTruthMissed is raised where it is not as published.
    """
    from tqdm import tqdm

    guarded = guarded and bool(harness.table.ground_truth) and index == 0 and bool(harness.rows)
    first = check_ground_truth(harness) if guarded else []
    missing = [row for row in harness.rows if harness.missing(row)]
    for row in harness.rows:
        if row not in missing and row.id not in first and index == 0:
            progress(f"{row.id}: stored already, with the same models, reference and seed")
    if count > 1:
        for block in harness.blocks(missing)[index::count]:
            harness.generation.make(block)
        wait()
        for share in harness.shares(missing)[index::count]:
            harness.measure(*share)
        wait()
    if index == 0:
        with tqdm(total=len(missing) * len(harness.table.rates), unit="rate", file=sys.stderr, disable=None) as bar:
            for row in missing:
                bar.set_description(row.id)
                path = harness.run(row, lambda: bar.update() and None)
                bar.write(f"{row.id}: {path}", file=sys.stderr)
    return [*first, *(row.id for row in missing)]


def check_ground_truth(harness: Harness) -> list[str]:
    """Compute real motion if it is not stored, and raise a GroundTruthMissed where it is not as published; the ids of what was computed."""
    from evaluators.ground_truth import GroundTruthMissed, explanation, floor_row, misses
    from evaluators.store import figures

    row = floor_row(harness.table)
    harness.check(row)
    computed = [row.id] if harness.missing(row) else []
    if computed:
        progress(f"{row.id}: computed first, to be compared with what was published ({harness.run(row)})")
    document = harness.stored(row)
    missed = misses(harness.table, figures([document] if document else []))
    if missed:
        raise GroundTruthMissed(explanation(harness.table, harness.subject.dataset, missed))
    return computed


def report(harness: Harness, computed: Sequence[str], in_words: InWords) -> str:
    """Write Markdown, CSV and pictures from the store, and the page anew; what `in_words` says of them."""
    from evaluators.report import build, write
    from evaluators.report.page import write_page

    made = build(harness.store, harness.subject.dataset, harness.table, harness.tier)
    return in_words(made, computed, [*write(made, harness.store), write_page(harness.store, harness.tier, [made])])


def pages(config: RunConfig) -> int:
    """Render the pages of all that is stored."""
    from evaluators.report.page import write_pages
    from evaluators.store import Store

    for path in write_pages(Store(config.out, *folders(config))):
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def build_and_save(config: RunConfig) -> int:
    """Build the reference of real motion, for every protocol that keeps parts of it, with the shipped extractors."""
    from evaluators.building import build_reference
    from nerm.data.dataset import load_dataset

    if not config.dataset:
        raise InputError(f"give dataset=NAME, the one to build the reference of. {USAGE}")
    for path in build_reference(load_dataset(config.dataset), folders(config), Path(config.out) / "reference"):
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def folders(config: Any) -> list[Path]:
    """Where models, references and stored rows are looked for."""
    from nerm.checkpoint import RESULTS

    return [Path(config.shipped)] if config.shipped else list(dict.fromkeys([Path(config.out).resolve(), RESULTS]))


def processes() -> tuple[int, int, Callable[[], None]]:
    """(index of this process, number of processes, function that waits for all). A single process imports nothing for this."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1, lambda: None
    import torch
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    if state.num_processes != int(os.environ["WORLD_SIZE"]):
        raise InputError(
            f"{os.environ['WORLD_SIZE']} processes were started and know of {state.num_processes}; start them with accelerate launch"
        )
    return state.process_index, state.num_processes, state.wait_for_everyone


if __name__ == "__main__":
    run(main)
