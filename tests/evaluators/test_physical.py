"""Physical metrics in SI units: closed forms, and the same reading at every frame rate."""

import numpy as np
import pytest

from evaluators.metrics import physical as p
from nerm.errors import InputError
from nerm.motion.motion import Motion
from nerm.motion.resample import frame_times
from nerm.motion.skeleton import SMPL22

RATES = (20.0, 60.0, 120.0, 240.0)
FEET = [SMPL22.index(name) for name in p.FEET]


def still(fps: float, seconds: float = 4.0, height: float = 0.0) -> np.ndarray:
    """[T, 22, 3] a person who stands with its toes at `height`."""
    joints = np.zeros((len(frame_times(seconds, fps)), 22, 3))
    joints[..., 1] = 1.0
    joints[:, FEET, 1] = np.array([0.08, 0.08, 0.0, 0.0]) + height
    return joints


@pytest.mark.parametrize("fps", RATES)
def test_a_slide_reads_the_same_at_every_rate(fps):
    joints = still(fps)
    joints[..., 0] += 0.5 * frame_times(4.0, fps)[:, None]
    motion = Motion(joints, fps)
    assert p.foot_skate(motion) == pytest.approx(0.5, rel=1e-3)
    assert p.foot_skate_ratio(motion) == 1
    assert p.contact_ratio(motion) == 0


@pytest.mark.parametrize("fps", RATES)
def test_standing_still_is_contact_without_skate(fps):
    motion = Motion(still(fps), fps)
    assert p.contact_ratio(motion) == 1 and p.contacts(motion)[:, 2:].all() and not p.contacts(motion)[:, :2].any()
    assert p.foot_skate(motion) == pytest.approx(0, abs=1e-9) and p.foot_skate_ratio(motion) == 0


def test_a_touch_shorter_than_a_tenth_of_a_second_is_no_contact():
    for seconds, expected in ((0.05, False), (0.15, True)):
        joints = still(240.0, height=0.055)
        frames = slice(300, 300 + round(seconds * 240))
        joints[frames, FEET[2], 1] = 0.045
        assert p.contacts(Motion(joints, 240.0)).any() == expected


@pytest.mark.parametrize("fps", RATES)
def test_depth_and_height_are_read_in_millimetres(fps):
    assert p.penetration_mm(Motion(still(fps, height=-0.03), fps)) == pytest.approx(30)
    assert p.float_mm(Motion(still(fps, height=0.02), fps)) == pytest.approx(20)
    bobbing = still(fps)
    bobbing[..., 1] += 0.04 * np.sin(2 * np.pi * frame_times(4.0, fps))[:, None]
    assert p.penetration_mm(Motion(bobbing, fps)) == pytest.approx(40 / np.pi, rel=0.02)


def test_a_motion_that_never_comes_down_has_no_skate_and_is_left_out_of_the_mean():
    up, slide = Motion(still(60.0, height=1.0), 60.0), still(60.0)
    slide[..., 0] += 0.2 * frame_times(4.0, 60.0)[:, None]
    assert np.isnan(p.foot_skate(up))
    assert p.physical([up, Motion(slide, 60.0)])["foot_skate"] == pytest.approx(0.2, rel=1e-3)
    assert "foot_skate" not in p.physical([up])


@pytest.mark.parametrize("fps", RATES)
def test_speed_acceleration_and_jerk_of_a_sine_are_the_closed_form(fps):
    omega, amplitude = 2 * np.pi * 2.25, 0.1
    joints = still(fps)
    joints[..., 2] += amplitude * np.sin(omega * frame_times(4.0, fps))[:, None]
    motion = Motion(joints, fps)
    means = p.physical([motion])
    for order, name in enumerate(("velocity", "acceleration", "jerk"), start=1):
        assert means[name] == pytest.approx(amplitude * omega**order * 2 / np.pi, rel=0.02), name


@pytest.mark.parametrize("fps", (60.0, 120.0, 240.0))
def test_energy_between_8_and_20_hz_is_that_of_the_sine_in_the_band(fps):
    t = frame_times(4.0, fps)[:, None]
    inside, below = (2 * np.pi * hz for hz in (13.0, 2.0))
    joints = still(fps)
    joints[..., 2] += 0.002 * np.sin(inside * t) + 0.1 * np.sin(below * t)
    assert p.band_energy_8_20(Motion(joints, fps)) == pytest.approx(0.002**2 * inside**4 / 2, rel=0.03)
    doubled = joints.copy()
    doubled[..., 2] += 0.002 * np.sin(inside * t)
    assert p.band_energy_error([Motion(doubled, fps)], [Motion(joints, fps)]) == pytest.approx(2, abs=0.05)


def test_energy_between_8_and_20_hz_is_not_defined_at_20_fps():
    motion = Motion(still(20.0), 20.0)
    with pytest.raises(InputError, match="60 fps"):
        p.band_energy_8_20(motion)
    assert "band_energy" not in p.physical([motion])


def test_acceleration_spectra_share_their_grid_and_density_between_rates():
    spectra = {}
    for fps in (60.0, 120.0, 240.0):
        t = frame_times(8.0, fps)[:, None]
        joints = still(fps, 8.0)
        joints[..., 2] += 0.01 * np.sin(2 * np.pi * 3 * t) + 0.001 * np.sin(2 * np.pi * 14 * t)
        spectra[fps] = p.acceleration_spectrum(joints, fps)
    hz, reference = spectra[240.0]
    assert np.sum(reference) * (hz[1] - hz[0]) == pytest.approx(
        ((0.01 * (6 * np.pi) ** 2) ** 2 + (0.001 * (28 * np.pi) ** 2) ** 2) / 2, rel=0.02
    )
    for fps in (60.0, 120.0):
        grid, density = spectra[fps]
        np.testing.assert_allclose(grid, hz[: len(grid)])
        peaks = [np.argmin(abs(grid - peak)) for peak in (3, 14)]
        np.testing.assert_allclose(density[peaks], reference[peaks], rtol=0.02)


def test_a_motion_shorter_than_the_window_still_has_a_spectrum_on_the_same_grid():
    hz, density = p.acceleration_spectrum(still(120.0, 0.5), 120.0)
    assert hz[1] == 0.5 and np.isfinite(density).all()
    with pytest.raises(InputError, match="T >= 4"):
        p.acceleration_spectrum(still(120.0)[:3], 120.0)
