"""Is this a person in metres with y up? What is noticed, and that nobody who lies, crawls or is small is taken for something else."""

import os

import numpy as np
import pytest

from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.axes import UP_AXES
from nerm.motion.body import check_body, height_along_bones, no_body, stands_along, turned
from nerm.motion.skeleton import forward_kinematics, joints_from_directions, yaw_matrix

STANDING = joints_from_directions(np.array([0.3, 0.95, 2.0]), SMPL22.axes[1:], SMPL22)
TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])


def poses(turn, height: float, frames: int = 40, walks: bool = False):
    """[T, 22, 3] the standing figure, turned about its pelvis by a matrix, with the pelvis at a height; walking goes 2 m along z."""
    x = (STANDING - STANDING[0]) @ np.asarray(turn).T
    path = np.zeros((frames, 1, 3))
    path[:, 0, 2] = np.linspace(0, 2, frames) if walks else 0.0
    return x + np.array([0.3, height, 2.0]) + path


ON_BACK, PRONE = (np.array([[1.0, 0, 0], [0, 0, s], [0, -s, 0]]) for s in (1, -1))
HEAD_DOWN = np.diag([1.0, -1.0, -1.0])


@pytest.mark.parametrize("walks", [False, True])
@pytest.mark.parametrize("axis", UP_AXES)
def test_the_axis_that_is_up_is_found_and_turned_to_y(axis, walks):
    for yaw in np.linspace(0, 6, 9):
        y_up = poses(np.eye(3), 0.95, walks=walks) @ yaw_matrix(yaw).T
        to_axis = turned(Motion(np.tile(np.eye(3), (1, 8, 1))[:, :22], 1.0), axis).joints[0, :3]  # the rows are the turned unit vectors
        given = Motion(y_up @ to_axis.T, 20.0)  # `to_axis` turns from y up back
        assert stands_along(given.joints) == axis
        np.testing.assert_allclose(turned(given, axis).joints, y_up, atol=1e-12)


def test_rotations_are_turned_with_the_joints():
    rotations = np.tile(np.eye(3), (5, 22, 1, 1))
    rotations[:, 0] = TO_Z_UP
    motion = Motion(forward_kinematics(rotations, np.zeros((5, 3)), SMPL22), 20.0, SMPL22, rotations)
    upright = turned(motion, "z")
    np.testing.assert_allclose(upright.rotations[:, 0], np.tile(np.eye(3), (5, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(forward_kinematics(upright.rotations, upright.root, SMPL22), upright.joints, atol=1e-12)
    with pytest.raises(InputError, match="up=w does not exist"):
        turned(motion, "w")


def test_nobody_who_lies_on_the_floor_or_stands_up_later_is_told_to_turn(capsys):
    lying, standing = poses(ON_BACK, 0.12), poses(np.eye(3), 0.95)
    for joints in (lying, poses(PRONE, 0.12), lying @ yaw_matrix(1.0).T, np.concatenate([lying, standing[:8]]), poses(HEAD_DOWN, 0.9)[:0]):
        if len(joints):
            check_body(Motion(joints, 20.0), "a.npy")
    assert capsys.readouterr().err == ""
    check_body(Motion(poses(HEAD_DOWN, 0.9), 20.0), "a.npy")
    assert "a.npy: the body lies head down in most frames; y up is expected: up=-y turns it" in capsys.readouterr().err


def test_the_size_of_a_body_does_not_depend_on_its_pose_and_an_unusual_one_is_said(capsys):
    x = poses(np.eye(3), 0.95)
    height = height_along_bones(x)
    assert 1.4 < height < 1.5 and height_along_bones(poses(ON_BACK, 0.1)) == pytest.approx(height)
    check_body(Motion(0.8 * x, 20.0), "child.npy")
    assert capsys.readouterr().err == ""
    check_body(Motion(2.0 * x, 20.0), "giant.npy")
    assert "giant.npy: a person of 2.96 m from ankle to head; 1.1 to 2 m are usual" in capsys.readouterr().err
    for factor, word in ((100, "centimetres"), (1000, "millimetres"), (39.37, "inches")):
        for joints in (x, x[:1]):  # a single pose too
            with pytest.raises(InputError, match=f"a.npy: a person of .* seem to be {word}"):
                check_body(Motion(factor * joints, 20.0), "a.npy")


def test_a_point_has_no_size_and_no_axis(capsys):
    check_body(Motion(np.zeros((5, 22, 3)), 20.0), "a.npy")
    assert capsys.readouterr().err == "" and not no_body(np.zeros((5, 22, 3)))


@pytest.mark.skipif(not os.environ.get("NERM_DATA"), reason="NERM_DATA is not set: no recordings")
def test_no_recording_of_the_corpus_is_warned_about(capsys):
    """All of those in which people lie down, dive, turn cartwheels or hang on ropes, and every 25th other one."""
    from nerm.data.dataset import load_dataset

    dataset = load_dataset("multirate")
    items = [item for split in ("train", "val", "test") for item in dataset.items(split)]
    odd = [
        item for item in items if any(word in item.label for word in ("lie", "Dive", "cartwheel", "acrobatics", "spring", "flip", "Floor"))
    ]
    assert len(odd) > 50
    for item in [*odd, *items[::25]]:
        check_body(dataset.motion(item)[:: max(1, round(item.fps / 5))], item.id)
    assert capsys.readouterr().err == ""
