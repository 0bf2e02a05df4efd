"""clip_fid v2: what is drawn, what is compared with what, and that a perfect row scores the floor."""

import numpy as np
import pytest

from baselines.base import GENERATORS, load_generator
from evaluators.protocols import clip as protocol
from evaluators.protocols.clip import FRAMES, Draw, Measured, measure, plan_clips, score
from evaluators.protocols.recordings import Recording, halves, members, recordings, sample_seed
from evaluators.protocols.reference import load_reference
from evaluators.protocols.rows import BroughtUp, Recorded, Sampled, at_rate, noise, shuffled
from nerm.errors import InputError
from nerm.motion import Motion, frame_count

DRAW = Draw(replications=3)


@pytest.fixture
def reference(tiny):
    return load_reference("multirate", [tiny.shipped / "reference"])


def measured(source, reference, tiny, fps: float, seeds: int = 1) -> Measured:
    real = reference.measured(fps)
    arrays = [measure(source.motions(reference.recordings, real.rows, fps, 0, k), real.plans, fps, tiny.extractors) for k in range(seeds)]
    return Measured(fps, real.rows, real.plans, arrays)


def by_metric(records, **where):
    found = {}
    for record in records:
        if all(record.get(key) == value for key, value in where.items()):
            found.setdefault(record["metric"], []).append(record["value"])
    return found


def test_recordings_are_the_test_windows_and_the_matched_set_those_of_120_fps(tiny, reference):
    assert list(reference.recordings) == recordings(tiny.corpus)
    assert len(reference.recordings) == 11
    assert len(members(reference.recordings, "matched", 20)) == 9
    assert len(members(reference.recordings, "all", 20)) == 11
    assert len(members(reference.recordings, "all", 60)) == 9
    assert all(abs(r.seconds * 20 - round(r.seconds * 20)) < 1e-9 for r in reference.recordings)


def test_halves_share_no_trial_and_change_with_the_replication(reference):
    rows = members(reference.recordings, "all", 20)
    drawn = [halves(reference.recordings, rows, 0, replication) for replication in range(6)]
    for first, second in drawn:
        assert sorted([*first, *second]) == rows.tolist()
        assert not {reference.recordings[r].trial for r in first} & {reference.recordings[r].trial for r in second}
    assert len({tuple(first) for first, _ in drawn}) > 1


def test_both_halves_hold_the_same_actions():
    listed = [Recording(row, row, f"label {row % 4}", "cmu", 2.0 + row % 3, 120.0, "") for row in range(32)]
    for replication in range(6):
        first, second = halves(listed, np.arange(32), 0, replication)
        for number in range(4):
            assert (first % 4 == number).sum() == (second % 4 == number).sum() == 4


def test_a_generator_of_20_fps_is_asked_once_and_brought_up_by_slerp(reference):
    from baselines.dummies import Dummy

    class Slow(Dummy):
        native_fps, asked = 20.0, 0

        def sample(self, conditions, seconds, fps, seeds, guidance=None):
            self.asked += len(conditions)
            assert fps == 20.0
            return super().sample(conditions, seconds, fps, seeds)

    slow = Slow("slow", 0.03)
    source, rows = Sampled(slow), reference.rows(120.0)[:3]
    low = source.motions(reference.recordings, rows, 20.0, 0, 0)
    high = source.motions(reference.recordings, rows, 120.0, 0, 0)
    assert slow.asked == len(rows) and source.upsampling == "slerp"
    for row in rows.tolist():
        expected = at_rate(low[row], reference.recordings[row].seconds, 120.0, "slerp")
        np.testing.assert_array_equal(high[row].joints, expected.joints)


def test_clips_are_drawn_uniformly_over_recordings_and_starts_and_short_recordings_are_counted():
    counts = {0: 10, 1: FRAMES, 2: FRAMES + 9, 5: FRAMES + 89}
    plan = plan_clips(counts, [0], size=50)
    assert plan.left_out == 1 and len(plan.rows) == 50
    assert all(start + FRAMES <= counts[row] for row, start in zip(plan.rows.tolist(), plan.starts.tolist(), strict=True))
    assert len({(r, s) for r, s in zip(plan.rows.tolist(), plan.starts.tolist(), strict=True)}) == 50
    whole = plan_clips(counts, [0], size=1000)
    assert [int((whole.rows == row).sum()) for row in counts] == [0, 1, 10, 90]


