"""Contacts, events, peaks and bands against closed forms and planted moments."""

import numpy as np
import pytest
from acting import BLOW_S, DIP_M, JOLTS_S, LANDED_S, acting

from evaluators.metrics import physical
from evaluators.metrics.detail import bands, contact_times, events, fidelity, peaks
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.resample import frame_times

RATES = (60.0, 120.0, 240.0)
MIDDLE = 2 * np.pi * np.sqrt(8.0 * 20.0)
"""Middle of the band, rad/s."""


def standing(fps: float, seconds: float = 4.0) -> np.ndarray:
    """[T, 22, 3] a pose held, toes on the floor and ankles 9 cm above it."""
    joints = np.ones((len(frame_times(seconds, fps)), 22, 3))
    for side in "lr":
        joints[:, SMPL22.index(f"{side}_ankle"), 1] = 0.09
        joints[:, SMPL22.index(f"{side}_foot"), 1] = 0.0
    return joints


def sliding_then_planted(fps: float, late: float = 0.0) -> Motion:
    """The left toe slides at 1 m/s, slows down from 1.0 to 1.2 s, stands, and is off again from 3.0 to 3.2 s; the others stand."""
    joints = standing(fps)
    fine = np.arange(-1.0, 5.0, 1e-4)
    speed = np.interp(fine, [0, 1.0, 1.2, 3.0, 3.2, 4.0], [1, 1, 0, 0, 1, 1])
    path = np.cumsum(speed) * 1e-4
    joints[:, SMPL22.index("l_foot"), 2] += np.interp(frame_times(4.0, fps) - late, fine, path)
    return Motion(joints, fps)


def shaken(names: dict[str, float], fps: float = 120.0, moment: float | None = 2.0) -> Motion:
    """Standing, with joints shaken in the middle of the band, by so many m/s^2; for a moment, or all the time."""
    joints, t = standing(fps), frame_times(4.0, fps)
    window = np.ones_like(t) if moment is None else np.exp(-(((t - moment) / 0.06) ** 2))
    for name, strength in names.items():
        joints[:, SMPL22.index(name), 0] += strength / MIDDLE**2 * window * np.cos(MIDDLE * (t - (moment or 0)))
    return Motion(joints, fps)


# --- contacts -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", RATES)
def test_a_foot_touches_down_when_it_is_slower_than_0_3_and_lifts_off_above_0_5_metres_a_second(fps):
    contacts = contact_times.contact_times(sliding_then_planted(fps))["l_foot"]
    np.testing.assert_allclose(contacts.down, [1.14], atol=0.002)
    np.testing.assert_allclose(contacts.up, [3.1], atol=0.002)
    others = contact_times.contact_times(sliding_then_planted(fps))["r_ankle"]
    assert not len(others.down) and not len(others.up), "one that stands all the time neither touches down nor lifts off"


def test_a_foot_that_stays_in_the_air_has_no_contact():
    joints = standing(120.0)
    joints[..., 1] += 0.3
    assert all(not len(c.down) and not len(c.up) for c in contact_times.contact_times(Motion(joints, 120.0)).values())


def test_speed_between_the_two_limits_neither_begins_nor_ends_a_contact():
    joints, t = standing(120.0), frame_times(4.0, 120.0)
    wobble = 0.4 / (2 * np.pi * 3) * np.sin(2 * np.pi * 3 * t)  # its speed swings between 0 and 0.4 m/s
    joints[:, SMPL22.index("r_foot"), 0] += np.where(t < 1, t - 1, wobble)
    contacts = contact_times.contact_times(Motion(joints, 120.0))["r_foot"]
    assert len(contacts.down) == 1 and contacts.down[0] == pytest.approx(1.0, abs=0.2) and not len(contacts.up)


@pytest.mark.parametrize(("late", "found"), [(0.012, 1.0), (0.04, 0.0)])
def test_contacts_that_come_late_are_late_by_as_much(late, found):
    made, recorded = sliding_then_planted(120.0, late), sliding_then_planted(120.0)
    assert contact_times.contact_timing(made, recorded) == pytest.approx(1e3 * late, abs=0.5)
    assert contact_times.contacts_found(made, recorded) == found


