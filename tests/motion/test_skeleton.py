"""Bone directions: a bone of no length follows its parent, so that turning the joints turns the directions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nerm.motion.features import decode_humanml263, process_humanml
from nerm.motion.skeleton import KIT21, SMPL22, SMPL24, bone_directions, joints_from_directions


def poses(seed: int, skeleton=SMPL22, frames: int = 4) -> np.ndarray:
    """Poses near rest, [T, J, 3]."""
    rng = np.random.default_rng(seed)
    directions = skeleton.axes[1:] + 0.5 * rng.normal(size=(frames, len(skeleton) - 1, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return joints_from_directions(rng.normal(size=(frames, 3)), directions, skeleton)


def without_length(joints: np.ndarray, missing: list[int], skeleton=SMPL22) -> np.ndarray:
    """The joints with the bones to some of them of no length; what hangs on them moves along."""
    lengths = skeleton.lengths.copy()
    lengths[missing] = 0
    return joints_from_directions(joints[:, 0], bone_directions(joints, skeleton), skeleton, lengths)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 21), min_size=1, max_size=6, unique=True))
@settings(max_examples=40, deadline=None)
def test_turning_the_joints_turns_the_directions_whichever_bones_have_no_length(seed, missing):
    joints = without_length(poses(seed), missing)
    turn = Rotation.random(random_state=seed % 2**31).as_matrix()
    directions = bone_directions(joints, SMPL22)
    np.testing.assert_allclose(bone_directions(joints @ turn.T, SMPL22), directions @ turn.T, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(directions, axis=-1), 1, atol=1e-9)


@pytest.mark.parametrize("skeleton", [SMPL22, SMPL24, KIT21], ids=lambda skeleton: skeleton.name)
def test_other_bones_keep_their_directions(skeleton):
    joints = poses(1, skeleton)
    lengths = np.linalg.norm(joints[:, 1:] - joints[:, skeleton.parents[1:]], axis=-1)
    plain = (joints[:, 1:] - joints[:, skeleton.parents[1:]]) / lengths[..., None]
    np.testing.assert_allclose(bone_directions(joints, skeleton), plain, atol=1e-12)
    cut = without_length(joints, [5, 9], skeleton)
    kept = [bone for bone in range(len(skeleton) - 1) if bone not in (4, 8)]
    np.testing.assert_allclose(bone_directions(cut, skeleton)[:, kept], plain[:, kept], atol=1e-9)


def test_a_bone_goes_on_along_its_parent_where_both_have_one_rest_direction():
    joints = without_length(poses(2), [SMPL22.index("spine3")])
    directions = bone_directions(joints, SMPL22)
    np.testing.assert_allclose(directions[:, SMPL22.index("spine3") - 1], directions[:, SMPL22.index("spine2") - 1], atol=1e-9)


def test_a_figure_that_is_turned_as_a_whole_has_the_rest_directions_turned_in_missing_bones_too():
    turn = Rotation.random(random_state=3).as_matrix()
    rest = joints_from_directions(np.zeros((1, 3)), SMPL22.axes[None, 1:], SMPL22)
    cut = without_length(rest, [SMPL22.index(name) for name in ("l_foot", "spine3", "r_collar", "head", "l_hip")]) @ turn.T
    np.testing.assert_allclose(bone_directions(cut, SMPL22)[0], SMPL22.axes[1:] @ turn.T, atol=1e-9)


def test_lying_and_upside_down_figures_come_back_from_features_turned_as_a_whole():
    """Spine3 lies on spine2, as in skeletons of fewer joints: its bone gets a direction of its own in the format."""
    standing = joints_from_directions(np.array([[0.0, 0.95, 0]]), SMPL22.axes[None, 1:], SMPL22)
    t = np.arange(40)[:, None] / 20
    standing = without_length(np.tile(standing, (40, 1, 1)), [SMPL22.index("spine3")]) + np.stack([0 * t, 0 * t, 0.3 * t], axis=-1)
    across = {}
    for name, axis, degrees in (("standing", "x", 0), ("lying", "x", 90), ("upside down", "z", 180)):
        turn = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
        features, _ = process_humanml(standing @ turn.T + np.array([0, 1.0, 0]))
        x = decode_humanml263(features)
        back = [SMPL22.index(joint) for joint in ("spine1", "spine2", "spine3", "neck")]
        first, second = x[:, back[1]] - x[:, back[0]], x[:, back[2]] - x[:, back[1]]
        cosine = np.sum(first * second, axis=-1) / np.linalg.norm(first, axis=-1) / np.linalg.norm(second, axis=-1)
        np.testing.assert_allclose(cosine, 1, atol=1e-4)
        across[name] = np.linalg.norm(x[:, back[1]] - x[:, back[3]], axis=-1)
    np.testing.assert_allclose(across["lying"], across["standing"], atol=1e-4)
    np.testing.assert_allclose(across["upside down"], across["standing"], atol=1e-4)
