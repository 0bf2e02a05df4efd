"""NeRM behind the interface of all systems."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nerm.model import NeRM


def load(name: str, checkpoint: str, device: str) -> NeRM:
    """The shipped NeRM of that name, or the one in a file."""
    from nerm.model import load_nerm

    return load_nerm(checkpoint or name).to(device)
