"""Training of the classifiers of `multirate`: the action of a recording, every class as likely as another.

What augments: a little less of a recording at its ends, measuring noise, and a heading that is not exact. No control of motion that must be
seen is among it (`evaluators.extractors.controls`). It knows recordings only; no generator is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from evaluators.extractors.multirate.extractor import NETWORKS, ActionClassifier, save
from evaluators.extractors.multirate.seen import frames_of, padded
from evaluators.items import in_order
from evaluators.metrics.distribution import accuracy
from nerm.data.dataset import Dataset, Item, action_items
from nerm.errors import InputError
from nerm.motion.skeleton import yaw_matrix
from nerm.training import Budget, fit


@dataclass
class ClassifierTraining:
    """Settings of the training. The learning rate is for AdamW."""

    batch: int = 48
    rate: float = 2e-3
    weight_decay: float = 0.02
    smoothing: float = 0.05  # of the labels
    crop: float = 0.15  # largest share of a recording that is left out at its ends
    noise_m: float = 0.003  # largest standard deviation of white noise
    yaw: float = 0.15  # standard deviation of the heading, radians
    held_out: int = 6  # one in so many training trials of a class validates as well: some classes have no other validation trial


class Labelled(NamedTuple):
    """Frames [T, 22, 3] of recordings and the number of the class of each."""

    frames: list[NDArray[np.float32]]
    classes: NDArray[np.int64]


class ClassifierModule(nn.Module):
    """A network and its loss."""

    def __init__(self, network: nn.Module, smoothing: float) -> None:
        super().__init__()
        self.network, self.smoothing = network, smoothing

    def forward(self, joints: Tensor, lengths: Tensor, classes: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """joints: [B, T, 22, 3], lengths, classes: [B]."""
        _, scores = self.network(joints, lengths)
        loss = F.cross_entropy(scores.float(), classes, label_smoothing=self.smoothing)
        return loss, {"accuracy": (scores.argmax(1) == classes).float().mean().detach()}


class ClassifierTask:
    """What `nerm.training.fit` needs: recordings of the classes of a dataset."""

    def __init__(self, name: str, dataset: Dataset, settings: ClassifierTraining) -> None:
        self.name, self.settings = name, settings
        training = action_items(dataset, "train")
        self.classes = sorted(set(training.values()))
        if len(self.classes) < 2:
            raise InputError(f"dataset '{dataset.name}' has training items of {len(self.classes)} classes; a classifier needs at least 2")
        apart = held_out(training, settings.held_out)
        validating = {item: name for item, name in action_items(dataset, "val").items() if name in self.classes}
        self.train = self._labelled(dataset, {item: of for item, of in training.items() if item not in apart})
        self.val = self._labelled(dataset, validating | {item: of for item, of in training.items() if item in apart})
        self.of_class = [np.flatnonzero(self.train.classes == number) for number in range(len(self.classes))]
        self.module: nn.Module = ClassifierModule(NETWORKS[name](len(self.classes)), settings.smoothing)

    def _labelled(self, dataset: Dataset, items: dict[Item, str]) -> Labelled:
        classes = np.array([self.classes.index(name) for name in items.values()], dtype=np.int64)
        return Labelled([frames_of(dataset.motion(item)) for item in items], classes)

    @property
    def network(self) -> nn.Module:
        module = self.module
        assert isinstance(module, ClassifierModule)
        return module.network

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), lr=self.settings.rate, weight_decay=self.settings.weight_decay)]

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, Tensor, Tensor]:
        random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
        drawn = random.integers(len(self.classes), size=self.settings.batch)
        chosen = [int(random.choice(self.of_class[number])) for number in drawn]
        joints, lengths = padded([self._varied(self.train.frames[k], random) for k in chosen])
        return joints, lengths, torch.from_numpy(drawn)

    def _varied(self, frames: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
        """[T', 22, 3] a recording as another day might have given it."""
        kept = max(int(len(frames) * (1 - self.settings.crop * random.random())), 2)
        start = int(random.integers(len(frames) - kept + 1))
        turn = yaw_matrix(self.settings.yaw * random.standard_normal())
        noise = self.settings.noise_m * random.random() * random.standard_normal((kept, *frames.shape[1:]))
        piece = frames[start : start + kept]
        return ((piece - piece[0, 0] * np.array([1.0, 0.0, 1.0])) @ turn.T + noise).astype(np.float32)

    def validate(self) -> dict[str, float]:
        """Loss and accuracy on validation recordings."""
        if not len(self.val.classes):
            return {}
        scores = ActionClassifier(self.name, self.network, self.classes).classify_frames(self.val.frames).scores
        loss = F.cross_entropy(torch.from_numpy(scores), torch.from_numpy(self.val.classes))
        return {"loss": float(loss), "accuracy": accuracy(scores, self.val.classes)}


def held_out(items: dict[Item, str], one_in: int) -> set[Item]:
    """The items of every one_in-th trial of each class; none if it is 0."""
    groups: dict[str, Sequence[str]] = {}
    for name in set(items.values()):
        groups[name] = in_order(sorted({item.group for item, of in items.items() if of == name}))
    return {item for item, name in items.items() if one_in and item.group in groups[name][::one_in]}


def train(dataset: Dataset, budget: Budget, folder: Path, path: Path, settings: ClassifierTraining | None = None, *, name: str) -> None:
    """Train a classifier in `folder` (resumable), in single precision, and write its weights to `path`."""
    torch.manual_seed(budget.seed)
    task = ClassifierTask(name, dataset, settings or ClassifierTraining())
    fit(task, replace(budget, precision="no", average=0.99), folder, f"extractor {name}")
    save(name, task.network, task.classes, path)


train_gru = partial(train, name="multirate_gru")
train_stgcn = partial(train, name="multirate_stgcn")
