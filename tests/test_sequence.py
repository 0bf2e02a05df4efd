"""Several sentences in a row: where parts lie, how they meet, and that a sequence is a function of time."""

import numpy as np
import pytest
import torch

from nerm.errors import InputError
from nerm.generator import Condition
from nerm.model import NeRM, load_nerm
from nerm.motion import SMPL22, Motion
from nerm.motion.files import load_motion
from nerm.motion.made_by import read_made_by
from nerm.motion.skeleton import heading, joints_from_directions, yaw_matrix
from nerm.sample import main
from nerm.sequence import LONGEST_S, NEAR_M, OVERLAP_S, Span, joined, parts_of, spans_of, toward

SENTENCES = ["a person walks forward", "a person jumps up"]


@pytest.fixture(scope="module")
def nerm() -> NeRM:
    return load_nerm()


def test_one_item_that_a_code_holds_is_one_part():
    assert spans_of([10.0], 10.0) == [Span(0, 0.0, 10.0)]


def test_parts_meet_in_the_middle_of_their_overlap_at_the_ends_of_their_items():
    assert spans_of([4, 2, 3], 10.0) == [Span(0, 0.0, 4.5), Span(1, 3.5, 6.5), Span(2, 5.5, 9.0)]


@pytest.mark.parametrize("seconds", [[10.5], [25.0], [60.0], [12.0, 3.0], [1.0, 1.0, 1.0], [9.5, 9.5]])
def test_parts_cover_everything_are_short_enough_and_no_three_overlap(seconds):
    spans = spans_of(seconds, 10.0)
    assert spans[0].start == 0 and spans[-1].end == pytest.approx(sum(seconds))
    assert all(span.seconds <= 10 + 1e-9 for span in spans)
    assert [spans[k].end - spans[k + 1].start for k in range(len(spans) - 1)] == pytest.approx([OVERLAP_S] * (len(spans) - 1))
    assert all(spans[k].end <= spans[k + 2].start + 1e-9 for k in range(len(spans) - 2))
    assert [span.item for span in spans] == sorted(span.item for span in spans)


@pytest.mark.parametrize(
    ("seconds", "answer"),
    [([0.0], "more than 0"), ([3.0, 0.5], "at least 1"), ([40.0, 21.0], f"at most {LONGEST_S:g} s"), ([float("nan")], "more than 0")],
)
def test_times_that_cannot_be_are_refused(seconds, answer):
    with pytest.raises(InputError, match=answer):
        spans_of(seconds, 10.0)


def test_a_code_moves_as_far_as_its_joints_are_worth():
    """joints(y) = a y for one joint: the minimum of |a y' - wanted|^2 / NEAR_M^2 + |y' - y|^2 is known."""
    a, y, wanted = torch.tensor([[0.3, 0.1], [0.0, 0.2], [0.1, 0.0]]), torch.tensor([1.0, -2.0]), torch.tensor([0.5, 0.1, -0.2])
    moved = toward(lambda code: (a @ code)[None, None], wanted[None, None], y)
    exact = torch.linalg.solve(a.T @ a / NEAR_M**2 + torch.eye(2), a.T @ wanted / NEAR_M**2 + y)
    torch.testing.assert_close(moved, exact, atol=1e-3, rtol=1e-3)


def walker(times: np.ndarray, mps: float, turn: float) -> np.ndarray:
    """Joints of a stiff person who begins above the origin, faces +z, and goes round a curve."""
    yaw = turn * times
    path = np.stack([np.cumsum(np.sin(yaw)), np.full(len(yaw), 0.9), np.cumsum(np.cos(yaw))], -1)
    path[:, [0, 2]] *= mps * (times[1] - times[0] if len(times) > 1 else 0.0)
    path[:, [0, 2]] -= path[0, [0, 2]]
    return joints_from_directions(path, np.einsum("nij,bj->nbi", yaw_matrix(yaw), SMPL22.axes[1:]), SMPL22)


def test_parts_go_on_from_where_and_as_the_one_before_them_ends():
    """Every part is the same curve, read from its own start; each is told what the one before it does there, and goes on from it."""
    asked = []
    grid = np.linspace(0, 12, 12001)
    whole = walker(grid, 1.0, 0.4)

    def make(item, seconds, seed, beginning):
        asked.append((item, seed, beginning))
        return lambda times: whole[np.clip(np.round(times * 1000).astype(int), 0, 12000)]

    parts = parts_of([4.0, 4.0], 10.0, 3, make, SMPL22)
    assert [(item, begins is None) for item, _, begins in asked] == [(0, True), (1, False)] and asked[0][1] == 3 != asked[1][1]
    begins = asked[1][2]
    np.testing.assert_allclose(begins.joints[0, 0, [0, 2]], 0, atol=1e-9)
    assert heading(begins.joints[0], SMPL22) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(begins.joints, whole[:1001][(begins.times * 1000).round().astype(int)], atol=2e-3)  # a circle looks alike
    times = np.linspace(0, 8, 401)
    motion = joined(parts, times, SMPL22)
    np.testing.assert_allclose(motion, whole[(times * 1000).round().astype(int)], atol=4e-3)


