"""Damage of known kinds and amounts, done to real motion. It knows motions and how they are drawn; no table and no extractor.

Every damage is a pure function with the same signature. The controls of extractors and the rows made of damaged recordings use the same
functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nerm.data.dataset import Dataset, Item, item_number
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.kinematics import lowpass
from nerm.motion.resample import Method, at_rate
from nerm.motion.skeleton import heading, yaw_matrix

Another = Callable[[], Motion]
Damage = Callable[[Motion, float, float, Another, np.random.Generator], Motion]
"""(the recording, seconds, fps, another recording at fps, random numbers) -> motion at fps."""

CHAINS = {
    "l_arm": ("l_collar", ("l_shoulder", "l_elbow", "l_wrist")),
    "r_arm": ("r_collar", ("r_shoulder", "r_elbow", "r_wrist")),
    "l_leg": ("pelvis", ("l_hip", "l_knee", "l_ankle", "l_foot")),
    "r_leg": ("pelvis", ("r_hip", "r_knee", "r_ankle", "r_foot")),
}
"""What `shuffled` takes from another recording: where the chain is attached, and its joints."""


def undamaged(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
    """The recording at the rate asked for."""
    return at_rate(motion, seconds, fps)


def noise(metres: float) -> Damage:
    """White noise of that standard deviation on every coordinate of every frame."""

    def damage(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
        x = at_rate(motion, seconds, fps).joints
        return Motion((x + metres * rng.standard_normal(x.shape)).astype(np.float32), fps)

    return damage


def low_passed(cutoff_hz: float) -> Damage:
    """Frequencies above cutoff_hz are removed."""

    def damage(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
        return at_rate(Motion(lowpass(motion.joints, motion.fps, cutoff_hz), motion.fps), seconds, fps)

    return damage


def shuffled(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
    """One arm or leg taken from another recording, relative to where it is attached and to the heading.

    If the other recording is shorter, it is played forwards and backwards, so that nothing jumps.
    """
    attach, names = CHAINS[list(CHAINS)[int(rng.integers(len(CHAINS)))]]
    base, chain = SMPL22.index(attach), [SMPL22.index(name) for name in names]
    own, donor = at_rate(motion, seconds, fps).joints.astype(np.float64), another().joints.astype(np.float64)
    last = len(donor) - 1
    time = np.arange(len(own)) % max(2 * last, 1)
    donor = donor[np.minimum(time, 2 * last - time) if last else np.zeros(len(own), dtype=int)]
    turn = yaw_matrix(heading(own) - heading(donor))
    mixed = own.copy()
    mixed[:, chain] = own[:, base, None] + np.einsum("tij,tkj->tki", turn, donor[:, chain] - donor[:, base, None])
    return Motion(mixed.astype(np.float32), fps)


def reduced(low_fps: float, method: Method) -> Damage:
    """Reduced to low_fps by point values and brought up again."""
    return lambda motion, seconds, fps, another, rng: at_rate(at_rate(motion, seconds, low_fps), seconds, fps, method)


def played_at(speed: float) -> Damage:
    """Played faster (above 1) or slower. The result is longer or shorter than the recording."""

    def damage(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
        return at_rate(Motion(motion.joints, motion.fps * speed), seconds / speed, fps)

    return damage


def sliding(speed_mps: float) -> Damage:
    """The whole body drifts over the floor, in one direction per recording, so planted feet slide."""

    def damage(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
        angle = rng.uniform(0, 2 * np.pi)
        real = at_rate(motion, seconds, fps)
        drift = speed_mps * real.times[:, None, None] * np.array([np.cos(angle), 0.0, np.sin(angle)])
        return Motion((real.joints + drift).astype(np.float32), fps)

    return damage


VARIANTS: dict[str, Damage] = {
    "noise-1mm": noise(0.001),
    "noise-5mm": noise(0.005),
    "lowpass-4hz": low_passed(4.0),
    "shuffled": shuffled,
}
"""Variant of a row of real motion -> what is done to it."""


def damaged(
    dataset: Dataset,
    items: Sequence[Item],
    seconds: Sequence[float],
    places: Sequence[int],
    fps: float,
    seed: int,
    damage: Damage,
) -> dict[int, Motion]:
    """Place -> damaged motion at fps, for the `places` in `items`.

    seconds: of each item, the time that counts. Random numbers depend on seed and item alone. Another recording is drawn from `places`; it
    has another group and the same native rate.
    """
    motions = {}
    for place in map(int, places):
        item = items[place]
        rng = np.random.default_rng([seed, item_number(item), 0])
        others = [int(other) for other in places if items[other].group != item.group and items[other].fps == item.fps]

        def another(rng: np.random.Generator = rng, others: Sequence[int] = others) -> Motion:
            if not others:
                raise InputError("shuffled joints need recordings of two trials at one rate")
            chosen = others[int(rng.integers(len(others)))]
            return at_rate(dataset.motion(items[chosen]), seconds[chosen], fps)

        motions[place] = damage(dataset.motion(item), seconds[place], fps, another, rng)
    return motions
