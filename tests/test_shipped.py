"""What ships fits together, and still gives the numbers that it gave: a metric that drifts fails here."""

from pathlib import Path

import numpy as np
import pytest

from baselines.base import load_system
from evaluators.extractors import load_extractor
from evaluators.metrics.distribution import frechet
from evaluators.metrics.physical import foot_skate
from evaluators.protocols import PROTOCOLS, Part
from evaluators.reference import Reference, load_subject
from nerm.generator import Condition, Stands, condition_of

RESULTS = Path(__file__).parents[1] / "results"
EXPECTED = {"nerm": 26.09, "nerm-fixed": 28.65, "t2m": 45.43, "mld": 93.12}
"""Frechet distance (extractor `anyrate`) of the first clips of 64 sampled motions at 20 fps from all real clips."""


@pytest.fixture(scope="module")
def subject():
    return load_subject("multirate", [RESULTS / "reference"])[0]


@pytest.fixture(scope="module")
def reference(subject):
    return Reference("clip", 2, RESULTS / "reference" / "multirate", subject.digest)


@pytest.fixture(scope="module")
def extractors():
    return {name: load_extractor(name, [RESULTS / "models"]) for name in ("anyrate", "guo")}


def test_the_reference_was_made_with_the_frozen_extractors_at_every_rate(reference, extractors):
    assert reference.rates() == [20, 40, 60, 100, 120]
    for fps in reference.rates():
        assert reference.get(Part("clips/anyrate", fps, "0", "anyrate"), extractors["anyrate"].digest)
        assert reference.get(Part("motions/guo", fps, "0", "guo"), extractors["guo"].digest)
    assert reference.get(Part("matched/guo", 20.0, "0", "guo"), extractors["guo"].digest)


def test_rates_are_known_of_a_protocol_that_needs_an_extractor_for_everything(subject):
    reference = Reference("unconditional", PROTOCOLS.get("unconditional").version, RESULTS / "reference" / "multirate", subject.digest)
    assert reference.rates() == [] and reference.rates(["guo"]) == [20]


def test_the_reference_holds_no_motion():
    for path in (RESULTS / "reference" / "multirate").glob("*.npz"):
        with np.load(path) as stored:
            assert not [name for name in stored.files if stored[name].ndim >= 3]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_shipped_system_scores_as_it_did(name, subject, reference, extractors):
    system = load_system(name)
    listed = [item for item in subject.items if item.seconds >= 1.6][:64]
    conditions = [condition_of(item) for item in listed]
    motions = system.sample(conditions, [item.seconds for item in listed], 20.0, list(range(len(listed))))
    clips = np.stack([motion.joints[:32] for motion in motions])
    assert np.isfinite(clips).all()
    real = reference.get(Part("clips/anyrate", 20.0, "0", "anyrate"), extractors["anyrate"].digest)["all"]
    distance = frechet(extractors["anyrate"].embed_clips(clips, 20.0), real.astype(np.float64))
    assert distance == pytest.approx(EXPECTED[name], rel=0.02)


@pytest.mark.parametrize("name", sorted([*EXPECTED, "mdm"]))
def test_a_shipped_systems_feet_stay_near_the_floor(name):
    system = load_system(name)
    motion = system.sample([Condition(text="a person walks forward")], [4.0], 60.0, [0])[0]
    lowest = motion.joints[..., 1].min(axis=1)
    assert lowest.min() > -0.15 and lowest.max() < 0.25


@pytest.mark.parametrize("name", ["nerm", "nerm-fixed"])
def test_feet_slide_less_where_the_legs_decide_where_the_body_goes(name):
    system = load_system(name)
    assert isinstance(system, Stands) and system.stands and {"field", "denoiser", "stance"} <= system.facts.steps.keys()
    asked = [Condition(text="a person walks forward"), Condition(text="a person walks in a circle")] * 4
    slides = []
    for each in (system, system.variant(stance=False)):
        motions = each.sample(asked, [5.0] * 8, 60.0, list(range(8)))
        slides.append(np.nanmean([foot_skate(motion) for motion in motions]))
    assert slides[0] < 0.8 * slides[1], slides


def test_the_papers_method_ships_without_a_stance():
    system = load_system("nerm-paper")
    assert not system.stands and system.facts.steps.keys() == {"field", "denoiser"}
