"""How `uestc` is prepared from vibe_cache_refined.pkl, globtrans_usez.pkl and info/: poses that VIBE saw in videos of 118 subjects.

As in ACTOR's loader: views of the second camera side are turned to the front (by -view * 45 degrees about y) and its view 8 is left out; a
clip has as many frames as its video and its poses both have; clips for training have at least 45 frames, those for tests any number; the
root is the middle of the hips by VIBE plus the global translation.

Source: Petrovich et al., ACTOR, ICCV 2021, and the loader published with it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from nerm.data.actions.labels import UESTC
from nerm.data.actions.opening import UESTC_FPS
from nerm.data.actions.poses import POSE, ActionClip, trial_of
from nerm.data.clips import ITEMS, items_file
from nerm.data.files import digest_of, found
from nerm.data.preparation import Finding, LeftOut, Preparation, Recording, Trial
from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.pickles import load_arrays
from nerm.motion.skeleton import yaw_matrix
from nerm.motion.smpl import joints_from_poses

POSES, TRANSLATIONS = "vibe_cache_refined.pkl", "globtrans_usez.pkl"
NAMES, FRAMES, CLASSES = "info/names.txt", "info/num_frames_min.txt", "info/action_classes.txt"
FILES = (POSES, TRANSLATIONS, NAMES, FRAMES, CLASSES)
LEAST = 45
SUBJECTS = 118
HIPS = 8
"""The middle of the hips among VIBE's joints3d."""
# fmt: off
TRAINED = (
    1, 2, 6, 12, 13, 16, 21, 24, 28, 29, 30, 31, 33, 35, 39, 41, 42, 45, 47, 50, 52, 54, 55, 57, 59, 61, 63, 64, 67, 69, 70, 71, 73, 77,
    81, 84, 86, 87, 88, 90, 91, 93, 96, 99, 102, 103, 104, 107, 108, 112, 113,
)
"""Subjects of the training split; the others are those of tests."""
# fmt: on


class Video(NamedTuple):
    """What a name says: a3_d2_p007_c1_color.avi is action 3, view 2, subject 7, side 1."""

    name: str
    action: int
    view: int
    subject: int
    side: int

    @property
    def turn(self) -> NDArray[np.float64]:
        """[3, 3] from its camera to the front."""
        return np.eye(3) if self.side == 1 else yaw_matrix(-self.view * np.pi / 4)

    @property
    def split(self) -> str:
        return "train" if self.subject in TRAINED else "test"


class Uestc(Preparation):
    """Joints come from the poses by the mean body: the published files hold no shape, and no joints that the corpus skeleton has."""

    name = "uestc"
    window_s = math.inf

    def locate(self, given: str | None) -> Path | None:
        return found(self.name, given, (self.name, "UESTC"), POSES)

    def recordings(self, sources: Path, only: Sequence[str] = ()) -> Sequence[ActionClip]:
        for name in FILES:
            if not (sources / name).is_file():
                raise InputError(f"{sources / name} is missing; expected the official {', '.join(FILES)}")
        check_classes(sources)
        return [
            ActionClip(
                name=video.name,
                source="",
                fps=UESTC_FPS,
                split=video.split,
                label=UESTC[video.action],
                group=f"p{video.subject:03d}-a{video.action}-d{video.view}",
                number=number,
            )
            for number, video in enumerate(read_names(sources))
            if video.side == 1 or video.view != 8
        ]

    def identity(self, sources: Path, collections: Sequence[str]) -> dict[str, str]:
        return {name: digest_of([sources / name], whole=name not in (POSES, TRANSLATIONS)) for name in FILES}

    def folder(self, sources: Path, collection: str, scratch: Path) -> Path:
        """The pickles are read once, and their arrays put where every process maps them into memory."""
        marker = scratch / "uestc.complete"
        if not marker.exists():
            scratch.mkdir(parents=True, exist_ok=True)
            poses, roots = _content(sources)
            for name, clips in (("poses", poses), ("root", roots)):
                np.save(scratch / f"{name}.npy", np.concatenate(clips).astype(np.float32))
            ends = np.cumsum([len(clip) for clip in poses])
            length = np.minimum([len(clip) for clip in poses], read_lengths(sources, len(poses)))
            np.save(scratch / "clips.npy", np.stack([ends - [len(clip) for clip in poses], length]))
            marker.touch()
        return scratch

    def read(self, recording: Recording, folder: Path) -> Trial | LeftOut:
        assert isinstance(recording, ActionClip)
        start, length = np.load(folder / "clips.npy")[:, recording.number].tolist()
        if length < (LEAST if recording.split == "train" else 1):
            return LeftOut("too short", f"{length} frames")
        poses, root = (
            np.array(np.load(folder / f"{name}.npy", mmap_mode="r")[start : start + length], np.float64) for name in ("poses", "root")
        )
        turn = video_of(recording.name).turn
        poses[:, :3] = (Rotation.from_matrix(turn) * Rotation.from_rotvec(poses[:, :3])).as_rotvec()
        root = root @ turn.T
        if not (np.isfinite(poses).all() and np.isfinite(root).all()):
            return LeftOut("with values that are not numbers", f"{length} frames")
        return trial_of(poses, root, joints_from_poses(poses, root), SMPL22.lengths, UESTC_FPS)

    def companions(self, sources: Path, used: Sequence[Recording]) -> Mapping[str, bytes]:
        return {ITEMS: items_file(used)}

    def examine(self, sources: Path | None, made_from: Mapping[str, str]) -> list[Finding]:
        if sources is None:
            return [Finding("note" if made_from else "missing", f"no official files are known: give sources=DIR with {', '.join(FILES)}")]
        lines = [
            Finding("ok", f"{name}, {(sources / name).stat().st_size / 2**20:.1f} MiB")
            if (sources / name).is_file()
            else Finding("missing", str(sources / name))
            for name in FILES
        ]
        if not all(line.well for line in lines):
            return lines
        try:
            check_classes(sources)
            videos = read_names(sources)
            poses, roots = _content(sources)
            lengths = np.minimum([len(clip) for clip in poses], read_lengths(sources, len(poses)))
        except InputError as error:
            return [*lines, Finding("damaged", str(error))]
        kept: Counter[str] = Counter()
        for video, length in zip(videos, lengths, strict=True):
            if video.side != 1 and video.view == 8:
                kept["view 8 of side 2"] += 1
            elif video.split == "train" and length < LEAST:
                kept["too short"] += 1
            else:
                kept[video.split] += 1
        subjects = {split: len({video.subject for video in videos if video.split == split}) for split in ("train", "test")}
        lines += [
            Finding("ok" if kept[split] else "missing", f"{split}: {kept[split]} clips of {subjects[split]} subjects") for split in subjects
        ]
        lines += [
            Finding("note", f"{kept[reason]} clips left out: {reason}") for reason in ("view 8 of side 2", "too short") if kept[reason]
        ]
        wrong = [k for k, arrays in enumerate(zip(poses, roots, strict=True)) if not all(np.isfinite(array).all() for array in arrays)]
        if wrong:
            lines.append(Finding("damaged", f"{len(wrong)} clips with values that are not numbers (the first is {videos[wrong[0]].name})"))
        if made_from:
            same = self.identity(sources, ()) == dict(made_from)
            lines.append(Finding("ok" if same else "note", f"the corpus was made of {'these files' if same else 'other files than these'}"))
        return lines


