"""The extractor `anyrate`: what its features and its embedding promise, its weights and the guard of them, its training."""

import json

import numpy as np
import pytest
import torch
from made_up import small_anyrate, twelve_walks, walker

from evaluators.extractors import EXTRACTORS, frozen, load_extractor
from evaluators.extractors.anyrate import VERSION, clips, spoiling
from evaluators.extractors.anyrate.extractor import AnyrateExtractor, load, save
from evaluators.extractors.anyrate.network import CLIP_FRAMES, AnyrateConfig, AnyrateEncoder, clip_features
from evaluators.extractors.anyrate.training import AnyrateTask, AnyrateTraining, fitted_space, train
from evaluators.extractors.describing import sized
from nerm import checkpoint
from nerm.clips import canonical
from nerm.errors import InputError
from nerm.motion import Motion, resample
from nerm.motion.skeleton import heading
from nerm.training import Budget, fit


@pytest.fixture(scope="module")
def extractor():
    return AnyrateExtractor(*small_anyrate())


@pytest.fixture(scope="module")
def dataset():
    return twelve_walks()


def some_clips(count=6, fps=120.0):
    return np.stack([walker(CLIP_FRAMES, fps, seed) for seed in range(count)])


def test_place_and_heading_do_not_matter(extractor):
    x = some_clips()
    moved = np.stack(
        [Motion(c, 120.0).transformed(yaw, (3.0, 0.0, -7.0)).joints for c, yaw in zip(x, np.linspace(-3, 3, len(x)), strict=True)]
    )
    expected = extractor.embed_clips(x, 120.0)
    np.testing.assert_allclose(extractor.embed_clips(moved, 120.0), expected, atol=2e-3 * np.abs(expected).max())


def test_the_height_above_the_floor_matters(extractor):
    x = some_clips()
    assert np.abs(extractor.embed_clips(x + np.array([0.0, 0.1, 0.0], np.float32), 120.0) - extractor.embed_clips(x, 120.0)).max() > 1e-3


