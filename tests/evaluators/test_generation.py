"""Where motion comes from: made once, at the rate where it is made, with the same seeds at every rate."""

import numpy as np
import pytest

from evaluators.cache import Cache
from evaluators.generation import BATCH, REAL, Generation, Request
from evaluators.items import in_order, sample_seed
from evaluators.tables import Row
from nerm.errors import InputError
from nerm.generator import Condition, Facts, ReadsCodes, condition_of
from nerm.motion import Motion, frame_count
from nerm.motion.motion import Features
from nerm.motion.resample import at_rate


class Spy:
    """A generator that notes the seeds it was given at each rate."""

    name, native_fps, digest, facts = "spy", None, "spy", Facts()

    def __init__(self):
        self.seen = {}

    def sample(self, conditions, seconds, fps, seeds, guidance=None):
        self.seen.setdefault(fps, []).extend(seeds)
        rngs = [np.random.default_rng(seed) for seed in seeds]
        lengths = [frame_count(s, fps) for s in seconds]
        return [Motion(rng.normal(size=(n, 22, 3)).astype(np.float32), fps) for rng, n in zip(rngs, lengths, strict=True)]


class Slow(Spy):
    """It generates at 20 fps, features included."""

    native_fps = 20.0

    def sample(self, conditions, seconds, fps, seeds, guidance=None):
        made = super().sample(conditions, seconds, fps, seeds)
        return [Motion(m.joints, fps, features=Features("toy", np.full((len(m), 2), seed))) for m, seed in zip(made, seeds, strict=True)]


class Codes(Spy, ReadsCodes):
    """A code is the seed; read at any rate."""

    def sample_codes(self, conditions, seconds, seeds, guidance=None):
        self.seen.setdefault("codes", []).extend(seeds)
        return [{"seed": np.array(seed)} for seed in seeds]

    def read(self, code, seconds, fps):
        return Motion(np.full((frame_count(seconds, fps), 22, 3), float(code["seed"] % 97), np.float32), fps)


@pytest.fixture
def made(tiny, tmp_path):
    """made(generator) -> (a Generation with it, requests for every item)."""
    items = tiny.subject.items
    requests = [Request(k, condition_of(item), item.seconds, sample_seed(0, item, 0)) for k, item in enumerate(items)]

    def make(generator, cache=None):
        cache = cache or Cache(tmp_path / "cache")
        return Generation(cache, items, 20.0, tiny.subject.digest, lambda row: generator, lambda: tiny.dataset), requests

    return make


def test_a_generator_of_20_fps_is_asked_once_for_all_rates_and_brought_up_by_slerp(made):
    slow = Slow()
    generation, requests = made(slow)
    row, wanted = Row("slow", "slow"), [0, 2, 3]
    low = generation.motions(row, requests, 20.0, range(len(requests)))
    high = generation.motions(row, requests, 120.0, wanted)
    assert slow.seen == {20.0: [request.seed for request in requests]} and generation.upsampling(row) == "slerp"
    for k in wanted:
        np.testing.assert_array_equal(high[k].joints, at_rate(low[k], requests[k].seconds, 120.0, "slerp").joints)


def test_features_travel_with_a_motion_at_the_rate_where_they_were_made_through_the_cache_too(made):
    for _ in range(2):  # made, then from the cache
        generation, requests = made(Slow())
        motion = generation.motions(Row("slow", "slow"), requests, 20.0, [1])[1]
        assert motion.features.format == "toy" and (motion.features.values == requests[1].seed).all()
        assert generation.motions(Row("slow", "slow"), requests, 60.0, [1])[1].features is None


def test_codes_are_sampled_once_and_read_at_every_rate(made):
    codes = Codes()
    generation, requests = made(codes)
    for fps in (20.0, 60.0, 120.0):
        motions = generation.motions(Row("codes", "codes"), requests, fps, [4, 1])
        assert list(motions) == [4, 1] and motions[4].joints[0, 0, 0] == requests[4].seed % 97
        assert all(len(motions[k]) == frame_count(requests[k].seconds, fps) for k in motions)
    assert codes.seen == {"codes": [request.seed for request in requests]}


def test_rows_brought_up_from_the_base_rate_share_what_is_made_there(made):
    spy = Spy()
    generation, requests = made(spy)
    everything = range(len(requests))
    low = generation.motions(Row("spy", "spy"), requests, 20.0, everything)
    for method in ("slerp", "cubic"):
        row = Row(f"spy-{method}", "", system="spy", upsampling=method)
        up = generation.motions(row, requests, 120.0, [3])
        np.testing.assert_array_equal(up[3].joints, at_rate(low[3], requests[3].seconds, 120.0, method).joints)
    assert spy.seen == {20.0: [request.seed for request in requests]}
    generation.motions(Row("spy", "spy"), requests, 120.0, [3])
    assert spy.seen[120.0] == [requests[3].seed]


def test_identities_are_equal_where_motions_are(made):
    generation, _ = made(Spy())
    plain, up = Row("spy", ""), Row("spy-20-cubic", "", system="spy", upsampling="cubic")
    assert generation.identity(plain, 20.0) == generation.identity(up, 20.0)
    assert generation.identity(plain, 120.0) != generation.identity(up, 120.0)


def test_blocks_hold_all_requests_once_and_are_the_same_for_rows_that_share_them(made):
    generation, _ = made(Codes())
    many = [Request(0, Condition(), 1.0, seed) for seed in range(2 * BATCH + 1)]
    blocks = generation.blocks(Row("codes", ""), many, 20.0, range(len(many)))
    assert [len(block.requests) for block in blocks] == [BATCH, BATCH, 1]
    other = generation.blocks(Row("codes-cubic", "", system="codes", upsampling="cubic"), many, 120.0, range(len(many)))
    assert [generation.digest(block) for block in blocks] == [generation.digest(block) for block in other]
    assert len(generation.blocks(Row("codes", ""), many, 20.0, [0, 3])) == 1


def test_recordings_are_read_damaged_or_brought_up_and_ask_no_system(made, tiny):
    generation, requests = made(None)
    item = tiny.subject.items[0]
    plain = generation.motions(Row(REAL, "", "real"), requests, 60.0, [0])[0]
    np.testing.assert_array_equal(plain.joints, at_rate(tiny.dataset.motion(item), item.seconds, 60.0).joints)
    oracle = generation.motions(Row("oracle-cubic", "", system=REAL, upsampling="cubic"), requests, 60.0, [0])[0]
    np.testing.assert_allclose(oracle.joints[::3], plain.joints[::3], atol=1e-6)
    assert np.abs(oracle.joints - plain.joints).max() > 1e-3
    noisy = generation.motions(Row("noisy", "", system=REAL, variant="noise-5mm"), requests, 60.0, [0])[0]
    assert 0.003 < (noisy.joints - plain.joints).std() < 0.007
    with pytest.raises(InputError, match="did you mean noise-5mm"):
        generation.check(Row("noisy", "", system=REAL, variant="noise-5m"))


def test_a_generator_that_gives_too_few_frames_is_named(made):
    class Short(Spy):
        def sample(self, *arguments, **more):
            return [motion[:-1] for motion in super().sample(*arguments, **more)]

    generation, requests = made(Short())
    with pytest.raises(InputError, match="system 'spy' gave"):
        generation.motions(Row("short", ""), requests, 20.0, [0])


def test_numbers_in_names_are_sorted_as_numbers():
    assert in_order(["10", "9", "a10", "a9"]) == ["9", "10", "a9", "a10"]
