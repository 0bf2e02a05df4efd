"""Known faults of motion files are mended for every reader alike, or said."""

from dataclasses import replace

import numpy as np
import pytest
from figures import FIGURE, bvh_text, places, walking, write
from scipy.spatial.transform import Rotation

from nerm.data.multirate import originals
from nerm.data.multirate.trials import SourceFile
from nerm.motion import SMPL22
from nerm.motion.body import height_along_bones
from nerm.motion.bvh import capture_of, mended, parse_bvh, without_t_pose
from nerm.motion.faults import JUMP_MPS, is_t_pose, jumps, leading_pose
from nerm.motion.files import Reading, load_motion
from nerm.motion.mapping import to_smpl22

UNIT = 0.05644
_SIDED = {"Left": 1, "Right": -1}


def cmu_figure() -> dict[str, tuple[str, tuple[float, float, float]]]:
    """The 31 joints of a CMU file for MotionBuilder: thorax and the last third of the forearm have no length."""
    figure = {"pelvis": ("", (0.0, 0.0, 0.0))}
    for side, sign in _SIDED.items():
        hip, hand = f"{side[0]}HipJoint", f"{side}Hand"
        figure |= {
            hip: ("pelvis", (0, 0, 0)),
            f"{side}UpLeg": (hip, (1.8 * sign, -1, 0)),
            f"{side}Leg": (f"{side}UpLeg", (0, -7, 0)),
            f"{side}Foot": (f"{side}Leg", (0, -7.4, 0)),
            f"{side}ToeBase": (f"{side}Foot", (0, -0.8, 2.4)),
        }
    figure |= {
        "LowerBack": ("pelvis", (0, 0, 0)),
        "Spine": ("LowerBack", (0, 2, 0)),
        "Spine1": ("Spine", (0, 2, 0)),
        "Neck": ("Spine1", (0, 0, 0)),
        "Neck1": ("Neck", (0, 1.8, 0)),
        "Head": ("Neck1", (0, 1.8, 0)),
    }
    for side, sign in _SIDED.items():
        hand = f"{side}Hand"
        figure |= {
            f"{side}Shoulder": ("Spine1", (0, 0, 0)),
            f"{side}Arm": (f"{side}Shoulder", (3.4 * sign, 1, 0)),
            f"{side}ForeArm": (f"{side}Arm", (5 * sign, 0, 0)),
            hand: (f"{side}ForeArm", (3.4 * sign, 0, 0)),
            f"{side}FingerBase": (hand, (0, 0, 0)),
            f"{side}HandIndex1": (f"{side}FingerBase", (0.8 * sign, 0, 0)),
            f"{side[0]}Thumb": (hand, (0, 0, 0)),
        }
    return figure


def bending(frames: int = 10) -> tuple[np.ndarray, dict[str, Rotation]]:
    """The arms hang; the pelvis bends forward to 90 degrees."""
    turns = {f"{side}Arm": Rotation.from_euler("z", np.full((frames, 1), -75.0 * sign), degrees=True) for side, sign in _SIDED.items()}
    turns["pelvis"] = Rotation.from_euler("x", np.linspace(0, 90, frames)[:, None], degrees=True)
    return np.tile([0.0, 16.2, 0], (frames, 1)), turns


def cmu_text(root: np.ndarray, turns: dict[str, Rotation]) -> str:
    return bvh_text(root, turns, {"pelvis": "Hips"}, figure=cmu_figure(), fps=120)


def test_thorax_and_forearm_without_length_are_filled_for_users(tmp_path, capsys):
    """2 units of upper back stand for the thorax: at 90 degrees spine3 lies 1, the neck joint 2 units ahead of spine2."""
    x = load_motion(write(tmp_path, cmu_text(*bending())), Reading(metres_per_unit=UNIT)).joints[-1]
    spine2, spine3 = x[SMPL22.index("spine2")], x[SMPL22.index("spine3")]
    np.testing.assert_allclose(spine3 - spine2, [0, 0, 1 * UNIT], atol=1e-6)
    forearm = np.linalg.norm(x[SMPL22.index("l_wrist")] - x[SMPL22.index("l_elbow")])
    assert forearm == pytest.approx(1.5 * 3.4 * UNIT, abs=1e-6)
    assert "thorax and wrists have no length" in capsys.readouterr().err


