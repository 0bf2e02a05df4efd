"""What evaluators.feet prints of motions whose knees and moves are known."""

import numpy as np
import pytest

from evaluators.feet import _rows, largest_knee
from nerm.motion import SMPL22, Motion


def swinging(fps: float) -> Motion:
    """The left knee swings by 10 cm at 1 Hz; toes stay at 1 cm."""
    times = np.arange(round(4 * fps) + 1) / fps
    joints = np.full((len(times), 22, 3), 0.01)
    joints[:, SMPL22.index("l_knee"), 2] += 0.1 * np.sin(2 * np.pi * times)
    return Motion(joints, fps)


@pytest.mark.parametrize("fps", [30.0, 120.0])
def test_the_largest_acceleration_of_a_knee_is_that_of_its_sine_at_any_rate(fps):
    assert largest_knee(swinging(fps)) == pytest.approx(0.1 * (2 * np.pi) ** 2, rel=0.02)


def test_a_motion_that_is_moved_by_a_centimetre_has_moved_by_a_centimetre_and_kept_its_pose():
    before = swinging(60.0)
    sampled, locked = _rows(60.0, [before], [before.transformed(translation=(0.01, 0, 0))])
    assert [float(x) for x in sampled[2:5] + locked[2:5]] == pytest.approx([0] * 6, abs=1e-9)
    assert locked[6] == "1.00 / 1.00 / 1.00" and locked[7] == "10 / 10 / 0 / 10"
