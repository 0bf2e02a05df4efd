"""The classifiers of `multirate` as metrics use them: weights in a file, features and scores of motions. They know no generator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from evaluators.extractors import Classified, Extractor
from evaluators.extractors.multirate import VERSION
from evaluators.extractors.multirate.networks import JointGraph, JointGru
from evaluators.extractors.multirate.seen import frames_of, padded
from nerm import checkpoint
from nerm.errors import InputError
from nerm.motion import Motion

NETWORKS: dict[str, Callable[[int], nn.Module]] = {"multirate_gru": JointGru, "multirate_stgcn": JointGraph}
"""Extractor -> its network for a number of classes."""


class ActionClassifier(Extractor):
    """A trained network and the names of its classes, frozen by the digest of its weights."""

    version = VERSION

    def __init__(self, name: str, network: nn.Module, classes: Sequence[str], digest: str = "untrained") -> None:
        self.name, self.classes, self.digest = name, tuple(classes), digest
        self.network = network.eval()

    def embed_motions(self, motions: Sequence[Motion]) -> NDArray[np.float32]:
        """Whole motions at any rate -> [n, D] features."""
        return self.classify(motions).features

    def classify(self, motions: Sequence[Motion], seed: int = 0) -> Classified:
        """Whole motions at any rate; their first 10 s count. Nothing is drawn, so the seed does not matter."""
        return self.classify_frames([frames_of(motion) for motion in motions])

    @torch.no_grad()
    def classify_frames(self, listed: Sequence[NDArray], batch: int = 64) -> Classified:
        """Frames [T_k, 22, 3] of `seen.frames_of`; motions of like length share a batch, answers are in input order."""
        order = np.argsort([-len(x) for x in listed], kind="stable")
        parts = [self.network(*padded([listed[k] for k in order[i : i + batch]])) for i in range(0, len(order), batch)]
        if not parts:
            raise InputError(f"no motion for the extractor '{self.name}'; give at least one")
        back = np.argsort(order)
        features, scores = (torch.cat(of).float().numpy()[back] for of in zip(*parts, strict=True))
        return Classified(features, scores)


def load(path: Path, name: str) -> ActionClassifier:
    """From a file that `save` wrote; the digest is the sha256 of the file."""
    file = checkpoint.read(path, name)
    try:
        if file.about["version"] != VERSION:
            raise checkpoint.another_version(file.path, f"file of the extractor '{name}'")
        network = NETWORKS[name](len(file.about["classes"]))
        network.load_state_dict(file.part(""))
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is no file of the extractor '{name}' ({reason}); train it again or download it again") from None
    return ActionClassifier(name, network, file.about["classes"], file.digest)


def save(name: str, network: nn.Module, classes: Sequence[str], path: Path) -> None:
    """Weights in half precision, statistics in single; written whole or not at all."""
    tensors = network.state_dict()
    exact = [key for key in tensors if "running" in key or key.endswith(("num_batches_tracked", ".A"))]
    checkpoint.write(path, name, tensors, {"classes": list(classes), "version": VERSION}, exact=exact)


load_gru = partial(load, name="multirate_gru")
load_stgcn = partial(load, name="multirate_stgcn")
