"""Recordings of AMASS and other poses of the SMPL family, by the file of a body: read, written, and what is said of what is missing."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerm.convert import main
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.files import Reading, Writing, load_motion, save_motion
from nerm.motion.skeleton import Skeleton, joints_from_directions
from nerm.motion.smpl import T_POSE, load_body_model, rotations_from_joints

UP_Z = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""From y up to z up."""
LENGTHS = {66: 22, 72: 24, 156: 52, 165: 55}


def body_file(path, joints: int = 52, shapes: int = 10):
    """A model file of one vertex a joint: the T-pose of the mean adult, its pelvis 20 cm below the origin; shapes change the bones."""
    rest = np.concatenate([[[0.0, -0.2, 0.03]], np.zeros((joints - 1, 3))])
    parents = [*SMPL22.parents, *[20] * (joints - 22)]
    for joint in range(1, joints):
        rest[joint] = rest[parents[joint]] + (T_POSE.offsets[joint] if joint < 22 else 0.02)
    by_shape = 0.02 * np.random.default_rng(3).standard_normal((joints, 3, shapes)) * np.arange(1, 2 * shapes, 2)[::-1] / shapes
    tree = np.array([[2**32 - 1, *parents[1:]], range(joints)], dtype=np.int64)
    np.savez(path, J_regressor=np.eye(joints), v_template=rest, shapedirs=by_shape, kintree_table=tree, f=np.zeros((1, 3)))
    return path


def recording(frames: int = 24, width: int = 156):
    """Poses, z up, of a person who turns about the vertical by a right angle while swinging the arms; and where the pelvis goes."""
    t = np.arange(frames) / 30
    poses = 0.3 * np.sin(3 * t[:, None] + np.linspace(0, 6, width))
    turns = Rotation.from_rotvec(np.linspace(0, np.pi / 2, frames)[:, None] * [0, 0, 1]) * Rotation.from_matrix(UP_Z)
    poses[:, :3] = turns.as_rotvec()
    trans = np.stack([0.4 * t, 0.1 * t, 1.1 + 0.02 * np.sin(4 * t)], axis=1)
    return poses, trans


def by_hand(body, poses, trans, betas):
    """[T, 22, 3] z up: joint after joint, from the definition."""
    with np.load(body) as model:
        rest = model["v_template"] + model["shapedirs"][..., : len(betas)] @ betas
    out = np.empty((len(poses), 22, 3))
    for frame in range(len(poses)):
        world = [Rotation.from_rotvec(poses[frame, :3])]
        out[frame, 0] = rest[0] + trans[frame]
        for joint in range(1, 22):
            parent = SMPL22.parents[joint]
            out[frame, joint] = out[frame, parent] + world[parent].apply(rest[joint] - rest[parent])
            world.append(world[parent] * Rotation.from_rotvec(poses[frame, 3 * joint : 3 * joint + 3]))
    return out


@pytest.mark.parametrize(("width", "rate"), [(156, "mocap_framerate"), (165, "mocap_frame_rate"), (72, "mocap_framerate"), (66, "fps")])
def test_poses_become_the_joints_of_the_body_with_y_up(tmp_path, capsys, width, rate):
    body = body_file(tmp_path / "model.npz", LENGTHS[width])
    poses, trans = recording(width=width)
    betas = np.array([0.5, -1, 0, 0.3, 0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 0, 0])  # more than the body has
    markers = np.array([{"of": "an AMASS file"}], dtype=object)
    np.savez(tmp_path / "a.npz", poses=poses, trans=trans, betas=betas, gender="male", latent_vids=markers, **{rate: 30.0})
    read = load_motion(tmp_path / "a.npz", Reading(body=str(body)))
    np.testing.assert_allclose(read.joints @ UP_Z.T, by_hand(body, poses, trans, betas[:10]), atol=1e-6)
    assert read.fps == 30 and read.skeleton.names == SMPL22.names and read.joints[0, 15, 1] > read.joints[0, 7, 1] + 1.2
    assert "a.npz: z is up, as in AMASS: turned to y up" in capsys.readouterr().err


