"""Acclaim files: forward kinematics against an independent formula, real recordings, and every way a file can be wrong."""

import csv
import os
import time
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerm.data import archives
from nerm.errors import InputError
from nerm.motion import amc
from nerm.motion.amc import AcclaimSkeleton, read_amc, read_asf
from nerm.motion.mapping import to_smpl22

ASF = """# a small figure
:version 1.10
:units
  mass 1.0
  length 0.45
  angle deg
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name hip
     direction 0.6 -0.8 0
     length 2
     axis 0 0 0  XYZ
  end
  begin
     id 2
     name thigh
     direction 0 -1 0
     length 7
     axis 10 -35 20  XYZ
    dof rx ry rz
    limits (-160.0 20.0)
           (-70.0 70.0)
           (-60.0 70.0)
  end
  begin
     id 3
     name foot
     direction 0 0 1
     length 2.5
     axis -90 7 20   ZYX
    dof rx rz
  end
  begin
     id 4
     name spine
     direction 0 1 0
     length 5
     axis 0 0 0 XYZ
    dof rz
  end
:hierarchy
  begin
    root hip spine
    hip thigh
    thigh foot
  end
"""
HEADER = "#!OML:ASF small.asf\n:FULLY-SPECIFIED\n:DEGREES\n"
BONES = {"root": 6, "spine": 1, "thigh": 3, "foot": 2}


@pytest.fixture
def skeleton() -> AcclaimSkeleton:
    return read_asf(ASF)


def amc_text(values: np.ndarray, bones: dict[str, int] = BONES) -> str:
    lines = []
    for number, row in enumerate(values, 1):
        lines.append(str(number))
        start = 0
        for name, count in bones.items():
            lines.append(" ".join([name, *(repr(float(value)) for value in row[start : start + count])]))
            start += count
    return HEADER + "\n".join(lines) + "\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "motion.amc"
    path.write_text(text)
    return path


def random_values(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-170, 170, (frames, sum(BONES.values())))


def reference(row: np.ndarray) -> dict[str, np.ndarray]:
    """Bone ends of one pose from the definition, W = W_parent C M C^-1, with extrinsic Euler angles of another library."""
    root = Rotation.from_euler("xyz", row[3:6], degrees=True)
    spine = root * Rotation.from_euler("z", row[6], degrees=True)
    c = Rotation.from_euler("xyz", [10, -35, 20], degrees=True)
    thigh = root * c * Rotation.from_euler("xyz", row[7:10], degrees=True) * c.inv()
    c = Rotation.from_euler("zyx", [-90, 7, 20], degrees=True)
    foot = thigh * c * Rotation.from_euler("xz", row[10:12], degrees=True) * c.inv()
    ends = {"root": row[:3]}
    ends["hip"] = ends["root"] + root.apply([1.2, -1.6, 0])
    ends["spine"] = ends["root"] + spine.apply([0, 5, 0])
    ends["thigh"] = ends["hip"] + thigh.apply([0, -7, 0])
    ends["foot"] = ends["thigh"] + foot.apply([0, 0, 2.5])
    return ends


def test_bone_ends_follow_the_definition_of_the_format(skeleton, tmp_path):
    values = random_values(6)
    capture = read_amc(write(tmp_path, amc_text(values)), skeleton, fps=120, metres_per_unit=1.0)
    assert capture.names[0] == "root" and set(capture.names) == {"root", "hip", "spine", "thigh", "foot"} and capture.fps == 120
    for frame, row in enumerate(values):
        for name, end in reference(row).items():
            np.testing.assert_allclose(capture.point(name)[frame], end, atol=1e-10)


def test_a_quarter_turn_about_z_lays_the_upright_spine_towards_minus_x(skeleton, tmp_path):
    row = np.zeros((1, 12))
    row[0, 6] = 90
    spine = read_amc(write(tmp_path, amc_text(row)), skeleton, fps=120).point("spine")
    np.testing.assert_allclose(spine[0], [-5 * 0.05644, 0, 0], atol=1e-12)


def test_the_order_of_bones_within_a_file_and_within_a_frame_does_not_matter(skeleton, tmp_path):
    values = random_values(3)
    expected = read_amc(write(tmp_path, amc_text(values)), skeleton, 120).points
    starts = dict(zip(BONES, np.cumsum([0, *BONES.values()]), strict=False))
    other = {"foot": 2, "root": 6, "thigh": 3, "spine": 1}
    columns = np.concatenate([np.arange(starts[name], starts[name] + count) for name, count in other.items()])
    np.testing.assert_array_equal(read_amc(write(tmp_path, amc_text(values[:, columns], other)), skeleton, 120).points, expected)
    mixed = amc_text(values[:2]) + amc_text(values[:, columns], other).split("\n3\n")[1].join(["3\n", ""])
    np.testing.assert_array_equal(read_amc(write(tmp_path, mixed), skeleton, 120).points, expected)


def test_long_files_are_read_in_pieces_with_the_same_result(skeleton, tmp_path, monkeypatch):
    path = write(tmp_path, amc_text(random_values(200)))
    expected = read_amc(path, skeleton, 120).points
    monkeypatch.setattr(amc, "_CHUNK_BYTES", 1000)
    np.testing.assert_array_equal(read_amc(path, skeleton, 120).points, expected)


