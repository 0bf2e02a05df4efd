"""Damage of known kinds and amounts, done to real motion. It knows motions and how they are drawn; no table and no extractor.

Every damage is a pure function with the same signature. The controls of extractors and the rows made of damaged recordings use the same
functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nerm.data.dataset import Dataset, Item, item_number
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.kinematics import lowpass
from nerm.motion.resample import Method, at_rate
from nerm.motion.skeleton import heading, joints_from_directions, yaw_matrix

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
UPPER_BODY = tuple(name for name in SMPL22.names[1:] if name.partition("_")[2] not in ("hip", "knee", "ankle", "foot"))
_FLOOR = np.array([1.0, 0.0, 1.0])


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
    """One arm or leg taken from another recording, relative to where it is attached and to the heading."""
    attach, names = CHAINS[list(CHAINS)[int(rng.integers(len(CHAINS)))]]
    return Motion(_grafted(at_rate(motion, seconds, fps).joints, another().joints, attach, names), fps)


def foreign_upper_body(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
    """Everything above the hips taken from another recording, relative to the pelvis and to the heading."""
    return Motion(_grafted(at_rate(motion, seconds, fps).joints, another().joints, "pelvis", UPPER_BODY), fps)


def _grafted(own: NDArray, donor: NDArray, attach: str, names: Sequence[str]) -> NDArray[np.float32]:
    """own [T, 22, 3] with those joints of the donor [U, 22, 3]."""
    base, chain = SMPL22.index(attach), [SMPL22.index(name) for name in names]
    own, donor = own.astype(np.float64), donor[played_on(len(donor), len(own))].astype(np.float64)
    turn = yaw_matrix(heading(own) - heading(donor))
    mixed = own.copy()
    mixed[:, chain] = own[:, base, None] + np.einsum("tij,tkj->tki", turn, donor[:, chain] - donor[:, base, None])
    return mixed.astype(np.float32)


def foreign_root_path(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
    """The poses of the recording, led over the floor by the path and the heading of another one; heights are the recording's own."""
    own = at_rate(motion, seconds, fps).joints.astype(np.float64)
    donor = another().joints.astype(np.float64)
    donor = donor[played_on(len(donor), len(own))]
    turn = yaw_matrix(heading(donor) - heading(own))
    moved = np.einsum("tij,tkj->tki", turn, own - own[:, :1] * _FLOOR) + donor[:, :1] * _FLOOR
    return Motion(moved.astype(np.float32), fps)


