"""The codecs of the published formats: against published files, and against their own definitions."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nerm.errors import InputError
from nerm.motion import actions, features, rotations
from nerm.motion.features import FEATURES_251, FEATURES_263, append_last_pose, decode, decode_rotations, encode, process
from nerm.motion.motion import Motion
from nerm.motion.skeleton import KIT21, LEFT_RIGHT22, SMPL22, SMPL24, joints_from_directions, yaw_matrix

SOURCES = Path(os.environ.get("NERM_SOURCES", ""))
OFFICIAL = SOURCES / "data" / "humanml3d" / "golden"
needs_cases = pytest.mark.skipif(
    not os.environ.get("NERM_SOURCES"), reason="NERM_SOURCES is not set: no cases of original code to compare with"
)
FORMATS = pytest.mark.parametrize("format", [FEATURES_263, FEATURES_251], ids=lambda format: format.name)


def walk(format=FEATURES_263, frames=90, seed=0, turn=1.2):
    """A smooth random motion on the format's skeleton that goes forwards and turns by `turn` radians in all."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 3, frames)[:, None]
    rest = np.array(format.skeleton.axes[1:])
    if format is FEATURES_251:  # in the published data the joints named L lie on -x
        rest[:, 0] *= -1
    waves = np.sin(rng.uniform(1, 5, (3 * len(rest),)) * t + rng.uniform(0, 6, 3 * len(rest))) * 0.25
    directions = rest + waves.reshape(frames, -1, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    root = np.concatenate([0.1 * np.sin(2 * t), 0.9 + 0.02 * np.sin(7 * t), 0.8 * t], axis=1)
    joints = joints_from_directions(root, directions, format.skeleton)
    turned = joints @ np.swapaxes(yaw_matrix(turn * (t[:, 0] / 3) ** 2), -1, -2)
    return features.canonicalise(turned / format.metres_per_unit, format)


@needs_cases
def test_official_vectors_are_reproduced_from_joints_and_their_restored_last_pose():
    names = sorted(path.name for path in (OFFICIAL / "new_joints").glob("*.npy"))
    assert names
    for name in names:
        joints, official = np.load(OFFICIAL / "new_joints" / name), np.load(OFFICIAL / "new_joint_vecs" / name)
        found = encode(append_last_pose(joints, official))
        error = np.abs(found - official)
        assert error.max() < 1e-4 and np.median(error) < 1e-6, name
        np.testing.assert_array_equal(found[:, FEATURES_263.contacts], official[:, FEATURES_263.contacts])
        assert np.abs(decode(official) - joints).max() < 1e-5, name
        whole, _ = process(append_last_pose(joints, official))
        assert np.abs(whole - official).max() < 1e-4, f"{name}: canonical joints do not pass the whole pipeline unchanged"


@needs_cases
def test_official_vectors_from_joints_alone_deviate_only_near_the_end():
    for path in (OFFICIAL / "new_joints").glob("*.npy"):
        joints, official = np.load(path), np.load(OFFICIAL / "new_joint_vecs" / path.name)
        error = np.abs(encode(joints) - official[:-1])
        assert np.median(error) < 1e-6
        assert error[:-80].max(initial=0) < 1e-4


@FORMATS
def test_the_slices_cover_every_column_once(format):
    columns = np.concatenate([np.arange(format.dims)[part] for part in format.slices.values()])
    np.testing.assert_array_equal(columns, np.arange({"humanml263": 263, "kit251": 251}[format.name]))
    assert all(getattr(format, name) == part for name, part in format.slices.items())


@FORMATS
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_joints_encoded_and_decoded_are_the_same_to_a_hundredth_of_a_millimetre(format, dtype):
    joints = walk(format).astype(dtype)
    vectors = encode(joints, format)
    assert vectors.dtype == dtype
    limit = 1e-5 / format.metres_per_unit
    assert np.abs(decode(vectors, format) - joints[:-1]).max() < limit
    assert np.abs(decode_rotations(vectors, format) - joints[:-1]).max() < limit


@FORMATS
def test_features_do_not_depend_on_where_a_motion_starts_or_faces(format):
    joints = walk(format)
    moved = joints @ yaw_matrix(2.1).T + np.array([3.0, 0.4, -7.0]) / format.metres_per_unit
    target = format.skeleton.with_lengths_of(joints[0])
    first, canonical = process(joints, format, target)
    second, canonical2 = process(moved, format, target)
    np.testing.assert_allclose(first, second, atol=1e-8 / format.metres_per_unit)
    np.testing.assert_allclose(canonical, canonical2, atol=1e-8 / format.metres_per_unit)


def test_features_do_not_depend_on_the_size_of_the_person():
    joints = walk()
    np.testing.assert_allclose(process(joints)[0], process(joints * 1.3)[0], atol=1e-9)


def test_a_mirrored_motion_has_mirrored_features():
    joints = walk(turn=0.9)
    mirrored = joints[:, LEFT_RIGHT22] * np.array([-1, 1, 1])
    first, second = encode(joints), encode(mirrored)
    f = FEATURES_263
    np.testing.assert_allclose(second[:, f.turn], -first[:, f.turn], atol=1e-12)
    np.testing.assert_allclose(second[:, f.root_velocity], first[:, f.root_velocity] * [-1, 1], atol=1e-12)
    np.testing.assert_allclose(second[:, f.root_height], first[:, f.root_height])
    vel = first[:, f.vel].reshape(-1, 22, 3)[:, LEFT_RIGHT22] * [-1, 1, 1]
    np.testing.assert_allclose(second[:, f.vel], vel.reshape(len(first), -1), atol=1e-12)
    np.testing.assert_array_equal(second[:, f.contacts], first[:, f.contacts][:, [2, 3, 0, 1]])


@FORMATS
def test_a_canonical_motion_stands_on_the_floor_above_the_origin_and_faces_forwards(format):
    joints = walk(format)
    again = features.canonicalise(joints @ yaw_matrix(-0.7).T + 5.0, format)
    np.testing.assert_allclose(again, joints, atol=1e-9 / format.metres_per_unit)
    assert again[..., 1].min() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(again[0, 0, [0, 2]], 0, atol=1e-9)
    across = (again[0, format.hips[0]] - again[0, format.hips[1]]) + (again[0, format.shoulders[0]] - again[0, format.shoulders[1]])
    assert across[0] < 0 and abs(across[2]) < 1e-6 * np.linalg.norm(across)


def test_the_turn_is_half_the_angle_to_the_next_frame():
    pose = walk(frames=2)[:1]
    vectors = encode(pose @ np.swapaxes(yaw_matrix(0.005 * np.arange(240)), -1, -2))
    # 80 frames from either end the smoothing does not see it, and a steady turn passes the smoothing unchanged.
    np.testing.assert_allclose(vectors[80:155, FEATURES_263.turn], -0.0025, atol=1e-9)


def test_a_motion_that_turns_past_half_a_turn_keeps_the_sign_flip_of_the_format():
    joints = walk(frames=200, turn=4.5)
    vectors = encode(joints)
    error = np.linalg.norm(decode(vectors) - joints[:-1], axis=-1).max(axis=1)
    first = int(np.argmax(error > 1e-3))
    assert 100 < first < 199, "recovery is exact until the heading has turned by 180 degrees"
    assert error[:first].max() < 1e-5


def test_contacts_are_displacements_per_frame_whatever_the_rate():
    joints = np.repeat(walk(frames=2)[:1], 3, axis=0)
    joints[1:, 7, 0] += np.sqrt(0.002) * 0.99
    joints[2:, 10, 2] += np.sqrt(0.002) * 1.01
    contacts = encode(joints)[:, FEATURES_263.contacts]
    np.testing.assert_array_equal(contacts, [[1, 1, 1, 1], [1, 0, 1, 1]])


def test_the_last_pose_is_restored_from_the_last_velocity():
    joints = walk(frames=60)
    restored = append_last_pose(joints[:-1], encode(joints))
    np.testing.assert_allclose(restored, joints, atol=1e-9)


def test_bones_opposite_to_their_rest_direction_and_of_length_zero_have_finite_features():
    joints = np.repeat(walk(frames=2)[:1], 4, axis=0)
    joints[:, 18] = joints[:, 16] + [0, 0.25, 0]  # an arm straight up; at rest it hangs
    joints[:, 20] = joints[:, 18]
    vectors = encode(joints)
    assert np.isfinite(vectors).all()
    six = vectors[:, FEATURES_263.rot].reshape(-1, 21, 2, 3)
    np.testing.assert_allclose(np.linalg.norm(six, axis=-1), 1, atol=1e-9)
    assert np.isfinite(features.canonicalise(joints @ yaw_matrix(np.pi).T)).all()


@FORMATS
def test_a_motion_and_its_features_are_in_metres_and_in_the_units_of_the_format(format):
    motion = Motion(walk(format) * format.metres_per_unit, format.fps, format.skeleton)
    vectors = features.features_from_motion(motion, format)
    back = features.motion_from_features(vectors, format)
    assert back.fps == format.fps and back.skeleton == format.skeleton
    np.testing.assert_allclose(back.joints, motion.joints[:-1], atol=1e-5)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        (lambda: decode(np.zeros((5, 251))), "humanml263 needs [T, 263]; kit251 has that many"),
        (lambda: decode(np.full((5, 263), np.nan)), "not finite in frame 0"),
        (lambda: encode(np.zeros((5, 21, 3))), "humanml263 needs [T, 22, 3]"),
        (lambda: encode(np.zeros((1, 22, 3))), "at least 2"),
        (lambda: process(np.zeros((5, 22, 3))), "leg of length 0"),
        (lambda: append_last_pose(np.zeros((5, 22, 3)), np.zeros((6, 263))), "5 poses and 6 feature vectors"),
        (lambda: features.features_from_motion(Motion(np.zeros((5, 21, 3)), 12.5, KIT21)), "no conversion between the two"),
        (lambda: actions.encode_actions25(np.zeros((5, 22, 3)), np.zeros((5, 3))), "[T, 24, 3]"),
        (lambda: actions.decode_actions25(np.zeros((24, 6, 5))), "[25, 6, T]"),
    ],
)
def test_wrong_arrays_are_answered_with_what_was_expected(call, answer):
    with pytest.raises(InputError) as error:
        call()
    assert answer in str(error.value)