def test_times_are_matched_one_to_one_and_never_across_the_window():
    made, recorded = np.array([0.3, 1.0, 1.05, 4.0]), np.array([0.1, 1.04, 9.0])
    a, b = contact_times.match(made, recorded, 0.25)
    assert dict(zip(b.tolist(), made[a].tolist(), strict=True)) == {0: 0.3, 1: 1.05}
    assert all(len(side) == 0 for side in contact_times.match(made, np.zeros(0), 0.25))


@pytest.mark.parametrize("fps", RATES)
def test_the_depth_of_a_landing_is_the_deepest_place_within_a_tenth_of_a_second(fps):
    toes = [contact_times.contact_times(acting(0, fps))[f"{side}_foot"].down for side in "lr"]
    assert [len(times) for times in toes] == [len(LANDED_S["l"]), len(LANDED_S["r"])]
    depth = contact_times.landing_penetration_mm(acting(0, fps))
    assert 0.2 * 1e3 * DIP_M < depth < 0.5 * 1e3 * DIP_M, "half of the touch-downs are those of ankles, which sink nowhere"
    assert np.isnan(contact_times.landing_penetration_mm(Motion(standing(fps), fps)))


# --- events ---------------------------------------------------------------------------------------------------------------------------


def test_a_spike_of_one_joint_that_no_neighbour_shares_is_no_event():
    assert events.find_events(shaken({"l_wrist": 60.0})) == []
    assert events.find_events(shaken({"l_knee": 60.0})) == []
    (event,) = events.find_events(shaken({"l_wrist": 60.0, "l_elbow": 20.0}))
    assert event.joint == "l_wrist" and event.time == pytest.approx(2.0, abs=0.002) and 55 < event.strength < 65


def test_a_spike_of_a_foot_is_an_event_where_the_foot_touches_down():
    """A touch-down at 1.14 s explains a jolt of the toe alone at 1.15 s, and not one at 2 s."""
    landing = sliding_then_planted(120.0)
    for moment, expected in ((1.15, ["l_foot"]), (2.0, [])):
        jolt = shaken({"l_foot": 60.0}, moment=moment).joints - standing(120.0)
        found = events.find_events(Motion(landing.joints + jolt, 120.0))
        assert [event.joint for event in found if abs(event.time - moment) < 0.03] == expected


def test_tremor_that_goes_on_is_no_event_and_its_strength_is_its_amplitude():
    tremor = shaken({name: 50.0 for name in SMPL22.names}, moment=None)
    assert events.find_events(tremor) == [] and events.event_rate(tremor) == 0
    np.testing.assert_allclose(events.strengths(tremor)[120:-120], 50.0, rtol=0.01)


def test_a_blow_weaker_than_10_metres_a_second_squared_is_measuring_noise():
    assert events.find_events(shaken({"l_wrist": 9.0, "l_elbow": 9.0})) == []


@pytest.mark.parametrize("fps", RATES)
def test_jolts_are_found_at_their_moment_at_every_rate(fps):
    found = [event for event in events.find_events(acting(0, fps)) if event.joint == "pelvis"]
    np.testing.assert_allclose([event.time for event in found], JOLTS_S, atol=0.003)
    assert events.event_rate(acting(0, fps)) == pytest.approx(len(events.find_events(acting(0, 120.0))) / 6.0)


def test_events_are_found_again_within_25_ms_and_with_their_strength():
    recorded = shaken({"l_wrist": 60.0, "l_elbow": 20.0})
    assert events.events_found(recorded, recorded) == 1 and events.events_invented(recorded, recorded) == 0
    assert events.event_strength(recorded, recorded) == 1
    weak = Motion(0.5 * (recorded.joints + standing(120.0)), 120.0)
    assert events.event_strength(weak, recorded) == pytest.approx(0.5, rel=1e-6)
    late = shaken({"l_wrist": 60.0, "l_elbow": 20.0}, moment=2.04)
    assert events.events_found(late, recorded) == 0 and events.events_invented(late, recorded) == 1
    still = Motion(standing(120.0), 120.0)
    assert events.events_found(still, recorded) == 0 and events.event_strength(still, recorded) == 0
    assert np.isnan(events.events_found(recorded, still)) and np.isnan(events.events_invented(still, recorded))


