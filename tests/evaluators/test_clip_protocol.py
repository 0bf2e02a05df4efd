"""What is drawn, what is compared with what, that real motion against itself is zero, and that replications are of trials."""

import re
from dataclasses import replace

import numpy as np
import pytest

from evaluators.computing import compute_row
from evaluators.damage import VARIANTS, noise, shuffled
from evaluators.items import counted_items
from evaluators.metrics.detail.peaks import peak_speed
from evaluators.metrics.distribution import frechet
from evaluators.protocols.clip import BANDS, ENTRIES, PEAKS, detail, over_trials, scoring
from evaluators.protocols.clip.comparison import Comparison, Draw, Side
from evaluators.protocols.clip.detail import is_fast
from evaluators.protocols.clip.over_trials import means_over_trials
from evaluators.protocols.clip.protocol import TIERS
from evaluators.protocols.clip.scoring import compare
from evaluators.protocols.clip.sets import FRAMES, halves, members, plan_clips
from evaluators.resampling import TrialDraws, around, draws_of
from evaluators.tables import Row
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.motion.resample import at_rate

FLOOR = Row("real", "Real", "real")
METRICS = ("trial_distance", "trial_kid", "clip_fid", "band_energy", "band_energy_error")


@pytest.fixture
def scored(harness_of):
    """scored(row, fps, metrics, ...) -> metric -> values of all replications, of the first set unless another is named."""

    def run(row, fps, metrics=METRICS, extractor="", set_="matched", **more):
        harness = harness_of([row], metrics, (fps,), **more)
        protocol = harness.protocols[0]
        units = [unit for unit in protocol.units(row) if unit.metric]
        part, real = (lambda p: harness.part(row, protocol, p)), (lambda p: harness.real(protocol, p))
        found = {}
        for record in protocol.score(row, units, part, real):
            if record.set == set_ and record.extractor in (extractor, ""):
                found.setdefault(record.metric, []).append(record.value)
        return found

    return run


def test_every_metric_that_the_protocol_declares_has_a_figure(harness_of):
    row = Row("still", "Still")
    harness = harness_of([row], ENTRIES[0].metrics, (20.0, 120.0), extractors=("anyrate", "guo"), tier="full")
    units = [unit for of in (row, FLOOR) for unit in harness.protocols[0].units(of)]
    assert {unit.metric for unit in units} == {*ENTRIES[0].metrics, ""}


def test_items_are_the_test_windows_and_the_matched_set_those_of_120_fps(tiny):
    items = tiny.subject.items
    assert items == counted_items(tiny.dataset)
    assert len(items) == 11
    assert len(members(items, "matched", 20)) == 9
    assert len(members(items, "all", 20)) == 11
    assert len(members(items, "all", 60)) == 9
    assert all(abs(item.seconds * 20 - round(item.seconds * 20)) < 1e-9 for item in items)


def test_above_the_highest_rate_the_recordings_of_the_highest_rate_count(tiny):
    assert members(tiny.subject.items, "all", 240).tolist() == members(tiny.subject.items, "all", 120).tolist()
    slow = [Item(str(k), str(k), fps, 2.0) for k, fps in enumerate((25.0, 20.0, 25.0))]
    assert members(slow, "all", 50).tolist() == [0, 2] and members(slow, "matched", 50).tolist() == []


def test_halves_share_no_group_and_change_with_the_replication(tiny):
    items = tiny.subject.items
    places = members(items, "all", 20)
    drawn = [halves(items, places, 0, replication) for replication in range(6)]
    for first, second in drawn:
        assert sorted([*first, *second]) == places.tolist()
        assert not {items[k].group for k in first} & {items[k].group for k in second}
    assert len({tuple(first) for first, _ in drawn}) > 1


