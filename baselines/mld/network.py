"""Transformer layers and stacks of MLD under the original's parameter names, batch first. They know tokens, and no motion.

The original's modules are sequence first and its attention is PyTorch's; here the calls are few and fused, because otherwise
most of a denoiser call on three tokens would be overhead.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerm.errors import InputError

SINUSOID_POSITIONS = 5000
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"gelu": F.gelu, "relu": F.relu}


class Packable(ABC):
    """The linear map of a module, whose matrix can be held a second time in oneDNN's own layout.

    For an input of few rows the time goes into reading the matrix, which is more than twice as fast in that layout (6 rows of 256; with 196
    rows a tenth is gained). The copy is used only without gradients, and only if the matrix has not changed since.
    """

    _packed: Tensor | None = None
    _version = -1

    @abstractmethod
    def kernel(self) -> tuple[Tensor, Tensor]:
        """(matrix [out, in], bias [out])."""

    def product(self, x: Tensor) -> Tensor:
        """x: [..., in] -> [..., out]."""
        matrix, bias = self.kernel()
        if self._packed is None or self._version != matrix._version or torch.is_grad_enabled():
            return F.linear(x, matrix, bias)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed, bias, "none", [], "")

    def pack(self, rows: int) -> None:
        """Make the copy, for inputs of about so many rows, unless there is a current one; drop it where it cannot be used."""
        matrix = self.kernel()[0]
        if matrix.device.type != "cpu" or matrix.dtype != torch.float32 or matrix.is_inference() or not _PACKS:
            self._packed = None
        elif self._packed is None or self._version != matrix._version:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(matrix.detach(), rows)
            self._version = matrix._version


_PACKS = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")


def pack(network: nn.Module, rows: int) -> None:
    """Pack every linear map of a network that can be."""
    for module in network.modules():
        if isinstance(module, Packable):
            module.pack(rows)


class Linear(nn.Linear, Packable):
    """nn.Linear that can be packed."""

    def kernel(self) -> tuple[Tensor, Tensor]:
        """Weight and bias."""
        return self.weight, self.bias

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in] -> [..., out]."""
        return self.product(x)


