"""More damage is never read as less: every metric that answers to noise, time warping, sliding feet or a low-pass follows its amount."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
from acting import acting

from evaluators.extractors import load_extractor
from evaluators.metrics import distribution as d
from evaluators.metrics import physical, reconstruction, trials
from evaluators.metrics import retrieval as r
from evaluators.metrics.detail import bands, contact_times, events, fidelity, peaks
from nerm.checkpoint import MODELS, RESULTS
from nerm.motion import Motion
from nerm.motion.kinematics import lowpass
from nerm.motion.resample import at_times

Damage = Callable[[Motion, float, int], Motion]
FPS = 120.0
COUNT = 4
STARTS = range(0, 680, 90)
REAL = [acting(index, FPS) for index in range(COUNT)]


def noisy(motion: Motion, metres: float, index: int) -> Motion:
    return Motion(motion.joints + metres * np.random.default_rng(index).standard_normal(motion.joints.shape), FPS)


def warped(motion: Motion, seconds: float, index: int) -> Motion:
    """Later and earlier by up to `seconds`, in turns of 1.5 s; the ends stay."""
    t = motion.times
    return at_times(motion, t + seconds * np.sin(2 * np.pi * t / 1.5), FPS, "cubic")


def slid(motion: Motion, mps: float, index: int) -> Motion:
    return Motion(motion.joints + np.array([mps, 0.0, 0.0]) * motion.times[:, None, None], FPS)


def slowed(motion: Motion, octaves: float, index: int) -> Motion:
    """Without what is above 24 Hz, or that many octaves lower."""
    return Motion(lowpass(motion.joints, FPS, 24.0 / 2**octaves), FPS)


AMOUNTS: dict[Damage, tuple[float, ...]] = {
    noisy: (0.002, 0.008, 0.03),
    warped: (0.01, 0.03, 0.08),
    slid: (0.1, 0.4, 1.2),
    slowed: (1.0, 2.5, 4.5),
}


def mean(measure: Callable[[Motion], float]) -> Callable[[Sequence[Motion]], float]:
    return lambda motions: float(np.mean([measure(motion) for motion in motions]))


def paired(measure: Callable[..., float], *more) -> Callable[[Sequence[Motion]], float]:
    return lambda motions: float(np.mean([measure(a, b, *more) for a, b in zip(motions, REAL, strict=True)]))


def joints(measure: Callable[..., float], *more) -> Callable[[Sequence[Motion]], float]:
    return paired(lambda a, b: measure(a.joints, b.joints, *more))


def of_all(measure: Callable[..., float], *more) -> Callable[[Sequence[Motion]], float]:
    return lambda motions: measure(motions, REAL, *more)


READ: dict[str, Callable[[Sequence[Motion]], float]] = {
    "mre": joints(reconstruction.mre_mm),
    "root_path": joints(reconstruction.root_path_mm),
    "band_error": joints(reconstruction.band_error, FPS),
    **{name: mean(measure) for name, measure in physical.PER_MOTION.items()},
    "band_energy_error": of_all(physical.band_energy_error),
    "band_distribution": of_all(bands.band_distribution),
    "band_still": lambda motions: bands.band_still(motions),
    "band_fidelity_2_4": of_all(fidelity.band_fidelity, (2.0, 4.0)),
    "band_fidelity_8_12": of_all(fidelity.band_fidelity, (8.0, 12.0)),
    "band_correlation_2_4": of_all(fidelity.band_correlation, (2.0, 4.0)),
    "band_correlation_8_12": of_all(fidelity.band_correlation, (8.0, 12.0)),
    "contact_timing": paired(contact_times.contact_timing),
    "contacts_found": paired(contact_times.contacts_found),
    "event_rate": mean(events.event_rate),
    "events_found": paired(events.events_found),
    "event_strength": paired(events.event_strength),
    "peak_speed": mean(peaks.peak_speed),
    "peak_speed_error": paired(peaks.peak_speed_error),
}
RISES = {
    noisy: "mre root_path band_error band_energy band_energy_error band_distribution band_still band_fidelity_2_4 band_fidelity_8_12 "
    "velocity acceleration jerk foot_skate foot_skate_ratio skate_kimodo skate_kimodo_ratio penetration float peak_speed_error",
    warped: "mre root_path band_fidelity_2_4 contact_timing peak_speed_error",
    slid: "root_path foot_skate foot_skate_ratio skate_kimodo skate_kimodo_ratio velocity peak_speed_error",
    slowed: "mre root_path band_error band_energy_error band_distribution band_fidelity_2_4 band_fidelity_8_12 contact_timing "
    "peak_speed_error",
}
"""Which metrics answer to a damage, and more to more of it. What it does not touch is not named."""
FALLS = {
    noisy: "band_correlation_2_4 band_correlation_8_12 contact_ratio contacts_found event_rate events_found",
    warped: "band_correlation_2_4 contacts_found events_found",
    slid: "contact_ratio contacts_found",
    slowed: "acceleration jerk band_energy band_correlation_2_4 band_correlation_8_12 contacts_found event_rate events_found "
    "event_strength peak_speed",
}
CASES = [
    pytest.param(damage, name, sign, id=f"{damage.__name__}-{name}")
    for sign, named in ((1, RISES), (-1, FALLS))
    for damage, names in named.items()
    for name in names.split()
]


@cache
def damaged(damage: Damage | None, amount: float, first: int = 0) -> list[Motion]:
    whole = [acting(index, FPS) for index in range(first, first + COUNT)]
    return [damage(motion, amount, first + place) for place, motion in enumerate(whole)] if damage else whole


def levels(damage: Damage) -> list[tuple[Damage | None, float]]:
    """No damage, and more and more of it."""
    return [(None, 0.0), *((damage, amount) for amount in AMOUNTS[damage])]


@cache
def read(name: str, damage: Damage | None, amount: float) -> float:
    return READ[name](damaged(damage, amount))


def follows(values: Sequence[float], sign: int) -> bool:
    """Never a step back by more than a thousandth, which is rounding, and the most damage is told from none."""
    steps, size = sign * np.diff(values), np.abs(values).max()
    return bool((steps >= -1e-3 * size).all() and steps.sum() > 0.05 * size)


@pytest.mark.parametrize(("damage", "name", "sign"), CASES)
def test_a_metric_follows_the_amount_of_damage(damage, name, sign):
    values = [read(name, *level) for level in levels(damage)]
    assert follows(values, sign), values


def test_a_metric_that_turns_back_is_caught():
    assert follows([0.0, 1.0, 1.0, 2.0], 1) and follows([2.0, 1.0, 0.0], -1)
    assert not follows([0.0, 2.0, 1.0], 1) and not follows([1.0, 1.0, 1.0], 1) and not follows([0.0, 1.0], -1)


# --- between sets of features ---------------------------------------------------------------------------------------------------------


def clips(motions: Sequence[Motion]) -> np.ndarray:
    return np.concatenate([[motion.joints[start : start + 32] for start in STARTS] for motion in motions])


@pytest.fixture(scope="module")
def embedded() -> Callable[[Damage, float], np.ndarray]:
    extractor = load_extractor("anyrate", [RESULTS / MODELS])
    return cache(lambda damage, amount, first=0: extractor.embed_clips(clips(damaged(damage, amount, first)), FPS))


TRIALS = np.repeat(np.arange(COUNT), len(STARTS))
BETWEEN: dict[str, tuple[int, Callable[[np.ndarray, np.ndarray], float]]] = {
    "trial_distance": (1, lambda x, y: trials.trial_distance(x, TRIALS, y, TRIALS)),
    "trial_kid": (1, lambda x, y: trials.trial_kid(x, TRIALS, y, TRIALS)),
    "kid": (1, lambda x, y: d.polynomial_mmd(x, y)),
    "recall": (-1, lambda x, y: d.precision_recall(x, y)[1]),
    "nearest_train": (1, lambda x, y: d.nearest_distance(y, x)),
}
"""Frechet distances are not here: they are biased by the number of samples, and of so few a little smoothing makes them smaller."""


@pytest.mark.parametrize("name", BETWEEN)
@pytest.mark.parametrize("damage", AMOUNTS, ids=lambda damage: damage.__name__)
def test_a_distance_between_sets_follows_the_amount_of_damage(embedded, damage, name):
    sign, measure = BETWEEN[name]
    other = embedded(None, 0.0, COUNT)
    values = [measure(other, embedded(*level)) for level in levels(damage)]
    assert follows(values, sign), values


FEATURES = np.random.default_rng(0).normal(size=(128, 16))
LABELS = np.arange(128) % 8
CENTRES = 3 * np.eye(8, 16)
OF_FEATURES: dict[str, tuple[int, Callable[[np.ndarray], float]]] = {
    "fid": (1, lambda y: d.frechet(FEATURES, y)),
    "kid": (1, lambda y: d.kernel_distance(FEATURES, y, np.random.default_rng(1), 20, 64)[0]),
    "precision": (-1, lambda y: d.precision_recall(FEATURES, y)[0]),
    "nearest_train": (1, lambda y: d.nearest_distance(y, FEATURES)),
    "diversity": (1, lambda y: d.diversity(y, 100, np.random.default_rng(1))),
    "multimodality": (1, lambda y: d.class_multimodality(y, LABELS, 20, np.random.default_rng(1))),
    "multimodal_dist": (1, lambda y: r.matching_distance(FEATURES, y)),
    **{
        f"{of}_precision_top{k}": (-1, lambda y, k=k: r.r_precision(FEATURES, y, r.blocks(128))[k - 1])
        for of, k in (("r", 1), ("r", 2), ("r", 3), ("recording", 1), ("recording", 3))
    },
    "accuracy": (-1, lambda y: d.accuracy((y - FEATURES + CENTRES[LABELS]) @ CENTRES.T, LABELS)),
}


@pytest.mark.parametrize("name", OF_FEATURES)
def test_a_metric_of_features_follows_noise_on_them(name):
    sign, measure = OF_FEATURES[name]
    noise = np.random.default_rng(2).normal(size=FEATURES.shape)
    values = [measure(FEATURES + amount * noise) for amount in (0.0, 0.5, 1.5, 4.0)]
    assert follows(values, sign), values