# --- peaks ----------------------------------------------------------------------------------------------------------------------------


def swung(metres: float, fps: float) -> Motion:
    joints = standing(fps)
    joints[:, SMPL22.index("r_wrist"), 0] += metres * np.sin(2 * np.pi * 2 * frame_times(4.0, fps))
    return Motion(joints, fps)


@pytest.mark.parametrize("fps", RATES)
def test_peaks_of_a_sine_are_the_closed_form(fps):
    assert peaks.peak_speed(swung(0.3, fps)) == pytest.approx(0.3 * 4 * np.pi, rel=0.005)
    inside = swung(0.3, fps).cut(0.0, 4.0)
    assert peaks.peak_acceleration(inside) == pytest.approx(0.3 * (4 * np.pi) ** 2, rel=0.05)
    assert peaks.peak_speed_error(swung(0.24, fps), swung(0.3, fps)) == pytest.approx(0.2, abs=1e-6)
    assert peaks.peak_acceleration_error(swung(0.33, fps), swung(0.3, fps)) == pytest.approx(0.1, abs=1e-6)
    assert np.isnan(peaks.peak_speed_error(swung(0.3, fps), swung(0.1, fps))), "1.3 m/s is no stroke"


def test_a_blow_is_a_peak_of_speed():
    """A Gaussian of 0.4 m and 0.1 s has its highest speed, 0.4 / 0.1 * sqrt(2 / e), on both sides of the blow."""
    motion = Motion(acting(0, 120.0).joints - acting(0, 120.0, size=0.0).joints + standing(120.0, 6.0), 120.0)
    around = motion.cut(BLOW_S - 0.5, BLOW_S + 0.5)
    assert peaks.peak_speed(around) == pytest.approx(4 * np.sqrt(2 / np.e), rel=0.03)


# --- the band as a distribution ------------------------------------------------------------------------------------------------------


def test_one_percent_of_the_pairs_that_hold_half_of_the_power_read_as_half():
    power = np.full(10_000, 2.0)
    power[:100] = 2.0 * 99
    counted = bands.counted(power, np.zeros(10_000, dtype=np.int64))
    assert counted.top_share() == pytest.approx(0.5) and counted.top_share(1.0) == pytest.approx(1.0)
    assert bands.counted(np.full(1000, 3.0), np.zeros(1000, dtype=np.int64)).top_share() == pytest.approx(0.01)


def test_quantiles_are_read_in_the_middle_of_fine_bins():
    power = 10 ** np.random.default_rng(0).uniform(-2, 2, 100_000)
    counted = bands.counted(power, np.zeros(len(power), dtype=np.int64))
    for q, expected in ((0.1, -1.6), (0.5, 0.0), (0.9, 1.6)):
        assert np.log10(counted.quantile(q)) == pytest.approx(expected, abs=0.02)


def test_ten_times_the_power_is_one_decade_away_and_noise_is_no_difference():
    rng = np.random.default_rng(0)
    power, class_ = 10 ** rng.normal(2, 0.3, 50_000), rng.integers(4, size=50_000)
    recorded = bands.counted(power, class_)
    assert recorded.distance(recorded) == 0
    assert bands.counted(10 * power, class_).distance(recorded) == pytest.approx(1.0, abs=0.01)
    quiet = bands.counted(1e-3 * power, class_)
    assert bands.counted(1e-5 * power, class_).distance(quiet) == pytest.approx(0, abs=0.01)


