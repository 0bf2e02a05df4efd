"""Feet are held where they touch the floor: planted slides stop, legs keep their lengths, and the rest stays as it was."""

from itertools import pairwise

import numpy as np
import pytest

from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, Skeleton
from nerm.motion.feet import GRID_HZ, Footing, _standing, find_contacts, lock
from nerm.motion.kinematics import derivative
from nerm.motion.legs import bend
from nerm.motion.resample import resample

LEFT = [SMPL22.index(f"l_{name}") for name in ("hip", "knee", "ankle", "foot")]
RIGHT = [SMPL22.index(f"r_{name}") for name in ("hip", "knee", "ankle", "foot")]
SLIDE_MPS = 0.2


def standing() -> np.ndarray:
    """[22, 3] a person with slightly bent knees, toes at 1 cm."""
    joints = np.zeros((22, 3))
    for joint in range(1, 22):
        joints[joint] = joints[SMPL22.parents[joint]] + SMPL22.offsets[joint]
    for hip, knee, ankle, toe in (LEFT, RIGHT):
        joints[ankle] = joints[hip] - (0, 0.76, 0)
        joints[[knee]], _ = bend(*(joints[[j]] for j in (hip, knee, ankle, hip, ankle)), np.array([[1.0, 0, 0]]))
        joints[toe] = joints[ankle] + (0, -0.06, 0.12)
    return joints - (0, joints[LEFT[3], 1] - 0.01, 0)


def sliding(times: np.ndarray, height: float = 0.0) -> np.ndarray:
    """[T, 22, 3] the whole body, in its standing pose, glides along z at SLIDE_MPS."""
    return standing() + np.array([0, height, 0]) + SLIDE_MPS * times[:, None, None] * np.array([0, 0, 1.0])


def walking(times: np.ndarray) -> np.ndarray:
    """[T, 22, 3] feet swing 12 cm up and 0.8 m on by turns, 0.5 s each, and slide 5 cm on while they stand; the root goes at their mean."""
    joints = np.repeat(standing()[None], len(times), axis=0)
    root = 0.85 * times[:, None] * np.array([0, 0, 1.0])
    joints += root[:, None]
    for (hip, knee, ankle, toe), phase in ((LEFT, 0.0), (RIGHT, 0.5)):
        turn, share = np.divmod(times + phase, 1.0)
        swing = np.clip((share - 0.5) / 0.5, 0, 1)
        ease = swing**3 * (10 - 15 * swing + 6 * swing**2)
        along = 0.85 * turn + 0.8 * ease + 0.1 * np.minimum(share, 0.5) - 0.85 * times + 0.85 * (0.25 - phase) - 0.025
        moved = np.stack([0 * along, 0.12 * np.sin(np.pi * swing) ** 2, along], axis=-1)
        before = joints.copy()
        left = np.repeat([[1.0, 0, 0]], len(times), axis=0)
        joints[:, knee], joints[:, ankle] = bend(*(before[:, j] for j in (hip, knee, ankle, hip)), before[:, ankle] + moved, left)
        joints[:, toe] = joints[:, ankle] + before[:, toe] - before[:, ankle]
    return joints


def motion(path, fps: float, seconds: float = 3.0) -> Motion:
    return Motion(path(np.arange(round(seconds * fps) + 1) / fps), fps)


def toe_speed(motion: Motion) -> np.ndarray:
    """[T, 2] along the floor."""
    return np.linalg.norm(derivative(motion.joints[:, [LEFT[3], RIGHT[3]]], motion.fps, 1)[..., [0, 2]], axis=-1)


# ---- contacts ----


@pytest.mark.parametrize("fps", [20.0, 60.0, 120.0])
def test_a_foot_that_stands_from_one_second_on_is_in_contact_from_then_on_at_every_rate(fps):
    def coming_down(times):
        height = 0.3 * np.clip(1.0 - times, 0, 1) ** 2
        return standing() + height[:, None, None] * np.array([0, 1.0, 0])

    contacts = Footing.of(motion(coming_down, fps)).contacts
    begins = 1.0 - np.sqrt((0.05 - 0.01) / 0.3)  # where the toe, which ends at 1 cm, passes 5 cm
    np.testing.assert_allclose(contacts.argmax(axis=0) / GRID_HZ, begins, atol=0.02)
    assert contacts[round(begins * GRID_HZ) + 2 :].all()


