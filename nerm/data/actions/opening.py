"""Prepared action datasets as Datasets."""

from __future__ import annotations

from pathlib import Path

from nerm.data.actions.labels import humanact12_sentences, uestc_sentences
from nerm.data.clips import ClipDataset
from nerm.data.corpus import load_corpus

HUMANACT12_FPS, UESTC_FPS = 20.0, 30.0
"""The files name no rate. 20 is that of HumanAct12's motion in HumanML3D, 30 that of the camera of UESTC."""


def open_humanact12(home: Path | None = None) -> ClipDataset:
    """HumanAct12 has no split: it is trained on and compared with as a whole."""
    return ClipDataset(
        load_corpus("humanact12", home), HUMANACT12_FPS, borrowed={"val": "train", "test": "train"}, sentences=humanact12_sentences()
    )


def open_uestc(home: Path | None = None) -> ClipDataset:
    """UESTC has subjects for training and for tests; validation sees training items."""
    return ClipDataset(load_corpus("uestc", home), UESTC_FPS, borrowed={"val": "train"}, sentences=uestc_sentences())
