"""How `humanml3d-native` is prepared: the segments of HumanML3D, cut out of AMASS at the rates of its recordings. Nothing is resampled.

The official preparation keeps every int(fps / 20)-th frame of a recording and counts in those. A segment here holds all frames from its
first to its last one: every int(fps / 20)-th of them is the official segment. Of recordings at 250 fps the official frames are 20.8 a
second; an index is therefore a time by the frames that were kept, and not by a division by 20.

Sources: amass_data/ (the SMPL+H G release), body_models/smplh/{male,female}/model.npz, pose_data/humanact12/ (published with HumanML3D,
at 20 fps), index.csv, texts/ and the lists. The steps are those of HumanML3D's raw_pose_processing and motion_representation notebooks.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nerm.data.clips import ITEMS, ClipRecording, items_file
from nerm.data.files import digest_of, found
from nerm.data.preparation import Finding, LeftOut, Preparation, Recording, Trial
from nerm.data.t2m.amass import WITHOUT_BODY, Unusable, body_file, official_frames, read_index, segment_joints
from nerm.data.t2m.texts import FRAMES_PER_SECOND, Piece, fits, mirrored, pieces, read_lists, read_texts, unmirrored
from nerm.data.validation import measure
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion
from nerm.motion.features import canonicalise, uniform_skeleton
from nerm.motion.smpl import load_body_model

LEAST = 40
GENDERS = ("male", "female")


@dataclass(frozen=True, kw_only=True)
class Segment(ClipRecording):
    """An item. file: of the recording, under the sources.  step: from one official frame to the next.  mirror: left and right change.

    cut: official frames [start, end) of the recording that the clip is made of.  piece: frames of the clip, [start, end).
    """

    file: str
    step: int
    mirror: bool
    cut: tuple[int, int]
    piece: tuple[int, int]
    problem: tuple[str, str] = ("", "")


class Native(Preparation):
    """See the module's docstring."""

    name = "humanml3d-native"
    window_s = math.inf

    def locate(self, given: str | None) -> Path | None:
        return found(self.name, given, ("HumanML3D", "humanml3d"), "amass_data")

    def recordings(self, sources: Path, only: Sequence[str] = ()) -> Sequence[Segment]:
        for gender in GENDERS:
            load_body_model(body_file(sources, gender))
        rows = read_index(sources / "index.csv")
        return [item for name, split in read_lists(sources).items() for item in self._items(sources, rows, name, split)]

    def _items(self, sources: Path, rows: Mapping[str, tuple[str, int, int]], name: str, split: str) -> Iterator[Segment]:
        """The items of one listed id; one with a problem if there is none."""
        plain, problem, items = unmirrored(name), ("", ""), []
        file, fps, step, cut = "", float(FRAMES_PER_SECOND), 1, (0, 0)
        if plain not in rows:
            problem = ("not in index.csv", plain)
        else:
            file, start, end = rows[plain]
            try:
                fps, step, cut = official_frames(sources / file, start, end)
            except Unusable as reason:
                problem = (reason.args[0], reason.args[1])
        text, frames = sources / "texts" / f"{name}.txt", cut[1] - cut[0] - 1
        if not problem[0] and not text.is_file():
            problem = ("without a text file", str(text))
        if not problem[0] and not fits(frames, LEAST):
            problem = ("too short or too long", f"{frames} frames")
        if not problem[0]:
            items = list(pieces(name, frames, read_texts(text), LEAST))
            problem = ("", "") if items else ("without a caption", str(text))
        for item in items or [Piece(name, 0, 0, (), ())]:
            yield Segment(
                name=item.name,
                source=file.split("/")[1] if file else "",
                fps=fps,
                split=split,
                label="",
                group=plain,
                mirror_of=unmirrored(item.name) if mirrored(name) else "",
                captions=item.captions,
                tokens=item.tokens,
                file=file,
                step=step,
                mirror=mirrored(name),
                cut=cut,
                piece=(item.start, item.end),
                problem=problem,
            )

    def identity(self, sources: Path, collections: Sequence[str]) -> dict[str, str]:
        motions = sorted([*(sources / "amass_data").rglob("*.npz"), *(sources / "pose_data" / WITHOUT_BODY).rglob("*.npy")])
        return {
            "motions": digest_of(motions, whole=False),
            "body_models": digest_of([body_file(sources, gender) for gender in GENDERS]),
            "texts": digest_of(sorted((sources / "texts").glob("*.txt"))),
            "lists": digest_of([sources / name for name in ("index.csv", "train.txt", "val.txt", "test.txt")]),
        }

    def folder(self, sources: Path, collection: str, scratch: Path) -> Path:
        return sources

    def read(self, recording: Recording, folder: Path) -> Trial | LeftOut:
        assert isinstance(recording, Segment)  # as `recordings` lists them
        if recording.problem[0]:
            return LeftOut(*recording.problem)
        try:
            raw = segment_joints(folder, recording.file, recording.step, recording.cut)
        except Unusable as reason:
            return LeftOut(*reason.args)
        if not np.isfinite(raw).all():
            return LeftOut("with values that are not numbers", f"{int((~np.isfinite(raw)).any(axis=(1, 2)).sum())} of {len(raw)} frames")
        if recording.mirror:
            raw = raw[:, SMPL22.left_right] * np.array([-1.0, 1.0, 1.0])
        clip = canonicalise(uniform_skeleton(raw, SMPL22))
        start, end = (frame * recording.step for frame in recording.piece)
        joints = Motion(clip[start : end + 1], recording.fps).canonical().joints
        lengths = SMPL22.with_lengths_of(raw[0]).lengths
        checks = measure(raw[start : end + 1], joints, recording.fps, 1.0, float(joints[..., 1].min()), len(joints))
        return Trial(joints.astype(np.float32), lengths.astype(np.float32), 1.0, start, 0.0, checks)

    def companions(self, sources: Path, used: Sequence[Recording]) -> Mapping[str, bytes]:
        return {ITEMS: items_file(used)}

    def examine(self, sources: Path | None, made_from: Mapping[str, str]) -> list[Finding]:
        if sources is None:
            text = "no official files are known: give sources=DIR with amass_data/, body_models/, pose_data/, texts/, index.csv, lists"
            return [Finding("note" if made_from else "missing", text)]
        lines = []
        for gender in GENDERS:
            try:
                load_body_model(body_file(sources, gender))
                lines.append(Finding("ok", f"body_models/smplh/{gender}/model.npz"))
            except InputError as error:
                lines.append(Finding("missing" if "missing" in str(error) else "damaged", str(error)))
        try:
            rows, listed = read_index(sources / "index.csv"), read_lists(sources)
            items = [item for name, split in listed.items() for item in self._items(sources, rows, name, split)]
        except InputError as error:
            return [*lines, Finding("missing" if "missing" in str(error) else "damaged", str(error))]
        lines += _collections(sources, rows)
        for split in ("train", "val", "test"):
            used = [item for item in items if item.split == split and not item.problem[0]]
            rates = Counter(f"{item.fps:g} fps" for item in used)
            shown = ", ".join(f"{count} at {fps}" for fps, count in sorted(rates.items()))
            lines.append(Finding("ok" if used else "missing", f"{split}: {len(used)} items{f' ({shown})' if shown else ''}"))
        for reason, count in Counter(item.problem[0] for item in items if item.problem[0]).items():
            state = "damaged" if reason == "damaged" else "note" if reason.startswith("too") else "missing"
            lines.append(Finding(state, f"{count} listed clips {reason}"))
        if made_from and all(line.well for line in lines):
            same = self.identity(sources, ()) == dict(made_from)
            lines.append(Finding("ok" if same else "note", f"the corpus was made of {'these files' if same else 'other files than these'}"))
        return lines


def _collections(sources: Path, rows: Mapping[str, tuple[str, int, int]]) -> list[Finding]:
    """Which collections of recordings are there."""
    there: Counter[str] = Counter()
    missing: Counter[str] = Counter()
    for file in {file for file, _, _ in rows.values()}:
        (there if (sources / file).is_file() else missing)[file.split("/")[1]] += 1
    lines = [Finding("ok", f"{name}: {there[name]} recordings of the index") for name in sorted(there) if not missing[name]]
    return lines + [
        Finding("missing", f"{name}: {missing[name]} of {missing[name] + there[name]} recordings of the index") for name in sorted(missing)
    ]


NATIVE = Native()
