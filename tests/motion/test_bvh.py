"""BVH: what is read follows the format; recordings, written and read again, are the same for us and for an independent reader."""

import csv
import os
import tarfile
from pathlib import Path

import numpy as np
import pybvh
import pytest
from scipy.spatial.transform import Rotation

from nerm.data.archives import unpack
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.bvh import frame_rate, read_bvh, read_bvh_motion, write_bvh
from nerm.motion.conventions import file_names
from nerm.motion.mapping import detect_layout, to_smpl22
from nerm.motion.skeleton import bone_directions, joints_from_directions

BVH = """HIERARCHY
ROOT base
{
	OFFSET 0 0 0
	CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
	JOINT arm {
		OFFSET 0 2 0
		CHANNELS 3 Yrotation Zrotation Xrotation
		JOINT hand
		{
			OFFSET 3 0 0
			CHANNELS 6 Zposition Xposition Yposition Xrotation Yrotation Zrotation
			End Site
			{
				OFFSET 0 0 1
			}
		}
	}
	JOINT leg
	{
		OFFSET 0 -1 0
		CHANNELS 1 Xrotation
		End Site
		{
			OFFSET 0 -4 0
		}
	}
}
MOTION
Frames: 2
Frame Time: 0.0083333
1 2 3 10 20 30 40 50 60 0.5 3.5 0.25 70 80 90 15
0 0 0 0 0 0 0 0 0 0 3 0 0 0 0 90
"""
FIRST_ROW = BVH[: BVH.index("1 2 3 10")].count("\n") + 1

pytestmark = pytest.mark.filterwarnings("ignore:Rest pose suggests")  # the independent reader guesses which way is up


def write(folder: Path, text: str) -> Path:
    path = folder / "motion.bvh"
    path.write_text(text)
    return path


def independent_joints(path: Path, motion: Motion, metres_per_unit: float = 0.01) -> np.ndarray:
    file = pybvh.read_bvh_file(path)
    points = file.joint_positions(centered="world") * metres_per_unit
    return points[:, [file.joint_names.index(name) for name in file_names(motion.skeleton, "smpl")]]


# ---- reading ----


def test_positions_follow_the_channels_in_their_order(tmp_path):
    capture = read_bvh(write(tmp_path, BVH), metres_per_unit=0.1)
    assert capture.names == ("base", "arm", "hand", "hand_end", "leg", "leg_end") and capture.fps == 120
    base = Rotation.from_euler("ZXY", [10, 20, 30], degrees=True)
    arm = base * Rotation.from_euler("YZX", [40, 50, 60], degrees=True)
    hand = arm * Rotation.from_euler("XYZ", [70, 80, 90], degrees=True)
    leg = base * Rotation.from_euler("X", 15, degrees=True)
    shoulder = np.array([1, 2, 3]) + base.apply([0, 2, 0])
    wrist = shoulder + arm.apply([3.5, 0.25, 0.5])  # position channels stand for OFFSET
    hip = np.array([1, 2, 3]) + base.apply([0, -1, 0])
    expected = [[1, 2, 3], shoulder, wrist, wrist + hand.apply([0, 0, 1]), hip, hip + leg.apply([0, -4, 0])]
    np.testing.assert_allclose(capture.points[0], 0.1 * np.array(expected), atol=1e-12)
    np.testing.assert_allclose(capture.points[1, 5], [0, -0.1, -0.4], atol=1e-12)


def test_an_independent_reader_finds_the_same_points(tmp_path):
    text = BVH.replace("CHANNELS 6 Zposition Xposition Yposition Xrotation Yrotation Zrotation", "CHANNELS 3 Xrotation Yrotation Zrotation")
    text = text.replace("CHANNELS 1 Xrotation", "CHANNELS 3 Xrotation Yrotation Zrotation")
    head = text[: text.index("1 2 3 10")]
    rows = np.random.default_rng(0).uniform(-180, 180, (2, 15))
    path = write(tmp_path, head + "\n".join(" ".join(map(repr, row.tolist())) for row in rows) + "\n")
    np.testing.assert_allclose(read_bvh(path).points, pybvh.read_bvh_file(path).node_positions(centered="world"), atol=1e-9)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.5 3.5 0.25 70 80 90 15", "0.5 3.5 0.25 70 80 90", [f"line {FIRST_ROW}", "frame 0", "15 values", "16 channels"]),
        ("90 15", "nan 15", ["frame 0", "'hand'", "not finite"]),
        ("90 15", "9o 15", [f"line {FIRST_ROW}", "'9o'", "not a number"]),
        ("Frames: 2", "Frames: 3", ["2 lines of values", "3", "cut off"]),
        ("Frames: 2", "Frames: two", ["two", "whole number"]),
        ("Frame Time: 0.0083333", "Frame Time: 0", ["Frame Time", "positive"]),
        ("Frame Time: 0.0083333\n", "", ["Frame Time"]),
        (BVH[BVH.index("MOTION") :], "", ["no MOTION"]),
        ("CHANNELS 1 Xrotation", "CHANNELS 2 Xrotation", ["'leg'", "announces 2"]),
        ("CHANNELS 1 Xrotation", "CHANNELS 1 Wrotation", ["'leg'", "'Wrotation'"]),
        ("OFFSET 3 0 0", "OFFSET 3 0", ["line 11", "'hand'", "expected 3"]),
        ("OFFSET 0 -1 0", "", ["'leg'", "no OFFSET"]),
        ("}\nMOTION", "MOTION", ["closing brace"]),
        ("JOINT leg", "JOINT arm", ["second joint 'arm'"]),
        ("HIERARCHY", "<html>", ["line 1", "not understood"]),
    ],
)
def test_a_wrong_file_is_answered_with_what_is_wrong(tmp_path, old, new, words):
    assert old in BVH
    path = write(tmp_path, BVH.replace(old, new))
    with pytest.raises(InputError) as error:
        read_bvh(path)
    for word in [str(path), *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("frame_time", "fps"), [(0.0083333, 120), (0.008333, 120), (0.0333333, 30), (0.033333, 30), (0.0166667, 60), (0.0416667, 24), (1.0, 1)]
)
def test_a_rounded_frame_time_is_a_whole_rate(frame_time, fps):
    assert frame_rate(frame_time) == fps


