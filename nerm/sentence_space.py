"""What stage 2 reads of a sentence: a linear map of its embedding in which sentences for one motion are near each other.

A general encoder places a sentence among those about everything. Of what tells a jump from a leap, a front kick from a side kick, it keeps
little. The map is learned by contrast from the training sentences alone (InfoNCE: van den Oord et al., 2018). With it the label of a
sentence that training has not seen is found among 365 in 47 % of the cases instead of 33 % (docs/findings.md).

It knows embeddings and groups of them; no encoder, no motion and no network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nerm.conditions import Conditions

STEPS, BATCH, RATE, DECAY = 400, 256, 2e-3, 0.1
NOISE = 0.8
"""Length of the noise on an embedding, which has length 1: as far as new sentences of a label are from its training sentences."""
TEMPERATURE = 0.05
LIKENESS, DRAWN_LIKENESS = 0.03, 0.02
"""Of a sentence to what training has: meanings whose cosines differ by as much weigh 1 to e in their mean, and are drawn 1 to e
(docs/findings.md#sentences-read-as-known-meanings)."""
READINGS = ("known", "drawn", "asked")
"""How a sentence is read: as the mean of what it may mean, of the meanings that training has; as one of these, drawn; or as it is."""
KNOWN_GUIDANCE = 1.0
"""Weight of classifier-free guidance for meanings that training has: more of it takes variety away, and makes no sentence clearer."""
_DRAWS = 7  # stream of random numbers: noise and meaning of one seed have nothing in common


def enter(space: Tensor, embeddings: Tensor) -> Tensor:
    """Embeddings [..., d] in a space [size, d] -> [..., size] of length 1; a zero stays one."""
    return F.normalize(embeddings @ space.mT, dim=-1)


def as_known(asked: Tensor, meanings: Tensor) -> Tensor:
    """Sentences [n, size] as the mean of what they may mean: of the meanings [labels, size] that training has, by their likeness. All of
    them have length 1."""
    return F.normalize((asked @ meanings.mT / LIKENESS).softmax(-1) @ meanings, dim=-1)


def as_drawn(asked: Tensor, meanings: Tensor, seeds: Sequence[int]) -> Tensor:
    """Sentences [n, size] as one each of the meanings [labels, size] that training has, drawn by their likeness and a seed for each."""
    shares = (asked @ meanings.mT / DRAWN_LIKENESS).softmax(-1).double().cumsum(-1)
    at = torch.tensor([np.random.default_rng([seed, _DRAWS]).random() for seed in seeds], dtype=torch.float64)
    return meanings[(shares < at[:, None] * shares[:, -1:]).sum(-1)]


def sentence_space(known: Conditions, size: int, seed: int = 0) -> Tensor:
    """[size, d]: the space learned from the sentences of groups. A sentence of the right counts as the mirror image that stage 2 reads.

    Of every group in a batch two sentences are drawn, or the only one twice, each with noise of its own; each has to find the other.
    """
    generator = torch.Generator().manual_seed(seed)
    texts = torch.where((known.side < 0)[..., None], known.texts[:, 1], known.texts[:, 0])
    groups = known.sentences.nonzero()[:, 0]
    texts, counts = texts[groups], known.sentences[groups]
    space = torch.empty(size, texts.shape[-1])
    torch.nn.init.orthogonal_(space, generator=generator)
    space.requires_grad_()
    optimizer = torch.optim.AdamW([space], lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    with torch.enable_grad():
        for _ in range(STEPS):
            chosen = torch.randperm(len(groups), generator=generator)[:BATCH]
            one, other = (_noisy(texts[chosen, place], generator) for place in _two(counts[chosen], generator))
            likeness = enter(space, one) @ enter(space, other).T / TEMPERATURE
            own = torch.arange(len(chosen))
            loss = F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return space.detach()


def _two(counts: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places [B] of two sentences of groups with so many, which differ wherever there are two."""
    first = (torch.rand(len(counts), generator=generator) * counts).long()
    further = 1 + (torch.rand(len(counts), generator=generator) * (counts - 1)).long()
    return first, (first + further) % counts


def _noisy(embeddings: Tensor, generator: torch.Generator) -> Tensor:
    return embeddings + torch.randn(embeddings.shape, generator=generator) * (NOISE / embeddings.shape[-1] ** 0.5)
