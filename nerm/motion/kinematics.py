"""Velocity, acceleration, jerk and band energies in SI units, with stated bands.

Every filter is a continuous-time kernel sampled at the motion's own rate, so a quantity below the cut-off has the same value at
any rate that can hold it. Nothing here is per frame.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError

PHYSICAL_CUTOFF_HZ = 8.0
"""Band of velocity, acceleration and jerk in reports."""
_BLUR_SHARE = 0.1  # standard deviation of the filter's edge, as a share of the cut-off
_REACH_SIGMAS = 5.0  # the kernel ends at this many standard deviations of its window


def lowpass(x: NDArray, fps: float, cutoff_hz: float) -> NDArray:
    """x [T, ...] without the frequencies above cutoff_hz.

    Zero phase; half amplitude at cutoff_hz, within 0.2 % of 1 below 0.7 and of 0 above 1.3 cutoff_hz. Unchanged if the rate holds no more.
    """
    return derivative(x, fps, order=0, cutoff_hz=cutoff_hz)


def derivative(x: NDArray, fps: float, order: int, cutoff_hz: float = PHYSICAL_CUTOFF_HZ) -> NDArray:
    """The order-th time derivative of x [T, ...] in units per second^order, below cutoff_hz.

    The ends are continued by point reflection, so constant velocity stays constant.
    """
    from scipy.signal import fftconvolve  # here, since it takes longer to load than most motions to filter

    x = np.asarray(x)
    if order not in (0, 1, 2, 3):
        raise InputError(f"order={order}; expected 0, 1, 2 or 3")
    if order == 0 and cutoff_hz * (1 - 3 * _BLUR_SHARE) >= fps / 2:
        return x
    kernel = _kernel(fps, cutoff_hz, order)
    reach = len(kernel) // 2
    flat = x.reshape(len(x), -1).astype(np.float64)
    padded = _reflect(flat, reach)
    out = fftconvolve(padded, kernel[:, None], mode="valid", axes=0)
    return out.reshape(x.shape).astype(x.dtype)


@lru_cache(maxsize=64)  # a corpus has few rates, and the integral costs more than the convolution
def _kernel(fps: float, cutoff_hz: float, order: int) -> NDArray[np.float64]:
    """The order-th derivative of a Gaussian-windowed sinc, sampled at k / fps.

    Its spectrum (2 pi i f)^order H(f), with H a step at cutoff_hz blurred by a Gaussian, is integrated numerically, so no
    derivative sees a truncation edge.
    """
    from scipy.integrate import trapezoid
    from scipy.special import erf

    blur_hz = _BLUR_SHARE * cutoff_hz
    reach = max(int(np.ceil(_REACH_SIGMAS / (2 * np.pi * blur_hz) * fps)), 1)
    t = np.arange(-reach, reach + 1) / fps
    frequency = np.linspace(0, cutoff_hz + 6 * blur_hz, 1025)
    response = 0.5 * (erf((cutoff_hz + frequency) / (blur_hz * np.sqrt(2))) + erf((cutoff_hz - frequency) / (blur_hz * np.sqrt(2))))
    phase = 2 * np.pi * np.outer(t, frequency) + order * np.pi / 2
    kernel = 2 * trapezoid(response * (2 * np.pi * frequency) ** order * np.cos(phase), frequency, axis=1) / fps
    if order == 0:
        return kernel / kernel.sum()
    return kernel - kernel.mean()  # a constant gives exactly 0: the place of a motion adds no acceleration


def _reflect(x: NDArray, reach: int) -> NDArray:
    """x [T, D] continued by `reach` samples on both sides through its end points."""
    parts = [x]
    before = after = reach
    while before > 0 or after > 0:
        x = np.concatenate(parts) if len(parts) > 1 else parts[0]
        if len(x) == 1:
            return np.concatenate([np.repeat(x, before, 0), x, np.repeat(x, after, 0)])
        left, right = min(before, len(x) - 1), min(after, len(x) - 1)
        parts = [2 * x[0] - x[left:0:-1], x, 2 * x[-1] - x[-2 : -2 - right : -1]]
        before, after = before - left, after - right
    return np.concatenate(parts)


def speed(joints: NDArray, fps: float, cutoff_hz: float = PHYSICAL_CUTOFF_HZ) -> NDArray:
    """|velocity| in m/s. joints: [T, J, 3] -> [T, J]."""
    return np.linalg.norm(derivative(joints, fps, 1, cutoff_hz), axis=-1)


def band_pass(x: NDArray, fps: float, low_hz: float, high_hz: float, order: int = 2) -> NDArray:
    """The order-th time derivative of x [T, ...] between two frequencies: the difference of two low-passed ones.

    It means the same at every rate >= 2.5 high_hz.
    """
    check_band(fps, high_hz)
    return derivative(x, fps, order, high_hz) - derivative(x, fps, order, low_hz)


def check_band(fps: float, high_hz: float) -> None:
    """An InputError if a rate cannot hold a band up to high_hz."""
    if fps < 2.5 * high_hz:
        raise InputError(f"energy up to {high_hz} Hz at {fps} fps; at least {2.5 * high_hz:g} fps are needed")


def band_energy(joints: NDArray, fps: float, low_hz: float = 8.0, high_hz: float = 20.0) -> float:
    """Mean power of joint acceleration between two frequencies, (m/s^2)^2 per joint. joints: [T, J, 3]."""
    return float(np.mean(np.sum(band_pass(joints, fps, low_hz, high_hz).astype(np.float64) ** 2, axis=-1)))
