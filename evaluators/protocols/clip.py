"""clip_fid v2: clips of 32 frames at the rate asked for, real against a row of the table, and what else is measured at that rate.

A replication splits the trials of a set in two, within labels (version 1: at random). The real side is drawn from one half; the row's
side is what the row has for the recordings of the other half (the recording itself, damaged or not, or motion generated for its caption
and length). Every row is therefore compared exactly as the floor is (`real`: real clips of one half against real clips of the other), so
value minus floor is what the row adds. Halves and clips of a replication are the same for every row.

Measuring (motion -> arrays) is apart from scoring (arrays -> records): arrays can be cached and shipped, motion is neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics import metric
from evaluators.protocols.recordings import BASE_FPS, Recording, halves, members
from nerm.errors import InputError
from nerm.motion import Motion, frame_count

if TYPE_CHECKING:
    from evaluators.protocols.reference import Reference

PROTOCOL, VERSION = "clip", 2
FRAMES = 32
CLIPS = 1000
POOL = 2200
"""Clips of a set that are embedded: a half of it still holds a thousand, and reference features stay below 8 MB."""
TEXT_EXTRACTOR = "guo"
PHYSICAL = (
    "foot_skate",
    "foot_skate_ratio",
    "contact_ratio",
    "penetration",
    "float",
    "velocity",
    "acceleration",
    "jerk",
    "band_energy",
)
Record = dict[str, Any]


class Extractor(Protocol):
    """Embeds clips; the text-motion one (TEXT_EXTRACTOR) embeds motions and texts too."""

    name: str
    digest: str
    version: int

    def embed_clips(self, joints: NDArray, fps: float) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Plan:
    """Which clips: the row of the recording [P] and the first frame [P]. left_out: recordings that are shorter than a clip."""

    rows: NDArray[np.int32]
    starts: NDArray[np.int32]
    left_out: int


@dataclass(frozen=True)
class Measured:
    """All that is kept of one row of the table at one rate.

    rows: [R] recordings it has motion for, sorted.  plans: set -> its clips.  arrays: one dict of `measure` per motion of a recording.
    paired: False if its motions belong to no recording (rows is then a mere count): all of them then stand against either half.
    """

    fps: float
    rows: NDArray[np.int64]
    plans: Mapping[str, Plan]
    arrays: Sequence[Mapping[str, NDArray]]
    paired: bool = True

    def able(self, set_: str, half: NDArray) -> NDArray[np.int64]:
        """The clips of a set that may be drawn for a half of the recordings."""
        rows = self.plans[set_].rows
        return np.flatnonzero(np.isin(rows, half)) if self.paired else np.arange(len(rows))

    def of_set(self, listed: Sequence[Recording], set_: str) -> NDArray[np.int64]:
        """Its rows that are in a set; without pairs all of them."""
        return np.intersect1d(members(listed, set_, self.fps), self.rows) if self.paired else self.rows

    def stack(self, key: str) -> NDArray:
        """[K, ...] the array of that name over all seeds."""
        return np.stack([arrays[key] for arrays in self.arrays]).astype(np.float64)


def plan_clips(counts: Mapping[int, int], key: Sequence[int], size: int | None = None) -> Plan:
    """At most `size` (POOL) different clips, uniformly over (recording, first frame). counts: recording row -> frames; key: of the draw."""
    rows = np.array(sorted(counts), dtype=np.int64)
    possible = np.array([max(counts[row] - FRAMES + 1, 0) for row in rows], dtype=np.int64)
    total = int(possible.sum())
    chosen = np.sort(np.random.default_rng([1, *key]).choice(total, min(size or POOL, total), replace=False))
    ends = np.cumsum(possible)
    place = np.searchsorted(ends, chosen, side="right")
    starts = chosen - (ends - possible)[place]
    return Plan(rows[place].astype(np.int32), starts.astype(np.int32), int((possible == 0).sum()))


def set_plans(listed: Sequence[Recording], sets: Iterable[str], fps: float) -> dict[str, Plan]:
    """The clips of every set at a rate; sets with the same recordings there share them."""
    plans: dict[str, Plan] = {}
    known: dict[bytes, Plan] = {}
    for name in sets:
        rows = members(listed, name, fps)
        if rows.tobytes() not in known:
            counts = {int(row): frame_count(listed[row].seconds, fps) for row in rows}
            known[rows.tobytes()] = plan_clips(counts, [round(1000 * fps), len(rows)])
        plans[name] = known[rows.tobytes()]
    return plans


# --- measuring ------------------------------------------------------------------------------------------------------------------------


def measure(
    motions: Mapping[int, Motion], plans: Mapping[str, Plan], fps: float, extractors: Mapping[str, Extractor]
) -> dict[str, NDArray]:
    """Arrays of the motions (recording row -> motion at fps).

    `clips/<set>/<extractor>` [P, D]; `physical` [R, 9] in the order of PHYSICAL, NaN where not defined; `spectrum` [2, F] (hz; mean power
    density of acceleration over motions); at 20 fps `motions/guo` [R, D]. Sets that share a plan share the array of the first.
    """
    from evaluators.metrics.physical import BAND_LOWEST_FPS, PER_MOTION, acceleration_spectrum

    found: dict[str, NDArray] = {}
    for name, plan in unique_plans(plans).items():
        clips = np.stack([motions[int(row)].joints[start : start + FRAMES] for row, start in zip(plan.rows, plan.starts, strict=True)])
        for extractor in extractors.values():
            found[f"clips/{name}/{extractor.name}"] = extractor.embed_clips(clips, fps)
    listed = [motions[row] for row in sorted(motions)]
    able = [name != "band_energy" or fps >= BAND_LOWEST_FPS for name in PHYSICAL]
    values = [[PER_MOTION[name](m) if ok else np.nan for name, ok in zip(PHYSICAL, able, strict=True)] for m in listed]
    found["physical"] = np.array(values, dtype=np.float32)
    spectra = [acceleration_spectrum(m.joints, m.fps) for m in listed if len(m) >= FRAMES]
    found["spectrum"] = np.stack([spectra[0][0], np.mean([density for _, density in spectra], axis=0)]).astype(np.float32)
    if fps == BASE_FPS and TEXT_EXTRACTOR in extractors:
        found[f"motions/{TEXT_EXTRACTOR}"] = extractors[TEXT_EXTRACTOR].embed_motions(listed)  # type: ignore[attr-defined]
    return found


def unique_plans(plans: Mapping[str, Plan]) -> dict[str, Plan]:
    """Each plan once, under the first set that has it."""
    return {name: plan for name, plan in plans.items() if first_set(plans, name) == name}


def first_set(plans: Mapping[str, Plan], name: str) -> str:
    """The set under which the arrays of a set's plan are kept."""
    return next(other for other, plan in plans.items() if plan is plans[name])