def test_rates_that_are_not_whole_stay_so():
    assert frame_rate(1 / 29.97) == pytest.approx(29.97, rel=1e-12)
    assert frame_rate(1 / 0.4) == pytest.approx(0.4)


def test_an_unknown_skeleton_is_answered_with_its_joints_and_the_known_layouts(tmp_path):
    with pytest.raises(InputError) as error:
        read_bvh_motion(write(tmp_path, BVH))
    for word in ("base, arm, hand, leg", "bvh31", "bandai"):
        assert word in str(error.value)


# ---- units ----


def standing(frames: int = 4) -> Motion:
    rest = joints_from_directions(np.zeros(3), SMPL22.offsets[1:] / SMPL22.lengths[1:, None], SMPL22)
    return Motion(np.tile(rest + np.array([0, 0.9, 0]), (frames, 1, 1)), 30)


@pytest.mark.parametrize("unit", [1.0, 0.01, 0.001, 0.0254, 0.05644])
def test_the_unit_is_guessed_from_standing_height_and_said(tmp_path, capsys, unit):
    write_bvh(standing(), tmp_path / "a.bvh", metres_per_unit=unit)
    np.testing.assert_allclose(read_bvh_motion(tmp_path / "a.bvh").joints, standing().joints, atol=1e-4)
    assert f"1 unit = {unit:g} m" in capsys.readouterr().err
    assert read_bvh_motion(tmp_path / "a.bvh", unit) and capsys.readouterr().err == ""


def test_a_size_that_fits_no_unit_is_refused(tmp_path):
    write_bvh(standing(), tmp_path / "a.bvh", metres_per_unit=1e-5)
    with pytest.raises(InputError, match="give metres_per_unit="):
        read_bvh_motion(tmp_path / "a.bvh")


# ---- real recordings ----


@pytest.fixture(scope="module")
def bandai(tmp_path_factory) -> list[tuple[Path, dict[str, str]]]:
    sources = os.environ.get("NERM_SOURCES")
    if not sources or not (Path(sources) / "data" / "bandai.tar.xz").exists():
        pytest.skip("NERM_SOURCES does not name a folder with data/bandai.tar.xz")
    with (Path(sources) / "data" / "bandai.csv").open() as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    folder = tmp_path_factory.mktemp("bandai")
    found = []
    with tarfile.open(Path(sources) / "data" / "bandai.tar.xz") as archive:
        for member in archive:  # read from the start: the first recordings are enough
            if member.name in rows and len(found) < 12:
                unpack(archive, member, folder)
                found.append((folder / member.name, rows[member.name]))
            if len(found) == 12:
                return found
    return found


def test_real_recordings_have_the_listed_frames_rate_and_unit(bandai, capsys):
    for path, row in bandai:
        capture = read_bvh(path, float(row["metres_per_unit"]))
        assert (len(capture), capture.fps, detect_layout(capture.names)) == (int(row["frames"]), float(row["fps"]), "bandai")
        joints = read_bvh_motion(path).joints
        np.testing.assert_allclose(joints, to_smpl22(capture, "bandai"), atol=1e-9)
        assert 1.0 < joints[:, 15, 1].max() < 1.8 and -0.1 < joints[:, [10, 11], 1].min() < 0.1


def test_real_motion_on_the_22_joint_skeleton_survives_a_bvh(bandai, tmp_path):
    for path, _ in bandai:
        recorded = read_bvh_motion(path, 0.01)
        joints = joints_from_directions(recorded.root, bone_directions(recorded.joints, SMPL22), SMPL22)
        motion = Motion(joints, recorded.fps)
        write_bvh(motion, tmp_path / "a.bvh")
        assert np.linalg.norm(read_bvh_motion(tmp_path / "a.bvh", 0.01).joints - joints, axis=-1).max() < 1e-4
        assert np.linalg.norm(independent_joints(tmp_path / "a.bvh", motion) - joints, axis=-1).max() < 1e-4
