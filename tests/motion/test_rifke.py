"""The formats of KIT-ML systems and of TEMOS on motions whose features are known, beside the recorded cases."""

import numpy as np
import pytest

from evaluators.metrics.averages import average_errors
from nerm.errors import InputError
from nerm.motion import rifke, rifke70, smpl135
from nerm.motion.rotations import matrix_from_axis_angle
from nerm.motion.skeleton import KIT21, joints_from_directions, yaw_matrix

FRAMES = 40
BODY = joints_from_directions(np.zeros(3), KIT21.axes[1:], KIT21.with_lengths(1000 * KIT21.lengths))
BODY = BODY - [0, BODY[:, 1].min(), 0]
FLOOR_MM = np.log(1.5)  # a person whose feet stay at one height stands this much above the soft floor


def turning(per_frame: float, forward: float = 0.0) -> np.ndarray:
    """A rigid body that turns and goes along +z of its own, in millimetres. [T, 21, 3]"""
    yaws = per_frame * np.arange(FRAMES)
    turns = yaw_matrix(yaws)
    steps = turns @ np.array([0.0, 0.0, forward])
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps[1:], axis=0)])
    return BODY @ np.swapaxes(turns, -1, -2) + path[:, None]


def shape(joints: np.ndarray) -> np.ndarray:
    """What turning and moving a motion as a whole does not change: all distances between points of two times."""
    points = joints[[0, 11, 29]].reshape(-1, 3)
    return np.linalg.norm(points[:, None] - points, axis=-1)


@pytest.mark.parametrize("filtered", [False, True])
def test_a_straight_walk_has_its_speed_and_no_turn(filtered):
    features = rifke.encode_rifke64(turning(0.0, 30.0) @ yaw_matrix(0.5), filtered)
    np.testing.assert_allclose(np.abs(features[1:, rifke.STEP]), np.tile([0.0, 30.0], (FRAMES - 1, 1)), atol=1e-9)
    np.testing.assert_allclose(features[:, rifke.TURN], 0, atol=1e-12)
    np.testing.assert_array_equal(features[0, rifke.STEP], 0)
    np.testing.assert_allclose(features[:, 0], BODY[0, 1] + FLOOR_MM)


def test_a_turn_through_the_back_jumps_by_a_whole_turn():
    jumps = np.abs(rifke.encode_rifke64(turning(0.1) @ yaw_matrix(2.0))[1:, rifke.TURN])
    assert (np.isclose(jumps, 0.1) | np.isclose(jumps, 2 * np.pi - 0.1)).all() and np.isclose(jumps, 2 * np.pi - 0.1).sum() == 1


def test_a_turn_at_a_constant_rate_is_that_rate_in_both_formats():
    features = rifke.encode_rifke64(turning(0.02))
    np.testing.assert_allclose(np.abs(features[1:, rifke.TURN]), 0.02)
    # The other heading is smoothed over 20 frames: the rate holds where 80 frames on either side do not reach an end.
    long = np.concatenate([turning(0.02), *[turning(0.02) @ yaw_matrix(0.02 * FRAMES * k).T for k in range(1, 6)]])
    np.testing.assert_allclose(np.abs(rifke70.encode_rifke70(long)[90:140, rifke70.TURN]), 0.02, rtol=1e-9)


def test_the_64_numbers_give_the_motion_back_up_to_where_it_started():
    joints = turning(0.03, 12.0) + 20 * np.random.default_rng(0).normal(size=(FRAMES, 21, 3))
    np.testing.assert_allclose(shape(rifke.decode_rifke64(rifke.encode_rifke64(joints)).joints), shape(joints), atol=1e-6)


def test_where_the_path_is_straight_the_70_numbers_give_the_joints_but_not_the_steps_of_the_root():
    joints = turning(0.0, 5.0)
    back = rifke70.decode_rifke70(rifke70.encode_rifke70(joints))
    assert len(back) == FRAMES - 1
    middle = slice(15, 25)  # the smoothing of the path does not reach an end
    np.testing.assert_allclose(np.diff(back[middle, 0], axis=0)[:, [0, 2]], np.tile([0.0, 5.0], (9, 1)), atol=1e-6)
    np.testing.assert_allclose(shape(back[:, 1:])[:20, :20], shape(joints[:, 1:])[:20, :20], atol=1e-6)


