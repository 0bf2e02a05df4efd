"""Stage 2, first half: the denoiser of plans, trained on recordings, their mirror images, and pieces of both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nerm.conditions import Wording, conditions_of, draw_conditions
from nerm.data.dataset import Dataset, Item
from nerm.dense.field import DenseField
from nerm.dense.field_training import DenseFieldTraining
from nerm.dense.person import MIRROR_FRAME, Person, mirror_signs, people_of
from nerm.dense.plan import CoarseReader, anchored, plan_of
from nerm.diffusion import STEPS
from nerm.errors import InputError
from nerm.pose_space import pose_space
from nerm.settings import Stage2Config
from nerm.stage2 import DenoiserModule, Noised
from nerm.text import load_text_encoder
from nerm.training import Budget, Fit, fingerprint, fit
from nerm.windows import training_recordings

PIECES = 3
"""Random pieces of every recording and of its mirror image that plans are learned from, besides the whole."""


@dataclass
class DenseCodes:
    """Dense codes [P, 4 + pose] of training items and of their mirror images, with their durations, s."""

    items: list[Item]
    plain: list[Tensor]
    mirrored: list[Tensor]
    seconds: list[float]


def dense_codes(field_: DenseField, dataset: Dataset, trained: DenseFieldTraining) -> DenseCodes:
    """The codes of the training split, as the encoder makes them; of recordings at the rate that the field was trained at."""
    items, motions = training_recordings(dataset, "train", trained.training_rate, trained.fixed_fps)
    people = people_of(motions, field_.config.rates)
    order, signs = mirror_signs(field_.skeleton)
    flipped = [Person(p.frame * torch.tensor(MIRROR_FRAME), p.poses[:, order] * signs) for p in people]
    return DenseCodes(items, [field_.encode(p) for p in people], [field_.encode(p) for p in flipped], [m.seconds for m in motions])


class PlanTask:
    """What `nerm.training.fit` needs to train the denoiser of plans."""

    def __init__(self, config: Stage2Config, field_: DenseField, codes: DenseCodes, seed: int) -> None:
        """config.crop: the largest share of a recording that a piece leaves out at either end."""
        if config.one_sided:
            raise InputError("plan.one_sided=true; dense codes have no mirror sign, so both sides are learned: leave it false")
        if config.sentence_space:
            raise InputError(f"plan.sentence_space={config.sentence_space}; plans are learned from embeddings as they are: leave it 0")
        encoder = load_text_encoder(config.text_encoder) if any(item.captions for item in codes.items) else None
        if encoder:
            config.denoiser.text = encoder.size
        self.config = config
        self.conditions = conditions_of(codes.items, encoder, config.denoiser.text)
        plans, self.seconds = pieces_of(field_, codes, config.crop, seed)
        reader, lasts = CoarseReader(field_), self.seconds[:, 0].repeat(2)
        self.space = pose_space(reader, plans[:, :, 0].transpose(0, 1).flatten(0, 1), lasts, config.flatness, config.largest, config.keep)
        self.plans = self.space.enter(plans)
        config.denoiser.labels = len(self.conditions.labels)
        config.denoiser.latent = self.plans.shape[-1]
        self.module = DenoiserModule(config, self.space.weight, torch.zeros(0))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return self.module.optimizers(self.config)

    def batch(self, generator: torch.Generator, progress: float) -> Noised:
        index = torch.randint(len(self.plans), (self.config.batch,), generator=generator)
        return self.conditioned(index, generator)

    def conditioned(self, index: Tensor, generator: torch.Generator) -> Noised:
        """The items `index`, whole or in pieces, as they are or mirrored, with sentences and noise drawn anew."""
        config, count = self.config, len(index)
        asked, mirrored = draw_conditions(self.conditions, index, Wording(config.label_share, config.drop, config.text_noise), generator)
        piece = torch.randint(self.plans.shape[2], (count,), generator=generator)
        z = self.plans[index, mirrored.long(), piece]
        step = torch.randint(STEPS, (count,), generator=generator)
        seconds = self.seconds[index, piece] * (1 + 0.05 * (2 * torch.rand(count, generator=generator) - 1))
        return Noised(z, torch.randn(z.shape, generator=generator), step, seconds.clamp(max=self.seconds.max()), *asked)

    def validate(self) -> dict[str, float]:
        """The loss on a fixed draw of training plans: it shows how far they are memorised."""
        generator = torch.Generator().manual_seed(7)
        index = torch.randint(len(self.plans), (1024,), generator=generator)
        loss, _ = self.module(*self.conditioned(index, generator), progress=1.0)
        return {"loss": float(loss)}


def pieces_of(field_: DenseField, codes: DenseCodes, crop: float, seed: int) -> tuple[Tensor, Tensor]:
    """Plans [n, 2 (plain, mirrored), 1 + PIECES, d] of every item, the whole first, and their durations [n, 1 + PIECES] s."""
    config, generator = field_.config, torch.Generator().manual_seed(seed)
    plans, seconds = [], torch.zeros(len(codes.items), 1 + PIECES)
    for place, (plain, mirrored, lasts) in enumerate(zip(codes.plain, codes.mirrored, codes.seconds, strict=True)):
        cuts = (torch.rand(PIECES, 2, generator=generator) * crop * (len(plain) - 3)).long().tolist()
        spans = [(0, len(plain)), *((first, len(plain) - last) for first, last in cuts)]
        plans.append(torch.stack([torch.stack([plan_of(anchored(z[a:b]), config) for a, b in spans]) for z in (plain, mirrored)]))
        lengths = [lasts, *(min((b - a - 3) / config.rate, lasts - a / config.rate) for a, b in spans[1:])]
        seconds[place] = torch.tensor(lengths)
    return torch.stack(plans), seconds


def train_plan(config: Stage2Config, field_: DenseField, codes: DenseCodes, budget: Budget, folder: Path) -> tuple[Fit, PlanTask]:
    """Train the denoiser of plans on the codes of a trained field."""
    torch.manual_seed(budget.seed)
    task = PlanTask(config, field_, codes, budget.seed)
    return fit(task, budget, folder / "plan", "plan", fingerprint(task.plans, *field_.parameters())), task
