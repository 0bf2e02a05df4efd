"""How `humanml3d` and `kit` are prepared from the published features: new_joint_vecs/, texts/, Mean.npy, Std.npy and the split lists."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.data.clips import FEATURES, ITEMS, ClipRecording, items_file
from nerm.data.files import digest_of, found
from nerm.data.preparation import Finding, LeftOut, Preparation, Recording, Trial
from nerm.data.t2m import examining
from nerm.data.t2m.amass import Unusable
from nerm.data.t2m.layout import LISTS, MOTIONS, STATISTICS, TEXTS
from nerm.data.t2m.statistics import read_statistics
from nerm.data.t2m.texts import Piece, fits, mirrored, pieces, read_lists, read_texts, unmirrored
from nerm.data.validation import measure
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, Skeleton
from nerm.motion.features import FEATURES_251, FEATURES_263, FeatureFormat, decode
from nerm.motion.skeleton import KIT21


@dataclass(frozen=True, kw_only=True)
class Clip(ClipRecording):
    """An item of a file. start, end: its frames.  problem: why the file gives no item, as (kind, text); ('', '') for none."""

    file: str
    start: int
    end: int
    problem: tuple[str, str] = ("", "")


class Official(Preparation):
    """One of the two. least: frames of the shortest clip.  home: the name of its folder in the official repositories."""

    window_s = math.inf

    def __init__(self, name: str, home: str, format: FeatureFormat, least: int, listed: Mapping[str, int]) -> None:
        """listed: split -> how many ids the published lists have."""
        self.name, self.home, self.format, self.least, self.listed = name, home, format, least, listed

    def locate(self, given: str | None) -> Path | None:
        return found(self.name, given, (self.home, self.name), MOTIONS)

    def recordings(self, sources: Path, only: Sequence[str] = ()) -> Sequence[Clip]:
        if not (sources / MOTIONS).is_dir():
            raise InputError(
                f"{sources} has no folder {MOTIONS}; expected the official layout: {MOTIONS}/, {TEXTS}/, {', '.join(STATISTICS)}"
            )
        read_statistics(sources, self.format)
        return [clip for name, split in read_lists(sources).items() for clip in self.clips(sources, name, split)]

    def clips(self, sources: Path, name: str, split: str) -> Iterator[Clip]:
        """The items of one listed id; one with a problem if there is none."""
        try:
            items: Sequence[Piece] = self._pieces(sources, name)
            problem = ("", "")
        except Unusable as reason:
            items, problem = [Piece(name, 0, 0, (), ())], (reason.args[0], reason.args[1])
        for item in items:
            yield Clip(
                name=item.name,
                source="",
                fps=self.format.fps,
                split=split,
                label="",
                group=unmirrored(name),
                mirror_of=unmirrored(item.name) if mirrored(name) else "",
                captions=item.captions,
                tokens=item.tokens,
                file=f"{name}.npy",
                start=item.start,
                end=item.end,
                problem=problem,
            )

    def _pieces(self, sources: Path, name: str) -> list[Piece]:
        text = sources / TEXTS / f"{name}.txt"
        frames = len(self._values(sources / MOTIONS / f"{name}.npy"))
        if not text.is_file():
            raise Unusable("without a text file", str(text))
        if not fits(frames, self.least):
            raise Unusable("too short or too long", f"{frames} frames")
        items = list(pieces(name, frames, read_texts(text), self.least))
        if not items:
            raise Unusable("without a caption", str(text))
        return items

    def _values(self, path: Path) -> NDArray:
        """[T, dims] memory-mapped. Another width is an InputError: it is another dataset's folder."""
        try:
            values = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise Unusable("without a motion file", str(path)) from None
        except (OSError, ValueError, EOFError) as error:
            raise Unusable("damaged", f"{path.name}: {str(error).splitlines()[0][:80]}") from None
        if values.ndim != 2 or values.shape[1] != self.format.dims or values.dtype.kind != "f":
            other = next((kind.name for kind in (HUMANML3D, KIT) if values.ndim == 2 and values.shape[1] == kind.format.dims), "")
            hint = f"give dataset={other}" if other else "give the official files"
            raise InputError(
                f"{path} has features of shape {list(values.shape)}; dataset '{self.name}' has [T, {self.format.dims}]: {hint}"
            )
        return values

    def identity(self, sources: Path, collections: Sequence[str]) -> dict[str, str]:
        return {
            MOTIONS: digest_of(sorted((sources / MOTIONS).glob("*.npy")), whole=False),
            TEXTS: digest_of(sorted((sources / TEXTS).glob("*.txt"))),
            "lists": digest_of([sources / name for name in LISTS]),
            "statistics": digest_of([sources / name for name in STATISTICS]),
        }

    def folder(self, sources: Path, collection: str, scratch: Path) -> Path:
        return sources / MOTIONS

    def read(self, recording: Recording, folder: Path) -> Trial | LeftOut:
        assert isinstance(recording, Clip)  # as `recordings` lists them
        if recording.problem[0]:
            return LeftOut(*recording.problem)
        features = np.array(self._values(folder / recording.file)[recording.start : recording.end], dtype=np.float32)
        wrong = ~np.isfinite(features).all(axis=1)
        if wrong.any():
            return LeftOut("with values that are not numbers", f"{int(wrong.sum())} of {len(features)} frames")
        return self._trial(features, recording)

    def _trial(self, features: NDArray, recording: Clip) -> Trial:
        place = decode(features.astype(np.float64), self.format) * self.format.metres_per_unit
        joints = Motion(place, self.format.fps, self.format.skeleton).canonical().joints
        skeleton = self.format.skeleton.with_lengths_of(joints[0])
        checks = measure(joints, joints, self.format.fps, 1.0, float(joints[..., 1].min()), len(joints), skeleton)
        lengths = skeleton.lengths.astype(np.float32)
        return Trial(joints.astype(np.float32), lengths, 1.0, recording.start, 0.0, checks, {FEATURES: features})

    def skeleton(self, lengths: NDArray) -> Skeleton:
        """That of the 22 joints, or the 21 joints of KIT-ML at the lengths of the data: all clips were brought to one skeleton."""
        return SMPL22 if self.format is FEATURES_263 else KIT21.with_lengths(lengths)

    def companions(self, sources: Path, used: Sequence[Recording]) -> Mapping[str, bytes]:
        return {ITEMS: items_file(used)} | {name: (sources / name).read_bytes() for name in STATISTICS}

    def examine(self, sources: Path | None, made_from: Mapping[str, str]) -> list[Finding]:
        if sources is None:
            text = f"no official files are known: give sources=DIR, the folder {self.home} with {MOTIONS}/, {TEXTS}/ and the lists"
            return [Finding("note" if made_from else "missing", text)]
        return examining.page(self, sources, made_from)


HUMANML3D = Official("humanml3d", "HumanML3D", FEATURES_263, 40, {"train": 23384, "val": 1460, "test": 4384})
KIT = Official("kit", "KIT-ML", FEATURES_251, 24, {"train": 4888, "val": 300, "test": 830})