def test_a_toe_that_passes_the_floor_fast_is_not_in_contact():
    toes = np.zeros((121, 2, 3))
    toes[:, 0, 2] = np.linspace(0, 2.0, 121)
    contacts = find_contacts(toes, np.zeros((121, 3)))
    assert not contacts[:, 0].any() and contacts[:, 1].all()


# ---- what is held ----


def test_a_slide_of_known_speed_stops():
    before = motion(sliding, 60.0)
    inside = slice(15, -15)
    assert toe_speed(before)[inside] == pytest.approx(SLIDE_MPS, abs=1e-6)
    held = lock(before)
    assert toe_speed(held)[inside].max() < 0.06 * SLIDE_MPS
    assert np.linalg.norm(held.joints - before.joints, axis=-1).max() < SLIDE_MPS * before.seconds / 2 + 0.1


@pytest.mark.parametrize("fps", [30.0, 120.0])
def test_walking_feet_stand_and_knees_are_no_rougher_than_before(fps):
    before = motion(walking, fps)
    held = lock(before)
    stands = Footing.of(before).contacts[:: round(GRID_HZ / fps)][: len(before)]
    inside = stands & np.roll(stands, round(0.1 * fps), axis=0) & np.roll(stands, -round(0.1 * fps), axis=0)
    inside[: round(0.2 * fps)] = inside[-round(0.2 * fps) :] = False
    assert inside.sum() > 0.3 * inside.size
    assert toe_speed(before)[inside].mean() == pytest.approx(0.1, abs=0.02)
    assert toe_speed(held)[inside].mean() < 0.015
    largest = [np.linalg.norm(derivative(m.joints[:, [LEFT[1], RIGHT[1]]], fps, 2), axis=-1).max() for m in (before, held)]
    assert largest[1] < 1.2 * largest[0]


def test_a_leg_whose_heel_is_near_the_hip_is_moved_less_for_there_a_small_move_turns_all_of_it():
    times = np.arange(241) / GRID_HZ
    toes = np.array([1, -1])[:, None] * 0.1 * times[:, None, None] * np.array([0, 0, 1.0])  # the feet slide apart
    swing = (times > 0.7) & (times < 1.3)
    contacts = np.stack([np.ones_like(swing), ~swing], axis=1)
    folded = np.stack([np.ones(241), 1 + 3 * np.where(swing, np.sin(np.pi * (times - 0.7) / 0.6) ** 2, 0)], axis=1)
    largest = []
    for bent in (folded, np.ones_like(folded)):
        feet, root = _standing(toes, contacts, bent)
        assert np.abs(np.diff(feet[:, 0, 2]) * GRID_HZ + 0.1)[30:-30].max() < 0.01  # the left foot stands all the same
        largest.append(np.linalg.norm(folded[:, 1, None] * (feet[:, 1] - root), axis=-1)[swing].max())
    assert largest[0] < 0.6 * largest[1]


def test_bones_keep_their_lengths():
    before = motion(walking, 60.0)
    held = lock(before)
    for leg in (LEFT, RIGHT):
        for upper, lower in pairwise(leg):
            lengths = [np.linalg.norm(m.joints[:, lower] - m.joints[:, upper], axis=-1) for m in (before, held)]
            np.testing.assert_allclose(*lengths, atol=1e-6)


def test_a_motion_without_contact_stays_as_it_is_bit_for_bit():
    def in_the_air(times):
        return sliding(times, height=0.3)

    before = motion(in_the_air, 60.0)
    np.testing.assert_array_equal(lock(before).joints, before.joints)


def test_a_foot_that_has_sunk_is_raised_to_the_floor_and_never_above():
    def sunk(times):
        return sliding(0 * times, height=-0.03)

    held = lock(motion(sunk, 60.0))
    np.testing.assert_allclose(held.joints[:, [LEFT[3], RIGHT[3]], 1], 0.0, atol=1e-6)


