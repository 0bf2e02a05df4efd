"""Any rig at another rate: the text of its file stays, rotations follow known ones, and the input's frames are hit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nerm.errors import InputError
from nerm.motion.bvh import parse_bvh, positions
from nerm.motion.bvh_text import read_bvh_text, write_bvh_text
from nerm.motion.rig_curves import channels_of
from nerm.motion.rig_resample import jumps, resample_rig
from nerm.upsample import main

HORSE = """HIERARCHY
ROOT Körper des Pferdes
{
  OFFSET 0 0 0
  CHANNELS 6 Yposition Xposition Zposition Yrotation Xrotation Zrotation
  JOINT Neck:01
  {
\tOFFSET 0.0 1.5e1 30.25
\tCHANNELS 3 Xrotation Zrotation Yrotation
\tJOINT Ear {
\t  OFFSET 0 4 2
\t  CHANNELS 1 Zrotation
\t  End Site
\t  {
\t    OFFSET 0 3.000 0
\t  }
\t}
  }
  JOINT Leg
  {
    OFFSET 5 0 20
    CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
    JOINT Stiff
    {
      OFFSET 0 -12 0
      CHANNELS 2 Xrotation Yrotation
      End Site { OFFSET 0 -9 1 }
      End Site { OFFSET 0 -9 -1 }
    }
  }
}
"""
WIDTH = 18


def horse(t):
    """Values [n, 18] at times t [n] s: every channel a sine of its own, slower than 1 Hz; joints with three axes turn about all of them."""
    k = np.arange(WIDTH)
    return (20 + k) * np.sin(2 * np.pi * (0.25 + 0.04 * k) * t[:, None] + k) + 0.5 * k


def write(path, values, fps, text=HORSE, spelled="%.6f", line_end="\n", separator=" ", encoding="utf-8"):
    rows = [separator.join(spelled % value for value in row) for row in values]
    whole = text + "\n".join(["MOTION", f"Frames: {len(values)}", f"Frame Time: {1 / fps:.8f}", *rows, ""])
    path.write_bytes(whole.replace("\n", line_end).encode(encoding))
    return path


def rotations(file):
    """[joints, T, 3, 3] by scipy, as an independent reading of the channels."""
    found = []
    for channels in channels_of(file.nodes):
        if channels.axes:
            found.append(Rotation.from_euler(channels.axes.upper(), file.values[:, list(channels.rotations)], degrees=True).as_matrix())
    return np.stack([np.broadcast_to(matrices, (len(file.values), 3, 3)) for matrices in found])


def apart_deg(a, b):
    return np.rad2deg(Rotation.from_matrix((np.swapaxes(a, -1, -2) @ b).reshape(-1, 3, 3)).magnitude())


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_the_text_before_the_frames_stays_to_the_byte(tmp_path, line_end, separator, encoding):
    source = write(tmp_path / "horse.bvh", horse(np.arange(31) / 30), 30.0, line_end=line_end, separator=separator, encoding=encoding)
    main([f"in={source}", "fps=120", f"out={tmp_path / 'smooth.bvh'}"])
    before, after = source.read_bytes(), (tmp_path / "smooth.bvh").read_bytes()
    head = before[: before.index(b"Frames:")]
    assert after.startswith(head + b"Frames: 121" + line_end.encode() + b"Frame Time: 0.00833333" + line_end.encode())
    rows = after.split(line_end.encode())
    first = [row for row in before.split(line_end.encode()) if row][-31:]
    assert rows[-1] == b"" and rows[-122:-1:4] == first  # the input's frames, as they were spelled
    assert parse_bvh(tmp_path / "smooth.bvh").fps == 120


@pytest.mark.parametrize(("fps", "to_fps"), [(30.0, 120.0), (30.0, 50.0), (24.0, 60.0), (29.97, 60.0), (60.0, 240.0), (20.0, 24.0)])
def test_a_horse_of_sines_turns_as_the_sines_say_at_any_rate(fps, to_fps):
    from nerm.motion.bvh import BvhFile

    nodes = _nodes()
    times = np.arange(int(3 * fps) + 1) / fps
    result = resample_rig(BvhFile("horse", nodes, horse(times), fps), to_fps)
    at = np.arange(len(result.values)) / to_fps
    assert at[-1] <= times[-1] + 1e-9 and at[-1] > times[-1] - 1 / to_fps - 1e-9
    truth = BvhFile("truth", nodes, horse(at), to_fps)
    assert apart_deg(rotations(result), rotations(truth)).max() < 0.6 * (20 / fps) ** 3
    np.testing.assert_allclose(result.values, truth.values, atol=2 * (20 / fps) ** 3)  # the same angles too, not another triple
    scale = np.abs(positions(truth)).max()
    assert np.linalg.norm(positions(result) - positions(truth), axis=-1).max() < 0.003 * scale


def test_a_cubic_is_far_nearer_than_slerp_and_linear():
    from nerm.motion.bvh import BvhFile

    nodes = _nodes()
    low = BvhFile("horse", nodes, horse(np.arange(61) / 20), 20.0)
    truth = rotations(BvhFile("truth", nodes, horse(np.arange(361) / 120), 120.0))
    errors = {method: apart_deg(rotations(resample_rig(low, 120.0, method)), truth).mean() for method in ("cubic", "slerp", "linear")}
    assert errors["cubic"] < 0.1 * errors["slerp"] and errors["cubic"] < 0.1 * errors["linear"]


def test_a_yaw_through_half_turns_goes_on_and_does_not_jump():
    """Wrapped into -180 to 180, as exporters write it: two turns in 2 s, and sways that make all three channels move."""
    t = np.arange(61) / 30
    values = np.zeros((61, WIDTH))
    values[:, 3], values[:, 4], values[:, 5] = 360 * t + 170, 5 * np.sin(t), 5 * np.sin(2 * t + 1)
    values[:, 3] = (values[:, 3] + 180) % 360 - 180
    result = resample_rig(_file(values), 120.0)
    np.testing.assert_allclose(result.values[:, 3], 170 + 3 * np.arange(241), atol=1e-2)
    assert np.abs(np.diff(result.values[:, 3:6], axis=0)).max() < 4


def test_angles_of_many_turns_stay_as_the_file_has_them():
    t = np.arange(61) / 30
    values = np.zeros((61, WIDTH))
    values[:, 3], values[:, 4], values[:, 5] = 720 + 500 * t, 10 * np.sin(t), 3 * np.cos(t)
    values[:, 8] = 6000 * t  # of a wheel on one axis: 200 degrees between frames
    result = resample_rig(_file(values), 120.0)
    np.testing.assert_array_equal(result.values[::4], values)
    np.testing.assert_allclose(result.values[:, 3], 720 + 500 / 120 * np.arange(241), atol=0.05)
    np.testing.assert_allclose(result.values[:, 8], 50 * np.arange(241), atol=1e-6)


def test_a_joint_passes_gimbal_lock_without_jumps():
    """The middle angle goes through 90 degrees; the file has the triples of a library that keeps it below, so all three flip."""
    t = np.arange(31) / 30
    smooth = np.stack([20 + 10 * t, 40 + 100 * t, -30 + 20 * t], axis=1)
    values = np.zeros((31, WIDTH))
    values[:, 6:9] = Rotation.from_euler("XZY", smooth, degrees=True).as_euler("XZY", degrees=True)
    assert np.abs(np.diff(values[:, 6:9], axis=0)).max() > 150
    result = resample_rig(_file(values), 120.0)
    truth = np.stack([20 + 10 * np.arange(121) / 120, 40 + 100 * np.arange(121) / 120, -30 + 20 * np.arange(121) / 120], axis=1)
    np.testing.assert_allclose(result.values[:, 6:9], truth, atol=0.05)
    assert apart_deg(rotations(result)[1, ::4], rotations(_file(values))[1]).max() < 1e-5


def test_a_turn_by_half_between_frames_is_no_error():
    values = np.zeros((9, WIDTH))
    values[::2, 3:6] = (180.0, 5.0, 5.0)
    values[1::2, 3:6] = (0.0, -5.0, 1.0)
    result = resample_rig(_file(values), 60.0)
    assert np.isfinite(result.values).all()
    assert apart_deg(rotations(result)[:, ::2], rotations(_file(values))).max() < 1e-5


def test_channels_that_never_change_are_the_same_to_the_bit(tmp_path):
    values = horse(np.arange(31) / 30)
    values[:, [0, 4, 7, 9, 17]] = (0.1, 33.3, -1e-3, 12.0, 89.9999)
    source = write(tmp_path / "in.bvh", values, 30.0, spelled="%g")
    main([f"in={source}", "fps=100", f"out={tmp_path / 'up.bvh'}"])
    main([f"in={source}", "fps=20", f"out={tmp_path / 'down.bvh'}"])
    for name in ("up.bvh", "down.bvh"):
        columns = [line.split() for line in (tmp_path / name).read_text().splitlines() if len(line.split()) == WIDTH]
        for column, word in zip([0, 4, 7, 9, 17], ["0.1", "33.3", "-0.001", "12", "89.9999"], strict=True):
            assert {row[column] for row in columns} == {word}


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("method", ["cubic", "slerp", "linear"])
def test_files_of_few_frames(frames, method):
    values = horse(np.arange(frames) / 30)
    result = resample_rig(_file(values), 120.0, method)
    assert len(result.values) == 4 * (frames - 1) + 1
    np.testing.assert_array_equal(result.values[::4], values)
    between = np.clip(result.values, values.min(axis=0) - 15, values.max(axis=0) + 15)
    np.testing.assert_array_equal(between, result.values)


def test_downwards_a_shake_that_the_new_rate_cannot_hold_is_gone():
    t = np.arange(361) / 120
    values = np.zeros((361, WIDTH))
    values[:, 6:9] = np.stack([30 * np.sin(2 * t), 20 * np.cos(3 * t), 10 * np.sin(t)], axis=1)
    shaken = values + 2 * np.sin(2 * np.pi * 25 * t)[:, None] * (np.arange(WIDTH) < 9)
    result = resample_rig(_file(shaken, 120.0), 30.0)
    assert len(result.values) == 91
    np.testing.assert_allclose(result.values[10:-10], values[::4][10:-10], atol=0.05)


def test_rest_pose_before_the_motion_is_found_and_left_out(tmp_path, capsys):
    values = horse(np.arange(31) / 30)
    values[:, :3] += 300
    rest = np.zeros((1, WIDTH))
    source = write(tmp_path / "in.bvh", np.concatenate([rest, values]), 30.0)
    main([f"in={source}", "fps=60", f"out={tmp_path / 'out.bvh'}"])
    assert "frame 0 is a rest pose before the recording, and left out" in capsys.readouterr().err
    np.testing.assert_allclose(parse_bvh(tmp_path / "out.bvh").values[::2], values, atol=1e-6)
    swaying = write(tmp_path / "swaying.bvh", values - values[0], 30.0)  # a motion that starts at rest and leaves it smoothly
    main([f"in={swaying}", "fps=60", f"out={tmp_path / 'out.bvh'}"])
    np.testing.assert_allclose(parse_bvh(tmp_path / "out.bvh").values[::2], values - values[0], atol=1e-6)


def test_curves_are_broken_at_the_seam_of_two_takes(tmp_path, capsys):
    first, second = horse(np.arange(31) / 30), horse(5 + np.arange(31) / 30)
    second[:, :3] += 500
    both = _file(np.concatenate([first, second]))
    assert jumps(both) == [30]
    result = resample_rig(both, 120.0)
    np.testing.assert_array_equal(result.values[:121], resample_rig(_file(first), 120.0).values)
    np.testing.assert_allclose(result.values[124:], resample_rig(_file(second), 120.0).values, atol=360.0)
    assert apart_deg(rotations(result)[:, 124:], rotations(resample_rig(_file(second), 120.0))).max() < 1e-4
    main([f"in={write(tmp_path / 'in.bvh', both.values, 30.0)}", "fps=60", f"out={tmp_path / 'out.bvh'}"])
    assert "the figure jumps after frame 30" in capsys.readouterr().err


def test_a_wrong_frame_time_is_corrected_and_the_same_rate_changes_nothing(tmp_path):
    source = write(tmp_path / "in.bvh", horse(np.arange(31) / 60), 30.0)
    main([f"in={source}", "in_fps=60", "fps=120", f"out={tmp_path / 'out.bvh'}"])
    assert len(parse_bvh(tmp_path / "out.bvh").values) == 61
    main([f"in={source}", "fps=30", f"out={tmp_path / 'same.bvh'}"])
    assert (tmp_path / "same.bvh").read_bytes() == source.read_bytes()


def test_the_input_is_not_overwritten(tmp_path):
    source = write(tmp_path / "in.bvh", horse(np.arange(31) / 30), 30.0)
    before = source.read_bytes()
    with pytest.raises(InputError, match="the same file"):
        main([f"in={source}", "fps=60", f"out={tmp_path}/../{tmp_path.name}/in.bvh"])
    assert source.read_bytes() == before


def test_a_rig_that_is_no_person_cannot_be_written_as_22_joints(tmp_path):
    source = write(tmp_path / "in.bvh", horse(np.arange(31) / 30), 30.0)
    with pytest.raises(InputError, match="layout"):
        main([f"in={source}", "fps=60", f"out={tmp_path / 'out.npz'}"])
    with pytest.raises(InputError, match="layout"):
        main([f"in={source}", "fps=60", "method=nerm", f"out={tmp_path / 'out.bvh'}"])
    assert [path.name for path in tmp_path.iterdir()] == ["in.bvh"]


def test_upsampling_a_bvh_loads_no_model(tmp_path):
    source = write(tmp_path / "in.bvh", horse(np.arange(31) / 30), 30.0)
    code = (
        "import sys; from nerm.upsample import main; main(sys.argv[1:]); print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"in={source}", "fps=60", f"out={tmp_path / 'out.bvh'}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


AXES = ("Xrotation", "Yrotation", "Zrotation")


@st.composite
def rigs(draw):
    """A rig with any tree, any number and order of channels, and turns of at most 40 degrees between frames."""
    parents = [-1]
    for index in range(1, draw(st.integers(1, 6))):
        parents.append(draw(st.integers(0, index - 1)))
    moves = ["Xposition", "Yposition", "Zposition"]
    lists = []
    for parent in parents:
        turns = draw(st.permutations(AXES))[: draw(st.integers(int(parent < 0), 3))]
        lists.append(draw(st.permutations(moves)) * draw(st.booleans()) + list(turns))
    text, width = _text(parents, lists), sum(map(len, lists))
    frames, seed = draw(st.integers(1, 12)), draw(st.integers(0, 2**32 - 1))
    steps = np.random.default_rng(seed).uniform(-13, 13, (frames, width))
    start = np.random.default_rng(seed + 1).uniform(-720, 720, width)
    return text, start + np.cumsum(steps, axis=0)


@settings(max_examples=40, deadline=None)
@given(rigs(), st.sampled_from([30.0, 60.0, 29.97, 100.0]), st.integers(2, 5))
def test_of_any_rig_the_text_stays_and_the_input_s_frames_are_hit(tmp_path_factory, rig, fps, times):
    text, values = rig
    folder = tmp_path_factory.mktemp("rigs")
    source = write(folder / "in.bvh", values, fps, text)
    read = read_bvh_text(source)
    result = resample_rig(read.file, times * fps)
    write_bvh_text(read, result.values, result.fps, folder / "out.bvh")
    before, after = source.read_text(), (folder / "out.bvh").read_text()
    assert after.partition("Frames:")[0] == before.partition("Frames:")[0]
    again = parse_bvh(folder / "out.bvh")
    assert again.fps == pytest.approx(times * fps, rel=1e-4) and len(again.values) == times * (len(values) - 1) + 1
    if any(channels.axes for channels in channels_of(read.file.nodes)):
        assert apart_deg(rotations(again)[:, ::times], rotations(read.file)).max() < 1e-4
    np.testing.assert_allclose(positions(again)[::times], positions(read.file), atol=1e-3)


def _text(parents, channel_lists):
    """A hierarchy depth first."""
    lines = ["HIERARCHY"]

    def add(index, tab):
        lines.extend([f"{tab}{'JOINT' if index else 'ROOT'} joint {index}", f"{tab}{{", f"{tab} OFFSET 1 {index}.5 -2"])
        lines.append(f"{tab} CHANNELS {len(channel_lists[index])} {' '.join(channel_lists[index])}".rstrip())
        for child, parent in enumerate(parents):
            if parent == index:
                add(child, tab + " ")
        if index not in parents:
            lines.append(f"{tab} End Site {{ OFFSET 0 1 0 }}")
        lines.append(f"{tab}}}")

    add(0, "")
    return "\n".join([*lines, ""])


def _nodes():
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        return parse_bvh(write(Path(folder) / "horse.bvh", horse(np.zeros(1)), 30.0)).nodes


def _file(values, fps=30.0):
    from nerm.motion.bvh import BvhFile

    return BvhFile("horse", _nodes(), values, fps)