def test_both_halves_hold_the_same_actions():
    items = [Item(str(k), str(k), 120.0, 2.0 + k % 3, label=f"label {k % 4}", source="cmu") for k in range(32)]
    for replication in range(6):
        first, second = halves(items, np.arange(32), 0, replication)
        for number in range(4):
            assert (first % 4 == number).sum() == (second % 4 == number).sum() == 4


def test_clips_are_drawn_uniformly_over_items_and_starts_and_short_ones_are_counted():
    counts = {0: 10, 1: FRAMES, 2: FRAMES + 9, 5: FRAMES + 89}
    plan = plan_clips(counts, [0], size=50)
    pairs = list(zip(plan.places.tolist(), plan.starts.tolist(), strict=True))
    assert plan.left_out == 1 and len(pairs) == 50 == len(set(pairs))
    assert all(start + FRAMES <= counts[place] for place, start in pairs)
    whole = plan_clips(counts, [0], size=1000)
    assert [int((whole.places == place).sum()) for place in counts] == [0, 1, 10, 90]


@pytest.mark.parametrize("fps", [20.0, 120.0])
def test_undamaged_recordings_are_at_no_distance_from_real_motion(scored, monkeypatch, fps):
    monkeypatch.setitem(VARIANTS, "undamaged", lambda motion, seconds, rate, another, rng: at_rate(motion, seconds, rate))
    row = Row("control-undamaged", "", "control", system="real", variant="undamaged")
    for extractor, names in (("anyrate", ("trial_distance", "trial_kid", "clip_fid")), ("guo", ("trial_distance", "trial_kid"))):
        mine, floor = (scored(r, fps, extractor=extractor, extractors=(extractor,)) for r in (row, FLOOR))
        assert len(floor["trial_distance"]) == len(mine["trial_distance"]) == 20 and len(floor.get("clip_fid", [0] * 5)) == 5
        for name in names:  # embeddings are kept in half precision
            assert np.abs(mine[name]).max() < 1e-3 * np.abs(floor[name]).max(), name
        assert max(mine.get("band_energy_error", [0])) < 1e-4 and "band_energy_error" not in floor


def itself(harness) -> tuple[list, dict]:
    """Real motion scored as a row for the same items, not as the floor: records, and what scoring kept of real motion."""
    protocol = harness.protocols[0]
    kept = {part.name: part for part in protocol.reference_parts(harness.extractors, [60.0]) if part.fps in (None, 60.0)}
    side = Side(
        60.0, protocol.places(60.0), protocol.plans(60.0), lambda name: [harness.real(protocol, kept[name])] if name in kept else []
    )
    comparison = Comparison(harness.items, side, replace(side, kept={}), Draw(2), (protocol.name, protocol.version))
    return compare(comparison, ("trial_distance", "trial_kid", "band_energy_error"), ["matched", "all"], ["anyrate"]), side.kept


def test_real_against_itself_is_exactly_zero_and_both_sets_of_equal_items_are_computed_once(harness_of):
    records, kept = itself(harness_of([FLOOR], rates=(60.0,)))
    assert {(record.metric, record.set) for record in records} >= {("trial_distance", "matched"), ("trial_kid", "all")}
    assert {record.value for record in records} == {0.0}
    assert [key[1:4] for key in kept] == [("trial_distance", 60.0, "matched"), ("trial_kid", 60.0, "matched")]


def test_rows_with_the_same_trials_have_the_same_draws(harness_of):
    rows = [
        Row("real", "", "real"),
        *(Row(f"control-{name}", "", "control", system="real", variant=name) for name in ("noise-5mm", "shuffled")),
    ]
    harness = harness_of(rows, ("trial_distance", "velocity", "clip_fid"), (120.0,))
    floor, first, second = ([r for r in _records(harness, row) if r.set == "matched"] for row in rows)
    keys = {name: {(r.replication, r.seed) for r in first if r.metric == name} for name in ("trial_distance", "velocity", "clip_fid")}
    assert keys == {name: {(r.replication, r.seed) for r in second if r.metric == name} for name in keys}
    assert {r.n for r in first if r.metric == "trial_distance"} == {9} and len(keys["trial_distance"]) == 20
    assert {r.seed for r in floor if r.metric == "clip_fid"} == {0}


