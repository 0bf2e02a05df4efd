"""From measured parts to records: every metric of a row at one rate.

Distances, retrieval and means are figures of the full sets of the same conditions, and their replications are bootstrap samples of trials
(`trial_scoring`, `over_trials`). Precision and recall compare halves: a replication splits the items of a set in two, by trial and within
labels; the real side is drawn from one half, and a row's side is the row's motions for the items of the other half. So is the floor of the
Frechet distances. Halves and clips of a replication are the same for every row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import EXTRACTORS
from evaluators.metrics import metric
from evaluators.metrics.distribution import diversity, effective_dimensions, frechet, multimodality, nearest_distances, precision_recall
from evaluators.metrics.retrieval import matching_distances
from evaluators.protocols.clip import DISTANCES, MATCHED, MOTION_METRICS, PHYSICAL, RECORDING_RETRIEVAL, RETRIEVAL, TRIAL_DISTANCES
from evaluators.protocols.clip.comparison import Comparison, index
from evaluators.protocols.clip.detail import detail_records
from evaluators.protocols.clip.enough import shortages
from evaluators.protocols.clip.measuring import compares_motions, of_plugin
from evaluators.protocols.clip.over_trials import frechet_records, mean_records, means_over_trials, retrieval_records
from evaluators.protocols.clip.sets import FRAMES, first_set, halves, members
from evaluators.protocols.clip.trial_scoring import trial_records
from evaluators.records import Record
from nerm.errors import InputError

CLIPS = 1000
PAIRS = 300


def compare(comparison: Comparison, metrics: Sequence[str], sets: Sequence[str], extractors: Sequence[str]) -> list[Record]:
    """Every metric that is asked for, defined at the rate, and for which there is enough. Physical quantities are measured on the first set
    with clips alone."""
    able = [name for name in sets if len(comparison.row.plans[name].places)]
    few = {name: {short.metric for short in shortages(comparison, metrics, name)} for name in able}
    enough = {name: [metric for metric in metrics if metric not in few[name]] for name in able}
    records: list[Record] = []
    of_features: dict[str, list[Record]] = {}
    for set_ in able:
        same = first_set(comparison.row.plans, set_)
        if same in of_features:  # equal items and clips, equal figures
            of_features[set_] = [replace(record, set=set_) for record in of_features[same]]
        else:
            of_features[set_] = [r for name in extractors for r in _of_extractor(comparison, enough[set_], set_, name)]
        records += of_features[set_]
        if set_ == able[0]:
            records += physical_records(comparison, enough[set_], set_)
            records += detail_records(comparison, enough[set_], set_)
    return records


def _of_extractor(comparison: Comparison, metrics: Sequence[str], set_: str, extractor: str) -> Iterator[Record]:
    """Metrics of features of one extractor."""
    embeds = EXTRACTORS.get(extractor).embeds
    if "clips" in embeds or compares_motions(extractor):
        yield from trial_records(comparison, [name for name in TRIAL_DISTANCES if name in metrics], set_, extractor)
    if "clips" in embeds:
        yield from clip_records(
            comparison,
            [m for m in DISTANCES if m in metrics and (m not in ("precision", "recall") or "texts" not in embeds)],
            set_,
            extractor,
        )
    if "texts" in embeds:
        yield from motion_records(comparison, [name for name in MOTION_METRICS if name in metrics], set_, extractor)


def clip_records(comparison: Comparison, wanted: Sequence[str], set_: str, extractor: str) -> Iterator[Record]:
    """Frechet distance, precision and recall of clips."""
    if not wanted:
        return
    real, row = comparison.real, comparison.row
    of_real, of_row = (side.plans[set_].places for side in (real, row))
    x, y = (side.stack(f"clips/{extractor}", first_set(side.plans, set_)) for side in (real, row))
    if "clip_dimensions" in wanted and comparison.real_is_row:
        yield comparison.record("clip_dimensions", effective_dimensions(x[0]), 0, len(of_real), set_, extractor)
    if "clip_fid" in wanted and not comparison.real_is_row:
        yield from frechet_records(comparison, "clip_fid", x[0], of_real, y, of_row, set_, extractor)
    drawn = [name for name in ("clip_fid", "precision", "recall") if name in wanted and (name != "clip_fid" or comparison.real_is_row)]
    for replication in range(comparison.draw.replications if drawn else 0):
        first, second = halves(comparison.items, members(comparison.items, set_, row.fps), comparison.draw.seed, replication)
        rng = np.random.default_rng([comparison.draw.seed, replication, 2])
        chosen = _choose(rng, real.able(set_, first)), _choose(rng, row.able(set_, second))
        pick = comparison.pick(replication, len(y))
        a, b = x[0, chosen[0]], y[pick[of_row[chosen[1]]], chosen[1]]
        values = {"clip_fid": frechet(a, b)} if "clip_fid" in drawn else {}
        if "precision" in drawn or "recall" in drawn:
            values |= dict(zip(("precision", "recall"), precision_recall(a, b), strict=True))
        for name in drawn:
            yield comparison.record(name, values[name], replication, CLIPS, set_, extractor)


def _choose(rng: np.random.Generator, able: NDArray[np.int64]) -> NDArray[np.int64]:
    """CLIPS of the clips `able`; with replacement only if there are fewer."""
    if len(able) == 0:
        raise InputError(f"no clip of {FRAMES} frames in one half of a set; longer motions, or motions of more items, are needed")
    return able[rng.choice(len(able), CLIPS, replace=len(able) < CLIPS)]


def physical_records(comparison: Comparison, metrics: Sequence[str], set_: str) -> Iterator[Record]:
    """Means over the items of a set; the energy error compares with the same items of real motion."""
    row, items = comparison.row, comparison.items
    places = row.of_set(items, set_)
    for name in (*PHYSICAL, *filter(of_plugin, metrics)):
        if name in metrics and row.fps >= metric(name).lowest_fps:
            values = row.stack(f"values/{name}", "values")[:, index(row.places, places)]
            yield from mean_records(comparison, name, values, places, set_)
    if "band_energy_error" in metrics and not comparison.real_is_row and row.fps >= metric("band_energy").lowest_fps:
        yield from _energy_error(comparison, places, set_)


def _energy_error(comparison: Comparison, places: NDArray, set_: str) -> Iterator[Record]:
    """Octaves between the mean 8-20 Hz energies of both sides, in the same trials."""
    real, row, items = comparison.real, comparison.row, comparison.items
    compared = places if row.paired else members(items, set_, row.fps)
    sides = []
    for side, of in ((real, compared), (row, places)):
        values, trials = side.stack("values/band_energy", "values")[:, index(side.places, of)], side.trials(items, of)
        sides.append(means_over_trials(comparison.draws(trials), values, trials))
    (expected, all_expected), (energy, all_energy) = sides
    if all_energy > 0 and all_expected > 0:
        draws = comparison.draws(row.trials(items, places))
        errors, plain = np.abs(np.log2(energy / expected)), abs(np.log2(all_energy / all_expected))
        yield from comparison.over_trials("band_energy_error", errors, plain, len(places), set_, draws)


def motion_records(comparison: Comparison, wanted: Sequence[str], set_: str, extractor: str) -> Iterator[Record]:
    """Whole motions in the spaces of an extractor that embeds texts too: one for distances, one for texts."""
    if not wanted:
        return
    row, items, draw = comparison.row, comparison.items, comparison.draw
    places = row.of_set(items, set_)
    y = row.stack(f"motions/{extractor}", "motions")[:, index(row.places, places)]
    if len(places) > 1:
        yield from _motion_distances(comparison, wanted, y, places, set_, extractor)
    captioned = np.array([bool(row.listed(items)[place].captions) for place in places], dtype=bool)
    if captioned.any() and {*MATCHED} & {*wanted}:
        yield from _matches(comparison, wanted, places[captioned], set_, extractor)
    repeats = row.parts(f"repeats/{extractor}") if "multimodality" in wanted else ()
    pairs = min(PAIRS, len(places))
    for replication in range(draw.replications):
        rng = np.random.default_rng([draw.seed, replication, 5])
        spread = diversity(y[comparison.pick(replication, len(y))[places], np.arange(len(places))], pairs, rng)
        if "diversity" in wanted:
            yield comparison.record("diversity", spread, replication, pairs, set_, extractor)
        if repeats:  # its draws come after those of diversity
            drawn = repeats[0]["repeats"]
            value = multimodality(drawn, comparison.pairs, rng)
            yield comparison.record("multimodality", value, replication, len(drawn), set_, extractor)


def _matches(comparison: Comparison, wanted: Sequence[str], places: NDArray, set_: str, extractor: str) -> Iterator[Record]:
    """How well the motions of a row's items at `places` [n] fit their texts, and the recordings that have these texts."""
    real, row = comparison.real, comparison.row
    answers = row.stack(f"matched/{extractor}", "matched")[:, index(row.places, places)]
    texts = (real if row.paired else row).stack(f"texts/{extractor}", "texts")[0][places]
    by_texts = {name: nearest for name, nearest in RETRIEVAL.items() if name in wanted}
    if by_texts:
        yield from retrieval_records(comparison, by_texts, texts, answers, places, set_, extractor)
    by_recordings = {name: nearest for name, nearest in RECORDING_RETRIEVAL.items() if name in wanted}
    if by_recordings and row.paired and not comparison.real_is_row:
        recordings = real.stack(f"matched/{extractor}", "matched")[0][index(real.places, places)]
        yield from retrieval_records(comparison, by_recordings, recordings, answers, places, set_, extractor)
    if "multimodal_dist" in wanted:
        distances = np.stack([matching_distances(texts, motions) for motions in answers])
        yield from mean_records(comparison, "multimodal_dist", distances, places, set_, extractor)


