"""Where networks run: the one place that turns `device=` into a device. It knows no network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from nerm.cli import choose
from nerm.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")


def device_of(name: str, known: Sequence[str] = DEVICES) -> str:
    """The device that torch is to use: `auto` is CUDA where there is one. One that is not here is an InputError, never another device.

    known: kinds that the caller can use; cuda:1 is the second of its kind.
    """
    kind, _, number = name.partition(":")
    choose("device", kind, known)
    if name == "cpu":
        return name
    if number and not number.isdecimal():
        raise InputError(f"device={name}; expected a number after the colon, such as {kind}:0")
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(kind, True):
        raise InputError(f"device={name}; PyTorch sees no {kind.upper()} device here: use device=cpu or device=auto")
    if kind == "cuda" and number and int(number) >= torch.cuda.device_count():
        raise InputError(f"device={name}; there are {torch.cuda.device_count()} here: use device=cuda:0 or device=auto")
    return name


def has_bfloat16(device: torch.device | str) -> bool:
    """Does it multiply bfloat16 natively: CUDA from Ampere on, CPUs with AVX-512 bfloat16? Elsewhere bfloat16 is slower than float32."""
    import torch

    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported()
    return _cpu_has_bfloat16() if torch.device(device).type == "cpu" else False


@lru_cache(maxsize=1)
def _cpu_has_bfloat16() -> bool:
    import torch

    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(supported and supported())
