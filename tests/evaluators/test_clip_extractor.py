"""The multi-rate clip extractor: what its features and its embedding promise, its training, its controls and the guard of its weights."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from evaluators import train
from evaluators.extractors import acceptance, clip, clip_training, frozen, load_extractor
from evaluators.extractors.clip import CLIP_FRAMES, ClipConfig, ClipEncoder, ClipExtractor, clip_features
from nerm.clips import canonical
from nerm.data.corpus import Corpus
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, resample
from nerm.motion.skeleton import heading
from nerm.training import Budget, fit


def figure(frames, fps=120.0, seed=0, highest_hz=3.0):
    """A figure that swings its limbs while it walks a curve. [frames, 22, 3]"""
    random = np.random.default_rng(seed)
    rest = np.zeros((22, 3))
    for joint in range(1, 22):
        rest[joint] = rest[SMPL22.parents[joint]] + SMPL22.offsets[joint]
    t = np.arange(frames)[:, None, None] / fps
    rate, phase = random.uniform(0.3, highest_hz, (1, 22, 3)), random.uniform(0, 6, (1, 22, 3))
    swing = random.uniform(0.02, 0.1) * np.sin(2 * np.pi * rate * t + phase)
    path = random.uniform(0.2, 1.5) * t * np.array([np.sin(seed), 0.0, np.cos(seed)])
    return (rest + swing + path + np.array([1.0, 0.95, -2.0])).astype(np.float32)


@pytest.fixture(scope="module")
def extractor():
    torch.manual_seed(0)
    return ClipExtractor(ClipEncoder(ClipConfig()))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twelve trials of 4 s at 120 fps and of two labels."""
    path = tmp_path_factory.mktemp("corpus")
    count, frames = 12, 481
    np.save(path / "joints.npy", np.concatenate([figure(frames, seed=seed) for seed in range(count)]))
    shared = {"source": "cmu", "fps": 120.0, "split": ["train"] * 6 + ["val"] * 2 + ["test"] * 4, "label": ["cmu/walk", "cmu/run"] * 6}
    trials = pd.DataFrame({**shared, "trial_name": "t", "offset": np.arange(count) * frames, "frames": frames})
    windows = pd.DataFrame({**shared, "trial": np.arange(count), "start": 0, "end": frames, "seconds": 4.0})
    return Corpus(path, trials, windows, {"name": "tiny", "sha256": "0" * 64})


def clips(count=6, fps=120.0):
    return np.stack([figure(CLIP_FRAMES, fps, seed) for seed in range(count)])


def test_place_and_heading_do_not_matter(extractor):
    x = clips()
    moved = np.stack(
        [Motion(c, 120.0).transformed(yaw, (3.0, 0.0, -7.0)).joints for c, yaw in zip(x, np.linspace(-3, 3, len(x)), strict=True)]
    )
    expected = extractor.embed_clips(x, 120.0)
    np.testing.assert_allclose(extractor.embed_clips(moved, 120.0), expected, atol=2e-3 * np.abs(expected).max())


def test_the_height_above_the_floor_matters(extractor):
    x = clips()
    assert np.abs(extractor.embed_clips(x + np.array([0.0, 0.1, 0.0], np.float32), 120.0) - extractor.embed_clips(x, 120.0)).max() > 1e-3


