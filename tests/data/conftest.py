"""Small recordings that the tests make up, in the layouts of the three archives: a person who walks in circles and waves."""

import csv
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from nerm.data.multirate.originals import acclaim_skeleton, acclaim_text

UNIT = 0.05644
Tree = dict[str, tuple[str | None, tuple[float, float, float], tuple[float, float, float] | None]]
"""joint -> (parent, offset, End Site)"""


def _mirrored(left: Tree, swap: Callable[[str], str]) -> Tree:
    """The right side: names swapped, x -> -x; what hangs on the trunk still does."""

    def flip(offset):
        return None if offset is None else (-offset[0], offset[1], offset[2])

    return {
        swap(name): (swap(parent) if parent in left else parent, flip(offset), flip(end)) for name, (parent, offset, end) in left.items()
    }


def _bandai() -> Tree:
    trunk: Tree = {
        "joint_Root": (None, (0, 0, 0), None),
        "Hips": ("joint_Root", (0, 0, 0), None),
        "Spine": ("Hips", (0, 10, 0), None),
        "Chest": ("Spine", (0, 14, 0), None),
        "Neck": ("Chest", (0, 20, 0), None),
        "Head": ("Neck", (0, 9, 1), (0, 15, 0)),
    }
    left: Tree = {
        "Shoulder_L": ("Chest", (3, 14, 0), None),
        "UpperArm_L": ("Shoulder_L", (11, 1, 0), None),
        "LowerArm_L": ("UpperArm_L", (23, 0, 0), None),
        "Hand_L": ("LowerArm_L", (22, 0, 0), (8, 0, 0)),
        "UpperLeg_L": ("Hips", (8, -5, 0), None),
        "LowerLeg_L": ("UpperLeg_L", (0, -37, 1), None),
        "Foot_L": ("LowerLeg_L", (0, -38, -2), None),
        "Toes_L": ("Foot_L", (0, -6, 12), (0, 0, 5)),
    }
    return trunk | left | _mirrored(left, lambda name: name.replace("_L", "_R"))


def _bvh31() -> Tree:
    trunk: Tree = {
        "Hips": (None, (0, 0, 0), None),
        "LowerBack": ("Hips", (0, 0, 0), None),
        "Spine": ("LowerBack", (0.1, 2.1, -0.1), None),
        "Spine1": ("Spine", (0, 2.2, 0.1), None),
        "Neck": ("Spine1", (0, 2.2, 0.1), None),
        "Neck1": ("Neck", (0, 1.6, 0.2), None),
        "Head": ("Neck1", (0, 1.7, 0), (0, 1.8, 0)),
    }
    left: Tree = {
        "LHipJoint": ("Hips", (0, 0, 0), None),
        "LeftUpLeg": ("LHipJoint", (1.4, -1.8, 0.8), None),
        "LeftLeg": ("LeftUpLeg", (2.4, -6.7, 0), None),
        "LeftFoot": ("LeftLeg", (2.5, -7.0, 0), None),
        "LeftToeBase": ("LeftFoot", (0.2, -0.5, 2.0), (0, 0, 1)),
        "LeftShoulder": ("Spine1", (0, 2.2, 0.1), None),
        "LeftArm": ("LeftShoulder", (3.1, 0.8, 0), None),
        "LeftForeArm": ("LeftArm", (5.0, 0, 0), None),
        "LeftHand": ("LeftForeArm", (3.4, 0, 0), None),
        "LeftFingerBase": ("LeftHand", (1.7, 0, 0), None),
        "LeftHandIndex1": ("LeftFingerBase", (0.6, 0, 0), (0.5, 0, 0)),
        "LThumb": ("LeftHand", (1.7, 0, 0), (0.5, 0, 0.5)),
    }
    names = {"LHipJoint": "RHipJoint", "LThumb": "RThumb"}
    return trunk | left | _mirrored(left, lambda name: names.get(name, name.replace("Left", "Right")))


