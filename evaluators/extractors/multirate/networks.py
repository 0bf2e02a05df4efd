"""The two networks that tell the actions of `multirate` apart, with the architecture of the published classifiers in a size of their own.

Both take joints [n, T, 22, 3] of `seen.padded` at 20 fps and the frames of each, and give features and class scores. The graph network
looks at every second frame, in windows of 4.8 s, and takes the mean over them. They know no class by name.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evaluators.extractors.action_gru.network import ActionGru, ActionGruConfig
from evaluators.extractors.multirate.seen import relative
from evaluators.extractors.stgcn.joints15 import CENTRE, EDGES, IN_SMPL
from evaluators.extractors.stgcn.network import Stgcn, StgcnConfig, partitions

EVERY = 2
"""The graph network sees every second frame: 10 fps."""
WINDOW = 48
"""Those that it sees at once; shorter motions stand still at their end."""
STEP = 24


class JointGru(nn.Module):
    """2 x 128 recurrent units on 22 joints; 30 features at the last frame."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = ActionGru(ActionGruConfig(inputs=66, classes=classes))

    def forward(self, joints: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """joints: [n, T, 22, 3], lengths: [n] -> features [n, 30], scores [n, classes]."""
        return self.network(relative(joints).flatten(2), lengths)


class JointGraph(nn.Module):
    """Graph convolutions over the 15 joints that MoDi looks at; 48 features."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        config = StgcnConfig(
            joints=len(IN_SMPL), inputs=3, classes=classes, channels=(24, 24, 32, 32, 48, 48), strides=(1, 2, 1, 2, 1, 1), dropout=0.1
        )
        self.network = Stgcn(config, partitions(EDGES, len(IN_SMPL), CENTRE, known_hops=len(IN_SMPL)))

    def forward(self, joints: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """joints: [n, T, 22, 3], lengths: [n] -> features [n, 48], scores [n, classes]: means over windows that cover the motion."""
        windows, owner = windows_of(relative(joints)[:, ::EVERY, IN_SMPL], (lengths + EVERY - 1) // EVERY)
        features, scores = self.network(windows.permute(0, 2, 3, 1))
        return _means(features, owner, len(joints)), _means(scores, owner, len(joints))


def windows_of(joints: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """[w, WINDOW, J, 3] windows, and [w] the motion of each: every STEP frames, the last one at the end of the motion."""
    short = WINDOW - joints.shape[1]
    if short > 0:
        joints = torch.cat([joints, joints[:, -1:].expand(-1, short, -1, -1)], 1)
    starts = [[*range(0, max(int(n) - WINDOW, 0), STEP), max(int(n) - WINDOW, 0)] for n in lengths]
    owner = torch.tensor([motion for motion, of in enumerate(starts) for _ in of])
    frame = torch.tensor([start for of in starts for start in of])[:, None] + torch.arange(WINDOW)
    return joints[owner[:, None], frame], owner


def _means(x: Tensor, owner: Tensor, count: int) -> Tensor:
    """[count, D] means of the rows of x [w, D] of each owner."""
    total = x.new_zeros(count, x.shape[1]).index_add(0, owner, x)
    return total / torch.bincount(owner, minlength=count)[:, None]
