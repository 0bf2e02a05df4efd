"""The detail of a dense code: what is faster than its plan. A denoiser that is convolutional in time makes it, given the plan.

It works on stretches of any length, sees about a second to either side, and is told how far the plan is disturbed (`level`), so that it
trusts a plan as far as it should and mends what a sampled plan gets wrong (noise on the condition of a cascade: Ho et al., "Cascaded
Diffusion Models", 2022).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerm.dense.field import DenseFieldConfig
from nerm.dense.person import FRAME, turned_by
from nerm.diffusion import sample
from nerm.stance import around

PREDICTION = "v_prediction"
"""What the denoiser predicts. With the detail itself it would have to pass what is fine in its input through all layers, and loses it."""
STILL = 1e-5
"""Added to the energy of a plan's bending: below it, a plan stands still."""
WITHIN = 8
"""Control points to either side within which a plan's liveliness is measured."""
PLAN = 5
"""What the denoiser sees of a plan besides the pose: the root's velocity in the person's frame (3), its height, the turn's velocity."""


@dataclass
class DetailConfig:
    """Settings of the denoiser of details.

    pose: numbers of the field's pose.
    width: channels.
    dilations: of its layers, in control points.
    condition: width of the condition's embedding.
    text: width of a sentence's embedding.
    labels: how many labels there are; a training takes it from its dataset.
    steps: of the sampler.
    level: how far a sampled plan is taken to be off, in units of the detail's spread; training disturbs plans by up to `most`.
    most: the largest level.
    """

    pose: int = 36
    width: int = 128
    dilations: list[int] = field(default_factory=lambda: [1, 2, 4, 8, 4, 2, 1])
    condition: int = 64
    text: int = 768
    labels: int = 0
    steps: int = 10
    level: float = 0.1
    most: float = 0.5

    @property
    def size(self) -> int:
        """Numbers of a control point that are detail: the root's offset in the person's frame and the pose's."""
        return FRAME - 1 + self.pose


