"""A printed frame time stands for every number that rounds to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerm.motion.rates import frame_rate


@pytest.mark.parametrize(
    ("printed", "fps"),
    [
        ("0.0333", 30),
        (".03333", 30),
        ("0.033", 30),
        ("0.0333333333", 30),
        ("0.01667", 60),
        ("0.0167", 60),
        ("0.017", 60),
        ("0.00833", 120),
        ("0.0083", 120),
        ("0.008333", 120),
        (".0083333", 120),
        ("0.04", 25),
        ("0.0400000", 25),
        ("0.041667", 24),
        ("0.0417", 24),
        ("0.05", 20),
        ("0.08", 12.5),
        ("0.011111", 90),
        ("0.0069444", 144),
        ("0.00417", 240),
        ("1.66667e-02", 60),
        ("3.3333E-2", 30),
        ("0,0333", 30),
        ("0.02", 50),
        ("0.1", 10),
        ("0.008", 125),
        ("1", 1),
        ("0.0166", 60),  # cut off, not rounded
        ("0.016666", 60),
        ("0.0083333337679505348", 120),  # a float of 32 bits
        ("0.027027", 37),  # whole, if not usual
    ],
)
def test_a_frame_time_is_the_usual_rate_that_rounds_to_it(printed, fps):
    assert frame_rate(printed) == fps


@pytest.mark.parametrize(
    ("printed", "fps"), [("0.0333667", 30 / 1.001), ("0.016683", 60 / 1.001), ("0.0083417", 120 / 1.001), ("0.041708", 24 / 1.001)]
)
def test_rates_of_television_stay_themselves(printed, fps):
    assert frame_rate(printed) == pytest.approx(fps, rel=1e-9)


@pytest.mark.parametrize(
    ("printed", "fps"), [("0.03", 100 / 3), ("0.0030003", 1e7 / 30003), ("0.033336700", 1 / 0.0333367), ("0.0069514", 1 / 0.0069514)]
)
def test_a_number_that_no_usual_rate_rounds_to_is_taken_as_it_is(printed, fps):
    assert frame_rate(printed) == pytest.approx(fps, rel=1e-12)


@given(st.sampled_from([24, 25, 30, 48, 50, 60, 90, 100, 120, 144, 200, 240, 300, 480]), st.integers(4, 12))
def test_every_usual_rate_printed_with_enough_digits_is_read_back(fps, digits):
    if digits < 5 and fps > 60:
        return  # 0.0069 is 144 or 145 fps
    if digits < 6 and fps > 144:
        return
    assert frame_rate(f"{1 / fps:.{digits}f}") == fps


@pytest.mark.parametrize("printed", ["0", "-0.03", "nan", "inf", "", "fast", "0.0333 s"])
def test_what_is_no_positive_number_is_refused(printed):
    with pytest.raises(ValueError):
        frame_rate(printed)
