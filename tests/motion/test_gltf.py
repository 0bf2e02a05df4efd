"""glTF that is written: parsed again, its nodes stand where the joints are, at the motion's frames and between; its body follows them."""

import json
import struct
from pathlib import Path

import numpy as np
import pygltflib
import pytest
from scipy.spatial.transform import Rotation, Slerp

from nerm.motion import SMPL22, Motion, Skeleton
from nerm.motion.conventions import file_names
from nerm.motion.files import Writing, save_motion
from nerm.motion.gltf import write_glb
from nerm.motion.skeleton import joints_from_directions
from nerm.motion.smpl import T_POSE

COMPONENTS = {5121: np.uint8, 5123: np.uint16, 5125: np.uint32, 5126: np.float32}
WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


def a_motion(frames: int = 25, fps: float = 50.0) -> Motion:
    """All joints wander, hips and collars against pelvis and chest too."""
    rng = np.random.default_rng(0)
    directions = SMPL22.axes[1:] + np.cumsum(rng.normal(size=(frames, 21, 3)) * 0.05, axis=0)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return Motion(joints_from_directions(np.linspace([0, 0.9, 0], [1, 1, 3], frames), directions, SMPL22), fps)


class Read:
    """A file as an engine reads it."""

    def __init__(self, path: Path) -> None:
        self.gltf = pygltflib.GLTF2().load(str(path))

    def accessor(self, index: int) -> np.ndarray:
        item = self.gltf.accessors[index]
        view = self.gltf.bufferViews[item.bufferView]
        kind = COMPONENTS[item.componentType]
        width = WIDTHS[item.type]
        start = view.byteOffset + (item.byteOffset or 0)
        assert start % np.dtype(kind).itemsize == 0 and item.count * width * np.dtype(kind).itemsize <= view.byteLength
        return np.frombuffer(self.gltf.binary_blob(), kind, item.count * width, start).reshape(item.count, width)

    def channels(self) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray]]:
        """(node, path) -> times [T] and values."""
        animation = self.gltf.animations[0]
        found = {}
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            assert sampler.interpolation == "LINEAR"
            found[channel.target.node, channel.target.path] = self.accessor(sampler.input)[:, 0], self.accessor(sampler.output)
        return found

    def world(self, time: float) -> dict[str, np.ndarray]:
        """Name -> [4, 4]: every node at a time in seconds, by the rules of the specification."""
        channels, nodes = self.channels(), self.gltf.nodes
        found: dict[str, np.ndarray] = {}

        def visit(index: int, above: np.ndarray) -> None:
            node = nodes[index]
            local = np.eye(4)
            local[:3, 3] = node.translation or (0, 0, 0)
            if (index, "translation") in channels:
                times, values = channels[index, "translation"]
                local[:3, 3] = [np.interp(time, times, column) for column in values.T]
            if (index, "rotation") in channels:
                times, values = channels[index, "rotation"]
                local[:3, :3] = Slerp(times, Rotation.from_quat(values))(np.clip(time, times[0], times[-1])).as_matrix()
            found[node.name] = above @ local
            for child in node.children or []:
                visit(child, found[node.name])

        for root in self.gltf.scenes[self.gltf.scene].nodes:
            visit(root, np.eye(4))
        return found


@pytest.mark.parametrize("names", ["smpl", "mixamo"])
def test_the_nodes_stand_where_the_joints_are(tmp_path, names):
    motion = a_motion()
    save_motion(motion, tmp_path / "a.glb", Writing(names=names))
    file = Read(tmp_path / "a.glb")
    for frame in (0, 7, 24):
        world = file.world(frame / 50)
        found = np.array([world[name][:3, 3] for name in file_names(SMPL22, names)])
        np.testing.assert_allclose(found, motion.joints[frame], atol=2e-6)


def test_the_file_says_what_the_motion_was_made_by(tmp_path):
    save_motion(a_motion(), tmp_path / "a.glb", Writing(made_by={"text": "ein Café", "seed": 3}))
    assert Read(tmp_path / "a.glb").gltf.asset.extras == {"fps": 50.0, "made_by": {"text": "ein Café", "seed": 3}}


def test_between_frames_joints_lie_between(tmp_path):
    motion = a_motion(fps=120.0)
    write_glb(motion, tmp_path / "a.glb")
    world = Read(tmp_path / "a.glb").world(10.5 / 120)
    found = np.array([world[name][:3, 3] for name in file_names(SMPL22, "smpl")])
    np.testing.assert_allclose(found, (motion.joints[10] + motion.joints[11]) / 2, atol=5e-3)


def test_the_animation_has_the_rate_of_the_motion_and_no_quaternion_jumps_to_the_other_side(tmp_path):
    write_glb(a_motion(fps=23.976), tmp_path / "a.glb")
    for (_, path), (times, values) in Read(tmp_path / "a.glb").channels().items():
        np.testing.assert_allclose(times, np.arange(25) / 23.976, atol=1e-6)
        if path == "rotation":
            np.testing.assert_allclose(np.linalg.norm(values, axis=-1), 1, atol=1e-6)
            assert np.sum(values[1:] * values[:-1], axis=-1).min() > 0
    assert Read(tmp_path / "a.glb").gltf.asset.extras["fps"] == 23.976


