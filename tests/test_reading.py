"""A sentence may be read as the mean of what it may mean, of the meanings that training has, or as one of them."""

import numpy as np
import pytest
import torch

from nerm.dense.system import load_dense
from nerm.errors import InputError
from nerm.generator import Condition
from nerm.known import trained_sentences
from nerm.model import load_nerm
from nerm.motion.made_by import read_made_by
from nerm.sample import Sample, load, main
from nerm.sentence_space import DRAWN_LIKENESS, as_drawn
from nerm.sequence import NEXT_SEED
from nerm.words import mirror_caption

LEFT = "hdm05/kickLFront1Reps"
KICK = Condition(trained_sentences("multirate")[LEFT][0])


def understood(system, sentences, seeds=None):
    """What the denoiser is given of sentences, [n, k]."""
    given, _ = system.given([Condition(text) for text in sentences], [2.0] * len(sentences), seeds or [0] * len(sentences))
    return given.text


def test_sentences_of_one_label_are_read_as_more_alike_and_stay_apart_from_others():
    plain, known = load_nerm(), load_nerm().variant(reading="known")
    assert known.digest == f"{plain.digest} reading=known guidance=1" and known.variant(reading="asked").reading == "asked"
    ours, others = (trained_sentences("multirate")[label] for label in (LEFT, "bandai/bow/normal"))
    for system, least in ((plain, 0.6), (known, 0.97)):
        read = understood(system, ours), understood(system, others)
        assert (read[0] @ read[0].T).min() > least - 0.1 and (read[0] @ read[1].T).max() < 0.4
    alike = [float((x @ x.T).min()) for x in (understood(system, ours) for system in (plain, known))]
    assert alike[1] > alike[0] + 0.1


def test_a_label_is_not_read_and_the_right_is_the_mirror_image_of_the_left():
    plain, known = load_nerm(), load_nerm().variant(reading="known")
    (first,), (second,) = (system.sample_codes([Condition(label=LEFT)], [2.0], [3], guidance=1.0) for system in (plain, known))
    np.testing.assert_array_equal(first["z"], second["z"])
    left, right = known.sample_codes([KICK, Condition(mirror_caption(KICK.text))], [2.0, 2.0], [3, 3])
    np.testing.assert_array_equal(left["z"], right["z"])
    assert left["mirrored"] != right["mirrored"]
    (as_it_is,) = plain.sample_codes([KICK], [2.0], [3], guidance=1.0)
    assert np.abs(as_it_is["z"] - left["z"]).max() > 0.01


def test_where_training_says_nothing_a_sentence_is_read_as_it_is():
    system = load_nerm()
    system.dataset = "nothing"
    assert all(system.variant(reading=reading) is system for reading in ("known", "drawn")) and system.guidance == 1.6
    system = load_nerm()
    system.sentences = None
    assert system.variant(reading="known") is system
    with pytest.raises(InputError, match="reading=unheard does not exist"):
        system.variant(reading="unheard")


def test_what_is_sampled_says_how_its_sentence_was_read_and_dense_codes_read_alike(tmp_path):
    common = ["device=cpu", "fps=20", f"text={KICK.text}", "seconds=2"]
    for name, more in (("known", []), ("asked", ["reading=asked"])):
        assert main([*common, *more, f"out={tmp_path / name}.npz"]) == 0
    assert read_made_by(tmp_path / "asked.npz")["reading"] == "asked" and "reading" not in read_made_by(tmp_path / "known.npz")
    with pytest.raises(InputError, match="reading=unheard does not exist; it can be known, drawn, asked"):
        main([*common, "reading=unheard", f"out={tmp_path / 'x.npz'}"])
    assert load_dense().variant(reading="known").base.reading == "known"


def test_meanings_are_drawn_by_their_likeness_and_a_seed():
    meanings = torch.eye(4)
    asked = torch.tensor([[0.8, 0.78, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    drawn = as_drawn(asked[:1].expand(4000, -1), meanings, range(4000))
    shares = (asked[0] / DRAWN_LIKENESS).softmax(0)
    assert set(drawn.sum(-1).tolist()) == {1.0} and set(drawn.max(-1).values.tolist()) == {1.0}
    np.testing.assert_allclose(drawn.mean(0), shares, atol=0.03)
    assert torch.equal(as_drawn(asked, meanings, [3, 9])[:1], drawn[3:4]) and as_drawn(asked, meanings, [3, 9])[1].tolist() == [0, 0, 0, 1]


def test_another_seed_may_mean_something_else_and_all_parts_of_a_motion_mean_the_same():
    drawn = load_nerm().variant(reading="drawn")
    vague = ["somebody kicks"] * 12
    each = understood(drawn, vague, list(range(12)))
    assert 1 < len({tuple(row) for row in each.tolist()}) < 12
    assert torch.equal(each, understood(drawn, vague, [seed + 2 * NEXT_SEED for seed in range(12)]))
    labelled, _ = drawn.given([Condition(label=LEFT), KICK], [2.0, 2.0], [1, 1])
    assert not labelled.text[0].any() and labelled.text[1].any()


def test_what_is_understood_does_not_depend_on_the_other_sentences():
    sentences = [KICK.text, *(texts[0] for texts in list(trained_sentences("multirate").values())[:10])]
    for reading in ("asked", "known", "drawn"):
        system = load_nerm().variant(reading=reading)
        together = understood(system, sentences, list(range(len(sentences))))
        alone = [understood(system, [text], [seed]) for seed, text in enumerate(sentences)]
        assert torch.equal(together, torch.cat(alone))


def test_guidance_is_that_of_the_weights_for_a_sentence_as_it_is_and_none_for_known_meanings():
    plain = load_nerm()
    known = plain.variant(reading="known")
    assert (plain.guidance, known.guidance, known.variant(reading="asked").guidance) == (1.6, 1.0, 1.6)
    (own,), (given,), (more,) = (known.sample_codes([KICK], [2.0], [3], guidance) for guidance in (None, 1.0, 1.6))
    np.testing.assert_array_equal(own["z"], given["z"])
    assert np.abs(own["z"] - more["z"]).max() > 0.01


@pytest.mark.parametrize("system", ["nerm", "nerm-dense"])
def test_the_command_reads_as_known_unless_it_is_asked(system):
    loaded = load(Sample(out="x", system=system, device="cpu"))
    assert getattr(loaded, "base", loaded).reading == "known"


def test_samples_that_are_nearly_the_same_are_told_of_a_reading_in_which_they_differ_more(tmp_path, capsys):
    common = ["device=cpu", "fps=20", "text=a person jumps up", "seconds=2", "count=4", f"out={tmp_path / 'jump.npz'}"]
    said = {}
    for reading in ("known", "drawn"):
        assert main([*common, f"reading={reading}"]) == 0
        said[reading] = capsys.readouterr().err
    assert "are nearly the same" in said["known"] and "; with reading=drawn they differ more" in said["known"]
    assert "reading=drawn" not in said["drawn"]
