"""Euler angles of channels: next to given ones, also in gimbal lock, checked with scipy's own reading of the angles."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from nerm.motion.euler import angles_near, followed, quaternions, unwrapped, without_flips

ORDERS = ["".join(order) for order in permutations("xyz")]


def matrices(axes, degrees):
    return Rotation.from_euler(axes.upper(), degrees, degrees=True).as_matrix()


@pytest.mark.parametrize("axes", [*ORDERS, "x", "zy", "zyz"])
def test_quaternions_are_the_product_of_the_turns_from_left_to_right(axes):
    degrees = np.random.default_rng(0).uniform(-500, 500, (50, len(axes)))
    q = quaternions(axes, degrees)
    np.testing.assert_allclose(Rotation.from_quat(q[:, [1, 2, 3, 0]]).as_matrix(), matrices(axes, degrees), atol=1e-12)


@pytest.mark.parametrize("axes", ORDERS)
def test_angles_are_found_again_from_anywhere_near(axes):
    rng = np.random.default_rng(1)
    degrees = rng.uniform(-800, 800, (500, 3))
    degrees[np.abs(np.cos(np.deg2rad(degrees[:, 1]))) < 0.02, 1] += 5
    found = angles_near(quaternions(axes, degrees), axes, degrees + rng.uniform(-10, 10, (500, 3)))
    np.testing.assert_allclose(found, degrees, atol=1e-7)


@pytest.mark.parametrize("axes", ORDERS)
@pytest.mark.parametrize("middle", [90.0, -90.0, 270.0])
def test_in_gimbal_lock_the_outer_angles_stay_by_the_reference(axes, middle):
    rng = np.random.default_rng(2)
    degrees = rng.uniform(-170, 170, (100, 3))
    degrees[:, 1] = middle
    found = angles_near(quaternions(axes, degrees), axes, degrees)
    np.testing.assert_allclose(found, degrees, atol=1e-6)  # the reference itself is a solution
    away = degrees + np.array([6.0, 0.0, 2.0])
    shifted = angles_near(quaternions(axes, degrees), axes, away)
    np.testing.assert_allclose(matrices(axes, shifted), matrices(axes, degrees), atol=1e-7)
    assert np.abs(shifted - away).max() <= 4 + 1e-6


@pytest.mark.parametrize("axes", ORDERS)
def test_flipped_and_wrapped_triples_come_back_as_the_smooth_curve_that_they_were(axes):
    t = np.linspace(0, 1, 61)[:, None]
    smooth = np.array([10.0, -140.0, 60.0]) + t * np.array([300.0, 370.0, -250.0])
    written = Rotation.from_euler(axes.upper(), smooth, degrees=True).as_euler(axes.upper(), degrees=True)
    found = without_flips(written, axes)
    assert np.abs(np.diff(found, axis=0)).max() < 7
    np.testing.assert_allclose(matrices(axes, found), matrices(axes, smooth), atol=1e-6)


def test_numbers_of_the_file_stay_to_the_last_bit_where_no_turn_is_added():
    degrees = np.cumsum(np.random.default_rng(3).uniform(-20, 20, (100, 3)), axis=0) + 1234.567891
    np.testing.assert_array_equal(unwrapped(degrees), degrees)
    np.testing.assert_array_equal(without_flips(degrees, "zxy"), degrees)
    wrapped = (degrees + 180) % 360 - 180
    assert np.abs(np.diff(wrapped, axis=0)).max() > 300
    np.testing.assert_allclose(np.diff(unwrapped(wrapped), axis=0), np.diff(degrees, axis=0), atol=1e-9)


def test_a_wheel_that_is_written_without_wrapping_keeps_its_steps():
    wheel = np.arange(20)[:, None] * 200.0
    np.testing.assert_array_equal(unwrapped(wheel, trusted=True), wheel)
    reset = np.array([0.0, 100.0, 200.0, 300.0, 40.0, 140.0])[:, None]  # stays within a turn: wrapped
    np.testing.assert_allclose(unwrapped(reset, trusted=True)[:, 0], [0, 100, 200, 300, 400, 500])


def test_followed_angles_begin_beside_the_start_and_do_not_jump():
    smooth = np.stack([np.linspace(0, 900, 200), np.linspace(-30, 30, 200), np.linspace(5, -400, 200)], axis=1)
    np.testing.assert_allclose(followed(matrices("yxz", smooth), "yxz", smooth[0]), smooth, atol=1e-7)
    both = np.stack([matrices("yxz", smooth), matrices("yxz", smooth[::-1])])
    np.testing.assert_allclose(followed(both, "yxz", smooth[[0, -1]]), [smooth, smooth[::-1]], atol=1e-7)
