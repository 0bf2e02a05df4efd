"""eps(z, k, c): the denoiser of MLD, on latent tokens or (raw) on the features themselves. Batch first.

Section 3.2 of the paper. Tokens are [latent, time, condition] plus a learned position table; the outputs at the latent's places are
the prediction. A sampler makes the tokens of time and condition once; `predict` then does each step.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.mld.config import DenoiserConfig
from baselines.mld.network import DecoderLayer, EncoderLayer, PlainStack, Positions, SkipStack, frame_mask, layer_of, xavier

NOTHING = -1
"""The number in place of an action that means no condition."""


class Denoiser(nn.Module):
    """The network. A condition is a text embedding [B, n, text], or the number of an action [B]."""

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        width, action = config.latent[1], config.condition == "action"
        options = (width, config.heads, config.ff, config.dropout, config.activation)
        if config.raw:
            self.pose_embd, self.pose_proj = nn.Linear(config.features, width), nn.Linear(width, config.features)
        self.time_embedding = _TimeEmbedding(width if action else config.text, width)
        if action:
            self.emb_proj: nn.Module = _Actions(config.classes, width)
        elif config.text != width:
            self.emb_proj = nn.Sequential(nn.ReLU(), nn.Linear(config.text, width))
        else:
            self.emb_proj = nn.Identity()
        self.query_pos = Positions(width, config.sinusoid, config.dropout, config.positions)
        self.mem_pos = Positions(width, config.sinusoid, config.dropout, config.positions)  # the encoder kind stores and ignores it
        if config.arch == "trans_dec":
            layer = layer_of(DecoderLayer, *options, config.normalize_before)
            self.decoder = PlainStack(layer, config.layers, width, norm=True)
        elif config.skip:
            self.encoder: nn.Module = SkipStack(layer_of(EncoderLayer, *options, config.normalize_before), config.layers, width)
        else:
            self.encoder = PlainStack(layer_of(EncoderLayer, *options, False), config.layers, width, norm=False)
        xavier(self.decoder if config.arch == "trans_dec" else self.encoder)

    def forward(self, sample: Tensor, timestep: Tensor, condition: Tensor, lengths: Tensor | None = None) -> Tensor:
        """sample: [B, tokens, width], or raw features [B, T, F] with lengths [B]; timestep: [] or [B]. The prediction has its shape."""
        time = self.time_tokens(timestep.expand(len(sample)))
        return self.predict(sample, time[:, None], self.condition_tokens(condition), lengths)

    def time_tokens(self, timestep: Tensor) -> Tensor:
        """Steps [n] -> [n, width]."""
        size = self.time_embedding.linear_1.in_features
        features = time_features(timestep, size, self.config.cosine_first, self.config.freq_shift)
        return self.time_embedding(features)

    def condition_tokens(self, condition: Tensor) -> Tensor:
        """Text embeddings [B, n, text] -> [B, n, width]; actions [B] (NOTHING for none) -> [B, 1, width]."""
        return self.emb_proj(condition)

    def predict(self, sample: Tensor, time: Tensor, condition: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The same as forward, with time [B, 1, width] and condition [B, n, width] as tokens."""
        x = self.pose_embd(sample) if self.config.raw else sample
        context = torch.cat([time, condition], 1)
        if self.config.arch == "trans_dec":
            out = self.decoder(self.query_pos(x), self.mem_pos(context))
        elif self.config.raw:
            out = self.encoder(self.query_pos(torch.cat([context, x], 1)))[:, context.shape[1] :]
        else:
            out = self.encoder(self.query_pos(torch.cat([x, context], 1)))[:, : x.shape[1]]
        if not self.config.raw:
            return out
        out = self.pose_proj(out)
        mask = frame_mask(lengths, out.shape[1])  # of the output alone: the original's attention sees the padding
        return out if mask is None else out * mask[..., None]


class _TimeEmbedding(nn.Module):
    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(size, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear_2(F.silu(self.linear_1(x)))


class _Actions(nn.Module):
    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.action_embedding = nn.Parameter(torch.empty(classes, width))
        nn.init.xavier_uniform_(self.action_embedding)

    def forward(self, action: Tensor) -> Tensor:
        """[B] -> [B, 1, width]; zeros for NOTHING."""
        embedded = self.action_embedding[action.clamp(min=0)]
        return (embedded * (action >= 0)[:, None])[:, None]


def time_features(timestep: Tensor, size: int, cosine_first: bool = True, shift: float = 0.0) -> Tensor:
    """[n] -> [n, size] float32: cosines, then sines (or the other way round) of k exp(-ln(10000) i / (size / 2 - shift))."""
    half = size // 2
    place = -math.log(10000.0) * torch.arange(half, dtype=torch.float32, device=timestep.device)
    angle = timestep[:, None].float() * torch.exp(place / (half - shift))
    parts = [torch.cos(angle), torch.sin(angle)]
    return F.pad(torch.cat(parts if cosine_first else parts[::-1], -1), (0, size % 2))