def test_a_cmu_file_whose_fingers_were_taken_out_has_its_thorax_filled_too(tmp_path):
    figure = {name: where for name, where in cmu_figure().items() if not any(part in name for part in ("Finger", "Index", "Thumb"))}
    text = bvh_text(*bending(), {"pelvis": "Hips"}, figure=figure, fps=120)
    x = load_motion(write(tmp_path, text), Reading(metres_per_unit=UNIT)).joints[0]
    pelvis, shoulder = x[SMPL22.index("pelvis")], x[SMPL22.index("l_shoulder")]
    np.testing.assert_allclose(shoulder - pelvis, np.array([3.4, 2 + 2 + 2 + 1, 0]) * UNIT, atol=1e-6)


def test_a_neck_that_lies_on_the_back_below_it_is_not_the_neck(tmp_path):
    """As in rigs with a helper: the joint after it is."""
    figure = dict(FIGURE) | {"helper": ("spine3", (0, 0, 0)), "neck": ("helper", (0, 20, 0))}
    names = {"helper": "Neck", "neck": "Neck1", "pelvis": "Hips", "spine1": "Chest", "spine2": "Chest2", "spine3": "Chest3", "head": "Head"}
    names |= {joint: f"{'Left' if joint[0] == 'l' else 'Right'}{joint[2:].title()}" for joint in FIGURE if joint[1] == "_"}
    root, turns = walking()
    path = write(tmp_path, bvh_text(root, turns, names, figure=figure))
    np.testing.assert_allclose(load_motion(path, Reading(metres_per_unit=0.01)).joints, places(root, turns), atol=1e-6)


def test_users_and_the_corpus_read_the_same_joints_from_a_cmu_file(tmp_path):
    """With the T-pose that these files begin with, which both leave out."""
    root, turns = bending(40)
    pose = {"LeftUpLeg": Rotation.from_euler("z", [[-8.0]], degrees=True), "RightUpLeg": Rotation.from_euler("z", [[8.0]], degrees=True)}
    whole = {
        name: Rotation.concatenate([pose.get(name, Rotation.identity(1)), turns.get(name, Rotation.identity(40))]) for name in cmu_figure()
    }
    path = write(tmp_path, cmu_text(np.concatenate([root[:1], root]), whole), "01_01.bvh")
    recording = SourceFile(
        name="cmu/01_01", source="cmu", file=path.name, asf="01", layout="bvh31", fps=120.0, metres_per_unit=UNIT, frames=40, clean=None,
        split="test", label="",
    )  # fmt: skip
    corpus = to_smpl22(originals.read_capture(recording, tmp_path), "bvh31")
    user = load_motion(path)
    assert user.fps == 120 and len(user) == 40
    np.testing.assert_allclose(user.joints, corpus, atol=1e-12)  # metres are multiplied before the sums, or after


def t_pose_before(frames: int, blend: int, fps: float = 30.0) -> tuple[str, np.ndarray]:
    """A walk of `frames`, before it a T-pose, whose first `blend` frames are mixed with the pose."""
    root, turns = walking(frames, fps)
    mixed = {}
    for name, turn in turns.items():
        share = np.clip(np.arange(frames) / (blend + 1e-9), 0, 1)[:, None] if blend else np.ones((frames, 1))
        turn = Rotation.from_rotvec(turn.as_rotvec() * share)
        mixed[name] = Rotation.concatenate([Rotation.identity(1), turn])
    return bvh_text(np.concatenate([root[:1], root]), mixed, fps=fps), places(root, turns)


@pytest.mark.parametrize(("fps", "blend"), [(24, 0), (30, 0), (60, 0), (120, 0), (120, 5)])
def test_a_t_pose_before_the_recording_is_left_out_and_said(tmp_path, capsys, fps, blend):
    text, expected = t_pose_before(40, blend, fps)
    motion = load_motion(write(tmp_path, text), Reading(metres_per_unit=0.01))
    np.testing.assert_allclose(motion.joints, expected[blend:] if blend else expected, atol=1e-6)
    assert "T-pose before the recording, and left out" in capsys.readouterr().err
    assert not len(jumps(motion.joints, motion.fps))