@pytest.mark.parametrize("fps", [20.0, 120.0])
def test_undamaged_recordings_score_exactly_the_floor(tiny, reference, fps):
    source = Recorded(tiny.corpus, "undamaged", lambda motion, seconds, rate, another, rng: at_rate(motion, seconds, rate))
    mine = score(measured(source, reference, tiny, fps), reference, ["matched", "all"], ["multirate", "guo"], DRAW)
    floor = score(reference.measured(fps), reference, ["matched", "all"], ["multirate", "guo"], DRAW)
    for extractor in ("multirate", "guo"):
        ours, real = (by_metric(r, extractor=extractor, set="matched") for r in (mine, floor))
        assert len(real["clip_fid"]) == 3
        np.testing.assert_allclose(ours["clip_fid"], real["clip_fid"], rtol=1e-2, atol=2e-6)
    assert max(by_metric(mine, set="matched").get("band_energy_error", [0])) < 1e-4


def test_real_against_itself_is_near_zero_beside_the_floor(reference):
    from evaluators.metrics.distribution import frechet

    x = reference.measured(60.0).stack("clips/matched/multirate")[0]
    floor = by_metric(score(reference.measured(60.0), reference, ["matched"], ["multirate"], DRAW))["clip_fid"]
    assert frechet(x, x) < 1e-6 * min(floor)


def test_the_noise_control_grows_with_noise(tiny, reference):
    found = []
    for metres in (0.005, 0.02, 0.08):
        row = measured(Recorded(tiny.corpus, "noise", noise(metres)), reference, tiny, 120.0)
        found.append(np.mean(by_metric(score(row, reference, ["matched"], ["multirate"], DRAW))["clip_fid"]))
    floor = np.mean(by_metric(score(reference.measured(120.0), reference, ["matched"], ["multirate"], DRAW))["clip_fid"])
    assert found[0] < found[1] < found[2]
    assert found[2] > 2 * floor


def test_shuffled_joints_are_one_chain_of_another_recording_and_nothing_else(tiny):
    motion, other = tiny.corpus.window(0), tiny.corpus.window(1)
    mixed = shuffled(motion, 2.0, 60.0, lambda: at_rate(other, 1.0, 60.0), np.random.default_rng(0))
    plain = at_rate(motion, 2.0, 60.0)
    changed = {plain.skeleton.names[j] for j in range(22) if not np.allclose(mixed.joints[:, j], plain.joints[:, j])}
    assert len(changed) in (3, 4) and len({name.partition("_")[0] for name in changed}) == 1
    assert np.abs(np.diff(mixed.joints, axis=0)).max() < 0.3  # nothing jumps where the shorter recording turns back


class Spy:
    """A generator that notes the seeds it was given."""

    name, native_fps, digest = "spy", None, "spy"

    def __init__(self) -> None:
        self.seen: dict[float, list[int]] = {}

    def sample(self, conditions, seconds, fps, seeds, guidance=None):
        self.seen.setdefault(fps, []).extend(seeds)
        return [Motion(np.zeros((frame_count(s, fps), 22, 3), np.float32), fps) for s in seconds]


def test_every_rate_reads_the_same_seeds_and_rates_brought_up_start_from_20_fps(reference):
    spy = Spy()
    sampled = Sampled(spy)
    rows = members(reference.recordings, "matched", 20)
    for fps in (20.0, 120.0):
        sampled.motions(reference.recordings, rows, fps, 0, 0)
    assert spy.seen[20.0] == spy.seen[120.0] == [sample_seed(0, reference.recordings[r], 0) for r in rows]
    assert len(set(spy.seen[20.0])) == len(rows)
    up = BroughtUp(sampled, "slerp").motions(reference.recordings, rows, 120.0, 0, 0)
    assert set(spy.seen) == {20.0, 120.0} and len(spy.seen[20.0]) == len(rows)  # kept, not made again
    assert all(len(up[int(r)]) == frame_count(reference.recordings[r].seconds, 120.0) for r in rows)


