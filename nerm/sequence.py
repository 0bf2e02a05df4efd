"""Several sentences in a row, and motions longer than a code holds: parts that overlap, each made to begin as the one before it ends.

A part is sampled after the one before it. In every step of its denoising the code is moved, by as little as possible, to one whose first
second is the last second of the part before. What is left of the difference is spread over that second. Then the legs say where the
body goes (nerm.stance), over the whole motion at once. All of it is a function of time that is read at any rate. (Parts that are made to
agree where they overlap: DoubleTake, Shafir et al., ICLR 2024; FlowMDM, Barquero et al., CVPR 2024.)

It knows codes as numbers and joints in time; it knows no sentence and no network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nerm.errors import InputError
from nerm.motion.resample import slerp
from nerm.motion.skeleton import Skeleton, bone_directions, heading, joints_from_directions, yaw_matrix

OVERLAP_S = 1.0
"""How long two parts overlap: half of it before the moment at which one sentence ends and the next begins, half of it after."""
LONGEST_S = 60.0
"""Of a whole sequence."""
MATCHED = 8
"""Moments of the overlap at which a part is compared with the one before it."""
NEAR_M = 0.1
"""How far a joint may be from where the part before has it, in metres, for as much as a code may be from where denoising wants it."""
_ITERATIONS = 20

NEXT_SEED = 1_000_003
"""Between the seeds of two parts, so that the sequences of neighbouring seeds share no part."""

Joints = Callable[[NDArray], NDArray]
"""Times [n] s -> joints [n, J, 3] m."""
Make = Callable[[int, float, int, "Beginning | None"], Joints]
"""(place of the sentence, seconds, seed, what to begin with) -> the joints of a part in its own frame."""


@dataclass(frozen=True)
class Span:
    """The time of a part, in seconds of the whole sequence. item: place of its sentence."""

    item: int
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


def spans_of(seconds: Sequence[float], longest_s: float) -> list[Span]:
    """The parts of a sequence of items that last seconds [n]. longest_s: of a part; an item that lasts longer has several.

    Parts meet at the ends of their items and overlap there by OVERLAP_S.
    """
    several = len(seconds) > 1
    for length in seconds:
        if not length > 0 or (several and length < OVERLAP_S):
            shortest = f"at least {OVERLAP_S:g}, since parts overlap by as much" if several else "more than 0"
            raise InputError(f"seconds={length:g}; expected {shortest}")
    if sum(seconds) > LONGEST_S:
        raise InputError(f"seconds={sum(seconds):g} in all; a motion lasts at most {LONGEST_S:g} s: ask for several motions")
    if not several and seconds[0] <= longest_s:
        return [Span(0, 0.0, float(seconds[0]))]
    counts = [ceil(length / (longest_s - OVERLAP_S) - 1e-9) for length in seconds]
    edges = [0.0]
    items = []
    for item, (length, count) in enumerate(zip(seconds, counts, strict=True)):
        begun = edges[-1]
        edges += [begun + length * (number + 1) / count for number in range(count)]
        items += [item] * count
    last = len(items) - 1
    half = OVERLAP_S / 2
    return [Span(item, edges[place] - half * (place > 0), edges[place + 1] + half * (place < last)) for place, item in enumerate(items)]


@dataclass(frozen=True)
class Beginning:
    """What a part has to begin with, in its own frame: it starts above the origin and faces +z.

    times: [m] s from its start.  joints: [m, J, 3] m.  yaw, at: of its start in the world of the sequence.
    """

    times: NDArray[np.float64]
    joints: NDArray[np.float64]
    yaw: float = 0.0
    at: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True)
class Placed:
    """A part in the world of the sequence. joints: of the part, at times from its own start.  yaw, at: of its start in the world."""

    span: Span
    joints: Joints
    yaw: float
    at: NDArray[np.float64]

    def world(self, times: NDArray) -> NDArray[np.float64]:
        """Joints [n, J, 3] at times [n] of the sequence."""
        return self.joints(times - self.span.start) @ yaw_matrix(self.yaw).T + self.at

    def beginning(self, start: float, skeleton: Skeleton) -> Beginning:
        """What the next part begins with, which starts at a time of the sequence: what this one does from there."""
        times = np.linspace(0, OVERLAP_S, MATCHED)
        joints = self.world(start + times)
        yaw, at = float(heading(joints[0], skeleton)), joints[0, 0] * (1.0, 0.0, 1.0)
        return Beginning(times, (joints - at) @ yaw_matrix(yaw), yaw, at)


def toward(joints: Callable[[Tensor], Tensor], wanted: Tensor, y: Tensor) -> Tensor:
    """The code near y [d] that has the joints wanted [m, J, 3]: the minimum of |joints(y') - wanted|^2 / NEAR_M^2 + |y' - y|^2, where the
    first is the sum over joints' mean square distance.

    joints: [d] -> [m, J, 3] m, differentiable.
    """
    moved = y.clone().requires_grad_()
    method = torch.optim.LBFGS([moved], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        method.zero_grad()
        away = (joints(moved) - wanted).square().sum((0, -1)).mean() / NEAR_M**2 + (moved - y).square().sum()
        away.backward()
        return away

    with torch.enable_grad():
        method.step(loss)
    return moved.detach()


def parts_of(seconds: Sequence[float], longest_s: float, seed: int, make: Make, skeleton: Skeleton) -> list[Placed]:
    """The parts of a sequence, one after the other. make: (place of the sentence, seconds, seed, beginning or None) -> joints of a part."""
    parts: list[Placed] = []
    for number, span in enumerate(spans_of(seconds, longest_s)):
        beginning = parts[-1].beginning(span.start, skeleton) if parts else None
        joints = make(span.item, span.seconds, seed + number * NEXT_SEED, beginning)
        parts.append(Placed(span, joints, *((beginning.yaw, beginning.at) if beginning else (0.0, np.zeros(3)))))
    return parts


def joined(parts: Sequence[Placed], times: NDArray, skeleton: Skeleton) -> NDArray[np.float64]:
    """The joints [n, J, 3] of a whole sequence at times [n]; where two parts overlap one goes over into the other.

    Several parts have the skeleton's bone lengths: one that is a mirror image has those of the other side.
    """
    made = np.zeros((len(times), len(skeleton), 3))
    for place, part in enumerate(parts):
        within = (times >= part.span.start - 1e-9) & (times <= part.span.end + 1e-9)
        joints = part.world(np.clip(times[within], part.span.start, part.span.end))
        if place:
            share = np.clip((times[within] - part.span.start) / OVERLAP_S, 0.0, 1.0)
            joints = _between(made[within], joints, (share * share * (3 - 2 * share))[:, None, None], skeleton)
        elif len(parts) > 1:
            joints = joints_from_directions(joints[:, 0], bone_directions(joints, skeleton), skeleton)
        made[within] = joints
    return made


def _between(first: NDArray, second: NDArray, share: NDArray, skeleton: Skeleton) -> NDArray[np.float64]:
    """Between two poses [n, J, 3], by share [n, 1, 1]: directions on the great circle, root linear."""
    directions = bone_directions(second, skeleton)
    going = share[:, 0, 0] < 1  # beyond the overlap there is no first pose
    directions[going] = slerp(bone_directions(first[going], skeleton), directions[going], share[going])
    root = first[:, 0] + share[:, 0] * (second[:, 0] - first[:, 0])
    return joints_from_directions(root, directions, skeleton)
