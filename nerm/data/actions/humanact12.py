"""How `humanact12` is prepared from humanact12poses.pkl: poses [T, 72], joints3D [T, 24, 3] and y (the class) of every clip."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.data.actions.labels import HUMANACT12
from nerm.data.actions.opening import HUMANACT12_FPS
from nerm.data.actions.poses import POSE, ActionClip, trial_of
from nerm.data.clips import ITEMS, items_file
from nerm.data.files import digest_of, found
from nerm.data.preparation import Finding, LeftOut, Preparation, Recording, Trial
from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.pickles import load_arrays
from nerm.motion.retarget import to_corpus
from nerm.motion.smpl import upright

FILE = "humanact12poses.pkl"
CLIPS = 1191
"""As published; there is no split."""


class HumanAct12(Preparation):
    """Joints are the published ones, brought to the corpus skeleton by the directions of their bones."""

    name = "humanact12"
    window_s = math.inf

    def locate(self, given: str | None) -> Path | None:
        return found(self.name, given, ("HumanAct12Poses", self.name), FILE)

    def recordings(self, sources: Path, only: Sequence[str] = ()) -> Sequence[ActionClip]:
        return [
            ActionClip(
                name=f"{number:04d}",
                source="",
                fps=HUMANACT12_FPS,
                split="train",
                label=HUMANACT12[label],
                group=f"{number:04d}",
                number=number,
            )
            for number, label in enumerate(_content(sources / FILE)[2])
        ]

    def identity(self, sources: Path, collections: Sequence[str]) -> dict[str, str]:
        return {FILE: digest_of([sources / FILE])}

    def folder(self, sources: Path, collection: str, scratch: Path) -> Path:
        return sources

    def read(self, recording: Recording, folder: Path) -> Trial | LeftOut:
        assert isinstance(recording, ActionClip)
        poses, joints, _ = _content(folder / FILE)
        own_poses, place = np.asarray(poses[recording.number], np.float64), np.asarray(joints[recording.number], np.float64)
        if not np.isfinite(place).all():
            return LeftOut("with values that are not numbers", f"{len(place)} frames")
        moved, own = to_corpus(upright(place)[:, : len(SMPL22)])
        return trial_of(own_poses, place[:, 0], moved, own.lengths, HUMANACT12_FPS, own.scale)

    def companions(self, sources: Path, used: Sequence[Recording]) -> Mapping[str, bytes]:
        return {ITEMS: items_file(used)}

    def examine(self, sources: Path | None, made_from: Mapping[str, str]) -> list[Finding]:
        if sources is None:
            return [Finding("note" if made_from else "missing", f"no official file is known: give sources=DIR, the folder of {FILE}")]
        try:
            poses, joints, labels = _content(sources / FILE)
        except InputError as error:
            return [Finding("missing" if "missing" in str(error) else "damaged", str(error))]
        counts = Counter(HUMANACT12[label] for label in labels)
        frames = [len(clip) for clip in poses]
        published = "" if len(poses) == CLIPS else f"; the published file has {CLIPS}"
        lines = [Finding("ok", f"{FILE}: {len(poses)} clips of {min(frames)} to {max(frames)} frames, no split{published}")]
        lines.append(Finding("ok", ", ".join(f"{name} {counts[name]}" for name in HUMANACT12)))
        wrong = [k for k, arrays in enumerate(zip(poses, joints, strict=True)) if not all(np.isfinite(array).all() for array in arrays)]
        if wrong:
            lines.append(Finding("damaged", f"{len(wrong)} clips with values that are not numbers (the first is {wrong[0]:04d})"))
        if made_from:
            same = self.identity(sources, ()) == dict(made_from)
            lines.append(Finding("ok" if same else "note", f"the corpus was made of {'this file' if same else 'another file'}"))
        return lines


@lru_cache(maxsize=1)
def _content(path: Path) -> tuple[list[NDArray], list[NDArray], list[int]]:
    """(poses, joints3D, class) of every clip, checked."""
    content = load_arrays(path)
    if not isinstance(content, dict) or not {"poses", "joints3D", "y"} <= content.keys():
        raise InputError(f"{path} holds no poses, joints3D and y; expected the official {FILE}")
    poses, joints, labels = ([*content[key]] for key in ("poses", "joints3D", "y"))
    if not len(poses) == len(joints) == len(labels) > 0:
        raise InputError(f"{path} has {len(poses)} poses, {len(joints)} joints3D and {len(labels)} classes; expected as many of each")
    for number, (pose, place, label) in enumerate(zip(poses, joints, labels, strict=True)):
        shapes = np.shape(pose), np.shape(place)
        if len(shapes[0]) != 2 or shapes[0][1] != POSE or shapes[1] != (shapes[0][0], POSE // 3, 3):
            raise InputError(f"{path}, clip {number}: shapes {[*map(list, shapes)]}; expected poses [T, {POSE}] and joints3D [T, 24, 3]")
        if not 0 <= int(label) < len(HUMANACT12):
            raise InputError(f"{path}, clip {number}: class {label}; expected 0 to {len(HUMANACT12) - 1}")
    return poses, joints, [int(label) for label in labels]


HUMANACT12_POSES = HumanAct12()
