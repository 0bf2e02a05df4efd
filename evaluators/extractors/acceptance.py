"""The controls that an extractor must pass before any generator is scored with it: real recordings, damaged in known ways and amounts.

Test recordings are compared with themselves, damaged: the *excess* is their distance (`evaluators.metrics.trials`), which is exactly zero
without damage. Its unit is the standard deviation of the distance of real motion from other real motion, at as many trials (random halves):
what chance makes of a distance whose true value is zero. This *effect size* says whether a table of that many trials could show the damage.
It does not depend on the scale of the embedding. (In units of its own standard deviation, even a damage too small to matter is large: with
the same trials on both sides the excess of a change of size d is about d squared, and so is its standard deviation.)

The kinds of damage and what is demanded of them are data (`evaluators.extractors.controls`). An extractor declares the kinds that it was
trained on; none of them may be a control that must be seen. It knows extractors and recordings; it knows no generator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluators.damage import Damage, damaged, undamaged
from evaluators.extractors import EXTRACTORS, Classified, Extractor
from evaluators.extractors.controls import CONTROLS, LEADS_AWAY, OF_ACTIONS, SEEN, effect_check
from evaluators.metrics.retrieval import POOL, pools, r_precision
from evaluators.metrics.trials import Pairs, discrepancy, pairs_of_trials, resampled, split
from evaluators.resampling import draws_of
from nerm.data.dataset import Dataset, Item, action_items
from nerm.errors import InputError
from nerm.motion import Motion
from nerm.words import mirror_caption

R_PRECISION = 0.85
"""Top 3 of pools of 32 different labels, real test motion with its own test sentences."""
ACCURACY = 0.9
"""Of a classifier, on test recordings of its classes."""
CLIP_FRAMES = 32
CLIPS_A_TRIAL = 16
DRAWS = 400
FPS = (20.0, 40.0, 60.0, 120.0)
LOWEST_FPS = 120.0
"""Lowest native rate of the recordings whose clips are used, so that they are the same ones at every rate."""
FASTEST = 1.25


@dataclass(frozen=True)
class Acceptance:
    """checks: a line per demand and rate (demand, fps, detail, passed, decisive, and effect where the demand is about one)."""

    extractor: str
    checks: pd.DataFrame

    @property
    def passed(self) -> bool:
        return bool(self.checks["passed"][self.checks["decisive"]].all())

    def markdown(self) -> str:
        """Demands against rates, for people."""
        rates = list(dict.fromkeys(self.checks["fps"]))
        lines = ["| demand |" + "".join(f" {fps:g} fps |" for fps in rates), "|---|" + "---:|" * len(rates)]
        for demand in dict.fromkeys(self.checks["demand"]):
            of = {check.fps: check for check in self.checks[self.checks["demand"] == demand].itertuples()}
            lines.append(f"| {demand} |" + "".join(f" {_cell(of[fps]) if fps in of else ''} |" for fps in rates))
        return "\n".join(lines) + "\n"


def _cell(check) -> str:
    return check.detail + ("" if check.passed else " FAIL" if check.decisive else " (no)")


def accept(
    extractor: Extractor,
    dataset: Dataset,
    seed: int = 0,
    fps: Sequence[float] = FPS,
    decisive: Sequence[float] | None = None,
    draws: int = DRAWS,
) -> Acceptance:
    """Run the controls on test recordings. decisive: the rates that acceptance rests on, default all of `fps`.

    An extractor of clips is tested on clips of the recordings of 120 fps and more, at the rates `fps`. One that embeds texts too, and a
    classifier, are tested on whole motions at the dataset's base rate.
    """
    entry = EXTRACTORS.get(extractor.name) if extractor.name in EXTRACTORS else None
    overlap = {control.kind for control in CONTROLS if control.seen} & set(entry.trained_on if entry else ())
    if overlap:
        raise InputError(
            f"extractor '{extractor.name}' was trained on {', '.join(sorted(overlap))}, which controls it: leave it out of one"
        )
    checks: list[dict] = []
    of_motions = _of_actions if extractor.classes else _of_motions if entry is not None and "texts" in entry.embeds else None
    if of_motions:
        checks += [{"fps": dataset.base_fps, "decisive": True} | check for check in of_motions(extractor, dataset, seed, draws)]
    else:
        for rate in fps:
            decides = decisive is None or rate in decisive
            checks += [check | {"fps": rate, "decisive": decides} for check in _of_clips(extractor, dataset, rate, seed, draws)]
    return Acceptance(extractor.name, pd.DataFrame(checks))


def counted(seconds: float, base_fps: float) -> float:
    """The seconds of a recording that count: up to its last multiple of 1 / base_fps."""
    return float(np.floor(seconds * base_fps + 1e-6) / base_fps)


def _of_clips(extractor: Extractor, dataset: Dataset, fps: float, seed: int, draws: int) -> list[dict]:
    items = [
        item
        for item in dataset.items("test")
        if item.fps >= LOWEST_FPS and counted(item.seconds, dataset.base_fps) * fps / FASTEST >= CLIP_FRAMES
    ]
    which, place = _chosen(items, seed)

    def embed(motions: Sequence[Motion]) -> NDArray:
        return extractor.embed_clips(cut(motions, which, place), fps)

    return _effects(embed, dataset, items, [items[k].group for k in which], fps, seed, draws)


def _of_motions(extractor: Extractor, dataset: Dataset, seed: int, draws: int) -> list[dict]:
    items = [item for item in dataset.items("test") if item.seconds >= 2.0]
    checks = _effects(extractor.embed_motions, dataset, items, [item.group for item in items], dataset.base_fps, seed, draws)
    return checks + _texts(extractor, dataset, [item for item in items if item.captions], seed, draws)


def _of_actions(extractor: Extractor, dataset: Dataset, seed: int, draws: int) -> list[dict]:
    """A classifier must recognise actions, and damaged ones less often. What its features say of sets is beside it.

    A limb of another recording makes one action look like another, and another one like it, so that sets as a whole may stay as they were:
    distances between sets decide for damage that leads away from all actions alone.
    """
    of_class = {item: name for item, name in action_items(dataset, "test").items() if name in extractor.classes}
    if len({item.group for item in of_class}) < 4:
        raise InputError(f"dataset '{dataset.name}' has test items of the classes of '{extractor.name}' of fewer than 4 trials")
    items, classes = list(of_class), [extractor.classes.index(name) for name in of_class.values()]
    trials, seconds = [item.group for item in items], [counted(item.seconds, dataset.base_fps) for item in items]

    def answers(damage: Damage) -> Classified:
        return extractor.classify(list(damaged(dataset, items, seconds, range(len(items)), dataset.base_fps, seed, damage).values()))

    real = answers(undamaged)
    right = (real.scores.argmax(1) == classes).astype(np.float64)
    chance = float(draws_of(trials, draws, seed).means(right, trials).std())
    share = f"{right.mean():.3f}"
    checks = [{"demand": f"accuracy on real motion at least {ACCURACY:g}", "detail": share, "passed": bool(right.mean() >= ACCURACY)}]
    for control in CONTROLS:
        if control.fps or (control.seen and control.kind not in OF_ACTIONS):
            continue
        found = answers(control.damage)
        fewer = float(right.mean() - (found.scores.argmax(1) == classes).mean())
        excess, usual = _excess(real.features, found.features, trials, seed, draws)
        recognised = effect_check(f"{control.name}, recognised less often", fewer / max(chance, 1 / len(items)), control.seen)
        as_set = effect_check(f"{control.name}, as a set", excess / usual if usual > 0 else 0.0, control.seen)
        checks += [recognised, as_set | {"decisive": not control.seen or control.kind in LEADS_AWAY}]
    return checks


def _chosen(items: Sequence[Item], seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """CLIPS_A_TRIAL clips of every trial: indices into items [n], and the place of each as a share [n] of its motion's possible starts."""
    rng = np.random.default_rng([seed, 8])
    of_group: dict[str, list[int]] = {}
    for index, item in enumerate(items):
        of_group.setdefault(item.group, []).append(index)
    which = np.concatenate([rng.choice(of_group[group], CLIPS_A_TRIAL) for group in sorted(of_group)]) if items else np.zeros(0, int)
    return which, rng.random(len(which))


