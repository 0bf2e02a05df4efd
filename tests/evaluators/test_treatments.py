"""Rows in which a step is left out of a system's motion, or given to a system that does not have it."""

import numpy as np
import pytest

from evaluators.cache import Cache
from evaluators.generation import Generation, Request
from evaluators.items import sample_seed
from evaluators.preparing import systems_with
from evaluators.tables import Row, load_table
from evaluators.treatments import TREATMENTS, steps_after
from evaluators.weights import Weights
from nerm.checkpoint import RESULTS
from nerm.errors import InputError
from nerm.generator import Facts, ReadsCodes, Reconstructs, Stands, condition_of
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


class Coded(ReadsCodes):
    """It makes codes, which are read with a shake at any rate."""

    name, native_fps, digest, facts = "coded", None, "coded digest", Facts()

    def sample_codes(self, conditions, seconds, seeds, guidance=None):
        return [{"seed": np.array(seed)} for seed in seeds]

    def read(self, code, seconds, fps):
        return moving(seconds, fps, int(code["seed"]), 0.01)

    def sample(self, *asked, **more): ...


class Standing(Coded, Reconstructs, Stands):
    """Decoding leaves the shake out; where it stands, a motion goes to the left by the square of the time."""

    name, native_fps, digest, facts = "nerm", None, "stance digest", Facts()
    stands = True

    def __init__(self):
        self.rates = []

    def decode(self, code, seconds, fps):
        return moving(seconds, fps, int(code["seed"]))

    def fit(self, motions): ...

    def training_codes(self, path, dataset): ...

    def stood(self, motion):
        self.rates.append(motion.fps)
        return stood(motion)


def stood(motion: Motion) -> Motion:
    joints = motion.joints.copy()
    joints[..., 0] += np.float32(motion.times**2)[:, None]
    return Motion(joints, motion.fps)


SYSTEMS = {"plain": Plain(), "coded": Coded(), "nerm": Standing()}


@pytest.fixture
def made(tiny, tmp_path):
    items = tiny.subject.items
    requests = [Request(k, condition_of(item), item.seconds, sample_seed(0, item, 0)) for k, item in enumerate(items)]
    systems = dict(SYSTEMS)
    where = Cache(tmp_path / "cache"), items, 20.0, tiny.subject.digest, lambda row: systems[row.system], lambda: tiny.dataset
    return Generation(*where), requests, systems


PLAIN = Row("plain", "")
TREATED = Row("plain-stance", "", system="plain", variant="stance")


def test_a_motion_is_given_a_stance_at_the_rate_it_was_made_at_and_brought_up_then(made):
    generation, requests, systems = made
    systems["nerm"] = Standing()
    for fps in (20.0, 120.0):
        treated = generation.motions(TREATED, requests, fps, [0, 3])
        for k in (0, 3):
            seconds = requests[k].seconds
            low = moving(seconds, 20.0, requests[k].seed)
            np.testing.assert_array_equal(treated[k].joints, at_rate(stood(low), seconds, fps, "slerp").joints)
            others = [stood(at_rate(low, seconds, fps, "slerp")).joints, at_rate(low, seconds, fps, "slerp").joints]
            assert [np.abs(treated[k].joints - other).max() > 1e-4 for other in others] == [fps == 120, True]
    assert systems["nerm"].rates == [20.0] * 4


def test_a_code_that_is_brought_up_is_given_a_stance_at_the_base_rate_and_one_that_is_not_at_every_rate(made):
    generation, requests, _ = made
    seconds, seed = requests[2].seconds, requests[2].seed
    low = Row("coded-20-stance", "", system="coded", variant="stance", upsampling="cubic")
    expected = at_rate(stood(moving(seconds, 20.0, seed, 0.01)), seconds, 120.0, "cubic")
    np.testing.assert_array_equal(generation.motions(low, requests, 120.0, [2])[2].joints, expected.joints)
    every = Row("coded-stance", "", system="coded", variant="stance")
    expected = stood(moving(seconds, 120.0, seed, 0.01))
    np.testing.assert_array_equal(generation.motions(every, requests, 120.0, [2])[2].joints, expected.joints)


def test_a_code_can_be_read_without_a_stance_at_every_rate_or_brought_up_from_the_base_rate(made):
    generation, requests, _ = made
    seconds, seed = requests[2].seconds, requests[2].seed
    without = Row("nerm-no-stance", "", system="nerm", variant="no-stance")
    expected = moving(seconds, 120.0, seed)
    np.testing.assert_array_equal(generation.motions(without, requests, 120.0, [2])[2].joints, expected.joints)
    assert not np.array_equal(generation.motions(Row("nerm", ""), requests, 120.0, [2])[2].joints, expected.joints)
    low = Row("nerm-20-no-stance", "", system="nerm", variant="no-stance", upsampling="slerp")
    slerped = at_rate(moving(seconds, 20.0, seed), seconds, 120.0, "slerp")
    np.testing.assert_array_equal(generation.motions(low, requests, 120.0, [2])[2].joints, slerped.joints)


