"""Blender imports what is written: bones stand where the joints are, at the right rate, and a frame can be rendered. Skips without bpy."""

import numpy as np
import pytest
from in_blender import SIZE, interpreter, see
from scipy.spatial.transform import Rotation

from nerm.motion import SMPL22, Motion
from nerm.motion.bvh import parse_bvh, positions
from nerm.motion.conventions import file_names
from nerm.motion.files import Writing, save_motion
from nerm.motion.skeleton import joints_from_directions
from nerm.motion.smpl import T_POSE

pytestmark = pytest.mark.skipif(interpreter() is None, reason="Blender is not here; see tests/in_blender.py")
FRAMES = (0, 13, 40)


def a_walker(fps: float) -> Motion:
    """Two thirds of a second: legs and arms swing, the person goes along +z, and the back bends against the hips."""
    t = np.arange(41)[:, None] / fps
    turns = {"l_knee": 0.5, "r_knee": -0.5, "l_ankle": 0.2, "l_elbow": -0.4, "r_elbow": 0.4, "spine1": 0.15, "neck": 0.1}
    directions = np.tile(T_POSE.axes[1:22], (41, 1, 1))
    for name, size in turns.items():
        joint = SMPL22.index(name) - 1
        turn = Rotation.from_rotvec(np.hstack([size * np.sin(6 * t), 0 * t, 0.1 * size + 0 * t]))
        directions[:, joint] = turn.apply(directions[:, joint])
    return Motion(joints_from_directions(np.hstack([0 * t, 0.95 + 0 * t, 1.2 * t]), directions, SMPL22), fps)


@pytest.mark.parametrize(("name", "fps"), [("walk.bvh", 60.0), ("walk.bvh", 23.976), ("walk.glb", 60.0)])
@pytest.mark.parametrize("names", ["smpl", "mixamo"])
def test_the_bones_stand_where_the_joints_are(tmp_path, name, fps, names):
    motion = a_walker(fps)
    save_motion(motion, tmp_path / name, Writing(names=names))
    seen = see(tmp_path / name, FRAMES)
    joints = file_names(SMPL22, names)
    assert sorted(seen.names) == sorted(joints)
    np.testing.assert_allclose(seen.joints(joints), motion.joints[list(FRAMES)], atol=1e-5)
    assert [seen.parents[seen.names.index(joint)] for joint in joints] == ["", *(joints[parent] for parent in SMPL22.parents[1:])]
    assert seen.fps == pytest.approx(fps, rel=1e-4) and seen.frames == len(motion)
    assert seen.lengths.min() > 0.01, "Blender drops or invents bones of no length"


@pytest.mark.parametrize("name", ["walk.bvh", "walk.glb"])
def test_a_frame_can_be_rendered(tmp_path, name):
    image = pytest.importorskip("PIL.Image")
    save_motion(a_walker(60.0), tmp_path / name)
    see(tmp_path / name, FRAMES[:1], picture=tmp_path / "frame.png")
    with image.open(tmp_path / "frame.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(float)
    assert pixels.shape == (SIZE[1], SIZE[0], 3)
    person = pixels[..., 0] - pixels[..., 2] > 40  # the paint is orange, floor and sky are grey
    rows = np.flatnonzero(person.any(axis=1))
    assert 0.003 < person.mean() < 0.3 and np.ptp(rows) > 0.5 * SIZE[1]


def test_a_file_with_any_rig_is_seen_as_its_own_reader_sees_it(tmp_path):
    """The same comparison for a file whose joints have other names, orders of rotation and position channels."""
    path = tmp_path / "rig.bvh"
    path.write_text(
        "HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
        "JOINT Tail\n{\nOFFSET 0 10 -20\nCHANNELS 6 Xposition Yposition Zposition Yrotation Xrotation Zrotation\n"
        "JOINT Tip\n{\nOFFSET 0 5 -15\nCHANNELS 3 Xrotation Yrotation Zrotation\nEnd Site\n{\nOFFSET 0 0 -7\n}\n}\n}\n}\n"
        "MOTION\nFrames: 2\nFrame Time: 0.0083333\n0 90 0 10 20 30 1 11 -21 40 50 60 5 6 7\n5 91 3 -30 25 80 0 10 -20 -20 70 15 8 9 1\n"
    )
    file = parse_bvh(path)
    seen = see(path, (0, 1))
    expected = positions(file)[:, [index for index, node in enumerate(file.nodes) if node.channels]]
    np.testing.assert_allclose(seen.joints(("Hips", "Tail", "Tip")), expected / 100, atol=1e-5)