def test_the_distance_is_that_of_the_classes_of_speed_weighted_by_the_recordings():
    recorded = bands.counted(np.full(100, 10.0), np.repeat([0, 3], (25, 75)))
    shaky = bands.counted(np.repeat([1000.0, 10.0], (50, 50)), np.repeat([0, 3], (50, 50)))
    assert shaky.distance(recorded) == pytest.approx(0.25 * 2)
    never_still = bands.counted(np.full(10, 1000.0), np.full(10, 3))
    assert never_still.distance(recorded) == pytest.approx(2), "a class that it lacks is compared with its nearest"
    with pytest.raises(InputError, match="no motion"):
        recorded.distance(bands.together([bands.counted(np.zeros(0), np.zeros(0, dtype=np.int64))]))


def test_the_measuring_noise_is_the_power_of_joints_that_stand_still():
    """A joint trembles by 3 m/s^2: |a|^2 = 9 cos^2, of median 4.5. One that swings at 2 m/s counts elsewhere."""
    tremor = shaken({name: 3.0 for name in SMPL22.names if name != "l_wrist"}, moment=None)
    joints = tremor.joints.copy()
    joints[:, SMPL22.index("l_wrist"), 2] += 0.3 * np.sin(2 * np.pi * frame_times(4.0, 120.0))
    assert bands.band_still([Motion(joints, 120.0)]) == pytest.approx(4.5, rel=0.05)


# --- bands of a reconstruction --------------------------------------------------------------------------------------------------------


def test_half_a_sine_has_a_quarter_of_its_energy_as_error_and_silence_all_of_it():
    recorded = shaken({"head": 10.0, "l_wrist": 20.0}, moment=None)
    still = Motion(standing(120.0), 120.0)
    for made, error, correlation in ((0.5, 0.25, 1.0), (-1.0, 4.0, -1.0), (1.0, 0.0, 1.0)):
        copy = Motion(still.joints + made * (recorded.joints - still.joints), 120.0)
        assert fidelity.band_fidelity([copy], [recorded], (8, 20)) == pytest.approx(error, abs=1e-9)
        assert fidelity.band_correlation([copy], [recorded], (8, 20)) == pytest.approx(correlation, abs=1e-9)
    assert fidelity.band_fidelity([still], [recorded], (8, 20)) == 1 and fidelity.band_correlation([still], [recorded], (8, 20)) == 0


def test_an_error_in_one_band_is_none_in_another():
    joints, t = standing(120.0, 8.0), frame_times(8.0, 120.0)[:, None]
    recorded = Motion(joints + 0.1 * np.sin(2 * np.pi * 1.4 * t[..., None]) + 0.001 * np.sin(2 * np.pi * 10 * t[..., None]), 120.0)
    made = Motion(joints + 0.1 * np.sin(2 * np.pi * 1.4 * t[..., None]), 120.0)
    low, high = fidelity.band_powers(made, recorded, [(1, 2), (8, 12)])
    assert fidelity.fidelity([low]) < 1e-4 and fidelity.fidelity([high]) == pytest.approx(1, abs=0.02)
    with pytest.raises(InputError, match="at least 50 fps"):
        fidelity.band_powers(Motion(joints, 40.0), Motion(joints, 40.0), [(12, 20)])
    with pytest.raises(InputError, match="bring both to one rate"):
        fidelity.band_powers(Motion(joints, 60.0), Motion(joints, 120.0), [(1, 2)])


# --- kimodo's form of foot skate ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mps", "ratio"), [(0.5, 1.0), (0.19, 0.0)])
def test_toes_that_slide_below_5_cm_skate_at_their_speed(mps, ratio):
    joints = standing(30.0)
    joints[..., 0] += mps * frame_times(4.0, 30.0)[:, None]
    joints[60:, SMPL22.index("r_foot"), 1] = 0.06  # the right toe is up in the second half
    assert physical.skate_kimodo(Motion(joints, 30.0)) == pytest.approx(mps, rel=0.05)
    assert physical.skate_kimodo_ratio(Motion(joints, 30.0)) == ratio
    joints[:, [SMPL22.index("l_foot"), SMPL22.index("r_foot")], 1] = 0.06
    assert np.isnan(physical.skate_kimodo(Motion(joints, 30.0))) and np.isnan(physical.skate_kimodo_ratio(Motion(joints, 30.0)))