def test_a_treated_row_is_made_from_what_its_system_made_and_from_no_code_of_the_source(made):
    generation, requests, _ = made
    everything = range(len(requests))
    digests = {
        row.id: {generation.digest(block) for block in generation.blocks(row, requests, 120.0, everything)}
        for row in (PLAIN, Row("nerm", ""), Row("n", "", system="nerm", variant="no-stance"), TREATED)
    }
    assert digests["n"] == digests["nerm"] and digests["plain-stance"] == digests["plain"] != digests["nerm"]


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
    assert before != generation.identity(PLAIN, 20.0) and before.endswith("of nerm stance digest")
    systems["nerm"] = Standing()
    systems["nerm"].digest = "other weights"
    assert generation.identity(TREATED, 20.0) != before
    assert generation.about(TREATED) == {"stance": "nerm other weights"} and generation.about(PLAIN) == {}


def test_a_treatment_that_cannot_be_given_is_answered(made):
    generation, _, _ = made
    with pytest.raises(InputError, match="which is made by a system,=stanse does not exist; did you mean stance"):
        generation.check(Row("x", "", system="plain", variant="stanse"))
    with pytest.raises(InputError, match="did you mean noise-1mm"):
        generation.check(Row("x", "", system="real", variant="noise-1m"))
    with pytest.raises(InputError, match="does not exist"):
        generation.check(Row("x", "", system="real", variant="stance"))
    with pytest.raises(InputError, match="'plain' has no codes"):
        generation.check(Row("x", "", system="plain", variant="no-stance"))
    generation.check(TREATED)


@pytest.mark.parametrize("source", [Standing(), Plain()])
def test_a_source_without_a_stance_is_answered(made, source):
    generation, _, systems = made
    source.stands = False
    systems["nerm"] = source
    with pytest.raises(InputError, match="row plain-stance: variant=stance needs the stance of system 'nerm', which has none here"):
        generation.check(TREATED)


def test_the_steps_of_a_row_are_those_of_its_system_changed_by_the_treatment():
    ours = ["field", "denoiser", "stance"]
    assert steps_after("", ours) == steps_after("noise-0.5mm", ours) == ours and steps_after("no-stance", ours) == ours[:2]
    assert steps_after("stance", ["vae"]) == ["vae", "stance"] and steps_after("stance", ours).count("stance") == 1


@pytest.mark.parametrize(("table", "without"), [("framerates", {"known-durations", "known-sentences", "drawn-sentences"}), ("text", set())])
def test_every_generator_of_a_table_with_a_variant_names_a_treatment(table, without):
    treated = [row for row in load_table(table).rows if row.variant and row.system != "real"]
    assert {row.variant for row in treated} == set(TREATMENTS) - without
    assert {"t2m", "mdm", "mld", "nerm"} <= {row.system for row in treated}


@pytest.mark.parametrize(
    ("variant", "choice", "value", "said"),
    [
        ("known-durations", "durations", "known", ""),
        ("known-sentences", "reading", "known", " guidance=1"),
        ("drawn-sentences", "reading", "drawn", " guidance=1"),
    ],
)
def test_a_row_may_ask_its_system_for_durations_that_training_has_or_read_its_sentences_so(variant, choice, value, said):
    systems = systems_with(Weights([RESULTS], {}), [], "cpu")
    plain, other = (systems(Row("nerm", "", system="nerm", variant=of)) for of in ("", variant))
    assert (getattr(plain, choice), getattr(other, choice)) == ("asked", value) and other.digest == f"{plain.digest} {choice}={value}{said}"
    assert [other.durations, other.reading].count("asked") == 1
    with pytest.raises(InputError, match=f"'noise' has no choice of {choice}"):
        systems(Row("noise", "", system="noise", variant=variant))


def test_noise_is_white_of_the_size_that_its_name_says_and_changes_with_the_request(made):
    generation, requests, _ = made
    noisy = Row("plain-noise-0.5mm", "", system="plain", variant="noise-0.5mm")
    plain, with_noise = (generation.motions(row, requests, 120.0, [0, 1]) for row in (PLAIN, noisy))
    added = [with_noise[k].joints - plain[k].joints for k in (0, 1)]
    for noise in added:
        assert noise.std() == pytest.approx(0.0005, rel=0.05) and abs(np.mean(noise[1:] * noise[:-1])) < 0.01e-6
    frames = min(map(len, added))
    assert not np.allclose(added[0][:frames], added[1][:frames], atol=1e-4)


def test_noise_comes_on_top_of_all_that_a_code_is_read_with_at_every_rate(made):
    generation, requests, _ = made
    for fps in (20.0, 120.0):
        under = generation.motions(Row("nerm", ""), requests, fps, [2])[2].joints
        over = generation.motions(Row("x", "", system="nerm", variant="noise-0.5mm"), requests, fps, [2])[2].joints
        assert 0.0003 < np.abs(over - under).mean() < 0.0005
