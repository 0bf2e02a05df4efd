"""A denoiser is asked for durations that training has, and what is to last longer is made in parts; both are the same at every rate."""

import numpy as np
import pytest

from nerm.generator import Condition
from nerm.lasting import LONGER, SHORTER, SHORTEST_PART_S, STRETCHED, nearest_s, parts_to_last
from nerm.model import NeRM, load_nerm
from nerm.motion.files import load_motion
from nerm.motion.made_by import read_made_by
from nerm.sample import main
from nerm.sequence import OVERLAP_S, spans_of

RUN, WALK, KICK = (Condition(f"a person {what}") for what in ("runs forward", "walks forward", "kicks with the left foot"))


@pytest.fixture(scope="module")
def nerm() -> NeRM:
    return load_nerm().variant(durations="known")


@pytest.mark.parametrize(
    ("seconds", "known", "expected"),
    [
        (3.0, [], 3.0),
        (3.0, [(2.9, 3.1)], 3.0),
        (3.0, [(2.0, 2.5)], LONGER * 2.5),
        (3.0, [(5.0, 8.0)], SHORTER * 5),
        (3.0, [(2.0, 2.5), (3.2, 9.0)], 3.0),
        (3.0, [(1.0, 1.0), (10.0, 10.0)], SHORTER * 10),  # 8 s are 2.7 times as long, 1.05 s 2.9 times as short
    ],
)
def test_the_duration_asked_for_is_the_nearest_that_training_has(seconds, known, expected):
    assert nearest_s(seconds, known) == pytest.approx(expected)


@pytest.mark.parametrize("longest", [0.6, 2.5, 7.0])
def test_what_lasts_longer_than_training_has_it_is_made_in_as_few_parts_as_are_short_enough(longest):
    most = max(STRETCHED * longest, SHORTEST_PART_S)
    for seconds in np.arange(0.5, 60, 0.7):
        parts = parts_to_last(seconds, [(0.5, 0.6), (longest, longest)])
        assert (parts == 1) == (seconds <= most)
        assert parts == 1 or all(span.seconds <= most + 1e-9 for span in spans_of([seconds / parts] * parts, 10.0))
        assert parts < 3 or seconds / (parts - 1) + OVERLAP_S > most
    assert parts_to_last(60.0, []) == 1
    assert all(parts_to_last(never, [(longest, longest)]) == 1 for never in (0.0, -1.0, 61.0, float("inf"), float("nan")))


def test_a_duration_that_training_has_changes_nothing_and_none_known_asks_for_what_is_wanted(nerm):
    plain = load_nerm()
    assert nerm.digest == f"{plain.digest} durations=known" and plain.variant(durations="asked") is plain
    for condition, seconds in ((WALK, 4.0), (Condition(), 2.0)):
        first, second = (system.sample([condition], [seconds], 20.0, [3])[0] for system in (plain, nerm))
        np.testing.assert_array_equal(first.joints, second.joints)


def test_a_shorter_motion_is_the_middle_of_one_that_training_has_and_a_longer_one_is_slower(nerm):
    ((shortest, longest), *_) = sorted(nerm._known(KICK), key=lambda lasts: -lasts[1])
    (short,) = nerm.sample_codes([KICK], [0.4 * shortest], [5])
    (whole,) = load_nerm().sample_codes([KICK], [SHORTER * shortest], [5])
    np.testing.assert_array_equal(short["z"], whole["z"])
    inner, outer = nerm.decode(short, 0.4 * shortest, 60), nerm.decode(whole, SHORTER * shortest, 60)
    begins = round(0.2 * shortest * 60) / 60
    at = round(begins * 60) + np.arange(len(inner))
    apart = outer.joints[at] - outer.root[at][:, None] - (inner.joints - inner.root[:, None])
    assert np.abs(apart).mean() < 0.03  # within half a frame
    (slow,) = nerm.sample_codes([KICK], [1.2 * longest], [5])
    assert slow["lasts"] == pytest.approx(LONGER * longest)
    slowed = slow["lasts"] / (1.2 * longest)
    as_made = nerm._joints(slow, float(slow["lasts"]), np.arange(10) * slowed / 10, 10.0)
    np.testing.assert_allclose(nerm._joints(slow, 1.2 * longest, np.arange(10) / 10, 10.0), as_made, atol=1e-5)


def test_parts_are_codes_and_the_same_motion_at_every_rate_and_in_every_batch(nerm, tmp_path):
    asked = [RUN, WALK, RUN], [8.0, 4.0, 3.0]
    fast, slow = (nerm.sample(*asked, fps, [0, 1, 2]) for fps in (60, 20))
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(a.joints[::3], b.joints)
    (alone,) = nerm.sample([RUN], [8.0], 60, [0])
    np.testing.assert_array_equal(alone.joints, fast[0].joints)
    np.testing.assert_array_equal(nerm.sample_sequence([RUN], [8.0], 60, 0).joints, alone.joints)
    (code,) = nerm.sample_codes([RUN], [8.0], [0])
    assert code["z"].ndim == 2 and len(code["z"]) == len(code["start"]) > 1
    np.savez(tmp_path / "code.npz", **code)
    with np.load(tmp_path / "code.npz") as stored:
        np.testing.assert_array_equal(nerm.read(dict(stored), 8.0, 60).joints, alone.joints)


def test_a_run_that_is_to_last_longer_than_any_in_training_runs(tmp_path, capsys):
    common = ["device=cpu", "fps=20", f"text={RUN.text}", "seconds=8"]
    assert main([*common, f"out={tmp_path / 'run.npz'}"]) == 0
    assert "parts that go on from each other" in capsys.readouterr().err
    assert main([*common, "durations=asked", f"out={tmp_path / 'asked.npz'}"]) == 0
    assert "parts" not in capsys.readouterr().err
    assert read_made_by(tmp_path / "asked.npz")["durations"] == "asked" and "durations" not in read_made_by(tmp_path / "run.npz")
    known, asked = (load_motion(tmp_path / f"{name}.npz") for name in ("run", "asked"))
    assert np.linalg.norm(known.root[-1] - known.root[0]) > 12
    assert np.linalg.norm(asked.root[-1] - asked.root[0]) < 3  # somebody who stands, as what lasts so long in training does
