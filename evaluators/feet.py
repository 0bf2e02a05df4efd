"""python -m evaluators.feet: what holding the feet does to samples, before and after, beside recordings. docs/feet.md has its table.

python -m evaluators.feet                                 50 sentences of the test split, the shipped NeRM, 30 and 120 fps, a minute
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from evaluators.metrics.physical import foot_skate, foot_skate_ratio, penetration_mm
from nerm.cli import parse, progress, run
from nerm.help import command
from nerm.motion import Motion
from nerm.motion.kinematics import derivative

KNEES = ("l_knee", "r_knee")


@dataclass
class Feet:
    """dataset: a prepared one; its test split has the sentences.
    system: what is sampled.
    count, seed: how many of the sentences, and which.
    fps: the rates.
    """

    dataset: str = "multirate"
    system: str = "nerm"
    count: int = 50
    seed: int = 0
    fps: list[float] = field(default_factory=lambda: [30.0, 120.0])


@command(Feet)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(Feet, arguments, "For example: count=50 fps=[30,120]")
    from tabulate import tabulate

    from baselines.base import load_system
    from nerm.data.dataset import load_dataset
    from nerm.generator import Condition
    from nerm.held import sample_held

    dataset, system = load_dataset(settings.dataset), load_system(settings.system, None)
    first = {item.captions[0]: item for item in reversed(dataset.items("test")) if item.captions}
    order = np.random.default_rng(settings.seed).permutation(sorted(first))[: settings.count]
    items = [first[str(sentence)] for sentence in order]
    conditions, seeds = [Condition(item.captions[0]) for item in items], list(range(len(items)))
    seconds = [float(np.clip(item.seconds, 1, 10)) for item in items]
    rows: list[list[str]] = []
    for fps in settings.fps:
        progress(f"{len(items)} sentences at {fps:g} fps")
        before = system.sample(conditions, seconds, fps, seeds)
        rows += _rows(fps, before, sample_held(system, conditions, seconds, fps, seeds))
    recorded = [dataset.motion(item) for item in dataset.items("test") if item.fps >= max(settings.fps) * 0.99]
    rows.append(["", f"recordings ({len(recorded)})", *(f"{_mean(measure, recorded):.3g}" for measure in MEASURES.values()), "", "", ""])
    heads = [
        "fps",
        "",
        *MEASURES,
        "knee's largest, m/s^2",
        "per sample, times: median / 90 % / most",
        "joints moved, mm: mean / root / rest / most",
    ]
    print(tabulate(rows, heads, "github"))
    return 0


MEASURES: dict[str, Callable[[Motion], float]] = {
    "skate, m/s": foot_skate,
    "skating above .15 m/s": foot_skate_ratio,
    "below the floor, mm": penetration_mm,
}


def _rows(fps: float, before: Sequence[Motion], after: Sequence[Motion]) -> list[list[str]]:
    knees = [np.array([largest_knee(motion) for motion in motions]) for motions in (before, after)]
    times = np.percentile(knees[1] / knees[0], [50, 90, 100])
    moved = [after.joints.astype(np.float64) - before.joints for before, after in zip(before, after, strict=True)]
    moves = [_mean_mm(moved), _mean_mm([x[:, :1] for x in moved]), _mean_mm([x - x[:, :1] for x in moved])]
    most = 1e3 * max(np.linalg.norm(x, axis=-1).max() for x in moved)
    table = [[f"{fps:g}", name] for name in ("as sampled", "feet locked")]
    for row, motions, knee in zip(table, (before, after), knees, strict=True):
        row += [f"{_mean(measure, motions):.3g}" for measure in MEASURES.values()] + [f"{knee.max():.0f}"]
    table[0] += ["", ""]
    table[1] += [" / ".join(f"{x:.2f}" for x in times), " / ".join(f"{x:.0f}" for x in (*moves, most))]
    return table


def largest_knee(motion: Motion) -> float:
    """The largest acceleration of a knee below 8 Hz, m/s^2."""
    knees = motion.joints[:, [motion.skeleton.index(name) for name in KNEES]].astype(np.float64)
    return float(np.linalg.norm(derivative(knees, motion.fps, 2), axis=-1).max())


def _mean(measure: Callable[[Motion], float], motions: Sequence[Motion]) -> float:
    return float(np.nanmean([measure(motion) for motion in motions]))


def _mean_mm(moves: Sequence[NDArray[np.float64]]) -> float:
    """Mean over motions of the mean length of moves [T, J, 3] m."""
    return 1e3 * float(np.mean([np.linalg.norm(move, axis=-1).mean() for move in moves]))


if __name__ == "__main__":
    run(main)