class Attention(nn.Module, Packable):
    """Multi-head attention. mask: [B, 1, 1, N] True where a key counts, None where all do."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.width, self.heads, self.dropout = width, heads, dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def kernel(self) -> tuple[Tensor, Tensor]:
        """The projection to query, key and value."""
        return self.in_proj_weight, self.in_proj_bias

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Of x [B, N, D] to itself."""
        batch, count, _ = x.shape
        qkv = self.product(x).view(batch, count, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        return self._attend(query, key, value, mask)

    def across(self, x: Tensor, memory: Tensor) -> Tensor:
        """Of x [B, N, D] to memory [B, M, D]. With one memory token every query gets that token's value: [B, 1, D]."""
        width = self.width
        if memory.shape[1] == 1 and not (self.training and self.dropout > 0):
            return self.out_proj(F.linear(memory, self.in_proj_weight[2 * width :], self.in_proj_bias[2 * width :]))
        query = self._split(F.linear(x, self.in_proj_weight[:width], self.in_proj_bias[:width]))
        key, value = F.linear(memory, self.in_proj_weight[width:], self.in_proj_bias[width:]).chunk(2, -1)
        return self._attend(query, self._split(key), self._split(value), None)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        if query.dtype == torch.bfloat16 and query.device.type == "cpu":
            # On a CPU the backward pass of the fused attention is several times slower in half precision than in single.
            with torch.autocast("cpu", enabled=False):
                attended = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), mask, dropout)
        else:
            attended = F.scaled_dot_product_attention(query, key, value, mask, dropout)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class EncoderLayer(nn.Module):
    """Self-attention and two linear layers, normalised after each (or before, with `before`)."""

    def __init__(self, width: int, heads: int, ff: int, dropout: float, activation: str, before: bool) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads, dropout)
        self.linear1, self.linear2 = Linear(width, ff), Linear(ff, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.activation, self.before, self.dropout = _ACTIVATIONS[activation], before, dropout

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x: [B, N, D]."""
        if self.before:
            x = x + self._drop(self.self_attn(self.norm1(x), mask))
            return x + self._drop(self._feed(self.norm2(x)))
        x = self.norm1(x + self._drop(self.self_attn(x, mask)))
        return self.norm2(x + self._drop(self._feed(x)))

    def _feed(self, x: Tensor) -> Tensor:
        return self.linear2(self._drop(self.activation(self.linear1(x))))

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout) if self.training and self.dropout > 0 else x


class DecoderLayer(EncoderLayer):
    """The same with attention to a memory in between."""

    def __init__(self, width: int, heads: int, ff: int, dropout: float, activation: str, before: bool) -> None:
        super().__init__(width, heads, ff, dropout, activation, before)
        self.multihead_attn = Attention(width, heads, dropout)
        self.norm3 = nn.LayerNorm(width)

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """x: [B, N, D], memory: [B, M, D]; mask is that of x."""
        if self.before:
            x = x + self._drop(self.self_attn(self.norm1(x), mask))
            x = x + self._drop(self.multihead_attn.across(self.norm2(x), memory))
            return x + self._drop(self._feed(self.norm3(x)))
        x = self.norm1(x + self._drop(self.self_attn(x, mask)))
        x = self.norm2(x + self._drop(self.multihead_attn.across(x, memory)))
        return self.norm3(x + self._drop(self._feed(x)))


class SkipStack(nn.Module):
    """An odd number of layers; the k-th from the end also reads the output of the k-th (concatenated, through a linear layer)."""

    def __init__(self, layer: Callable[[], nn.Module], layers: int, width: int) -> None:
        super().__init__()
        half = (layers - 1) // 2
        self.input_blocks = nn.ModuleList(layer() for _ in range(half))
        self.middle_block = layer()
        self.output_blocks = nn.ModuleList(layer() for _ in range(half))
        self.linear_blocks = nn.ModuleList(Linear(2 * width, width) for _ in range(half))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, *context: Tensor | None) -> Tensor:
        """context: what the layers take besides x."""
        kept = []
        for block in self.input_blocks:
            x = block(x, *context)
            kept.append(x)
        x = self.middle_block(x, *context)
        for block, linear in zip(self.output_blocks, self.linear_blocks, strict=True):
            x = block(linear(torch.cat([x, kept.pop()], -1)), *context)
        return self.norm(x)


class PlainStack(nn.Module):
    """Layers one after the other, and a last normalisation if asked for."""

    def __init__(self, layer: Callable[[], nn.Module], layers: int, width: int, norm: bool) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layer() for _ in range(layers))
        self.norm = nn.LayerNorm(width) if norm else None

    def forward(self, x: Tensor, *context: Tensor | None) -> Tensor:
        """context: what the layers take besides x."""
        for layer in self.layers:
            x = layer(x, *context)
        return x if self.norm is None else self.norm(x)


class Positions(nn.Module):
    """Adds a table, learned or fixed, to tokens [B, N, D]: row n to token n. Learned rows have no dropout, fixed ones do."""

    def __init__(self, width: int, sinusoid: bool, dropout: float, rows: int) -> None:
        super().__init__()
        self.dropout = dropout if sinusoid else 0.0
        if sinusoid:
            self.register_buffer("pe", sinusoids(SINUSOID_POSITIONS, width)[:, None])
        else:
            self.pe = nn.Parameter(torch.rand(rows, 1, width))

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, N, D]."""
        x = x + self.rows(x.shape[1])
        return F.dropout(x, self.dropout) if self.training and self.dropout > 0 else x

    def rows(self, count: int) -> Tensor:
        """[count, D] the first rows. More than there are is an InputError."""
        if count > len(self.pe):
            raise InputError(f"{count} tokens; the position table of this network has {len(self.pe)}: ask for less time")
        return self.pe[:count, 0]


def sinusoids(rows: int, width: int) -> Tensor:
    """[rows, width]: sin in even and cos in odd columns of p exp(-2k ln(10000) / width)."""
    place = torch.arange(rows, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    table = torch.zeros(rows, width)
    table[:, 0::2] = torch.sin(place * rate)
    table[:, 1::2] = torch.cos(place * rate)[:, : width // 2]
    return table


def layer_of(kind: type[EncoderLayer], width: int, heads: int, ff: int, dropout: float, activation: str, before: bool) -> partial:
    """What the stacks call to make a layer."""
    return partial(kind, width, heads, ff, dropout, activation, before)


def xavier(module: nn.Module) -> None:
    """The original's start values: Xavier for matrices."""
    for parameter in module.parameters():
        if parameter.dim() > 1:
            nn.init.xavier_uniform_(parameter)


def frame_mask(lengths: Tensor | None, count: int) -> Tensor | None:
    """[B, count] True inside each length; None where nothing is padding, so that no work is done for a mask."""
    if lengths is None or bool((lengths >= count).all()):
        return None
    return torch.arange(count, device=lengths.device) < lengths[:, None]
