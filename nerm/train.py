"""python -m nerm.train dataset=multirate stage=all minutes=60: trains the stages of NeRM within a budget of time; resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nerm.budget import Budget, Clock
from nerm.cli import begun_s, choose, parse, progress, run
from nerm.devices import device_of
from nerm.help import command
from nerm.settings import Stage1Config, Stage2Config
from nerm.stance import StanceConfig, no_stance
from nerm.training import Fit

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset

SHARES = {"field": 17 / 32, "denoiser": 13 / 32, "stance": 2 / 32}
"""Shares of the budget with stage=all; the stages that are trained share it in these proportions."""
PREPARATION_S = {"denoiser": 0.004, "stance": 0.01}
"""What a stage does before its first step, in seconds for each training item on one core: sentences, readings of recordings."""
METHOD = [
    "add_stance=false",
    "stage1.field.intervals=0",
    "stage1.field.latent=256",
    "stage1.field.layers=9",
    "stage1.field.time_encoding=codebook",
    "stage1.field.rate_input=true",
    "stage1.fade_octaves=false",
    "stage1.velocity_weight=0",
    "stage1.high_band_weight=0",
    "stage2.denoiser.architecture=transformer",
    "stage2.text_encoder=minilm",
    "stage2.one_sided=false",
    "stage2.sentence_space=0",
    "stage2.prediction=epsilon",
    "stage2.draws=true",
    "stage2.flatness=0.5",
    "stage2.largest=1",
    "stage2.gist=0",
    "stage2.guidance=7.5",
    "stage2.sampler=ddpm",
    "stage2.sampling_steps=50",
]
"""The paper's method: one code a sequence, codebook-coordinate attention, the rate as an input, a loss on positions alone (its equation 3),
a transformer that predicts epsilon with equal weights on standardised draws of the codes, no stance: docs/deviations.md.
The denoiser is at least as wide as the code: a narrower one cannot predict all of the noise (docs/findings.md). Guidance is MLD's.
DDPM is the sampler that the paper's loss belongs to."""
SCALES = {
    "shipped": [],
    "paper": [
        *METHOD,
        "stage1.field.width=512",
        "stage1.clips=256",
        "stage1.clip_frames=32",
        "stage2.denoiser.width=512",
        "stage2.denoiser.layers=8",
        "stage2.rate=1e-4",
    ],
    "paper-small": [
        *METHOD,
        "stage1.field.width=96",
        "stage1.clips=250",
        "stage1.clip_frames=16",
        "stage2.denoiser.width=256",
        "stage2.denoiser.layers=2",
        "stage2.batch=256",
        "stage2.matrix_rate=0.005",
    ],
}
"""The settings of each scale; the command line changes them. Where the paper gives no size, it is that of related systems.

paper-small is the paper's method at about the size of `shipped`, to be trained as long: system `nerm-paper`.
"""


@dataclass
class Train:
    """Keys of the command. Give either minutes or steps.

    dataset: the prepared dataset to train on.
    scale: shipped (small), paper (as published) or paper-small (the paper's method, as small as what ships).
    stage: field, denoiser or stance; all trains them one after the other.
    add_stance: with stage=all: with the stance, which the paper does not have.
    minutes: the whole budget in minutes, shared between the stages.
    steps: the whole budget in steps, shared between the stages.
    out: folder of the run; the same command goes on where it was stopped.
    seed: of the training.
    device: auto, cpu or cuda.
    precision: auto, no (float32), bf16 or fp16.
    threads: of the CPU; 0 is what PyTorch chooses.
    """

    dataset: str = "multirate"
    scale: str = "shipped"
    stage: str = "all"
    add_stance: bool = True
    minutes: float | None = None
    steps: int | None = None
    out: str = "runs/nerm"
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    stage1: Stage1Config = field(default_factory=Stage1Config)
    stage2: Stage2Config = field(default_factory=Stage2Config)
    stance: StanceConfig = field(default_factory=StanceConfig)


@command(Train)
def main(arguments: Sequence[str]) -> int:
    scale = parse(Train, arguments).scale
    settings = settings_of_scale(scale, arguments)
    device_of(settings.device)
    choose("stage", settings.stage, [*SHARES, "all"])
    import torch

    from nerm.data.dataset import load_dataset

    if settings.threads:
        torch.set_num_threads(settings.threads)
    clock = Clock(begun_s())
    budget = Budget(settings.minutes, settings.steps, settings.seed, device=settings.device, precision=settings.precision, clock=clock)
    path = train_nerm(load_dataset(settings.dataset), settings, budget, Path(settings.out))
    if settings.stage != "field":
        progress(f"the system is {path}")
    return 0


def settings_of_scale(scale: str, words: Sequence[str] = ()) -> Train:
    """The settings of a scale; `key=value` words come on top."""
    return parse(Train, [*SCALES[choose("scale", scale, list(SCALES))], *words])


def train_nerm(dataset: Dataset, settings: Train, budget: Budget, folder: Path) -> Path:
    """Train the stages that the settings name, each within its share of the budget; the path of the whole system."""
    from nerm.stage1 import train_field
    from nerm.stage2 import train_denoiser
    from nerm.stance_training import add_stance

    if settings.stage == "all" and settings.add_stance and no_stance(dataset.skeleton):
        progress(f"stance: left out ({no_stance(dataset.skeleton)})")
        settings = replace(settings, add_stance=False)
    shares = shares_of(settings)
    stages: dict[str, Callable[[Budget], Fit]] = {
        "field": lambda budget: train_field(dataset, settings.stage1, budget, folder),
        "denoiser": lambda budget: train_denoiser(dataset, settings.stage2, budget, folder),
        "stance": lambda budget: add_stance(dataset, settings.stance, budget, folder),
    }
    for stage, part in stage_budgets(shares, budget, len(dataset.items("train"))).items():
        outcome = stages[stage](part)
        progress(f"{stage}: {outcome.steps} steps in {outcome.seconds / 60:.1f} min on {outcome.device}: {outcome.history[-1]}")
    return folder / "nerm.safetensors"


def stage_budgets(shares: Mapping[str, float], budget: Budget, items: int) -> dict[str, Budget]:
    """The budget of each stage. items: how many are trained on."""
    later = list(shares)[1:]  # the first stage has what it reads before the budget is shared
    parts = budget.parts(shares, {stage: PREPARATION_S[stage] * items for stage in later})
    if budget.steps is None:
        return parts
    return {stage: replace(part, steps=max(int(budget.steps * shares[stage]), 1)) for stage, part in parts.items()}


def shares_of(settings: Train) -> dict[str, float]:
    """The stages to train, in their order, and each one's share of the budget."""
    if settings.stage != "all":
        return {settings.stage: 1.0}
    chosen = {stage: share for stage, share in SHARES.items() if stage != "stance" or settings.add_stance}
    return {stage: share / sum(chosen.values()) for stage, share in chosen.items()}


if __name__ == "__main__":
    run(main)
