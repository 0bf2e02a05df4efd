"""Every metric is invariant to exactly what it declares. A metric without a case here, or with an undeclared property, fails."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from acting import acting

from evaluators.metrics import APPLICABLE, METRICS, Metric, metric, physical, reconstruction, trials
from evaluators.metrics import distribution as d
from evaluators.metrics import retrieval as r
from evaluators.metrics.cost.calls import milliseconds_per_sample, peak_memory_mb
from evaluators.metrics.detail import bands, contact_times, events, fidelity, peaks
from evaluators.protocols import PROTOCOLS
from evaluators.protocols.reconstruction import BANDS_HZ
from nerm.errors import InputError
from nerm.motion.motion import Motion
from nerm.motion.resample import frame_times
from nerm.motion.skeleton import SMPL22
from nerm.registry import forget_plugin, load_plugin

RATES = (20.0, 60.0, 120.0, 240.0)


def movement(index: int, fps: float, shake_hz: float = 0.0, seconds: float = 6.0) -> Motion:
    """A movement known at every time: each joint swings below 3 Hz, the feet slide, lift and sink a little; shaken at shake_hz if given."""
    rng = np.random.default_rng(index)
    t = frame_times(seconds, fps)[:, None, None]
    joints = np.zeros((1, 22, 3))
    for joint in range(1, 22):
        joints[:, joint] = joints[:, SMPL22.parents[joint]] + SMPL22.offsets[joint]
    joints[..., 1] += 0.93
    hz, phase = rng.uniform(0.3, 3.0, (22, 3)), rng.uniform(0, 2 * np.pi, (22, 3))
    joints = joints + 0.05 * np.sin(2 * np.pi * hz * t + phase)
    for side, shift in (("l", 0.0), ("r", np.pi)):
        for joint, height in (("ankle", 0.08), ("foot", 0.03)):
            swing = np.sin(np.pi * t[:, 0, 0] + shift + index)
            joints[:, SMPL22.index(f"{side}_{joint}"), 1] = height + 0.12 * np.maximum(swing, 0) ** 2 - 0.04 * np.maximum(-swing, 0) ** 2
            joints[:, SMPL22.index(f"{side}_{joint}"), 0] += 0.1 * np.sin(np.pi * t[:, 0, 0] + shift)
    if shake_hz:
        joints = joints + 0.002 * (1 + index / 4) * np.sin(2 * np.pi * shake_hz * t + phase)
    return Motion(joints, fps)


def joined(compute: Callable[..., float]) -> Callable[[list], float]:
    """A case that puts the batches together: samples are tuples of arrays, which become the arguments."""
    return lambda batches: compute(*(np.stack(column) for column in zip(*(s for batch in batches for s in batch), strict=True)))


def averaged(measure: Callable[..., float]) -> Callable[[list], float]:
    """A case of a measure of one motion: the mean over all motions from the means of the batches."""
    return lambda batches: float(
        np.average([np.nanmean([measure(*sample) for sample in batch]) for batch in batches], weights=list(map(len, batches)))
    )


def of_all(compute: Callable[..., float]) -> Callable[[list], float]:
    return lambda batches: compute(*zip(*(sample for batch in batches for sample in batch), strict=True))


def in_band(measure: Callable[..., float], band: str) -> Callable[[list], float]:
    return of_all(lambda a, b: measure(a, b, BANDS_HZ[band]))


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def pair_of_joints(measure: Callable[..., float]) -> Callable[..., float]:
    return lambda a, b: measure(a.joints, b.joints)


DETAIL = "evaluators.metrics.detail."
LABELS = np.arange(64) % 4
PEAKS = {"speed": peaks.peak_speed, "acceleration": peaks.peak_acceleration}
FRECHET = joined(lambda x, y, *_: d.frechet(x, y))
CASES: dict[str, Callable[[list], float]] = {
    "trial_distance": joined(lambda x, y, label: trials.trial_distance(x, label, y, label)),
    "trial_kid": joined(lambda x, y, label: trials.trial_kid(x, label, y, label)),
    **dict.fromkeys(("clip_dimensions", "motion_dimensions"), joined(lambda x, *_: d.effective_dimensions(x))),
    "fid": FRECHET,
    **dict.fromkeys(("clip_fid", "fid_train", "fid_test"), FRECHET),
    "kid": joined(lambda x, y, *_: d.kernel_distance(x, y, rng(), 5, 16)[0]),
    "accuracy": joined(lambda x, y, *_: d.accuracy(x, np.argmax(y, axis=1))),
    "precision": joined(lambda x, y, *_: d.precision_recall(x, y)[0]),
    "recall": joined(lambda x, y, *_: d.precision_recall(x, y)[1]),
    "diversity": joined(lambda x, *_: d.diversity(x, 20, rng())),
    "multimodality": joined(lambda x, y, *_: d.multimodality(np.stack([x, y]), 10, rng())),
    "nearest_train": joined(lambda x, y, *_: d.nearest_distance(y, x)),
    "multimodal_dist": joined(lambda x, y, *_: r.matching_distance(x, y)),
    **{
        f"{of}_precision_top{k}": joined(lambda x, y, *_, k=k: r.r_precision(x, y, r.pools(len(x), 3, 16))[k - 1])
        for of, k in (("r", 1), ("r", 2), ("r", 3), ("recording", 1), ("recording", 3))
    },
    "mre": averaged(pair_of_joints(reconstruction.mre_mm)),
    "root_path": averaged(pair_of_joints(reconstruction.root_path_mm)),
    "band_error": averaged(lambda a, b: reconstruction.band_error(a.joints, b.joints, a.fps)),
    **{name: averaged(measure) for name, measure in physical.PER_MOTION.items()},
    "band_energy_error": of_all(physical.band_energy_error),
    "event_rate": averaged(events.event_rate),
    "landing_penetration": averaged(contact_times.landing_penetration_mm),
    **{f"peak_{of}": of_all(lambda ms, m=m: float(np.median([m(x) for x in ms]))) for of, m in PEAKS.items()},
    **{f"peak_{of}_90": of_all(lambda ms, m=m: float(np.quantile([m(x) for x in ms], 0.9))) for of, m in PEAKS.items()},
    **{f"band_{name}": of_all(getattr(bands, f"band_{name}")) for name in ("median", "top1", "still", "distribution")},
    **{f"band_fidelity_{band}": in_band(fidelity.band_fidelity, band) for band in BANDS_HZ},
    **{f"band_correlation_{band}": in_band(fidelity.band_correlation, band) for band in BANDS_HZ},
    **{name: averaged(getattr(contact_times, name)) for name in ("contact_timing", "contacts_found")},
    **{name: averaged(getattr(events, name)) for name in ("events_found", "events_invented", "event_strength")},
    "seconds_per_sample": lambda parts: milliseconds_per_sample([s for part in parts for (s,) in part]),
    "peak_memory": lambda parts: peak_memory_mb([s for part in parts for (s,) in part]),
    **{f"peak_{of}_error": averaged(getattr(peaks, f"peak_{of}_error")) for of in PEAKS},
}


def samples(entry: Metric, fps: float = 120.0) -> list[tuple]:
    """Synthetic samples of what the metric takes."""
    if entry.takes == "calls":
        return [(0.1 * (1 + i % 5),) for i in range(20)]
    if "features" in entry.takes:
        x = np.random.default_rng(1).normal(size=(64, 6))
        return list(zip(x, 0.8 * x + np.random.default_rng(2).normal(size=x.shape), LABELS, strict=True))
    if entry.function.startswith(DETAIL):
        detail = entry.lowest_fps > min(RATES)
        pairs = [(acting(i, fps, 0.003 * (i + 1), 0.6 + 0.05 * i, detail=detail), acting(i, fps, detail=detail)) for i in range(6)]
        return pairs if entry.takes == "motion pairs" else [pair[:1] for pair in pairs]
    shake = 12.0 if entry.lowest_fps else 0.0
    motions = [movement(i, fps, shake) for i in range(6)]
    others = [movement(i + 10, fps, shake) for i in range(6)]
    return list(zip(motions, others, strict=True)) if entry.takes == "motion pairs" else [(m,) for m in motions]


def batches(items: list, size: int) -> list[list]:
    return [items[start : start + size] for start in range(0, len(items), size)]


def holds(entry: Metric, case: Callable[[list], float], name: str) -> bool:
    """Whether a property holds on synthetic data."""
    items = samples(entry)
    value = case([items])
    close = {"rel": 1e-9, "abs": 1e-9}
    if name == "order":
        order = np.random.default_rng(5).permutation(len(items))
        others = [case([[items[i] for i in order]])]
    elif name == "batch":
        others = [case(batches(items, size)) for size in (1, 4, 5)]
    elif name == "yaw":
        others = [case([[tuple(m.transformed(yaw=0.7 + i) for m in item) for i, item in enumerate(items)]])]
    elif name == "translation":
        others = [case([[tuple(m.transformed(translation=(3.0 + i, 0.0, -2.0)) for m in item) for i, item in enumerate(items)]])]
    else:
        close = {"rel": 0.03, "abs": 0.02 if entry.range[1] == 1 else 0.0}
        others = [case([samples(entry, fps)]) for fps in RATES if fps >= entry.lowest_fps]
    return all(other == pytest.approx(value, **close) for other in others)


def wrongly_declared(entry: Metric, case: Callable[[list], float]) -> set[str]:
    """Properties declared that do not hold, and ones that hold and are not declared."""
    return {name for name in APPLICABLE[entry.takes] if holds(entry, case, name) != (name in entry.invariant_to)}


def test_every_registered_metric_has_a_case():
    assert set(CASES) == set(METRICS.names)


def test_every_registered_metric_is_computed_by_a_protocol_and_every_metric_of_a_protocol_is_registered():
    assert {name for entry in PROTOCOLS for name in entry.metrics} == set(METRICS.names)


@pytest.mark.parametrize("name", METRICS.names)
def test_a_metric_is_invariant_to_exactly_what_it_declares(name):
    assert wrongly_declared(metric(name), CASES[name]) == set()


@pytest.mark.parametrize("name", METRICS.names)
def test_a_metric_stays_inside_its_declared_range_and_its_function_exists(name):
    entry = metric(name)
    assert entry.range[0] <= CASES[name]([samples(entry)]) <= entry.range[1]
    assert callable(entry.load())


def test_a_per_frame_metric_that_claims_to_be_rate_free_is_caught():
    per_frame = averaged(lambda m: float(np.linalg.norm(np.diff(m.joints, axis=0), axis=-1).mean()))
    assert wrongly_declared(metric("velocity"), per_frame) == {"rate"}


def test_a_metric_tied_to_the_batch_size_is_caught():
    entry = metric("r_precision_top1")
    tied = lambda parts: float(np.mean([CASES["multimodal_dist"]([part]) * len(part) for part in parts]))  # noqa: E731
    assert "batch" in wrongly_declared(entry, tied)


def test_an_invariance_that_holds_but_is_not_declared_is_caught():
    silent = replace(metric("velocity"), invariant_to=frozenset({"order", "batch", "yaw", "rate"}))
    assert wrongly_declared(silent, CASES["velocity"]) == {"translation"}


def test_a_claim_that_cannot_be_tested_is_refused():
    with pytest.raises(InputError, match="cannot be asked"):
        replace(metric("fid"), name="fid-yaw", invariant_to=frozenset({"yaw"}))


def plugin(folder, name: str) -> str:
    """A file that brings a metric of its own."""
    path = folder / "toy_metric.py"
    path.write_text(
        "from evaluators.metrics import ALL_OF_MOTIONS, Metric\n"
        "def height(motion):\n"
        "    return float(motion.root[:, 1].mean())\n"
        "about = ('height', 'real', 'm', (0.0, 9.0), 'motions', ALL_OF_MOTIONS, f'{__name__}:height', 'of the root')\n"
        f"ENTRIES = [Metric({name!r}, *about)]\n"
    )
    return str(path)


def test_a_plugin_brings_a_metric_of_its_own(tmp_path):
    path = plugin(tmp_path, "height")
    load_plugin(path)
    try:
        assert metric("height").load()(Motion(np.ones((3, 22, 3)), 20.0)) == 1
        assert METRICS.names[-1] == "height"
    finally:
        forget_plugin(path)
    assert "height" not in METRICS


def test_a_second_metric_of_one_name_is_refused(tmp_path):
    path = plugin(tmp_path, "fid")
    load_plugin(path)
    try:
        with pytest.raises(InputError, match="metric 'fid' is declared twice"):
            metric("fid")
    finally:
        forget_plugin(path)


def test_an_unknown_metric_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="clip_fid"):
        metric("clip_fit")
