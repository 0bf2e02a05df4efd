"""A prepared corpus: trials of recorded motion at their native rates, memory-mapped, on one skeleton, with windows and labels.

On disk, under `NERM_DATA/<name>/`:
    joints.npy    [N, J, 3] float32 metres, all trials one after the other
    trials.csv    one line per trial: source, rate, frames, split, label, scale of the recorded person
    lengths.npy   [trials, J] float32 metres, the recorded person's own bone lengths
    windows.csv   one line per window of up to 10 s: trial, start, end
    manifest.json version, counts, digest of the content, what validation found
    NAME.npy      [N, ...] float32, what else is known of each frame (`arrays` of the manifest); other files are its `files`
A corpus knows no model, no metric and no sentence; `nerm.data.stored` makes a Dataset of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nerm.cli import data_home
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, Skeleton
from nerm.motion.skeleton import SKELETONS

WINDOW_S = 10.0


@dataclass(frozen=True)
class Corpus:
    """Trials and windows of one prepared corpus; joints stay on disk until they are asked for."""

    path: Path
    trials: pd.DataFrame
    windows: pd.DataFrame
    manifest: dict

    @cached_property
    def joints(self) -> NDArray[np.float32]:
        """[N, J, 3] metres, memory-mapped."""
        return np.load(self.path / "joints.npy", mmap_mode="r")

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """[trials, J] metres: each recorded person's own bones."""
        return np.load(self.path / "lengths.npy", mmap_mode="r")

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def digest(self) -> str:
        """sha256 of everything that a number could depend on."""
        return self.manifest["sha256"]

    @cached_property
    def skeleton(self) -> Skeleton:
        """That of the manifest, with its bone lengths; the 22 joints if it names none."""
        about = self.manifest.get("skeleton")
        return SKELETONS[about["name"]].with_lengths(about["lengths"]) if about else SMPL22

    def array(self, name: str, trial: int) -> NDArray[np.float32]:
        """[frames, ...] what the array of that name holds of a trial."""
        row = self.trials.loc[trial]
        return np.array(np.load(self.path / f"{name}.npy", mmap_mode="r")[row.offset : row.offset + row.frames])

    def trial(self, index: int) -> Motion:
        """One whole trial, in its place on the floor."""
        row = self.trials.loc[index]
        return Motion(np.array(self.joints[row.offset : row.offset + row.frames]), row.fps, self.skeleton)

    def window(self, index: int) -> Motion:
        """One window, starting above the origin and facing +z."""
        row = self.windows.loc[index]
        offset = int(self.trials.at[row.trial, "offset"])
        return Motion(np.array(self.joints[offset + row.start : offset + row.end]), row.fps, self.skeleton).canonical()

    def select(self, split: str | None = None, min_fps: float = 0.0, sources: Iterable[str] | None = None) -> pd.DataFrame:
        """The windows of one split and of at least a rate."""
        keep = self.windows["fps"] >= min_fps
        if split is not None:
            keep &= self.windows["split"] == split
        if sources is not None:
            keep &= self.windows["source"].isin(list(sources))
        return self.windows[keep]


def load_corpus(name: str = "multirate", home: Path | None = None) -> Corpus:
    """Open a prepared corpus of that name under NERM_DATA, or say how to prepare it."""
    path = (home or data_home()) / name
    manifest = path / "manifest.json"
    if not manifest.exists():
        raise InputError(
            f"corpus '{name}' is not prepared at {path}: run python -m nerm.prepare dataset={name} sources=DIR, "
            "where DIR holds the raw archives, or set NERM_DATA to the folder that holds it"
        )
    text = {"label": str, "trial_name": str, "split": str, "source": str}
    facts = check_content(path)
    return Corpus(
        path,
        pd.read_csv(path / "trials.csv", index_col="trial", dtype=text, keep_default_na=False),
        pd.read_csv(path / "windows.csv", index_col="window", dtype=text, keep_default_na=False),
        facts,
    )


def check_content(path: Path) -> dict:
    """The manifest of the corpus in a folder; an InputError unless the digest of its other files is the one that it names.

    A corpus from a packed file names the digest of the packed numbers as `sha256`, and that of the unpacked files as `content`.
    """
    again = f"delete the folder {path} and prepare it again"
    try:
        manifest = json.loads((path / "manifest.json").read_text())
        expected = manifest["sha256"] if "packed_from" not in manifest else manifest["content"]
        content = content_digest(path, manifest)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"the corpus at {path} is damaged ({type(error).__name__}: {str(error)[:120]}): {again}") from None
    if content != expected:
        raise InputError(
            f"the corpus at {path} is damaged: its content has sha256 {content[:12]}, its manifest says {expected[:12]}: {again}"
        )
    return manifest


def content_digest(path: Path, manifest: Mapping[str, Any]) -> str:
    """sha256 of the values of joints.npy, of the text of trials.csv and windows.csv and of the manifest's files (0.2 s for 190 MB).

    Of its arrays, which can be large, it takes the digests that the manifest names; `damaged_arrays` reads them.
    """
    digest = hashlib.sha256(np.ascontiguousarray(np.load(path / "joints.npy", mmap_mode="r"), dtype="<f4").data)
    for name in ("trials.csv", "windows.csv"):
        digest.update((path / name).read_bytes())
    for name, of_values in sorted(manifest.get("arrays", {}).items()):
        digest.update(f"{name} {of_values}".encode())
    for name in sorted(manifest.get("files", [])):
        digest.update((path / name).read_bytes())
    return digest.hexdigest()


def damaged_arrays(path: Path, manifest: Mapping[str, Any]) -> list[str]:
    """The files of arrays that do not hold the values that the manifest names."""
    damaged = []
    for name, expected in manifest.get("arrays", {}).items():
        try:
            values = np.ascontiguousarray(np.load(path / f"{name}.npy", mmap_mode="r"), dtype="<f4")
            whole = hashlib.sha256(values.data).hexdigest() == expected
        except (OSError, ValueError, EOFError):
            whole = False
        damaged += [] if whole else [f"{name}.npy"]
    return damaged


def cut_windows(frames: int, fps: float, longest_s: float = WINDOW_S) -> list[tuple[int, int]]:
    """Equal windows [start, end) of at most longest_s that cover a trial; neighbours share one frame."""
    seconds = (frames - 1) / fps
    count = max(int(np.ceil(seconds / longest_s - 1e-6)), 1)
    edges = np.round(np.linspace(0, frames - 1, count + 1)).astype(int)
    return [(int(a), int(b) + 1) for a, b in pairwise(edges)]
