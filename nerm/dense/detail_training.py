"""Stage 2, second half: the denoiser of details, trained on stretches of recordings and of their mirror images beside disturbed plans."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from nerm.conditions import Wording, conditions_of, draw_conditions
from nerm.dense.detail import PREDICTION, Detail, DetailConfig, detail_of, seen
from nerm.dense.field import DenseField
from nerm.dense.plan import dense_of, plan_of
from nerm.dense.plan_training import DenseCodes
from nerm.diffusion import STEPS, add_noise, target
from nerm.muon import Muon
from nerm.pose_space import PoseSpace
from nerm.text import load_text_encoder
from nerm.training import Budget, Fit, fingerprint, fit


@dataclass
class DetailTraining:
    """Settings of the training of details.

    text_encoder: mpnet, minilm, clip or clip:DIRECTORY.
    batch: stretches in a batch.
    stretch: control points of a stretch.
    matrix_rate: learning rate of Muon, for the matrices between channels.
    rate: learning rate of AdamW, for the rest.
    label_share, drop, text_noise: as in stage 2's settings.
    """

    detail: DetailConfig = field(default_factory=DetailConfig)
    text_encoder: str = "mpnet"
    batch: int = 32
    stretch: int = 64
    matrix_rate: float = 0.01
    rate: float = 1e-3
    label_share: float = 0.3
    drop: float = 0.1
    text_noise: float = 0.8


class DetailTask:
    """What `nerm.training.fit` needs to train the denoiser of details."""

    def __init__(self, config: DetailTraining, field_: DenseField, space: PoseSpace, codes: DenseCodes) -> None:
        encoder = load_text_encoder(config.text_encoder) if any(item.captions for item in codes.items) else None
        if encoder:
            config.detail.text = encoder.size
        self.config, self.field, self.space, self.codes = config, field_, space, [codes.plain, codes.mirrored]
        self.conditions = conditions_of(codes.items, encoder, config.detail.text)
        config.detail.labels = len(self.conditions.labels)
        config.detail.pose = field_.config.pose
        self.plans = torch.stack([space.enter(torch.stack([plan_of(z, field_.config) for z in some])) for some in self.codes])
        self.lengths = torch.tensor([len(z) for z in codes.plain])
        self.longest = int(self.lengths.max())
        self.offset = torch.cumsum(self.lengths, 0) - self.lengths
        self.points = torch.stack([torch.cat(some) for some in self.codes])
        self.module = DetailModule(config.detail, field_)
        self._measure()

    def _measure(self) -> None:
        """Spread and weight of the detail's numbers, offset and scale of what is seen of plans."""
        details, plans, moved, generator = [], [], [], torch.Generator().manual_seed(0)
        for place, z in enumerate(self.codes[0]):
            y = self.plans[0, place]
            smooth = self._smooth(y, len(z))
            details.append(detail_of(z, smooth))
            plans.append(seen(smooth, self.field.config))
            moved.append(detail_of(self._smooth(y + torch.randn(y.shape, generator=generator), len(z)), smooth))
        detail, plan, network = torch.cat(details), torch.cat(plans), self.module.detail
        network.spread.copy_(detail.std(0).clamp(min=1e-5))
        network.drift.copy_(torch.cat(moved).std(0))
        network.offset.copy_(plan.mean(0))
        network.scale.copy_(plan.std(0).clamp(min=1e-3))
        effect = effects(self.field, self.points[0], network.spread)
        self.module.weight.copy_(effect / effect.mean())

    def _smooth(self, y: Tensor, points: int) -> Tensor:
        """The plan with coordinates y [k] as a dense curve."""
        return dense_of(y @ self.space.back + self.space.shift, points, self.field.config)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        network = self.module.detail
        matrices = network.matrices()
        owned = {id(p) for p in matrices}
        others = [p for p in network.parameters() if id(p) not in owned]
        return [
            Muon(matrices, lr=self.config.matrix_rate),
            torch.optim.AdamW(others, lr=self.config.rate, weight_decay=0.01),
        ]

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, ...]:
        index = torch.multinomial(self.lengths.float(), self.config.batch, replacement=True, generator=generator)
        return self.drawn(index, generator)

    def drawn(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """A stretch of every item: detail, what is seen of the plan, noise [B, S, ...], mask [B, S], step, level [B], and conditions."""
        config, count, stretch = self.config, len(index), self.config.stretch
        asked, mirrored = draw_conditions(self.conditions, index, Wording(config.label_share, config.drop, config.text_noise), generator)
        level = config.detail.most * torch.rand(count, generator=generator) ** 2
        side = mirrored.long()
        y = self.plans[side, index]
        y = y + level[:, None] * torch.randn(y.shape, generator=generator)
        lengths = self.lengths[index]
        begin = (torch.rand(count, generator=generator) * (torch.clamp(lengths - stretch, min=0) + 1)).long()
        at = begin[:, None] + torch.arange(stretch)
        inside = at < lengths[:, None]
        at = torch.minimum(at, lengths[:, None] - 1)
        smooth = dense_of(y @ self.space.back + self.space.shift, self.longest, self.field.config)
        items = torch.arange(count)[:, None]
        plan = seen(smooth, self.field.config)[items, at]
        detail = detail_of(self.points[side[:, None], at + self.offset[index][:, None]], smooth[items, at])
        step = torch.randint(STEPS, (count,), generator=generator)
        return detail, plan, torch.randn(detail.shape, generator=generator), inside.float(), step, level, *asked

    def validate(self) -> dict[str, float]:
        """The loss on a fixed draw of training stretches."""
        generator = torch.Generator().manual_seed(7)
        index = torch.randint(len(self.lengths), (256,), generator=generator)
        device = self.module.weight.device
        loss, _ = self.module(*(x.to(device) for x in self.drawn(index, generator)), progress=1.0)
        return {"loss": float(loss)}


class DetailModule(nn.Module):
    """The denoiser of details and its loss. weight: [size] of the detail's numbers, mean 1."""

    weight: Tensor

    def __init__(self, config: DetailConfig, field_: DenseField) -> None:
        super().__init__()
        self.detail = Detail(config)
        self.register_buffer("weight", torch.ones(config.size), persistent=False)

    def forward(
        self,
        detail: Tensor,
        plan: Tensor,
        noise: Tensor,
        mask: Tensor,
        step: Tensor,
        level: Tensor,
        text: Tensor,
        label: Tensor,
        kind: Tensor,
        progress: float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The arguments are those of `DetailTask.drawn`."""
        detail = detail / self.detail.spread_at(level)
        predicted = self.detail(add_noise(detail, noise, step), plan, step, level, text, label, kind).float()
        wanted = target(detail.flatten(1), noise.flatten(1), step, PREDICTION).view_as(detail)
        error = ((predicted - wanted).square() * self.weight).mean(-1) * mask
        trusted = (level < 0.05) * mask.any(-1)
        each = error.sum(-1) / mask.sum(-1)
        return error.sum() / mask.sum(), {"trusted": (each.detach() * trusted).sum() / trusted.sum().clamp(min=1)}


@torch.no_grad()
def effects(field_: DenseField, codes: Tensor, spread: Tensor, count: int = 2048) -> Tensor:
    """[3 + pose] how far joints move, in metres (root mean square over joints), when a number of the detail changes by its spread."""
    at = codes[torch.randint(len(codes), (count,), generator=torch.Generator().manual_seed(0))]
    before = field_.joints(field_.pose(at))
    moved = [spread[number].reshape(()) for number in range(3)]
    for number in range(at.shape[-1] - 4):
        other = at.clone()
        other[:, 4 + number] += spread[3 + number]
        moved.append((field_.joints(field_.pose(other)) - before).square().sum(-1).mean().sqrt())
    return torch.stack(moved)


def train_detail(
    config: DetailTraining, field_: DenseField, space: PoseSpace, codes: DenseCodes, budget: Budget, folder: Path
) -> tuple[Fit, Detail]:
    """Train the denoiser of details about the plans of a trained pose space."""
    torch.manual_seed(budget.seed)
    task = DetailTask(config, field_, space, codes)
    key = fingerprint(task.plans, space.back, *field_.parameters())
    return fit(task, budget, folder / "detail", "detail", key), task.module.detail
