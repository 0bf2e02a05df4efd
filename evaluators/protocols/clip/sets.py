"""Which items count at a rate, how they are split in two, and which clips are cut from them. It knows no motion and no extractor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluators.items import in_order
from nerm.cli import choose
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.motion import frame_count

FRAMES = 32
POOL = 2200
"""Clips of a set that are embedded: half of them are still a thousand, and reference features stay below 8 MB."""
MATCHED_FPS = 120.0
SETS = ("matched", "all")
_TOLERANCE = 1e-6


def members(items: Sequence[Item], set_: str, fps: float) -> NDArray[np.int64]:
    """Places of the items of a set at a rate. matched: recorded at 120 fps or more, at every rate; all: recorded at fps or more.

    At a rate above the highest rate of the items, those of the highest rate count, read between their frames by a cubic. The reference then
    holds only what their own rate can hold.
    """
    choose("set", set_, SETS)
    lowest = min(fps, max((item.fps for item in items), default=fps))
    if set_ == "matched":
        lowest = max(MATCHED_FPS, lowest)
    return np.array([place for place, item in enumerate(items) if item.fps >= lowest - _TOLERANCE], dtype=np.int64)


def halves(items: Sequence[Item], places: NDArray, seed: int, replication: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places split in two by group, at random within each label, with about the same time on both sides; equal at rates with equal places.

    No group is on both sides, so the sides share no performance. The groups of a label go to the sides in pairs. Groups left over are
    paired in the alphabetical order of their labels. The sides then hold the same actions, so the floor measures how performances differ,
    and not which actions went where.
    """
    rng = np.random.default_rng([seed, replication, 1])
    seconds: dict[str, float] = {}
    labels: dict[str, tuple[str, str]] = {}
    for place in places:
        item = items[place]
        seconds[item.group] = seconds.get(item.group, 0.0) + item.seconds
        labels[item.group] = item.source, item.label
    if len(seconds) < 2:
        raise InputError(f"a set of {len(places)} items of {len(seconds)} groups; two groups are needed to compare halves")
    by_label: dict[tuple[str, str], list[str]] = {}
    names = in_order(list(seconds))
    for number in rng.permutation(len(names)):
        by_label.setdefault(labels[names[number]], []).append(names[number])
    ordered = [group for label in sorted(by_label) for group in by_label[label][: len(by_label[label]) // 2 * 2]]
    ordered += [by_label[label][-1] for label in sorted(by_label) if len(by_label[label]) % 2]
    pairs = [ordered[start : start + 2] for start in range(0, len(ordered), 2)]
    side: dict[str, int] = {}
    time = [0.0, 0.0]
    for number in rng.permutation(len(pairs)):
        lighter = 0 if time[0] <= time[1] else 1
        for group, of in zip(sorted(pairs[number], key=lambda group: -seconds[group]), (lighter, 1 - lighter), strict=False):
            side[group] = of
            time[of] += seconds[group]
    flip = int(rng.integers(2))  # the heavier half is on either side
    first = np.array([side[items[place].group] == flip for place in places])
    return places[first], places[~first]


@dataclass(frozen=True)
class Plan:
    """Which clips: the place of the item [P] and the first frame [P]. left_out: items that are shorter than a clip."""

    places: NDArray[np.int32]
    starts: NDArray[np.int32]
    left_out: int


def plan_clips(counts: Mapping[int, int], key: Sequence[int], size: int | None = None) -> Plan:
    """At most `size` (POOL) different clips, uniformly over (item, first frame). counts: place -> frames; key: of the draw."""
    places = np.array(sorted(counts), dtype=np.int64)
    possible = np.array([max(counts[place] - FRAMES + 1, 0) for place in places], dtype=np.int64)
    total = int(possible.sum())
    chosen = np.sort(np.random.default_rng([1, *key]).choice(total, min(size or POOL, total), replace=False))
    ends = np.cumsum(possible)
    number = np.searchsorted(ends, chosen, side="right")
    starts = chosen - (ends - possible)[number]
    return Plan(places[number].astype(np.int32), starts.astype(np.int32), int((possible == 0).sum()))


def set_plans(items: Sequence[Item], sets: Iterable[str], fps: float) -> dict[str, Plan]:
    """The clips of every set at a rate; sets with the same items there share them."""
    plans: dict[str, Plan] = {}
    by_places: dict[bytes, Plan] = {}
    for name in sets:
        places = members(items, name, fps)
        if places.tobytes() not in by_places:
            counts = {int(place): frame_count(items[place].seconds, fps) for place in places}
            by_places[places.tobytes()] = plan_clips(counts, [round(1000 * fps), len(places)])
        plans[name] = by_places[places.tobytes()]
    return plans


def first_set(plans: Mapping[str, Plan], name: str) -> str:
    """The set whose arrays serve a set: sets that share a plan share the arrays of the first of them."""
    return next(other for other, plan in plans.items() if plan is plans[name])


def unique_plans(plans: Mapping[str, Plan]) -> dict[str, Plan]:
    """Each plan once, under the first set that has it."""
    return {name: plan for name, plan in plans.items() if first_set(plans, name) == name}
