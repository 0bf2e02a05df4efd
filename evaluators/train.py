"""python -m evaluators.train: train an extractor, or everything that ships.

    python -m evaluators.train extractor=clip minutes=12          train, run the controls, write the weights if they hold
    python -m evaluators.train recipe=shipped minutes=224         extractors, systems, reference and reports, in one command

An extractor that fails a control is not written: its weights stay in its run folder, with the table that says why, and the exit code is 1.
The recipe shares its minutes equally between everything that is trained; a step whose output is there already is not done again, and
training goes on where it was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from nerm.atomic import replacing
from nerm.cli import choose, parse, progress, run
from nerm.errors import InputError

if TYPE_CHECKING:
    from evaluators.extractors.acceptance import Acceptance
    from nerm.data.corpus import Corpus

USAGE = "usage: python -m evaluators.train extractor=clip|guo minutes=12 | recipe=shipped minutes=224"
NAMES = {"clip": "multirate", "guo": "guo"}
"""Extractor in the command -> its name in tables."""
DECISIVE_FPS = {"multirate": (20.0, 60.0, 120.0), "guo": (20.0,)}
"""Rates at which the controls must hold: guo is an extractor for 20 fps, other rates are shown for information."""


@dataclass
class Train:
    """out: an extractor's file, default results/models/NAME.safetensors; a recipe's folder, default runs/shipped.

    runs: where training keeps what it needs to go on.  tier: of the recipe's report.
    """

    extractor: str = ""
    recipe: str = ""
    dataset: str = "multirate"
    minutes: float | None = None
    steps: int | None = None
    out: str = ""
    runs: str = "runs"
    tier: str = "full"
    seed: int = 0
    device: str = "auto"
    threads: int = 0


def main(arguments: Sequence[str]) -> int:
    settings = parse(Train, arguments, USAGE)
    if bool(settings.extractor) == bool(settings.recipe):
        raise InputError(f"give either extractor= or recipe=. {USAGE}")
    if (settings.minutes is None) == (settings.steps is None) or (settings.minutes or settings.steps or 0) <= 0:
        raise InputError(f"give a positive number of minutes= or steps=. {USAGE}")
    if settings.recipe:
        choose("recipe", settings.recipe, ["shipped"])
    else:
        choose("extractor", settings.extractor, list(NAMES))
    import torch

    from nerm.data.corpus import load_corpus

    if settings.threads:
        torch.set_num_threads(settings.threads)
    corpus = load_corpus(settings.dataset)
    if settings.recipe:
        return follow(shipped_recipe(settings, corpus), Path(settings.out or "runs/shipped"))
    from evaluators.extractors.frozen import shipped_path

    out = Path(settings.out) if settings.out else shipped_path(NAMES[settings.extractor])
    return train_extractor(settings.extractor, corpus, settings, out, Path(settings.runs) / settings.extractor)


# --- one extractor --------------------------------------------------------------------------------------------------------------------


def train_extractor(extractor: str, corpus: Corpus, settings: Train, out: Path, folder: Path, share: float = 1.0) -> int:
    """Train in `folder` for a share of the budget, run the controls, and write to `out` if they hold. Returns the exit code."""
    from evaluators.extractors import EXTRACTORS
    from evaluators.extractors.acceptance import accept
    from evaluators.extractors.frozen import check_free

    name = NAMES[extractor]
    kind = EXTRACTORS.load(name)
    check_free(name, kind.version, out)
    minutes = settings.minutes * share if settings.minutes else None
    steps = max(int(settings.steps * share), 1) if settings.steps else None
    trained = _fit(extractor, corpus, minutes, steps, folder, settings)
    progress(f"{extractor}: {trained}; now the controls")
    outcome = accept(kind.load(trained), corpus, settings.seed, decisive=DECISIVE_FPS[name])
    print(outcome.markdown())
    return deliver(
        name, kind.version, trained, out, outcome, {"corpus": corpus.digest, "minutes": minutes, "steps": steps, "seed": settings.seed}
    )


def _fit(extractor: str, corpus: Corpus, minutes: float | None, steps: int | None, folder: Path, settings: Train) -> Path:
    """The trained weights, in the run's folder."""
    path = folder / f"{extractor}.safetensors"
    if extractor == "guo":
        from evaluators.extractors.guo_training import train_guo

        return train_guo(corpus, minutes, folder, settings.seed, path, device=settings.device, steps=steps)
    from evaluators.extractors.clip_training import train_clip
    from nerm.training import Budget

    train_clip(corpus, Budget(minutes=minutes, steps=steps, seed=settings.seed, device=settings.device), folder, path)
    return path


def deliver(name: str, version: int, trained: Path, out: Path, outcome: Acceptance, facts: dict) -> int:
    """Put accepted weights in their place, with the controls' table beside them, and freeze shipped ones; leave others where they are."""
    from evaluators.extractors.frozen import freeze, shipped_path

    digest = hashlib.sha256(trained.read_bytes()).hexdigest()
    about = {"extractor": name, "version": version, "sha256": digest, "accepted": outcome.passed, **facts}
    _write(trained.with_suffix(".md"), _page(about, outcome))
    if not outcome.passed:
        failed = outcome.checks[~outcome.checks["passed"] & outcome.checks["decisive"]]
        reasons = "; ".join(f"{row.demand} at {row.fps:g} fps: {row.detail}" for row in failed.itertuples())
        progress(f"{name}: not accepted ({reasons}); the weights stay at {trained}")
        return 1
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        shutil.copyfile(trained, temporary)
    _write(out.with_suffix(".md"), _page(about, outcome))
    if out.resolve() == shipped_path(name).resolve():
        freeze(name, version, digest)
    progress(f"{name}: accepted; {out} has sha256 {digest}")
    return 0


