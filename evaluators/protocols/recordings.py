"""The recordings that a frame-rate table is about: test windows of a corpus with what a generator is told of them. No motion.

Knows how sets, halves and seeds are drawn; knows no extractor, metric or system.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nerm.cli import choose
from nerm.errors import InputError

if TYPE_CHECKING:
    from nerm.data.corpus import Corpus

BASE_FPS = 20.0
"""The rate that others are compared with. A recording counts up to its last multiple of 1/20 s: every row covers the same time."""
MATCHED_FPS = 120.0
SETS = ("matched", "all")
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Recording:
    """A test window. window, trial: ids of the corpus.  seconds: what of it counts.  fps: of the recording.  caption: its test sentence."""

    window: int
    trial: int
    label: str
    source: str
    seconds: float
    fps: float
    caption: str


def recordings(corpus: Corpus, split: str = "test") -> list[Recording]:
    """The windows of a split. A window without a label has the caption ''."""
    from nerm.data.captions import load_captions

    captions = load_captions()
    rows = corpus.select(split)
    return [
        Recording(
            int(row.Index),
            int(row.trial),
            row.label,
            row.source,
            float(np.floor((row.end - row.start - 1) / row.fps * BASE_FPS + _TOLERANCE) / BASE_FPS),
            float(row.fps),
            captions.test_sentence(row.label) if row.label else "",
        )
        for row in rows.itertuples()
    ]


def members(listed: Sequence[Recording], set_: str, fps: float) -> NDArray[np.int64]:
    """Rows of the recordings of a set at a rate. matched: native rate >= 120 at every rate; all: native rate >= fps."""
    choose("set", set_, SETS)
    lowest = max(MATCHED_FPS, fps) if set_ == "matched" else fps
    return np.array([row for row, recording in enumerate(listed) if recording.fps >= lowest - _TOLERANCE], dtype=np.int64)


def halves(listed: Sequence[Recording], rows: NDArray, seed: int, replication: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows split in two by trial, at random within each label, with about the same time on both sides; equal at rates with equal rows.

    No trial is on both sides: what is compared shares no performance. The trials of a label go to the sides in pairs, and those left over
    with the nearest label in the alphabet, so that the sides hold the same actions: the floor is then what performances differ by, and not
    what was sorted where.
    """
    rng = np.random.default_rng([seed, replication, 1])
    seconds: dict[int, float] = {}
    labels: dict[int, tuple[str, str]] = {}
    for row in rows:
        trial = listed[row].trial
        seconds[trial] = seconds.get(trial, 0.0) + listed[row].seconds
        labels[trial] = listed[row].source, listed[row].label
    if len(seconds) < 2:
        raise InputError(f"a set of {len(rows)} recordings of {len(seconds)} trials; two trials are needed to compare halves")
    groups: dict[tuple[str, str], list[int]] = {}
    for trial in rng.permutation(sorted(seconds)).tolist():
        groups.setdefault(labels[trial], []).append(trial)
    ordered = [trial for label in sorted(groups) for trial in groups[label][: len(groups[label]) // 2 * 2]]
    ordered += [groups[label][-1] for label in sorted(groups) if len(groups[label]) % 2]
    pairs = [ordered[start : start + 2] for start in range(0, len(ordered), 2)]
    side: dict[int, int] = {}
    time = [0.0, 0.0]
    for place in rng.permutation(len(pairs)):
        lighter = 0 if time[0] <= time[1] else 1
        for trial, of in zip(sorted(pairs[place], key=lambda trial: -seconds[trial]), (lighter, 1 - lighter), strict=False):
            side[trial] = of
            time[of] += seconds[trial]
    flip = int(rng.integers(2))  # the heavier half is on either side
    first = np.array([side[listed[row].trial] == flip for row in rows])
    return rows[first], rows[~first]


def sample_seed(seed: int, recording: Recording, index: int) -> int:
    """The seed of the index-th motion for a recording: the same at every rate, so that every rate reads the same latents."""
    return int(np.random.SeedSequence([seed, recording.window, index]).generate_state(1)[0])