def backwards(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
    """Played from its end to its beginning."""
    return Motion(at_rate(motion, seconds, fps).joints[::-1], fps)


def frozen(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
    """A statue: its pose half way, for all of its time."""
    joints = at_rate(motion, seconds, fps).joints
    return Motion(np.repeat(joints[len(joints) // 2][None], len(joints), axis=0), fps)


def permuted(piece_s: float) -> Damage:
    """Cut into pieces of that time, played in another order; each begins at the place and in the heading in which the last one ended."""

    def damage(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
        joints = at_rate(motion, seconds, fps).joints.astype(np.float64)
        pieces = np.array_split(joints, max(round(len(joints) / (piece_s * fps)), 1))
        played = [pieces[k] for k in rng.permutation(len(pieces))]
        for before, (number, piece) in zip(played, enumerate(played[1:], start=1), strict=False):
            turn = yaw_matrix(heading(before[-1]) - heading(piece[0]))
            played[number][...] = (piece - piece[0, 0] * _FLOOR) @ turn.T + before[-1, 0] * _FLOOR
        return Motion(np.concatenate(played).astype(np.float32), fps)

    return damage


def flattened(amplitude: float) -> Damage:
    """Every bone keeps that share of its angle from its mean direction (as seen from the heading); lengths and root are unchanged."""

    def damage(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
        real = at_rate(motion, seconds, fps).joints.astype(np.float64)
        turn = yaw_matrix(heading(real))
        bones = real[:, 1:] - real[:, list(SMPL22.parents[1:])]
        lengths = np.linalg.norm(bones, axis=-1, keepdims=True)
        seen = np.einsum("tji,tkj->tki", turn, bones / np.maximum(lengths, 1e-9))
        mean = seen.mean(axis=0, keepdims=True)
        mean = mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-9)
        angle = np.arccos(np.clip((seen * mean).sum(-1, keepdims=True), -1, 1))
        # The point that divides the great circle from the mean to the direction.
        size = np.maximum(np.sin(angle), 1e-9)
        less = (np.sin((1 - amplitude) * angle) * mean + np.sin(amplitude * angle) * seen) / size
        less = np.where(angle < 1e-6, seen, less)
        joints = joints_from_directions(
            real[:, 0], np.einsum("tij,tkj->tki", turn, less), SMPL22, np.pad(lengths[..., 0], ((0, 0), (1, 0)))
        )
        return Motion(joints.astype(np.float32), fps)

    return damage


def raised(metres: float) -> Damage:
    """The whole body above the floor on which it stood."""
    return _moved(lambda joints, rng: joints + np.array([0.0, metres, 0.0]))


def turned(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
    """Turned as a whole about the vertical by a random angle. No damage: nothing should see it."""
    return _moved(lambda joints, rng: joints @ yaw_matrix(rng.uniform(0, 2 * np.pi)).T)(motion, seconds, fps, another, rng)


def placed(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
    """Moved as a whole over the floor, up to 5 m each way. No damage: nothing should see it."""
    return _moved(lambda joints, rng: joints + rng.uniform(-5, 5, 3) * _FLOOR)(motion, seconds, fps, another, rng)


def sized(factor: float) -> Damage:
    """A body larger or smaller by that factor, with its path. No damage near 1: people differ by more."""
    return _moved(lambda joints, rng: factor * joints)


def mirrored(motion: Motion, seconds: float, fps: float, another: Another, rng: np.random.Generator) -> Motion:
    """Left and right exchanged. A motion as real as before, but the wrong one for a sentence that names a side."""
    return at_rate(motion, seconds, fps).mirrored()


def _moved(move: Callable[[NDArray, np.random.Generator], NDArray]) -> Damage:
    """A damage that changes joints [T, 22, 3] frame by frame."""
    return lambda motion, seconds, fps, another, rng: Motion(
        move(at_rate(motion, seconds, fps).joints.astype(np.float64), rng).astype(np.float32), fps
    )


def played_on(count: int, frames: int) -> NDArray[np.int64]:
    """[frames] places in a motion of `count` frames that is played forwards and backwards, so that nothing jumps."""
    last = count - 1
    time = np.arange(frames) % max(2 * last, 1)
    return np.minimum(time, 2 * last - time) if last else np.zeros(frames, dtype=np.int64)


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
    "still": frozen,
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
        rng = _random(seed, item)
        others = [int(other) for other in places if items[other].group != item.group and items[other].fps == item.fps]

        def another(rng: np.random.Generator = rng, others: Sequence[int] = others) -> Motion:
            if not others:
                raise InputError("shuffled joints need recordings of two trials at one rate")
            chosen = others[int(rng.integers(len(others)))]
            return at_rate(dataset.motion(items[chosen]), seconds[chosen], fps)

        motions[place] = damage(dataset.motion(item), seconds[place], fps, another, rng)
    return motions


def damaged_alone(motion: Motion, item: Item, fps: float, seed: int, damage: Damage) -> Motion:
    """The recording of an item, damaged without any other recording; with the random numbers that `damaged` draws."""

    def another() -> Motion:
        raise InputError(f"item {item.id}: a damage that takes a part of another recording, where there is none")

    return damage(motion, motion.seconds, fps, another, _random(seed, item))


def _random(seed: int, item: Item) -> np.random.Generator:
    return np.random.default_rng([seed, item_number(item), 0])
