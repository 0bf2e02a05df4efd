"""The controls of extractors: what they find, what they demand, and on which rates a decision rests."""

import numpy as np
import pytest
from made_up import MadeUp, twelve_walks

from evaluators.extractors import Extractor, acceptance
from nerm.errors import InputError


@pytest.fixture(scope="module")
def dataset():
    return twelve_walks()


class Motionless(Extractor):
    """Sees only the pose of the centre frame."""

    name = "motionless"

    def embed_clips(self, joints, fps):
        return np.asarray(joints)[:, 16, :4, 1]


def test_the_controls_find_an_extractor_that_does_not_see_motion(dataset):
    outcome = acceptance.accept(Motionless(), dataset, fps=(60.0,), repeats=1, clips=60)
    assert not outcome.passed
    demands = outcome.checks.set_index("demand")["passed"]
    assert not demands["further with more foot slide"]
    assert len(outcome.values) == 23
    page = outcome.markdown()
    assert "| noise | 20 mm |" in page
    assert "FAIL" in page


def test_rates_that_do_not_decide_are_for_information(dataset):
    outcome = acceptance.accept(Motionless(), dataset, fps=(60.0,), decisive=(20.0,), repeats=1, clips=60)
    assert outcome.passed
    assert "FAIL" not in outcome.markdown()


def values(**distances):
    return [{"control": control.replace("_", " "), "distance": d} for control, row in distances.items() for d in row]


def test_a_wrong_order_fails_its_demand_and_no_other():
    good = dict(real=[1.0], noise=[1.1, 1.5], faster=[1.2], slower=[1.2], foot_slide=[1.1], shuffled_joints=[6.0])
    good["low-pass"] = [1.1, 1.2]
    assert all(check["passed"] for check in acceptance.judge(values(**good), 20.0))
    for name, wrong in {"noise": [1.5, 1.1], "low-pass": [1.4, 1.2], "shuffled_joints": [0.9 * acceptance.FAR], "faster": [0.9]}.items():
        failed = [check["demand"] for check in acceptance.judge(values(**good | {name: wrong}), 20.0) if not check["passed"]]
        assert len(failed) == 1
        assert name.split("_")[0] in failed[0]


def test_the_low_rate_of_the_controls_is_that_of_the_dataset():
    slower = twelve_walks()
    slower.base_fps = 25.0
    demands = acceptance.accept(Motionless(), slower, fps=(60.0,), repeats=1, clips=60).checks["demand"].tolist()
    assert "real nearer than 25 fps brought up by either" in demands


def test_a_dataset_without_fast_recordings_of_two_trials_is_answered(dataset):
    one = MadeUp({"test": dataset.items("test")[:1]}, dataset.motion)
    with pytest.raises(InputError, match="fewer than 2 trials"):
        acceptance.accept(Motionless(), one)
