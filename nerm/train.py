"""python -m nerm.train dataset=multirate stage=all minutes=60: the stages of NeRM, annealed to the time they are given, resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nerm.cli import choose, parse, progress, run
from nerm.refinement import RefinementConfig
from nerm.settings import Stage1Config, Stage2Config
from nerm.texture import TextureConfig
from nerm.training import Budget, Fit

SHARES = {"field": 16 / 32, "denoiser": 12 / 32, "refinement": 3.5 / 32, "texture": 0.5 / 32}
"""Of the budget, with stage=all; those that are trained share it in these proportions."""
SCALES = {
    "shipped": [],
    "paper": [
        "refine=false",
        "add_texture=false",
        "stage1.field.latent=256",
        "stage1.field.intervals=0",
        "stage1.field.layers=9",
        "stage1.field.width=512",
        "stage1.clips=256",
        "stage1.clip_frames=32",
        "stage2.denoiser.architecture=transformer",
        "stage2.denoiser.width=512",
        "stage2.denoiser.layers=8",
        "stage2.rate=1e-4",
    ],
}
"""Settings that a scale stands for; others on the command line come on top. Where the paper is silent: the size of its relatives."""


@dataclass
class Train:
    """minutes or steps: the budget, shared between the stages.  scale: shipped (small) | paper."""

    dataset: str = "multirate"
    scale: str = "shipped"
    stage: str = "all"  # field | denoiser | refinement | texture | all
    refine: bool = True  # stage=all: with the refinement, which the paper does not have
    add_texture: bool = True  # stage=all: with the texture, which the paper does not have
    minutes: float | None = None
    steps: int | None = None
    out: str = "runs/nerm"
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    threads: int = 0
    stage1: Stage1Config = field(default_factory=Stage1Config)
    stage2: Stage2Config = field(default_factory=Stage2Config)
    refinement: RefinementConfig = field(default_factory=RefinementConfig)
    texture: TextureConfig = field(default_factory=TextureConfig)


def main(arguments: Sequence[str]) -> int:
    scale = choose("scale", parse(Train, arguments).scale, list(SCALES))
    settings = parse(Train, [*SCALES[scale], *arguments])
    choose("stage", settings.stage, [*SHARES, "all"])
    import torch

    from nerm.data.corpus import load_corpus
    from nerm.refinement import refine
    from nerm.stage1 import train_field
    from nerm.stage2 import train_denoiser
    from nerm.texture_training import bands_of, train_texture

    if settings.threads:
        torch.set_num_threads(settings.threads)
    corpus = load_corpus(settings.dataset)
    out = Path(settings.out)
    shares = shares_of(settings)
    if settings.stage == "all" and "texture" in shares:
        bands_of(corpus, settings.stage1, settings.texture)  # said now, and not after half an hour

    def budget(stage: str) -> Budget:
        share = shares[stage]
        return Budget(
            minutes=settings.minutes * share if settings.minutes else None,
            steps=max(int(settings.steps * share), 1) if settings.steps else None,
            seed=settings.seed,
            device=settings.device,
            precision=settings.precision,
        )

    stages: dict[str, Callable[[Budget], Fit]] = {
        "field": lambda budget: train_field(corpus, settings.stage1, budget, out),
        "denoiser": lambda budget: train_denoiser(corpus, settings.stage2, budget, out),
        "refinement": lambda budget: refine(corpus, settings.refinement, budget, out),
        "texture": lambda budget: train_texture(corpus, settings.texture, budget, out),
    }
    for stage in shares:
        outcome = stages[stage](budget(stage))
        progress(f"{stage}: {outcome.steps} steps in {outcome.seconds / 60:.1f} min on {outcome.device}: {outcome.history[-1]}")
    if "field" not in shares or len(shares) > 1:
        progress(f"the system is {out / 'nerm.safetensors'}")
    return 0


def shares_of(settings: Train) -> dict[str, float]:
    """The stages to train, in their order, and each one's share of the budget."""
    if settings.stage != "all":
        return {settings.stage: 1.0}
    left_out = {"refinement": not settings.refine, "texture": not settings.add_texture}
    chosen = {stage: share for stage, share in SHARES.items() if not left_out.get(stage)}
    return {stage: share / sum(chosen.values()) for stage, share in chosen.items()}


if __name__ == "__main__":
    run(main)