def test_a_leg_that_would_have_to_stretch_brings_the_root_nearer():
    def too_long(times):
        """The right foot, on the floor, slides 0.3 m back under a straight leg."""
        joints = np.repeat(standing()[None], len(times), axis=0)
        joints[:, RIGHT, 2] -= 0.15 * times[:, None] * np.array([0, 0.5, 1, 1])
        joints[:, RIGHT[1]], joints[:, RIGHT[2]] = bend(
            *(joints[:, j] for j in (RIGHT[0], RIGHT[1], RIGHT[2], RIGHT[0], RIGHT[2])), np.repeat([[1.0, 0, 0]], len(times), axis=0)
        )
        return joints

    before = motion(too_long, 60.0)
    held = lock(before)
    reach = np.linalg.norm(held.joints[:, RIGHT[2]] - held.joints[:, RIGHT[0]], axis=-1)
    longest = np.linalg.norm(SMPL22.offsets[RIGHT[1]]) + np.linalg.norm(SMPL22.offsets[RIGHT[2]])
    assert reach.max() < longest


# ---- a function of time ----


def test_readings_of_one_motion_at_several_rates_are_held_alike():
    footing = Footing.of(motion(walking, GRID_HZ))
    held = {fps: footing.hold(motion(walking, fps)).joints for fps in (20.0, 30.0, 50.0, 60.0, 100.0, 240.0)}
    np.testing.assert_array_equal(held[60.0][::3], held[20.0])
    np.testing.assert_array_equal(held[240.0][::12], held[20.0])
    np.testing.assert_allclose(held[100.0][::2], held[50.0], atol=1e-12)


def test_two_files_of_one_motion_are_held_as_alike_as_the_resampler_joins_their_frames():
    fine = motion(walking, 60.0)
    coarse = fine[::2]
    gap = np.linalg.norm(resample(coarse, 60.0, "cubic").joints - fine.joints, axis=-1).max()
    assert np.linalg.norm(lock(fine).joints[::2] - lock(coarse).joints, axis=-1).max() < max(5 * gap, 0.005)


# ---- legs ----


def test_a_knee_stays_in_its_plane_and_bends_to_the_same_side():
    hip, ankle = np.array([[0, 0.8, 0]]), np.array([[0, 0, 0.0]])
    knee = np.array([[0.1, 0.4, 0.1]])  # turned out by 45 degrees
    moved, reached = bend(hip, knee, ankle, hip, np.array([[0, 0.05, 0.0]]), np.array([[1.0, 0, 0]]))
    np.testing.assert_allclose(reached, [[0, 0.05, 0]], atol=1e-12)
    assert np.linalg.norm(moved - hip) == pytest.approx(np.linalg.norm(knee - hip), abs=1e-12)
    assert moved[0, 2] > 0.1 and moved[0, 0] == pytest.approx(moved[0, 2], rel=0.3)  # a knee that is bent well keeps its plane, nearly


def test_a_straight_leg_bends_forward_and_reaches_no_farther_than_it_is_long():
    hip, knee, ankle, left = (np.array([x], float) for x in ((0, 0.8, 0), (0, 0.4, 0), (0, 0, 0), (1, 0, 0)))
    up = np.array([0, 0.1, 0])
    moved, _ = bend(hip, knee, ankle, hip, ankle + up, left)
    assert moved[0, 2] > 0.1 and abs(moved[0, 0]) < 1e-9
    _, reached = bend(hip, knee, ankle, hip, ankle - up, left)
    np.testing.assert_allclose(reached, ankle, atol=1e-12)


def test_a_skeleton_without_feet_is_refused():
    short = Skeleton("two", ("pelvis", "l_hip"), (-1, 0), np.array([[0, 0, 0], [0.1, 0, 0]]))
    with pytest.raises(InputError, match="has no joint"):
        lock(Motion(np.zeros((4, 2, 3)), 20.0, short))
