"""APE and AVE: average position error and average variance error of motions with the same texts, as TEMOS and its predecessors print them.

Pure functions. Motions are taken apart by the format that the caller gives; nothing here knows a corpus or a model.

Sources: Ghosh et al., Synthesis of Compositional Animations from Textual Descriptions, ICCV 2021, section 5; Petrovich et al., TEMOS,
ECCV 2022, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.rifke import Parts

KINDS = ("root", "traj", "mean_pose", "mean_joints")
"""The root; its path over the floor; joints in the heading of their frame; all joints."""


def average_errors(generated: Sequence[Parts], real: Sequence[Parts]) -> dict[str, float]:
    """{APE_root, APE_traj, APE_mean_pose, APE_mean_joints, AVE_...} of motions in pairs, each of at least 2 frames; in their unit.

    APE: mean distance over the frames of all motions. AVE: mean over motions of the distance of the variances over time (divisor T - 1).
    """
    if not generated or len(generated) != len(real):
        raise InputError(f"{len(generated)} generated and {len(real)} real motions; expected as many of both, at least one")
    frames = [len(of.root) for of in real]
    if frames != [len(of.root) for of in generated] or min(frames) < 2:
        raise InputError("pairs of generated and real motions with different numbers of frames, or fewer than 2; cut them to one length")
    errors = {}
    for kind in KINDS:
        pairs = [(_part(a, kind), _part(b, kind)) for a, b in zip(generated, real, strict=True)]
        errors[f"APE_{kind}"] = sum(_distance(a, b).sum() for a, b in pairs) / sum(frames)
        errors[f"AVE_{kind}"] = sum(_distance(a.var(axis=0, ddof=1), b.var(axis=0, ddof=1)) for a, b in pairs) / len(pairs)
    return {f"{error}_{kind}": float(errors[f"{error}_{kind}"]) for error in ("APE", "AVE") for kind in KINDS}


_PARTS: dict[str, Callable[[Parts], NDArray]] = {
    "root": lambda of: of.root[:, None],
    "traj": lambda of: of.root[:, None, [0, 2]],
    "mean_pose": lambda of: of.local,
    "mean_joints": lambda of: of.joints,
}


def _part(of: Parts, kind: str) -> NDArray[np.float64]:
    """[T, points, coordinates]."""
    return np.asarray(_PARTS[kind](of), dtype=np.float64)


def _distance(a: NDArray, b: NDArray) -> NDArray:
    """Mean over points of the distance: [..., points, coordinates] -> [...]."""
    return np.linalg.norm(a - b, axis=-1).mean(axis=-1)