def test_a_t_pose_that_was_recorded_stays(tmp_path, capsys):
    """A person who stands with arms out for a while, then lowers them within half a second."""
    t = np.arange(60) / 30
    down = np.clip((t - 0.8) / 0.5, 0, 1)
    down = down**2 * (3 - 2 * down)
    turns = {name: Rotation.identity(60) for name in FIGURE}
    for side, sign in (("l", 1), ("r", -1)):
        turns[f"{side}_shoulder"] = Rotation.from_euler("z", (-75 * sign * down)[:, None], degrees=True)
    root = np.stack([0.2 * np.sin(3 * t), 92 + 0 * t, 0 * t], axis=-1)
    assert len(load_motion(write(tmp_path, bvh_text(root, turns)), Reading(metres_per_unit=0.01))) == 60
    for start in range(24, 40):  # nor if the file begins while they are lowered
        later = places(root, turns)[start:]
        assert not (is_t_pose(later[0]) and leading_pose(later, height_along_bones(later), 30))
    assert "left out" not in capsys.readouterr().err


def test_an_unknown_rig_loses_its_rest_pose_and_nothing_else(tmp_path):
    root, turns = walking(40)
    whole = {name: Rotation.concatenate([Rotation.identity(1), turn]) for name, turn in turns.items()}
    names = {name: f"bone{number}" for number, name in enumerate(FIGURE)}
    file = parse_bvh(write(tmp_path, bvh_text(np.concatenate([root[:1], root]), whole, names)))
    cut = without_t_pose(file)
    np.testing.assert_array_equal(cut.values, file.values[1:])
    assert cut.nodes == file.nodes and without_t_pose(cut) is cut


def test_the_rest_pose_of_a_skeleton_before_the_recording_is_left_out(tmp_path, capsys):
    """Arms that hang in the rest pose make no T-pose, but a frame without any rotation is no motion either."""
    root, turns = walking(40)
    lowered = {name: (parent, (0.0, -27.0, 0.0) if name.endswith("elbow") else at) for name, (parent, at) in FIGURE.items()}
    bend = {name: Rotation.concatenate([Rotation.identity(1), turn]) for name, turn in turns.items()}
    text = bvh_text(np.concatenate([root[:1] + np.array([0, 0, 150]), root]), bend, figure=lowered)
    assert len(load_motion(write(tmp_path, text), Reading(metres_per_unit=0.01))) == 40
    assert "rest pose before the recording" in capsys.readouterr().err


def test_a_jump_that_no_person_can_make_is_said_with_its_frame(tmp_path, capsys):
    root, turns = walking(30)
    root[17:, 0] += 100  # 1 m within a thirtieth of a second
    motion = load_motion(write(tmp_path, bvh_text(root, turns)), Reading(metres_per_unit=0.01))
    said = capsys.readouterr().err
    assert "from frame 16 to 17 (0.53 s)" in said and "31 m/s" in said and f"above {JUMP_MPS:g} m/s" in said
    np.testing.assert_allclose(motion.joints, places(root, turns), atol=1e-6)  # said, not changed
    root[17:, 0] -= 100
    load_motion(write(tmp_path, bvh_text(root, turns)), Reading(metres_per_unit=0.01))
    assert "m/s" not in capsys.readouterr().err


def test_position_channels_that_are_zero_throughout_leave_offsets_as_they_are(tmp_path, capsys):
    root, turns = walking()
    file = parse_bvh(write(tmp_path, bvh_text(root, turns, moving=True)))
    values, column = file.values.copy(), 0
    for node in file.nodes:
        if node.parent >= 0 and node.channels:
            values[:, column : column + 3] = 0
        column += len(node.channels)
    again = mended(replace(file, values=values))
    np.testing.assert_allclose(to_smpl22(capture_of(again, 0.01), "smpl22"), places(root, turns), atol=1e-6)
    assert "their OFFSET is used" in capsys.readouterr().err
