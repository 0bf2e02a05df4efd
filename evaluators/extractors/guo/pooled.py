"""The text-motion evaluator that ships: motion and text by what their frames and words have in common, without an order of them.

The recurrent encoders of the original learn its few thousand motions by heart here, where there are a tenth of them and a handful of
sentences for each action: with sentences and actions that training has not seen, these small ones find more (docs/findings.md).
It knows features and words as tensors; it knows no motion and no dataset.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.t2m.layers import CONTACTS
from nerm.words import WORD_CLASSES


@dataclass
class PooledConfig:
    """Widths, and the shares of hidden numbers and of the numbers of a word that training leaves out."""

    dim_pose: int = 263
    dim_word: int = 300
    motion_hidden: int = 192
    text_hidden: int = 256
    embedding: int = 128
    dropout: float = 0.4
    word_dropout: float = 0.2


class PooledMotion(nn.Module):
    """Mean, spread and first frame of the features without contacts -> embedding."""

    def __init__(self, config: PooledConfig) -> None:
        super().__init__()
        self.net = _head(3 * (config.dim_pose - CONTACTS), config.motion_hidden, config)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features [B, T, dim_pose] normalised, lengths [B] frames -> [B, embedding]."""
        x = features[..., :-CONTACTS]
        inside, count = _inside(x, lengths), lengths.to(x.device)[:, None]
        mean = (x * inside).sum(1) / count
        spread = (((x - mean[:, None]).square() * inside).sum(1) / count + 1e-4).sqrt()
        return self.net(torch.cat([mean, spread, x[:, 0]], dim=-1))


class PooledText(nn.Module):
    """The mean of a sentence's words, and a mean with learned weights -> embedding."""

    def __init__(self, config: PooledConfig) -> None:
        super().__init__()
        self.classes = nn.Linear(len(WORD_CLASSES), config.dim_word)
        self.weight = nn.Linear(config.dim_word, 1)
        self.dropout = nn.Dropout(config.word_dropout)
        self.net = _head(2 * config.dim_word, config.text_hidden, config)

    def forward(self, words: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
        """words [B, N, dim_word], classes [B, N, 15] one-hot, lengths [B] words -> [B, embedding]."""
        x = self.dropout(words) + self.classes(classes)
        inside = _inside(x, lengths)
        weight = self.weight(x).masked_fill(inside == 0, -torch.inf).softmax(dim=1)
        mean = (x * inside).sum(1) / lengths.to(x.device)[:, None]
        return self.net(torch.cat([mean, (x * weight).sum(1)], dim=-1))


class PooledEvaluator(nn.Module):
    """Both encoders, with the statistics and the word vectors that they read. Embeddings have length 1."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: PooledConfig, words: int) -> None:
        """words: the number of word vectors."""
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.dim_pose))
        self.register_buffer("std", torch.ones(config.dim_pose))
        self.words = nn.Embedding(words, config.dim_word)
        self.motion_encoder = PooledMotion(config)
        self.text_encoder = PooledText(config)

    def motion(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalised features [B, T, dim_pose], lengths [B] frames -> [B, embedding]. Frames beyond a length are padding."""
        return F.normalize(self.motion_encoder(features, lengths), dim=-1)

    def caption(self, ids: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
        """Indices into the vocabulary and into the word classes [B, N], lengths [B] -> [B, embedding]."""
        words = self.words(ids)
        return F.normalize(self.text_encoder(words, F.one_hot(classes, len(WORD_CLASSES)).to(words.dtype), lengths), dim=-1)


def _head(inputs: int, hidden: int, config: PooledConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Dropout(config.dropout), nn.Linear(hidden, config.embedding)
    )


def _inside(x: Tensor, lengths: Tensor) -> Tensor:
    """[B, N, 1] 1 for the entries of x [B, N, D] that are no padding."""
    return (torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None]).to(x.dtype)[..., None]