class Detail(nn.Module):
    """The denoiser: noisy detail, plan, step, level and condition -> the detail.

    spread [size]: of the detail beside undisturbed plans.  liveliness [2]: how it grows with how the plan bends (`amount`).
    drift [size]: of what a disturbance of 1 adds.  offset, scale [PLAN + pose]: of the plan's numbers. All are of the training codes.
    """

    spread: Tensor
    liveliness: Tensor
    drift: Tensor
    offset: Tensor
    scale: Tensor

    def __init__(self, config: DetailConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.register_buffer("spread", torch.ones(config.size))
        self.register_buffer("liveliness", torch.zeros(2))
        self.register_buffer("drift", torch.zeros(config.size))
        self.register_buffer("offset", torch.zeros(PLAN + config.pose))
        self.register_buffer("scale", torch.ones(PLAN + config.pose))
        self.step = nn.Sequential(nn.Linear(64, config.condition), nn.SiLU(), nn.Linear(config.condition, config.condition))
        self.level = nn.Sequential(nn.Linear(8, config.condition), nn.SiLU(), nn.Linear(config.condition, config.condition))
        self.text = nn.Linear(config.text, config.condition)
        self.label = nn.Embedding(max(config.labels, 1), config.condition)
        self.nothing = nn.Parameter(torch.zeros(config.condition))
        self.enter = nn.Linear(3 * (config.size + PLAN + config.pose), width)
        self.modulate = nn.Linear(config.condition, 2 * width * len(config.dilations))
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in config.dilations)
        self.near = nn.ModuleList(nn.Linear(3 * width, width) for _ in config.dilations)
        self.mix = nn.ModuleList(nn.Linear(width, width) for _ in config.dilations)
        self.leave = nn.Linear(width, config.size)
        for layer in (*self.mix, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def spread_at(self, amount: Tensor, level: Tensor) -> Tensor:
        """[B, P, size] the spread of detail of an amount [B, P, 1] beside plans that are disturbed by level [B]."""
        return ((self.spread * amount).square() + (level[:, None, None] * self.drift).square()).sqrt()

    def matrices(self) -> list[nn.Parameter]:
        """The matrices between channels, which Muon trains."""
        return [p for part in (self.near, self.mix) for p in part.parameters() if p.ndim == 2]

    def forward(self, x: Tensor, plan: Tensor, step: Tensor, level: Tensor, text: Tensor, label: Tensor, kind: Tensor) -> Tensor:
        """x: [B, P, size] in units of `spread_at`.  plan: [B, P, PLAN + pose] as `seen` gives it.  text: [B, d].  The rest: [B]."""
        condition = self.nothing.expand(len(x), -1)
        condition = torch.where((kind == 1)[:, None], self.text(text), condition)
        condition = torch.where((kind == 2)[:, None], self.label(label.clamp(min=0)), condition)
        waves = step[:, None].float() * torch.exp(-math.log(10000.0) * torch.arange(32, device=x.device) / 32)
        octaves = torch.log2(level[:, None] + 0.01) * (2.0 ** torch.arange(-2, 2, device=x.device))
        of_step = self.step(torch.cat([torch.sin(waves), torch.cos(waves)], -1))
        of_level = self.level(torch.cat([torch.sin(octaves), torch.cos(octaves)], -1))
        summed = F.silu(of_step + of_level + condition)
        scale, shift = self.modulate(summed).unflatten(-1, (len(self.norms), 2, -1)).unbind(2)
        h = self.enter(around(torch.cat([x, (plan - self.offset) / self.scale], -1), 1))
        for index, (norm, near, mix, dilation) in enumerate(zip(self.norms, self.near, self.mix, self.config.dilations, strict=True)):
            u = torch.addcmul(shift[:, index, None], norm(h), 1 + scale[:, index, None])
            h = h + mix(F.gelu(near(around(u, dilation))))
        return self.leave(F.gelu(F.layer_norm(h, h.shape[-1:])))

    @torch.no_grad()
    def sample(self, smooth: Tensor, level: float, asked: Sequence[Tensor], seed: int, config: DenseFieldConfig, steps: int = 0) -> Tensor:
        """The dense code [P, 4 + pose] of one plan as a dense curve, smooth [P, 4 + pose]. asked: text [1, d], label [1], kind [1]."""
        plan, points = seen(smooth, config)[None], len(smooth)
        at = torch.full((1,), level, device=smooth.device)

        def predict(x: Tensor, k: Tensor) -> Tensor:
            return self(x.unflatten(-1, (points, -1)), plan, k, at, *asked).flatten(1)

        shape = (1, points * self.config.size)
        x = sample(predict, shape, [seed], "dpm-solver++", steps or self.config.steps, PREDICTION, smooth.device)
        return with_detail(smooth, (x.unflatten(-1, (points, -1)) * self.spread_at(amount(plan, self.scale, self.liveliness), at))[0])


def seen(smooth: Tensor, config: DenseFieldConfig) -> Tensor:
    """What the denoiser sees [..., P, PLAN + pose] of plans as dense curves [..., P, 4 + pose], wherever and whichever way they go."""
    steps = torch.diff(smooth[..., :FRAME], dim=-2) * config.rate
    steps = torch.cat([steps, steps[..., -1:, :]], -2)
    velocity = turned_by(steps[..., 1:], -smooth[..., 0])
    return torch.cat([velocity, smooth[..., 2:3], steps[..., :1], smooth[..., FRAME:]], -1)


def bending(plan: Tensor, scale: Tensor) -> Tensor:
    """[B, P] how fast the pose of plans [B, P, PLAN + pose] changes its velocity within a quarter of a second, as a logarithm."""
    pose = F.pad((plan[..., PLAN:] / scale[PLAN:]).mT, (WITHIN + 1, WITHIN + 1), mode="replicate")
    energy = F.avg_pool1d(pose.diff(n=2).square().mean(-2, keepdim=True), 2 * WITHIN + 1, 1)[:, 0]
    return (energy + STILL).log()


def amount(plan: Tensor, scale: Tensor, liveliness: Tensor) -> Tensor:
    """[B, P, 1] how much detail there is beside plans [B, P, PLAN + pose], where 1 is the average.

    Somebody who stands still has a thirtieth of it. With one spread for all, a denoiser need not tell that from nothing, and whoever stands
    still trembles.
    """
    return torch.exp(liveliness[0] + liveliness[1] * bending(plan, scale))[..., None]


def disturbed(plan: Tensor, level: Tensor, spread: Tensor, noise: Tensor) -> Tensor:
    """Plans [..., Q, 4 + pose] whose roots and poses are off by `level` spreads of the detail. noise: of the plan's shape."""
    return torch.cat([plan[..., :1], plan[..., 1:] + level * spread * noise[..., 1:]], -1)


def detail_of(z: Tensor, smooth: Tensor) -> Tensor:
    """The detail [..., P, 3 + pose] of dense codes beside plans as dense curves: the root's offset in the plan's frame, and the pose's."""
    root = turned_by(z[..., 1:FRAME] - smooth[..., 1:FRAME], -smooth[..., 0])
    return torch.cat([root, z[..., FRAME:] - smooth[..., FRAME:]], -1)


def with_detail(smooth: Tensor, detail: Tensor) -> Tensor:
    """The dense codes whose detail that is."""
    root = smooth[..., 1:FRAME] + turned_by(detail[..., : FRAME - 1], smooth[..., 0])
    return torch.cat([smooth[..., :1], root, smooth[..., FRAME:] + detail[..., FRAME - 1 :]], -1)
