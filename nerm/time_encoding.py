"""Encodings of the time coordinate: none, Fourier ("simple"), and codebook-coordinate attention (NeRM, section on the encoding of time);
and codes that are curves over it. They know coordinates and nothing of motion. A coordinate is t in units of `normalise`; see `coordinate`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nerm.errors import InputError


def coordinate(times_s: Tensor, seconds: Tensor, longest_s: float, normalised: bool) -> Tensor:
    """Time coordinates of a sequence. times_s: [B, m] seconds from its first frame; seconds: [B] its duration -> [B, m].

    normalised: t = 2 (tau - l / 2) / l_max, centred and in [-1, 1], seconds stay comparable between sequences. Otherwise t = tau.
    """
    if not normalised:
        return times_s
    return 2 * (times_s - seconds[:, None] / 2) / longest_s


class NoEncoding(nn.Module):
    """The coordinate itself. [..., ] -> [..., 1]."""

    size = 1

    def forward(self, t: Tensor, fade: float = 1.0) -> Tensor:
        return t[..., None].float()


class FourierEncoding(nn.Module):
    """t and sin, cos of 2^k pi t: with t = 2 tau / l_max the k-th octave is 2^k / l_max Hz.

    per_octave > 1 puts further frequencies between the octaves. fade in [0, 1] opens the octaves from low to high during training
    (1: all open), so that bandwidth grows during training.
    """

    frequencies: Tensor

    def __init__(self, octaves: int, per_octave: int = 1) -> None:
        super().__init__()
        exponents = torch.arange(octaves * per_octave, dtype=torch.float64) / per_octave
        self.register_buffer("frequencies", math.pi * 2.0**exponents, persistent=False)
        self.size = 1 + 2 * len(exponents)

    def forward(self, t: Tensor, fade: float = 1.0) -> Tensor:
        phase = t[..., None].double() * self.frequencies  # float64, because octave 9 multiplies rounding errors by 500
        count = len(self.frequencies)
        open_ = torch.clamp(fade * count - torch.arange(count, device=t.device) + (fade >= 1), 0, 1).float()
        waves = torch.cat([torch.sin(phase).float() * open_, torch.cos(phase).float() * open_], dim=-1)
        return torch.cat([t[..., None].float(), waves], dim=-1)


class CodebookAttention(nn.Module):
    """Codebook-coordinate attention: queries -> codebook -> prototypes; coordinate -> prototypes; residual, LayerNorm, FFN.

    codebook: [N, d_c] codes of a VQ-VAE trained on short native-rate clips (nerm.codebook); frozen.
    """

    def __init__(self, fourier: FourierEncoding, codebook: Tensor, width: int = 128, prototypes: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.fourier = fourier
        self.size = width
        self.register_buffer("codebook", codebook)
        self.queries = nn.Parameter(torch.randn(prototypes, width) * width**-0.5)
        self.to_keys = nn.Linear(codebook.shape[1], width)
        self.to_coordinate = nn.Linear(fourier.size, width)
        self.read_codebook = nn.MultiheadAttention(width, heads, batch_first=True)
        self.read_prototypes = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.feed = nn.ModuleList(nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)) for _ in range(2))

    def forward(self, t: Tensor, fade: float = 1.0) -> Tensor:
        codes = self.to_keys(self.codebook)[None]
        prototypes = self._block(self.queries[None], codes, self.read_codebook, 0)
        queries = self.to_coordinate(self.fourier(t, fade)).reshape(1, -1, self.size)
        return self._block(queries, prototypes, self.read_prototypes, 1).reshape(*t.shape, self.size)

    def _block(self, query: Tensor, memory: Tensor, attention: nn.MultiheadAttention, index: int) -> Tensor:
        query = self.norms[2 * index](query + attention(query, memory, memory, need_weights=False)[0])
        return self.norms[2 * index + 1](query + self.feed[index](query))


class CodeCurve(nn.Module):
    """Reads a code as a curve in time: a uniform cubic B-spline over [-1, 1], its `intervals` + 3 control points one after the other.

    Each part of a code describes only its own part of the time (as spatial codes do for images: Bauer et al., "Spatial Functa",
    2023). The curve is twice continuously differentiable, so the ends of its pieces leave no trace in velocities and accelerations.
    """

    def __init__(self, intervals: int, latent: int, normalised: bool, longest_s: float) -> None:
        super().__init__()
        if intervals < 1:
            raise InputError(f"intervals={intervals}; expected a positive number, or 0 for one code for all times")
        self.intervals, self.points = intervals, intervals + 3
        if latent % self.points:
            raise InputError(f"latent={latent}; a code that is a curve of {intervals} intervals needs a multiple of {self.points}")
        self.size = latent // self.points
        self.start, self.length = (-1.0, 2.0) if normalised else (0.0, longest_s)

    def forward(self, t: Tensor, z: Tensor) -> Tensor:
        """t: [B, m] coordinates; z: [B, points * size] -> [B, m, size]."""
        x = (t - self.start) * (self.intervals / self.length)
        first = x.floor().clamp(0, self.intervals - 1)
        u = (x - first).to(z.dtype)
        weights = torch.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], -1) / 6
        start = torch.arange(len(z), device=z.device)[:, None, None] * self.points
        near = z.reshape(-1, self.size)[start + first.long()[..., None] + torch.arange(4, device=z.device)]
        return torch.einsum("bmk,bmkc->bmc", weights, near)
