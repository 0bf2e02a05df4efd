"""The graph-convolutional action classifiers as metrics use them: motions to features and class scores.

They know joints, rotations and frame rates; they know no generator and no dataset. Results are in input order and do not depend on batches:
the network has no mask, so that only motions of one length share a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluators.extractors import Classified, Extractor
from evaluators.extractors.action_gru.extractor import HUMANACT12_FPS
from evaluators.extractors.stgcn import VERSION
from evaluators.extractors.stgcn.joints15 import IN_SMPL, ROOT
from evaluators.extractors.stgcn.network import Stgcn, load_official
from nerm import checkpoint
from nerm.data.actions.labels import HUMANACT12, UESTC
from nerm.errors import InputError
from nerm.motion import Motion, resample
from nerm.motion.actions import FORMAT, rotations_of_frames
from nerm.motion.rotations import rows6d
from nerm.motion.skeleton import SMPL22, SMPL24

Reads = Callable[[Motion], NDArray]
"""(motion) -> [T, joints, numbers of a joint]."""


class StgcnExtractor(Extractor):
    """A trained classifier. What it reads of a motion is a function, so that one class serves rotations and positions."""

    version = VERSION

    def __init__(
        self, name: str, network: Stgcn, read: Reads, digest: str = "untrained", classes: Sequence[str] = (), reads: str = ""
    ) -> None:
        """read: see `Reads`.  reads: the format whose features `read` takes unchanged."""
        self.name, self.network, self.read, self.digest, self.reads = name, network.eval(), read, digest, reads
        self.classes = tuple(classes) or tuple(map(str, range(network.config.classes)))

    @torch.no_grad()
    def classify(self, motions: Sequence[Motion], seed: int = 0, batch: int = 64) -> Classified:
        """Motions -> features [n, D] and scores [n, classes]. Nothing is drawn here: the seed has no effect."""
        config = self.network.config
        inputs = [torch.from_numpy(self.read(motion).astype(np.float32)) for motion in motions]
        features = np.empty((len(inputs), config.channels[-1]), np.float32)
        scores = np.empty((len(inputs), config.classes), np.float32)
        lengths = np.array([len(x) for x in inputs])
        for length in np.unique(lengths):
            same = np.flatnonzero(lengths == length)
            for start in range(0, len(same), batch):
                part = same[start : start + batch]
                x = torch.stack([inputs[index] for index in part]).permute(0, 2, 3, 1)
                features[part], scores[part] = self.network(x)
        return Classified(features, scores)


def rotations_of_24(motion: Motion) -> NDArray:
    """[T, 24, 6] rows of the rotations: those of a system's features, else those of the motion. Frames are taken as they are."""
    if motion.features is not None and motion.features.format == FORMAT:
        return rotations_of_frames(motion.features.values)
    if motion.skeleton.names != SMPL24.names or motion.rotations is None:
        lacks = "without rotations" if motion.rotations is None else f"with rotations of {len(motion.skeleton)} joints"
        raise InputError(f"motion {lacks}; 'uestc_stgcn' reads rotations of the 24 joints of SMPL, which joint positions do not determine")
    return rows6d(motion.rotations)


def positions_of_15(motion: Motion) -> NDArray:
    """[T, 15, 3] positions relative to the root of the same frame, at the rate of HumanAct12 (cubic, point values)."""
    if motion.skeleton.names not in (SMPL22.names, SMPL24.names):
        raise InputError(f"motion on skeleton '{motion.skeleton.name}'; 'modi_stgcn' reads 15 of the joints of SMPL (22 or 24)")
    joints = resample(motion, HUMANACT12_FPS, "cubic", "sample").joints[:, IN_SMPL]
    return joints - joints[:, ROOT : ROOT + 1]


def load_uestc(path: Path) -> StgcnExtractor:
    """From the official file; the digest is the sha256 of the file."""
    return StgcnExtractor("uestc_stgcn", load_official(path), rotations_of_24, checkpoint.sha256(path), UESTC, FORMAT)


def load_modi(path: Path) -> StgcnExtractor:
    """From the official file; the digest is the sha256 of the file."""
    return StgcnExtractor("modi_stgcn", load_official(path), positions_of_15, checkpoint.sha256(path), HUMANACT12)