def cut(motions: Sequence[Motion], which: NDArray, place: NDArray) -> NDArray[np.float32]:
    """Clips [n, 32, 22, 3] of the motions `which` [n], each starting at a share `place` [n], from 0 to 1, of its motion's starts."""
    starts = [int(share * (len(motions[k]) - CLIP_FRAMES + 1)) for k, share in zip(which, place, strict=True)]
    return np.stack([motions[k].joints[start : start + CLIP_FRAMES] for k, start in zip(which, starts, strict=True)])


def _effects(
    embed: Callable[[Sequence[Motion]], NDArray],
    dataset: Dataset,
    items: Sequence[Item],
    of: Sequence[str],
    fps: float,
    seed: int,
    draws: int,
) -> list[dict]:
    """A check per control. of: the trial of each embedding."""
    if len(set(of)) < 4:
        raise InputError(
            f"dataset '{dataset.name}' has long enough test recordings of {len(set(of))} trials at {fps:g} fps; the controls of an "
            "extractor compare halves of the trials and need 4 (clips: of recordings of 120 fps and more)"
        )
    seconds = [counted(item.seconds, dataset.base_fps) for item in items]

    def embedded(damage: Damage) -> NDArray:
        # One seed for every control: they all have the same noise, direction or other recording.
        return embed(list(damaged(dataset, items, seconds, range(len(items)), fps, seed, damage).values()))

    real = embedded(undamaged)
    quick = _fast(dataset, items)
    checks, excess = [], {}
    for control in CONTROLS:
        if control.fps not in (0.0, fps):
            continue
        kept = np.array([not control.fast or trial in quick for trial in of])
        trials = [trial for trial, keep in zip(of, kept, strict=True) if keep]
        excess[control.name], chance = _excess(real[kept], embedded(control.damage)[kept], trials, seed, draws)
        checks.append(effect_check(control.name, excess[control.name] / chance if chance > 0 else 0.0, control.seen))
    statue, limb = excess["frozen"], excess["foreign limb"]
    checks.append({"demand": "a statue is further than a foreign limb", "detail": f"{statue:.3g} > {limb:.3g}", "passed": statue > limb})
    return checks