def test_contacts_of_the_70_numbers_are_found_where_they_were_planted():
    joints = np.repeat(BODY[None], FRAMES, axis=0)
    for shifted in (13, 14, 18, 19):
        joints[:, shifted, 1] = 1.0
    joints[:, 15, 1] = joints[:, 20, 1] = 0.5
    joints[10:20, 14, 0] += 1.0 * np.arange(1, 11)  # more than sqrt(0.05) mm a frame
    joints[20:, 14, 0] = joints[19, 14, 0]
    joints[30:, 18, 1] = 50.0
    contacts = rifke70.encode_rifke70(joints)[:, rifke70.CONTACTS]
    expected = np.ones((FRAMES - 1, 4))
    expected[9:19, 1] = 0
    expected[29:, 2] = 0
    np.testing.assert_array_equal(contacts, expected)


def test_columns_for_networks_leave_out_where_the_root_is_beside_the_path():
    assert len(rifke70.NETWORK) == 68 and 0 not in rifke70.NETWORK and 2 not in rifke70.NETWORK


@pytest.mark.parametrize(("yaw", "quarter"), [(0.7, True), (-2.0, True), (0.7, False)])
def test_smpl_rotations_start_at_one_heading_and_steps_turn_alike(yaw, quarter):
    rotations = np.tile(np.eye(3), (5, 22, 1, 1))
    turn = matrix_from_axis_angle(np.array([0.0, 0.0, yaw]))
    rotations[:, 0] = turn
    path = (turn @ np.array([0.1, 0.0, 0.0])) * np.arange(5)[:, None] + [3.0, 4.0, 0.9]
    features = smpl135.encode_smpl135(rotations, path, quarter_turn=quarter)
    back, translation = smpl135.decode_smpl135(features)
    expected = matrix_from_axis_angle(np.array([0.0, 0.0, -np.pi / 2 if quarter else 0.0]))
    np.testing.assert_allclose(back[0, 0], expected, atol=1e-12)
    np.testing.assert_allclose(features[1:, smpl135.STEP], np.tile((expected @ [0.1, 0.0, 0.0])[:2], (4, 1)), atol=1e-12)
    np.testing.assert_allclose(translation[:, 2], 0.9)
    assert (translation[0, :2] == 0).all() and (features[0, smpl135.STEP] == 0).all()


def test_average_errors_of_a_shift_and_of_a_sine_are_known():
    t = np.arange(32)
    still = rifke.Parts(np.zeros((32, 21, 3)), np.zeros((32, 20, 3)), np.zeros((32, 3)))
    shifted = still._replace(root=still.root + np.array([3.0, 0.0, 4.0]))
    errors = average_errors([shifted], [still])
    assert errors["APE_root"] == errors["APE_traj"] == pytest.approx(5.0) and errors["AVE_root"] == 0 == errors["APE_mean_pose"]
    wave = still.root.copy()
    wave[:, 1] = 2 * np.sin(2 * np.pi * t / 8)
    errors = average_errors([still._replace(root=wave)], [still])
    assert errors["AVE_root"] == pytest.approx(2.0 * 32 / 31) and errors["AVE_traj"] == 0
    assert list(errors)[:4] == ["APE_root", "APE_traj", "APE_mean_pose", "APE_mean_joints"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rifke.encode_rifke64(np.zeros((4, 22, 3))), r"expected \[T, 21, 3\]"),
        (lambda: rifke.encode_rifke64(np.full((4, 21, 3), np.nan)), "not finite"),
        (lambda: rifke.decode_rifke64(np.zeros((4, 63))), r"expected \[T, 64\]"),
        (lambda: rifke70.encode_rifke70(np.zeros((1, 21, 3))), "at least 2"),
        (lambda: rifke70.decode_rifke70(np.zeros((4, 68))), r"expected \[T, 70\]"),
        (lambda: smpl135.encode_smpl135(np.zeros((4, 24, 3, 3)), np.zeros((4, 3))), r"\[T, 22, 3, 3\]"),
        (lambda: smpl135.encode_smpl135(np.zeros((4, 22, 3, 3)), np.zeros((5, 3))), "one per frame"),
        (lambda: smpl135.decode_smpl135(np.zeros((4, 150))), r"expected \[T, 135\]"),
        (lambda: average_errors([], []), "at least one"),
    ],
)
def test_a_wrong_shape_is_answered(call, message):
    with pytest.raises(InputError, match=message):
        call()