def test_root_and_body_may_be_apart_and_y_may_be_up(tmp_path, capsys):
    body = body_file(tmp_path / "model.npz")
    poses, trans = recording()
    np.savez(tmp_path / "a.npz", root_orient=poses[:, :3], pose_body=poses[:, 3:66], trans=trans, mocap_frame_rate=30)
    first = load_motion(tmp_path / "a.npz", Reading(body=str(body)))
    upright = (Rotation.from_matrix(UP_Z.T) * Rotation.from_rotvec(poses[:, :3])).as_rotvec()
    np.savez(tmp_path / "b.npz", global_orient=upright, body_pose=poses[:, 3:66].reshape(-1, 21, 3), transl=0 * trans, fps=30)
    capsys.readouterr()
    second = load_motion(tmp_path / "b.npz", Reading(body=str(body)))
    assert "z is up" not in capsys.readouterr().err
    np.testing.assert_allclose(second.joints - second.joints[:, :1], first.joints - first.joints[:, :1], atol=1e-6)


def test_without_a_body_the_files_own_joints_are_read_or_what_is_missing_is_said(tmp_path, capsys):
    body = body_file(tmp_path / "model.npz")
    poses, trans = recording()
    fields = {"poses": poses, "trans": trans, "betas": np.zeros(16), "mocap_framerate": 30.0}
    np.savez(tmp_path / "a.npz", **fields)
    with pytest.raises(InputError, match=r"a\.npz: poses of a body .* and no joints; give body=, the \.npz of the body model"):
        load_motion(tmp_path / "a.npz")
    mean = load_motion(tmp_path / "a.npz", Reading(body="mean"))
    with_body = load_motion(tmp_path / "a.npz", Reading(body=str(body)))
    away = mean.joints - with_body.joints
    np.testing.assert_allclose(away, away[:1, :1] + 0 * away, atol=1e-6)  # the T-pose of body_file is that of the mean, elsewhere
    np.savez(tmp_path / "b.npz", joints=by_hand(body, poses, trans, np.zeros(0)), **fields)
    np.testing.assert_allclose(load_motion(tmp_path / "b.npz").joints, with_body.joints, atol=1e-6)
    assert "the file's own joints are read" in capsys.readouterr().err


def test_a_recording_becomes_a_bvh_whose_joints_are_where_they_were(tmp_path):
    body = body_file(tmp_path / "model.npz")
    poses, trans = recording()
    np.savez(tmp_path / "a.npz", poses=poses, trans=trans, betas=np.zeros(16), mocap_framerate=30.0)
    main([f"in={tmp_path / 'a.npz'}", f"body={body}", f"out={tmp_path / 'a.bvh'}"])
    first, second = load_motion(tmp_path / "a.npz", Reading(body=str(body))), load_motion(tmp_path / "a.bvh")
    np.testing.assert_allclose(second.joints, first.joints, atol=1e-4)


@pytest.mark.parametrize("betas", [np.zeros(10), np.array([1.0, -0.5, 0.3, 0, 0, 0, 0.2, 0, 0, -1])])
def test_a_recording_written_and_read_back_with_the_same_body_is_the_same(tmp_path, betas):
    body = body_file(tmp_path / "model.npz")
    poses, trans = recording()
    np.savez(tmp_path / "a.npz", poses=poses, trans=trans, betas=betas, mocap_framerate=59.94)
    main([f"in={tmp_path / 'a.npz'}", f"body={body}", "to=amass", f"out={tmp_path / 'b.npz'}"])
    with np.load(tmp_path / "b.npz") as written:
        assert written["poses"].shape == (24, 156) and not written["poses"][:, 66:].any() and written["betas"].shape == (16,)
        assert str(written["gender"]) == "neutral" and written["mocap_framerate"] == 59.94
        np.testing.assert_allclose(written["betas"][:10], betas, atol=1e-4)
        np.testing.assert_allclose(
            by_hand(body, written["poses"], written["trans"], written["betas"][:10]), by_hand(body, poses, trans, betas), atol=1e-4
        )
    first, second = (load_motion(tmp_path / name, Reading(body=str(body))) for name in ("a.npz", "b.npz"))
    np.testing.assert_allclose(second.joints, first.joints, atol=1e-4)


def test_joints_alone_become_rotations_that_point_the_bones_where_they_were(tmp_path, capsys):
    """A single bone points exactly where it did; where several hang on one joint, they keep their angles, and lengths are the body's."""
    body = body_file(tmp_path / "model.npz")
    poses, trans = recording()
    joints = (by_hand(body, poses, trans, np.array([1.0, 0.4])) @ UP_Z).astype(np.float32)
    save_motion(Motion(joints, 30.0), tmp_path / "joints.npz")
    main([f"in={tmp_path / 'joints.npz'}", f"body={body}", "to=amass", f"out={tmp_path / 'a.npz'}"])
    assert "from the motion's, at most" in capsys.readouterr().err
    back = load_motion(tmp_path / "a.npz", Reading(body=str(body)))
    assert np.abs(back.joints - joints).max() < 2e-3, "the shape is found from the lengths of the bones, so the body fits"


