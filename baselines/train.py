"""python -m baselines.train dataset=multirate system=mdm minutes=60: trains a system on a dataset within a budget of time; resumable.

The weights are a file in OUT. The same command goes on from where it was stopped; another scale or seed needs another out=.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines.base import SYSTEMS, train_system
from nerm.cli import MISSING, begun_s, choose, parse, progress, run
from nerm.devices import device_of
from nerm.errors import InputError
from nerm.help import command

USAGE = "usage: python -m baselines.train dataset=multirate system=mdm minutes=60"


@dataclass
class Train:
    """Keys of the command. Give either minutes or steps.

    system: name of a registered system.
    dataset: the prepared dataset to train on.
    minutes: the whole budget in minutes, shared between the stages of a system.
    steps: the whole budget in steps, shared between the stages of a system.
    out: folder of the run; left out, runs/SYSTEM.
    scale: shipped (small) or paper (as published).
    seed: of the training.
    device: auto, cpu or cuda.
    precision: auto, no (float32), bf16 or fp16.
    threads: of the CPU; 0 is what PyTorch chooses.
    """

    system: str = MISSING
    dataset: str = "multirate"
    minutes: float | None = None
    steps: int | None = None
    out: str = ""
    scale: str = "shipped"
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0


@command(Train)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(Train, arguments, USAGE)
    device_of(settings.device)
    choose("system", settings.system, [system.name for system in SYSTEMS if system.trains])
    choose("scale", settings.scale, ["shipped", "paper"])
    choose("precision", settings.precision, ["auto", "no", "bf16", "fp16"])
    for name in ("seed", "threads"):
        if getattr(settings, name) < 0:
            raise InputError(f"{name}={getattr(settings, name)}; expected 0 or a positive number")
    import torch

    from nerm.budget import Budget, Clock
    from nerm.data.dataset import load_dataset

    clock = Clock(begun_s())
    budget = Budget(settings.minutes, settings.steps, settings.seed, device=settings.device, precision=settings.precision, clock=clock)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    folder = Path(settings.out or f"runs/{settings.system}")
    path = train_system(settings.system, load_dataset(settings.dataset), budget, folder, settings.scale)
    progress(f"{settings.system}: the weights are {path}; to measure them: python -m evaluators.run {settings.system}.checkpoint={path}")
    return 0


if __name__ == "__main__":
    run(main)