def test_the_nodes_rest_in_a_t_pose_on_the_floor_with_the_body_around_them(tmp_path):
    write_glb(Motion(joints_from_directions(np.zeros((2, 3)), np.tile(T_POSE.axes[1:22], (2, 1, 1)), SMPL22), 30), tmp_path / "a.glb")
    file = Read(tmp_path / "a.glb")
    mesh, skin = file.gltf.meshes[0].primitives[0].attributes, file.gltf.skins[0]
    points, normals, owners = file.accessor(mesh.POSITION), file.accessor(mesh.NORMAL), file.accessor(mesh.JOINTS_0)
    rest = {}
    for index, node in enumerate(file.gltf.nodes):
        for child in node.children or []:
            rest[child] = rest.get(index, np.array(file.gltf.nodes[0].translation)) + file.gltf.nodes[child].translation
    bind = file.accessor(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    for joint, place in rest.items():
        np.testing.assert_allclose(bind[joint][:3, 3], -place, atol=1e-6)
    left, right = (rest[file_names(SMPL22, "smpl").index(f"{side}_wrist")] for side in ("left", "right"))
    assert left[0] > 0.6 and right[0] < -0.6 and abs(left[1] - right[1]) < 0.02
    assert -0.03 < points[:, 1].min() < 0.03 and 1.6 < points[:, 1].max() < 1.9
    assert 1.6 < np.ptp(points[:, 0]) < 2.0
    item = file.gltf.accessors[mesh.POSITION]
    np.testing.assert_allclose([item.min, item.max], [points.min(axis=0), points.max(axis=0)])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-6)
    assert (file.accessor(mesh.WEIGHTS_0)[:, 0] == 255).all() and owners[:, 0].max() < 22


def test_every_triangle_of_the_body_is_seen_from_outside(tmp_path):
    write_glb(a_motion(2), tmp_path / "a.glb")
    file = Read(tmp_path / "a.glb")
    mesh = file.gltf.meshes[0].primitives[0]
    points, normals = file.accessor(mesh.attributes.POSITION), file.accessor(mesh.attributes.NORMAL)
    corners = file.accessor(mesh.indices)[:, 0].reshape(-1, 3)
    a, b, c = (points[corners[:, i]] for i in range(3))
    facing = np.cross(b - a, c - a)
    assert (np.sum(facing * normals[corners].mean(axis=1), axis=-1) > 0).all()


def test_the_body_follows_its_joints(tmp_path):
    motion = a_motion()
    write_glb(motion, tmp_path / "a.glb")
    file = Read(tmp_path / "a.glb")
    mesh = file.gltf.meshes[0].primitives[0].attributes
    points, owners = file.accessor(mesh.POSITION), file.accessor(mesh.JOINTS_0)[:, 0]
    bind = file.accessor(file.gltf.skins[0].inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    world = file.world(12 / 50)
    knee = SMPL22.index("l_knee")
    shin = world["left_knee"] @ bind[knee] @ np.c_[points[owners == knee], np.ones((owners == knee).sum())].T
    start, end = motion.joints[12, knee], motion.joints[12, SMPL22.index("l_ankle")]
    way = (end - start) / np.linalg.norm(end - start)
    off = shin[:3].T - start - np.outer((shin[:3].T - start) @ way, way)
    assert np.linalg.norm(off, axis=-1).max() < 0.07, "the shin lies about the line from knee to ankle"


def test_a_file_is_small_and_its_parts_are_declared_as_the_specification_asks(tmp_path):
    write_glb(a_motion(1), tmp_path / "a.glb")
    data = (tmp_path / "a.glb").read_bytes()
    assert len(data) < 60_000
    magic, version, length, json_length = struct.unpack_from("<4sIII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data)) and json_length % 4 == 0
    document = json.loads(data[20 : 20 + json_length])
    time = document["accessors"][document["animations"][0]["samplers"][0]["input"]]
    assert time["min"] == time["max"] == [0.0]
    assert all(view["byteOffset"] % 4 == 0 for view in document["bufferViews"])
    assert document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["WEIGHTS_0"]]["normalized"] is True


def test_other_skeletons_have_a_body_of_plain_bones(tmp_path):
    skeleton = Skeleton("small", ("base", "top", "twin", "side"), (-1, 0, 1, 0), np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0], [0.5, 0.5, 0]]))
    pose = np.array([[0, 1, 0], [0, 2, 0], [0, 2, 0], [0.5, 1.5, 0]])
    motion = Motion(np.tile(pose, (3, 1, 1)), 30, skeleton)
    write_glb(motion, tmp_path / "a.glb")
    world = Read(tmp_path / "a.glb").world(0.03)
    np.testing.assert_allclose([world[name][:3, 3] for name in skeleton.names], motion.joints[0], atol=1e-6)
