"""The stance: a path from what the legs do, at one set of moments whatever the rate, and what its network sees."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from moving import a_motion
from standing import PLANE, blank, choosing, drawn, on_the_lower_toe, parts_of, seen_of, stand, walked, walker

from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, frame_times
from nerm.motion.skeleton import SMPL24, yaw_matrix
from nerm.stance import FEET, RATE, Stance, StanceConfig, around, in_frame, in_world, moments_of

# --- the path -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("speed", "slide"), [(0.9, 0.0), (0.9, 0.5), (1.4, -0.8)])
def test_who_stands_on_the_lower_toe_is_where_its_legs_have_walked_whatever_the_hint_says(speed, slide):
    made, true = walker(120, 4.0, speed, slide), walker(120, 4.0, speed)
    stood = stand(on_the_lower_toe(), made, "nerm")
    assert np.abs(walked(stood) - walked(true)).max() < 0.003
    if slide:
        assert np.abs(walked(made) - walked(true)).max() > 1
    assert np.array_equal(stood.joints[0], made.joints[0])


@pytest.mark.parametrize("foot", FEET)
def test_a_foot_that_is_always_stood_on_stays_where_it_began(foot):
    made = a_motion(RATE, 5, 3)
    stood = stand(choosing(foot), made, "nerm")
    place = stood.joints[:, SMPL22.index(foot)][:, PLANE]
    assert np.abs(place - place[0]).max() < 1e-5
    assert np.ptp(made.joints[:, SMPL22.index(foot)][:, PLANE], axis=0).min() > 0.1
    others = [np.ptp(stood.joints[:, SMPL22.index(name)][:, PLANE], axis=0).max() for name in FEET if name != foot]
    assert min(others) > 0.02


@pytest.mark.parametrize("fps", [120.0, 60.0, 20.0])
def test_who_is_always_free_keeps_the_path_that_was_made(fps):
    walking = walker(fps, 4.0, slide=0.3)
    sway = 0.05 * np.sin(4 * np.pi * walking.times)[:, None, None] * np.array([1, 0, -1])
    made = Motion(walking.joints + sway.astype(np.float32), fps)
    stood = stand(choosing("free"), made, "nerm")
    assert 0 < np.abs(stood.root - made.root).max() < 0.001


def test_a_foot_counts_e_times_as_much_as_the_hint_for_a_network_that_cannot_tell():
    """A statue that glides: by its feet it stands, by its hint it goes."""
    statue = np.repeat(walker(60, 0.0).joints, 241, axis=0)
    statue[..., 2] += 0.5 * frame_times(4.0, 60)[:, None]
    stood = stand(blank(), Motion(statue, 60), "nerm")
    assert walked(stood)[-1] == pytest.approx([0, 0.5 * 4 / (4 * np.e + 1)], abs=1e-4)


def test_velocity_that_a_network_adds_is_in_the_persons_frame():
    """Half a metre a second forward is a circle for somebody who turns."""
    stance, times = choosing("l_foot"), frame_times(4.0, 60)
    with torch.no_grad():
        stance.leave.bias[-1] = 0.5
    rest = walker(60, 0.0).joints[0] - walker(60, 0.0).joints[0, 0] + [0, 0.9, 0]
    rest[SMPL22.index("l_foot"), PLANE] = 0  # below the root, so that it does not move when the body turns on the spot
    turning = Motion((rest @ np.swapaxes(yaw_matrix(0.8 * times), -1, -2)).astype(np.float32), 60)
    radius, angle = 0.5 / 0.8, 0.8 * times
    circle = radius * np.stack([1 - np.cos(angle), np.sin(angle)], axis=1)
    assert np.abs(walked(stand(stance, turning, "nerm")) - circle).max() < 0.02


@pytest.mark.parametrize("stance", [choosing("free"), choosing("r_ankle"), on_the_lower_toe(), drawn()])
def test_heights_and_joints_about_the_root_never_change(stance):
    swinging = a_motion(60, 3, 1)
    made = replace(swinging, joints=swinging.joints.astype(np.float32))
    stood = stand(stance, made, "nerm")
    assert np.array_equal(stood.joints[..., 1], made.joints[..., 1])
    about = [motion.joints - motion.joints[:, :1] for motion in (stood, made)]
    assert np.abs(about[0] - about[1]).max() < 1e-5
    assert (stood.fps, stood.skeleton, stood.joints.dtype, len(stood)) == (60, made.skeleton, np.float32, len(made))
    assert np.isfinite(stood.joints).all()


@pytest.mark.parametrize(("yaw", "moved"), [(0.0, (30.0, 0.0, -20.0)), (1.3, (0.0, 0.0, 0.0)), (-2.9, (3.0, 0.0, 4.0))])
def test_a_motion_that_is_turned_and_moved_gives_what_it_gives_turned_and_moved(yaw, moved):
    stance, made = drawn(), a_motion(60, 4, 2)
    stood = stand(stance, made, "nerm")
    assert np.abs(stood.joints - made.joints).max() > 0.05
    elsewhere = stand(stance, made.transformed(yaw, moved), "nerm")
    assert np.abs(elsewhere.joints - stood.transformed(yaw, moved).joints).max() < 2e-4


def test_a_person_that_is_carried_higher_is_told_from_one_on_the_floor_by_its_height_alone():
    made = a_motion(RATE, 2, 2)
    low, high = (parts_of(seen_of(made.transformed(translation=(0.0, y, 0.0)))) for y in (0.0, 0.5))
    assert np.allclose(high[3] - low[3], 0.5, atol=1e-5)
    assert all(np.allclose(a, b, atol=1e-4) for place, (a, b) in enumerate(zip(low, high, strict=True)) if place != 3)


def test_a_path_at_60_fps_is_at_every_third_frame_that_at_20_where_the_moments_are_the_same():
    stance, joints = drawn(), walker(RATE, 4.0).joints
    fast, slow = (stance.stood(walker(fps, 4.0, slide=0.2), joints, 4.0) for fps in (60, 20))
    assert np.abs(fast.joints[::3] - slow.joints).max() < 1e-5
    assert np.abs(fast.joints - walker(60, 4.0, slide=0.2).joints).max() > 0.05


@pytest.mark.parametrize("seconds", [0.01, 0.04, 0.06, 0.1])
@pytest.mark.parametrize("fps", [1.0, 20.0, 480.0])
def test_a_motion_of_a_frame_or_two_has_a_path_too(seconds, fps):
    stance, made = drawn(), walker(fps, seconds)
    joints = walker((len(moments_of(seconds)) - 1) / seconds, seconds).joints
    stood = stance.stood(made, joints, seconds)
    assert len(stood) == len(made) and np.abs(stood.joints - made.joints).max() < 0.1


def test_a_motion_of_a_single_frame_stays_where_it_is():
    made = walker(20, 0.0)
    assert len(made) == 1 and np.array_equal(stand(drawn(), made, "nerm").joints, made.joints)


def test_a_system_without_a_stance_says_so():
    with pytest.raises(InputError, match="system 'nerm-paper' has no stance; it was trained without that stage"):
        stand(None, walker(20, 1.0), "nerm-paper")


# --- what the network sees ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "moments"), [(10.0, 321), (1.0, 33), (1 / 32, 3), (0.01, 3)])
def test_moments_are_32_a_second_from_the_first_to_the_last(seconds, moments):
    found = moments_of(seconds)
    assert len(found) == moments and (found[0], found[-1]) == (0, seconds)
    assert np.allclose(np.diff(found), seconds / (moments - 1))


def test_what_is_seen_has_the_numbers_that_are_told():
    made = a_motion(RATE, 3, 5)
    assert seen_of(made).shape == (3 * RATE, StanceConfig().seen) == (96, 79)
    tall = Motion(np.zeros((4, 24, 3)) + np.arange(24)[:, None] * [1, 0, 0.1], RATE, SMPL24)
    assert seen_of(tall).shape == (3, StanceConfig(joints=24).seen)


def test_what_is_seen_depends_neither_on_the_place_nor_on_the_heading():
    made = a_motion(RATE, 3, 5)
    here, there = seen_of(made), seen_of(made.transformed(2.2, (5.0, 0.0, -7.0)))
    assert np.abs(here - there).max() < 2e-4  # velocities of joints that are kept in 32 bits
    assert np.abs(here - seen_of(a_motion(RATE, 3, 6))).max() > 0.1


def test_a_person_who_walks_and_turns_is_seen_in_its_own_frame():
    """Forward at 1.5 m/s and half a radian a second to its left, with rigid legs."""
    times = frame_times(3.0, RATE)
    yaw = 0.7 + 0.5 * times
    rest = walker(RATE, 0.0).joints[0] - walker(RATE, 0.0).joints[0, 0]
    root = np.stack([-3 * np.cos(yaw), 0.9 + 0 * yaw, 3 * np.sin(yaw)], axis=1)  # its derivative is 1.5 (sin yaw, cos yaw)
    motion = Motion(rest @ np.swapaxes(yaw_matrix(yaw), -1, -2) + root[:, None], RATE)
    pose, feet, turn, height, hint = (part[12:-12] for part in parts_of(seen_of(motion)))  # away from the ends of the smoothing
    assert np.abs(pose - rest[1:]).max() < 1e-3 and np.abs(turn - 0.5).max() < 1e-3 and np.allclose(height, 0.9)
    assert np.abs(hint - [0.0, 1.5]).max() < 1e-3
    about = rest[[SMPL22.index(name) for name in FEET]]
    carried = 0.5 * np.stack([about[:, 2], 0 * about[:, 0], -about[:, 0]], axis=1)  # omega x r, with omega along +y
    assert np.abs(feet - carried).max() < 1e-3


def test_the_velocity_of_a_foot_that_stands_is_minus_that_of_the_root():
    pose, feet, _, _, hint = parts_of(seen_of(walker(RATE, 4.0)))
    time = np.arange(len(pose)) / RATE % 1
    for name, begin, end in (("l_foot", 0.4, 0.96), ("l_ankle", 0.4, 0.96), ("r_foot", 0.0, 0.46), ("r_ankle", 0.0, 0.46)):
        stands = (time >= begin) & (time <= end)
        velocity = feet[:, FEET.index(name)][:, PLANE]
        assert stands.sum() > 50 and np.abs(velocity[stands] + hint[stands]).max() < 1e-4
        assert np.linalg.norm(velocity + hint, axis=1).max() > 1
    assert np.linalg.norm(hint, axis=1).max() > 0.8


def test_the_persons_frame_is_turned_by_its_heading():
    angle = np.array([0.0, np.pi / 2, np.pi, 0.3])
    forward = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)[:, None]
    assert np.allclose(in_frame(forward, angle), [0, 0, 1])
    vectors = np.random.default_rng(0).normal(size=(4, 1, 3))
    turned = in_frame(vectors, angle)
    assert np.allclose(in_world(turned[:, 0, PLANE], angle), vectors[:, 0, PLANE]) and np.array_equal(turned[..., 1], vectors[..., 1])


def test_a_moment_is_seen_with_its_neighbours_and_zeros_beyond_the_ends():
    x = torch.arange(1.0, 6)[None, :, None]
    assert around(x, 2)[0].tolist() == [[0, 1, 3], [0, 2, 4], [1, 3, 5], [2, 4, 0], [3, 5, 0]]


def test_a_velocity_depends_on_the_moments_within_reach_alone():
    config = StanceConfig(width=8, dilations=[1, 2, 4])
    stance, seen = drawn(config=config), torch.randn(1, 60, config.seen)
    changed = seen.clone()
    changed[:, 30] += 1
    differs = ((stance(changed) - stance(seen)).abs().sum(-1) > 1e-7)[0].nonzero().flatten()
    assert differs.min() == 30 - 8 and differs.max() == 30 + 8  # one moment at the entrance, and 1 + 2 + 4


def test_a_velocity_is_a_mean_of_what_the_feet_say_and_the_hint():
    stance, seen = blank(), torch.randn(2, 9, StanceConfig().seen, generator=torch.Generator().manual_seed(0))
    feet, hint = seen[..., 63:75].unflatten(-1, (4, 3))[..., PLANE], seen[..., -2:]
    assert torch.allclose(stance(seen), (hint - feet.sum(-2)) / 5, atol=1e-6)
    assert torch.allclose(choosing("free")(seen), hint) and torch.allclose(choosing("r_ankle")(seen), -feet[:, :, 1])


def test_muon_trains_the_matrices_between_channels():
    config = StanceConfig()
    matrices = Stance(config).matrices()
    assert {tuple(m.shape) for m in matrices} == {(64, 3 * 64), (64, 64)} and len(matrices) == 2 * len(config.dilations)