def test_windows_line_ends_and_exponents_are_read(skeleton, tmp_path):
    values = random_values(3)
    values[1, 4] = 1.25e-7
    text = amc_text(values)
    assert "e-07" in text
    expected = read_amc(write(tmp_path, text), skeleton, 120).points
    path = tmp_path / "crlf.amc"
    path.write_bytes(text.replace("\n", "\r\n").encode())
    np.testing.assert_array_equal(read_amc(path, skeleton, 120).points, expected)


def test_radians_give_the_same_motion_as_degrees(skeleton, tmp_path):
    values = random_values(3)
    expected = read_amc(write(tmp_path, amc_text(values)), skeleton, 120).points
    values[:, 3:] = np.deg2rad(values[:, 3:])
    path = write(tmp_path, amc_text(values).replace(":DEGREES", ":RADIANS"))
    np.testing.assert_allclose(read_amc(path, skeleton, 120).points, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace("thigh", "shin", 1), ["frame 1", "line 7", "'shin'", "not in the skeleton"]),
        (lambda t: t[: t.rindex("thigh")], ["frame 4", "'thigh'", "2 of 4"]),
        (lambda t: t[: t.rindex(" ")] + "\n", ["frame 4", "'foot'", "1 values", "2 degrees of freedom"]),
        (
            lambda t: "\n".join(line + " 1.5" if line.startswith("spine") else line for line in t.split("\n")),
            ["frame 1", "'spine'", "2 values"],
        ),
        (lambda t: t[: t.rindex(" ")] + " nan\n", ["frame 4", "'foot'", "finite"]),
        (lambda t: t[: t.rindex(" ")] + " abc\n", ["frame 4", "'foot'", "'abc'", "not a number"]),
        (lambda t: t.replace("\n3\n", "\n7\n"), ["frame 7", "expected frame 3"]),
        (lambda t: t + t.rsplit("\n", 2)[1] + "\n", ["frame 4", "'foot'", "twice"]),
        (lambda t: t + "5\n", ["frame 5", "'root'", "4 of 4"]),
        (lambda t: HEADER, ["no frame found"]),
    ],
)
def test_a_wrong_file_is_answered_with_file_frame_and_bone(skeleton, tmp_path, change, words):
    path = write(tmp_path, change(amc_text(random_values(4))))
    with pytest.raises(InputError) as error:
        read_amc(path, skeleton, 120)
    for word in [str(path), *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("dof rx rz", "dof rx l", ["'foot'", "'l'"]),
        ("    thigh foot\n", "", ["'foot'", ":hierarchy"]),
        ("    hip thigh\n", "    knee thigh\n", ["'thigh'", "'knee'"]),
        (ASF[ASF.index(":hierarchy") :], "", [":hierarchy", "cut off"]),
        ("length 7", "length seven", ["cannot be read", "seven"]),
    ],
)
def test_a_wrong_skeleton_is_answered_with_what_is_wrong(old, new, words):
    with pytest.raises(InputError) as error:
        read_asf(ASF.replace(old, new))
    for word in words:
        assert word in str(error.value)


def test_a_file_that_does_not_exist_is_named(skeleton, tmp_path):
    with pytest.raises(InputError, match=r"gone\.amc does not exist"):
        read_amc(tmp_path / "gone.amc", skeleton, 120)
    with pytest.raises(InputError, match=r"gone\.asf does not exist"):
        read_asf(tmp_path / "gone.asf")


# ---- real recordings ----


@pytest.fixture(scope="module")
def hdm05(tmp_path_factory) -> tuple[Path, list[dict[str, str]]]:
    sources = os.environ.get("NERM_SOURCES")
    if not sources or not (Path(sources) / "data" / "hdm05.tar.xz").exists():
        pytest.skip("NERM_SOURCES does not name a folder with data/hdm05.tar.xz")
    folder = tmp_path_factory.mktemp("hdm05")
    archives.folder(Path(sources) / "data", "hdm05", folder)
    with (Path(sources) / "data" / "hdm05.csv").open() as file:
        return folder, list(csv.DictReader(file))


def read_recording(folder: Path, row: dict[str, str]):
    return read_amc(folder / row["file"], read_asf(folder / f"hdm05/asf/HDM_{row['actor']}.asf"), float(row["fps"]))


def test_real_recordings_have_the_listed_frames_and_constant_bones_on_the_ground(hdm05):
    folder, rows = hdm05
    for row in rows[::11]:
        capture = read_recording(folder, row)
        assert len(capture) == int(row["frames"])
        thigh = np.linalg.norm(capture.point("lfemur") - capture.point("lhipjoint"), axis=-1)
        assert np.ptp(thigh) < 1e-9 and 0.35 < thigh[0] < 0.5
        joints = to_smpl22(capture, "hdm05")
        assert -0.15 < joints[:, [7, 8, 10, 11], 1].min() < 0.15, row["file"]
        assert 1.2 < joints[:, 15, 1].max() < 2.2


def test_at_least_half_a_million_frames_a_minute_are_read_on_one_core(hdm05):
    folder, rows = hdm05
    chosen = [row for row in rows if int(row["frames"]) > 250][:20]
    start = time.process_time()
    frames = sum(len(read_recording(folder, row)) for row in chosen)
    assert frames / (time.process_time() - start) * 60 > 500_000