def test_action_rotations_and_translation_come_back():
    rng = np.random.default_rng(3)
    axis_angle, translation = rng.normal(size=(7, 24, 3)), rng.normal(size=(7, 3))
    encoded = actions.encode_actions25(axis_angle, translation)
    assert encoded.shape == (25, 6, 7)
    matrices, path = actions.decode_actions25(encoded)
    np.testing.assert_allclose(matrices, rotations.matrix_from_axis_angle(axis_angle), atol=1e-12)
    np.testing.assert_allclose(path, translation - translation[0])
    np.testing.assert_array_equal(encoded[24, 3:], 0)
    np.testing.assert_allclose(actions.encode_actions25(matrices, translation), encoded, atol=1e-12)


def test_rows_and_columns_are_not_interchangeable_and_each_is_its_own_inverse():
    matrix = rotations.matrix_from_axis_angle(np.random.default_rng(1).normal(size=(20, 3)))
    np.testing.assert_allclose(rotations.matrix_from_rows6d(rotations.rows6d(matrix)), matrix, atol=1e-12)
    np.testing.assert_allclose(rotations.matrix_from_columns6d(rotations.columns6d(matrix)), matrix, atol=1e-12)
    assert np.abs(rotations.rows6d(matrix) - rotations.columns6d(matrix)).max() > 0.1