def _page(about: dict, outcome: Acceptance) -> str:
    facts = "\n".join(f"- {key}: {value}" for key, value in about.items() if value is not None)
    decisive = ", ".join(f"{fps:g}" for fps in dict.fromkeys(outcome.checks["fps"][outcome.checks["decisive"]]))
    return (
        f"# Extractor `{about['extractor']}`\n\n{facts}\n\nControls on real test recordings of 120 fps and more. Reference and damaged "
        "clips are two draws from the same recordings, and every amount of damage is done to the same clips. Acceptance rests on "
        f"{decisive} fps.\n\n{outcome.markdown()}"
    )


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


# --- everything that ships ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """One step of a recipe. do: makes `output` and returns an exit code.  key: of everything the output depends on."""

    name: str
    output: Path
    do: Callable[[], int]
    key: str


SYSTEMS: dict[str, list[str]] = {
    "nerm": ["nerm.train"],
    "nerm-fixed": ["nerm.train", "stage1.training_rate=fixed"],
    "t2m": ["baselines.train", "system=t2m"],
    "mdm": ["baselines.train", "system=mdm"],
    "mld": ["baselines.train", "system=mld"],
}
"""What ships: NeRM, the same trained at 20 fps, and the systems it is compared with -> the command that trains it, and its settings."""


def shipped_recipe(settings: Train, corpus: Corpus) -> list[Step]:
    """Extractors, systems, reference, report. Everything that is trained has an equal share of the budget."""
    from evaluators import run as tables

    share = 1 / (len(NAMES) + len(SYSTEMS))
    out = Path(settings.out or "runs/shipped")
    models = out / "models"
    budget = f"{settings.minutes:g} minutes" if settings.minutes else f"{settings.steps} steps"
    key = hashlib.sha256(json.dumps([corpus.digest, budget, settings.seed, settings.recipe]).encode()).hexdigest()
    runs = Path(settings.runs) / f"shipped-{key[:8]}"
    part = f"minutes={settings.minutes * share}" if settings.minutes else f"steps={max(int((settings.steps or 0) * share), 1)}"
    common = [f"dataset={settings.dataset}", f"seed={settings.seed}", f"device={settings.device}", f"threads={settings.threads}", part]

    def extractor(name: str) -> Step:
        path = models / f"{name}.safetensors"
        return Step(name, path, lambda: train_extractor(name, corpus, settings, path, runs / name, share), key)

    def system(name: str) -> Step:
        command, *words = SYSTEMS[name]
        path = models / f"{name}.safetensors"

        def train() -> int:
            code = import_module(command).main([*words, *common, f"out={runs / name}"])
            if code:
                return code
            models.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary:
                shutil.copyfile(runs / name / ("nerm.safetensors" if command == "nerm.train" else path.name), temporary)
            return 0

        return Step(name, path, train, key)

    here = [f"dataset={settings.dataset}", f"out={out}", f"shipped={out}"]
    files = [f"{name}.checkpoint={models / f'{name}.safetensors'}" for name in SYSTEMS]
    codes = [f"{name}.codes={runs / name / 'field.safetensors'}" for name, command in SYSTEMS.items() if command[0] == "nerm.train"]
    more = [*here, *files, f"tier={settings.tier}", f"seed={settings.seed}", f"device={settings.device}"]

    def report(table: str, words: Sequence[str] = ()) -> Step:
        path = out / settings.dataset / f"{table}.{settings.tier}.md"
        return Step(f"report {table}", path, lambda: tables.main([f"table={table}", *more, *words]), key)

    return [
        *(extractor(name) for name in NAMES),
        *(system(name) for name in SYSTEMS),
        Step("reference", out / "reference", lambda: tables.main(["reference", *here]), key),
        report("framerates", codes),
        report("text"),
    ]


def follow(steps: Sequence[Step], out: Path) -> int:
    """Do the steps in order, except those whose output is there with the same key; out/recipe.json remembers. Stops at a failed one."""
    out.mkdir(parents=True, exist_ok=True)
    memory = out / "recipe.json"
    done: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
    redone = False
    for step in steps:
        if not redone and step.output.exists() and done.get(step.name) == step.key:
            progress(f"{step.name}: done already ({step.output})")
            continue
        redone = True  # what follows may rest on it
        progress(f"{step.name}: begins")
        code = step.do()
        if code:
            progress(f"{step.name}: failed with code {code}; the same command goes on from here")
            return code
        if not step.output.exists():
            raise InputError(f"step '{step.name}' left no {step.output}; run the same command again, or its part by hand")
        done[step.name] = step.key
        _write(memory, json.dumps(done, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    run(main)
