"""Prepared datasets of text to motion as Datasets."""

from __future__ import annotations

from pathlib import Path

from nerm.data.clips import ClipDataset
from nerm.data.corpus import load_corpus
from nerm.motion.features import FEATURES_251, FEATURES_263


def open_humanml3d(home: Path | None = None) -> ClipDataset:
    """HumanML3D with its features."""
    return ClipDataset(load_corpus("humanml3d", home), FEATURES_263.fps, FEATURES_263.name)


def open_kit(home: Path | None = None) -> ClipDataset:
    """KIT-ML with its features."""
    return ClipDataset(load_corpus("kit", home), FEATURES_251.fps, FEATURES_251.name)


def open_native(home: Path | None = None) -> ClipDataset:
    """HumanML3D's segments at the rates of their recordings."""
    return ClipDataset(load_corpus("humanml3d-native", home), FEATURES_263.fps)
