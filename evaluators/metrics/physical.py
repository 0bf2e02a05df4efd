"""Physical plausibility of a motion, in SI units and at any frame rate: feet, floor, speed, and the energy between 8 and 20 Hz.

The floor is y = 0. Means over time give the end frames half the weight (trapezoid). Thresholds are in metres, m/s and seconds.
Velocities are those below 8 Hz. The same movement therefore has the same value at every rate that can hold it. Nothing here is per frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import welch

from nerm.errors import InputError
from nerm.motion.kinematics import band_energy, derivative
from nerm.motion.motion import Motion, check_fps

FEET = ("l_ankle", "r_ankle", "l_foot", "r_foot")
TOES = ("l_foot", "r_foot")
KIMODO_SPEED_MPS = 0.2
CONTACT_HEIGHT_M = 0.05
CONTACT_SPEED_MPS = 0.15
CONTACT_SECONDS = 0.1
SPECTRUM_WINDOW_S = 2.0
BAND_LOWEST_FPS = 60.0
Array = NDArray[np.float64]


def contacts(motion: Motion) -> NDArray[np.bool_]:
    """[T, 4] contact of the joints of FEET: below 5 cm and slower than 0.15 m/s for at least 0.1 s (k frames last k / fps)."""
    height, velocity = _feet(motion)
    touching = (height < CONTACT_HEIGHT_M) & (np.linalg.norm(velocity, axis=-1) < CONTACT_SPEED_MPS)
    shortest = int(np.ceil(CONTACT_SECONDS * motion.fps - 1e-6))
    edges = np.diff(np.pad(touching.astype(np.int8), ((1, 1), (0, 0))), axis=0)
    for joint in range(touching.shape[1]):
        starts, ends = np.flatnonzero(edges[:, joint] == 1), np.flatnonzero(edges[:, joint] == -1)
        for start, end in zip(starts, ends, strict=True):
            touching[start:end, joint] &= end - start >= shortest
    return touching


def contact_ratio(motion: Motion) -> float:
    """Share of time in which at least one ankle or toe is in contact."""
    return time_mean(np.any(contacts(motion), axis=1))


def foot_skate(motion: Motion) -> float:
    """Mean horizontal speed in m/s of the lowest ankle or toe while it is below 5 cm; NaN for a motion that never comes down.

    The lowest joint of the feet carries the body, so it should rest. Speed is no condition here, so a fast slide counts in full.
    """
    speed, low = _support(motion)
    return time_mean(speed, low)


def foot_skate_ratio(motion: Motion) -> float:
    """Share of the time of `foot_skate` in which that joint is faster than 0.15 m/s."""
    speed, low = _support(motion)
    return time_mean(speed > CONTACT_SPEED_MPS, low)


def skate_kimodo(motion: Motion) -> float:
    """Mean speed in m/s of toes from frames where they are below 5 cm; NaN if they never are.

    The form of kimodo's benchmark (NVIDIA, `kimodo/metrics/foot_skate.py`, FootSkateFromHeight): both toes, vertical movement included,
    differences of neighbouring frames without any filter. Measuring noise therefore counts more at a higher rate.
    """
    low, speed = _toes(motion)
    return float(speed[low[:-1]].mean()) if low[:-1].any() else float("nan")


def skate_kimodo_ratio(motion: Motion) -> float:
    """Share, of the steps from frame to frame that a toe begins and ends below 5 cm, that are faster than 0.2 m/s (FootSkateRatio)."""
    low, speed = _toes(motion)
    down = low[:-1] & low[1:]
    return float((speed[down] > KIMODO_SPEED_MPS).mean()) if down.any() else float("nan")


def penetration_mm(motion: Motion) -> float:
    """Mean over time of the depth of the lowest joint below the floor, in mm."""
    return 1e3 * time_mean(np.maximum(-_lowest(motion), 0))


def float_mm(motion: Motion) -> float:
    """Mean over time of the height of the lowest joint above the floor, in mm. Jumps count: compare with real motion."""
    return 1e3 * time_mean(np.maximum(_lowest(motion), 0))


def mean_velocity(motion: Motion) -> float:
    """Mean joint speed below 8 Hz over joints and time, m/s."""
    return _mean_derivative(motion, 1)


def mean_acceleration(motion: Motion) -> float:
    """Mean joint acceleration below 8 Hz, m/s^2."""
    return _mean_derivative(motion, 2)


def mean_jerk(motion: Motion) -> float:
    """Mean joint jerk below 8 Hz, m/s^3."""
    return _mean_derivative(motion, 3)


def band_energy_8_20(motion: Motion) -> float:
    """Mean power of joint acceleration from 8 to 20 Hz, (m/s^2)^2 per joint; at 60 fps and above."""
    if motion.fps < BAND_LOWEST_FPS:
        raise InputError(f"8-20 Hz energy at {motion.fps:g} fps; it is defined at {BAND_LOWEST_FPS:g} fps and above")
    return band_energy(motion.joints.astype(np.float64), motion.fps)


def band_energy_error(generated: Sequence[Motion], real: Sequence[Motion]) -> float:
    """|log2(mean generated / mean real 8-20 Hz energy)| in octaves: 0 is right, 1 is a factor of 2 up or down."""
    energy, expected = (np.mean([band_energy_8_20(m) for m in motions]) for motions in (generated, real))
    if not energy > 0 or not expected > 0:
        raise InputError("8-20 Hz energy of motions that do not move; an error in octaves needs movement on both sides")
    return float(abs(np.log2(energy / expected)))


PER_MOTION = {
    "foot_skate": foot_skate,
    "foot_skate_ratio": foot_skate_ratio,
    "skate_kimodo": skate_kimodo,
    "skate_kimodo_ratio": skate_kimodo_ratio,
    "contact_ratio": contact_ratio,
    "penetration": penetration_mm,
    "float": float_mm,
    "velocity": mean_velocity,
    "acceleration": mean_acceleration,
    "jerk": mean_jerk,
    "band_energy": band_energy_8_20,
}
"""Metric id -> function of one motion."""


def physical(motions: Sequence[Motion]) -> dict[str, float]:
    """Every physical metric as its mean over motions, by metric id. Left out: what the rate cannot hold or no motion defines."""
    means = {}
    for name, measure in PER_MOTION.items():
        if name == "band_energy" and any(m.fps < BAND_LOWEST_FPS for m in motions):
            continue
        values = np.array([measure(m) for m in motions])
        if np.isfinite(values).any():
            means[name] = float(np.nanmean(values))
    return means


def acceleration_spectrum(joints: NDArray, fps: float) -> tuple[Array, Array]:
    """Power density of joint acceleration, for plots: (hz [F], (m/s^2)^2/Hz [F], mean over joints). joints: [T, J, 3] metres, T >= 4.

    Hann windows of 2 s (or the whole motion) padded to 2 s, so every rate has the same 0.5-Hz grid. Acceleration is the second
    difference with its own response divided out, so densities agree between rates up to the Nyquist frequency of the lower one.
    """
    fps = check_fps(fps)
    x = np.asarray(joints, dtype=np.float64)
    if x.ndim != 3 or x.shape[2] != 3 or len(x) < 4:
        raise InputError(f"joints of shape {list(x.shape)} for a spectrum; expected [T, J, 3] with T >= 4")
    grid = round(SPECTRUM_WINDOW_S * fps)
    second_difference = np.diff(x, n=2, axis=0) * fps**2
    hz, density = welch(second_difference, fps, nperseg=min(grid, len(second_difference)), nfft=max(grid, 4), axis=0, detrend="constant")
    angle = 2 * np.pi * hz[1:] / fps
    density[1:] *= (angle**2 / (2 - 2 * np.cos(angle)))[:, None, None] ** 2
    return hz, density.sum(axis=2).mean(axis=1)


def time_mean(values: ArrayLike, where: NDArray | None = None) -> float:
    """Mean over time of values [T] by the trapezoid rule, over the frames of `where` [T] if given; NaN if there are none."""
    values = np.asarray(values, dtype=np.float64)
    weight = np.ones(len(values))
    if len(values) > 1:
        weight[[0, -1]] = 0.5
    if where is not None:
        weight *= where
    return float(weight @ values / weight.sum()) if weight.any() else float("nan")


def _mean_derivative(motion: Motion, order: int) -> float:
    return time_mean(np.linalg.norm(derivative(motion.joints.astype(np.float64), motion.fps, order), axis=-1).mean(axis=1))


def _lowest(motion: Motion) -> Array:
    return motion.joints[..., 1].astype(np.float64).min(axis=1)


def _feet(motion: Motion) -> tuple[Array, Array]:
    """Height [T, 4] and velocity below 8 Hz [T, 4, 3] of the ankles and toes."""
    feet = motion.joints[:, [motion.skeleton.index(name) for name in FEET]].astype(np.float64)
    return feet[..., 1], derivative(feet, motion.fps, 1)


def _toes(motion: Motion) -> tuple[NDArray[np.bool_], Array]:
    """Whether each toe is below 5 cm [T, 2], and its speed to the next frame [T - 1, 2]."""
    toes = motion.joints[:, [motion.skeleton.index(name) for name in TOES]].astype(np.float64)
    return toes[..., 1] < CONTACT_HEIGHT_M, np.linalg.norm(np.diff(toes, axis=0), axis=-1) * motion.fps


def _support(motion: Motion) -> tuple[Array, NDArray[np.bool_]]:
    """Horizontal speed [T] of the lowest of the four joints, and whether it is below 5 cm [T]."""
    height, velocity = _feet(motion)
    frame, lowest = np.arange(len(height)), height.argmin(axis=1)
    return np.linalg.norm(velocity[..., [0, 2]], axis=-1)[frame, lowest], height[frame, lowest] < CONTACT_HEIGHT_M
