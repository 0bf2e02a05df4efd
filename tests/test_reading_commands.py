"""Commands that read motion take `joints=` and `in_fps=`, and read a file as the library does."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).with_name("motion")))

from figures import FIGURE, bvh_text, places, walking, write

from evaluators.given.folder import read_folder
from evaluators.score import ScoreConfig
from nerm import convert, upsample
from nerm.cli import keys
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.motion.axes import turn_to_y_up
from nerm.motion.files import Reading, load_motion, save_motion

READING = {"joints", "in_fps", "up", "index", "body", "metres_per_unit", "asf"}


def test_what_is_said_of_a_file_is_said_alike_in_all_commands():
    assert all(set(keys(config)) >= READING for config in (convert.ConvertConfig, upsample.UpsampleConfig, ScoreConfig))


def test_an_axis_a_motion_of_several_and_names_are_given_to_upsample(tmp_path):
    root, turns = walking(31)
    right = places(root, turns)
    np.save(tmp_path / "two.npy", np.stack([right[:, ::-1], right @ turn_to_y_up("z")]))
    upsample.main([f"in={tmp_path / 'two.npy'}", f"out={tmp_path / 'a.bvh'}", "in_fps=30", "fps=60", "up=z", "index=1", "names=mixamo"])
    assert "ROOT mixamorig:Hips" in (tmp_path / "a.bvh").read_text()
    np.testing.assert_allclose(load_motion(tmp_path / "a.bvh", Reading(metres_per_unit=0.01)).joints[::2], right, atol=1e-4)


def test_what_a_bvh_has_no_use_for_is_refused(unknown, tmp_path):
    clip, _, _ = unknown
    for word, answer in (("index=0", "index= is for"), ("body=mean", "body= is for"), ("names=mixamo", "which keeps its names")):
        with pytest.raises(InputError, match=answer):
            upsample.main([f"in={clip}", f"out={tmp_path / 'a.bvh'}", "fps=60", word])
    assert not (tmp_path / "a.bvh").exists()


@pytest.fixture
def unknown(tmp_path):
    """A walk of 30 fps on a skeleton that nobody knows, and the map of its joints."""
    root, turns = walking(31)
    names = {name: f"bone{number}" for number, name in enumerate(FIGURE)}
    (tmp_path / "map.json").write_text(json.dumps(names))
    return write(tmp_path, bvh_text(root, turns, names), "clip.bvh"), tmp_path / "map.json", places(root, turns)


def test_convert_reads_a_named_skeleton_at_a_corrected_rate(unknown, tmp_path):
    clip, names, expected = unknown
    convert.main([f"in={clip}", f"out={tmp_path / 'a.npz'}", f"joints={names}", "in_fps=120"])
    back = load_motion(tmp_path / "a.npz")
    assert back.fps == 120
    np.testing.assert_allclose(back.joints, expected, atol=1e-5)
    with pytest.raises(InputError, match="no known layout fits"):
        convert.main([f"in={clip}", f"out={tmp_path / 'b.npz'}"])


def test_upsample_reads_a_named_skeleton_at_a_corrected_rate(unknown, tmp_path):
    clip, names, expected = unknown
    upsample.main([f"in={clip}", f"out={tmp_path / 'a.npz'}", f"joints={names}", "in_fps=60", "fps=120", "method=cubic"])
    back = load_motion(tmp_path / "a.npz")
    assert back.fps == 120 and len(back) == 61
    np.testing.assert_allclose(back.joints[::2], expected, atol=1e-4)


def test_scored_folders_are_read_with_names_and_a_corrected_rate(unknown, tmp_path):
    clip, names, expected = unknown
    folder = tmp_path / "motions"
    folder.mkdir()
    (folder / "clip.bvh").write_bytes(clip.read_bytes())
    given = json.loads(names.read_text())
    motion = read_folder(folder, 60, {}, Reading(joints=given)).motions["clip"]
    assert motion.fps == 60
    np.testing.assert_allclose(motion.joints, expected, atol=1e-5)
    save_motion(Motion(expected, 20), folder / "other.npy")
    both = read_folder(folder, 60, {}, Reading(joints=given)).motions  # now in_fps is the rate of the file that carries none
    assert (both["clip"].fps, both["other"].fps) == (30, 60)


def test_a_rate_in_an_npz_is_corrected_and_one_that_is_not_carried_is_given_as_fps(unknown, tmp_path, capsys):
    _, _, expected = unknown
    save_motion(Motion(expected, 20), tmp_path / "a.npz")
    assert load_motion(tmp_path / "a.npz", Reading(in_fps=30)).fps == 30
    assert "the file says 20 fps; read as 30" in capsys.readouterr().err
    save_motion(Motion(expected, 20), tmp_path / "a.npy")
    assert load_motion(tmp_path / "a.npy", Reading(in_fps=30)).fps == 30