def test_codes_are_sampled_once_and_read_at_every_rate_as_sample_would(reference):
    import torch

    from nerm.denoiser import Denoiser, DenoiserConfig
    from nerm.field import Field, FieldConfig
    from nerm.model import Condition, NeRM
    from nerm.settings import Stage1Config, Stage2Config

    torch.manual_seed(0)
    stage1 = Stage1Config(field=FieldConfig(width=16, layers=2, latent=8, intervals=1))
    stage2 = Stage2Config(denoiser=DenoiserConfig(latent=9, width=16, layers=1, labels=1), sampling_steps=3)
    nerm = NeRM(stage1, Field(stage1.field), stage2, Denoiser(stage2.denoiser), torch.zeros(8), torch.eye(8), ["cmu/walk"])
    calls = []
    sample_codes = nerm.sample_codes
    nerm.sample_codes = lambda *arguments: calls.append(1) or sample_codes(*arguments)
    listed, rows, source = reference.recordings, np.arange(3), Sampled(nerm)
    found = {fps: source.motions(listed, rows, fps, 0, 0) for fps in (120.0, 20.0)}
    assert len(calls) == 1
    alone = nerm.sample([Condition(text=listed[2].caption)], [listed[2].seconds], 120.0, [sample_seed(0, listed[2], 0)])[0]
    assert np.abs(alone.joints - found[120.0][2].joints).max() < 1e-5
    assert np.abs(found[120.0][2].joints[::6] - found[20.0][2].joints).max() < 1e-5


def test_a_generator_that_gives_too_few_frames_is_named(reference):
    class Short(Spy):
        def sample(self, *arguments, **more):
            return [motion[:-1] for motion in super().sample(*arguments, **more)]

    with pytest.raises(InputError, match="system 'spy' gave"):
        Sampled(Short()).motions(reference.recordings, np.arange(2), 20.0, 0, 0)


def test_replications_redraw_among_the_motions_of_a_recording_or_take_one_after_the_other():
    picks = Draw(4).pick(0, 50, 3)
    assert set(picks.tolist()) == {0, 1, 2}
    assert Draw(4, anew=True).pick(2, 5, 20).tolist() == [2] * 5


def test_the_reference_holds_no_motion_and_refuses_a_rate_that_it_lacks(tiny, reference):
    assert not any(array.shape[-2:] == (22, 3) for array in reference.arrays.values() if array.ndim >= 2)
    with pytest.raises(InputError, match="its rates are 20, 40, 60, 100, 120"):
        reference.measured(30.0)


def test_a_truncated_reference_is_named(tiny, tmp_path):
    (tmp_path / "multirate.npz").write_bytes(tiny.reference.read_bytes()[:-500])
    with pytest.raises(InputError, match="not a whole reference file"):
        load_reference("multirate", [tmp_path])


def test_text_metrics_are_there_at_20_fps_where_labels_suffice(tiny, reference, monkeypatch):
    from evaluators.metrics import retrieval

    monkeypatch.setattr(retrieval, "POOL", 3)
    found = by_metric(score(reference.measured(20.0), reference, ["all"], ["multirate", "guo"], DRAW), extractor="guo")
    assert {"fid", "diversity", "nearest_train", "r_precision_top1", "r_precision_top3", "multimodal_dist"} <= set(found)
    assert np.all(np.array(found["r_precision_top3"]) == 1.0)


def test_generators_are_known_by_name_and_taken_names_refused():
    assert load_generator("freeze").sample([None], [1.0], 30.0, [0])[0].joints.shape == (31, 22, 3)
    first, again = (load_generator("noise").sample([None] * 2, [1.0] * 2, 30.0, [0, 1]) for _ in range(2))
    assert np.array_equal(first[0].joints, again[0].joints) and not np.array_equal(first[0].joints, first[1].joints)
    with pytest.raises(InputError, match="registered twice"):
        GENERATORS.register("nerm", "x:y")
    with pytest.raises(InputError, match="did you mean freeze"):
        load_generator("freezer")


def test_a_reconstruction_of_what_a_field_wrote_is_exact_at_every_rate():
    import torch

    from evaluators.protocols.reconstruction import reconstruct
    from nerm.field import Field, FieldConfig
    from nerm.reading import decode

    torch.manual_seed(0)
    field = Field(FieldConfig(width=16, layers=2, latent=8, intervals=1)).eval()
    codes = torch.randn(2, 8)
    motions = [decode(field, codes[0], 1.0, 120.0), decode(field, codes[1], 1.0, 60.0)]
    records = reconstruct(field, motions, codes, [20.0, 60.0, 120.0], "unseen", DRAW)
    counted = {(record["metric"], record["fps"]): record["n"] for record in records}
    assert [counted["mre", fps] for fps in (20.0, 60.0, 120.0)] == [2, 2, 1]
    assert {key for key in counted if key[0] == "band_error"} == {("band_error", 120.0)}  # 61 frames at 60 fps are too few
    assert max(record["value"] for record in records) < 0.01


def test_protocol_numbers_are_those_of_version_2():
    assert (protocol.PROTOCOL, protocol.VERSION, FRAMES) == ("clip", 2, 32)
