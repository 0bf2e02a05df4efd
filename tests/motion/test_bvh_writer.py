"""BVH that is written: the same joints for us and for an independent reader, in a rig that animation programs know."""

from pathlib import Path

import numpy as np
import pybvh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, RotationSpline

from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, Skeleton
from nerm.motion.bvh import parse_bvh, positions, read_bvh, read_bvh_motion
from nerm.motion.bvh_writer import write_bvh
from nerm.motion.conventions import file_names
from nerm.motion.skeleton import KIT21, SMPL24, bone_directions, forward_kinematics, joints_from_directions
from nerm.motion.smpl import T_POSE

pytestmark = pytest.mark.filterwarnings("ignore:Rest pose suggests")  # the independent reader guesses which way is up
BODY = Skeleton("smpl22", SMPL22.names, SMPL22.parents, T_POSE.offsets[:22])
"""SMPL's mean body in its T-pose."""


def random_walk(frames: int, step: float, seed: int, fps: float = 60.0) -> Motion:
    """Bone directions that wander over the whole sphere, each on its own: hips and collars move against pelvis and chest."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(1, 21, 3)) + np.cumsum(rng.normal(size=(frames, 21, 3)) * step, axis=0)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return Motion(joints_from_directions(np.cumsum(rng.normal(size=(frames, 3)) * 0.01, axis=0), directions, SMPL22), fps)


def rotations_over_time(frames: int, seed: int, joints: int = 22, reach: float = 0.6) -> np.ndarray:
    """[T, J, 3, 3]: every joint on a smooth path through five random rotations of up to about twice `reach` radians."""
    rng = np.random.default_rng(seed)
    times = np.linspace(0, 1, 5)
    paths = [RotationSpline(times, Rotation.from_rotvec(rng.normal(size=(5, 3)) * reach)) for _ in range(joints)]
    return np.stack([path(np.linspace(0, 1, frames)).as_matrix() for path in paths], axis=1)


def a_body(frames: int = 30, seed: int = 0, fps: float = 60.0, reach: float = 0.6) -> Motion:
    """A person of SMPL's own tree, whose hips are fixed in the pelvis and whose collars in the chest. Joints alone are known."""
    root = np.linspace([0, 0.9, 0], [1, 1, 2], frames)
    return Motion(forward_kinematics(rotations_over_time(frames, seed, reach=reach), root, BODY), fps)


def by_name(path: Path, motion: Motion, names: str = "smpl", metres_per_unit: float = 0.01) -> np.ndarray:
    """[T, J, 3] metres: the joints as they stand in the file under their names."""
    capture = read_bvh(path, metres_per_unit)
    return np.stack([capture.point(name) for name in file_names(motion.skeleton, names)], axis=1)


def independent_joints(path: Path, motion: Motion, metres_per_unit: float = 0.01) -> np.ndarray:
    file = pybvh.read_bvh_file(path)
    points = file.joint_positions(centered="world") * metres_per_unit
    return points[:, [file.joint_names.index(name) for name in file_names(motion.skeleton, "smpl")]]


def rest_pose(path: Path) -> dict[str, np.ndarray]:
    """Name -> [3] units: joints and tips with every channel at its rest value, the root at the origin."""
    points: dict[str, np.ndarray] = {}
    nodes = parse_bvh(path).nodes
    for node in nodes:
        points[node.name] = node.offset if node.parent < 0 else points[nodes[node.parent].name] + node.offset
    return points


# ---- the same joints ----


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 20.0, 23.976, 59.94, 120.0, 480.0]), st.sampled_from(["smpl", "mixamo"]))
@settings(max_examples=15, deadline=None)
def test_a_bvh_written_and_read_back_has_the_same_joints(tmp_path_factory, seed, fps, names):
    path = tmp_path_factory.mktemp("bvh") / "motion.bvh"
    motion = random_walk(12, 0.7, seed, fps)
    write_bvh(motion, path, names=names)
    back = read_bvh_motion(path, metres_per_unit=0.01)
    assert np.linalg.norm(back.joints - motion.joints, axis=-1).max() < 1e-5
    assert back.fps == pytest.approx(fps, rel=1e-7)


