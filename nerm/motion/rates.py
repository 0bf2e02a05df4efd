"""The frame rate that a printed frame time stands for. It knows no file format.

A printed number stands for every number that rounds to it: 0.0333 for 0.03325 to 0.03335 s, which is 29.985 to 30.075 fps. If a usual rate
lies in there it is meant; otherwise the number is taken as it is.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

_USUAL = (
    1, 2, 4, 5, 6, 8, 10, 12, 12.5, 15, 16, 18, 20, 24, 25, 30, 36, 40, 48, 50, 60, 72, 75, 80, 90, 96, 100,
    120, 125, 144, 150, 160, 180, 200, 240, 250, 300, 320, 360, 400, 480, 500, 600, 960, 1000,
)  # fmt: skip
_NTSC = tuple(rate * 1000 / 1001 for rate in (24, 30, 48, 60, 120, 240))
_FLOAT32 = 1e-7
"""Relative: a frame time that went through a float of 32 bits has digits that say nothing."""
_FARTHEST = 0.05
"""A usual rate that is further from the printed number than this is not meant (0.03 is 33.3 fps, not 30)."""


def frame_rate(frame_time: str | float) -> float:
    """Frames per second of a frame time in seconds as it was printed: '0.0333' and '.03333' are 30, '0,04' is 25, '1.66667e-02' is 60.

    Usual rates go before those of NTSC television (29.97 ...). Where several of them round to the number ('0.02' is 40 to 67 fps), or none,
    it is taken as it is. A number of three digits or more that was cut off instead of rounded ('0.0166') stands for the rate that it was
    cut from. Raises ValueError for what is no positive number.
    """
    number = _number(frame_time)
    value = float(number)
    exact = [rate for rate in _USUAL if abs(rate * value - 1) < _FLOAT32]
    if exact:
        return float(exact[0])
    cut = 2 if len(number.as_tuple().digits) >= 3 else 0
    half = max(0.5 * 10.0 ** int(number.as_tuple().exponent), _FLOAT32 * value)
    for usual in (_USUAL, _NTSC):
        for below, above in ((half, half), (0.0, cut * half)):
            near = [rate for rate in usual if -below <= 1 / rate - value <= above and abs(rate * value - 1) < _FARTHEST]
            if len(near) == 1:
                return float(near[0])
            if near:
                return 1 / value
    rate = 1 / value
    return float(round(rate)) if abs(rate / max(round(rate), 1) - 1) < min(half / value, 1e-4) else rate


def _number(text: str | float) -> Decimal:
    try:
        number = Decimal(str(text).strip().replace(",", "."))
    except InvalidOperation:
        raise ValueError(f"'{text}' is not a number") from None
    if not number.is_finite() or number <= 0:
        raise ValueError(f"{text}; expected a positive number of seconds")
    return number