def test_rotations_of_a_rigid_skeleton_are_found_from_its_joints():
    """Planted rotations about every axis but the bones' own: what is found gives the joints back."""
    poses, _ = recording(width=66)
    skeleton = Skeleton("t", SMPL22.names, SMPL22.parents, T_POSE.offsets[:22])
    rotations = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(-1, 22, 3, 3)
    from nerm.motion.skeleton import forward_kinematics

    joints = forward_kinematics(rotations, np.zeros((len(poses), 3)), skeleton)
    found = rotations_from_joints(joints, skeleton)
    np.testing.assert_allclose(np.linalg.det(found), 1, atol=1e-9)
    np.testing.assert_allclose(forward_kinematics(found, joints[:, 0], skeleton), joints, atol=1e-9)
    np.testing.assert_allclose(found[:, [0, 9]][:, 0], rotations[:, 0], atol=1e-8)


def test_a_generated_motion_becomes_amass_without_a_body_and_comes_back(tmp_path, capsys):
    t = np.arange(20)[:, None] / 20
    directions = SMPL22.axes[1:] + 0.2 * np.sin(3 * t + np.linspace(0, 6, 63)).reshape(20, 21, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    motion = Motion(joints_from_directions(np.array([0, 0.9, 0]) + 0 * t, directions, SMPL22), 20.0)
    save_motion(motion, tmp_path / "a.npz", Writing(format="amass"))
    assert "joints on the body of a mean adult are" in capsys.readouterr().err
    back = load_motion(tmp_path / "a.npz", Reading(body="mean"))
    np.testing.assert_allclose(back.joints[:, 0], motion.joints[:, 0], atol=1e-6)
    elbows = [SMPL22.index(name) for name in ("l_knee", "r_knee", "l_wrist", "r_wrist")]
    for joint in elbows:  # bones that are alone at their joint point where they did
        bones = [m.joints[:, joint] - m.joints[:, SMPL22.parents[joint]] for m in (motion, back)]
        np.testing.assert_allclose(*(b / np.linalg.norm(b, axis=-1, keepdims=True) for b in bones), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ({"trans": None}, r"poses without trans"),
        ({"trans": np.zeros((3, 3))}, r"trans of shape \[3, 3\]; expected \[24, 3\]"),
        ({"poses": np.zeros((24, 30))}, r"poses of shape \[24, 30\]; expected \[T, 66 or more\]"),
        ({"poses": np.full((24, 156), np.nan)}, "not finite"),
        ({"mocap_framerate": None}, "carries no frame rate; give fps="),
        ({"mocap_framerate": 0.0}, "mocap_framerate=0"),
    ],
)
def test_damaged_recordings_are_one_sentence_with_the_file(tmp_path, change, answer):
    body = body_file(tmp_path / "model.npz")
    poses, trans = recording()
    fields = {"poses": poses, "trans": trans, "mocap_framerate": 30.0} | change
    np.savez(tmp_path / "bad.npz", **{name: array for name, array in fields.items() if array is not None})
    with pytest.raises(InputError, match=rf"bad\.npz.*{answer}"):
        load_motion(tmp_path / "bad.npz", Reading(body=str(body)))


def test_what_is_no_body_is_answered(tmp_path):
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04N.")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for path, answer in (
        ("none.npz", "is missing"),
        ("model.pkl", "is no SMPL-H model"),
        ("other.npz", "J_regressor"),
        ("", "is a folder"),
    ):
        with pytest.raises(InputError, match=answer):
            load_body_model(tmp_path / path)
    np.savez(tmp_path / "a.npz", poses=recording()[0], trans=recording()[1], mocap_framerate=30)
    with pytest.raises(InputError, match=r"none\.npz is missing"):
        load_motion(tmp_path / "a.npz", Reading(body=str(tmp_path / "none.npz")))
    save_motion(Motion(np.zeros((3, 22, 3)), 20.0), tmp_path / "b.npz")
    with pytest.raises(InputError, match="body= is for amass; this file is npz"):
        load_motion(tmp_path / "b.npz", Reading(body="mean"))
