"""Where the extractor `guo` takes distances between whole motions: descriptors and a little of the learned embedding, whitened.

The learned space serves texts. As a metric space it is poor: it was trained to tell actions apart, and what no sentence mentions
(speed, sliding feet, half of the body of another person) hardly moves it. It knows arrays and motions; it knows no dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors.guo.whole import Whole
from evaluators.extractors.whitening import Whitening, fit_whitening

POSES = 4
"""Principal components of the mean pose that count."""
LEARNED = 8
"""Principal components of the learned embedding that count."""
WEIGHT = 64.0
"""Of what is no difference, as in `fit_whitening`. With 4, half a millimetre of noise brought motion that lacks it nearer to recordings, by
up to a sixth of its distance."""
STRETCH = 1.6
"""As in `fit_whitening`; the direction that is stretched is that of tempo."""


class Seen(NamedTuple):
    """What is seen of n motions: descriptors, and the learned embedding [n, E]."""

    whole: Whole
    learned: NDArray[np.float32]

    @property
    def columns(self) -> NDArray[np.float32]:
        """[n, D] everything side by side."""
        return np.concatenate([self.whole.pose, self.whole.rest, self.learned], axis=1)


def fit_space(real: Seen, changed: Sequence[Seen]) -> Whitening:
    """The whitening of `Seen.columns` of real motions. changed: the same motions with each of some changes that are no difference."""
    sizes = [block.shape[1] for block in (real.whole.pose, real.whole.rest, real.learned)]
    x = real.columns.astype(np.float64)
    mean = x.mean(0)
    pose, rest, learned = np.split(np.eye(sum(sizes)), np.cumsum(sizes)[:-1])
    kept = [_principal(real.whole.pose, POSES) @ pose, rest, _principal(real.learned, LEARNED) @ learned]
    project = np.concatenate(kept).T  # [D, K]
    stretched = np.concatenate([np.zeros(len(kept[0])), real.whole.tempo, np.zeros(len(kept[-1]))])
    moved = np.stack([(other.columns - mean) @ project for other in changed])
    whitening = fit_whitening((x - mean) @ project, moved, WEIGHT, stretched, STRETCH)
    return Whitening(mean.astype(np.float32), (project @ whitening.matrix).astype(np.float32))


def _principal(x: NDArray, count: int) -> NDArray[np.float64]:
    """[count, D] the directions in which x [n, D] varies most."""
    return np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:count].astype(np.float64)
