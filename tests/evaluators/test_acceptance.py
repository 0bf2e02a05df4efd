"""The controls of extractors: what they find, what they demand, and on which rates a decision rests."""

import numpy as np
import pytest
from made_up import MadeUp, twelve_walks

from evaluators.extractors import EXTRACTORS, Extractor, acceptance
from evaluators.extractors.controls import CONTROLS
from evaluators.metrics.trials import trial_distance
from nerm.errors import InputError


@pytest.fixture(scope="module")
def dataset():
    return twelve_walks()


class Centre(Extractor):
    """Sees only how high the joints of the centre frame are above the pelvis."""

    name = "centre"

    def embed_clips(self, joints, fps):
        height = np.asarray(joints)[:, 16, :, 1]
        return height - height[:, :1]


class Constant(Extractor):
    name = "constant"

    def embed_clips(self, joints, fps):
        return np.zeros((len(joints), 3))


@pytest.fixture(scope="module")
def centre(dataset):
    return acceptance.accept(Centre(), dataset, fps=(60.0,), draws=50)


def effects(outcome):
    return outcome.checks.dropna(subset="effect").set_index("demand")["effect"]


def test_a_change_that_an_extractor_cannot_see_has_no_effect(centre):
    of = effects(centre)
    for demand in of.index:
        if demand.startswith(("turned", "placed", "above the floor", "foot slide", "foreign root path")):
            assert abs(of[demand]) < 1e-3
    assert of["foreign limb: at least 3 sd"] > 0.01
    assert of["noise, 0.5 mm: at most 1 sd"] < of["size, 3 % more: at most 1 sd"]
    assert not centre.passed


def test_the_page_names_what_failed(centre):
    page = centre.markdown()
    assert "| demand | 60 fps |" in page
    assert "FAIL" in next(line for line in page.splitlines() if line.startswith("| above the floor, 5 cm"))
    assert "FAIL" not in next(line for line in page.splitlines() if line.startswith("| turned"))


def test_the_unit_is_what_chance_makes_of_a_distance_between_as_many_trials():
    """Against the spread of the distance between fresh sets of real trials, which only a simulation has."""
    rng, trials = np.random.default_rng(0), list(range(60))
    by_chance = np.std([trial_distance(rng.normal(size=(60, 3)), trials, rng.normal(size=(60, 3)), trials) for _ in range(300)])
    units = [acceptance._excess(x, x, trials, 0, 200)[1] for x in rng.normal(size=(20, 60, 3))]
    assert np.mean(units) == pytest.approx(by_chance, rel=0.2)
    x = rng.normal(size=(60, 3))
    moved = x + np.array([9.0, 0.0, 0.0])
    excess, _ = acceptance._excess(x, moved, trials, 0, 50)
    assert excess == pytest.approx(trial_distance(x, trials, moved, trials)) and excess > 10
    assert acceptance._excess(x, x, trials, 0, 50)[0] == pytest.approx(0, abs=1e-12)


def test_an_extractor_without_a_scale_has_no_effects_and_fails(dataset):
    outcome = acceptance.accept(Constant(), dataset, fps=(60.0,), draws=20)
    assert (effects(outcome) == 0).all()
    assert not outcome.passed


def test_rates_that_do_not_decide_are_for_information(dataset):
    outcome = acceptance.accept(Constant(), dataset, fps=(60.0,), decisive=(20.0,), draws=20)
    assert outcome.passed
    assert "FAIL" not in outcome.markdown()


def test_no_kind_of_damage_is_both_trained_on_and_a_control():
    kinds = {control.kind for control in CONTROLS if control.seen}
    assert {"foreign limb", "other speed", "low-pass"} <= kinds
    for entry in EXTRACTORS:
        assert not kinds & set(entry.trained_on)


def test_a_dataset_without_fast_recordings_of_four_trials_is_answered(dataset):
    one = MadeUp({"test": dataset.items("test")[:1]}, dataset.motion)
    with pytest.raises(InputError, match="of 1 trials"):
        acceptance.accept(Centre(), one)
