"""The official text-motion evaluators as extractors, on small files in the official layout."""

import pickle

import numpy as np
import pytest
import torch

from evaluators.extractors import load_extractor
from evaluators.extractors.guo.extractor import pad_features
from evaluators.extractors.guo.network import NETWORKS, GuoConfig, GuoEvaluator
from evaluators.extractors.guo.official import OfficialGuo, load_guo_kit
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.motion.features import FEATURES_251, FEATURES_263
from nerm.motion.motion import Features
from nerm.motion.skeleton import KIT21, joints_from_directions

WORDS = ["unk", "sos", "eos", "a", "person", "walk", "jump"]


@pytest.fixture
def official(tmp_path, monkeypatch):
    """A function (format, statistics) -> the file of a small evaluator of random weights in an official tree."""
    monkeypatch.delenv("NERM_SOURCES", raising=False)

    def make(format=FEATURES_251, statistics=True):
        torch.manual_seed(0)
        evaluator = GuoEvaluator(GuoConfig(format.dims, 12, 8, 8, 8, 8, 6))
        home = tmp_path / "kit"
        path = home / "text_mot_match" / "model" / "finest.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({name: getattr(evaluator, name).state_dict() for name in NETWORKS}, path)
        if statistics:
            meta = home / "Comp_v6_KLD005" / "meta"
            meta.mkdir(parents=True)
            np.save(meta / "mean.npy", np.full(format.dims, 0.5))
            np.save(meta / "std.npy", np.full(format.dims, 2.0))
        glove = tmp_path / "glove"
        glove.mkdir(exist_ok=True)
        np.save(glove / "our_vab_data.npy", np.random.default_rng(0).normal(size=(len(WORDS), 12)))
        (glove / "our_vab_words.pkl").write_bytes(pickle.dumps(WORDS))
        (glove / "our_vab_idx.pkl").write_bytes(pickle.dumps({word: place for place, word in enumerate(WORDS)}))
        return path

    return make


def test_the_statistics_of_the_evaluator_are_found_beside_the_generators_and_used(official):
    extractor = load_guo_kit(official())
    assert extractor.evaluator.mean[0] == 0.5 and extractor.evaluator.std[-1] == 2.0
    assert (extractor.name, extractor.reads, extractor.format.fps) == ("guo_kit", "kit251", 12.5)


def test_without_statistics_it_says_what_is_missing(official):
    with pytest.raises(InputError, match=r"mean\.npy"):
        load_guo_kit(official(statistics=False))


def test_the_file_of_the_other_data_set_is_refused(official):
    path = official(FEATURES_263)
    with pytest.raises(InputError, match="needs the file of kit251"):
        OfficialGuo("guo_kit", path, FEATURES_251, np.zeros(263), np.ones(263))


def test_the_registry_finds_the_official_tree_and_refuses_another_file_of_humanml3d(official, tmp_path):
    official()
    assert load_extractor("guo_kit", [tmp_path]).embed_texts(["a person walks"]).shape == (1, 6)
    (tmp_path / "kit").rename(tmp_path / "t2m")
    with pytest.raises(InputError, match="43e43d198f07: download it again"):
        load_extractor("guo_humanml3d", [tmp_path])


def test_features_are_read_as_made_and_joints_are_encoded_at_the_rate_of_the_format(official):
    extractor = load_guo_kit(official())
    body = joints_from_directions(np.zeros(3), KIT21.axes[1:], KIT21) + np.array([0.0, 0.6, 0.0])
    joints = body + 0.02 * np.random.default_rng(0).normal(size=(60, 21, 3))
    values = np.random.default_rng(1).normal(size=(59, 251))
    made = Motion(joints, 12.5, KIT21, features=Features("kit251", values))
    np.testing.assert_array_equal(extractor.embed_motions([made]), extractor.embed_features([values]))
    fast = Motion(joints, 25.0, KIT21)
    np.testing.assert_allclose(extractor.embed_motions([fast]), extractor.embed_motions([fast[::2]]), atol=1e-5)
    with pytest.raises(InputError, match="smpl22"):
        extractor.embed_motions([Motion(np.ones((30, 22, 3)), 20.0)])


def test_texts_are_in_input_order_and_forms_of_a_word_are_one(official):
    extractor = load_guo_kit(official())
    texts = ["a person jumps", "a person walks", "a person walking"]
    embedded = extractor.embed_texts(texts)
    np.testing.assert_allclose(embedded[1], embedded[2], atol=1e-6)
    np.testing.assert_allclose(extractor.embed_texts(texts[::-1], batch=2), embedded[::-1], atol=1e-6)
    assert np.abs(embedded[0] - embedded[1]).max() > 1e-3


def test_a_motion_of_196_frames_has_no_padding_as_in_the_published_loaders():
    x, lengths = pad_features([np.ones((196, 4)), np.ones((42, 4))], 196)
    assert x.shape == (2, 196, 4) and lengths.tolist() == [196, 40] and x[1, 40:].abs().sum() == 0
    assert pad_features([np.ones((196, 4))])[0].shape == (1, 200, 4)
