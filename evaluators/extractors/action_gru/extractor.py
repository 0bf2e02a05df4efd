"""The recurrent action classifiers as metrics use them: motions to features and class scores.

They know joints and frame rates; they know no generator and no dataset. Results are in input order and do not depend on batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from evaluators.extractors import Classified, Extractor
from evaluators.extractors.action_gru import VERSION
from evaluators.extractors.action_gru.network import ActionGru, load_official
from nerm import checkpoint
from nerm.data.actions.labels import HUMANACT12
from nerm.errors import InputError
from nerm.motion import Motion, resample
from nerm.motion.actions import FORMAT, positions_of_frames
from nerm.motion.skeleton import SMPL24, Skeleton
from nerm.motion.smpl import T_POSE

HUMANACT12_FPS = 20.0
"""The files of HumanAct12 state no rate; this is the one at which ACTOR shows them."""


class ActionGruExtractor(Extractor):
    """A trained classifier on the positions of all joints, relative to the root of the first frame.

    Features of the action data that came with a motion are taken before its joints: these are turned to stand upright, and those are not.
    """

    version = VERSION

    def __init__(
        self,
        name: str,
        network: ActionGru,
        digest: str = "untrained",
        classes: Sequence[str] = (),
        fps: float | None = None,
        random_state: bool = True,
        body: Skeleton = T_POSE,
    ) -> None:
        """fps: the rate that it was trained at, which other motions are brought to (cubic, point values); None takes frames as they are.

        random_state: start each motion from a random state, as the published code does by accident, or from zeros.
        body: rest offsets of the 24 joints for features; the published figures need those of the SMPL model, which does not ship.
        """
        self.name, self.network, self.digest, self.fps = name, network.eval(), digest, fps
        self.random_state, self.body = random_state, body
        self.reads = FORMAT if network.config.inputs == 3 * len(SMPL24) else ""
        self.classes = tuple(classes) or tuple(map(str, range(network.config.classes)))

    @torch.no_grad()
    def classify(self, motions: Sequence[Motion], seed: int = 0, batch: int = 256) -> Classified:
        """Motions of the network's joints -> features [n, 30] and scores [n, classes]. seed: of the initial states."""
        config = self.network.config
        frames = [self._frames(motion) for motion in motions]
        hidden = self.network.random_hidden(len(frames), torch.Generator().manual_seed(seed)) if self.random_state else None
        features = np.empty((len(frames), config.features), np.float32)
        scores = np.empty((len(frames), config.classes), np.float32)
        for start in range(0, len(frames), batch):
            part = frames[start : start + batch]
            lengths = torch.tensor([len(x) for x in part])
            state = None if hidden is None else hidden[:, start : start + batch].contiguous()
            here = slice(start, start + len(part))
            features[here], scores[here] = self.network(pad_sequence(part, batch_first=True), lengths, state)
        return Classified(features, scores)

    def _frames(self, motion: Motion) -> torch.Tensor:
        """[T, inputs] positions, joint by joint, the first root at the origin."""
        if motion.features is not None and motion.features.format == self.reads:
            return _from_origin(positions_of_frames(motion.features.values, self.body))
        joints = self.network.config.inputs // 3
        known = SMPL24.names if joints == len(SMPL24) else motion.skeleton.names
        if len(motion.skeleton) != joints or motion.skeleton.names != known:
            raise InputError(
                f"motion on skeleton '{motion.skeleton.name}' of {len(motion.skeleton)} joints; extractor '{self.name}' was trained on "
                f"{f'the joints of {SMPL24.name!r}' if joints == len(SMPL24) else f'{joints} joints'}, and nothing converts between them"
            )
        at_rate = motion if self.fps is None else resample(motion, self.fps, "cubic", "sample")
        return _from_origin(at_rate.joints)


def _from_origin(joints: NDArray) -> torch.Tensor:
    """[T, J, 3] -> [T, 3 J] with the root of the first frame at the origin."""
    return torch.from_numpy((joints - joints[0, 0]).astype(np.float32)).flatten(1)


def load(name: str, classes: Sequence[str], fps: float | None, path: Path) -> ActionGruExtractor:
    """From an official file; the digest is the sha256 of the file."""
    return ActionGruExtractor(name, load_official(path), checkpoint.sha256(path), classes, fps)


load_humanact12_gru = partial(load, "humanact12_gru", HUMANACT12, HUMANACT12_FPS)
load_humanact34_gru = partial(load, "humanact34_gru", (), HUMANACT12_FPS)
load_ntu13_gru = partial(load, "ntu13_gru", (), None)
load_cmu8_gru = partial(load, "cmu8_gru", (), None)