def _motion_distances(
    comparison: Comparison, wanted: Sequence[str], y: NDArray, places: NDArray, set_: str, extractor: str
) -> Iterator[Record]:
    """Distances of the motions [K, n, D] of a row's items at `places` [n] from real and from training motions."""
    real, row, items, draw = comparison.real, comparison.row, comparison.items, comparison.draw
    of_set = members(items, set_, row.fps)
    x = real.stack(f"motions/{extractor}", "motions")[0][index(real.places, of_set)] if {"fid", "motion_dimensions"} & {*wanted} else y[0]
    if "motion_dimensions" in wanted and comparison.real_is_row:
        yield comparison.record("motion_dimensions", effective_dimensions(x), 0, len(x), set_, extractor)
    if "fid" in wanted and comparison.real_is_row:
        for replication in range(draw.replications):
            first, second = halves(items, of_set, draw.seed, replication)
            a, b = (x[index(of_set, half)] for half in (first, second))
            yield comparison.record("fid", frechet(a, b), replication, len(b), set_, extractor)
    elif "fid" in wanted:
        yield from frechet_records(comparison, "fid", x, of_set, y, places, set_, extractor)
    if "nearest_train" in wanted:
        train = real.stack(f"train/{extractor}", "train")[0]
        distances = np.stack([nearest_distances(motions, train) for motions in y])
        yield from mean_records(comparison, "nearest_train", distances, places, set_, extractor)