def video_of(name: str) -> Video:
    """What the name of a video says."""
    try:
        action, view, subject, side = (int(part[1:]) for part in name.split("_")[:4])
    except ValueError:
        raise InputError(f"video '{name}'; expected a name such as a3_d2_p007_c1_color.avi") from None
    if not (0 <= action < len(UESTC) and 0 <= view <= 8 and 1 <= subject <= SUBJECTS):
        raise InputError(f"video '{name}'; expected action 0 to {len(UESTC) - 1}, view 0 to 8 and subject 1 to {SUBJECTS}")
    return Video(name, action, view, subject, side)


def read_names(sources: Path) -> list[Video]:
    """The videos in the order of the poses."""
    return [video_of(line.removesuffix(".avi")) for line in (sources / NAMES).read_text().split()]


def read_lengths(sources: Path, count: int) -> NDArray[np.int64]:
    """[count] frames of the videos."""
    try:
        lengths = np.array([int(line) for line in (sources / FRAMES).read_text().split()])
    except ValueError as error:
        raise InputError(f"{sources / FRAMES}: {error}; expected a number of frames a line") from None
    if len(lengths) != count:
        raise InputError(f"{sources / FRAMES} has {len(lengths)} numbers for {count} clips of {POSES}; restore the official files")
    return lengths


def check_classes(sources: Path) -> None:
    """An InputError unless the file names the 40 actions in their order."""
    listed = [line.strip() for line in (sources / CLASSES).read_text().splitlines() if line.strip()]
    if len(listed) != len(UESTC):
        raise InputError(f"{sources / CLASSES} names {len(listed)} actions; expected {len(UESTC)}, one a line")


def _content(sources: Path) -> tuple[list[NDArray], list[NDArray]]:
    """(poses [T, 72], root [T, 3] in camera axes) of every video."""
    cache, moved = load_arrays(sources / POSES), load_arrays(sources / TRANSLATIONS)
    if not isinstance(cache, dict) or not {"pose", "joints3d"} <= cache.keys():
        raise InputError(f"{sources / POSES} holds no pose and joints3d; expected the official file")
    poses, places, count = [*cache["pose"]], [*cache["joints3d"]], len(read_names(sources))
    if not len(poses) == len(places) == len(moved) == count:
        raise InputError(
            f"{sources}: {len(poses)} poses, {len(places)} joints3d, {len(moved)} translations and {count} names; expected as many of each"
        )
    roots = []
    for number, (pose, place, path) in enumerate(zip(poses, places, moved, strict=True)):
        shapes = np.shape(pose), np.shape(place), np.shape(path)
        frames = shapes[0][0] if shapes[0] else 0
        if shapes[0] != (frames, POSE) or len(shapes[1]) != 3 or shapes[1][0] != frames or shapes[1][1] <= HIPS or shapes[2] != (frames, 3):
            raise InputError(f"{sources}, clip {number}: shapes {[*map(list, shapes)]}; expected [T, {POSE}], [T, 49, 3] and [T, 3]")
        roots.append(np.asarray(place)[:, HIPS] + np.asarray(path))
    return poses, roots


UESTC_POSES = Uestc()