@pytest.mark.parametrize("names", ["smpl", "mixamo"])
def test_joints_that_lie_on_their_parents_are_read_back_there(tmp_path, names):
    """Names of other programs' files with such joints are read with a spine of another number of joints; our own are not."""
    lengths = SMPL22.lengths.copy()
    lengths[[SMPL22.index("spine3"), SMPL22.index("neck")]] = 0
    motion = Motion(joints_from_directions(np.zeros((4, 3)), np.repeat(BODY.axes[None, 1:], 4, 0), BODY, lengths), 30)
    write_bvh(motion, tmp_path / "a.bvh", names=names)
    np.testing.assert_allclose(read_bvh_motion(tmp_path / "a.bvh", 0.01).joints, motion.joints, atol=1e-6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_a_body_whose_pelvis_and_chest_are_rigid_is_rotations_alone_and_an_independent_reader_finds_its_joints(tmp_path_factory, seed):
    path = tmp_path_factory.mktemp("bvh") / "motion.bvh"
    motion = a_body(20, seed)
    write_bvh(motion, path)
    assert [len(node.channels) for node in parse_bvh(path).nodes if node.channels] == [6] + [3] * 21
    assert np.linalg.norm(independent_joints(path, motion) - motion.joints, axis=-1).max() < 1e-4


def test_only_children_of_joints_that_are_not_rigid_have_positions_of_their_own(tmp_path):
    motion = a_body(20, 1)
    joints = np.array(motion.joints)
    below = [3, 6, 9, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21]
    bend = Rotation.from_rotvec(np.linspace([0, 0, 0], [0.4, 0, 0], 20)).as_matrix()  # all above the pelvis about the pelvis
    joints[:, below] = np.einsum("tij,tnj->tni", bend, joints[:, below] - joints[:, :1]) + joints[:, :1]
    write_bvh(Motion(joints, 60), tmp_path / "a.bvh")
    moving = {node.name for node in parse_bvh(tmp_path / "a.bvh").nodes if len(node.channels) == 6}
    assert moving == {"pelvis", "left_hip", "right_hip", "spine1"}
    np.testing.assert_allclose(by_name(tmp_path / "a.bvh", motion), joints, atol=1e-6)


@pytest.mark.parametrize("fps", [1, 12.5, 20, 23.976, 24, 29.97, 30, 59.94, 60, 119.88, 120, 143.856, 240, 333.3, 480])
def test_the_frame_rate_survives(tmp_path, fps):
    write_bvh(a_body(2, 0, fps), tmp_path / "a.bvh")
    assert read_bvh_motion(tmp_path / "a.bvh", 0.01).fps == pytest.approx(fps, rel=1e-6)
    assert pybvh.read_bvh_file(tmp_path / "a.bvh").frame_time == pytest.approx(1 / fps, rel=1e-6)


def test_bones_that_lie_on_or_against_their_rest_directions_are_written(tmp_path):
    for rest in (SMPL22.axes[1:], BODY.axes[1:]):
        poses = np.stack([rest, -rest, rest @ np.diag([1, -1, -1]), rest[:, [1, 2, 0]], -rest + 1e-9, np.tile([0.0, 1, 0], (21, 1))])
        motion = Motion(joints_from_directions(np.zeros((6, 3)), poses / np.linalg.norm(poses, axis=-1, keepdims=True), SMPL22), 30)
        write_bvh(motion, tmp_path / "a.bvh")
        np.testing.assert_allclose(by_name(tmp_path / "a.bvh", motion), motion.joints, atol=1e-6)


def test_rotations_are_kept_where_they_reproduce_the_joints_and_ignored_where_not(tmp_path):
    rotations = rotations_over_time(5, 0)
    joints = forward_kinematics(rotations, np.zeros((5, 3)), BODY)
    write_bvh(Motion(joints, 60, BODY, rotations), tmp_path / "a.bvh")
    file = pybvh.read_bvh_file(tmp_path / "a.bvh")
    kept = Rotation.from_matrix(rotations[:, 21]).as_euler("ZYX", degrees=True)  # a wrist: no joint shows how it turns
    index = [node.name for node in parse_bvh(tmp_path / "a.bvh").nodes if node.channels].index("right_wrist")
    order = "".join(channel[0] for channel in parse_bvh(tmp_path / "a.bvh").nodes[1].channels)
    found = Rotation.from_euler(order, parse_bvh(tmp_path / "a.bvh").values[:, 3 + 3 * index : 6 + 3 * index], degrees=True)
    np.testing.assert_allclose(found.as_euler("ZYX", degrees=True), kept, atol=1e-4)
    assert len(file.joint_names) == 22
    np.testing.assert_allclose(independent_joints(tmp_path / "a.bvh", Motion(joints, 60)), joints, atol=1e-6)
    write_bvh(Motion(joints, 60, BODY, rotations[::-1]), tmp_path / "b.bvh")
    np.testing.assert_allclose(by_name(tmp_path / "b.bvh", Motion(joints, 60)), joints, atol=1e-6)


def test_rotations_from_a_skeleton_with_hanging_arms_are_told_from_a_t_pose(tmp_path):
    rotations = rotations_over_time(5, 0)
    joints = forward_kinematics(rotations, np.zeros((5, 3)), SMPL22)
    motion = Motion(joints, 60, SMPL22, rotations)
    write_bvh(motion, tmp_path / "a.bvh")
    np.testing.assert_allclose(independent_joints(tmp_path / "a.bvh", motion), joints, atol=1e-6)
    rest = rest_pose(tmp_path / "a.bvh")
    assert (rest["left_wrist"] - rest["left_shoulder"])[0] > 50 and (rest["right_wrist"] - rest["right_shoulder"])[0] < -50


def test_other_skeletons_can_be_written_under_their_own_names(tmp_path):
    offsets = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0], [0.5, 0.5, 0]])
    skeleton = Skeleton("small", ("base", "top", "twin", "side"), (-1, 0, 1, 0), offsets)
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(4, 3, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    motion = Motion(joints_from_directions(rng.normal(size=(4, 3)), directions, skeleton), 60, skeleton)
    write_bvh(motion, tmp_path / "a.bvh", metres_per_unit=1.0)
    np.testing.assert_allclose(by_name(tmp_path / "a.bvh", motion, metres_per_unit=1.0), motion.joints, atol=1e-5)
    with pytest.raises(InputError, match=r"names=mixamo is for SMPL's joints; skeleton 'small'"):
        write_bvh(motion, tmp_path / "b.bvh", names="mixamo")


@pytest.mark.parametrize("skeleton", [SMPL24, KIT21])
def test_the_skeletons_of_published_data_stand_in_a_t_pose_too(tmp_path, skeleton):
    rng = np.random.default_rng(1)
    directions = skeleton.axes[1:] + rng.normal(size=(6, len(skeleton) - 1, 3)) * 0.2
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    motion = Motion(joints_from_directions(np.zeros((6, 3)), directions, skeleton), 20, skeleton)
    write_bvh(motion, tmp_path / "a.bvh")
    np.testing.assert_allclose(by_name(tmp_path / "a.bvh", motion), motion.joints, atol=1e-6)
    rest = rest_pose(tmp_path / "a.bvh")
    names = dict(zip(skeleton.names, file_names(skeleton, "smpl"), strict=True))
    shoulder, wrist = (rest[names[skeleton.names[skeleton.index(name)]]] for name in ("l_shoulder", "l_wrist"))
    assert abs(wrist - shoulder)[0] > 0.95 * np.linalg.norm(wrist - shoulder)


def test_bones_that_change_their_lengths_are_held_at_their_medians_and_the_change_is_said(tmp_path, capsys):
    motion = a_body(5, 0)
    joints = np.array(motion.joints)
    joints[2, 20] += 0.02 * bone_directions(joints[2], SMPL22)[19]  # the last bone of an arm, in one frame of five
    write_bvh(Motion(joints, 60), tmp_path / "a.bvh")
    assert "held at their medians, joints move by up to 20.0 mm" in capsys.readouterr().err
    np.testing.assert_allclose(by_name(tmp_path / "a.bvh", motion), motion.joints, atol=1e-6)
    write_bvh(motion, tmp_path / "b.bvh")
    assert capsys.readouterr().err == ""


# ---- a rig that animation programs know ----


def test_the_rest_pose_is_a_t_pose_that_faces_z(tmp_path):
    write_bvh(a_body(9, 3, reach=1.0), tmp_path / "a.bvh")
    rest = rest_pose(tmp_path / "a.bvh")
    for side, x in (("left", 1), ("right", -1)):
        arm = rest[f"{side}_wrist"] - rest[f"{side}_shoulder"]
        assert arm[0] * x > 50 and abs(arm[1:]).max() < 6, "arms out, in centimetres"
        leg = rest[f"{side}_ankle"] - rest[f"{side}_hip"]
        assert leg[1] < -78 and abs(leg[[0, 2]]).max() < 8
        foot = rest[f"{side}_foot"] - rest[f"{side}_ankle"]
        assert foot[2] > 10 > abs(foot[0])
    assert rest["head"][1] > 45 and abs(rest["head"][0]) < 3
    assert rest["head_end"][1] - rest["head"][1] == pytest.approx(19, abs=1)
    assert (rest["left_wrist_end"] - rest["left_wrist"])[0] == pytest.approx(17, abs=1)
    assert (rest["right_foot_end"] - rest["right_foot"])[2] == pytest.approx(6.5, abs=0.5)


def test_no_joint_lies_on_its_parent_and_none_is_invented(tmp_path):
    write_bvh(random_walk(3, 0.1, 0), tmp_path / "a.bvh")
    nodes = parse_bvh(tmp_path / "a.bvh").nodes
    assert sorted(node.name for node in nodes if node.channels) == sorted(file_names(SMPL22, "smpl"))
    assert all(np.linalg.norm(node.offset) > 2 for node in nodes if node.parent >= 0)


def test_the_root_has_no_offset_so_that_adding_and_replacing_readers_agree(tmp_path):
    write_bvh(random_walk(3, 0.1, 0), tmp_path / "a.bvh")
    nodes = parse_bvh(tmp_path / "a.bvh").nodes
    assert not nodes[0].offset.any() and nodes[0].channels[:3] == ("Xposition", "Yposition", "Zposition")


def test_names_are_those_of_smpl_in_words_or_those_of_mixamo(tmp_path):
    write_bvh(a_body(2), tmp_path / "a.bvh")
    write_bvh(a_body(2), tmp_path / "b.bvh", names="mixamo")
    a, b = ({node.name for node in parse_bvh(tmp_path / name).nodes if node.channels} for name in ("a.bvh", "b.bvh"))
    assert {"pelvis", "left_hip", "right_knee", "spine3", "left_collar", "head", "right_wrist"} < a
    assert {f"mixamorig:{name}" for name in ("Hips", "LeftUpLeg", "RightLeg", "Spine2", "LeftShoulder", "Head", "RightHand")} < b
    with pytest.raises(InputError, match=r"names=maya does not exist; it can be smpl or mixamo"):
        write_bvh(a_body(2), tmp_path / "c.bvh", names="maya")
    assert not (tmp_path / "c.bvh").exists()


def test_root_motion_is_in_centimetres_unless_asked_otherwise(tmp_path):
    motion = a_body(4)
    for unit, values in ((None, 100 * motion.root), (1.0, motion.root), (0.0254, motion.root / 0.0254)):
        write_bvh(motion, tmp_path / "a.bvh", **({} if unit is None else {"metres_per_unit": unit}))
        np.testing.assert_allclose(parse_bvh(tmp_path / "a.bvh").values[:, :3], values, atol=1e-5)


@pytest.mark.parametrize("unit", [0.0, -1.0, np.nan])
def test_a_unit_that_is_none_is_refused(tmp_path, unit):
    with pytest.raises(InputError, match="metres_per_unit="):
        write_bvh(a_body(2), tmp_path / "a.bvh", metres_per_unit=unit)


# ---- rotations as a person would turn ----


def test_angles_are_continuous_even_where_a_bone_passes_its_rest_direction_backwards(tmp_path):
    turn = np.linspace(0, 4 * np.pi, 481)  # the whole body spins, while a shin and a foot swing through the pose opposite to rest
    directions = np.tile(BODY.axes[1:], (481, 1, 1))
    fold = np.pi + 1.5 * np.cos(2 * turn)
    directions[:, 6] = np.stack([np.full(481, 0.01), -np.cos(fold), np.sin(fold)], axis=-1) / np.hypot(1, 0.01)
    spin = Rotation.from_euler("y", turn[:, None]).as_matrix()
    motion = Motion(joints_from_directions(np.zeros((481, 3)), np.einsum("tij,tbj->tbi", spin, directions), SMPL22), 120)
    write_bvh(motion, tmp_path / "a.bvh")
    values = parse_bvh(tmp_path / "a.bvh").values
    assert np.abs(np.diff(values[:, 3:], axis=0)).max() < 25
    np.testing.assert_allclose(independent_joints(tmp_path / "a.bvh", motion), motion.joints, atol=1e-6)


def test_a_person_in_a_t_pose_who_turns_has_that_turn_in_the_root_alone(tmp_path):
    turn = np.linspace(0, 2, 30)
    rest = joints_from_directions(np.zeros(3), BODY.axes[1:], SMPL22)
    motion = Motion(np.einsum("tij,nj->tni", Rotation.from_euler("y", turn[:, None]).as_matrix(), rest), 30)
    write_bvh(motion, tmp_path / "a.bvh")
    values = parse_bvh(tmp_path / "a.bvh").values
    np.testing.assert_allclose(np.abs(values[:, 3:6]).max(axis=-1), np.rad2deg(turn), atol=1e-5)
    np.testing.assert_allclose(values[:, 6:], 0, atol=1e-4)


@pytest.mark.parametrize(("joint", "lower", "axis"), [("l_hip", "l_knee", (1, 0, 0)), ("r_shoulder", "r_elbow", (0, 1, 0))])
def test_a_bent_limb_turns_about_its_own_hinge_wherever_the_limb_points(tmp_path, joint, lower, axis):
    """A limb is swung and twisted by 40 degrees; the bend of its hinge tells the twist, so the hinge itself turns about one axis."""
    local = np.tile(np.eye(3), (3, 22, 1, 1))
    upper, below = SMPL22.index(joint), SMPL22.index(lower)
    bone = BODY.axes[below]
    local[:, upper] = (Rotation.from_rotvec([0, 0, 0.5]) * Rotation.from_rotvec(np.deg2rad(40) * bone)).as_matrix()
    local[:, below] = Rotation.from_rotvec(np.deg2rad(90) * np.array(axis)).as_matrix()
    motion = Motion(forward_kinematics(local, np.zeros((3, 3)), BODY), 30)
    write_bvh(motion, tmp_path / "a.bvh")
    file = parse_bvh(tmp_path / "a.bvh")
    joints = [node for node in file.nodes if node.channels]
    name = file_names(SMPL22, "smpl")[upper]
    index = [node.name for node in joints].index(name)
    order = "".join(channel[0] for channel in joints[1].channels)
    found = Rotation.from_euler(order, file.values[0, 3 + 3 * index : 6 + 3 * index], degrees=True)
    off = (found.inv() * Rotation.from_matrix(local[0, upper])).magnitude()
    assert np.rad2deg(off) < 15, "a swing alone would be off by the twist of 40 degrees"


def test_the_file_is_what_its_points_say_with_every_reader_that_replaces_offsets(tmp_path):
    motion = random_walk(4, 0.3, 5)
    write_bvh(motion, tmp_path / "a.bvh")
    file = parse_bvh(tmp_path / "a.bvh")
    column, world, points = 0, [], []
    for node in file.nodes:  # an own forward kinematics, with matrices of 4 x 4
        local = np.tile(np.eye(4), (4, 1, 1))
        local[:, :3, 3] = node.offset
        if len(node.channels) == 6:
            local[:, :3, 3] = file.values[:, column : column + 3]
        if node.channels:
            order = "".join(channel[0] for channel in node.channels[-3:])
            start = column + len(node.channels) - 3
            local[:, :3, :3] = Rotation.from_euler(order, file.values[:, start : start + 3], degrees=True).as_matrix()
        world.append(local if node.parent < 0 else world[node.parent] @ local)
        points.append(world[-1][:, :3, 3])
        column += len(node.channels)
    np.testing.assert_allclose(np.stack(points, axis=1), positions(file), atol=1e-4)
    for joint, name in enumerate(file_names(SMPL22, "smpl")):
        found = points[[node.name for node in file.nodes].index(name)] / 100
        np.testing.assert_allclose(found, motion.joints[:, joint], atol=1e-6)
