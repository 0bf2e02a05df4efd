"""The text-motion evaluator: official files, and the extractor's promises."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import MadeUp

from baselines.checkpoints import load_strict, safe_load
from evaluators.extractors.guo import VERSION
from evaluators.extractors.guo import extractor as embedding
from evaluators.extractors.guo.extractor import GuoExtractor, canonical_clips, load, save
from evaluators.extractors.guo.network import NETWORKS, GuoConfig, GuoEvaluator, load_official
from evaluators.extractors.guo.pairing import Families, Split, cropped, features_of, pieces_of, resized, training_sentences
from evaluators.extractors.guo.pooled import PooledConfig, PooledEvaluator
from evaluators.extractors.guo.sentences import _OTHER, _SAME, contradicted, reworded
from evaluators.extractors.guo.space import Seen, fit_space
from evaluators.extractors.guo.training import GuoTask, GuoTraining, contrastive_loss, info_nce, train
from evaluators.extractors.guo.whole import HOP, WINDOW, describe_joints, describe_motions
from nerm import checkpoint
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.features import FEATURES_263, encode_humanml263
from nerm.motion.motion import Features
from nerm.training import Budget
from nerm.words import vocabulary

SOURCES = os.environ.get("NERM_SOURCES")
CASES = Path(SOURCES or ".") / "golden" / "t2m_evaluator"
cases = pytest.mark.skipif(
    SOURCES is None or not CASES.exists(), reason="cases of the original code are not there: set NERM_SOURCES to their folder"
)


@pytest.fixture(scope="module")
def extractor():
    torch.manual_seed(0)
    evaluator = PooledEvaluator(PooledConfig(), len(vocabulary()))
    evaluator.mean += 0.1
    return GuoExtractor(evaluator)


def walk(frames, fps=20.0, seed=0):
    """A person who swings its limbs and goes forward. [frames, 22, 3]"""
    random = np.random.default_rng(seed)
    rest = np.cumsum(np.zeros((22, 3)), axis=0)
    for joint in range(1, 22):
        rest[joint] = rest[SMPL22.parents[joint]] + SMPL22.offsets[joint]
    t = np.arange(frames)[:, None, None] / fps
    swing = 0.05 * np.sin(2 * np.pi * t * random.uniform(0.5, 1.5, (1, 22, 3)) + random.uniform(0, 6, (1, 22, 3)))
    return (rest + swing + t * np.array([0.3, 0.0, 1.0]) + np.array([0.0, 0.95, 0.0])).astype(np.float32)


@cases
def test_loading_an_official_file_is_the_identity():
    path = CASES / "humanml_263_small" / "finest.tar"
    stored, evaluator = safe_load(path), load_official(path)
    for name in NETWORKS:
        state = getattr(evaluator, name).state_dict()
        assert state.keys() == stored[name].keys()
        assert all(torch.equal(state[key], value) for key, value in stored[name].items())


def test_the_paper_scale_has_the_official_parameter_counts():
    counts = GuoEvaluator(GuoConfig()).parameter_counts()
    assert counts == {"movement_encoder": 1_842_688, "text_encoder": 4_100_288, "motion_encoder": 15_747_584, "all": 21_690_560}


def test_the_shipped_scale_has_at_most_two_and_a_half_million_parameters_with_its_words():
    assert sum(p.numel() for p in PooledEvaluator(PooledConfig(), len(vocabulary())).parameters()) <= 2_500_000


def official(tmp_path, change):
    """A small file in the official layout, changed."""
    config = GuoConfig(dim_word=10, movement_hidden=6, movement_latent=6, text_hidden=6, motion_hidden=6, embedding=4)
    evaluator = GuoEvaluator(config)
    content = {name: getattr(evaluator, name).state_dict() for name in NETWORKS} | {
        "epoch": 1,
        "iter": 2,
        "opt_text_encoder": {"state": {}},
    }
    change(content)
    torch.save(content, tmp_path / "finest.tar")
    return tmp_path / "finest.tar"


def test_optimiser_states_and_counters_are_dropped(tmp_path):
    assert load_official(official(tmp_path, lambda content: None)).config.embedding == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("motion_encoder"), "lacks motion_encoder"),
        (lambda c: c.update(discriminator={}), "holds discriminator"),
        (lambda c: c["text_encoder"].pop("gru.bias_hh_l0_reverse"), "lacks 'gru.bias_hh_l0_reverse'"),
        (lambda c: c["text_encoder"].update(extra=torch.zeros(1)), "has 'extra'"),
        (lambda c: c["movement_encoder"].update({"main.3.bias": torch.zeros(7)}), r"'main.3.bias' is \[7\]; expected \[6\]"),
        (lambda c: c["movement_encoder"].pop("main.0.weight"), "not a text-motion evaluator"),
    ],
)
def test_an_official_file_that_is_not_one_is_refused_by_name(tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_official(official(tmp_path, change))


def test_a_checkpoint_that_would_run_code_is_refused_and_the_object_named(tmp_path):
    class Foreign:
        def __reduce__(self):
            return os.system, ("exit 1",)

    torch.save({"text_encoder": Foreign()}, tmp_path / "a.pt")
    with pytest.raises(InputError, match=r"'(posix|nt)\.system'"):
        safe_load(tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(Foreign(), protocol=2))
    with pytest.raises(InputError, match=r"system"):
        safe_load(tmp_path / "b.pt")


@pytest.mark.parametrize("kind", ["missing", "empty", "short", "text", "pointer", "folder"])
def test_a_checkpoint_that_cannot_be_read_gets_one_sentence(tmp_path, kind):
    path = tmp_path / "a.pt"
    torch.save({"a": torch.zeros(1000)}, path)
    content = {
        "empty": b"",
        "short": path.read_bytes()[:2000],
        "text": b"hello",
        "pointer": b"version https://git-lfs.github.com/spec/v1\n",
    }
    if kind in content:
        path.write_bytes(content[kind])
    with pytest.raises(InputError, match=r"checkpoint .*; (download|give)"):
        safe_load({"missing": tmp_path / "b.pt", "folder": tmp_path}.get(kind, path))


def test_load_strict_drops_only_what_it_is_told_to_drop():
    module = torch.nn.Linear(2, 3)
    state = module.state_dict() | {"_losses.total": torch.zeros(1)}
    load_strict(module, state, "file", drop=["_losses.total"])
    with pytest.raises(InputError, match=r"_losses\.total"):
        load_strict(module, state, "file")


def test_a_saved_extractor_is_the_same_when_loaded_up_to_half_precision(extractor, tmp_path):
    save(extractor.evaluator, tmp_path / "guo.safetensors")
    loaded = load(tmp_path / "guo.safetensors")
    motions = [Motion(walk(32, seed=k), 20.0) for k in range(3)]
    np.testing.assert_allclose(loaded.match_motions(motions), extractor.match_motions(motions), atol=5e-3)
    np.testing.assert_allclose(loaded.embed_texts(["a man walks"]), extractor.embed_texts(["a man walks"]), atol=5e-3)
    assert len(loaded.digest) == 64 and (loaded.name, loaded.version) == ("guo", VERSION)
    assert loaded.digest == load(tmp_path / "guo.safetensors").digest


def test_a_word_that_the_file_does_not_know_gets_the_vector_of_unk(extractor, tmp_path, monkeypatch):
    save(extractor.evaluator, tmp_path / "guo.safetensors")
    longer = (*vocabulary(), "zyxing")
    monkeypatch.setattr(embedding, "vocabulary", lambda: longer)
    weight = load(tmp_path / "guo.safetensors").evaluator.words.weight
    assert torch.equal(weight[-1], weight[longer.index("unk")])
    assert torch.allclose(weight[:-1], extractor.evaluator.words.weight, atol=5e-3)


@pytest.mark.parametrize("content", [None, b"", b"no tensors here"])
def test_weights_that_are_no_weights_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "guo.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="train"):
        load(tmp_path / "guo.safetensors")


def test_files_of_another_kind_or_version_are_refused(extractor, tmp_path):
    other = checkpoint.write(tmp_path / "other.safetensors", "anyrate", {"a": torch.zeros(1)}, {})
    with pytest.raises(InputError, match="expected one of 'guo'"):
        load(other)
    empty = checkpoint.write(tmp_path / "empty.safetensors", "guo", {"a": torch.zeros(1)}, {})
    with pytest.raises(InputError, match="no file of the extractor 'guo'"):
        load(empty)
    about = {"config": {}, "version": 99, "vocabulary": list(vocabulary())}
    newer = checkpoint.write(tmp_path / "newer.safetensors", "guo", extractor.evaluator.state_dict(), about)
    with pytest.raises(InputError, match="of another version"):
        load(newer)


def test_canonical_clips_are_canonical_motions():
    clips = np.stack([Motion(walk(12, seed=k), 20.0).transformed(0.7 * k, (1.0, 0.0, k)).joints for k in range(4)]).astype(np.float32)
    for clip, canonical in zip(clips, canonical_clips(clips), strict=True):
        np.testing.assert_allclose(canonical, Motion(clip, 20.0).canonical().joints, atol=2e-6)


def test_the_features_of_a_clip_are_the_codecs(extractor):
    clip = walk(29)
    expected = extractor.embed_features([encode_humanml263(Motion(clip, 20.0).canonical().joints)])
    np.testing.assert_allclose(extractor.match_motions([Motion(clip, 20.0)]), expected, atol=1e-4)


def test_an_embedding_does_not_depend_on_place_heading_batch_or_order(extractor):
    lengths = [40, 120, 33, 196, 64]
    motions = [Motion(walk(n, seed=n), 20.0) for n in lengths]
    alone = np.concatenate([extractor.embed_motions([motion]) for motion in motions])
    np.testing.assert_allclose(extractor.embed_motions(motions), alone, atol=1e-5)
    np.testing.assert_allclose(extractor.embed_motions(motions[::-1], batch=2), alone[::-1], atol=1e-5)
    moved = [motion.transformed(1.2, (3.0, 0.0, -2.0)) for motion in motions]
    np.testing.assert_allclose(extractor.embed_motions(moved), alone, atol=1e-3)


def test_what_matches_texts_knows_no_order_of_frames_but_the_first(extractor):
    features = features_of(walk(81))
    random = np.random.default_rng(0)
    other = np.concatenate([features[:1], features[1:][random.permutation(79)]])
    np.testing.assert_allclose(extractor.embed_features([other]), extractor.embed_features([features]), atol=1e-5)
    turned = np.concatenate([features[40:], features[:40]])
    assert np.abs(extractor.embed_features([turned]) - extractor.embed_features([features])).max() > 1e-3


def test_texts_are_embedded_in_input_order_whatever_their_length(extractor):
    texts = ["a person walks", "someone with both arms raised turns slowly to the left", "jump", "a man waves"]
    alone = np.concatenate([extractor.embed_texts([text]) for text in texts])
    np.testing.assert_allclose(extractor.embed_texts(texts), alone, atol=1e-5)
    np.testing.assert_allclose(extractor.embed_texts(texts, batch=2), alone, atol=1e-5)


def test_a_motion_at_60_fps_embeds_like_every_third_frame_of_it(extractor):
    fast = Motion(walk(181, fps=60.0), 60.0)
    np.testing.assert_allclose(extractor.embed_motions([fast]), extractor.embed_motions([fast[::3]]), atol=1e-4)


def test_frames_beyond_a_multiple_of_four_and_beyond_196_are_not_read(extractor):
    long = walk(260)
    first = extractor.embed_features([features_of(long)[:196]])
    assert np.array_equal(extractor.embed_features([features_of(long)[:199]]), first)
    np.testing.assert_allclose(
        extractor.embed_motions([Motion(long, 20.0)]), extractor.embed_motions([Motion(long[:197], 20.0)]), atol=1e-6
    )


def test_nothing_embeds_to_nothing(extractor):
    assert extractor.embed_texts([]).shape == extractor.embed_motions([]).shape == (0, 128)


def test_wrong_input_is_answered(extractor):
    with pytest.raises(InputError, match="embeds no clips"):
        extractor.embed_clips(np.stack([walk(32)]), 20.0)
    with pytest.raises(InputError, match="at least 5 poses"):
        extractor.embed_motions([Motion(walk(4), 20.0)])
    with pytest.raises(InputError, match="no word"):
        extractor.embed_texts(["a man walks", "..."])
    with pytest.raises(InputError, match="GloVe"):
        GuoEvaluator(GuoConfig()).caption(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long), torch.tensor([3]))


def test_the_originals_loss_draws_pairs_together_and_pushes_others_ten_apart():
    text, motion = torch.zeros(2, 1), torch.tensor([[3.0], [4.0]])
    assert float(contrastive_loss(text, motion, mismatched=False)) == pytest.approx((9 + 16) / 2, rel=1e-4)
    assert float(contrastive_loss(text, motion, mismatched=True)) == pytest.approx((49 + 36) / 2, rel=1e-4)


def test_the_loss_is_that_of_finding_one_answer_among_equally_wrong_ones():
    a, sharpness = torch.eye(4), 3.0
    plain = np.log(1 + 3 * np.exp(-sharpness))
    assert float(info_nce(a, a, sharpness)) == pytest.approx(plain, rel=1e-5)
    assert float(info_nce(a, a.roll(1, 0), sharpness)) == pytest.approx(plain + sharpness, rel=1e-5)


def test_a_wrong_sentence_counts_for_its_own_motion_alone():
    a, sharpness = torch.eye(4), 3.0
    plain = np.log(1 + 3 * np.exp(-sharpness))
    harder = np.log(2 + 3 * np.exp(-sharpness))  # the wrong answer of motion 2 is as near as the right one
    found = float(info_nce(a, a, sharpness, a[2:3], torch.tensor([2])))
    assert found == pytest.approx((plain + (3 * plain + harder) / 4) / 2, rel=1e-5)


# --- sentences ------------------------------------------------------------------------------------------------------------------------


def test_a_sentence_is_reworded_with_words_that_mean_the_same():
    random = np.random.default_rng(0)
    text = "a person walks slowly to the left"
    assert reworded(text, 0.0, random) == text
    made = {reworded(text, 1.0, random) for _ in range(40)}
    assert text not in made and len(made) > 10
    assert all(" to the left" in other and len(other.split()) == 7 for other in made)


def test_one_word_makes_a_sentence_wrong():
    random = np.random.default_rng(0)
    assert contradicted("it turns left", np.random.default_rng(0)) in ("it turns right", "it stops left")
    made = {contradicted("a man walks slowly", random) for _ in range(40)}
    assert "a man walks quickly" in made and "a man runs slowly" in made
    assert all(sum(a != b for a, b in zip(text.split(), ["a", "man", "walks", "slowly"], strict=True)) == 1 for text in made)
    assert contradicted("someone imitates a teapot", random) is None


def test_no_word_is_both_the_same_as_another_and_different_from_it():
    assert {"walks", "slowly", "quickly"} <= _SAME.keys() & _OTHER.keys()
    for word in _SAME.keys() & _OTHER.keys():
        assert not set(_SAME[word]) & set(_OTHER[word]), word


# --- what meets in a batch ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def families():
    captions = {
        "cmu/walk, veer left": ("a person veers left",),
        "cmu/walk, veer right": ("a person veers right",),
        "bandai/walk/old": ("an old person walks",),
        "hdm05/kickLFront1Reps": ("a kick with the left foot",),
        "cmu/salsa": ("two dance",),
    }
    return Families(Split([None] * 5, list(captions), list(captions.values())))


def test_a_mirrored_motion_is_called_what_its_sentence_then_says(families):
    assert families.meaning("cmu/walk, veer left", True) == "cmu/walk, veer right" == families.meaning("cmu/walk, veer right", False)
    assert families.meaning("bandai/walk/old", True) == families.meaning("bandai/walk/old", False)
    kicks = [families.meaning("hdm05/kickLFront1Reps", mirrored) for mirrored in (False, True)]
    assert kicks[0] != kicks[1]


def test_families_share_a_word_whatever_their_source(families):
    assert families.alike["bandai/walk/old"] == ["cmu/walk, veer left", "cmu/walk, veer right"]
    assert families.alike["hdm05/kickLFront1Reps"] == families.alike["cmu/salsa"] == []


def test_a_batch_has_different_meanings_and_mirror_images_side_by_side(families):
    for seed in range(20):
        entries = families.draw(6, 1.0, np.random.default_rng(seed))
        meanings = [families.meaning(families.names[entry.motion], entry.mirrored) for entry in entries]
        assert len(set(meanings)) == len(meanings)
        assert {"cmu/walk, veer left", "cmu/walk, veer right", "cmu/salsa"} <= set(meanings) or len(meanings) == 6


def test_a_long_motion_is_read_in_overlapping_pieces():
    assert [len(piece) for piece in pieces_of(walk(150))] == [149]
    pieces = pieces_of(walk(300))
    assert [len(piece) for piece in pieces] == [196, 196, 103]
    np.testing.assert_allclose(pieces[1], features_of(walk(300)[98:295]), atol=1e-5)


def test_a_crop_keeps_its_bounds_and_often_the_beginning():
    random, features = np.random.default_rng(0), np.arange(120.0)[:, None]
    crops = [cropped(features, 32, 80, random) for _ in range(200)]
    assert all(32 <= len(crop) <= 80 and (np.diff(crop[:, 0]) == 1).all() for crop in crops)
    assert 0.4 < np.mean([crop[0, 0] == 0 for crop in crops]) < 0.6
    assert len(cropped(features[:10], 32, 80, random)) == 10


def test_resized_features_are_those_of_a_larger_body():
    joints, seen = walk(60), slice(0, 259)
    np.testing.assert_allclose(resized(features_of(joints), 1.1)[:, seen], features_of(1.1 * joints)[:, seen], atol=1e-5)


def test_mirrored_features_are_those_of_the_mirrored_motion():
    joints = walk(20)
    np.testing.assert_allclose(features_of(joints, mirrored=True), features_of(Motion(joints, 20.0).mirrored().joints), atol=1e-9)
    assert not np.allclose(features_of(joints), features_of(joints, mirrored=True))


# --- the space of distances -----------------------------------------------------------------------------------------------------------


def test_a_motion_is_described_by_the_mean_of_its_windows():
    joints = walk(WINDOW + 2 * HOP)
    whole = describe_joints([joints])
    windows = describe_joints([joints[k * HOP : k * HOP + WINDOW] for k in range(3)])
    np.testing.assert_allclose(whole.rest[0], windows.rest.mean(0), atol=1e-5)
    np.testing.assert_allclose(whole.pose[0], windows.pose.mean(0), atol=1e-5)


def test_a_motion_shorter_than_a_window_is_one_window():
    short = describe_joints([walk(12), walk(60), walk(12, seed=1)])
    assert np.isfinite(short.rest).all() and len(short.rest) == 3
    np.testing.assert_allclose(short.rest[1:2], describe_joints([walk(60)]).rest, atol=1e-5)


def test_the_space_of_distances_has_unit_variance_and_nuisances_are_short():
    motions = [walk(60, seed=k) for k in range(120)]
    random = np.random.default_rng(0)

    def seen(change):
        return Seen(describe_joints([change(joints) for joints in motions]), np.zeros((120, 0), np.float32))

    real, larger, noisy = seen(lambda x: x), seen(lambda x: 1.04 * x), seen(lambda x: x + 0.001 * random.standard_normal(x.shape))
    space = fit_space(real, [larger, noisy])
    x = space(real.columns)
    assert x.shape[1] <= 64 and np.abs(x.mean(0)).max() < 1e-3
    assert x.std(0).max() < 2.0 and np.median(x.std(0)) > 0.3
    assert np.median(np.linalg.norm(space(larger.columns) - x, axis=1)) < 1
    assert np.median(np.linalg.norm(space(seen(lambda x: 1.04 * x[::-1]).columns) - x, axis=1)) > 1


def test_distances_are_taken_in_a_space_of_their_own_that_the_file_keeps(extractor, tmp_path):
    motions = [Motion(walk(60, seed=k), 20.0) for k in range(40)]
    seen = Seen(describe_motions(motions), extractor.match_motions(motions))
    save(extractor.evaluator, tmp_path / "guo.safetensors", fit_space(seen, [seen]))
    loaded = load(tmp_path / "guo.safetensors")
    x = loaded.embed_motions(motions)
    assert x.shape[0] == 40 and 32 < x.shape[1] <= 64 and loaded.match_motions(motions).shape == (40, 128)
    assert loaded.embed_motions([]).shape == (0, x.shape[1])
    np.testing.assert_allclose(loaded.embed_motions(motions[:1]), x[:1], atol=1e-3)
    np.testing.assert_allclose(np.cov(x.T), np.eye(x.shape[1]), atol=3)


def test_an_evaluator_without_that_space_has_one_space(official_extractor):
    motions = [Motion(walk(60, seed=k), 20.0) for k in range(3)]
    np.testing.assert_array_equal(official_extractor.embed_motions(motions), official_extractor.match_motions(motions))


# --- features of a published format ---------------------------------------------------------------------------------------------------


def with_features(joints, change=0.0):
    """A motion that carries features which differ from its re-encoding by `change`."""
    values = features_of(joints).astype(np.float32) + np.float32(change)
    return Motion(joints, 20.0, features=Features(FEATURES_263.name, values))


@pytest.fixture
def official_extractor(tmp_path):
    torch.manual_seed(1)
    random = np.random.default_rng(0)
    path = official(tmp_path, lambda content: None)
    return GuoExtractor.official(path, random.normal(size=263), random.uniform(0.5, 2.0, 263))


def test_an_official_extractor_reads_the_features_that_a_system_made_and_no_re_encoding(official_extractor):
    motion = with_features(walk(41), change=0.3)
    assert official_extractor.reads == FEATURES_263.name
    expected = official_extractor.embed_features([motion.features.values])
    np.testing.assert_array_equal(official_extractor.embed_motions([motion]), expected)
    re_encoded = official_extractor.embed_motions([Motion(motion.joints, 20.0)])
    assert np.abs(re_encoded - expected).max() > 1e-3
    mixed = official_extractor.embed_motions([motion, Motion(motion.joints, 20.0)])
    np.testing.assert_allclose(mixed, np.concatenate([expected, re_encoded]), atol=1e-5)


def test_a_change_of_the_motion_drops_its_features(official_extractor):
    motion = with_features(walk(41), change=0.3)
    moved = motion.transformed(0.5, (1.0, 0.0, 2.0))
    np.testing.assert_allclose(
        official_extractor.embed_motions([moved]), official_extractor.embed_motions([Motion(motion.joints, 20.0)]), atol=1e-3
    )


def test_the_shipped_extractor_re_encodes_every_motion(extractor):
    motion = with_features(walk(41), change=0.3)
    assert extractor.reads == ""
    np.testing.assert_array_equal(extractor.embed_motions([motion]), extractor.embed_motions([Motion(motion.joints, 20.0)]))


def test_features_of_another_format_are_not_taken(official_extractor):
    motion = with_features(walk(41), change=0.3)
    foreign = Motion(motion.joints, 20.0, features=Features("kit251", motion.features.values))
    np.testing.assert_array_equal(
        official_extractor.embed_motions([foreign]), official_extractor.embed_motions([Motion(motion.joints, 20.0)])
    )


def test_the_digest_of_an_official_extractor_covers_its_statistics(tmp_path):
    path = official(tmp_path, lambda content: None)
    first, again, other = (GuoExtractor.official(path, np.zeros(263), np.full(263, k)).digest for k in (1.0, 1.0, 2.0))
    assert first == again != other and len(first) == 64


def test_statistics_of_another_format_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"mean of shape \[251\]; this evaluator needs \[263\]"):
        GuoExtractor.official(official(tmp_path, lambda content: None), np.zeros(251), np.ones(251))


# --- training -------------------------------------------------------------------------------------------------------------------------

LABELS = ("cmu/walk", "hdm05/depositFloorR", "hdm05/grabHighR", "bandai/bow/active", "bandai/bow/angry", "bandai/bow/childish")
SENTENCES = ("a person walks", "someone puts a thing down", "a person grabs", "a person bows", "an angry bow", "a child bows")


@pytest.fixture(scope="module")
def dataset():
    """Six labels, three recordings of each for training and one for validation, and some without a caption."""

    def items(repeats):
        known = [(label, (text, f"{text} slowly")) for label, text in zip(LABELS, SENTENCES, strict=True)]
        return [Item(str(k), f"t{k}", 30.0, 2.0, texts, label) for k, (label, texts) in enumerate([*known, ("", ())] * repeats)]

    return MadeUp({"train": items(3), "val": items(1)}, lambda item: Motion(walk(61, fps=30.0, seed=int(item.id) % 7), 30.0))


def test_a_batch_has_distinct_labels_and_repeats_with_its_generator(dataset):
    task = GuoTask(dataset, PooledConfig(), GuoTraining(co_occurrence=False, pairs=4))
    assert sorted(task.families.by_label) == sorted(LABELS) and len(task.train.joints) == 18
    first, again = (task.batch(torch.Generator().manual_seed(3), 0.0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first.features.shape[2] == 263 and len(first.features) == 4 and (first.frames % 4 == 0).all()
    assert int(first.lengths.max()) == first.ids.shape[1]
    assert len(first.ids) == 8 + len(first.owners) and len(first.owners) > 0 and int(first.owners.max()) < 4


def test_motions_without_a_label_are_actions_of_their_own(dataset):
    item = dataset.items("train")[0]
    unlabelled = MadeUp({"train": [Item("a", "t", 30.0, 2.0, item.captions), Item("b", "t", 30.0, 2.0, item.captions)]}, lambda item: None)
    unlabelled.motion = lambda item: Motion(walk(61, fps=30.0), 30.0)
    unlabelled._items["val"] = unlabelled._items["train"]
    assert GuoTask(unlabelled, PooledConfig(), GuoTraining(co_occurrence=False)).families.names == ["a", "b"]


def test_a_split_without_captions_is_answered(dataset):
    silent = MadeUp({"train": [Item("0", "t", 30.0, 2.0)]}, dataset.motion)
    with pytest.raises(InputError, match="'made-up' has no motion with captions in split 'train'"):
        GuoTask(silent, PooledConfig(), GuoTraining())


def test_word_vectors_start_from_the_sentences_of_the_dataset(dataset):
    task = GuoTask(dataset, PooledConfig(), GuoTraining(pairs=4))
    assert training_sentences(dataset, task.train)["bandai/bow/angry"] == ("an angry bow", "an angry bow slowly")
    weight = task.evaluator.words.weight
    assert weight[vocabulary().index("angry")].norm() > 1e-3 > weight[vocabulary().index("teapot")].norm()
    same, too, other = (weight[vocabulary().index(word)] for word in ("swiftly", "rapidly", "merrily"))  # words of no sentence here
    assert torch.cosine_similarity(same, too, 0) > 0.9 > 0.1 > torch.cosine_similarity(same, other, 0)


def test_a_short_training_gives_weights_that_load(dataset, tmp_path):
    path = tmp_path / "weights" / "guo.safetensors"
    train(dataset, Budget(steps=3, device="cpu"), tmp_path / "run", path, GuoTraining(co_occurrence=False, pairs=4))
    extractor = load(path)
    motion = Motion(walk(61, fps=30.0), 30.0)
    assert np.isfinite(extractor.embed_motions([motion])).all() and extractor.match_motions([motion]).shape == (1, 128)
    assert np.linalg.norm(extractor.match_motions([motion])) == pytest.approx(1, abs=1e-5)
    words = extractor.evaluator.words.weight
    assert torch.equal(words[vocabulary().index("unk")], words[vocabulary().index("backward")])
    assert not torch.equal(words[vocabulary().index("unk")], words[vocabulary().index("walks")])