def _records(harness, row) -> list:
    protocol = harness.protocols[0]
    units = [unit for unit in protocol.units(row) if unit.metric]
    return list(protocol.score(row, units, lambda p: harness.part(row, protocol, p), lambda p: harness.real(protocol, p)))


def test_values_of_items_are_resampled_by_trial_and_their_mean_is_that_of_all():
    """Two trials of one and of three items: a draw holds a trial whole, so its mean is one of three."""
    draws = draws_of(["a", "b"] * 2, 50, 0)  # two trials: the only sample that holds both has each once
    assert (draws.weights == 1).all()
    draws = TrialDraws(np.array(["a", "b"]), np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), 0)
    means, plain = means_over_trials(draws, np.array([[8.0, 0.0, 4.0, np.nan]]), np.array(["a", "b", "b", "b"]))
    assert means.tolist() == [8.0, 2.0, 4.0] and plain == 4.0
    assert around(means, plain).mean() == pytest.approx(4.0)
    assert draws_of("abc", 5, 0).seed == draws_of("cab", 5, 0).seed != draws_of("abd", 5, 0).seed


def test_a_sample_with_few_labels_is_given_items_of_others(monkeypatch):
    monkeypatch.setattr(over_trials, "TEXTS", 4)
    labels = np.array(["a", "b", "c", "d", "e", "e"])
    filled = over_trials._with_labels(np.array([0, 0, 4, 5]), labels, np.random.default_rng(0))
    assert filled[:4].tolist() == [0, 0, 4, 5] and len(filled) == 6 and len(set(labels[filled])) == 4
    assert over_trials._with_labels(np.arange(6), labels, np.random.default_rng(0)).tolist() == list(range(6))


def test_the_floor_is_zero_within_its_interval_and_damage_is_beyond_it(scored):
    floor = scored(FLOOR, 120.0, ("trial_distance",), "anyrate")["trial_distance"]
    assert abs(np.mean(floor)) < 1.96 * np.std(floor)
    row = Row("control-still", "", "control", system="real", variant="still")
    assert np.mean(scored(row, 120.0, ("trial_distance",), "anyrate")["trial_distance"]) > 1.96 * np.std(floor)


def test_effective_dimensions_are_those_of_real_motion_alone(scored):
    assert 1 < scored(FLOOR, 120.0, ("clip_dimensions",), "anyrate")["clip_dimensions"][0] <= 12
    row = Row("control-shuffled", "", "control", system="real", variant="shuffled")
    assert "clip_dimensions" not in scored(row, 120.0, ("clip_dimensions", "velocity"), "anyrate")


def test_real_against_itself_is_near_zero_beside_the_floor(harness_of, scored):
    harness = harness_of([FLOOR], rates=(60.0,))
    unit = next(unit for unit in harness.protocols[0].units(FLOOR) if unit.metric == "clip_fid")
    x = harness.real(harness.protocols[0], unit.parts[0])["matched"].astype(float)
    assert frechet(x, x) < 1e-6 * min(scored(FLOOR, 60.0, extractor="anyrate")["clip_fid"])


def test_the_noise_control_grows_with_noise(scored, monkeypatch):
    distances = []
    for metres in (0.005, 0.02, 0.08):
        name = f"noise-{1000 * metres:g}mm-here"
        monkeypatch.setitem(VARIANTS, name, noise(metres))
        row = Row(name, "", "control", system="real", variant=name)
        distances.append(np.mean(scored(row, 120.0, ("clip_fid",), "anyrate")["clip_fid"]))
    floor = np.mean(scored(FLOOR, 120.0, ("clip_fid",), "anyrate")["clip_fid"])
    assert distances[0] < distances[1] < distances[2]
    assert distances[2] > 1.5 * floor


