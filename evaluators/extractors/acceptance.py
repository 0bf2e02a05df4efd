"""The controls that an extractor must pass before any generator is scored with it: real recordings, damaged in known ways and amounts.

Reference and damaged clips are two draws from the same recordings; every amount of damage is done to the same clips ("paired"), so that
the order of the amounts is not decided by which clips were drawn. The Frechet distance of 1,000 clips must then grow with the damage, at
every rate; motion that lost its high rates must be further from real motion than real motion is from itself.
It knows extractors and recordings; it knows no generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluators.metrics.distribution import Moments, frechet, moments
from evaluators.protocols.recordings import BASE_FPS, MATCHED_FPS, Recording, recordings
from evaluators.protocols.rows import Damage, Recorded, at_rate, low_passed, noise, oracle, shuffled
from nerm.data.corpus import Corpus
from nerm.errors import InputError
from nerm.motion import Motion

CLIPS = 1000
CLIP_FRAMES = 32
FPS = (20.0, 60.0, 120.0)
FASTEST = 1.25
SLACK = 0.02
"""Neighbouring amounts may be in the wrong order by this share of the distance of real motion from itself."""
FAR = 2.0
"""Shuffled joints are at least this many times as far from real motion as real motion is from itself."""


class Extractor(Protocol):
    """What is tested."""

    name: str

    def embed_clips(self, joints: NDArray, fps: float) -> NDArray: ...


def played_at(speed: float) -> Damage:
    """Played faster (above 1) or slower. The result is longer or shorter than the recording."""

    def damage(motion, seconds, fps, another, rng) -> Motion:  # type: ignore[no-untyped-def]
        return at_rate(Motion(motion.joints, motion.fps * speed), seconds / speed, fps)

    return damage


def sliding(speed_mps: float) -> Damage:
    """The whole figure drifts over the floor, in one direction per recording: planted feet slide."""

    def damage(motion, seconds, fps, another, rng) -> Motion:  # type: ignore[no-untyped-def]
        angle = rng.uniform(0, 2 * np.pi)
        real = at_rate(motion, seconds, fps)
        drift = speed_mps * real.times[:, None, None] * np.array([np.cos(angle), 0.0, np.sin(angle)])
        return Motion((real.joints + drift).astype(np.float32), fps)

    return damage


def undamaged(motion, seconds, fps, another, rng) -> Motion:  # type: ignore[no-untyped-def]
    """The recording at the rate asked for."""
    return at_rate(motion, seconds, fps)


CONTROLS: dict[str, dict[str, Damage]] = {
    "real": {"": undamaged},
    "noise": {f"{mm:g} mm": noise(mm / 1000) for mm in (0.5, 1, 2, 5, 10, 20)},
    "low-pass": {f"{hz:g} Hz": low_passed(hz) for hz in (10, 8, 6, 4, 2)},
    "faster": {f"{speed:g} x": played_at(speed) for speed in (1.1, FASTEST)},
    "slower": {f"{speed:g} x": played_at(speed) for speed in (0.9, 0.8)},
    "foot slide": {f"{mps:g} m/s": sliding(mps) for mps in (0.05, 0.1, 0.15, 0.2)},
    "shuffled joints": {"": shuffled},
    "20 fps, cubic": {"": oracle("cubic")},
    "20 fps, linear": {"": oracle("linear")},
}
"""Damage by kind, each from the least amount to the most."""


@dataclass(frozen=True)
class Acceptance:
    """values: one row per fps, control and amount (mean and standard error over repeats). checks: one row per fps and demand."""

    extractor: str
    values: pd.DataFrame
    checks: pd.DataFrame

    @property
    def passed(self) -> bool:
        return bool(self.checks["passed"][self.checks["decisive"]].all())

    def markdown(self) -> str:
        """Both tables for people: amounts against rates, and what was demanded."""
        rates = list(dict.fromkeys(self.values["fps"]))
        distance = {(row.control, row.amount, row.fps): f"{row.distance:.3g}" for row in self.values.itertuples()}
        outcome = {(row.demand, row.fps): _outcome(row.passed, row.decisive) for row in self.checks.itertuples()}
        head = "".join(f" {fps:g} fps |" for fps in rates)
        lines = [f"| Frechet distance of 1,000 clips | amount |{head}", "|---|---|" + "---:|" * len(rates)]
        for control, amount in dict.fromkeys((c, a) for c, a, _ in distance):
            lines.append(f"| {control} | {amount} |" + "".join(f" {distance.get((control, amount, fps), '')} |" for fps in rates))
        lines += ["", f"| demand |{head}", "|---|" + "---|" * len(rates)]
        for demand in dict.fromkeys(d for d, _ in outcome):
            lines.append(f"| {demand} |" + "".join(f" {outcome.get((demand, fps), '')} |" for fps in rates))
        return "\n".join(lines) + "\n"


def _outcome(passed: bool, decisive: bool) -> str:
    return ("pass" if passed else "FAIL") if decisive else ("yes" if passed else "no")


def accept(
    extractor: Extractor,
    corpus: Corpus,
    seed: int = 0,
    fps: Sequence[float] = FPS,
    decisive: Sequence[float] | None = None,
    repeats: int = 3,
    clips: int = CLIPS,
) -> Acceptance:
    """Run the controls on the test recordings of 120 fps and more. decisive: the rates that acceptance rests on, default all of fps."""
    listed = [recording for recording in recordings(corpus) if recording.fps >= MATCHED_FPS]
    values, checks = [], []
    for rate in fps:
        long_enough = [recording for recording in listed if recording.seconds * rate / FASTEST >= CLIP_FRAMES]
        if len({recording.trial for recording in long_enough}) < 2:
            raise InputError(
                f"corpus '{corpus.name}' has test recordings of {MATCHED_FPS:g} fps and {CLIP_FRAMES} frames at {rate:g} fps of fewer "
                "than 2 trials; the controls of an extractor need 2"
            )
        found = _distances(extractor, corpus, long_enough, rate, seed, repeats, clips)
        values += found
        decides = decisive is None or rate in decisive
        checks += [{"fps": rate, **check, "decisive": decides and check.get("decisive", True)} for check in judge(found)]
    return Acceptance(extractor.name, pd.DataFrame(values), pd.DataFrame(checks))


def _distances(
    extractor: Extractor, corpus: Corpus, listed: list[Recording], fps: float, seed: int, repeats: int, clips: int
) -> list[dict]:
    """One row per control and amount: mean Frechet distance from undamaged clips, and its standard error, over `repeats` pairs of draws."""
    weight = np.array([recording.seconds for recording in listed])
    draws = [np.random.default_rng([seed, int(fps), repeat]) for repeat in range(repeats)]
    chosen = [(rng.choice(len(listed), (2, clips), p=weight / weight.sum()), rng.random((2, clips))) for rng in draws]
    rows = np.arange(len(listed))
    reference: list[Moments] = []
    found = []
    for control, amounts in CONTROLS.items():
        if control.startswith("20 fps") and fps == BASE_FPS:
            continue
        for amount, damage in amounts.items():
            # One seed for all: every amount has the same noise, direction or foreign limb.
            motions = list(Recorded(corpus, control, damage).motions(listed, rows, fps, seed, 0).values())
            if not reference:
                reference = [moments(extractor.embed_clips(cut(motions, which[0], place[0]), fps)) for which, place in chosen]
            embedded = (extractor.embed_clips(cut(motions, which[1], place[1]), fps) for which, place in chosen)
            found.append(_row(fps, control, amount, [frechet(x, expected) for x, expected in zip(embedded, reference, strict=True)]))
    return found


def _row(fps: float, control: str, amount: str, distances: list[float]) -> dict:
    error = float(np.std(distances, ddof=1) / np.sqrt(len(distances))) if len(distances) > 1 else float("nan")
    return {"fps": fps, "control": control, "amount": amount, "distance": float(np.mean(distances)), "error": error}


def cut(motions: Sequence[Motion], which: NDArray, place: NDArray) -> NDArray[np.float32]:
    """Clips [n, 32, 22, 3] of the motions `which` [n], each at a share `place` [n] of the starts that its motion has."""
    starts = [int(share * (len(motions[k]) - CLIP_FRAMES + 1)) for k, share in zip(which, place, strict=True)]
    return np.stack([motions[k].joints[start : start + CLIP_FRAMES] for k, start in zip(which, starts, strict=True)])


def judge(values: list[dict]) -> list[dict]:
    """The demands on the distances of one rate: {demand, passed, detail}."""
    by_control: dict[str, list[float]] = {}
    for row in values:
        by_control.setdefault(row["control"], []).append(row["distance"])
    real = by_control["real"][0]

    def rising(demand: str, distances: list[float]) -> dict:
        steps = np.diff(distances)
        passed = bool((steps >= -SLACK * real).all() and distances[-1] > distances[0])
        return {"demand": demand, "passed": passed, "detail": " <= ".join(f"{d:.3g}" for d in distances)}

    checks = [
        rising(
            f"further with more {name}" if name in ("noise", "low-pass", "foot slide") else f"further when {name}",
            [real, *by_control[name]],
        )
        for name in ("noise", "low-pass", "faster", "slower", "foot slide")
    ]
    far = by_control["shuffled joints"][0]
    checks.append(
        {"demand": f"shuffled joints at least {FAR:g} x real", "passed": far >= FAR * real, "detail": f"{far:.3g} against {real:.3g}"}
    )
    if "20 fps, linear" in by_control:
        cubic, linear = by_control["20 fps, cubic"][0], by_control["20 fps, linear"][0]
        nearest = {"demand": "real nearer than 20 fps brought up by either", "detail": f"{real:.3g} <= {cubic:.3g}, {linear:.3g}"}
        checks.append(nearest | {"passed": real <= min(cubic, linear)})
        # Straight pieces have corners, and corners have energy at 8-20 Hz, which real motion has too and a cubic has not.
        order = {"demand": "cubic nearer than linear (not required)", "detail": f"{cubic:.3g} <= {linear:.3g}", "decisive": False}
        checks.append(order | {"passed": cubic <= linear})
    return checks
