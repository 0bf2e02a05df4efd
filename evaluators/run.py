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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from evaluators.asked import RunConfig, check, split_files
from nerm.cli import choose, parse, progress, run
from nerm.errors import InputError
from nerm.help import command

if TYPE_CHECKING:
    from evaluators.harness import Harness
    from evaluators.report import Report

InWords: TypeAlias = "Callable[[Report, Sequence[str], Sequence[Path]], str]"
"""(report, ids of the rows computed now, paths written) -> what is said of them."""
USAGE = (
    "usage: python -m evaluators.run table=framerates dataset=multirate systems=[nerm] tier=quick | list | page | reference dataset=NAME"
)


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


def run_all(config: RunConfig, files: Mapping[str, Mapping[str, str]]) -> int:
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


def run_table(config: RunConfig, files: Mapping[str, Mapping[str, str]], in_words: InWords) -> str:
    """Compute a table and write its report; what `in_words` says of it, and '' in all processes but the first."""
    asked = check(config, files)
    from evaluators.computing import compute, processes  # heavy, and not needed to answer a typo
    from evaluators.ground_truth import SKIP
    from evaluators.preparing import prepare
    from evaluators.report.model import FALLBACK

    harness = prepare(asked)
    if config.dry_run:
        from evaluators.listing import describe

        return describe(harness)
    index, count, wait = processes()
    computed = compute(harness, index, count, wait, guarded=config.ground_truth != SKIP)
    if index:
        return ""
    table, tiers = asked.table.name, (asked.tier, FALLBACK.get(asked.tier, asked.tier))
    if not harness.rows and not any(harness.store.systems(asked.dataset, table, tier) for tier in tiers):
        return f"{table} on {asked.dataset}: no row can be computed here and none is stored, so there is no report"
    return report(harness, computed, in_words)


def report(harness: Harness, computed: Sequence[str], in_words: InWords) -> str:
    """Write Markdown, CSV and pictures from the store, and the page anew; what `in_words` says of them."""
    from evaluators.report import build, write
    from evaluators.report.page import write_page

    made = build(harness.store, harness.subject.dataset, harness.table, harness.tier)
    return in_words(made, computed, [*write(made, harness.store), write_page(harness.store, harness.tier, [made])])


def pages(config: RunConfig) -> int:
    """Render the pages of all that is stored."""
    from evaluators.opening import folders
    from evaluators.report.page import write_pages
    from evaluators.store import Store

    for path in write_pages(Store(config.out, *folders(config.out, config.shipped))):
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def build_and_save(config: RunConfig) -> int:
    """Build the reference of real motion, for every protocol that keeps parts of it, with the shipped extractors."""
    from evaluators.building import build_reference
    from evaluators.opening import folders
    from nerm.data.dataset import load_dataset

    if not config.dataset:
        raise InputError(f"give dataset=NAME, the one to build the reference of. {USAGE}")
    for path in build_reference(load_dataset(config.dataset), folders(config.out, config.shipped), Path(config.out) / "reference"):
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    run(main)
