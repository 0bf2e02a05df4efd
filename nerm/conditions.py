"""The conditions of training items: labels, sentences and their mirror images, and which label has a side. It knows no field and no code.

Items of one label with the same captions are a group. A dataset without captions or labels has no conditions: what is trained on it is
unconditional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nerm.data.dataset import Item
from nerm.text import TextEncoder
from nerm.words import mirror_caption


@dataclass(eq=False)
class Conditions:
    """Of n items in g groups and l labels.

    labels: their names.  label, group: [n] places in `labels` and among the groups, -1 for none.
    texts: [g, 2 (plain, mirrored), sentences, d] embeddings, padded by repeating.  sentences: [g] how many a group has, 0 if it has none.
    sided: [l] whether the label may not be given for a mirrored motion.
    Without any group, g is 1 and that group is empty.
    """

    labels: list[str]
    label: Tensor
    group: Tensor
    texts: Tensor
    sentences: Tensor
    sided: Tensor


def conditions_of(items: Sequence[Item], encoder: TextEncoder | None, width: int) -> Conditions:
    """The conditions of items. encoder: None if none of them has a caption.  width: d, without an encoder."""
    labels = sorted({item.label for item in items} - {""})
    keys = sorted({_key(item) for item in items} - {("", ())})
    of_key = {key: place for place, key in enumerate(keys)}
    of_label = {name: place for place, name in enumerate(labels)}
    captions = [captions for _, captions in keys] or [()]
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
        sided,
    )


def _key(item: Item) -> tuple[str, tuple[str, ...]]:
    return item.label, item.captions


def _embedded(groups: Sequence[Sequence[str]], encoder: TextEncoder) -> Tensor:
    """[g, 2, sentences, d] of the groups' sentences and of their mirror images; a group without a sentence has zeros."""
    most = max(len(group) for group in groups)
    spoken = [place for place, group in enumerate(groups) if group]
    texts = [groups[place][i % len(groups[place])] for place in spoken for i in range(most)]
    plain = torch.from_numpy(encoder.encode(texts))
    mirrored = torch.from_numpy(encoder.encode([mirror_caption(text) for text in texts]))
    embeddings = torch.zeros(len(groups), 2, most, plain.shape[1])
    embeddings[spoken] = torch.stack([plain, mirrored]).unflatten(1, (len(spoken), most)).transpose(0, 1)
    return embeddings
