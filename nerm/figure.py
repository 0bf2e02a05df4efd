"""A motion as something to look at: its floor, its limbs with sides and widths, where a camera that follows it looks, when its feet stand.

It knows motions, and neither pixels nor pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from nerm.errors import InputError
from nerm.motion.feet import LEGS, contacts, has_legs
from nerm.motion.motion import Motion
from nerm.motion.skeleton import heading

FOLLOW_S = 0.4
HEAD_M = 0.1
INK = {"left": (46, 117, 182), "right": (214, 92, 46), "middle": (104, 112, 124)}
_FLOOR_M = 0.25
_WIDEST_M, _SLIMMEST_M = 0.085, 0.022
# Radius in metres of the limb that ends at a joint; limbs of other names are as thick as a share of their length.
_RADII = {
    "knee": 0.065, "ankle": 0.048, "foot": 0.036, "hip": 0.075, "spine1": 0.085, "spine2": 0.085, "spine3": 0.085, "neck": 0.06,
    "collar": 0.055, "head": 0.045, "shoulder": 0.052, "elbow": 0.042, "wrist": 0.034, "hand": 0.03,
}  # fmt: skip


class Limb(NamedTuple):
    """Between two joints. side: left, right or middle."""

    parent: int
    child: int
    side: str
    radius_m: float


@dataclass(frozen=True)
class Figure:
    """One motion with its title and a line about where it comes from."""

    motion: Motion = field(repr=False)
    title: str = ""
    about: str = ""

    @cached_property
    def floor(self) -> float:
        """Height of the ground: 0, unless the motion plainly stands elsewhere."""
        lowest = float(np.percentile(self.motion.joints[..., 1].min(axis=-1), 5))
        return 0.0 if abs(lowest) < _FLOOR_M else lowest

    @cached_property
    def yaw(self) -> float:
        """The first heading in radians; 0 for a skeleton that does not tell where it faces."""
        try:
            return float(heading(self.motion.joints[0].astype(np.float64), self.motion.skeleton))
        except InputError:
            return 0.0

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """[T, 3] the point that a camera follows: under the root, smoothed in time."""
        targets = self.motion.root.astype(np.float64).copy()
        targets[:, 1] = self.floor
        return gaussian_filter1d(targets, FOLLOW_S * self.motion.fps, axis=0, mode="nearest")

    @cached_property
    def limbs(self) -> list[Limb]:
        skeleton = self.motion.skeleton
        lengths = np.linalg.norm(self.motion.joints[0, 1:] - self.motion.joints[0, list(skeleton.parents[1:])], axis=-1)
        return [
            Limb(parent, child, _side(skeleton.names[child]), _radius(skeleton.names[child], float(lengths[child - 1])))
            for child, parent in enumerate(skeleton.parents)
            if parent >= 0
        ]

    @cached_property
    def head(self) -> int | None:
        """The joint of that name."""
        return next((joint for joint, name in enumerate(self.motion.skeleton.names) if name.lower() == "head"), None)

    @cached_property
    def toes(self) -> list[int]:
        """The left and the right toe; empty for a skeleton without legs."""
        skeleton = self.motion.skeleton
        return [skeleton.index(leg[-1]) for leg in LEGS] if has_legs(skeleton) else []

    @cached_property
    def stands(self) -> list[list[tuple[float, float]]]:
        """For each of `toes`: from when to when it is on the floor, in seconds."""
        return contacts(self.motion) if self.toes else []

    def frame(self, time: float) -> int:
        """The latest frame at a time in seconds."""
        return min(int(np.floor(time * self.motion.fps + 1e-6)), len(self.motion) - 1)


def figures(motions: Sequence[Motion], titles: Sequence[str] | None = None, about: Sequence[str] | None = None) -> list[Figure]:
    """One each. titles: none for one motion and its rate for several, where not given."""
    if not motions:
        raise InputError("no motion to draw; give at least one")
    for name, given in (("titles", titles), ("lines about them", about)):
        if given is not None and len(given) != len(motions):
            raise InputError(f"{len(given)} {name} for {len(motions)} motions; expected one each")
    if titles is None:
        titles = [""] if len(motions) == 1 else [f"{motion.fps:g} fps" for motion in motions]
    return [Figure(*each) for each in zip(motions, titles, about or [""] * len(motions), strict=True)]


def _side(name: str) -> str:
    """Of the limb that ends at a joint; hips and collars are of the trunk."""
    name = name.lower()
    if name.endswith(("hip", "collar")):
        return "middle"
    if name.startswith(("l_", "left")):
        return "left"
    return "right" if name.startswith(("r_", "right")) else "middle"


def _radius(name: str, length_m: float) -> float:
    known = _RADII.get(name.lower().removeprefix("l_").removeprefix("r_"))
    return known if known is not None else float(np.clip(0.18 * length_m, _SLIMMEST_M, _WIDEST_M))