def test_the_centre_frame_stands_at_the_origin_and_faces_z():
    centre = canonical(torch.from_numpy(clips()))[:, CLIP_FRAMES // 2].numpy()
    np.testing.assert_allclose(centre[:, 0, [0, 2]], 0, atol=1e-6)
    np.testing.assert_allclose(heading(centre), 0, atol=1e-5)
    np.testing.assert_allclose(centre[:, :, 1], clips()[:, CLIP_FRAMES // 2, :, 1], atol=1e-6)


@pytest.mark.parametrize("fps", [60.0, 40.0])
def test_features_at_coinciding_times_are_the_same_at_every_rate(fps):
    motion = Motion(figure(361), 120.0)
    fast, slow = (clip_features(m.joints[None], m.fps, ClipConfig())[0] for m in (motion, resample(motion, fps)))
    step = int(120 / fps)
    inner = slice(int(0.5 * fps), -int(0.5 * fps))  # the ends are continued without knowledge of what follows
    limits = (1e-4, 1e-3, 0.15, 0.15)  # accelerations reach 35 m/s^2, and a filter is right within 0.2 % of them
    for fast_part, slow_part, limit in zip(fast[::step].split(66, 1), slow.split(66, 1), limits, strict=True):
        assert (fast_part - slow_part)[inner].abs().max() < limit


def test_velocities_are_in_metres_per_second_and_accelerations_in_metres_per_second_squared():
    t = np.arange(CLIP_FRAMES)[:, None, None] / 60.0
    path = np.repeat(figure(1), CLIP_FRAMES, 0) + np.array([0.0, 0.5, 0.0]) * t + np.array([0.0, 2.0, 0.0]) * t**2
    features = clip_features(path[None].astype(np.float32), 60.0, ClipConfig())[0]
    middle = features[CLIP_FRAMES // 2]
    np.testing.assert_allclose(middle[66:132].unflatten(0, (22, 3))[:, 1], 0.5 + 2 * 2.0 * CLIP_FRAMES / 2 / 60, atol=0.02)
    low, high = middle[132:198].unflatten(0, (22, 3)), middle[198:].unflatten(0, (22, 3))
    np.testing.assert_allclose((low + high)[:, 1], 4.0, atol=0.2)


def test_what_lies_above_the_band_is_not_seen():
    x = figure(121)
    t = np.arange(121)[:, None, None] / 120.0
    seen, unseen = (
        clip_features((x + 0.002 * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None], 120.0, ClipConfig()) for hz in (12, 35)
    )
    plain = clip_features(x[None], 120.0, ClipConfig())
    assert (seen - plain)[0, 50:70, 132:].abs().max() > 5.0
    assert (unseen - plain)[0, 50:70, 132:].abs().max() < 0.1


@pytest.mark.parametrize("fps", [12.5, 20.0, 24.0, 60.0, 120.0, 240.0])
def test_embeddings_are_finite_and_do_not_depend_on_the_batch(extractor, fps):
    x = clips(7, fps)
    together = extractor.embed_clips(x, fps)
    assert together.shape == (7, 128)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(extractor.embed_clips(x, fps, batch=2), together, rtol=1e-4, atol=1e-5)


def test_wrong_clips_are_answered(extractor):
    with pytest.raises(InputError, match=r"\[n, m, 22, 3\]"):
        extractor.embed_clips(np.zeros((3, 32, 21, 3)), 20.0)
    with pytest.raises(InputError, match="not finite"):
        extractor.embed_clips(np.full((1, 32, 22, 3), np.nan), 20.0)
    with pytest.raises(InputError, match="positive number"):
        extractor.embed_clips(clips(), 0)


# --- weights --------------------------------------------------------------------------------------------------------------------------


def test_weights_saved_and_loaded_embed_the_same(tmp_path):
    torch.manual_seed(1)
    encoder = ClipEncoder(ClipConfig())
    clip.save(encoder, tmp_path / "clip.safetensors")
    first = ClipExtractor.load(tmp_path / "clip.safetensors")
    clip.save(first.encoder, tmp_path / "again.safetensors")
    second = ClipExtractor.load(tmp_path / "again.safetensors")
    assert first.digest == second.digest
    np.testing.assert_array_equal(first.embed_clips(clips(), 60.0), second.embed_clips(clips(), 60.0))
    half = ClipExtractor(encoder).embed_clips(clips(), 60.0)
    np.testing.assert_allclose(first.embed_clips(clips(), 60.0), half, atol=5e-3 * np.abs(half).max())
    assert (tmp_path / "clip.safetensors").stat().st_size < 2e6


def test_a_file_that_is_no_extractor_is_refused(tmp_path):
    (tmp_path / "clip.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="no file of the multirate extractor"):
        ClipExtractor.load(tmp_path / "clip.safetensors")
    with pytest.raises(InputError, match="train the extractor"):
        ClipExtractor.load(tmp_path / "missing.safetensors")


def test_changed_weights_at_the_shipped_place_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, "FROZEN", tmp_path / "frozen.json")
    monkeypatch.setattr(frozen, "MODELS", tmp_path / "models")
    path = frozen.shipped_path("multirate")
    torch.manual_seed(2)
    clip.save(ClipEncoder(ClipConfig()), path)
    digest = load_extractor("multirate", [tmp_path / "models"]).digest  # nothing is frozen yet
    frozen.freeze("multirate", clip.VERSION, digest)
    assert json.loads((tmp_path / "frozen.json").read_text()) == {"multirate": {"sha256": digest, "version": clip.VERSION}}
    assert load_extractor("multirate", [tmp_path / "models"]).digest == digest
    with pytest.raises(InputError, match="new metric version"):
        frozen.check_free("multirate", clip.VERSION, path)
    frozen.check_free("multirate", clip.VERSION + 1, path)
    clip.save(ClipEncoder(ClipConfig()), path)
    with pytest.raises(InputError, match="a changed extractor is a new metric version"):
        load_extractor("multirate", [tmp_path / "models"])
    (tmp_path / "own").mkdir()
    path.replace(tmp_path / "own" / path.name)
    assert load_extractor("multirate", [tmp_path / "own"]).digest != digest  # a user's own weights are their own affair


def test_the_frozen_extractors_are_the_shipped_ones():
    for name, entry in frozen._read().items():
        assert load_extractor(name, [frozen.MODELS]).digest == entry["sha256"]


# --- training -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def task(corpus):
    torch.manual_seed(0)
    return clip_training.ClipTask(corpus, ClipConfig(width=32, embedding=16), clip_training.ClipTraining(pairs=12))


@pytest.mark.parametrize("fps", [24.0, 60.0, 100.0])
def test_training_clips_are_those_of_the_resampler(corpus, task, fps):
    motion = resample(corpus.window(0), fps, "cubic")
    found = clip_training.clips_at(task.windows["train"], torch.tensor([0]), torch.tensor([20 / fps], dtype=torch.float64), fps)
    np.testing.assert_allclose(found[0], motion.joints[20 : 20 + CLIP_FRAMES], atol=1e-5)


def test_pairs_overlap_and_lie_inside_their_windows():
    seconds = torch.full((200,), 4.0, dtype=torch.float64)
    for rates in ([20.0, 120.0], [120.0, 20.0], [60.0, 60.0]):
        starts = clip_training.overlapping(seconds, rates, torch.Generator().manual_seed(0))
        ends = [start + (CLIP_FRAMES - 1) / rate for start, rate in zip(starts, rates, strict=True)]
        shared = torch.minimum(*ends) - torch.maximum(*starts)
        assert (shared > 0.49 * (CLIP_FRAMES - 1) / max(rates)).all()
        assert min(float(s.min()) for s in starts) >= 0
        assert max(float(e.max()) for e in ends) <= 4.0 + 1e-9


def test_every_kind_of_damage_changes_its_clips_and_states_an_amount(task):
    windows, index = task.windows["train"], torch.arange(12).repeat(20)
    start = torch.full((240,), 1.0, dtype=torch.float64)
    whole = clip_training.clips_at(windows, index, start, 60.0)
    damaged, amounts = clip_training.damage(windows, index, start, 60.0, whole, torch.Generator().manual_seed(0))
    assert torch.isfinite(damaged).all()
    assert ((damaged - whole).abs().amax((1, 2, 3)) > 0).float().mean() > 0.95
    assert (amounts.abs().amax(0) > 0.5).all()
    drift = amounts[:, clip_training.KINDS.index("drift")] > 0
    moved = ((damaged - whole)[drift, -1] - (damaged - whole)[drift, 0]).norm(dim=-1) / ((CLIP_FRAMES - 1) / 60)
    np.testing.assert_allclose(moved / 0.15, amounts[drift, clip_training.KINDS.index("drift")][:, None].expand_as(moved), rtol=1e-3)


def test_a_few_steps_of_training_lower_the_loss_and_leave_an_extractor(task, tmp_path):
    def loss():
        with torch.no_grad():
            return np.mean([float(task.module(*task.batch(torch.Generator().manual_seed(k), 0.0), progress=0.0)[0]) for k in range(5)])

    before = loss()
    outcome = fit(task, Budget(steps=50, device="cpu", average=0.9), tmp_path / "run")
    assert outcome.steps == 50
    assert loss() < before
    clip.save(task.encoder, tmp_path / "clip.safetensors")
    assert ClipExtractor.load(tmp_path / "clip.safetensors").embed_clips(clips(), 60.0).shape == (6, 16)


# --- controls -------------------------------------------------------------------------------------------------------------------------


class Motionless:
    """Sees only the pose of the centre frame."""

    name = "motionless"

    def embed_clips(self, joints, fps):
        return np.asarray(joints)[:, 16, :4, 1]


def test_the_controls_find_an_extractor_that_does_not_see_motion(corpus):
    outcome = acceptance.accept(Motionless(), corpus, fps=(60.0,), repeats=1, clips=60)
    assert not outcome.passed
    demands = outcome.checks.set_index("demand")["passed"]
    assert not demands["further with more foot slide"]
    assert len(outcome.values) == 23
    page = outcome.markdown()
    assert "| noise | 20 mm |" in page
    assert "FAIL" in page


def test_rates_that_do_not_decide_are_for_information(corpus):
    outcome = acceptance.accept(Motionless(), corpus, fps=(60.0,), decisive=(20.0,), repeats=1, clips=60)
    assert outcome.passed
    assert "FAIL" not in outcome.markdown()


def values(**distances):
    return [{"control": control.replace("_", " "), "distance": d} for control, row in distances.items() for d in row]


def test_a_wrong_order_fails_its_demand_and_no_other():
    good = dict(real=[1.0], noise=[1.1, 1.5], faster=[1.2], slower=[1.2], foot_slide=[1.1], shuffled_joints=[6.0])
    good["low-pass"] = [1.1, 1.2]
    assert all(check["passed"] for check in acceptance.judge(values(**good)))
    for name, wrong in {"noise": [1.5, 1.1], "low-pass": [1.4, 1.2], "shuffled_joints": [0.9 * acceptance.FAR], "faster": [0.9]}.items():
        failed = [check["demand"] for check in acceptance.judge(values(**good | {name: wrong})) if not check["passed"]]
        assert len(failed) == 1
        assert name.split("_")[0] in failed[0]


# --- the command ----------------------------------------------------------------------------------------------------------------------


def accepted(passed):
    checks = pd.DataFrame([{"fps": 20.0, "decisive": True, "demand": "further with more noise", "passed": passed, "detail": "1 <= 2"}])
    return acceptance.Acceptance("multirate", pd.DataFrame([{"fps": 20.0, "control": "real", "amount": "", "distance": 1.0}]), checks)


def test_weights_that_fail_a_control_are_kept_aside(tmp_path):
    trained = tmp_path / "run" / "clip.safetensors"
    clip.save(ClipEncoder(ClipConfig()), trained)
    out = tmp_path / "models" / "clip.safetensors"
    assert train.deliver("multirate", 1, trained, out, accepted(False), {}) == 1
    assert trained.exists() and not out.exists()
    assert "FAIL" in trained.with_suffix(".md").read_text()
    assert train.deliver("multirate", 1, trained, out, accepted(True), {}) == 0
    assert out.read_bytes() == trained.read_bytes()
    assert ClipExtractor.load(out).digest in out.with_suffix(".md").read_text()


@pytest.mark.parametrize(
    "words", [[], ["extractor=clip", "recipe=shipped", "minutes=1"], ["extractor=clip"], ["extractor=clap", "minutes=1"]]
)
def test_wrong_use_of_the_command_is_answered(words):
    with pytest.raises(InputError):
        train.main(words)


def test_a_recipe_goes_on_where_it_stopped(tmp_path):
    done = []

    def step(name, key="k", code=0):
        def do():
            done.append(name)
            (tmp_path / name).touch()
            return code

        return train.Step(name, tmp_path / name, do, key)

    assert train.follow([step("a"), step("b", code=1), step("c")], tmp_path) == 1
    assert train.follow([step("a"), step("b"), step("c")], tmp_path) == 0
    assert done == ["a", "b", "b", "c"]
    assert train.follow([step("a"), step("b"), step("c")], tmp_path) == 0
    assert train.follow([step("a"), step("b", key="other"), step("c")], tmp_path) == 0  # what follows a new output is made again
    assert done == ["a", "b", "b", "c", "b", "c"]


def test_the_shipped_recipe_trains_everything_for_equal_shares(corpus, tmp_path, monkeypatch):
    settings = train.Train(recipe="shipped", minutes=70, out=str(tmp_path / "shipped"), runs=str(tmp_path / "runs"))
    steps = {step.name: step for step in train.shipped_recipe(settings, corpus)}
    assert list(steps) == ["clip", "guo", *train.SYSTEMS, "reference", "report framerates", "report text"]
    for module in ("nerm.train", "baselines.train"):
        monkeypatch.setattr(f"{module}.main", lambda words: asked.append(words) or 1)
    asked: list[list[str]] = []
    assert [steps[name].do() for name in train.SYSTEMS] == [1] * 5  # nothing was trained, and nothing is taken
    assert all("minutes=10.0" in words for words in asked) and len(asked) == 5
    other = train.shipped_recipe(train.Train(recipe="shipped", minutes=71, out=settings.out, runs=settings.runs), corpus)
    assert other[0].key != train.shipped_recipe(settings, corpus)[0].key
    assert not list(Path(settings.out).rglob("*.safetensors"))
