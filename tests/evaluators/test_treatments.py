"""Rows in which a step is left out of a system's motion, or given to a system that does not have it."""

import numpy as np
import pytest

from evaluators.cache import Cache
from evaluators.generation import Generation, Request
from evaluators.items import sample_seed
from evaluators.tables import Row, load_table
from evaluators.treatments import TREATMENTS, steps_after
from nerm.errors import InputError
from nerm.generator import AddsTexture, Facts, ReadsCodes, Reconstructs, condition_of
from nerm.motion import Motion, frame_count
from nerm.motion.resample import VERSION, at_rate


def moving(seconds: float, fps: float, seed: int, shake: float = 0.0) -> Motion:
    """A body of scattered joints that travels along z; with `shake` metres at 50 Hz."""
    times = np.arange(frame_count(seconds, fps)) / fps
    path = np.stack([shake * np.sin(100 * np.pi * times + 1), 0 * times, times], axis=1)
    return Motion((np.random.default_rng(seed).normal(size=(22, 3)) + path[:, None]).astype(np.float32), fps)


class Plain:
    """It makes motion at 20 fps."""

    name, native_fps, digest, facts = "plain", 20.0, "plain digest", Facts()

    def sample(self, conditions, seconds, fps, seeds, guidance=None):
        return [moving(length, fps, seed) for length, seed in zip(seconds, seeds, strict=True)]


class Textured(ReadsCodes, Reconstructs, AddsTexture):
    """A code is read with a shake that decoding leaves out; the strength of what it adds is the number of codes that it was asked about."""

    name, native_fps, digest, facts = "nerm", None, "texture digest", Facts()
    adds_texture = True

    def __init__(self):
        self.asked = []

    def sample_codes(self, conditions, seconds, seeds, guidance=None):
        return [{"seed": np.array(seed)} for seed in seeds]

    def read(self, code, seconds, fps):
        return moving(seconds, fps, int(code["seed"]), 0.01)

    def decode(self, code, seconds, fps):
        return moving(seconds, fps, int(code["seed"]))

    def fit(self, motions): ...

    def training_codes(self, path, dataset): ...

    def sample(self, *asked, **more): ...

    def strengths(self, codes, seconds):
        self.asked.append([int(code["seed"]) for code in codes])
        return np.array(float(len(codes)))

    def textured(self, motion, strengths, seed):
        return Motion(motion.joints + np.float32(strengths * (1 + seed % 2)), motion.fps)


SYSTEMS = {"plain": Plain(), "nerm": Textured()}


@pytest.fixture
def made(tiny, tmp_path):
    items = tiny.subject.items
    requests = [Request(k, condition_of(item), item.seconds, sample_seed(0, item, 0)) for k, item in enumerate(items)]
    systems = dict(SYSTEMS)
    where = Cache(tmp_path / "cache"), items, 20.0, tiny.subject.digest, lambda row: systems[row.system], lambda: tiny.dataset
    return Generation(*where), requests, systems


PLAIN = Row("plain", "")
TREATED = Row("plain-textured", "", system="plain", variant="textured")


def test_a_treated_motion_is_that_of_the_row_beside_it_plus_the_texture(made):
    generation, requests, _ = made
    for fps in (20.0, 120.0):
        plain, treated = (generation.motions(row, requests, fps, [0, 3]) for row in (PLAIN, TREATED))
        for k in (0, 3):
            added = treated[k].joints - plain[k].joints
            np.testing.assert_allclose(added, len(requests) * (1 + requests[k].seed % 2), atol=1e-5)


def test_its_strength_is_that_of_the_sources_own_samples_for_the_same_requests_measured_once(made, tiny):
    generation, requests, systems = made
    systems["nerm"] = Textured()
    for _ in range(2):
        for fps in (20.0, 60.0, 120.0):
            generation.motions(TREATED, requests, fps, [1])
    assert systems["nerm"].asked == [[request.seed for request in requests]]


def test_a_code_can_be_read_without_texture_at_every_rate_or_brought_up_from_the_base_rate(made):
    generation, requests, _ = made
    without = Row("nerm-no-texture", "", system="nerm", variant="no-texture")
    motion = generation.motions(without, requests, 120.0, [2])[2]
    expected = moving(requests[2].seconds, 120.0, requests[2].seed)
    np.testing.assert_array_equal(motion.joints, expected.joints)
    assert not np.array_equal(generation.motions(Row("nerm", ""), requests, 120.0, [2])[2].joints, expected.joints)
    low = Row("nerm-20-textured", "", system="nerm", variant="textured", upsampling="slerp")
    slerped = at_rate(moving(requests[2].seconds, 20.0, requests[2].seed), requests[2].seconds, 120.0, "slerp")
    added = generation.motions(low, requests, 120.0, [2])[2].joints - slerped.joints
    np.testing.assert_allclose(added, len(requests) * (1 + requests[2].seed % 2), atol=1e-5)


