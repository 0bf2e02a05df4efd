"""The text-motion evaluator: official files, and the extractor's promises."""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from baselines.checkpoints import load_strict, safe_load
from evaluators.extractors import guo
from evaluators.extractors.guo import GuoConfig, GuoEvaluator, GuoExtractor, canonical_clips, load_official
from evaluators.extractors.guo_training import GuoTask, GuoTraining, batch_loss, contrastive_loss, features_of, train_guo
from nerm.data.captions import vocabulary
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.features import encode_humanml263

SOURCES = os.environ.get("NERM_SOURCES")
CASES = Path(SOURCES or ".") / "golden" / "t2m_evaluator"
recorded = pytest.mark.skipif(
    SOURCES is None or not CASES.exists(), reason="recorded cases are not there: set NERM_SOURCES to their folder"
)


@pytest.fixture(scope="module")
def extractor():
    torch.manual_seed(0)
    evaluator = GuoEvaluator(GuoConfig(), len(vocabulary()))
    evaluator.mean += 0.1
    return GuoExtractor(evaluator)


def walk(frames, fps=20.0, seed=0):
    """A figure that swings its limbs and goes forward. [frames, 22, 3]"""
    random = np.random.default_rng(seed)
    rest = np.cumsum(np.zeros((22, 3)), axis=0)
    for joint in range(1, 22):
        rest[joint] = rest[SMPL22.parents[joint]] + SMPL22.offsets[joint]
    t = np.arange(frames)[:, None, None] / fps
    swing = 0.05 * np.sin(2 * np.pi * t * random.uniform(0.5, 1.5, (1, 22, 3)) + random.uniform(0, 6, (1, 22, 3)))
    return (rest + swing + t * np.array([0.3, 0.0, 1.0]) + np.array([0.0, 0.95, 0.0])).astype(np.float32)


@recorded
def test_loading_an_official_file_is_the_identity():
    path = CASES / "humanml_263_small" / "finest.tar"
    stored, evaluator = safe_load(path), load_official(path)
    for name in guo.NETWORKS:
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
    content = {name: getattr(evaluator, name).state_dict() for name in guo.NETWORKS} | {
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
    guo.save(extractor.evaluator, tmp_path / "guo.safetensors")
    loaded = GuoExtractor.load(tmp_path / "guo.safetensors")
    clips = np.stack([walk(32, seed=k) for k in range(3)])
    np.testing.assert_allclose(loaded.embed_clips(clips, 20.0), extractor.embed_clips(clips, 20.0), atol=5e-3)
    np.testing.assert_allclose(loaded.embed_texts(["a man walks"]), extractor.embed_texts(["a man walks"]), atol=5e-3)
    assert len(loaded.digest) == 64 and (loaded.name, loaded.version) == ("guo", 1)
    assert loaded.digest == GuoExtractor.load(tmp_path / "guo.safetensors").digest


def test_a_word_that_the_file_does_not_know_gets_the_vector_of_unk(extractor, tmp_path, monkeypatch):
    guo.save(extractor.evaluator, tmp_path / "guo.safetensors")
    longer = (*vocabulary(), "zyxing")
    monkeypatch.setattr(guo, "vocabulary", lambda: longer)
    weight = guo.load(tmp_path / "guo.safetensors").words.weight
    assert torch.equal(weight[-1], weight[longer.index("unk")])
    assert torch.allclose(weight[:-1], extractor.evaluator.words.weight, atol=5e-3)


@pytest.mark.parametrize("content", [None, b"", b"no tensors here"])
def test_weights_that_are_no_weights_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "guo.safetensors").write_bytes(content)
    with pytest.raises(InputError, match="train"):
        GuoExtractor.load(tmp_path / "guo.safetensors")


def test_canonical_clips_are_canonical_motions():
    clips = np.stack([Motion(walk(12, seed=k), 20.0).transformed(0.7 * k, (1.0, 0.0, k)).joints for k in range(4)]).astype(np.float32)
    for clip, found in zip(clips, canonical_clips(clips), strict=True):
        np.testing.assert_allclose(found, Motion(clip, 20.0).canonical().joints, atol=2e-6)


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


class SmallCorpus:
    """Six labels, four windows each."""

    name = "small"
    labels = ("cmu/walk", "hdm05/depositFloorR", "hdm05/grabHighR", "bandai/bow/active", "bandai/bow/angry", "bandai/bow/childish")

    def select(self, split):
        rows = [{"label": label, "seconds": 2.0} for label in (*self.labels, "")]
        return pd.DataFrame(rows * (3 if split == "train" else 1))

    def window(self, index):
        return Motion(walk(61, fps=30.0, seed=index % 7), 30.0)


def test_a_batch_has_distinct_labels_and_repeats_with_its_generator():
    task = GuoTask(SmallCorpus(), GuoConfig(), GuoTraining(co_occurrence=False, pairs=4))
    assert sorted(task.by_label) == sorted(SmallCorpus.labels) and len(task.train) == 18
    first, again = (task.batch(torch.Generator().manual_seed(3), 0.0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    features, lengths, ids, _, words = first
    assert features.shape[2] == 263 and len(features) == 4 and (lengths % 4 == 0).all() and int(words.max()) == ids.shape[1]
    assert len({tuple(row.tolist()) for row in ids}) == 4


def test_a_short_training_gives_weights_that_load(tmp_path):
    path = train_guo(SmallCorpus(), 0.02, tmp_path, settings=GuoTraining(co_occurrence=False, pairs=4), device="cpu")
    extractor = GuoExtractor.load(path)
    assert path == tmp_path / "guo.safetensors"
    assert np.isfinite(extractor.embed_motions([Motion(walk(61, fps=30.0), 30.0)])).all()
    unk, unseen = vocabulary().index("unk"), vocabulary().index("zombie") if "zombie" in vocabulary() else len(vocabulary()) - 1
    assert torch.equal(extractor.evaluator.words.weight[unk], extractor.evaluator.words.weight[unseen])