def test_shuffled_joints_are_one_chain_of_another_recording_and_nothing_else(tiny):
    first, second = (tiny.dataset.motion(item) for item in tiny.dataset.items("test")[:2])
    mixed = shuffled(first, 2.0, 60.0, lambda: at_rate(second, 1.0, 60.0), np.random.default_rng(0))
    plain = at_rate(first, 2.0, 60.0)
    changed = {plain.skeleton.names[j] for j in range(22) if not np.allclose(mixed.joints[:, j], plain.joints[:, j])}
    assert len(changed) in (3, 4) and len({name.partition("_")[0] for name in changed}) == 1
    assert np.abs(np.diff(mixed.joints, axis=0)).max() < 0.3  # nothing jumps where the shorter recording turns back


def test_replications_redraw_among_the_motions_of_an_item_or_take_one_after_the_other():
    picks = Draw(4).pick(0, 50, 3)
    assert set(picks.tolist()) == {0, 1, 2}
    assert Draw(4, anew=True).pick(2, 5, 20).tolist() == [2] * 5


def test_bands_are_compared_as_distributions_with_recordings_of_the_same_items(scored, monkeypatch):
    monkeypatch.setitem(VARIANTS, "undamaged", lambda motion, seconds, rate, another, rng: at_rate(motion, seconds, rate))
    row = Row("control-undamaged", "", "control", system="real", variant="undamaged")
    mine, floor = (scored(r, 120.0, BANDS) for r in (row, FLOOR))
    assert set(floor) == set(BANDS) - {"band_distribution"} and set(mine["band_distribution"]) == {0}
    for name in floor:
        np.testing.assert_allclose(mine[name], floor[name], rtol=1e-6)
    noisy = scored(Row("control-noise-5mm", "", "control", system="real", variant="noise-5mm"), 120.0, BANDS)
    assert min(noisy["band_median"]) > 2 * max(floor["band_median"]) and min(noisy["band_distribution"]) > 0.2


def test_peaks_are_quantiles_over_the_motions_of_fast_actions_alone(scored, tiny, monkeypatch):
    """A label or a caption says which actions are fast."""
    assert is_fast(Item("1", "1", 120.0, 2.0, label="hdm05/kickLFront1Reps")) and is_fast(Item("2", "2", 120.0, 2.0, ("a person Hops",)))
    assert not is_fast(Item("3", "3", 120.0, 2.0, ("a person walks",), "cmu/walk"))
    assert scored(FLOOR, 120.0, tuple(PEAKS)) == {}
    label = tiny.subject.items[0].label
    monkeypatch.setattr(detail, "FAST", re.compile(label))
    found = scored(FLOOR, 120.0, tuple(PEAKS))
    fast = [item for item in tiny.subject.items if item.label == label and item.fps >= 120]
    expected = [peak_speed(at_rate(tiny.dataset.motion(item), item.seconds, 120.0)) for item in fast]
    assert set(found) == set(PEAKS) and 1 < len(fast) < 9
    assert np.mean(found["peak_speed"]) == pytest.approx(np.median(expected), rel=1e-3)
    assert np.mean(found["peak_speed_90"]) == pytest.approx(np.quantile(expected, 0.9), rel=1e-3)


def test_text_metrics_are_there_at_20_fps_where_labels_suffice(scored, monkeypatch):
    monkeypatch.setattr(over_trials, "TEXTS", 3)
    wanted = ("fid", "diversity", "nearest_train", "r_precision_top1", "r_precision_top3", "multimodal_dist")
    found = scored(FLOOR, 20.0, wanted, "guo", "all", extractors=("anyrate", "guo"))
    assert set(wanted) == set(found)
    assert np.all(np.array(found["r_precision_top3"]) == 1.0)


