"""Damages of real motion: pure functions of a recording and random numbers, one module for tables and controls."""

import numpy as np
import pytest
from made_up import MadeUp, twelve_walks, walker

from evaluators.damage import (
    CHAINS,
    VARIANTS,
    backwards,
    damaged,
    damaged_alone,
    flattened,
    foreign_root_path,
    foreign_upper_body,
    frozen,
    mirrored,
    permuted,
    placed,
    played_at,
    raised,
    reduced,
    sized,
    sliding,
    turned,
    undamaged,
)
from nerm.data.dataset import Item, item_number
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, resample
from nerm.motion.resample import at_rate


@pytest.fixture(scope="module")
def dataset():
    return twelve_walks()


def made(dataset, damage, fps=60.0, seed=0, places=(0, 1, 2, 3)):
    items = dataset.items("test")
    return damaged(dataset, items, [item.seconds for item in items], places, fps, seed, damage)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_damaged_motion_is_as_long_as_the_recording_and_repeats_with_its_seed(dataset, name):
    first, again, other = made(dataset, VARIANTS[name]), made(dataset, VARIANTS[name]), made(dataset, VARIANTS[name], seed=1)
    assert list(first) == [0, 1, 2, 3] and all(len(motion) == 241 and motion.fps == 60.0 for motion in first.values())
    assert all(np.array_equal(first[k].joints, again[k].joints) for k in first)
    assert (name in ("lowpass-4hz", "still")) == all(np.array_equal(first[k].joints, other[k].joints) for k in first)
    assert all(np.abs(first[k].joints - motion.joints).max() > 1e-5 for k, motion in made(dataset, undamaged).items())


def test_noise_has_the_size_that_its_name_says(dataset):
    real = made(dataset, undamaged)
    for name, size in (("noise-1mm", 0.001), ("noise-5mm", 0.005)):
        difference = np.concatenate([motion.joints - real[k].joints for k, motion in made(dataset, VARIANTS[name]).items()])
        assert difference.std() == pytest.approx(size, rel=0.02)


def test_shuffling_moves_one_chain_and_nothing_else(dataset):
    real, shuffled = made(dataset, undamaged)[0].joints, made(dataset, VARIANTS["shuffled"])[0].joints
    moved = np.flatnonzero(np.abs(shuffled - real).max(axis=(0, 2)) > 1e-4)
    assert [SMPL22.names[k] for k in moved] in [list(names) for _, names in CHAINS.values()]


def test_shuffling_needs_two_trials(dataset):
    with pytest.raises(InputError, match="two trials at one rate"):
        made(dataset, VARIANTS["shuffled"], places=[0])


def test_a_slide_is_a_constant_speed_over_the_floor(dataset):
    moved = made(dataset, sliding(0.2))[0].joints[-1] - made(dataset, undamaged)[0].joints[-1]
    np.testing.assert_allclose(np.linalg.norm(moved[:, [0, 2]], axis=-1), 0.2 * 4.0, rtol=1e-4)
    np.testing.assert_allclose(moved[:, 1], 0, atol=1e-6)


def test_motion_played_twice_as_fast_takes_half_the_time(dataset):
    fast, real = made(dataset, played_at(2.0))[0], made(dataset, undamaged, fps=30.0)[0]
    np.testing.assert_allclose(fast.joints, real.joints, atol=1e-6)


def test_reduced_motion_is_the_resamplers(dataset):
    item = dataset.items("test")[0]
    expected = resample(resample(dataset.motion(item), 20.0, "cubic"), 60.0, "linear")
    np.testing.assert_array_equal(made(dataset, reduced(20.0, "linear"))[0].joints, expected.joints)


def test_point_values_at_a_motions_own_rate_are_its_frames():
    motion = Motion(walker(121), 120.0)
    np.testing.assert_array_equal(at_rate(motion, 0.5, 120.0).joints, motion.joints[:61])
    assert at_rate(motion, 7.0, 60.0).seconds == 1.0


def test_random_numbers_depend_on_the_item_and_not_on_its_place(dataset):
    assert item_number(Item("17", "t", 20.0, 1.0)) == 17
    assert 0 <= item_number(Item("a/b", "t", 20.0, 1.0)) < 2**32 and item_number(Item("²", "t", 20.0, 1.0)) > 0
    turned = MadeUp({"test": dataset.items("test")[::-1]}, dataset.motion)
    one, other = (made(of, VARIANTS["noise-1mm"]) for of in (dataset, turned))
    np.testing.assert_array_equal(one[0].joints, other[3].joints)


