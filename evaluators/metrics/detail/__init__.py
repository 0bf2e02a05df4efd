"""Metrics of what a frame rate is worth, in SI units and without any network: contacts, events, peaks, and frequency bands as
distributions.

A rate of 20 fps holds nothing above 10 Hz. What a higher rate can add is therefore when a foot lands to a hundredth of a second, how hard
it lands, how fast a fist gets, and the band from 8 to 20 Hz. The functions live in the modules of this folder.
"""

from evaluators.metrics import ALL_OF_MOTIONS, Metric, Takes

_INF = float("inf")
_LOWEST_FPS = 60.0


def _entry(name: str, title: str, direction, unit: str, function: str, definition: str, **more) -> Metric:
    of_motions: dict = {"takes": "motions", "invariant_to": ALL_OF_MOTIONS, "resamples": "trials"}
    settings: dict = {"range": (0.0, _INF), "lowest_fps": _LOWEST_FPS} | of_motions | more
    return Metric(name, title, direction, unit, function=f"{__name__}.{function}", definition=definition, **settings)


_PAIRS: Takes = "motion pairs"
_SHARE: dict = {"range": (0, 1)}
_FAST = "motions of kicks, punches, jumps, hops and leaps (by label or caption), wrists and ankles, below 20 Hz"
_FASTS: dict = {"least": 2}
_SILENCE = "1 is what standing still scores, and above 1 standing still would be nearer: what a motion has there is then no detail"
_BANDS = ((1, 2), (2, 4), (4, 8), (8, 12), (12, 20))

ENTRIES = (
    # of one motion
    _entry(
        "landing_penetration",
        "penetration at landing",
        "lower",
        "mm",
        "contact_times:landing_penetration_mm",
        "deepest place of an ankle or toe below the floor within 100 ms after it touches down, mean over touch-downs",
        digits=2,
    ),
    _entry(
        "event_rate",
        "events",
        "real",
        "1/s",
        "events:event_rate",
        "bursts of acceleration from 8 to 20 Hz of wrists, ankles, toes and pelvis that are at least 10 m/s^2 and 3 times the joint's own "
        "median, and that a neighbour in the skeleton shares or a contact explains; stationary noise has none",
        digits=2,
    ),
    _entry(
        "peak_speed", "peak speed, median", "real", "m/s", "peaks:peak_speed", f"highest speed, median over {_FAST}", digits=2, **_FASTS
    ),
    _entry(
        "peak_speed_90",
        "peak speed, 90 %",
        "real",
        "m/s",
        "peaks:peak_speed",
        f"highest speed, 0.9 quantile over {_FAST}",
        digits=2,
        **_FASTS,
    ),
    _entry(
        "peak_acceleration",
        "peak acceleration, median",
        "real",
        "m/s^2",
        "peaks:peak_acceleration",
        f"highest acceleration, median over {_FAST}",
        digits=1,
        **_FASTS,
    ),
    _entry(
        "peak_acceleration_90",
        "peak acceleration, 90 %",
        "real",
        "m/s^2",
        "peaks:peak_acceleration",
        f"highest acceleration, 0.9 quantile over {_FAST}",
        digits=1,
        **_FASTS,
    ),
    # of the 8-20 Hz band as a distribution over frames and joints
    _entry(
        "band_median",
        "8-20 Hz power, median",
        "real",
        "m^2/s^4",
        "bands:band_median",
        "median over frames and joints of the power of acceleration from 8 to 20 Hz",
        digits=2,
    ),
    _entry(
        "band_top1",
        "8-20 Hz power, share of the top 1 %",
        "real",
        "",
        "bands:band_top1",
        "share of all 8-20 Hz power that the strongest 1 % of frames and joints hold; stationary noise has about 0.05",
        **_SHARE,
    ),
    _entry(
        "band_still",
        "8-20 Hz power in stillness",
        "real",
        "m^2/s^4",
        "bands:band_still",
        "median 8-20 Hz power where a joint is slower than 2 cm/s: the measuring noise of recordings, the tremor of a generator",
        digits=3,
    ),
    _entry(
        "band_distribution",
        "8-20 Hz distribution",
        "lower",
        "decades",
        "bands:band_distribution",
        "Wasserstein-1 distance of log10 of 8-20 Hz power over frames and joints from that of recordings, mean over four classes of joint "
        "speed (below 0.02, 0.1, 0.5 m/s, above) by the recordings' shares; powers below 1 m^2/s^4, which is measuring noise, are equal",
        takes=_PAIRS,
    ),
    # of a reconstruction and its recording
    *(
        _entry(
            f"band_fidelity_{low}_{high}",
            f"error at {low}-{high} Hz",
            "lower",
            "",
            "fidelity:band_fidelity",
            f"power of the acceleration of the difference from {low} to {high} Hz over the recordings' own; {_SILENCE}",
            takes=_PAIRS,
            lowest_fps=2.5 * high,
        )
        for low, high in _BANDS
    ),
    *(
        _entry(
            f"band_correlation_{low}_{high}",
            f"correlation at {low}-{high} Hz",
            "higher",
            "",
            "fidelity:band_correlation",
            f"of the accelerations of motion and recording from {low} to {high} Hz; 0 for standing still",
            takes=_PAIRS,
            range=(-1, 1),
            lowest_fps=2.5 * high,
        )
        for low, high in _BANDS
    ),
    _entry(
        "contact_timing",
        "contact timing",
        "lower",
        "ms",
        "contact_times:contact_timing",
        "mean absolute difference of touch-downs and lift-offs of ankles and toes from the recording's, matched one to one within 250 ms",
        takes=_PAIRS,
        digits=1,
    ),
    _entry(
        "contacts_found",
        "contacts found",
        "higher",
        "",
        "contact_times:contacts_found",
        "share of the recording's touch-downs and lift-offs that the motion has within 25 ms",
        takes=_PAIRS,
        **_SHARE,
    ),
    _entry(
        "events_found",
        "events found",
        "higher",
        "",
        "events:events_found",
        "share of the recording's events (see `event_rate`) that the motion has in the same joint within 25 ms",
        takes=_PAIRS,
        **_SHARE,
    ),
    _entry(
        "events_invented",
        "events invented",
        "lower",
        "",
        "events:events_invented",
        "share of the motion's events that the recording does not have in the same joint within 25 ms",
        takes=_PAIRS,
        **_SHARE,
    ),
    _entry(
        "event_strength",
        "event strength",
        "real",
        "",
        "events:event_strength",
        "strength of the motion at the recording's events (highest within 25 ms) over the recording's own; 1 is right",
        takes=_PAIRS,
    ),
    _entry(
        "peak_speed_error",
        "peak speed error",
        "lower",
        "",
        "peaks:peak_speed_error",
        "mean of |peak speed over the recording's - 1|, wrists and ankles below 20 Hz, at the recording's peaks of at least 2 m/s",
        takes=_PAIRS,
    ),
    _entry(
        "peak_acceleration_error",
        "peak acceleration error",
        "lower",
        "",
        "peaks:peak_acceleration_error",
        "the same of accelerations, at the recording's peaks of at least 30 m/s^2",
        takes=_PAIRS,
    ),
)