def test_motions_are_compared_with_texts_where_texts_are_and_with_each_other_elsewhere(scored, tiny, monkeypatch):
    """Two spaces: one in which every motion is where its text is, and one in which all motions are alike."""
    monkeypatch.setattr(over_trials, "TEXTS", 3)
    guo, captions = tiny.extractors["guo"], [item.captions[0] if item.captions else "a person" for item in tiny.subject.items]
    monkeypatch.setattr(guo, "match_motions", lambda motions: guo.embed_texts(captions[: len(motions)]))
    monkeypatch.setattr(guo, "embed_motions", lambda motions: np.zeros((len(motions), 2), np.float32))
    row = Row("control-noise", "", "control", system="real", variant="noise-1mm")
    found = scored(row, 20.0, ("diversity", "r_precision_top1", "multimodal_dist"), "guo", "all", extractors=("guo",))
    assert set(found["diversity"]) == {0.0} and set(found["r_precision_top1"]) == {1.0}
    assert max(found["multimodal_dist"]) < 1e-2  # the reference keeps texts in half precision


def test_recordings_find_the_motions_of_their_sentences_whatever_the_texts_say(scored, tiny, monkeypatch):
    """The same pools as R-precision: a recording finds its own motion, by chance where all motions are alike; real motion has no figure."""
    monkeypatch.setattr(over_trials, "TEXTS", 3)
    guo, row = tiny.extractors["guo"], Row("control-noise", "", "control", system="real", variant="noise-1mm")
    names, width = ("recording_precision_top1", "recording_precision_top3"), guo.embed_texts(["a person"]).shape[1]
    monkeypatch.setattr(guo, "embed_texts", lambda texts: np.zeros((len(texts), width), np.float32))
    assert set(scored(FLOOR, 20.0, (*names, "r_precision_top1"), "guo", "all", extractors=("guo",))) == {"r_precision_top1"}
    found = scored(row, 20.0, (*names, "r_precision_top1"), "guo", "all", extractors=("guo",))
    assert set(found[names[0]]) == set(found[names[1]]) == {1.0} and np.mean(found["r_precision_top1"]) < 0.8
    monkeypatch.setattr(guo, "match_motions", lambda motions, *_: np.ones((len(motions), width), np.float32))
    alike = scored(replace(row, variant="noise-5mm"), 20.0, names, "guo", "all", extractors=("guo",))
    assert np.mean(alike["recording_precision_top1"]) == pytest.approx(1 / 3)


def test_multimodality_reads_many_motions_of_a_few_captions_in_pairs_of_the_tier(harness_of, tiny):
    """A system whose motion is its seed's: motions of a caption differ, and as many are asked for as the tier says."""
    from test_generation import Spy

    spy, row = Spy(), Row("spy", "Spy")
    harness = harness_of([row], ("multimodality",), (20.0,), {"spy": spy}, ("anyrate", "guo"), tier="full")
    compute_row(harness, row)
    records = harness.stored(row).records
    captions = len({item.captions for item in tiny.subject.items if item.captions})
    assert {record.n for record in records} == {captions} and len(records) == 2 * 20 and min(r.value for r in records) > 0
    assert len(spy.seen[20.0]) == 3 * len(tiny.subject.items) + 10 * captions
    assert TIERS["paper"].repeats == (100, 30, 10) and TIERS["full"].repeats == (20, 10, 5)  # published; ours


def test_a_set_with_one_group_is_answered(tiny):
    items = [Item(str(k), "the only one", 120.0, 2.0) for k in range(3)]
    with pytest.raises(InputError, match="two groups are needed"):
        halves(items, np.arange(3), 0, 0)


def test_protocol_numbers_are_those_of_version_3():
    assert (ENTRIES[0].name, ENTRIES[0].version, ENTRIES[0].kept_version, FRAMES, scoring.PAIRS) == ("clip", 3, 2, 32, 300)
    assert {name: tier.trials for name, tier in TIERS.items()} == {"quick": 20, "full": 100, "paper": 100}
