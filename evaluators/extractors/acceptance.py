"""The controls that an extractor must pass before any generator is scored with it: real recordings, damaged in known ways and amounts.

Reference and damaged clips are two draws from the same recordings. Every amount of damage is done to the same clips ("paired"), so that
the clips that were drawn do not decide the order of the amounts. The Frechet distance of 1,000 clips must grow with the damage, at every
rate. Motion that was reduced to a low rate must be further from real motion than real motion is from itself.
It knows extractors and recordings; it knows no generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluators.damage import Damage, damaged, low_passed, noise, played_at, reduced, shuffled, sliding, undamaged
from evaluators.extractors import Extractor
from evaluators.metrics.distribution import Moments, frechet, moments
from nerm.data.dataset import Dataset, Item
from nerm.errors import InputError
from nerm.motion import Motion

CLIPS = 1000
CLIP_FRAMES = 32
FPS = (20.0, 60.0, 120.0)
LOWEST_FPS = 120.0
"""Lowest native rate of the recordings that are used, so that they are the same ones at every rate."""
FASTEST = 1.25
SLACK = 0.02
"""Neighbouring amounts may be in the wrong order by this share of the distance of real motion from itself."""
FAR = 2.0
"""Shuffled joints are at least this many times as far from real motion as real motion is from itself."""


CONTROLS: dict[str, dict[str, Damage]] = {
    "real": {"": undamaged},
    "noise": {f"{mm:g} mm": noise(mm / 1000) for mm in (0.5, 1, 2, 5, 10, 20)},
    "low-pass": {f"{hz:g} Hz": low_passed(hz) for hz in (10, 8, 6, 4, 2)},
    "faster": {f"{speed:g} x": played_at(speed) for speed in (1.1, FASTEST)},
    "slower": {f"{speed:g} x": played_at(speed) for speed in (0.9, 0.8)},
    "foot slide": {f"{mps:g} m/s": sliding(mps) for mps in (0.05, 0.1, 0.15, 0.2)},
    "shuffled joints": {"": shuffled},
}
"""Damage by kind, each from the least amount to the most."""


def low_rate_controls(base_fps: float) -> dict[str, dict[str, Damage]]:
    """The controls of rates above base_fps: motion reduced to base_fps and brought up again."""
    return {f"{base_fps:g} fps, cubic": {"": reduced(base_fps, "cubic")}, f"{base_fps:g} fps, linear": {"": reduced(base_fps, "linear")}}


@dataclass(frozen=True)
class Acceptance:
    """values: a line per fps, control and amount (mean and standard error over repeats). checks: a line per fps and demand."""

    extractor: str
    values: pd.DataFrame
    checks: pd.DataFrame

    @property
    def passed(self) -> bool:
        return bool(self.checks["passed"][self.checks["decisive"]].all())

    def markdown(self) -> str:
        """Both tables for people: amounts against rates, and what was demanded."""
        rates = list(dict.fromkeys(self.values["fps"]))
        distance = {(line.control, line.amount, line.fps): f"{line.distance:.3g}" for line in self.values.itertuples()}
        outcome = {(line.demand, line.fps): _outcome(line.passed, line.decisive) for line in self.checks.itertuples()}
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
    dataset: Dataset,
    seed: int = 0,
    fps: Sequence[float] = FPS,
    decisive: Sequence[float] | None = None,
    repeats: int = 3,
    clips: int = CLIPS,
) -> Acceptance:
    """Run the controls on the test recordings of 120 fps and more. decisive: the rates that acceptance rests on, default all of `fps`."""
    items = [item for item in dataset.items("test") if item.fps >= LOWEST_FPS]
    values, checks = [], []
    for rate in fps:
        long_enough = [item for item in items if counted(item.seconds, dataset.base_fps) * rate / FASTEST >= CLIP_FRAMES]
        if len({item.group for item in long_enough}) < 2:
            raise InputError(
                f"dataset '{dataset.name}' has test recordings of {LOWEST_FPS:g} fps and {CLIP_FRAMES} frames at {rate:g} fps of fewer "
                "than 2 trials; the controls of an extractor need 2"
            )
        of_rate = _distances(extractor, dataset, long_enough, rate, seed, repeats, clips)
        values += of_rate
        decides = decisive is None or rate in decisive
        checks += [
            {"fps": rate, **check, "decisive": decides and check.get("decisive", True)} for check in judge(of_rate, dataset.base_fps)
        ]
    return Acceptance(extractor.name, pd.DataFrame(values), pd.DataFrame(checks))


def counted(seconds: float, base_fps: float) -> float:
    """The seconds of a recording that count: up to its last multiple of 1 / base_fps."""
    return float(np.floor(seconds * base_fps + 1e-6) / base_fps)


def _distances(extractor: Extractor, dataset: Dataset, items: list[Item], fps: float, seed: int, repeats: int, clips: int) -> list[dict]:
    """A line per control and amount: mean Frechet distance from undamaged clips, and its standard error, over `repeats` pairs of draws."""
    seconds = [counted(item.seconds, dataset.base_fps) for item in items]
    weight = np.array(seconds)
    draws = [np.random.default_rng([seed, int(fps), repeat]) for repeat in range(repeats)]
    chosen = [(rng.choice(len(items), (2, clips), p=weight / weight.sum()), rng.random((2, clips))) for rng in draws]
    controls = CONTROLS if fps == dataset.base_fps else CONTROLS | low_rate_controls(dataset.base_fps)
    reference: list[Moments] = []
    lines = []
    for control, amounts in controls.items():
        for amount, damage in amounts.items():
            # One seed for every amount: they all have the same noise, direction or foreign limb.
            motions = list(damaged(dataset, items, seconds, range(len(items)), fps, seed, damage).values())
            if not reference:
                reference = [moments(extractor.embed_clips(cut(motions, which[0], place[0]), fps)) for which, place in chosen]
            embedded = (extractor.embed_clips(cut(motions, which[1], place[1]), fps) for which, place in chosen)
            lines.append(_line(fps, control, amount, [frechet(x, expected) for x, expected in zip(embedded, reference, strict=True)]))
    return lines


def _line(fps: float, control: str, amount: str, distances: list[float]) -> dict:
    error = float(np.std(distances, ddof=1) / np.sqrt(len(distances))) if len(distances) > 1 else float("nan")
    return {"fps": fps, "control": control, "amount": amount, "distance": float(np.mean(distances)), "error": error}


def cut(motions: Sequence[Motion], which: NDArray, place: NDArray) -> NDArray[np.float32]:
    """Clips [n, 32, 22, 3] of the motions `which` [n], each starting at a share `place` [n], from 0 to 1, of its motion's starts."""
    starts = [int(share * (len(motions[k]) - CLIP_FRAMES + 1)) for k, share in zip(which, place, strict=True)]
    return np.stack([motions[k].joints[start : start + CLIP_FRAMES] for k, start in zip(which, starts, strict=True)])


def judge(values: list[dict], base_fps: float) -> list[dict]:
    """The demands on the distances of one rate: {demand, passed, detail}."""
    by_control: dict[str, list[float]] = {}
    for line in values:
        by_control.setdefault(line["control"], []).append(line["distance"])
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
    brought_up = low_rate_controls(base_fps)
    if brought_up.keys() <= by_control.keys():
        cubic, linear = (by_control[control][0] for control in brought_up)
        nearest = {
            "demand": f"real nearer than {base_fps:g} fps brought up by either",
            "detail": f"{real:.3g} <= {cubic:.3g}, {linear:.3g}",
        }
        checks.append(nearest | {"passed": real <= min(cubic, linear)})
        # Linear pieces have corners. Corners have energy at 8-20 Hz, as real motion has; a cubic lacks it.
        order = {"demand": "cubic nearer than linear (not required)", "detail": f"{cubic:.3g} <= {linear:.3g}", "decisive": False}
        checks.append(order | {"passed": cubic <= linear})
    return checks
