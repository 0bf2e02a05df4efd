"""What ships, as data, and the steps that make all of it: extractors, systems, the reference of real motion, reports.

Everything that is trained has an equal share of the budget. A step whose output is there already, made with the same key, is not done
again, and training goes on where it was interrupted. Only RECIPES names systems and extractors.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.base import SYSTEMS, train_system
from evaluators.extractors.delivery import train_extractor, trainable
from nerm.atomic import replacing
from nerm.checkpoint import MODELS, SUFFIX
from nerm.cli import progress
from nerm.errors import InputError

if TYPE_CHECKING:
    from nerm.budget import Budget
    from nerm.data.dataset import Dataset


@dataclass(frozen=True)
class Recipe:
    """What is made, in this order: names of registered extractors and systems, which are trained, and of tables."""

    name: str
    extractors: tuple[str, ...]
    systems: tuple[str, ...]
    tables: tuple[str, ...]


RECIPES = {
    "shipped": Recipe(
        "shipped",
        extractors=("anyrate", "guo", "multirate_gru", "multirate_stgcn"),
        # Beside NeRM: at one rate (what native rates are worth), by the paper's own method, and with codes that hold more.
        systems=("nerm", "nerm-fixed", "nerm-dense", "nerm-paper", "t2m", "mdm", "mld"),
        tables=("framerates", "text", "action", "unconditional"),
    )
}


@dataclass(frozen=True)
class Step:
    """One step of a recipe. do: makes `output` and returns an exit code.  key: of everything the output depends on."""

    name: str
    output: Path
    do: Callable[[], int]
    key: str


def steps_of(recipe: Recipe, dataset: Dataset, budget: Budget, out: Path, runs: Path, tier: str, trial: bool = False) -> list[Step]:
    """The steps of a recipe. budget: for all of them together.

    out: folder of models, reference and reports.  runs: where training keeps what it needs to go on.  tier: of the reports.
    trial: extractors that fail their controls are used too, so that a small budget reaches the end.
    """
    from evaluators import run

    amount = f"{budget.minutes:g} minutes" if budget.minutes else f"{budget.steps} steps"
    key = hashlib.sha256(json.dumps([dataset.digest, amount, budget.seed, recipe.name, *(["trial"] if trial else [])]).encode()).hexdigest()
    folder = runs / f"{recipe.name}-{key[:8]}"
    trained = (*recipe.extractors, *recipe.systems)
    share = budget.parts(dict.fromkeys(trained, 1 / len(trained)))
    models = {name: out / MODELS / f"{name}{SUFFIX}" for name in trained}

    def extractor(name: str) -> Step:
        entry = trainable(name)
        return Step(name, models[name], lambda: train_extractor(entry.name, dataset, share[name], folder / name, models[name], trial), key)

    def system(name: str) -> Step:
        def train() -> int:
            weights = train_system(name, dataset, share[name], folder / name)
            models[name].parent.mkdir(parents=True, exist_ok=True)
            with replacing(models[name]) as temporary:
                shutil.copyfile(weights, temporary)
            return 0

        return Step(name, models[name], train, key)

    def report(table: str) -> Step:
        words = [f"table={table}", *here, *files, f"tier={tier}", f"seed={budget.seed}", f"device={budget.device}"]
        return Step(f"report {table}", out / dataset.name / f"{table}.{tier}.md", lambda: run.main(words), key)

    here = [f"dataset={dataset.name}", f"out={out}", f"shipped={out}"]
    files = [f"{name}.codes={folder / name / SYSTEMS.get(name).leaves}" for name in recipe.systems if SYSTEMS.get(name).leaves]
    return [
        *(extractor(name) for name in recipe.extractors),
        *(system(name) for name in recipe.systems),
        Step("reference", out / "reference", lambda: run.main(["reference", *here]), key),
        *(report(table) for table in recipe.tables),
    ]


def follow(steps: Sequence[Step], out: Path) -> int:
    """Do the steps in order, except those whose output is there with the same key (kept in out/recipe.json). Stops at a failed one."""
    out.mkdir(parents=True, exist_ok=True)
    memory = out / "recipe.json"
    done: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
    redone = False
    for step in steps:
        if not redone and step.output.exists() and done.get(step.name) == step.key:
            progress(f"{step.name}: done already ({step.output})")
            continue
        redone = True  # later steps may depend on it
        progress(f"{step.name}: begins")
        code = step.do()
        if code:
            progress(f"{step.name}: failed with code {code}; the same command goes on from here")
            return code
        if not step.output.exists():
            raise InputError(f"step '{step.name}' left no {step.output}; run the same command again, or its part by hand")
        done[step.name] = step.key
        with replacing(memory) as temporary:
            temporary.write_text(json.dumps(done, indent=1) + "\n")
    return 0
