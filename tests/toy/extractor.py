"""An extractor in one file: how high the joints are on average, and how much they move. It has no weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluators.extractors import Extractor, ExtractorEntry

embedded: list[int] = []
"""The number of clips of every call."""


class Heights(Extractor):
    """Clips -> [n, 44] mean height and mean vertical speed of each joint."""

    name, version, digest = "heights", 1, "heights, version 1"

    def embed_clips(self, joints: NDArray, fps: float) -> NDArray[np.float32]:
        embedded.append(len(joints))
        height = np.asarray(joints, dtype=np.float64)[..., 1]
        speed = np.abs(np.diff(height, axis=1)).mean(axis=1) * fps
        return np.concatenate([height.mean(axis=1), speed], axis=1).astype(np.float32)


def load(path: Path | None) -> Heights:
    """There is no file to read."""
    return Heights()


ENTRIES = (
    ExtractorEntry(
        name="heights", title="heights and vertical speeds", embeds=("clips",), version=1, loads=f"{__name__}:load", weights=False
    ),
)
