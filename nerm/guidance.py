"""What a denoiser is given besides codes and steps, from conditions; and classifier-free guidance with it. It knows no code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nerm.cli import suggest
from nerm.conditions import LABEL, TEXT
from nerm.diffusion import guided
from nerm.errors import InputError
from nerm.generator import Condition


class Given(NamedTuple):
    """What the denoiser is given besides codes and steps, each [B]: seconds, sentence embeddings [B, d], labels, kinds of condition."""

    seconds: Tensor
    text: Tensor
    label: Tensor
    kind: Tensor


def given_of(
    conditions: Sequence[Condition],
    seconds: Sequence[float],
    labels: Sequence[str],
    width: int,
    encode: Callable[[Sequence[str]], NDArray],
) -> Given:
    """Conditions as tensors.  labels: those that were trained.  encode: sentences -> embeddings [n, width]; not called without one."""
    text = torch.zeros(len(conditions), width)
    label = torch.zeros(len(conditions), dtype=torch.long)
    kind = torch.zeros(len(conditions), dtype=torch.long)
    sentences = {i: c.text for i, c in enumerate(conditions) if c.text is not None}
    if sentences:
        text[list(sentences)] = torch.from_numpy(encode(list(sentences.values())))
        kind[list(sentences)] = TEXT
    for i, condition in enumerate(conditions):
        if condition.label is not None:
            if condition.label not in labels:
                raise InputError(f"label '{condition.label}' was not trained; {suggest(condition.label, labels)}")
            label[i], kind[i] = labels.index(condition.label), LABEL
    return Given(torch.as_tensor(list(seconds), dtype=torch.float32), text, label, kind)


def guided_by(denoiser: nn.Module, z: Tensor, k: Tensor, given: Given, guidance: float) -> Tensor:
    """The guided prediction for noisy codes z [B, d] at steps k [B]: both halves of the guidance in one call."""
    if guidance == 1.0:
        return denoiser(z, k, *given)
    twice = [torch.cat([x, x]) for x in (z, k, *given[:-1])]
    both = denoiser(*twice, torch.cat([given.kind, torch.zeros_like(given.kind)]))
    conditional, unconditional = both.chunk(2)
    return guided(conditional, unconditional, guidance)