def test_the_centre_frame_stands_at_the_origin_and_faces_z():
    centre = canonical(torch.from_numpy(some_clips()))[:, CLIP_FRAMES // 2].numpy()
    np.testing.assert_allclose(centre[:, 0, [0, 2]], 0, atol=1e-6)
    np.testing.assert_allclose(heading(centre), 0, atol=1e-5)
    np.testing.assert_allclose(centre[:, :, 1], some_clips()[:, CLIP_FRAMES // 2, :, 1], atol=1e-6)


@pytest.mark.parametrize("fps", [60.0, 40.0])
def test_features_at_coinciding_times_are_the_same_at_every_rate(fps):
    motion = Motion(walker(361), 120.0)
    fast, slow = (clip_features(m.joints[None], m.fps, AnyrateConfig())[0] for m in (motion, resample(motion, fps)))
    step = int(120 / fps)
    inner = slice(int(0.5 * fps), -int(0.5 * fps))  # the ends are continued without knowledge of what follows
    limits = (5e-4, 1e-3, 0.15, 0.15)  # accelerations reach 35 m/s^2, and a filter is right within 0.2 % of them
    for fast_part, slow_part, limit in zip(fast[::step].split(66, 1), slow.split(66, 1), limits, strict=True):
        assert (fast_part - slow_part)[inner].abs().max() < limit


def test_velocities_are_in_metres_per_second_and_accelerations_in_metres_per_second_squared():
    t = np.arange(CLIP_FRAMES)[:, None, None] / 60.0
    pose = sized(torch.from_numpy(walker(1)[None].astype(np.float32)))[0].numpy()
    path = np.repeat(pose, CLIP_FRAMES, 0) + np.array([0.0, 0.5, 0.0]) * t + np.array([0.0, 2.0, 0.0]) * t**2
    features = clip_features(path[None].astype(np.float32), 60.0, AnyrateConfig())[0]
    middle = features[CLIP_FRAMES // 2]
    np.testing.assert_allclose(middle[66:132].unflatten(0, (22, 3))[:, 1], 0.5 + 2 * 2.0 * CLIP_FRAMES / 2 / 60, atol=0.02)
    low, high = middle[132:198].unflatten(0, (22, 3)), middle[198:].unflatten(0, (22, 3))
    np.testing.assert_allclose((low + high)[:, 1], 4.0, atol=0.2)


def test_what_lies_above_the_band_is_not_seen():
    x = walker(121)
    t = np.arange(121)[:, None, None] / 120.0
    seen, unseen = (
        clip_features((x + 0.002 * np.sin(2 * np.pi * hz * t)).astype(np.float32)[None], 120.0, AnyrateConfig()) for hz in (12, 35)
    )
    plain = clip_features(x[None], 120.0, AnyrateConfig())
    assert (seen - plain)[0, 50:70, 132:].abs().max() > 5.0
    assert (unseen - plain)[0, 50:70, 132:].abs().max() < 0.1


@pytest.mark.parametrize("fps", [12.5, 20.0, 24.0, 60.0, 120.0, 240.0])
def test_embeddings_are_finite_and_do_not_depend_on_the_batch(extractor, fps):
    x = some_clips(7, fps)
    together = extractor.embed_clips(x, fps)
    assert len(together) == 7 and together.shape[1] <= 64
    assert np.isfinite(together).all()
    alone = np.concatenate([extractor.embed_clips(x[k : k + 1], fps) for k in range(7)])
    np.testing.assert_allclose(alone, together, atol=2e-3 * np.abs(together).max())


@pytest.mark.parametrize("fps", [25.0, 48.0, 50.0, 90.0, 144.0])
def test_a_millimetre_of_noise_is_no_more_at_a_rate_between_those_of_the_whitenings(fps):
    """The whitening of 40 fps knows nothing above 16 Hz; at 48 fps it took the noise between 16 and 19 Hz for motion."""
    shipped = load_extractor("anyrate", [checkpoint.RESULTS / checkpoint.MODELS])
    noise = 0.001 * np.random.default_rng(0).standard_normal((24, CLIP_FRAMES, 22, 3))

    def moved(rate: float) -> float:
        clips_ = np.stack([walker(CLIP_FRAMES, rate, seed) for seed in range(24)])
        return float(np.linalg.norm(shipped.embed_clips(clips_ + noise, rate) - shipped.embed_clips(clips_, rate), axis=1).mean())

    around = [rate for rate in shipped.space.whitenings if rate / 1.5 < fps < rate * 1.5]
    assert moved(fps) < 1.3 * max(map(moved, around))


def test_wrong_clips_are_answered(extractor):
    with pytest.raises(InputError, match=r"\[n, m, 22, 3\]"):
        extractor.embed_clips(np.zeros((3, 32, 21, 3)), 20.0)
    with pytest.raises(InputError, match="not finite"):
        extractor.embed_clips(np.full((1, 32, 22, 3), np.nan), 20.0)
    with pytest.raises(InputError, match="positive number"):
        extractor.embed_clips(some_clips(), 0)


# --- weights --------------------------------------------------------------------------------------------------------------------------


def test_weights_saved_and_loaded_embed_the_same(tmp_path):
    encoder, space = small_anyrate(1)
    save(encoder, space, tmp_path / "anyrate.safetensors")
    first = load(tmp_path / "anyrate.safetensors")
    save(first.encoder, first.space, tmp_path / "again.safetensors")
    second = load(tmp_path / "again.safetensors")
    assert first.digest == second.digest
    np.testing.assert_array_equal(first.embed_clips(some_clips(), 60.0), second.embed_clips(some_clips(), 60.0))
    half = AnyrateExtractor(encoder, space).embed_clips(some_clips(), 60.0)
    np.testing.assert_allclose(first.embed_clips(some_clips(), 60.0), half, atol=5e-3 * np.abs(half).max())
    assert (tmp_path / "anyrate.safetensors").stat().st_size < 2e6


def test_a_file_that_is_no_extractor_is_refused(tmp_path):
    (tmp_path / "anyrate.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="not a whole"):
        load(tmp_path / "anyrate.safetensors")
    with pytest.raises(InputError, match="does not exist"):
        load(tmp_path / "missing.safetensors")
    other = checkpoint.write(tmp_path / "other.safetensors", "guo", {"a": torch.zeros(1)}, {})
    with pytest.raises(InputError, match="expected one of 'anyrate'"):
        load(other)
    empty = checkpoint.write(tmp_path / "empty.safetensors", "anyrate", {"a": torch.zeros(1)}, {})
    with pytest.raises(InputError, match="no file of the extractor 'anyrate'"):
        load(empty)
    with pytest.raises(InputError, match=r"python -m evaluators.train extractor=anyrate"):
        load_extractor("anyrate", [tmp_path / "nowhere"])


def test_weights_of_another_version_are_refused(tmp_path):
    encoder = AnyrateEncoder(AnyrateConfig())
    about = {"config": {}, "version": VERSION + 1}
    path = checkpoint.write(tmp_path / "anyrate.safetensors", "anyrate", encoder.state_dict(), about, exact=None)
    with pytest.raises(InputError, match="of another version"):
        load(path)


def test_changed_weights_at_the_shipped_place_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(frozen, "FROZEN", tmp_path / "frozen.json")
    monkeypatch.setattr(checkpoint, "RESULTS", tmp_path)
    path = frozen.shipped_path("anyrate")
    save(*small_anyrate(2), path)
    digest = load_extractor("anyrate", [tmp_path / "models"]).digest  # nothing is frozen yet
    frozen.freeze("anyrate", VERSION, digest)
    assert json.loads((tmp_path / "frozen.json").read_text()) == {"anyrate": {"sha256": digest, "version": VERSION}}
    assert load_extractor("anyrate", [tmp_path / "models"]).digest == digest
    with pytest.raises(InputError, match="new metric version"):
        frozen.check_free("anyrate", VERSION, path)
    frozen.check_free("anyrate", VERSION + 1, path)
    save(*small_anyrate(3), path)
    with pytest.raises(InputError, match="a changed extractor is a new metric version"):
        load_extractor("anyrate", [tmp_path / "models"])
    (tmp_path / "own").mkdir()
    path.replace(tmp_path / "own" / path.name)
    assert load_extractor("anyrate", [tmp_path / "own"]).digest != digest  # a user's own weights are their own affair


def test_the_frozen_extractors_are_the_shipped_ones():
    assert set(frozen.frozen_extractors()) == {"anyrate", "guo", "multirate_gru", "multirate_stgcn"}
    for name, entry in frozen.frozen_extractors().items():
        extractor = load_extractor(name, [checkpoint.RESULTS / checkpoint.MODELS])
        assert extractor.digest == entry["sha256"] and extractor.version == EXTRACTORS.get(name).version


@pytest.mark.parametrize("entry", [entry for entry in EXTRACTORS if not entry.official], ids=lambda entry: entry.name)
def test_an_extractor_embeds_what_its_entry_says_and_nothing_else(entry):
    extractor = load_extractor(entry.name, [checkpoint.RESULTS / checkpoint.MODELS])
    assert extractor.name == entry.name
    calls = {
        "clips": lambda: extractor.embed_clips(some_clips(2, 20.0), 20.0),
        "motions": lambda: extractor.embed_motions([Motion(clip, 20.0) for clip in some_clips(2, 20.0)]),
        "texts": lambda: extractor.embed_texts(["a person walks", "a person runs"]),
        "actions": lambda: extractor.classify([Motion(clip, 20.0) for clip in some_clips(2, 20.0)]).features,
    }
    for kind, embed in calls.items():
        if kind in entry.embeds or (kind == "motions" and "actions" in entry.embeds):  # features of a classifier are of whole motions
            assert len(embed()) == 2 and embed().shape[1] <= 128
        else:
            with pytest.raises(InputError, match=f"extractor '{entry.name}' embeds no"):
                embed()


# --- training -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def task(dataset):
    torch.manual_seed(0)
    return AnyrateTask(dataset, AnyrateConfig(width=32, embedding=16), AnyrateTraining(pairs=12, space_clips=60))


@pytest.mark.parametrize("fps", [24.0, 60.0, 100.0])
def test_training_clips_are_those_of_the_resampler(dataset, task, fps):
    motion = resample(dataset.motion(dataset.items("train")[0]), fps, "cubic")
    cut = clips.clips_at(task.windows["train"], torch.tensor([0]), torch.tensor([20 / fps], dtype=torch.float64), fps)
    np.testing.assert_allclose(cut[0], motion.joints[20 : 20 + CLIP_FRAMES], atol=1e-5)


def test_pairs_overlap_and_lie_inside_their_windows():
    seconds = torch.full((200,), 4.0, dtype=torch.float64)
    for rates in ([20.0, 120.0], [120.0, 20.0], [60.0, 60.0]):
        starts = clips.overlapping(seconds, rates, torch.Generator().manual_seed(0))
        ends = [start + (CLIP_FRAMES - 1) / rate for start, rate in zip(starts, rates, strict=True)]
        shared = torch.minimum(*ends) - torch.maximum(*starts)
        assert (shared > 0.49 * (CLIP_FRAMES - 1) / max(rates)).all()
        assert min(float(s.min()) for s in starts) >= 0
        assert max(float(e.max()) for e in ends) <= 4.0 + 1e-9


def test_every_kind_of_damage_changes_its_clips_and_states_an_amount(task):
    windows, index = task.windows["train"], torch.arange(12).repeat(20)
    start = torch.full((240,), 1.0, dtype=torch.float64)
    whole = clips.clips_at(windows, index, start, 60.0)
    damaged, amounts = spoiling.spoil(windows, index, start, 60.0, whole, torch.Generator().manual_seed(0))
    assert torch.isfinite(damaged).all()
    assert ((damaged - whole).abs().amax((1, 2, 3)) > 0).float().mean() > 0.95
    assert (amounts.abs().amax(0) > 0.5).all()
    assert ((amounts != 0).sum(1) <= 1).all()


def test_the_declared_kinds_of_damage_are_those_of_the_training():
    assert EXTRACTORS.get("anyrate").trained_on == tuple(spoiling.DAMAGES)


def test_a_bent_limb_keeps_its_bones_and_a_leaning_body_its_root():
    x, generator = canonical(torch.from_numpy(some_clips())), torch.Generator().manual_seed(0)
    times = torch.arange(CLIP_FRAMES) / 120.0
    bent, _ = spoiling.bent_limb(x, x, times, generator)
    lengths = lambda clips: (clips[:, :, [4, 7, 18, 20]] - clips[:, :, [1, 4, 16, 18]]).norm(dim=-1)  # noqa: E731
    torch.testing.assert_close(lengths(bent), lengths(x))
    lean, amount = spoiling.leaning_body(x, x, times, generator)
    head, was = lean[:, 0, 15], x[:, 0, 15]
    torch.testing.assert_close(head.norm(dim=-1), was.norm(dim=-1), atol=0.05, rtol=0.05)
    assert (head[:, 1] < was[:, 1] + 0.2).all() and (amount > 0).all()


def test_noise_up_to_a_millimetre_is_shorter_than_the_spread_of_motion():
    encoder, space = small_anyrate(rates=(120.0,))
    extractor, x = AnyrateExtractor(encoder, space), some_clips(20)
    noisy = x + 0.0005 * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    away = np.linalg.norm(extractor.embed_clips(noisy, 120.0) - extractor.embed_clips(x, 120.0), axis=1).mean()
    apart = np.linalg.norm(np.diff(extractor.embed_clips(x, 120.0), axis=0), axis=1).mean()
    assert away < 0.3 * apart


def test_a_few_steps_of_training_lower_the_loss_and_leave_an_extractor(task, tmp_path):
    def loss():
        with torch.no_grad():
            return np.mean([float(task.module(*task.batch(torch.Generator().manual_seed(k), 0.0), progress=0.0)[0]) for k in range(5)])

    before = loss()
    outcome = fit(task, Budget(steps=50, device="cpu", average=0.9), tmp_path / "run")
    assert outcome.steps == 50
    assert loss() < before
    save(task.encoder, fitted_space(task, 0), tmp_path / "anyrate.safetensors")
    embedded = load(tmp_path / "anyrate.safetensors").embed_clips(some_clips(), 60.0)
    assert embedded.shape == (6, 4 + 43 + 8)


def test_training_writes_where_it_is_told_and_repeats_with_its_seed(dataset, tmp_path):
    settings = AnyrateTraining(pairs=4, space_clips=60)
    for name in ("a", "b"):
        train(dataset, Budget(steps=2, seed=3, device="cpu"), tmp_path / name, tmp_path / f"{name}.safetensors", settings)
    assert load(tmp_path / "a.safetensors").digest == load(tmp_path / "b.safetensors").digest


def test_recordings_without_a_clip_at_any_rate_are_answered(dataset):
    dataset = twelve_walks()
    dataset._items = {"train": [dataset.items("train")[0].__class__("0", "t", 15.0, 4.0)]}
    with pytest.raises(InputError, match="'made-up' has no motion of more than 32 frames"):
        AnyrateTask(dataset, AnyrateConfig(), AnyrateTraining())