def test_the_rotation_between_two_directions_takes_one_to_the_other():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 50, 3))
    a[0] = -b[0]  # opposite
    turned = rotations.quaternion_rotate(rotations.quaternion_between(a, b), a / np.linalg.norm(a, axis=-1, keepdims=True))
    np.testing.assert_allclose(turned, b / np.linalg.norm(b, axis=-1, keepdims=True), atol=1e-7)


def test_the_skeletons_of_the_formats_share_their_joints():
    assert SMPL24.names[:22] == SMPL22.names and SMPL24.parents[22:] == (20, 21)
    assert len(KIT21) == 21 and set(np.unique(np.abs(KIT21.axes))) == {0.0, 1.0}


def test_a_quaternion_of_an_axis_and_an_angle_keeps_the_sign_of_its_turn():
    axis = np.array([0.6, 0.0, 0.8])
    angles = np.array([0.0, 1e-9, 1.0, 3.0, 3.5, 5.0])
    quaternions = rotations.quaternion_from_axis_angle(angles[:, None] * axis)
    expected = np.concatenate([np.cos(angles / 2)[:, None], np.sin(angles / 2)[:, None] * axis], axis=1)
    np.testing.assert_allclose(quaternions, expected, atol=1e-15)
    assert (quaternions[angles > np.pi, 0] < 0).all()
    vectors = np.random.default_rng(0).normal(size=(6, 3))
    turned = np.einsum("nij,nj->ni", rotations.matrix_from_axis_angle(angles[:, None] * axis), vectors)
    np.testing.assert_allclose(rotations.quaternion_rotate(quaternions, vectors), turned, atol=1e-12)
