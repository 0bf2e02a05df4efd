"""The text-motion evaluator: official files, and the extractor's promises."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import MadeUp

from baselines.checkpoints import load_strict, safe_load
from evaluators.extractors.guo import extractor as embedding
from evaluators.extractors.guo.extractor import GuoExtractor, canonical_clips, load, save
from evaluators.extractors.guo.network import NETWORKS, GuoConfig, GuoEvaluator, load_official
from evaluators.extractors.guo.training import GuoTask, GuoTraining, batch_loss, contrastive_loss, features_of, train, training_sentences
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
    evaluator = GuoEvaluator(GuoConfig(), len(vocabulary()))
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
    counts = GuoEvaluator(GuoConfig(scale="paper")).parameter_counts()
    assert counts == {"movement_encoder": 1_842_688, "text_encoder": 4_100_288, "motion_encoder": 15_747_584, "all": 21_690_560}


def test_the_shipped_scale_has_at_most_two_and_a_half_million_parameters_with_its_words():
    assert GuoEvaluator(GuoConfig(), len(vocabulary())).parameter_counts()["all"] <= 2_500_000


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
    clips = np.stack([walk(32, seed=k) for k in range(3)])
    np.testing.assert_allclose(loaded.embed_clips(clips, 20.0), extractor.embed_clips(clips, 20.0), atol=5e-3)
    np.testing.assert_allclose(loaded.embed_texts(["a man walks"]), extractor.embed_texts(["a man walks"]), atol=5e-3)
    assert len(loaded.digest) == 64 and (loaded.name, loaded.version) == ("guo", 1)
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
    np.testing.assert_allclose(extractor.embed_clips(clip[None], 20.0), expected, atol=1e-4)


def test_an_embedding_does_not_depend_on_place_heading_batch_or_order(extractor):
    lengths = [40, 120, 33, 196, 64]
    motions = [Motion(walk(n, seed=n), 20.0) for n in lengths]
    alone = np.concatenate([extractor.embed_motions([motion]) for motion in motions])
    np.testing.assert_allclose(extractor.embed_motions(motions), alone, atol=1e-5)
    np.testing.assert_allclose(extractor.embed_motions(motions[::-1], batch=2), alone[::-1], atol=1e-5)
    moved = [motion.transformed(1.2, (3.0, 0.0, -2.0)) for motion in motions]
    np.testing.assert_allclose(extractor.embed_motions(moved), alone, atol=1e-3)


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
    assert extractor.embed_clips(np.zeros((0, 32, 22, 3), np.float32), 20.0).shape == (0, 128)


def test_wrong_input_is_answered(extractor):
    with pytest.raises(InputError, match=r"expected \[n, m, 22, 3\]"):
        extractor.embed_clips(np.zeros((32, 22, 3)), 20.0)
    with pytest.raises(InputError, match="at least 5 poses"):
        extractor.embed_clips(np.stack([walk(4)]), 20.0)
    with pytest.raises(InputError, match="no word"):
        extractor.embed_texts(["a man walks", "..."])
    with pytest.raises(InputError, match="GloVe"):
        GuoEvaluator(GuoConfig()).caption(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 3, dtype=torch.long), torch.tensor([3]))


def test_the_batch_loss_is_the_original_loss_over_all_pairs():
    torch.manual_seed(0)
    text, motion = torch.randn(5, 3), torch.randn(5, 3)
    matched, mismatched = batch_loss(text, motion, hardest=1.0)
    shifts = [contrastive_loss(text, motion.roll(k, 0), mismatched=True) for k in range(1, 5)]
    torch.testing.assert_close(matched, contrastive_loss(text, motion, mismatched=False), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(mismatched, torch.stack(shifts).mean(), rtol=1e-4, atol=1e-4)


def test_only_the_nearest_mismatched_pairs_count():
    text = torch.zeros(5, 1)
    motion = torch.tensor([[0.0], [9.0], [20.0], [20.0], [20.0]])
    assert batch_loss(text, motion, hardest=0.25)[1] > batch_loss(text, motion, hardest=1.0)[1] > 0


def test_mirrored_features_are_those_of_the_mirrored_motion():
    joints = walk(20)
    np.testing.assert_allclose(features_of(joints, mirrored=True), features_of(Motion(joints, 20.0).mirrored().joints), atol=1e-9)
    assert not np.allclose(features_of(joints), features_of(joints, mirrored=True))


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
    task = GuoTask(dataset, GuoConfig(), GuoTraining(co_occurrence=False, pairs=4))
    assert sorted(task.by_label) == sorted(LABELS) and len(task.train.joints) == 18
    first, again = (task.batch(torch.Generator().manual_seed(3), 0.0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert first.features.shape[2] == 263 and len(first.features) == 4 and (first.frames % 4 == 0).all()
    assert int(first.lengths.max()) == first.ids.shape[1]
    assert len({tuple(ids.tolist()) for ids in first.ids}) == 4


def test_motions_without_a_label_are_actions_of_their_own(dataset):
    item = dataset.items("train")[0]
    unlabelled = MadeUp({"train": [Item("a", "t", 30.0, 2.0, item.captions), Item("b", "t", 30.0, 2.0, item.captions)]}, lambda item: None)
    unlabelled.motion = lambda item: Motion(walk(61, fps=30.0), 30.0)
    unlabelled._items["val"] = unlabelled._items["train"]
    assert list(GuoTask(unlabelled, GuoConfig(), GuoTraining(co_occurrence=False)).by_label) == ["a", "b"]


def test_a_split_without_captions_is_answered(dataset):
    silent = MadeUp({"train": [Item("0", "t", 30.0, 2.0)]}, dataset.motion)
    with pytest.raises(InputError, match="'made-up' has no motion with captions in split 'train'"):
        GuoTask(silent, GuoConfig(), GuoTraining())


def test_word_vectors_start_from_the_sentences_of_the_dataset(dataset):
    task = GuoTask(dataset, GuoConfig(), GuoTraining(pairs=4))
    assert training_sentences(dataset, task.train)["bandai/bow/angry"] == ("an angry bow", "an angry bow slowly")
    weight = task.evaluator.words.weight
    assert weight[vocabulary().index("angry")].norm() > 1e-3 > weight[vocabulary().index("backward")].norm()


def test_a_short_training_gives_weights_that_load(dataset, tmp_path):
    path = tmp_path / "weights" / "guo.safetensors"
    train(dataset, Budget(steps=3, device="cpu"), tmp_path / "run", path, GuoTraining(co_occurrence=False, pairs=4))
    extractor = load(path)
    assert np.isfinite(extractor.embed_motions([Motion(walk(61, fps=30.0), 30.0)])).all()
    words = extractor.evaluator.words.weight
    assert torch.equal(words[vocabulary().index("unk")], words[vocabulary().index("backward")])
    assert not torch.equal(words[vocabulary().index("unk")], words[vocabulary().index("walks")])
