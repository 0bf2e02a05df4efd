"""`python -m nerm.upsample`: windows, cross-fades, and that a motion comes back in its own place, heading and proportions.

A small random field stands in for a trained one: what is tested must hold however badly the field fits.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import nerm.model
from nerm.errors import InputError
from nerm.field import Field, FieldConfig
from nerm.fitted import cut_overlapping, fade, fit_motion, held_out_credit
from nerm.motion import SMPL22, Motion
from nerm.motion.axes import turn_to_y_up
from nerm.motion.bvh_text import read_bvh_text, write_bvh_text
from nerm.motion.euler import followed, quaternions
from nerm.motion.files import Reading, load_motion, save_motion
from nerm.motion.retarget import from_corpus, to_corpus
from nerm.motion.rig_curves import channels_of
from nerm.motion.rotations import matrix_from_quaternion
from nerm.motion.skeleton import KIT21, bone_directions, joints_from_directions
from nerm.reading import decode
from nerm.upsample import interpolate, main, upsample

LENGTHS = SMPL22.lengths * np.linspace(0.8, 1.3, 22)


@pytest.fixture(scope="module")
def field():
    torch.manual_seed(4)
    return Field(FieldConfig(width=32, layers=2, latent=8, intervals=1, octaves=3)).eval()


def walk(seconds=3.0, fps=30.0, lengths=LENGTHS, dtype=np.float64):
    """A person of other proportions who waves all bones while walking a curve, away from the origin and not facing +z."""
    t = np.arange(round(seconds * fps) + 1)[:, None] / fps
    directions = SMPL22.axes[1:] + 0.3 * np.sin(3 * t + np.linspace(0, 6, 63)).reshape(len(t), -1, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    root = np.concatenate([np.sin(t / 3), 1.4 + 0.03 * np.sin(6 * t), 0.4 * t], axis=1)
    joints = joints_from_directions(root, directions, SMPL22, lengths)
    return Motion(joints.astype(dtype), fps).transformed(2.2, (5.0, 0.3, -3.0))


def bones(joints):
    return np.linalg.norm(joints[:, 1:] - joints[:, SMPL22.parents[1:]], axis=-1)


@pytest.mark.parametrize("seconds", [0.5, 10.0, 10.1, 37.3, 95.0])
@pytest.mark.parametrize("fps", [12.5, 29.97, 120.0])
def test_windows_cover_a_motion_overlap_by_a_second_and_are_at_most_ten_seconds(seconds, fps):
    frames = int(seconds * fps) + 1
    spans = cut_overlapping(frames, fps, 10.0)
    assert spans[0][0] == 0 and spans[-1][1] == frames
    assert all((end - 1 - start) / fps <= 10.0 + 1e-6 for start, end in spans)
    overlaps = [(end - 1 - start) / fps for (_, end), (start, _) in pairwise(spans)]
    assert all(1.0 <= overlap < 1.0 + 1 / fps + 1e-6 for overlap in overlaps)
    assert len(spans) == 1 if seconds <= 10 else len(spans) > 1


def test_the_fade_begins_and_ends_without_velocity_and_acceleration():
    share = fade(np.linspace(-0.5, 1.5, 2001), 0.0, 1.0)
    assert share[0] == 0 and share[-1] == 1 and (np.diff(share) >= 0).all()
    assert np.abs(np.diff(share)).max() * 1000 < 1.9
    assert np.abs(np.diff(share, 3)).max() * 1000**3 < 61  # jerk is bounded: acceleration has no step


def test_cross_fading_leaves_no_jump_at_the_seams(field):
    """Two windows whose codes have nothing in common."""
    from dataclasses import replace

    own, _ = to_corpus(walk(17.0).joints)
    fitted = fit_motion(field, Motion(own, 30.0), steps=0)
    codes = torch.randn(2, 8, generator=torch.Generator().manual_seed(0))
    fitted = replace(fitted, windows=[replace(w, code=z) for w, z in zip(fitted.windows, codes, strict=True)])
    start, end = fitted.windows[1].start_s, fitted.windows[0].seconds
    assert end - start == pytest.approx(1.0)
    for seam in (start, end):
        times = np.linspace(seam - 1e-3, seam + 1e-3, 41)
        root, directions = fitted.at(times)
        assert np.abs(np.diff(root, axis=0)).max() < 1e-3 and np.abs(np.diff(directions, axis=0)).max() < 1e-3
        change = np.abs(np.diff(directions, 2, axis=0)).max() / 5e-5  # of velocity, from one side of the seam to the other
        assert change < 0.1
    lone = fitted.at(np.array([0.5, 16.5]))
    expected = [fitted._read(w, np.array([t])) for w, t in zip(fitted.windows, (0.5, 16.5), strict=True)]
    np.testing.assert_allclose(lone[0], np.concatenate([e[0] for e in expected]), atol=1e-9)
    np.testing.assert_allclose(lone[1], np.concatenate([e[1] for e in expected]), atol=1e-6)


@pytest.mark.parametrize("seconds", [3.0, 12.0])
@pytest.mark.parametrize("fps", [60.0, 120.0])
def test_with_the_detail_kept_the_output_passes_through_the_frames_of_the_input(field, seconds, fps, capsys):
    motion = walk(seconds)
    result = upsample(field, motion, fps, "detail", steps=5)
    step = round(fps / 30)
    assert result.fps == fps and len(result) == step * (len(motion) - 1) + 1
    np.testing.assert_allclose(result.joints[::step], motion.joints, atol=1e-6)
    np.testing.assert_allclose(bones(result.joints), np.broadcast_to(LENGTHS[1:], (len(result), 21)), atol=1e-9)
    assert "mm per joint (root subtracted), root path" in capsys.readouterr().err


def test_a_field_that_is_right_between_frames_is_followed(field):
    from dataclasses import replace

    code = 0.5 * torch.randn(1, 8, generator=torch.Generator().manual_seed(2))
    truth = decode(field, code[0], 4.0, 120.0)
    motion = Motion(truth.joints[::12].astype(np.float64), 10.0)
    fitted = fit_motion(field, motion, steps=0)
    right = replace(fitted, windows=[replace(fitted.windows[0], code=code[0], yaw=0.0, offset=np.zeros(3))], credit=1.0)
    np.testing.assert_allclose(joints_from_directions(*right.with_detail(truth.times), SMPL22), truth.joints, atol=1e-3)


def test_a_field_gets_no_credit_for_what_a_cubic_explains(field, monkeypatch):
    """Every second frame is held out; there this field says exactly what is missing from a cubic, twice that, or its opposite."""
    import nerm.fitted

    t = np.arange(61)[:, None] / 20
    directions = SMPL22.axes[1:] + 0.3 * np.sin(9 * t + np.linspace(0, 6, 63)).reshape(len(t), -1, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    motion = Motion(joints_from_directions(np.zeros((61, 3)), directions, SMPL22), 20.0)
    plain = nerm.fitted.FittedMotion(field, motion[::2], []).without_field(motion.times)[1]

    def knowing(share):
        """A fit that adds `share` of what a cubic through the kept frames lacks."""

        class Fit(nerm.fitted.FittedMotion):
            def at(self, times):
                frames = np.round(times * 20).astype(int)
                cubic = nerm.fitted._cubic(motion[::2], bone_directions(motion[::2].joints, SMPL22), times)
                return np.zeros((len(times), 3)), cubic + share * (directions[frames] - cubic)

        monkeypatch.setattr(nerm.fitted, "fit_motion", lambda field, half, steps, seed: Fit(field, half, []))
        return held_out_credit(field, motion)

    assert np.abs(plain[1::2] - directions[1::2]).max() > 0.01  # a cubic does lack something
    assert knowing(1.0) == pytest.approx(1)
    assert knowing(2.0) == pytest.approx(0.5)
    assert knowing(-1.0) == 0
    assert knowing(0.0) < 1e-3


def test_without_the_detail_place_heading_and_proportions_are_still_the_person_s_own(field):
    motion = walk(12.0)
    result = upsample(field, motion, 50.0, "nothing", steps=5)
    moved = upsample(field, motion.transformed(1.3, (7.0, 0.5, 2.0)), 50.0, "nothing", steps=5)
    np.testing.assert_allclose(bones(result.joints), np.broadcast_to(LENGTHS[1:], (len(result), 21)), atol=1e-9)
    np.testing.assert_allclose(moved.joints, result.transformed(1.3, (7.0, 0.5, 2.0)).joints, atol=2e-3)


def test_a_motion_retargeted_in_and_out_is_itself():
    motion = walk()
    joints, proportions = to_corpus(motion.joints)
    np.testing.assert_allclose(bones(joints), np.broadcast_to(SMPL22.lengths[1:], (len(joints), 21)), atol=1e-9)
    assert abs(np.percentile(joints[..., 1].min(axis=1), 1)) < 1e-9
    back = from_corpus(joints[:, 0], bone_directions(joints, SMPL22), proportions)
    np.testing.assert_allclose(back, motion.joints, atol=1e-9)


@pytest.mark.parametrize("method", ["linear", "slerp", "cubic"])
def test_interpolation_keeps_bone_lengths_and_frames(method):
    motion = walk()
    result = interpolate(motion, 120.0, method)
    np.testing.assert_allclose(result.joints[::4], motion.joints, atol=1e-9)
    np.testing.assert_allclose(bones(result.joints), np.broadcast_to(LENGTHS[1:], (len(result), 21)), atol=1e-9)


@pytest.fixture
def shipped(field, monkeypatch):
    monkeypatch.setattr(nerm.model, "load_nerm", lambda where: type("Loaded", (), {"field": field}))


@pytest.mark.parametrize("method", ["nerm", "linear", "slerp", "cubic"])
def test_the_command_brings_a_bvh_from_30_to_120_fps(shipped, tmp_path, method, capsys):
    save_motion(walk(1.0), tmp_path / "in.bvh")
    main([f"in={tmp_path / 'in.bvh'}", "fps=120", f"out={tmp_path / 'out.bvh'}", f"method={method}", "steps=3", "metres_per_unit=0.01"])
    result = load_motion(tmp_path / "out.bvh", Reading(metres_per_unit=0.01))
    assert result.fps == 120 and len(result) == 121
    np.testing.assert_allclose(result.joints[::4], walk(1.0).joints, atol=1e-4)
    assert f"1.000 s at 120 fps from 30 fps by {method}" in capsys.readouterr().out


def test_on_a_rig_the_fit_alone_moves_joints_as_it_does_without_one(shipped, tmp_path):
    """keep=nothing replaces every pose; the bones that the 22 joints have in common with the rig point where the fit has them."""
    save_motion(walk(1.0), tmp_path / "in.bvh")
    save_motion(load_motion(tmp_path / "in.bvh", Reading(metres_per_unit=0.01)), tmp_path / "in.npz")
    words = ["fps=60", "method=nerm", "keep=nothing", "steps=3"]
    main([f"in={tmp_path / 'in.bvh'}", f"out={tmp_path / 'out.bvh'}", *words, "metres_per_unit=0.01"])
    main([f"in={tmp_path / 'in.npz'}", f"out={tmp_path / 'out.npz'}", *words])
    rig, joints = load_motion(tmp_path / "out.bvh", Reading(metres_per_unit=0.01)), load_motion(tmp_path / "out.npz")
    np.testing.assert_allclose(rig.root, joints.root, atol=1e-4)
    legs = [SMPL22.index(name) - 1 for name in ("l_knee", "l_ankle", "r_knee", "r_ankle")]
    ours, theirs = bone_directions(rig.joints, SMPL22)[:, legs], bone_directions(joints.joints, SMPL22)[:, legs]
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert np.abs(bone_directions(walk(1.0).joints, SMPL22)[:, legs] - theirs[::2]).max() > 0.1


def test_a_rig_with_z_up_gets_from_the_field_what_one_with_y_up_gets(shipped, tmp_path):
    save_motion(walk(1.0), tmp_path / "y.bvh")
    text, to_y = read_bvh_text(tmp_path / "y.bvh"), turn_to_y_up("z")
    values, root = np.array(text.file.values), channels_of(text.file.nodes)[0]
    positions, angles = list(root.positions), list(root.rotations)
    values[:, positions] = values[:, positions] @ to_y
    matrices = to_y.T @ matrix_from_quaternion(quaternions(root.axes, values[:, angles]))
    values[:, angles] = followed(matrices, root.axes, np.zeros(3))
    write_bvh_text(text, values, 30.0, tmp_path / "z.bvh")
    for up in "yz":
        words = ["fps=60", "method=nerm", "keep=nothing", "steps=3", "metres_per_unit=0.01", f"up={up}"]
        main([f"in={tmp_path / f'{up}.bvh'}", f"out={tmp_path / f'{up}60.bvh'}", *words])
    y, z = (load_motion(tmp_path / f"{up}60.bvh", Reading(metres_per_unit=0.01, up=up)).joints for up in "yz")
    np.testing.assert_allclose(z, y, atol=1e-4)
    assert np.abs(y[::2] - walk(1.0).joints).max() > 0.02


def test_a_walk_of_sines_comes_back_by_default(tmp_path):
    """A person whose every bone swings with a known sine, brought from 20 to 120 fps: the truth is the formula at 120."""
    coarse, truth = walk(3.0, 20.0), walk(3.0, 120.0)
    save_motion(coarse, tmp_path / "in.npz")
    main([f"in={tmp_path / 'in.npz'}", "fps=120", f"out={tmp_path / 'out.npz'}"])
    error = np.linalg.norm(load_motion(tmp_path / "out.npz").joints - truth.joints, axis=-1)
    assert error.mean() < 0.02e-3 and error[12:-12].max() < 0.2e-3
    slerped = np.linalg.norm(interpolate(coarse, 120.0, "slerp").joints - truth.joints, axis=-1)
    assert error.mean() < 0.05 * slerped.mean()


def test_downwards_what_the_new_rate_cannot_hold_is_removed(tmp_path):
    """A shake of 25 Hz would come out as one of 5 Hz at 30 fps."""
    t = np.arange(241) / 120
    joints = np.array(walk(2.0, 120.0).joints)
    shaken = joints + 0.01 * np.sin(2 * np.pi * 25 * t)[:, None, None]
    result = interpolate(Motion(shaken, 120.0), 30.0, "cubic")
    assert len(result) == 61
    assert np.abs(result.joints - joints[::4])[10:-10].max() < 1e-3


def test_changing_bone_lengths_are_held_constant_and_that_is_said(shipped, tmp_path, capsys):
    t = np.arange(31)
    joints = np.array(walk(1.0).joints)
    joints[:, 15] *= 1 + 0.02 * np.sin(t)[:, None]
    save_motion(Motion(joints, 30.0), tmp_path / "in.npz")
    main([f"in={tmp_path / 'in.npz'}", "fps=60", f"out={tmp_path / 'out.bvh'}", "method=cubic"])
    assert "the bones of the motion change their lengths" in capsys.readouterr().err
    assert np.ptp(bones(load_motion(tmp_path / "out.bvh", Reading(metres_per_unit=0.01)).joints), axis=0).max() < 1e-4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fps=0"], "fps=0"),
        (["fps=-30"], "positive number of frames per second"),
        (["fps=120", "method=spline"], "method=spline does not exist"),
        (["fps=120", "keep=all"], "keep=all does not exist"),
        (["fps=120", "in=nowhere.bvh"], "nowhere.bvh does not exist"),
        (["fps=120", "out=smooth.fbx"], r"smooth.fbx: a motion cannot be written as '.fbx'"),
        (["fps=120", "speed=2"], "unknown key 'speed'"),
        (["fps=0.5"], "leaves one frame of a motion of 1 s; give at least 1"),
        (["fps=1e9"], "1000000001 frames"),
        (["fps=20", "method=nerm"], "method=nerm adds frames"),
        ([], "missing fps="),
    ],
)
def test_wrong_use_is_answered_with_one_sentence_and_nothing_is_written(shipped, tmp_path, words, message):
    save_motion(walk(1.0), tmp_path / "in.npz")
    with pytest.raises(InputError, match=message):
        main([f"in={tmp_path / 'in.npz'}", f"out={tmp_path / 'out.bvh'}", *words])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.npz"]


@pytest.mark.parametrize("name", ["in.npz", "./in.npz", "link.npz"])
def test_the_input_is_not_overwritten(tmp_path, name):
    save_motion(walk(1.0), tmp_path / "in.npz")
    (tmp_path / "link.npz").symlink_to(tmp_path / "in.npz")
    before = (tmp_path / "in.npz").read_bytes()
    with pytest.raises(InputError, match="the same file"):
        main([f"in={tmp_path / 'in.npz'}", "fps=60", f"out={tmp_path}/{name}"])
    assert (tmp_path / "in.npz").read_bytes() == before


def test_another_skeleton_is_for_interpolation_only(field):
    t = np.arange(20)[:, None] / 20
    joints = np.repeat(np.cumsum(KIT21.offsets, axis=0)[None], 20, axis=0) + t[:, None]
    motion = Motion(joints, 20.0, KIT21)
    with pytest.raises(InputError, match="use method=slerp or method=cubic"):
        upsample(field, motion, 60.0)
    assert len(interpolate(motion, 60.0, "cubic")) == 58
