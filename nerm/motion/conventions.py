"""What animation programs expect of a person: names of the joints, a T-pose, how far hands, feet and head go on. It knows no file format.

Names: those of the SMPL-X code (Pavlakos et al., CVPR 2019) in words, and those of Adobe Mixamo, which Unity's Humanoid, Unreal's
IK Retargeter and Blender's retargeting add-ons know.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.skeleton import KIT21, SMPL22, SMPL24, Skeleton
from nerm.motion.smpl import T_POSE

_MIXAMO_PARTS = {
    "pelvis": "Hips",
    "spine1": "Spine",
    "spine2": "Spine1",
    "spine3": "Spine2",
    "neck": "Neck",
    "head": "Head",
    "hip": "UpLeg",
    "knee": "Leg",
    "ankle": "Foot",
    "foot": "ToeBase",
    "collar": "Shoulder",
    "shoulder": "Arm",
    "elbow": "ForeArm",
    "wrist": "Hand",
    "hand": "HandMiddle1",
}
_SIDES = {"l": ("left_", "Left"), "r": ("right_", "Right")}


def _name(joint: str, convention: str) -> str:
    side, _, part = joint.rpartition("_")
    word, capital = _SIDES.get(side, ("", ""))
    return word + part if convention == "smpl" else f"mixamorig:{capital}{_MIXAMO_PARTS[part]}"


NAMES: dict[str, dict[str, str]] = {
    convention: {joint: _name(joint, convention) for joint in SMPL24.names} for convention in ("smpl", "mixamo")
}
"""convention -> name of a joint on our skeletons -> its name in the file."""

_HINGES = {"l_knee": (0, 0, -1), "r_knee": (0, 0, -1), "l_elbow": (0, 0, 1), "r_elbow": (0, 0, 1)}
_TIPS_M = {"head": (0, 0.19, 0.01), "foot": (0, -0.01, 0.065), "wrist": (0.17, 0, 0), "hand": (0.09, 0, 0)}
_LEGS = ("l_knee", "l_ankle", "r_knee", "r_ankle")
_UNKNOWN_TIP = 0.5  # of another skeleton's last bone
_SHORTEST_TIP_M = 0.02


def file_names(skeleton: Skeleton, convention: str) -> tuple[str, ...]:
    """The names of the joints in a file. A skeleton that is not of SMPL's joints keeps its own, which only names=smpl allows."""
    if convention not in NAMES:
        raise InputError(f"names={convention} does not exist; it can be {' or '.join(NAMES)}")
    known = NAMES[convention]
    if is_smpl(skeleton):
        return tuple(known[joint] for joint in skeleton.names)
    if convention != "smpl":
        raise InputError(f"names={convention} is for SMPL's joints; skeleton '{skeleton.name}' keeps its own: leave names out")
    return skeleton.names


def is_smpl(skeleton: Skeleton) -> bool:
    """Whether these are the 22 or 24 joints of SMPL."""
    return skeleton.names in (SMPL22.names, SMPL24.names)


def t_pose(skeleton: Skeleton) -> NDArray[np.float64]:
    """[J, 3] unit directions of the bones when the person stands and holds the arms out, palms down; 0 for the root.

    SMPL's joints stand as its mean body does, KIT-ML's with the arms turned up (its joints named L lie on -x). Of another skeleton
    these are its own rest directions: what its T-pose is, is not known.
    """
    if is_smpl(skeleton):
        return T_POSE.axes[: len(skeleton)].copy()
    axes = skeleton.axes.copy()
    if skeleton.names == KIT21.names:
        axes[:, 0] *= -1
        for joint in ("LE", "LW", "RE", "RW"):
            axes[skeleton.index(joint)] = (-1 if joint[0] == "L" else 1, 0, 0)
    return axes


def body_size(skeleton: Skeleton) -> float:
    """The length of the legs as a share of those of the corpus skeleton; 1 for a skeleton without legs of known names."""
    if not is_smpl(skeleton):
        return 1.0
    legs = [skeleton.index(name) for name in _LEGS]
    return float(skeleton.lengths[legs].sum() / SMPL22.lengths[legs].sum())


def hinges(skeleton: Skeleton) -> dict[int, NDArray[np.float64]]:
    """Joint -> [3] where the bone below it goes when it bends out of the T-pose: shins backwards, forearms (palms down) forwards."""
    if not is_smpl(skeleton) and skeleton.names != KIT21.names:
        return {}
    return {skeleton.index(name): np.array(way, dtype=np.float64) for name, way in _HINGES.items()}


def tip(skeleton: Skeleton, joint: int, bone: NDArray[np.float64]) -> NDArray[np.float64]:
    """[3] metres from the last joint of a chain to where the body ends: crown, toes, fingers. bone: [3] rest vector to the joint."""
    name = skeleton.names[joint]
    side, _, part = name.rpartition("_")
    if is_smpl(skeleton) and part in _TIPS_M:
        return body_size(skeleton) * np.array(_TIPS_M[part]) * ((-1 if side == "r" else 1), 1, 1)
    length = float(np.linalg.norm(bone))
    if length * _UNKNOWN_TIP >= _SHORTEST_TIP_M:
        return bone * _UNKNOWN_TIP
    return np.array([0, _SHORTEST_TIP_M, 0]) if length < 1e-9 else bone * (_SHORTEST_TIP_M / length)


__all__ = ["NAMES", "body_size", "file_names", "hinges", "is_smpl", "t_pose", "tip"]
