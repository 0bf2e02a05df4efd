"""Layers that T2M and the text-motion evaluator have in common, under the parameter names of both official checkpoints.

A snippet is 4 frames of features. Nothing here knows the networks that use the layers.

Source: Guo et al., Generating Diverse and Natural 3D Human Motions from Text, CVPR 2022, sections 3, 4 and 6.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

UNIT = 4  # frames of a snippet
CONTACTS = 4  # the last feature columns, which the movement encoder does not see


class MovementConvEncoder(nn.Module):
    """Features without contacts -> one code per 4 frames. The last code of a motion reads up to 3 frames beyond its end."""

    def __init__(self, features: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(features, hidden, 4, 2, 1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(hidden, latent, 4, 2, 1),
            nn.Dropout(0.2),
            nn.LeakyReLU(0.2),
        )
        self.out_net = nn.Linear(latent, latent)

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, T, features] -> [B, T // 4, latent]."""
        return self.out_net(self.main(x.transpose(1, 2)).transpose(1, 2))


class SequenceGRU(nn.Module):
    """A sequence through a linear layer and a bidirectional GRU from a learned start: the stem of all recurrent encoders."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__()
        self.input_emb = nn.Linear(features, hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True, bidirectional=True)
        self.hidden = nn.Parameter(torch.randn(2, 1, hidden))

    def run(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, N, features], of which the first lengths[k] entries of item k count -> (states [B, max length, 2h], last [B, 2h]).

        States beyond a length are zero.
        """
        packed = pack_padded_sequence(self.input_emb(x), lengths.cpu(), batch_first=True, enforce_sorted=False)
        states, last = self.gru(packed, self.hidden.expand(-1, len(x), -1).contiguous())
        return pad_packed_sequence(states, batch_first=True)[0], torch.cat([last[0], last[1]], dim=-1)


class WordGRU(SequenceGRU):
    """Word vectors and word classes through a recurrent network: the stem of all readers of text."""

    def __init__(self, dim_word: int, dim_class: int, hidden: int) -> None:
        super().__init__(dim_word, hidden)
        self.pos_emb = nn.Linear(dim_class, dim_word)

    def read(self, words: Tensor, classes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """words [B, N, dim_word], one-hot classes [B, N, dim_class], lengths [B] words: what `run` makes of them."""
        return self.run(words + self.pos_emb(classes), lengths)
