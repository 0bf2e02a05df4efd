"""Blender imports what is written: bones stand where the joints are, at the right rate, and a frame can be rendered. Skips without bpy."""

from pathlib import Path

import numpy as np
import pytest
from in_blender import SIZE, interpreter, see
from scipy.spatial.transform import Rotation

from nerm import upsample
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


ORDERS = ("ZXY", "XYZ", "YXZ", "ZYX")
DOG = {  # joint -> (parent, OFFSET in centimetres)
    "Pelvis": ("", (0, 0, 0)),
    "Back": ("Pelvis", (0, 2, 20)),
    "Withers": ("Back", (0, 0, 22)),
    "Neck": ("Withers", (0, 6, 10)),
    "Skull": ("Neck", (0, 14, 10)),
    "Jaw": ("Skull", (0, -3, 5)),
    **{f"Tail{n}": (f"Tail{n - 1}" if n > 1 else "Pelvis", (0, -2, -9)) for n in range(1, 5)},
    **{
        f"{end}_Thigh_{side}": (of, (x, -4, 0))
        for end, of in (("Hind", "Pelvis"), ("Fore", "Withers"))
        for side, x in (("L", 7), ("R", -7))
    },
    **{f"{end}_Shin_{side}": (f"{end}_Thigh_{side}", (0, -20, 3)) for end in ("Hind", "Fore") for side in "LR"},
    **{f"{end}_Paw_{side}": (f"{end}_Shin_{side}", (0, -19, -3)) for end in ("Hind", "Fore") for side in "LR"},
}
"""A rig that has nothing of a person: its 22 joints cannot be mapped, and no layout knows its names."""


def a_dog(fps: float, seconds: float = 1.0) -> str:
    """A dog that trots, as BVH: joints have orders of their own, and the tail has positions beside its rotations."""

    def joint(name: str, order: int) -> tuple[list[str], list]:
        parent, offset = DOG[name]
        turns = [f"{axis}rotation" for axis in ORDERS[order % 4]]
        places = [f"{axis}position" for axis in "XYZ"] if not parent or name == "Tail1" else []
        lines = [f"{'JOINT' if parent else 'ROOT'} {name}", "{", f"OFFSET {' '.join(map(str, offset))}"]
        lines += [f"CHANNELS {len(places + turns)} {' '.join(places + turns)}"]
        curves = [curve(name, channel) for channel in places + turns]
        below = [child for child, (of, _) in DOG.items() if of == name]
        for number, child in enumerate(below, 1):
            inner, more = joint(child, order + number)
            lines, curves = lines + inner, curves + more
        return [*lines, *([] if below else ["End Site", "{", "OFFSET 0 -4 1", "}"]), "}"], curves

    def curve(name: str, channel: str):
        axis, phase = channel[0], np.pi * (("_L" in name) ^ ("Fore" in name))
        if channel.endswith("position"):
            still = {"Pelvis": (0, 45, 0), "Tail1": DOG["Tail1"][1]}[name]["XYZ".index(axis)]
            return still + (130 * t if (name, axis) == ("Pelvis", "Z") else 1.5 * np.sin(8 * np.pi * t + ord(axis)))
        if axis == "X" and "_" in name:
            return {"Thigh": 28, "Shin": 24, "Paw": 18}[name.split("_")[1]] * np.sin(4 * np.pi * t + phase + ("Shin" in name))
        return (12 if "Tail" in name else 4) * np.sin(4 * np.pi * t + len(name) + ord(axis))

    t = np.arange(round(seconds * fps) + 1) / fps
    lines, curves = joint("Pelvis", 0)
    rows = [" ".join(f"{value:.6f}" for value in row) for row in np.stack(curves, axis=1)]
    return "\n".join(["HIERARCHY", *lines, "MOTION", f"Frames: {len(t)}", f"Frame Time: {1 / fps:.7f}", *rows, ""])


def test_an_upsampled_bvh_of_any_rig_is_the_same_rig_in_blender_and_its_joints_are_the_input_s_at_the_input_s_frames(tmp_path):
    rig, smooth = tmp_path / "dog.bvh", tmp_path / "smooth.bvh"
    rig.write_text(a_dog(30.0))
    upsample.main([f"in={rig}", "fps=120", f"out={smooth}"])
    frames = np.arange(31)
    before, after = see(rig, frames), see(smooth, np.arange(121))
    assert sorted(before.names) == sorted(DOG)
    assert (after.names, after.parents) == (before.names, before.parents)
    assert (before.fps, after.fps) == (pytest.approx(30, rel=1e-4), pytest.approx(120, rel=1e-4)) and (before.frames, after.frames) == (
        31,
        121,
    )
    np.testing.assert_allclose(after.lengths, before.lengths, atol=1e-6)
    np.testing.assert_allclose(after.heads[4 * frames], before.heads, atol=1e-4)  # 0.1 mm
    between = see(_written(tmp_path / "truth.bvh", a_dog(120.0)), np.arange(121)).heads
    assert np.abs(between[1:] - between[:-1]).max() > 5e-3, "the dog does move from frame to frame"
    np.testing.assert_allclose(after.heads[8:-8], between[8:-8], atol=1e-3)  # 30 frames a second hold a trot of 2 Hz


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


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