# --- scoring --------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Draw:
    """How a run repeats. anew: the k-th replication uses the k-th motion of each recording; else a random one of them."""

    replications: int
    seed: int = 0
    anew: bool = False

    def pick(self, replication: int, recordings: int, seeds: int) -> NDArray[np.int64]:
        """[recordings] which motion of each recording."""
        if self.anew:
            return np.full(recordings, replication % seeds)
        return np.random.default_rng([self.seed, replication, 4]).integers(seeds, size=recordings)


def score(
    row: Measured, reference: Reference, sets: Sequence[str], extractors: Sequence[str], draw: Draw, upsampling: str = ""
) -> list[Record]:
    """The records of a row at its rate: every metric that is defined there. The floor's row is the reference's own `measured(fps)`."""
    real = reference.measured(row.fps)
    found: list[Record] = []
    for set_ in sets:
        if len(row.plans[set_].rows) == 0:
            continue
        shared = {"fps": row.fps, "set": set_, "protocol": PROTOCOL, "protocol_version": VERSION, "upsampling": upsampling}
        of_set = list(_clip_records(row, real, reference, set_, extractors, draw))
        if not found:  # physical quantities are for comparing rates, and so for one set alone
            of_set += _physical_records(row, real, reference, set_, draw)
        if row.fps == BASE_FPS and TEXT_EXTRACTOR in extractors:
            of_set += _motion_records(row, real, reference, set_, draw)
        found += [shared | {"version": metric(record["metric"]).version} | record for record in of_set]
    return found


def _clip_records(
    row: Measured, real: Measured, reference: Reference, set_: str, extractors: Sequence[str], draw: Draw
) -> Iterable[Record]:
    from evaluators.metrics.distribution import frechet, precision_recall

    listed = reference.recordings
    of_row = row.plans[set_].rows
    for name in extractors:
        x, y = (side.stack(f"clips/{first_set(side.plans, set_)}/{name}") for side in (real, row))
        for replication in range(draw.replications):
            first, second = halves(listed, members(listed, set_, row.fps), draw.seed, replication)
            rng = np.random.default_rng([draw.seed, replication, 2])
            chosen = _choose(rng, real.able(set_, first)), _choose(rng, row.able(set_, second))
            pick = draw.pick(replication, max(len(listed), len(row.rows)), len(y))
            a, b = x[0, chosen[0]], y[pick[of_row[chosen[1]]], chosen[1]]
            about = {"replication": replication, "seed": draw.seed, "n": CLIPS, "extractor": name}
            yield about | {"metric": "clip_fid", "value": frechet(a, b)}
            if name != TEXT_EXTRACTOR:
                precision, recall = precision_recall(a, b)
                yield about | {"metric": "precision", "value": precision}
                yield about | {"metric": "recall", "value": recall}


