"""Stage 2, second half: the denoiser of details, trained on stretches of recordings and of their mirror images beside disturbed plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from nerm.conditions import Conditions, Wording, draw_conditions
from nerm.dense.codes import DenseCodes
from nerm.dense.detail import PREDICTION, Detail, DetailConfig, amount, bending, detail_of, disturbed, seen
from nerm.dense.field import DenseField
from nerm.dense.plan import dense_of, plan_of
from nerm.diffusion import STEPS, add_noise, target
from nerm.muon import Muon
from nerm.training import Budget, Fit, fingerprint, fit


@dataclass
class DetailTraining:
    """Settings of the training of details.

    batch: stretches in a batch.
    stretch: control points of a stretch.
    matrix_rate: learning rate of Muon, for the matrices between channels.
    rate: learning rate of AdamW, for the rest.
    label_share, drop, text_noise, one_sided: as in stage 2's settings.
    """

    detail: DetailConfig = field(default_factory=DetailConfig)
    batch: int = 32
    stretch: int = 64
    matrix_rate: float = 0.01
    rate: float = 1e-3
    label_share: float = 0.3
    drop: float = 0.1
    text_noise: float = 0.8
    one_sided: bool = True


class DetailTask:
    """What `nerm.training.fit` needs to train the denoiser of details."""

    def __init__(self, config: DetailTraining, field_: DenseField, codes: DenseCodes, conditions: Conditions) -> None:
        """conditions: of the items, with sentences in the space that the system reads them in."""
        self.config, self.field, self.conditions = config, field_, conditions
        config.detail.text = conditions.texts.shape[-1]
        config.detail.labels = len(conditions.labels)
        config.detail.pose = field_.config.pose
        sides = [codes.plain, codes.mirrored]
        plans = [[plan_of(z, field_.config) for z in side] for side in sides]
        self.lengths = torch.tensor([len(z) for z in codes.plain])
        self.longest = int(self.lengths.max())
        self.offset = torch.cumsum(self.lengths, 0) - self.lengths
        self.points = torch.stack([torch.cat(side) for side in sides])
        most = max(map(len, plans[0]))
        self.plans = torch.stack([torch.stack([torch.cat([x, x[-1:].expand(most - len(x), -1)]) for x in side]) for side in plans])
        self.module = DetailModule(config.detail, field_)
        self._measure(codes.plain, plans[0])

    def _measure(self, codes: Sequence[Tensor], plans: Sequence[Tensor]) -> None:
        """Spread, liveliness, drift and weight of the detail's numbers, offset and scale of what is seen of plans."""
        details, others, shown, generator = [], [], [], torch.Generator().manual_seed(0)
        config, network = self.field.config, self.module.detail
        for z, plan in zip(codes, plans, strict=True):
            smooth = dense_of(plan, len(z), config)
            details.append(detail_of(z, smooth))
            shown.append(seen(smooth, config))
        detail, of_plans = torch.cat(details), torch.cat(shown)
        network.spread.copy_(detail.std(0).clamp(min=1e-5))
        network.offset.copy_(of_plans.mean(0))
        network.scale.copy_(of_plans.std(0).clamp(min=1e-3))
        for z, plan in zip(codes, plans, strict=True):
            moved = disturbed(plan, torch.ones(()), network.spread, torch.randn(plan.shape, generator=generator))
            others.append(detail_of(dense_of(moved, len(z), config), dense_of(plan, len(z), config)))
        network.drift.copy_(torch.cat(others).std(0))
        bends = torch.cat([bending(x[None], network.scale)[0] for x in shown])
        network.liveliness.copy_(liveliness_of(detail / network.spread, bends))
        self.spread, self.lively = network.spread.clone(), (network.scale.clone(), network.liveliness.clone())
        effect = effects(self.field, self.points[0], network.spread)
        self.module.weight.copy_(effect / effect.mean())

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
        """A stretch of every item: detail, what is seen of the plan, how much detail it has [B, S, 1], noise [B, S, ...], mask [B, S],
        step, level [B], and conditions.

        The stretch is of the item or of its mirror image, whichever the condition names: a sentence of the right is asked for as one of
        the left (`nerm.stage2`).
        """
        config, count, stretch = self.config, len(index), self.config.stretch
        wording = Wording(config.label_share, config.drop, config.text_noise, config.one_sided)
        asked, _ = draw_conditions(self.conditions, index, wording, generator)
        side = torch.randint(2, (count,), generator=generator)
        level = config.detail.most * torch.rand(count, generator=generator) ** 2
        plans = self.plans[side, index]
        plans = disturbed(plans, level[:, None, None], self.spread, torch.randn(plans.shape, generator=generator))
        lengths = self.lengths[index]
        begin = (torch.rand(count, generator=generator) * (torch.clamp(lengths - stretch, min=0) + 1)).long()
        at = begin[:, None] + torch.arange(stretch)
        inside = at < lengths[:, None]
        at = torch.minimum(at, lengths[:, None] - 1)
        smooth = dense_of(plans, self.longest, self.field.config)
        items = torch.arange(count)[:, None]
        whole = seen(smooth, self.field.config)[items, torch.minimum(torch.arange(self.longest), lengths[:, None] - 1)]
        plan, much = whole[items, at], amount(whole, *self.lively)[items, at]
        detail = detail_of(self.points[side[:, None], at + self.offset[index][:, None]], smooth[items, at])
        step = torch.randint(STEPS, (count,), generator=generator)
        return detail, plan, much, torch.randn(detail.shape, generator=generator), inside.float(), step, level, *asked

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
        much: Tensor,
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
        detail = detail / self.detail.spread_at(much, level)
        predicted = self.detail(add_noise(detail, noise, step), plan, step, level, text, label, kind).float()
        wanted = target(detail.flatten(1), noise.flatten(1), step, PREDICTION).view_as(detail)
        error = ((predicted - wanted).square() * self.weight).mean(-1) * mask
        trusted = (level < 0.01) * mask.any(-1)
        each = error.sum(-1) / mask.sum(-1)
        return error.sum() / mask.sum(), {"trusted": (each.detach() * trusted).sum() / trusted.sum().clamp(min=1)}


def liveliness_of(detail: Tensor, bends: Tensor) -> Tensor:
    """[2] the line by which the logarithm of the detail [n, size], in units of its spread, follows that of the plans' bending [n].

    Its height is such that detail over its amount has a mean square of 1.
    """
    amounts = detail.square().mean(-1).clamp(min=1e-6).log() / 2
    slope, height = np.polyfit(bends.double().numpy(), amounts.double().numpy(), 1)
    left = (detail / torch.exp(height + slope * bends)[:, None]).square().mean()
    return torch.tensor([height + float(left.log()) / 2, slope], dtype=torch.float32)


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
    config: DetailTraining, field_: DenseField, codes: DenseCodes, conditions: Conditions, budget: Budget, folder: Path
) -> tuple[Fit, Detail]:
    """Train the denoiser of details on the codes of a trained field."""
    torch.manual_seed(budget.seed)
    task = DetailTask(config, field_, codes, conditions)
    key = fingerprint(task.points, conditions.texts, *field_.parameters())
    return fit(task, budget, folder / "detail", "detail", key), task.module.detail