def test_the_new_upper_body_leaves_the_legs_and_the_new_path_leaves_the_pose(dataset):
    real, upper, path = (made(dataset, damage)[0].joints for damage in (undamaged, foreign_upper_body, foreign_root_path))
    legs = [SMPL22.index(name) for name in ("pelvis", "l_knee", "r_ankle", "l_foot")]
    np.testing.assert_allclose(upper[:, legs], real[:, legs], atol=1e-5)
    assert np.abs(upper[:, SMPL22.index("l_wrist")] - real[:, SMPL22.index("l_wrist")]).max() > 0.01
    np.testing.assert_allclose(path[..., 1], real[..., 1], atol=1e-5)
    span = lambda x: np.linalg.norm(x[:, 20] - x[:, 7], axis=-1)  # noqa: E731
    np.testing.assert_allclose(span(path), span(real), atol=1e-5)


def test_backwards_frozen_raised_and_sized_are_what_they_say(dataset):
    real = made(dataset, undamaged)[0].joints
    np.testing.assert_array_equal(made(dataset, backwards)[0].joints, real[::-1])
    assert (np.ptp(made(dataset, frozen)[0].joints, axis=0) == 0).all()
    np.testing.assert_allclose(made(dataset, raised(0.05))[0].joints - real, np.broadcast_to([0, 0.05, 0], real.shape), atol=1e-6)
    np.testing.assert_allclose(made(dataset, sized(1.03))[0].joints, 1.03 * real, rtol=1e-5)


def test_pieces_keep_their_frames_and_their_path_goes_on(dataset):
    real, cut = made(dataset, undamaged)[0].joints, made(dataset, permuted(0.5))[0].joints
    assert cut.shape == real.shape
    # Heights are unchanged by turning and moving, so every pose is found again, in another order.
    heights = lambda x: sorted(map(tuple, np.round(x[..., 1], 4).tolist()))  # noqa: E731
    assert heights(cut) == heights(real)
    assert not np.allclose(cut[..., 1], real[..., 1], atol=1e-3)
    jump = np.linalg.norm(np.diff(cut[:, 0, [0, 2]], axis=0), axis=-1)
    assert (np.linalg.norm(np.diff(real[:, 0, [0, 2]], axis=0), axis=-1) > 1e-3).all()
    assert (jump < 1e-6).sum() == 7  # eight pieces of half a second have seven joins


def test_flattening_keeps_bones_and_root_and_shrinks_angles(dataset):
    real, flat = made(dataset, undamaged)[0].joints, made(dataset, flattened(0.7))[0].joints
    parents = list(SMPL22.parents[1:])
    lengths = lambda x: np.linalg.norm(x[:, 1:] - x[:, parents], axis=-1)  # noqa: E731
    np.testing.assert_allclose(lengths(flat), lengths(real), atol=1e-5)
    np.testing.assert_array_equal(flat[:, 0], real[:, 0])
    thigh = lambda x: np.unwrap(np.arctan2(*(x[:, 4] - x[:, 1])[:, [2, 1]].T))  # noqa: E731
    assert np.ptp(thigh(flat)) < np.ptp(thigh(real))
    np.testing.assert_allclose(made(dataset, flattened(1.0))[0].joints, real, atol=1e-5)


def test_turned_placed_and_mirrored_change_no_length(dataset):
    real = made(dataset, undamaged)[0].joints
    for damage in (turned, placed, mirrored):
        changed = made(dataset, damage)[0].joints
        np.testing.assert_allclose(changed[..., 1].sum(-1), real[..., 1].sum(-1), atol=1e-4)
        assert np.abs(changed - real).max() > 0.01


def test_a_motion_that_stands_still_keeps_the_pose_half_way(dataset):
    for k, motion in made(dataset, VARIANTS["still"]).items():
        real = made(dataset, undamaged)[k].joints
        assert all(np.array_equal(pose, real[len(real) // 2]) for pose in motion.joints)


def test_a_recording_damaged_alone_is_damaged_as_among_others_and_cannot_borrow(dataset):
    item = dataset.items("test")[1]
    alone = damaged_alone(dataset.motion(item), item, 60.0, 0, VARIANTS["noise-1mm"])
    np.testing.assert_array_equal(alone.joints, made(dataset, VARIANTS["noise-1mm"])[1].joints)
    with pytest.raises(InputError, match="where there is none"):
        damaged_alone(dataset.motion(item), item, 60.0, 0, VARIANTS["shuffled"])
