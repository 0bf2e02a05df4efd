"""python -m baselines.train dataset=multirate system=mdm minutes=60: a published system on a corpus, annealed to its time, resumable.

The weights are OUT/SYSTEM.safetensors. The same command goes on from where it was stopped; another scale or seed needs another out=.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nerm.cli import MISSING, choose, parse, progress, run
from nerm.errors import InputError
from nerm.registry import Registry

USAGE = "usage: python -m baselines.train dataset=multirate system=mdm minutes=60"

TRAINERS = Registry(
    "system",
    {
        "mdm": "baselines.mdm.training:train",
        "mld": "baselines.mld.training:train",
        "t2m": "baselines.t2m.training:train",
    },
)
"""System id -> train(corpus, budget, folder, scale, seed) -> path of the weights, imported when it is asked for."""


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
    choose("system", settings.system, TRAINERS.names)
    choose("scale", settings.scale, ["shipped", "paper"])
    choose("device", settings.device, ["auto", "cpu", "cuda"])
    choose("precision", settings.precision, ["auto", "no", "bf16", "fp16"])
    for name in ("seed", "threads"):
        if getattr(settings, name) < 0:
            raise InputError(f"{name}={getattr(settings, name)}; expected 0 or a positive number")
    import torch

    from nerm.data.corpus import load_corpus
    from nerm.training import Budget

    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device=cuda; PyTorch sees no CUDA device here: use device=cpu or device=auto")
    budget = Budget(settings.minutes, settings.steps, settings.seed, device=settings.device, precision=settings.precision)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    corpus = load_corpus(settings.dataset)
    out = Path(settings.out or f"runs/{settings.system}")
    path = TRAINERS.load(settings.system)(corpus, budget, out, settings.scale, settings.seed)
    progress(f"{settings.system}: the weights are {path}; to measure them: python -m evaluators.run {settings.system}.checkpoint={path}")
    return 0


if __name__ == "__main__":
    run(main)
