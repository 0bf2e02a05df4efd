"""Samples with their feet held: for files that people look at, and alike at every rate."""

import numpy as np
import pytest

from nerm.errors import InputError
from nerm.generator import Condition
from nerm.held import sample_held, wants_feet_held
from nerm.model import load_nerm
from nerm.motion import Motion
from nerm.motion.files import load_motion
from nerm.motion.skeleton import KIT21
from nerm.sample import main


def test_feet_are_held_in_files_that_people_look_at_and_where_it_is_asked(tmp_path):
    assert [wants_feet_held("auto", tmp_path / f"a{suffix}") for suffix in (".bvh", ".gif", ".mp4", ".html", ".glb")] == [True] * 5
    assert not wants_feet_held("auto", tmp_path / "a.npz") and not wants_feet_held("auto", tmp_path / "a.npy")
    assert wants_feet_held("lock", tmp_path / "a.npz") and not wants_feet_held("off", tmp_path / "a.bvh")
    with pytest.raises(InputError, match="feet=yes does not exist; it can be auto, lock, off"):
        wants_feet_held("yes", tmp_path / "a.bvh")


def test_held_samples_are_equal_where_they_have_frames_at_the_same_time():
    asked = [Condition("a person walks forward")], [1.0]
    nerm = load_nerm()
    at = {fps: sample_held(nerm, *asked, fps, [3])[0].joints for fps in (20, 60, 120)}
    np.testing.assert_array_equal(at[60][::3], at[20])
    np.testing.assert_array_equal(at[120][::2], at[60])
    assert np.abs(at[60] - nerm.sample(*asked, 60, [3])[0].joints).max() > 0.01


class FixedRate:
    """A system of 20 fps whose person glides; at other rates its frames are interpolated."""

    native_fps = 20.0

    def sample(self, conditions, seconds, fps, seeds, guidance=None):
        times = np.arange(int(seconds[0] * fps) + 1) / fps
        joints = np.zeros((len(times), len(KIT21), 3)) + times[:, None, None]
        return [Motion(joints, fps, KIT21)]


def test_a_system_of_a_fixed_rate_and_another_skeleton_is_held_at_the_rate_asked_for():
    held = sample_held(FixedRate(), [Condition()], [1.0], 40.0, [0])
    assert held[0].fps == 40.0 and held[0].skeleton == KIT21


def test_the_command_says_what_it_did_with_the_feet(tmp_path, capsys):
    common = ["text=a person walks forward", "seconds=1", "fps=30", "device=cpu"]
    main([*common, f"out={tmp_path / 'a.npz'}"])
    assert "feet as sampled (feet=lock" in capsys.readouterr().err
    main([*common, f"out={tmp_path / 'b.npz'}", "feet=lock"])
    assert "feet locked (feet=off" in capsys.readouterr().err
    moved = np.linalg.norm(load_motion(tmp_path / "a.npz").joints - load_motion(tmp_path / "b.npz").joints, axis=-1)
    assert 0.005 < moved.max() < 0.5
    with pytest.raises(InputError, match="size=640x480 is for"):
        main([*common, f"out={tmp_path / 'c.bvh'}", "size=640x480"])
