"""python -m baselines.train dataset=multirate system=mdm minutes=60: trains a system on a dataset within a budget of time; resumable.

The weights are a file in OUT. The same command goes on from where it was stopped; another scale or seed needs another out=.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baselines.base import SYSTEMS, train_system
from nerm.cli import MISSING, begun_s, choose, parse, progress, run
from nerm.errors import InputError

USAGE = "usage: python -m baselines.train dataset=multirate system=mdm minutes=60"


@dataclass
class Train:
    """minutes or steps: the budget, shared between the stages of a system.  scale: shipped (small) | paper (as published).

    out: folder of the run, default runs/SYSTEM.  threads: of the CPU; 0 is what PyTorch chooses.
    """

    system: str = MISSING
    dataset: str = "multirate"
    minutes: float | None = None
    steps: int | None = None
    out: str = ""
    scale: str = "shipped"  # shipped | paper
    seed: int = 0
    device: str = "auto"  # auto | cpu | cuda
    precision: str = "auto"  # auto | no | bf16 | fp16
    threads: int = 0


def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(Train, arguments, USAGE)
    choose("system", settings.system, [system.name for system in SYSTEMS if system.trains])
    choose("scale", settings.scale, ["shipped", "paper"])
    choose("device", settings.device, ["auto", "cpu", "cuda"])
    choose("precision", settings.precision, ["auto", "no", "bf16", "fp16"])
    for name in ("seed", "threads"):
        if getattr(settings, name) < 0:
            raise InputError(f"{name}={getattr(settings, name)}; expected 0 or a positive number")
    import torch

    from nerm.budget import Budget, Clock
    from nerm.data.dataset import load_dataset

    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device=cuda; PyTorch sees no CUDA device here: use device=cpu or device=auto")
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
