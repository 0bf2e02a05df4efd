"""python -m evaluators.train: train an extractor, or everything that ships.

    python -m evaluators.train extractor=anyrate minutes=12       train, run the controls, write the weights if they pass
    python -m evaluators.train recipe=shipped minutes=224         extractors, systems, reference and reports, in one command

An extractor that fails a control is not written: its weights stay in its run folder, with the table that says why, and the exit code is 1.
With trial=true a recipe goes on with it: this tests with a small budget that everything runs, and is not for numbers.
The recipe shares its minutes equally between everything that is trained; a step whose output is there already is not done again, and
training goes on where it was interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nerm.cli import begun_s, choose, parse, run
from nerm.devices import device_of
from nerm.errors import InputError
from nerm.help import command

USAGE = "usage: python -m evaluators.train extractor=anyrate minutes=12 | recipe=shipped minutes=224"


@dataclass
class Train:
    """Keys of the command. Give either extractor or recipe, and either minutes or steps.

    extractor: name of the extractor to train.
    recipe: name of what to train whole: shipped.
    dataset: the prepared dataset to train on.
    minutes: the whole budget in minutes; a recipe shares it equally between everything that is trained.
    steps: the whole budget in steps, shared likewise.
    out: an extractor's file, left out results/models/NAME.safetensors; a recipe's folder, left out runs/RECIPE.
    runs: folder where training keeps what it needs to go on.
    tier: quick, full or paper, of the recipe's reports.
    trial: a recipe goes on with extractors that fail their controls.
    seed: of the training.
    device: auto, cpu or cuda.
    threads: of the CPU; 0 is what PyTorch chooses.
    """

    extractor: str = ""
    recipe: str = ""
    dataset: str = "multirate"
    minutes: float | None = None
    steps: int | None = None
    out: str = ""
    runs: str = "runs"
    tier: str = "full"
    trial: bool = False
    seed: int = 0
    device: str = "auto"
    threads: int = 0


@command(Train)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(Train, arguments, USAGE)
    device_of(settings.device)
    if bool(settings.extractor) == bool(settings.recipe):
        raise InputError(f"give either extractor= or recipe=. {USAGE}")
    if settings.trial and settings.extractor:
        raise InputError(
            "trial=true is for recipe=, which then goes on with an extractor that fails; an extractor alone is never written so"
        )
    if (settings.minutes is None) == (settings.steps is None) or (settings.minutes or settings.steps or 0) <= 0:
        raise InputError(f"give a positive number of minutes= or steps=. {USAGE}")
    from evaluators.extractors.delivery import train_extractor, trainable
    from evaluators.recipe import RECIPES, follow, steps_of
    from nerm.checkpoint import MODELS, SUFFIX

    if settings.recipe:
        choose("recipe", settings.recipe, list(RECIPES))
    else:
        trainable(settings.extractor)
    import torch

    from nerm.budget import Budget, Clock
    from nerm.data.dataset import load_dataset

    if settings.threads:
        torch.set_num_threads(settings.threads)
    dataset = load_dataset(settings.dataset)
    budget = Budget(settings.minutes, settings.steps, settings.seed, device=settings.device, clock=Clock(begun_s()))
    if settings.recipe:
        out = Path(settings.out or f"runs/{settings.recipe}")
        steps = steps_of(RECIPES[settings.recipe], dataset, budget, out, Path(settings.runs), settings.tier, settings.trial)
        return follow(steps, out)
    out = Path(settings.out) if settings.out else Path("results") / MODELS / f"{settings.extractor}{SUFFIX}"
    return train_extractor(settings.extractor, dataset, budget, Path(settings.runs) / settings.extractor, out)


if __name__ == "__main__":
    run(main)
