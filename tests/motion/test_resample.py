import numpy as np
import pytest

from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, frame_count, resample
from nerm.motion.kinematics import band_energy, derivative, lowpass
from nerm.motion.resample import slerp
from nerm.motion.skeleton import bone_directions, heading, joints_from_directions


def a_motion(fps: float, seconds: float = 4.0, top_hz: float = 5.0, seed: int = 0) -> Motion:
    """Band-limited directions and root path, the same movement at every rate."""
    rng = np.random.default_rng(seed)
    t = np.arange(frame_count(seconds, fps)) / fps
    hz, phase = rng.uniform(0.2, top_hz, (6, 66)), rng.uniform(0, 6.3, (6, 66))
    waves = (np.sin(2 * np.pi * hz[:, None] * t[None, :, None] + phase[:, None]) * 0.05).sum(0)
    directions = SMPL22.offsets[1:] / SMPL22.lengths[1:, None] + waves[:, 3:].reshape(-1, 21, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    return Motion(joints_from_directions(waves[:, :3] + [0, 0.9, 0], directions, SMPL22), fps)


@pytest.mark.parametrize(("seconds", "fps", "frames"), [(2.0, 20, 41), (0.1, 30, 4), (1 / 3, 30, 11), (9.99, 120, 1199)])
def test_frames_are_counted_to_the_last_one_inside(seconds, fps, frames):
    assert frame_count(seconds, fps) == frames


@pytest.mark.parametrize("method", ["linear", "cubic", "slerp"])
def test_frames_at_coinciding_times_are_the_motions_own(method):
    motion = a_motion(20)
    assert np.array_equal(resample(motion, 120, method).joints[::6], motion.joints)
    assert np.array_equal(resample(motion, 10, method).joints, motion.joints[::2])


def test_cubic_converges_with_the_fourth_power_of_the_step():
    truth = a_motion(240, top_hz=1.5).joints[240:-240]
    errors = [np.abs(resample(a_motion(fps, top_hz=1.5), 240, "cubic").joints[240:-240] - truth).max() for fps in (20, 40)]
    assert np.log2(errors[0] / errors[1]) > 3.5


def test_linear_converges_with_the_square_of_the_step():
    truth = a_motion(240, top_hz=1.5).joints
    errors = [np.abs(resample(a_motion(fps, top_hz=1.5), 240, "linear").joints - truth).max() for fps in (20, 40)]
    assert 1.8 < np.log2(errors[0] / errors[1]) < 2.2


def test_slerp_keeps_bone_lengths():
    motion = resample(a_motion(20), 97.3, "slerp")
    bones = np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, SMPL22.parents[1:]], axis=-1)
    assert np.abs(bones - SMPL22.lengths[1:]).max() < 1e-9


def test_slerp_goes_halfway_along_the_great_circle():
    found = slerp(np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.array([0.5]))
    assert np.allclose(found, [0.5**0.5, 0.5**0.5, 0])


def test_antialias_removes_what_the_new_rate_cannot_hold():
    fps, t = 120, np.arange(481) / 120
    joints = np.tile(a_motion(120, top_hz=0.3).joints[:1], (481, 1, 1))
    joints[:, :, 1] += 0.01 * np.sin(2 * np.pi * 17 * t)[:, None]
    motion = Motion(joints, fps)
    inner = slice(20, -20)
    assert np.ptp(resample(motion, 20, mode="sample").joints[inner, 0, 1]) > 0.015
    assert np.ptp(resample(motion, 20, mode="antialias").joints[inner, 0, 1]) < 1e-4


@pytest.mark.parametrize("order", [1, 2, 3])
def test_derivatives_do_not_depend_on_the_rate(order):
    def signal(fps):
        t = np.arange(6 * fps + 1) / fps
        return sum(np.sin(2 * np.pi * hz * t + hz) / hz for hz in (0.4, 1.3, 2.9, 5.1))[:, None]

    values = {fps: derivative(signal(fps), fps, order)[fps : -fps : fps // 20] for fps in (20, 60, 120, 240)}
    scale = np.abs(values[240]).max()
    for fps in (20, 60, 120):
        assert np.abs(values[fps] - values[240]).max() < 1e-4 * scale


def test_a_sine_is_differentiated_exactly():
    t = np.arange(601) / 60
    found = derivative(np.sin(2 * np.pi * 3 * t)[:, None], 60, 2)[120:-120, 0]
    assert np.abs(found + (6 * np.pi) ** 2 * np.sin(2 * np.pi * 3 * t)[120:-120]).max() < 1e-3 * (6 * np.pi) ** 2


def test_a_still_pose_has_no_acceleration_wherever_it_stands():
    joints = np.tile(a_motion(60).joints[:1] + 50.0, (200, 1, 1))
    assert np.abs(derivative(joints, 60, 2)).max() < 1e-6


@pytest.mark.parametrize("fps", [60, 100, 120, 240])
def test_band_energy_reads_a_12_hz_tremor_at_every_rate(fps):
    t = np.arange(5 * fps + 1) / fps
    joints = np.zeros((len(t), 22, 3))
    joints[:, :, 0] = 0.001 * np.sin(2 * np.pi * 12 * t)[:, None]
    expected = (0.001 * (2 * np.pi * 12) ** 2) ** 2 / 2
    assert band_energy(joints, fps) == pytest.approx(expected, rel=0.05)
    assert band_energy(joints * 0 + np.sin(2 * np.pi * 3 * t)[:, None, None], fps) < 0.02 * (6 * np.pi) ** 4


def test_lowpass_keeps_what_is_below_and_removes_what_is_above():
    t = np.arange(1201) / 120
    low, high = np.sin(2 * np.pi * 4 * t), np.sin(2 * np.pi * 12 * t)
    assert np.abs(lowpass((low + high)[:, None], 120, 8)[200:-200, 0] - low[200:-200]).max() < 0.01


def test_bone_directions_and_joints_are_inverse():
    motion = a_motion(30)
    again = joints_from_directions(motion.root, bone_directions(motion.joints, SMPL22), SMPL22)
    assert np.abs(again - motion.joints).max() < 1e-12


def test_a_canonical_motion_starts_above_the_origin_facing_z():
    moved = a_motion(30).transformed(yaw=2.0, translation=(3.0, 0.0, -1.0))
    start = moved.canonical().joints[0]
    assert np.abs(start[0, [0, 2]]).max() < 1e-9
    assert abs(heading(start)) < 1e-9
    assert np.allclose(moved.canonical().joints[:, :, 1], moved.joints[:, :, 1])


def test_mirroring_twice_is_nothing_and_once_turns_the_other_way():
    motion = a_motion(30)
    assert np.array_equal(motion.mirrored().mirrored().joints, motion.joints)
    assert np.allclose(heading(motion.mirrored().joints), -heading(motion.joints))


@pytest.mark.parametrize("fps", [0, -3, float("nan"), "fast"])
def test_a_rate_must_be_a_positive_number(fps):
    with pytest.raises(InputError, match="expected a positive number"):
        Motion(a_motion(30).joints, fps)


def test_values_that_are_not_finite_are_refused_with_their_place():
    joints = a_motion(30).joints.copy()
    joints[7, 4, 1] = np.nan
    with pytest.raises(InputError, match="frame 7, joint 'l_knee'"):
        Motion(joints, 30)