def _bvh43() -> Tree:
    trunk: Tree = {
        "hip": (None, (0, 0, 0), None),
        "abdomen": ("hip", (0, 20, 0), None),
        "chest": ("abdomen", (0, 12, 0), None),
        "neck": ("chest", (0, 25, 0), None),
        "head": ("neck", (0, 9, 2), None),
        "leftEye": ("head", (3, 6, 8), (0, 0, 1)),
        "rightEye": ("head", (-3, 6, 8), (0, 0, 1)),
    }
    left: Tree = {
        "lCollar": ("chest", (3, 22, 0), None),
        "lShldr": ("lCollar", (12, 0, 0), None),
        "lForeArm": ("lShldr", (26, 0, 0), None),
        "lHand": ("lForeArm", (24, 0, 0), (8, 0, 0)),
        "lThigh": ("hip", (8, 0, 0), None),
        "lShin": ("lThigh", (0, -42, 0), None),
        "lFoot": ("lShin", (0, -42, 0), (0, -5, 14)),
    }
    return trunk | left | _mirrored(left, lambda name: "r" + name[1:])


TREES = {"bandai": _bandai(), "bvh31": _bvh31(), "bvh43": _bvh43()}
POSITIONED = {"bandai": ("joint_Root", "Hips"), "bvh31": ("Hips",), "bvh43": ("hip",)}
HIP_HEIGHT = {"bandai": 86.0, "bvh31": 16.5, "bvh43": 90.0}


def bvh_text(layout: str, frames: int, fps: float, phase: float = 0.0) -> str:
    """A made-up recording of a layout, as BVH."""
    tree = TREES[layout]
    children = {name: [child for child, (parent, _, _) in tree.items() if parent == name] for name in tree}

    def node(name: str, word: str) -> list[str]:
        _, offset, end = tree[name]
        kinds = ["Xposition", "Yposition", "Zposition"] if name in POSITIONED[layout] else []
        kinds += ["Zrotation", "Xrotation", "Yrotation"]
        lines = [f"{word} {name}", "{", "OFFSET {} {} {}".format(*offset), f"CHANNELS {len(kinds)} {' '.join(kinds)}"]
        for child in children[name]:
            lines += node(child, "JOINT")
        if end:
            lines += ["End Site", "{", "OFFSET {} {} {}".format(*end), "}"]
        return [*lines, "}"]

    root = next(iter(tree))
    header = ["HIERARCHY", *node(root, "ROOT"), "MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.7f}"]
    rows = []
    for time in np.arange(frames) / fps + phase:
        row: list[float] = []
        for number, name in enumerate(_depth_first(root, children)):
            if name in POSITIONED[layout]:
                moves = name == POSITIONED[layout][-1]
                height = HIP_HEIGHT[layout]
                row += [0.3 * height * np.sin(time), height, 0.3 * height * np.cos(time)] if moves else [0.0, 0.0, 0.0]
            row += [12 * np.sin(2 * time + number), 9 * np.sin(3 * time + 2 * number), 5 * np.cos(time + number)]
        rows.append(" ".join(f"{value:.4f}" for value in row))
    return "\n".join([*header, *rows]) + "\n"


def amc_text(skeleton: str, frames: int, fps: float, phase: float = 0.0) -> str:
    """A made-up recording on an Acclaim skeleton, as AMC."""
    bones = acclaim_skeleton(skeleton).bones
    lines = ["#!OML:ASF made up", ":FULLY-SPECIFIED", ":DEGREES"]
    for frame in range(frames):
        time = frame / fps + phase
        lines.append(str(frame + 1))
        for number, (name, bone) in enumerate(bones.items()):
            values = [15 * np.sin(2 * time + number + axis) for axis in range(len(bone.dofs))]
            if name == "root":
                values[:3] = [5 * np.sin(time), 17.0, 5 * np.cos(time)]
            if values:
                lines.append(f"{name} {' '.join(f'{value:.4f}' for value in values)}")
    return "\n".join(lines) + "\n"


