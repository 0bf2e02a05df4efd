"""Small BVH files of a walking figure, in any spelling, axes, unit, channel order: what test files are made of."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from nerm.motion.skeleton import SMPL22

# joint -> (parent, offset in cm), depth first as a file has them; the figure is 1.45 m from ankle to head along the bones.
FIGURE: dict[str, tuple[str, tuple[float, float, float]]] = {
    "pelvis": ("", (0, 0, 0)),
    "l_hip": ("pelvis", (10, -5, 0)),
    "l_knee": ("l_hip", (0, -40, 0)),
    "l_ankle": ("l_knee", (0, -42, 0)),
    "l_foot": ("l_ankle", (0, -5, 14)),
    "r_hip": ("pelvis", (-10, -5, 0)),
    "r_knee": ("r_hip", (0, -40, 0)),
    "r_ankle": ("r_knee", (0, -42, 0)),
    "r_foot": ("r_ankle", (0, -5, 14)),
    "spine1": ("pelvis", (0, 12, 0)),
    "spine2": ("spine1", (0, 14, 0)),
    "spine3": ("spine2", (0, 6, 0)),
    "neck": ("spine3", (0, 20, 0)),
    "head": ("neck", (0, 10, 5)),
    "l_collar": ("spine3", (8, 10, 0)),
    "l_shoulder": ("l_collar", (10, 0, 0)),
    "l_elbow": ("l_shoulder", (27, 0, 0)),
    "l_wrist": ("l_elbow", (25, 0, 0)),
    "r_collar": ("spine3", (-8, 10, 0)),
    "r_shoulder": ("r_collar", (-10, 0, 0)),
    "r_elbow": ("r_shoulder", (-27, 0, 0)),
    "r_wrist": ("r_elbow", (-25, 0, 0)),
}
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""Brings a vector with y up into axes with z up."""


def walking(frames: int = 12, fps: float = 30.0, speed_mps: float = 1.2) -> tuple[np.ndarray, dict[str, Rotation]]:
    """(root [T, 3] in cm, local rotations by joint): a walk with the arms down, without any jump."""
    t = np.arange(frames) / fps
    swing = 25 * np.sin(2 * np.pi * t)
    root = np.stack([3 * np.sin(np.pi * t), 92 + 2 * np.cos(4 * np.pi * t), 100 * speed_mps * t], axis=-1)
    turns = {name: Rotation.identity(frames) for name in FIGURE}
    for side, sign in (("l", 1), ("r", -1)):
        turns[f"{side}_hip"] = _turn("x", sign * swing)
        turns[f"{side}_knee"] = _turn("x", 20 + 10 * np.cos(2 * np.pi * t))
        turns[f"{side}_shoulder"] = _turn("zx", -75 * sign + 0 * t, -sign * swing / 2)
        turns[f"{side}_elbow"] = _turn("y", -sign * (20 + 10 * np.sin(2 * np.pi * t)))
    turns["spine2"] = _turn("yx", 8 * np.sin(2 * np.pi * t), 5 + 0 * t)
    turns["pelvis"] = _turn("y", 10 * np.sin(np.pi * t))
    return root, turns


def places(root: np.ndarray, turns: Mapping[str, Rotation]) -> np.ndarray:
    """[T, 22, 3] metres: where the joints of the figure are, by the formula."""
    world: dict[str, Rotation] = {}
    at: dict[str, np.ndarray] = {}
    for name, (parent, offset) in FIGURE.items():
        world[name] = world[parent] * turns[name] if parent else turns[name]
        at[name] = at[parent] + world[parent].apply(offset) if parent else root
    return np.stack([at[name] for name in SMPL22.names], axis=1) / 100


def bvh_text(
    root: np.ndarray,
    turns: Mapping[str, Rotation],
    names: Mapping[str, str] | None = None,
    fps: float = 30.0,
    scale: float = 1.0,
    axes: np.ndarray | None = None,
    order: str = "zxy",
    moving: bool = False,
    left_out: Sequence[str] = (),
    ends: bool = True,
    top: Sequence[str] = (),
    figure: Mapping[str, tuple[str, tuple[float, float, float]]] = FIGURE,
) -> str:
    """The figure as a BVH.

    names: of the joints.  scale: units of the file in a centimetre.  axes: [3, 3] brings the figure into the file's axes.
    moving: every joint has position channels.  left_out: joints without children that the file lacks.  top: joints above the pelvis.
    figure: another tree, whose further joints do not turn.
    """
    axes = np.eye(3) if axes is None else axes
    lines: list[str] = ["HIERARCHY"]
    columns: list[np.ndarray] = []
    still = Rotation.identity(len(root))
    rotation = " ".join(f"{axis.upper()}rotation" for axis in order)

    def put(name: str, label: str, offset: np.ndarray, turn: Rotation, at: np.ndarray, has_positions: bool, depth: int) -> None:
        tab = "\t" * depth
        channels = f"6 Xposition Yposition Zposition {rotation}" if has_positions else f"3 {rotation}"
        lines.extend([f"{tab}{'JOINT' if depth else 'ROOT'} {label}", f"{tab}{{", f"{tab}\tOFFSET {' '.join(f'{x:.6f}' for x in offset)}"])
        lines.append(f"{tab}\tCHANNELS {channels}")
        if has_positions:
            columns.append(at)
        turned = Rotation.from_matrix(axes @ turn.as_matrix() @ axes.T)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # gimbal lock has no unique angles; any will do
            columns.append(turned.as_euler(order.upper(), degrees=True))

    def add(name: str, depth: int) -> None:
        offset = scale * axes @ np.array(figure[name][1], dtype=float)
        at = scale * root @ axes.T if name == "pelvis" else np.tile(offset, (len(root), 1))
        put(name, (names or {}).get(name, name), offset, turns.get(name, still), at, moving or name == "pelvis", depth)
        children = [child for child, (parent, _) in figure.items() if parent == name and child not in left_out]
        for child in children:
            add(child, depth + 1)
        tab = "\t" * depth
        if ends and not children:
            missing = [child for child, (parent, _) in figure.items() if parent == name]
            tip = np.array(figure[missing[0]][1] if missing else (0, -5, 0), dtype=float)
            lines.extend(
                [f"{tab}\tEnd Site", f"{tab}\t{{", f"{tab}\t\tOFFSET {' '.join(f'{x:.6f}' for x in scale * axes @ tip)}", f"{tab}\t}}"]
            )
        lines.append(f"{tab}}}")

    for depth, label in enumerate(top):
        put("", label, np.zeros(3), still, np.zeros((len(root), 3)), depth == 0, depth)
    add("pelvis", len(top))
    lines.extend("\t" * depth + "}" for depth in reversed(range(len(top))))
    lines += ["MOTION", f"Frames: {len(root)}", f"Frame Time: {1 / fps:.7f}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in np.concatenate(columns, axis=1)]
    return "\n".join(lines) + "\n"


def write(folder: Path, text: str | bytes, name: str = "motion.bvh") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _turn(axes: str, *degrees: np.ndarray) -> Rotation:
    return Rotation.from_euler(axes, np.stack(degrees, axis=-1), degrees=True)
