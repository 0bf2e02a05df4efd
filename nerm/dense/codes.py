"""The dense codes of training recordings: what details are learned from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nerm.data.dataset import Dataset, Item
from nerm.dense.field import DenseField
from nerm.dense.field_training import DenseFieldTraining
from nerm.dense.person import MIRROR_FRAME, Person, mirror_signs, people_of
from nerm.windows import training_recordings


@dataclass
class DenseCodes:
    """Dense codes [P, 4 + pose] of training items and of their mirror images."""

    items: list[Item]
    plain: list[Tensor]
    mirrored: list[Tensor]


def dense_codes(field_: DenseField, dataset: Dataset, trained: DenseFieldTraining) -> DenseCodes:
    """The codes of the training split, as the encoder makes them; of recordings at the rate that the field was trained at."""
    items, motions = training_recordings(dataset, "train", trained.training_rate, trained.fixed_fps)
    people = people_of(motions, field_.config.rates)
    order, signs = mirror_signs(field_.skeleton)
    flipped = [Person(p.frame * torch.tensor(MIRROR_FRAME), p.poses[:, order] * signs) for p in people]
    return DenseCodes(items, [field_.encode(p) for p in people], [field_.encode(p) for p in flipped])
