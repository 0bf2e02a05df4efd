"""eps(z, k, c): the transformer that denoises codes (stage 2 of the paper). It knows codes and conditions, no motion and no schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass
class DenoiserConfig:
    """latent counts the field's code and one more number, the mirror sign (see nerm.stage2)."""

    latent: int = 257
    width: int = 192
    layers: int = 4
    heads: int = 4
    text: int = 384
    labels: int = 0


class Denoiser(nn.Module):
    """A transformer over [z, step, duration, condition]; the first token comes out as the prediction.

    The condition is a sentence embedding, an action label or nothing (a learned token each).
    """

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.enter = nn.Linear(config.latent, width)
        self.step = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.duration = nn.Sequential(nn.Linear(8, width), nn.SiLU(), nn.Linear(width, width))
        self.text = nn.Linear(config.text, width)
        self.label = nn.Embedding(max(config.labels, 1), width)
        self.nothing = nn.Parameter(torch.zeros(width))
        self.place = nn.Parameter(torch.randn(4, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, config.heads, 2 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.leave = nn.Linear(width, config.latent)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, z: Tensor, step: Tensor, seconds: Tensor, text: Tensor, label: Tensor, kind: Tensor) -> Tensor:
        """z: [B, d] noisy codes; step: [B] in [0, 1000); seconds: [B]; text: [B, 384]; label: [B]; kind: [B] 0 nothing, 1 text, 2 label."""
        condition = self.nothing.expand(len(z), -1)
        condition = torch.where((kind == 1)[:, None], self.text(text), condition)
        condition = torch.where((kind == 2)[:, None], self.label(label.clamp(min=0)), condition)
        waves = step[:, None].float() * torch.exp(-math.log(10000.0) * torch.arange(32, device=z.device) / 32)
        octaves = torch.log2(seconds.float().clamp(min=0.05))[:, None] * (2.0 ** torch.arange(-1, 3, device=z.device))
        tokens = torch.stack(
            [
                self.enter(z),
                self.step(torch.cat([torch.sin(waves), torch.cos(waves)], -1)),
                self.duration(torch.cat([torch.sin(octaves), torch.cos(octaves)], -1)),
                condition.to(z.dtype),
            ],
            dim=1,
        )
        return self.leave(self.encoder(tokens + self.place)[:, 0])
