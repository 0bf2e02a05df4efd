"""A sentence may be read as what it says of the meanings that training has."""

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
from nerm.words import mirror_caption

LEFT = "hdm05/kickLFront1Reps"
KICK = Condition(trained_sentences("multirate")[LEFT][0])


def test_sentences_of_one_label_are_read_as_more_alike_and_stay_apart_from_others():
    plain, known = load_nerm(), load_nerm().variant(reading="known")
    assert known.digest == f"{plain.digest} reading=known" and known.variant(reading="asked").reading == "asked"
    ours, others = (trained_sentences("multirate")[label] for label in (LEFT, "bandai/bow/normal"))
    for system, least in ((plain, 0.6), (known, 0.97)):
        read = torch.from_numpy(system._encoded(ours)), torch.from_numpy(system._encoded(others))
        assert (read[0] @ read[0].T).min() > least - 0.1 and (read[0] @ read[1].T).max() < 0.4
    alike = [float((x @ x.T).min()) for x in (torch.from_numpy(system._encoded(ours)) for system in (plain, known))]
    assert alike[1] > alike[0] + 0.1


def test_a_label_is_asked_for_as_before_and_the_right_is_the_mirror_image_of_the_left():
    plain, known = load_nerm(), load_nerm().variant(reading="known")
    (first,), (second,) = (system.sample_codes([Condition(label=LEFT)], [2.0], [3]) for system in (plain, known))
    np.testing.assert_array_equal(first["z"], second["z"])
    left, right = known.sample_codes([KICK, Condition(mirror_caption(KICK.text))], [2.0, 2.0], [3, 3])
    np.testing.assert_array_equal(left["z"], right["z"])
    assert left["mirrored"] != right["mirrored"]
    (as_it_is,) = plain.sample_codes([KICK], [2.0], [3])
    assert np.abs(as_it_is["z"] - left["z"]).max() > 0.01


def test_where_training_says_nothing_a_sentence_is_read_as_it_is():
    system = load_nerm()
    system.dataset = "nothing"
    np.testing.assert_array_equal(system.variant(reading="known")._encoded([KICK.text]), system._encoded([KICK.text]))
    system.sentences = None
    assert system.variant(reading="known") is system
    with pytest.raises(InputError, match="reading=unheard does not exist"):
        system.variant(reading="unheard")


def test_what_is_sampled_says_how_its_sentence_was_read_and_dense_codes_read_alike(tmp_path):
    common = ["device=cpu", "fps=20", f"text={KICK.text}", "seconds=2"]
    for name, more in (("known", []), ("asked", ["reading=asked"])):
        assert main([*common, *more, f"out={tmp_path / name}.npz"]) == 0
    assert read_made_by(tmp_path / "asked.npz")["reading"] == "asked" and "reading" not in read_made_by(tmp_path / "known.npz")
    with pytest.raises(InputError, match="reading=unheard does not exist; it can be known, asked"):
        main([*common, "reading=unheard", f"out={tmp_path / 'x.npz'}"])
    assert load_dense().variant(reading="known").base.reading == "known"


@pytest.mark.parametrize("system", ["nerm", "nerm-dense"])
def test_the_command_reads_as_known_unless_it_is_asked(system):
    loaded = load(Sample(out="x", system=system, device="cpu"))
    assert getattr(loaded, "base", loaded).reading == "known"
