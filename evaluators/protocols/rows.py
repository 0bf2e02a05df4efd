"""Where the motion of a row of the table comes from: a generator, a generator at 20 fps brought up, or real motion, damaged in a known way.

Every source gives one motion per recording, at the rate asked for and as long as the recording. It knows no extractor and no metric.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from evaluators.protocols.recordings import BASE_FPS, Recording, sample_seed
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, frame_count, frame_times
from nerm.motion.kinematics import lowpass
from nerm.motion.resample import Method, at_times
from nerm.motion.skeleton import heading, yaw_matrix

if TYPE_CHECKING:
    from baselines.base import Generator
    from nerm.data.corpus import Corpus

BATCH = 32
REPEATS = 1000
"""Index of the first of the motions that only multimodality reads."""
BROUGHT_UP = re.compile(r"(?P<system>.+)-20-(?P<method>linear|cubic|slerp)")
CHAINS = {
    "l_arm": ("l_collar", ("l_shoulder", "l_elbow", "l_wrist")),
    "r_arm": ("r_collar", ("r_shoulder", "r_elbow", "r_wrist")),
    "l_leg": ("pelvis", ("l_hip", "l_knee", "l_ankle", "l_foot")),
    "r_leg": ("pelvis", ("r_hip", "r_knee", "r_ankle", "r_foot")),
}
"""What control-shuffled takes from another recording: where the chain is attached, and its joints."""


class Source(Protocol):
    """upsampling: how its motion came to a rate, '' if it was made there.  sampled: the generator behind it; None for real motion."""

    @property
    def upsampling(self) -> str: ...

    @property
    def sampled(self) -> Sampled | None: ...

    def identity(self, fps: float) -> str:
        """What its motions at a rate depend on, besides recordings and seeds; equal identities, equal motions."""
        ...

    def motions(self, listed: Sequence[Recording], rows: NDArray, fps: float, seed: int, index: int) -> dict[int, Motion]:
        """Row -> motion at fps, for the rows of `listed`. index: which of several motions for one recording."""
        ...


def at_rate(motion: Motion, seconds: float, fps: float, method: Method = "cubic") -> Motion:
    """Point values of a motion at k / fps up to `seconds`; at its own rate the frames are its own."""
    return at_times(motion, frame_times(min(seconds, motion.seconds), fps), fps, method)


# --- generated ------------------------------------------------------------------------------------------------------------------------


@dataclass
class Sampled:
    """A generator, asked for the caption and the length of each recording.

    One that reads any rate out of codes (`sample_codes` and `read`, of which its `sample` is made) is asked for the codes once; one that
    generates at 20 fps is asked for that, and brought to other rates by slerp as it would do itself.
    """

    generator: Generator
    _codes: dict[tuple[int, int], list] = field(default_factory=dict, repr=False)
    _at_base: dict[tuple, dict[int, Motion]] = field(default_factory=dict, repr=False)

    @property
    def sampled(self) -> Sampled:
        return self

    @property
    def upsampling(self) -> str:
        return "slerp" if self.generator.native_fps else ""

    def identity(self, fps: float) -> str:
        return f"{self.generator.name} {self.generator.digest}"

    def motions(self, listed: Sequence[Recording], rows: NDArray, fps: float, seed: int, index: int) -> dict[int, Motion]:
        """Motions at 20 fps are kept: three rows of the table start from them."""
        key = (seed, index, rows.tobytes())
        if fps == BASE_FPS and key in self._at_base:
            return self._at_base[key]
        if self.generator.native_fps == BASE_FPS and fps != BASE_FPS:
            return BroughtUp(self, "slerp").motions(listed, rows, fps, seed, index)
        if hasattr(self.generator, "sample_codes"):
            codes = self._codes_of(listed, seed, index)
            made = [self.generator.read(codes[row], listed[row].seconds, fps) for row in rows]  # type: ignore[attr-defined]
        else:
            made = self._sample([listed[row] for row in rows], fps, [sample_seed(seed, listed[row], index) for row in rows])
        found = dict(zip(rows.tolist(), made, strict=True))
        if fps == BASE_FPS:
            self._at_base[key] = found
        return found

    def _codes_of(self, listed: Sequence[Recording], seed: int, index: int) -> list:
        """The codes of all recordings, whichever rate is asked for first: batches, and so the last digits, are always the same."""
        from nerm.model import Condition

        if (seed, index) not in self._codes:
            found: list = []
            for start in range(0, len(listed), BATCH):
                part = listed[start : start + BATCH]
                conditions = [Condition(text=recording.caption or None) for recording in part]
                seeds = [sample_seed(seed, recording, index) for recording in part]
                found += self.generator.sample_codes(conditions, [r.seconds for r in part], seeds)  # type: ignore[attr-defined]
            self._codes[seed, index] = found
        return self._codes[seed, index]

    def repeats(self, listed: Sequence[Recording], count: int, seed: int) -> list[Motion]:
        """For each recording `count` motions at 20 fps in a row, with seeds of their own."""
        wanted = [(recording, k) for recording in listed for k in range(count)]
        return self._sample([r for r, _ in wanted], BASE_FPS, [sample_seed(seed, r, REPEATS + k) for r, k in wanted])

    def _sample(self, wanted: Sequence[Recording], fps: float, seeds: Sequence[int]) -> list[Motion]:
        from nerm.model import Condition

        found: list[Motion] = []
        for start in range(0, len(wanted), BATCH):
            part = wanted[start : start + BATCH]
            conditions = [Condition(text=recording.caption or None) for recording in part]
            made = self.generator.sample(conditions, [r.seconds for r in part], fps, list(seeds[start : start + BATCH]))
            for recording, motion in zip(part, made, strict=True):
                expected = frame_count(recording.seconds, fps)
                if len(motion) != expected or motion.fps != fps:
                    raise InputError(
                        f"system '{self.generator.name}' gave {len(motion)} frames at {motion.fps:g} fps for {recording.seconds:g} s "
                        f"at {fps:g} fps; expected {expected} frames"
                    )
            found += made
        return found


@dataclass
class BroughtUp:
    """A generator sampled at 20 fps and interpolated: what a 20-fps system would give."""

    sampled: Sampled
    method: Method

    @property
    def upsampling(self) -> str:
        return self.method

    def identity(self, fps: float) -> str:
        return self.sampled.identity(fps) if fps == BASE_FPS else f"{self.sampled.identity(BASE_FPS)}, 20 fps, {self.method}"

    def motions(self, listed: Sequence[Recording], rows: NDArray, fps: float, seed: int, index: int) -> dict[int, Motion]:
        low = self.sampled.motions(listed, rows, BASE_FPS, seed, index)
        return {row: at_rate(motion, listed[row].seconds, fps, self.method) for row, motion in low.items()}


# --- real -----------------------------------------------------------------------------------------------------------------------------

Damage = Callable[[Motion, float, float, Callable[[], Motion], np.random.Generator], Motion]
"""(the recording, seconds, fps, another recording at fps, random numbers) -> motion at fps."""


@dataclass
class Recorded:
    """Recordings of the corpus with one kind of damage."""

    corpus: Corpus
    system: str
    damage: Damage
    upsampling = ""
    sampled = None

    def identity(self, fps: float) -> str:
        return f"{self.system} of corpus {self.corpus.digest}"

    def motions(self, listed: Sequence[Recording], rows: NDArray, fps: float, seed: int, index: int) -> dict[int, Motion]:
        found = {}
        for row in rows:
            recording = listed[row]
            rng = np.random.default_rng([seed, recording.window, index])
            others = [int(r) for r in rows if listed[r].trial != recording.trial and listed[r].fps == recording.fps]

            def another(rng: np.random.Generator = rng, others: Sequence[int] = others) -> Motion:
                if not others:
                    raise InputError("shuffled joints need recordings of two trials at one rate")
                chosen = listed[others[int(rng.integers(len(others)))]]
                return at_rate(self.corpus.window(chosen.window), chosen.seconds, fps)

            found[int(row)] = self.damage(self.corpus.window(recording.window), recording.seconds, fps, another, rng)
        return found


def oracle(method: Method) -> Damage:
    """Reduced to 20 fps by point values and brought up again."""
    return lambda motion, seconds, fps, another, rng: at_rate(at_rate(motion, seconds, BASE_FPS), seconds, fps, method)


def noise(metres: float) -> Damage:
    """White noise of that standard deviation on every coordinate of every frame."""

    def damage(motion: Motion, seconds: float, fps: float, another: Callable[[], Motion], rng: np.random.Generator) -> Motion:
        x = at_rate(motion, seconds, fps).joints
        return Motion((x + metres * rng.standard_normal(x.shape)).astype(np.float32), fps)

    return damage


def low_passed(cutoff_hz: float) -> Damage:
    """Without what lies above cutoff_hz."""

    def damage(motion: Motion, seconds: float, fps: float, another: Callable[[], Motion], rng: np.random.Generator) -> Motion:
        return at_rate(Motion(lowpass(motion.joints, motion.fps, cutoff_hz), motion.fps), seconds, fps)

    return damage


def shuffled(motion: Motion, seconds: float, fps: float, another: Callable[[], Motion], rng: np.random.Generator) -> Motion:
    """One arm or leg taken from a recording of another trial, relative to where it is attached and to the heading.

    Where the other recording is shorter it runs back and forth, so that nothing jumps.
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


DAMAGES: dict[str, Damage] = {
    "oracle-linear": oracle("linear"),
    "oracle-cubic": oracle("cubic"),
    "oracle-slerp": oracle("slerp"),
    "control-noise-1mm": noise(0.001),
    "control-noise-5mm": noise(0.005),
    "control-lowpass-4hz": low_passed(4.0),
    "control-shuffled": shuffled,
}
"""System id -> what is done to real motion. `real` itself needs none: it is in the reference."""