CMU_COLUMNS = ["trial", "subject", "file", "format", "skeleton", "native_fps", "frames", "metres_per_unit", "clean_start", "clean_end"]
CMU_COLUMNS += ["description", "kit_split", "humanml3d_segments"]
HDM_COLUMNS = ["file", "actor", "action_code", "fps", "frames", "metres_per_unit", "split", "clean_start", "clean_end"]
BANDAI_COLUMNS = ["file", "dataset", "content", "style", "fps", "frames", "metres_per_unit"]


class Sources:
    """A folder of archives and manifests; `files` may be changed before `write`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, str] = {}
        self.tables: dict[str, tuple[list[str], list[list]]] = {
            "cmu": (CMU_COLUMNS, []),
            "hdm05": (HDM_COLUMNS, []),
            "bandai": (BANDAI_COLUMNS, []),
        }

    def write(self, packed: bool = True) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, (columns, rows) in self.tables.items():
            with (self.folder / f"{name}.csv").open("w", newline="") as file:
                csv.writer(file).writerows([columns, *rows])
            files = {path: text.encode() for path, text in self.files.items() if path.startswith(f"{name}/")}
            if packed:
                with tarfile.open(self.folder / f"{name}.tar.xz", "w:xz", preset=0) as archive:
                    for path, data in files.items():
                        info = tarfile.TarInfo(path)
                        info.size = len(data)
                        archive.addfile(info, io.BytesIO(data))
            else:
                for path, data in files.items():
                    (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
                    (self.folder / path).write_bytes(data)
        return self.folder

    def cmu(self, trial: str, layout: str, fps: float, frames: int, phase: float, segments: str = "", start: int = 0) -> None:
        subject = trial.split("_")[0]
        kind = "amc" if layout == "asf31" else "bvh"
        path = f"cmu/{kind}/{subject}/{trial}.{kind}"
        if kind == "amc":
            self.files[f"cmu/asf/{subject}.asf"] = acclaim_text(subject)
            self.files[path] = amc_text(subject, frames, fps, phase)
        else:
            self.files[path] = bvh_text(layout, frames, fps, phase)
        unit = 0.0103 if layout == "bvh43" else UNIT
        row = [trial, subject, path, kind, layout, fps, frames, unit, start, frames, "walk, wave", "", segments]
        self.tables["cmu"][1].append(row)

    def hdm05(self, actor: str, take: int, frames: int, split: str) -> None:
        path = f"hdm05/amc/{actor}/HDM_{actor}_squat1Reps_{take:03d}_120.amc"
        self.files[f"hdm05/asf/HDM_{actor}.asf"] = acclaim_text(f"HDM_{actor}")
        self.files[path] = amc_text(f"HDM_{actor}", frames, 120, take)
        self.tables["hdm05"][1].append([path, actor, "squat1Reps", 120, frames, UNIT, split, 0, frames])

    def bandai(self, dataset: int, take: int, frames: int) -> None:
        path = f"bandai/dataset-{dataset}/dataset-{dataset}_walk_active_{take:03d}.bvh"
        self.files[path] = bvh_text("bandai", frames, 30, take)
        self.tables["bandai"][1].append([path, dataset, "walk", "active", 30, frames, 0.01])


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Eleven recordings: CMU as AMC, bvh31 and bvh43 (60 fps), HDM05, Bandai-Namco; not written yet."""
    made = Sources(tmp_path / "sources")
    made.cmu("01_01", "asf31", 120, 130, 0.0, "000001:0.00-1.00:train;000002:0.00-1.00:test")
    made.cmu("02_03", "asf31", 120, 90, 1.0, "000003:0.00-0.50:val")
    made.cmu("08_01", "bvh31", 120, 60, 2.0)
    made.cmu("60_01", "bvh43", 60, 70, 3.0, "000004:0.00-1.00:train", start=8)
    made.hdm05("bd", 1, 80, "train")
    made.hdm05("tr", 2, 75, "test")
    made.bandai(1, 1, 40)
    for take in range(1, 5):
        made.bandai(2, take, 30 + take)
    return made


def _depth_first(name: str, children: dict[str, list[str]]) -> list[str]:
    return [name] + [below for child in children[name] for below in _depth_first(child, children)]