def test_a_sequence_is_the_same_motion_at_every_rate(nerm):
    asked = [Condition(text) for text in SENTENCES], [2.0, 2.0]
    fast, slow = (nerm.sample_sequence(*asked, fps, 1) for fps in (60, 20))
    assert len(fast) == 241
    np.testing.assert_array_equal(fast.joints[::3], slow.joints)
    lengths = np.linalg.norm(fast.joints[:, 1:] - fast.joints[:, SMPL22.parents[1:]], axis=-1)
    np.testing.assert_allclose(lengths, np.broadcast_to(SMPL22.lengths[1:], lengths.shape), atol=1e-4)


def test_a_sequence_of_one_is_a_sample(nerm):
    asked = [Condition(SENTENCES[0])], [3.0]
    np.testing.assert_array_equal(nerm.sample_sequence(*asked, 20.0, 4).joints, nerm.sample(*asked, 20.0, [4])[0].joints)


def test_a_walk_of_20_seconds_goes_on_without_a_break(nerm):
    """Where parts meet, joints accelerate as elsewhere and feet do not slide more. Without `toward` the paths are .26 m apart there."""
    motion = nerm.sample_sequence([Condition(SENTENCES[0])], [20.0], 60.0, 1)
    acceleration = np.linalg.norm(np.diff(motion.joints, 2, axis=0), axis=-1).mean(1) * 60**2
    slower_foot = (np.linalg.norm(np.diff(motion.joints[:, [7, 8, 10, 11]][..., [0, 2]], axis=0), axis=-1) * 60).min(1)
    times = np.arange(len(acceleration)) / 60
    meets = np.zeros(len(times), bool)
    for span in spans_of([20.0], nerm.longest_s)[1:]:
        meets |= (times > span.start) & (times < span.start + OVERLAP_S)
    assert meets.sum() == pytest.approx(120, abs=4)
    assert acceleration[meets].mean() < 1.25 * acceleration[~meets].mean()
    assert slower_foot[:-1][meets].mean() < 0.1
    assert np.linalg.norm(motion.root[-1] - motion.root[0]) > 8


def test_the_command_makes_sentences_in_a_row_and_long_motions(tmp_path):
    common = ["device=cpu", "fps=20", "seed=2"]
    assert main([*common, f"texts=[{','.join(SENTENCES)}]", "seconds=[2,1.5]", f"out={tmp_path / 'row.npz'}"]) == 0
    assert len(load_motion(tmp_path / "row.npz")) == 71
    said = read_made_by(tmp_path / "row.npz")
    assert said["texts"] == SENTENCES and said["seconds"] == [2.0, 1.5] and "text" not in said
    assert main([*common, f"text={SENTENCES[0]}", "seconds=12", f"out={tmp_path / 'long.bvh'}"]) == 0
    assert isinstance(load_motion(tmp_path / "long.bvh"), Motion) and read_made_by(tmp_path / "long.bvh")["seconds"] == 12.0


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["texts=[a,b]", "seconds=[1,2,3]"], "seconds= has 3 numbers for 2 sentences"),
        (["text=a", "seconds=[1,2]"], "seconds= has 2 numbers for one motion"),
        (["texts=[a,b]", "text=c"], "give one of text=, label= and texts="),
        (["text=a person walks forward", "seconds=61"], "at most 60 s"),
        (["text=a person runs forward", "seconds=inf"], "at most 60 s"),
        (["text=a person runs forward", "seconds=nan"], "seconds=nan; expected more than 0"),
        ([f"texts=[{SENTENCES[0]},{SENTENCES[1]}]", "seconds=[nan,3]"], "seconds=nan; expected at least 1"),
        ([f"texts=[{SENTENCES[0]},{SENTENCES[1]}]", "system=t2m"], "system 't2m' takes one sentence at a time"),
        (["texts=[a"], "texts="),
        (["texts=[a,{b: c}]"], "expected sentences"),
        (["texts=[a,'']"], "expected sentences"),
    ],
)
def test_wrong_sequences_are_one_sentence(tmp_path, words, answer):
    with pytest.raises(InputError, match=answer.replace("[", r"\[")):
        main([*words, "device=cpu", f"out={tmp_path / 'x.npz'}"])
    assert not list(tmp_path.iterdir())
