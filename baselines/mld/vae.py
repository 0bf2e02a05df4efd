"""The two motion VAEs of MLD: features <-> a few latent tokens. Batch first; a latent is [B, tokens, width].

Section 3.1 of the paper. Padding changes nothing: no frame attends to padded frames, and they come out as zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from baselines.mld.config import VaeConfig
from baselines.mld.network import DecoderLayer, EncoderLayer, PlainStack, Positions, SkipStack, frame_mask, layer_of, xavier
from nerm.errors import InputError


class MldVae(nn.Module):
    """Skip transformers with learned positions: distribution tokens in front of the frames; frames decoded from position queries."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        self.config = config
        tokens, width = config.latent
        options = (width, config.heads, config.ff, config.dropout, config.activation, config.normalize_before)
        self.query_pos_encoder = Positions(width, config.sinusoid, config.dropout, config.positions)
        self.query_pos_decoder = Positions(width, config.sinusoid, config.dropout, config.positions)
        self.encoder = SkipStack(layer_of(EncoderLayer, *options), config.layers, width)
        kind = DecoderLayer if config.arch == "encoder_decoder" else EncoderLayer
        self.decoder = SkipStack(layer_of(kind, *options), config.layers, width)
        self.global_motion_token = nn.Parameter(torch.randn(tokens if config.mlp_dist else 2 * tokens, width))
        if config.mlp_dist:
            self.dist_layer = nn.Linear(width, 2 * width)
        self.skel_embedding = nn.Linear(config.features, width)
        self.final_layer = nn.Linear(width, config.features)
        for stack in (self.encoder, self.decoder):
            xavier(stack)

    def encode(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalised features [B, T, F] -> posterior (mean, standard deviation), each [B, tokens, width]."""
        return _posterior(*self.distribution(x, lengths))

    def distribution(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same as (mean, log-variance)."""
        tokens = self.global_motion_token.expand(len(x), -1, -1)
        sequence = torch.cat([tokens, self.skel_embedding(x)], 1)
        out = self.encoder(self.query_pos_encoder(sequence), _keys(lengths, x.shape[1], tokens.shape[1]))[:, : tokens.shape[1]]
        mean, logvar = self.dist_layer(out).chunk(2, -1) if self.config.mlp_dist else out.chunk(2, 1)
        return mean, logvar

    def decode(self, z: Tensor, lengths: Tensor) -> Tensor:
        """Latents [B, tokens, width] -> features [B, max(lengths), F], zero beyond each length."""
        frames = int(lengths.max())
        if self.config.arch == "encoder_decoder":
            queries = self.query_pos_decoder.rows(frames).expand(len(z), -1, -1)
            out = self.decoder(queries, z, _keys(lengths, frames))
        else:
            queries = torch.cat([z, z.new_zeros(len(z), frames, z.shape[2])], 1)
            out = self.decoder(self.query_pos_decoder(queries), _keys(lengths, frames, z.shape[1]))[:, z.shape[1] :]
        return _cut(self.final_layer(out), lengths)


class ActorVae(nn.Module):
    """The VAE of the action models: plain transformers, sinusoids, one latent token (the ACTOR layout without class tokens)."""

    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        if config.latent[0] != 1:
            raise InputError(f"latent_dim={list(config.latent)}; the action VAE encodes one token: give [1, {config.latent[1]}]")
        self.config = config
        self.encoder = _ActorEncoder(config)
        self.decoder = _ActorDecoder(config)

    def encode(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Features [B, T, F] -> posterior (mean, standard deviation), each [B, 1, width]."""
        return _posterior(*self.distribution(x, lengths))

    def distribution(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same as (mean, log-variance)."""
        return self.encoder(x, lengths)

    def decode(self, z: Tensor, lengths: Tensor) -> Tensor:
        """Latents [B, 1, width] -> features [B, max(lengths), F], zero beyond each length."""
        return self.decoder(z, lengths)


class _ActorEncoder(nn.Module):
    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        width = config.latent[1]
        self.skel_embedding = nn.Linear(config.features, width)
        self.mu_token = nn.Parameter(torch.randn(width))
        self.logvar_token = nn.Parameter(torch.randn(width))
        self.sequence_pos_encoding = Positions(width, True, config.dropout, config.positions)
        self.seqTransEncoder = _plain(EncoderLayer, config)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(mean, log-variance) [B, 1, width]."""
        tokens = torch.stack([self.mu_token, self.logvar_token]).expand(len(x), -1, -1)
        sequence = self.sequence_pos_encoding(torch.cat([tokens, self.skel_embedding(x)], 1))
        out = self.seqTransEncoder(sequence, _keys(lengths, x.shape[1], 2))
        return out[:, :1], out[:, 1:2]


class _ActorDecoder(nn.Module):
    def __init__(self, config: VaeConfig) -> None:
        super().__init__()
        width = config.latent[1]
        self.sequence_pos_encoding = Positions(width, True, config.dropout, config.positions)
        self.seqTransDecoder = _plain(DecoderLayer, config)
        self.final_layer = nn.Linear(width, config.features)

    def forward(self, z: Tensor, lengths: Tensor) -> Tensor:
        frames = int(lengths.max())
        queries = self.sequence_pos_encoding(z.new_zeros(len(z), frames, z.shape[2]))
        return _cut(self.final_layer(self.seqTransDecoder(queries, z, _keys(lengths, frames))), lengths)


def build_vae(config: VaeConfig) -> MldVae | ActorVae:
    """The VAE of a configuration."""
    return MldVae(config) if config.kind == "mld" else ActorVae(config)


def _plain(kind: type[EncoderLayer], config: VaeConfig) -> PlainStack:
    width = config.latent[1]
    options = (width, config.heads, config.ff, config.dropout, config.activation, False)
    stack = PlainStack(layer_of(kind, *options), config.layers, width, norm=False)
    xavier(stack)
    return stack


def _posterior(mean: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    return mean.float(), logvar.float().exp().sqrt()


def _keys(lengths: Tensor | None, frames: int, tokens: int = 0) -> Tensor | None:
    """The attention mask of frames after `tokens` tokens that always count."""
    mask = frame_mask(lengths, frames)
    if mask is None:
        return None
    return torch.cat([mask.new_ones(len(mask), tokens), mask], 1)[:, None, None]


def _cut(x: Tensor, lengths: Tensor) -> Tensor:
    mask = frame_mask(lengths, x.shape[1])
    return x if mask is None else x * mask[..., None]
