"""eps(z, k, c): the network that denoises codes (stage 2 of the paper). It knows codes and conditions, no motion and no schedule.

Two architectures behind one call: the paper's transformer over [z, step, duration, condition], and a residual MLP that is modulated by
the sum of the last three, which costs less than half as much and learns more in the same time (docs/findings.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerm.cli import choose


@dataclass
class DenoiserConfig:
    """Settings of the denoiser.

    architecture: mlp or transformer.
    latent: numbers of the field's code and one more, the mirror sign (see nerm.stage2).
    width: of the hidden layers.
    layers: how many.
    last: hidden numbers from which the output is read (mlp); fewer than the code has would limit the rank of the output.
    heads: of attention (transformer).
    condition: width of the condition's embedding (mlp).
    text: width of a sentence's embedding.
    labels: how many labels there are; a training takes it from its dataset.
    """

    architecture: str = "mlp"
    latent: int = 561
    width: int = 224
    layers: int = 2
    last: int = 560
    heads: int = 4
    condition: int = 64
    text: int = 768
    labels: int = 0


class Conditions(nn.Module):
    """Embeddings of the step, of the duration, and of a sentence, an action label or nothing (which has a learned embedding)."""

    def __init__(self, config: DenoiserConfig, width: int) -> None:
        super().__init__()
        self.step = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.duration = nn.Sequential(nn.Linear(8, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Linear(config.text, width)
        self.label = nn.Embedding(max(config.labels, 1), width)
        self.nothing = nn.Parameter(torch.zeros(width))

    def forward(self, step: Tensor, seconds: Tensor, text: Tensor, label: Tensor, kind: Tensor) -> Tensor:
        """[B, 3, width]: step, duration, condition."""
        condition = self.nothing.expand(len(step), -1)
        condition = torch.where((kind == 1)[:, None], self.text(text), condition)
        condition = torch.where((kind == 2)[:, None], self.label(label.clamp(min=0)), condition)
        waves = step[:, None].float() * torch.exp(-math.log(10000.0) * torch.arange(32, device=step.device) / 32)
        octaves = torch.log2(seconds.float().clamp(min=0.05))[:, None] * (2.0 ** torch.arange(-1, 3, device=step.device))
        of_step = self.step(torch.cat([torch.sin(waves), torch.cos(waves)], -1))
        of_duration = self.duration(torch.cat([torch.sin(octaves), torch.cos(octaves)], -1))
        return torch.stack([of_step, of_duration, condition.to(of_step.dtype)], dim=1)


class Denoiser(nn.Module):
    """The whole network of stage 2: noisy codes and conditions -> the prediction."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        makers = {"mlp": ModulatedMLP, "transformer": TokenTransformer}
        maker = makers[choose("denoiser.architecture", config.architecture, list(makers))]
        self.conditions = Conditions(config, config.condition if maker is ModulatedMLP else config.width)
        self.network = maker(config)

    def matrices(self) -> list[nn.Parameter]:
        """The matrices between hidden layers, which Muon trains."""
        outer = ("enter", "leave", "place")
        return [p for name, p in self.network.named_parameters() if p.ndim == 2 and not name.startswith(outer)]

    def forward(self, z: Tensor, step: Tensor, seconds: Tensor, text: Tensor, label: Tensor, kind: Tensor) -> Tensor:
        """z: [B, d] noisy codes; step: [B] in [0, 1000); seconds: [B]; text: [B, t]; label: [B]; kind: [B] 0 nothing, 1 text, 2 label."""
        return self.network(z, self.conditions(step, seconds, text, label, kind))


class ModulatedMLP(nn.Module):
    """A residual MLP on the code; the summed conditions scale and shift the input of every layer."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width, layers = config.width, config.layers
        self.enter = nn.Linear(config.latent, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width, elementwise_affine=False) for _ in range(layers))
        self.modulate = nn.Linear(config.condition, 2 * width * layers)
        self.widen = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(layers))
        self.narrow = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(layers))
        self.last = nn.Linear(width, config.last)
        self.leave = nn.Linear(config.last, config.latent)
        for layer in (*self.narrow, self.leave):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, z: Tensor, conditions: Tensor) -> Tensor:
        """z: [B, d]; conditions: [B, 3, c] -> [B, d]."""
        scale, shift = self.modulate(F.silu(conditions.sum(1))).unflatten(-1, (len(self.norms), 2, -1)).unbind(2)
        h = self.enter(z)
        for index, (norm, widen, narrow) in enumerate(zip(self.norms, self.widen, self.narrow, strict=True)):
            h = h + narrow(F.gelu(widen(torch.addcmul(shift[:, index], norm(h), 1 + scale[:, index]))))
        return self.leave(F.gelu(self.last(F.layer_norm(h, h.shape[-1:]))))


class TokenTransformer(nn.Module):
    """A transformer over [z, step, duration, condition]; the first token comes out as the prediction."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        width = config.width
        self.enter = nn.Linear(config.latent, width)
        self.place = nn.Parameter(torch.randn(4, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, config.heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.leave = nn.Linear(width, config.latent)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, z: Tensor, conditions: Tensor) -> Tensor:
        """z: [B, d]; conditions: [B, 3, width] -> [B, d]."""
        tokens = torch.cat([self.enter(z)[:, None], conditions], dim=1)
        return self.leave(self.encoder(tokens + self.place)[:, 0])
