"""python -m evaluators.run: compute a table and write its report.

    python -m evaluators.run list                                              tables, systems, metrics, extractors
    python -m evaluators.run table=framerates dataset=multirate systems=[nerm,nerm-fixed] tier=quick
    python -m evaluators.run table=framerates dry_run=true                     what would be computed, and what is stored already
    python -m evaluators.run reference dataset=multirate                       build the reference of real motion from the corpus

Rows are stored one by one: the same command resumes. SYSTEM.checkpoint=PATH gives a system other weights, SYSTEM.codes=PATH the codes
of its training (field.safetensors of a run) for reconstruction of the training windows. With several processes (accelerate launch -m
evaluators.run ...) each measures its part. Without the corpus, rows made of recordings are taken from the stored full run.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerm.cli import choose, data_home, parse, progress, run
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.harness import Harness
    from evaluators.protocols.reference import Reference
    from evaluators.tables import Table
    from nerm.data.corpus import Corpus

USAGE = "usage: python -m evaluators.run table=framerates dataset=multirate systems=[nerm] tier=quick | list | reference dataset=multirate"
SHIPPED = Path(__file__).resolve().parents[1] / "results"
FILES = ("checkpoint", "codes")
_OF_SYSTEM = re.compile(rf"([\w.+-]+)\.({'|'.join(FILES)})=(.*)")


@dataclass
class RunConfig:
    """systems: rows to compute; empty is all that can be computed here.  out: folder of the reports and of raw/.

    shipped: folder of models/, reference/ and stored rows; empty is results/ of this project.  cache: empty is NERM_DATA/cache.
    """

    table: str = "framerates"
    dataset: str = "multirate"
    systems: list[str] = field(default_factory=list)
    tier: str = "quick"
    device: str = "auto"
    seed: int = 0
    out: str = "results"
    dry_run: bool = False
    shipped: str = ""
    cache: str = ""


def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    words = list(arguments)
    if words[:1] == ["list"]:
        print(listing())
        return 0
    build = words[:1] == ["reference"]
    if words and "=" not in words[0] and not build:
        raise InputError(f"'{words[0]}' is neither list, reference nor key=value. {USAGE}")
    files, rest = split_files(words[build:])
    config = parse(RunConfig, rest, USAGE)
    if build:
        return build_and_save(config)
    table, systems = check(config, files)
    harness = prepare(config, table, systems, files)
    if config.dry_run:
        print(describe(harness, list(harness.sources)))
        return 0
    index, count, wait = processes()
    compute(harness, list(harness.sources), index, count, wait)
    if index == 0:
        print(report(harness, config))
    return 0


def split_files(words: Sequence[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """SYSTEM.checkpoint=PATH and SYSTEM.codes=PATH, and the other words; `systems=nerm` is a list of one."""
    files: dict[str, dict[str, str]] = {kind: {} for kind in FILES}
    rest = []
    for word in words:
        found = _OF_SYSTEM.fullmatch(word)
        if found:
            files[found[2]][found[1]] = found[3]
        elif word.startswith("systems=") and not word.startswith("systems=["):
            rest.append(f"systems=[{word.removeprefix('systems=')}]")
        else:
            rest.append(word)
    return files, rest


def check(config: RunConfig, files: dict[str, dict[str, str]]) -> tuple[Table, list[str]]:
    """The table and the systems asked for, or an error with suggestions, before anything is loaded."""
    from baselines.base import GENERATORS
    from evaluators.harness import FLOOR
    from evaluators.protocols.rows import BROUGHT_UP, DAMAGES
    from evaluators.report import INTERVAL
    from evaluators.tables import list_tables, load_table

    choose("table", config.table, list_tables())
    choose("tier", config.tier, list(INTERVAL))
    choose("device", config.device.partition(":")[0], ["auto", "cpu", "cuda", "mps"])
    table = load_table(config.table)
    known = list(dict.fromkeys([*table.system_ids, *GENERATORS.names]))
    for name in config.systems:
        brought = BROUGHT_UP.fullmatch(name)
        if not brought or brought["system"] not in GENERATORS.names:
            choose("systems", name, known)
            if name not in GENERATORS.names and name not in DAMAGES and name != FLOOR:
                raise InputError(
                    f"systems={name}; the table lists it but no generator of that name exists yet; known are {', '.join(known)}"
                )
    for kind in FILES:
        for name, path in files[kind].items():
            choose(f"{kind} of system", name, GENERATORS.names)
            if not Path(path).is_file():
                raise InputError(f"{name}.{kind}={path}; that file does not exist")
    if config.seed < 0:
        raise InputError(f"seed={config.seed}; expected 0 or a positive number")
    return table, list(dict.fromkeys(config.systems))


def prepare(config: RunConfig, table: Table, systems: list[str], files: dict[str, dict[str, str]]) -> Harness:
    """Load reference, extractors and, as far as they are needed, generators and corpus. Without systems: what can be computed here."""
    from baselines.base import GENERATORS, load_generator
    from evaluators.extractors import load_extractor
    from evaluators.harness import FLOOR, Harness, source_of
    from evaluators.protocols.recordings import BASE_FPS
    from evaluators.protocols.reference import load_reference
    from evaluators.protocols.rows import BROUGHT_UP, DAMAGES, Sampled
    from evaluators.store import Cache, Store

    shipped = folders(config)
    reference = load_reference(config.dataset, [folder / "reference" for folder in shipped])
    for fps in (BASE_FPS, *table.rates):
        reference.check_rate(fps)
    extractors = {name: load_extractor(name, [folder / "models" for folder in shipped]) for name in table.extractors}
    reference.check_extractors(extractors)
    device = _device(config.device)

    @cache
    def generator(name: str) -> Sampled:
        weights = [folder / "models" / f"{name}.safetensors" for folder in shipped]
        found = next((str(path) for path in weights if path.exists()), "")
        return Sampled(load_generator(name, files["checkpoint"].get(name, found), device))

    @cache
    def corpus() -> Corpus:
        return _corpus_of(reference)

    sources = {}
    skipped: dict[str, list[str]] = {}
    for name in systems or (config.tier == "quick" and table.quick) or table.system_ids:
        brought = BROUGHT_UP.fullmatch(name)
        if not systems and name != FLOOR and name not in DAMAGES and (brought["system"] if brought else name) not in GENERATORS.names:
            continue
        try:
            sources[name] = source_of(name, generator, corpus)
        except InputError as error:
            if systems:
                raise
            skipped.setdefault(str(error), []).append(name)
    for reason, names in skipped.items():
        progress(f"{', '.join(names)}: not computed here ({reason})")
    harness = Harness(
        table,
        config.tier,
        config.seed,
        reference,
        extractors,
        sources,
        Store(config.out),
        Cache(Path(config.cache) if config.cache else data_home() / "cache"),
        device,
    )
    if "mre" in table.metrics:
        from evaluators.protocols.reconstruction import attach

        attach(harness, corpus, {name: Path(path) for name, path in files["codes"].items()})
    return harness


def compute(harness: Harness, systems: list[str], index: int = 0, count: int = 1, wait: Callable[[], None] = lambda: None) -> None:
    """Compute and store the systems that are not stored. index, count: this process and how many there are."""
    from tqdm import tqdm

    missing = [system for system in systems if not harness.stored(system)]
    for system in systems:
        if system not in missing and index == 0:
            progress(f"{system}: stored already, with the same model, reference and seed")
    if count > 1:  # each fills its part of the shared cache
        for system, fps in harness.jobs(missing)[index::count]:
            harness.measured(system, fps)
        wait()
    if index == 0:
        with tqdm(total=len(missing) * len(harness.table.rates), unit="rate", file=sys.stderr, disable=None) as bar:
            for system in missing:
                bar.set_description(system)
                path = harness.run(system, lambda fps: bar.update() and None)
                bar.write(f"{system}: {path}", file=sys.stderr)


def report(harness: Harness, config: RunConfig) -> str:
    """Write Markdown, CSV and pictures from the store; the Markdown."""
    from evaluators.report import write_report
    from evaluators.spectra import write_spectra

    take_over(harness, folders(config))
    paths = write_report(harness.store, harness.reference.dataset, harness.table, harness.tier)
    paths += write_spectra(harness.store, harness.reference.dataset, harness.table, harness.tier)
    progress("wrote " + ", ".join(map(str, paths)))
    return next(path for path in paths if path.suffix == ".md").read_text()


def take_over(harness: Harness, shipped: Sequence[Path]) -> None:
    """Copy what the report takes from a stored full run (and the published figures) into an `out` that does not have it."""
    from evaluators.report import FALLBACK
    from evaluators.store import Store

    dataset, table, store = harness.reference.dataset, harness.table.name, harness.store
    tier = FALLBACK.get(harness.tier, harness.tier)
    for folder in shipped:
        if folder.resolve() == store.root.resolve():
            continue
        if (folder / "published.csv").exists() and not (store.root / "published.csv").exists():
            store.root.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "published.csv", store.root / "published.csv")
        for system in Store(folder).systems(dataset, table, tier):
            target = store.path(dataset, table, tier, system)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                source = Store(folder).path(dataset, table, tier, system)
                for path, copy in ((source, target), (source.with_suffix(".spectrum.csv"), target.with_suffix(".spectrum.csv"))):
                    if path.exists():
                        shutil.copyfile(path, copy)
    for system in store.systems(dataset, table, tier):
        made_with = store.read(dataset, table, tier, system)["provenance"].get("sha256", {}).get("reference")
        if made_with != harness.reference.digest:
            progress(f"{system}: the stored row of tier {tier} was made with another reference and cannot be compared; compute it again")


def build_and_save(config: RunConfig) -> int:
    """Build the reference of a prepared corpus with the shipped extractors."""
    from tqdm import tqdm

    from evaluators.extractors import EXTRACTORS, load_extractor
    from evaluators.protocols.reference import build_reference, save_reference
    from nerm.data.corpus import load_corpus

    corpus = load_corpus(config.dataset)
    extractors = {name: load_extractor(name, [folder / "models" for folder in folders(config)]) for name in EXTRACTORS.names}
    path = save_reference(build_reference(corpus, extractors, progress=tqdm), Path(config.out) / "reference")
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def listing() -> str:
    """Tables, systems, metrics and extractors by name."""
    from baselines.base import GENERATORS
    from evaluators.extractors import EXTRACTORS
    from evaluators.metrics import METRICS
    from evaluators.tables import list_tables, load_table

    lines = ["tables"]
    tables = [load_table(name) for name in list_tables()]
    lines += [f"  {table.name:<22}{table.title}" for table in tables]
    lines.append("systems")
    titles = {system.id: f"{system.title} ({system.role})" for table in tables for system in table.systems}
    lines += [f"  {name:<22}{titles.get(name, 'for tests')}" for name in dict.fromkeys([*titles, *GENERATORS.names])]
    lines.append("metrics")
    lines += [f"  {entry.name:<22}{entry.title}{f' [{entry.unit}]' if entry.unit else ''}" for entry in METRICS.values()]
    lines.append("extractors")
    lines += [f"  {name}" for name in EXTRACTORS.names]
    return "\n".join(lines)


def describe(harness: Harness, systems: Sequence[str]) -> str:
    """What a run would compute."""
    tier = harness.settings
    lines = [f"table={harness.table.name} dataset={harness.reference.dataset} tier={harness.tier} seed={harness.seed}: {tier}"]
    lines += [
        f"  {name:<14}{c['recordings']:>5} recordings, {c['left_out']} shorter than a clip; {c['clips']} clips"
        for name, c in harness.counts().items()
    ]
    for system in systems:
        source = harness.sources[system]
        rows = [len(harness.reference.rows(fps)) for fps in harness.table.rates]
        seeds = harness.seeds(system)
        work = "from the reference" if source is None else f"{sum(rows) * seeds} motions ({' + '.join(map(str, rows))}, x {seeds})"
        lines.append(f"  {system:<22}{'stored already' if harness.stored(system) else work}")
    return "\n".join(lines)


def folders(config: Any) -> list[Path]:
    """Where models and references are looked for."""
    return [Path(config.shipped)] if config.shipped else list(dict.fromkeys([Path(config.out), SHIPPED]))


def processes() -> tuple[int, int, Callable[[], None]]:
    """(index, count, wait for all) of this process; one process alone imports nothing for it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return 0, 1, lambda: None
    from accelerate import PartialState

    state = PartialState()
    return state.process_index, state.num_processes, state.wait_for_everyone


def _corpus_of(reference: Reference) -> Corpus:
    from nerm.data.corpus import load_corpus

    corpus = load_corpus(reference.dataset)
    if corpus.digest != reference.corpus:
        raise InputError(
            f"corpus '{reference.dataset}' has digest {corpus.digest[:12]} and the reference was made from {reference.corpus[:12]}; "
            f"build it again: python -m evaluators.run reference dataset={reference.dataset}"
        )
    return corpus


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"device={name}; this machine has no such device that torch can use: use device=cpu")
    return name


if __name__ == "__main__":
    run(main)