def test_a_treated_row_shares_codes_with_its_system_and_needs_those_of_the_source(made):
    generation, requests, _ = made
    everything = range(len(requests))
    digests = {
        row.id: {generation.digest(block) for block in generation.blocks(row, requests, 120.0, everything)}
        for row in (PLAIN, Row("nerm", ""), Row("n", "", system="nerm", variant="no-texture"), TREATED)
    }
    assert digests["n"] == digests["nerm"] and digests["plain-textured"] == digests["plain"] | digests["nerm"]


def test_what_is_stored_of_other_rows_keeps_its_identity(made):
    generation, _, _ = made
    assert generation.identity(PLAIN, 20.0) == "plain plain digest"
    assert generation.identity(PLAIN, 120.0) == f"plain plain digest, 20 fps, slerp, resampler {VERSION}"
    assert generation.identity(Row("real", "", "real"), 60.0) == f"real of {generation.dataset_digest}, seed 0"
    noisy = Row("noisy", "", system="real", variant="noise-1mm")
    assert generation.identity(noisy, 60.0) == f"noise-1mm of {generation.dataset_digest}, seed 0"


def test_a_treated_row_is_known_by_the_treatment_and_the_weights_of_its_source(made):
    generation, _, systems = made
    before = generation.identity(TREATED, 20.0)
    assert before != generation.identity(PLAIN, 20.0) and before.endswith("of nerm texture digest")
    systems["nerm"] = Textured()
    systems["nerm"].digest = "other weights"
    assert generation.identity(TREATED, 20.0) != before
    assert generation.about(TREATED) == {"texture": "nerm other weights"} and generation.about(PLAIN) == {}


def test_a_treatment_that_cannot_be_given_is_answered(made):
    generation, _, systems = made
    with pytest.raises(InputError, match="which is made by a system,=texturd does not exist; did you mean textured"):
        generation.check(Row("x", "", system="plain", variant="texturd"))
    with pytest.raises(InputError, match="did you mean noise-1mm"):
        generation.check(Row("x", "", system="real", variant="noise-1m"))
    with pytest.raises(InputError, match="does not exist"):
        generation.check(Row("x", "", system="real", variant="textured"))
    with pytest.raises(InputError, match="'plain' has no codes"):
        generation.check(Row("x", "", system="plain", variant="no-texture"))
    systems["nerm"] = Textured()
    systems["nerm"].adds_texture = False
    with pytest.raises(InputError, match="needs the texture of system 'nerm'"):
        generation.check(TREATED)


def test_the_steps_of_a_row_are_those_of_its_system_changed_by_the_treatment():
    ours = ["field", "denoiser", "refinement", "texture"]
    assert steps_after("", ours) == ours and steps_after("no-texture", ours) == ours[:3]
    assert steps_after("textured", ["vae"]) == ["vae", "texture"] and steps_after("textured", ours).count("texture") == 1


@pytest.mark.parametrize("table", ["framerates", "text"])
def test_every_generator_of_a_table_with_a_variant_names_a_treatment(table):
    treated = [row for row in load_table(table).rows if row.variant and row.system != "real"]
    assert {row.variant for row in treated} == set(TREATMENTS) and {"t2m", "mdm", "mld", "nerm"} <= {row.system for row in treated}


def test_noise_is_white_of_the_size_that_its_name_says_and_changes_with_the_request(made):
    generation, requests, _ = made
    noisy = Row("plain-noise-0.5mm", "", system="plain", variant="noise-0.5mm")
    plain, with_noise = (generation.motions(row, requests, 120.0, [0, 1]) for row in (PLAIN, noisy))
    added = [with_noise[k].joints - plain[k].joints for k in (0, 1)]
    for noise in added:
        assert noise.std() == pytest.approx(0.0005, rel=0.05) and abs(np.mean(noise[1:] * noise[:-1])) < 0.01e-6
    frames = min(map(len, added))
    assert not np.allclose(added[0][:frames], added[1][:frames], atol=1e-4)


def test_noise_comes_on_top_of_texture_or_in_its_place(made):
    generation, requests, _ = made
    for variant, row in (("noise-0.5mm", Row("nerm", "")), ("no-texture-noise-0.5mm", Row("n", "", system="nerm", variant="no-texture"))):
        under = generation.motions(row, requests, 120.0, [2])[2].joints
        over = generation.motions(Row("x", "", system="nerm", variant=variant), requests, 120.0, [2])[2].joints
        assert 0.0003 < np.abs(over - under).mean() < 0.0005
