"""What ships fits together, and still gives the numbers that it gave: a metric that drifts fails here."""

from pathlib import Path

import numpy as np
import pytest

from baselines.base import load_generator
from evaluators.extractors import load_extractor
from evaluators.metrics.distribution import frechet
from evaluators.protocols.reference import load_reference
from nerm.model import Condition

RESULTS = Path(__file__).parents[1] / "results"
EXPECTED = {"nerm": 24.186, "nerm-fixed": 23.731, "t2m": 28.595, "mld": 53.618}
"""Frechet distance (extractor `multirate`) of the first clips of 64 sampled motions at 20 fps from all real clips."""


@pytest.fixture(scope="module")
def reference():
    return load_reference("multirate", [RESULTS / "reference"])


@pytest.fixture(scope="module")
def extractors():
    return {name: load_extractor(name, [RESULTS / "models"]) for name in ("multirate", "guo")}


def test_the_reference_was_made_with_the_frozen_extractors(reference, extractors):
    reference.check_extractors(extractors)


def test_the_reference_holds_no_motion(reference):
    assert not [name for name, array in reference.arrays.items() if array.ndim >= 3]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_shipped_system_scores_as_it_did(name, reference, extractors):
    system = load_generator(name)
    listed = [r for r in reference.recordings if r.seconds >= 1.6][:64]
    conditions = [Condition(text=r.caption or None) for r in listed]
    motions = system.sample(conditions, [r.seconds for r in listed], 20.0, list(range(len(listed))))
    clips = np.stack([motion.joints[:32] for motion in motions])
    assert np.isfinite(clips).all()
    found = frechet(extractors["multirate"].embed_clips(clips, 20.0), reference.arrays["20/clips/all/multirate"].astype(np.float64))
    assert found == pytest.approx(EXPECTED[name], rel=0.02)


@pytest.mark.parametrize("name", sorted([*EXPECTED, "mdm"]))
def test_a_shipped_systems_feet_stay_near_the_floor(name):
    system = load_generator(name)
    motion = system.sample([Condition(text="a person walks forward")], [4.0], 60.0, [0])[0]
    lowest = motion.joints[..., 1].min(axis=1)
    assert lowest.min() > -0.15 and lowest.max() < 0.25
