"""The conditions of training items: labels, sentences and their mirror images, and which label has a side. It knows no field and no code.

Items of one label with the same captions are a group. A dataset without captions or labels has no conditions: what is trained on it is
unconditional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nerm.data.dataset import Item
from nerm.text import TextEncoder
from nerm.words import mirror_caption, side_of


@dataclass(eq=False)
class Conditions:
    """Of n items in g groups and l labels.

    labels: their names.  label, group: [n] places in `labels` and among the groups, -1 for none.
    texts: [g, 2 (plain, mirrored), sentences, d] embeddings, padded by repeating.  sentences: [g] how many a group has, 0 if it has none.
    side: [g, sentences] which side a sentence names (`nerm.words.side_of`).  sided: [l] whether the label may not be given for a
    mirrored motion.
    Without any group, g is 1 and that group is empty.
    """

    labels: list[str]
    label: Tensor
    group: Tensor
    texts: Tensor
    sentences: Tensor
    side: Tensor
    sided: Tensor


def conditions_of(items: Sequence[Item], encoder: TextEncoder | None, width: int) -> Conditions:
    """The conditions of items. encoder: None if none of them has a caption.  width: d, without an encoder."""
    labels = sorted({item.label for item in items} - {""})
    keys = sorted({_key(item) for item in items} - {("", ())})
    of_key = {key: place for place, key in enumerate(keys)}
    of_label = {name: place for place, name in enumerate(labels)}
    captions = [captions for _, captions in keys] or [()]
    most = max(map(len, captions))
    sided = torch.zeros(len(labels), dtype=torch.bool)
    for name, sentences in keys:
        # A label can be given for a mirrored motion only if none of its sentences has a side.
        if name and any(mirror_caption(text) != text for text in sentences or (name,)):
            sided[of_label[name]] = True
    return Conditions(
        labels,
        torch.tensor([of_label.get(item.label, -1) for item in items]),
        torch.tensor([of_key.get(_key(item), -1) for item in items]),
        _embedded(captions, encoder) if encoder else torch.zeros(len(captions), 2, 1, width),
        torch.tensor([len(group) for group in captions]),
        torch.tensor([[side_of(text) for text in _padded(group, most)] or [0] * max(most, 1) for group in captions]),
        sided,
    )


NOTHING, TEXT, LABEL = 0, 1, 2


class Asked(NamedTuple):
    """What is asked for in a batch.  text: [B, d].  label: [B].  kind: [B] NOTHING, TEXT or LABEL."""

    text: Tensor
    label: Tensor
    kind: Tensor


@dataclass(frozen=True)
class Wording:
    """How conditions are drawn.

    label_share: share of those given as a label instead of a sentence.  drop: share left out, for guidance.
    noise: length of the noise on a sentence's embedding, which has length 1.
    one_sided: sentences that name the right alone are always mirrored, those that name the left alone never, so only the left is learned.
    """

    label_share: float
    drop: float
    noise: float
    one_sided: bool = False


def draw_conditions(known: Conditions, index: Tensor, wording: Wording, generator: torch.Generator) -> tuple[Asked, Tensor]:
    """Of items index [B]: a sentence, the label or nothing, drawn anew; and [B] whether that is of the item's mirror image."""

    def uniform() -> Tensor:
        return torch.rand(len(index), generator=generator)

    label, group = known.label[index], known.group[index].clamp(min=0)
    spoken, labelled = (known.group[index] >= 0) & (known.sentences[group] > 0), label >= 0
    sided = torch.cat([known.sided, torch.tensor([False])])[label]
    mirrored = uniform() < 0.5
    sentence = (uniform() * known.sentences[group]).long()
    preferred = (uniform() < wording.label_share) | ~spoken
    if wording.one_sided:
        named = preferred & labelled
        side = known.side[group, sentence]
        mirrored = torch.where(named, mirrored & ~sided, torch.where(spoken & (side != 0), side < 0, mirrored))
    else:
        named = preferred & labelled & ~(mirrored & sided)
    text = reworded(known, group, mirrored.long(), sentence, wording.noise, generator)
    kind = torch.where(named, LABEL, torch.where(spoken, TEXT, NOTHING))
    return Asked(text, label, torch.where(uniform() >= wording.drop, kind, NOTHING)), mirrored


def reworded(known: Conditions, group: Tensor, mirrored: Tensor, sentence: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """[B, d] unit vectors around a group's sentences: moved towards another of them, and by noise.

    A label has only five to ten sentences, which are soon memorised; a user's own wording lies near them.
    """
    other = (torch.rand(len(group), generator=generator) * known.sentences[group]).long()
    between = torch.rand(len(group), 1, generator=generator) / 2
    text = torch.lerp(known.texts[group, mirrored, sentence], known.texts[group, mirrored, other], between)
    moved = text + torch.randn(text.shape, generator=generator) * (noise / text.shape[1] ** 0.5)
    return torch.nn.functional.normalize(moved, dim=-1)


def _key(item: Item) -> tuple[str, tuple[str, ...]]:
    return item.label, item.captions


def _padded(group: Sequence[str], most: int) -> list[str]:
    """So many sentences, the group's repeated; none of an empty group."""
    return [group[place % len(group)] for place in range(most)] if group else []


def _embedded(groups: Sequence[Sequence[str]], encoder: TextEncoder) -> Tensor:
    """[g, 2, sentences, d] of the groups' sentences and of their mirror images; a group without a sentence has zeros."""
    most = max(len(group) for group in groups)
    spoken = [place for place, group in enumerate(groups) if group]
    texts = [text for place in spoken for text in _padded(groups[place], most)]
    plain = torch.from_numpy(encoder.encode(texts))
    mirrored = torch.from_numpy(encoder.encode([mirror_caption(text) for text in texts]))
    embeddings = torch.zeros(len(groups), 2, most, plain.shape[1])
    embeddings[spoken] = torch.stack([plain, mirrored]).unflatten(1, (len(spoken), most)).transpose(0, 1)
    return embeddings