def _choose(rng: np.random.Generator, able: NDArray[np.int64]) -> NDArray[np.int64]:
    """CLIPS of the clips that are able; with replacement only where there are fewer."""
    if len(able) == 0:
        raise InputError(f"no clip of {FRAMES} frames in one half of a set; longer motions, or motions of more recordings, are needed")
    return able[rng.choice(len(able), CLIPS, replace=len(able) < CLIPS)]


def _physical_records(row: Measured, real: Measured, reference: Reference, set_: str, draw: Draw) -> Iterable[Record]:
    """Means over recordings that are drawn with replacement, the same for every row; the energy error is against these very recordings."""
    listed = reference.recordings
    rows = row.of_set(listed, set_)
    x, y = real.stack("physical")[0], row.stack("physical")
    for replication in range(draw.replications):
        rng = np.random.default_rng([draw.seed, replication, 3])
        drawn = rows[rng.integers(len(rows), size=len(rows))]
        beside = drawn if row.paired else members(listed, set_, row.fps)
        pick = draw.pick(replication, max(len(listed), len(row.rows)), len(y))
        values = y[pick[drawn], _places(row.rows, drawn)]
        about = {"replication": replication, "seed": draw.seed, "n": len(rows)}
        for column, name in enumerate(PHYSICAL):
            finite = values[np.isfinite(values[:, column]), column]
            if len(finite):
                yield about | {"metric": name, "value": finite.mean()}
        energy, expected = (side[:, PHYSICAL.index("band_energy")].mean() for side in (values, x[_places(real.rows, beside)]))
        if row is not real and energy > 0 and expected > 0:
            yield about | {"metric": "band_energy_error", "value": abs(np.log2(energy / expected))}


def _motion_records(row: Measured, real: Measured, reference: Reference, set_: str, draw: Draw) -> Iterable[Record]:
    """Whole motions at 20 fps in the space of the text-motion evaluator."""
    from evaluators.metrics.distribution import diversity, frechet, multimodality, nearest_distance
    from evaluators.metrics.retrieval import POOL as TEXTS
    from evaluators.metrics.retrieval import matching_distance, pools, r_precision

    listed = reference.recordings
    rows = row.of_set(listed, set_)
    x, y = real.stack(f"motions/{TEXT_EXTRACTOR}")[0], row.stack(f"motions/{TEXT_EXTRACTOR}")
    captioned = np.array([row.paired and bool(listed[r].caption) for r in rows])
    labelled = rows[captioned]
    labels = [listed[r].label for r in labelled]
    for replication in range(draw.replications):
        pick = draw.pick(replication, max(len(listed), len(row.rows)), len(y))
        first, second = halves(listed, members(listed, set_, row.fps), draw.seed, replication)
        everything = y[pick[rows], _places(row.rows, rows)]
        half = everything[np.isin(rows, second)] if row.paired else everything
        about = {"replication": replication, "seed": draw.seed, "extractor": TEXT_EXTRACTOR}
        if len(half) > 1:
            yield about | {"metric": "fid", "n": len(half), "value": frechet(x[_places(real.rows, first)], half)}
            yield about | {"metric": "nearest_train", "n": len(half), "value": nearest_distance(half, reference.train)}
        rng = np.random.default_rng([draw.seed, replication, 5])
        pairs = min(300, len(rows))
        yield about | {"metric": "diversity", "n": pairs, "value": diversity(everything, pairs, rng)}
        if len(set(labels)) >= TEXTS:
            texts, motions = reference.texts[labelled], everything[captioned]
            chosen = pools(len(labelled), 1000 * draw.seed + replication, TEXTS, labels)
            for k, value in enumerate(r_precision(texts, motions, chosen), start=1):
                yield about | {"metric": f"r_precision_top{k}", "n": chosen.size, "value": value}
            kept = np.sort(chosen, axis=None)
            yield about | {"metric": "multimodal_dist", "n": len(kept), "value": matching_distance(texts[kept], motions[kept])}
        repeats = row.arrays[0].get(f"repeats/{TEXT_EXTRACTOR}")
        if repeats is not None:
            yield about | {"metric": "multimodality", "n": len(repeats), "value": multimodality(repeats, repeats.shape[1] // 2, rng)}


def _places(rows: NDArray, wanted: NDArray) -> NDArray[np.int64]:
    """Where each of `wanted` stands in `rows`."""
    return np.searchsorted(rows, wanted)
