"""clip_fid v2: what is drawn, what is compared with what, and that a perfect row scores the floor."""

import re

import numpy as np
import pytest

from evaluators.damage import VARIANTS, noise, shuffled
from evaluators.items import counted_items
from evaluators.metrics.detail.peaks import peak_speed
from evaluators.metrics.distribution import frechet
from evaluators.protocols.clip import BANDS, ENTRIES, PEAKS, detail, scoring
from evaluators.protocols.clip.detail import is_fast
from evaluators.protocols.clip.protocol import TIERS
from evaluators.protocols.clip.scoring import Draw
from evaluators.protocols.clip.sets import FRAMES, halves, members, plan_clips
from evaluators.tables import Row
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.motion.resample import at_rate

FLOOR = Row("real", "Real", "real")
METRICS = ("clip_fid", "band_energy", "band_energy_error")


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
    assert {unit.metric for unit in harness.protocols[0].units(row)} == {*ENTRIES[0].metrics, ""}


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
def test_undamaged_recordings_score_exactly_the_floor(scored, monkeypatch, fps):
    monkeypatch.setitem(VARIANTS, "undamaged", lambda motion, seconds, rate, another, rng: at_rate(motion, seconds, rate))
    row = Row("control-undamaged", "", "control", system="real", variant="undamaged")
    for extractor in ("anyrate", "guo"):
        mine, floor = (scored(r, fps, extractor=extractor, extractors=(extractor,)) for r in (row, FLOOR))
        assert len(floor["clip_fid"]) == 5
        np.testing.assert_allclose(mine["clip_fid"], floor["clip_fid"], rtol=1e-2, atol=2e-6)
        assert max(mine.get("band_energy_error", [0])) < 1e-4 and "band_energy_error" not in floor


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
    assert distances[2] > 2 * floor


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
    assert set(floor) == set(BANDS) - {"band_distribution"} and mine["band_distribution"] == [0] * 5
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
    assert all(min(expected) * 0.999 <= value <= max(expected) * 1.001 for value in found["peak_speed"])
    assert np.all(np.array(found["peak_speed_90"]) >= found["peak_speed"])


def test_text_metrics_are_there_at_20_fps_where_labels_suffice(scored, monkeypatch):
    monkeypatch.setattr(scoring, "TEXTS", 3)
    wanted = ("fid", "diversity", "nearest_train", "r_precision_top1", "r_precision_top3", "multimodal_dist")
    found = scored(FLOOR, 20.0, wanted, "guo", "all", extractors=("anyrate", "guo"))
    assert set(wanted) == set(found)
    assert np.all(np.array(found["r_precision_top3"]) == 1.0)


def test_multimodality_reads_many_motions_of_a_few_captions_in_pairs_of_the_tier(harness_of, tiny):
    """A system whose motion is its seed's: motions of a caption differ, and as many are asked for as the tier says."""
    from test_generation import Spy

    spy, row = Spy(), Row("spy", "Spy")
    harness = harness_of([row], ("multimodality",), (20.0,), {"spy": spy}, ("anyrate", "guo"), tier="full")
    harness.run(row)
    records = harness.stored(row).records
    captions = len({item.captions for item in tiny.subject.items if item.captions})
    assert {record.n for record in records} == {captions} and len(records) == 2 * 20 and min(r.value for r in records) > 0
    assert len(spy.seen[20.0]) == 3 * len(tiny.subject.items) + 10 * captions
    assert TIERS["paper"].repeats == (100, 30, 10) and TIERS["full"].repeats == (20, 10, 5)  # published; ours


def test_a_set_with_one_group_is_answered(tiny):
    items = [Item(str(k), "the only one", 120.0, 2.0) for k in range(3)]
    with pytest.raises(InputError, match="two groups are needed"):
        halves(items, np.arange(3), 0, 0)


def test_protocol_numbers_are_those_of_version_2():
    assert (ENTRIES[0].name, ENTRIES[0].version, FRAMES, scoring.PAIRS) == ("clip", 2, 32, 300)