def _excess(real: NDArray, worse: NDArray, of: Sequence[str], seed: int, draws: int) -> tuple[float, float]:
    """The distance of real motion from itself, damaged, and the standard deviation by chance of a distance between as many real trials.

    Of real motion only halves can be compared without a common trial. The spread of an unbiased distance that is zero falls with the number
    of trials, so that of all trials is half as large.
    """
    pairs, trials = pairs_of_trials(real, of, worse, of)
    chance = discrepancy(Pairs(pairs.xx, pairs.xx, pairs.xx), *split(len(trials), draws, seed)).std() / 2
    return float(discrepancy(pairs, np.ones(len(trials)))), float(chance)


def _fast(dataset: Dataset, items: Sequence[Item]) -> frozenset[str]:
    """The quarter of the trials with the highest speeds: 99th percentile over frames and joints, below 8 Hz."""
    from nerm.motion.kinematics import speed

    fastest: dict[str, float] = {}
    for item in items:
        motion = dataset.motion(item)
        fastest[item.group] = max(fastest.get(item.group, 0.0), float(np.quantile(speed(motion.joints, motion.fps), 0.99)))
    return frozenset(sorted(fastest, key=lambda group: -fastest[group])[: max(len(fastest) // 4, 4)])


def _texts(extractor: Extractor, dataset: Dataset, items: Sequence[Item], seed: int, draws: int) -> list[dict]:
    """Retrieval of real motion by its sentence, and the effect of mirroring motion whose sentence names a side."""
    sided = [item for item in items if mirror_caption(item.captions[0]) != item.captions[0]]
    motions = [dataset.motion(item) for item in items]
    text, own = extractor.embed_texts([item.captions[0] for item in items]), extractor.match_motions(motions)
    other = extractor.match_motions([motion.mirrored() for motion, item in zip(motions, items, strict=True) if item in sided])
    place = [items.index(item) for item in sided]
    added: dict[str, list[float]] = {}
    for item, wrong, k in zip(sided, other, place, strict=True):
        added.setdefault(item.group, []).append(float(np.linalg.norm(text[k] - wrong) - np.linalg.norm(text[k] - own[k])))
    of_trials = np.array([np.mean(values) for values in added.values()])
    means = resampled(len(of_trials), draws, seed) @ of_trials / len(of_trials)
    effect = float(of_trials.mean() / means.std())
    labels = [item.label or item.id for item in items]
    size = min(POOL, len(set(labels)))
    top3 = float(np.mean([r_precision(text, own, pools(len(items), draw, size, labels))[2] for draw in range(20)]))
    return [
        {
            "demand": f"mirrored, against its sentence: at least {SEEN:g} sd",
            "effect": effect,
            "detail": f"{effect:.1f}",
            "passed": effect >= SEEN,
        },
        {
            "demand": f"R-precision of real motion (top 3 of {size}) at least {R_PRECISION:g}",
            "detail": f"{top3:.3f}",
            "passed": top3 >= R_PRECISION,
        },
    ]
