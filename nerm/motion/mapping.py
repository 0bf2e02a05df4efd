"""From the named points of known recording skeletons to the 22 joints of SMPL order. It knows layouts, not corpora or files.

A joint is a weighted sum of points. Combined points (spine3, neck, collars, head, pelvis of bvh43) place a joint where SMPL has it
and avoid bones of zero length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.capture import Capture
from nerm.motion.conventions import NAMES
from nerm.motion.skeleton import SMPL22

Weights = Mapping[str, float]


def _parse(table: str) -> dict[str, dict[str, float]]:
    """Lines 'joint: weight*point + weight*point'; '?' stands for the left and the right side in the layout's own spelling of sides."""
    joints: dict[str, dict[str, float]] = {}
    sides, *lines = table.strip().splitlines()
    left, right = sides.split()
    for line in lines:
        joint, _, terms = line.partition(":")
        for side, letter in ((left, "l"), (right, "r")) if joint.strip().startswith("?") else ((left, ""),):
            weights = {}
            for term in terms.replace("?", side).split("+"):
                weight, _, point = term.strip().rpartition("*")
                weights[point] = float(weight or 1)
            joints[joint.strip().replace("?", letter)] = weights
    return {name: joints[name] for name in SMPL22.names}


_ASF31 = _parse("""l r
    pelvis: root
    spine1: lowerback
    spine2: upperback
    spine3: 0.5*upperback + 0.5*thorax
    neck: 0.5*lowerneck + 0.5*upperneck
    head: 0.5*upperneck + 0.5*head
    ?_hip: ?hipjoint
    ?_knee: ?femur
    ?_ankle: ?tibia
    ?_foot: ?foot
    ?_collar: 0.6*thorax + 0.4*?clavicle
    ?_shoulder: ?clavicle
    ?_elbow: ?humerus
    ?_wrist: ?wrist""")
_BVH31 = _parse("""Left Right
    pelvis: Hips
    spine1: Spine
    spine2: Spine1
    spine3: 0.5*Spine1 + 0.5*Neck
    neck: 0.5*Neck1 + 0.5*Head
    head: 0.5*Head + 0.5*Head_end
    ?_hip: ?UpLeg
    ?_knee: ?Leg
    ?_ankle: ?Foot
    ?_foot: ?ToeBase
    ?_collar: 0.6*Neck + 0.4*?Arm
    ?_shoulder: ?Arm
    ?_elbow: ?ForeArm
    ?_wrist: ?FingerBase""")
_BVH43 = _parse("""l r
    pelvis: 0.45*hip + 0.55*abdomen
    spine1: abdomen
    spine2: chest
    spine3: 0.7*chest + 0.3*neck
    neck: 0.5*neck + 0.5*head
    head: 0.5*head + 0.25*leftEye + 0.25*rightEye
    ?_hip: ?Thigh
    ?_knee: ?Shin
    ?_ankle: ?Foot
    ?_foot: ?Foot_end
    ?_collar: 0.6*?Collar + 0.4*?Shldr
    ?_shoulder: ?Shldr
    ?_elbow: ?ForeArm
    ?_wrist: ?Hand""")
_BANDAI = _parse("""L R
    pelvis: Hips
    spine1: 0.4*Hips + 0.6*Spine
    spine2: 0.3*Spine + 0.7*Chest
    spine3: 0.8*Chest + 0.2*Neck
    neck: Neck
    head: Head
    ?_hip: UpperLeg_?
    ?_knee: LowerLeg_?
    ?_ankle: Foot_?
    ?_foot: Toes_?
    ?_collar: Shoulder_?
    ?_shoulder: UpperArm_?
    ?_elbow: LowerArm_?
    ?_wrist: Hand_?""")

LAYOUTS: dict[str, dict[str, dict[str, float]]] = {
    "smpl22": {name: {name: 1.0} for name in SMPL22.names},
    **{f"{convention}-names": {name: {names[name]: 1.0} for name in SMPL22.names} for convention, names in NAMES.items()},
    "asf31": _ASF31,
    "hdm05": _ASF31,
    "bvh31": _BVH31,
    "bvh43": _BVH43,
    "bandai": _BANDAI,
}
"""layout -> joint -> {point: weight}. Points of asf31 and hdm05 are ends of bones; of the others joints, and `NAME_end` End Sites."""


def points_of(layout: str) -> tuple[str, ...]:
    """The points that a layout needs, in the order in which its joints name them."""
    return tuple(dict.fromkeys(point for weights in _layout(layout).values() for point in weights))


def detect_layout(names: Iterable[str]) -> str | None:
    """The layout all of whose points are among the names, else None. asf31 and hdm05 are one skeleton: the answer is asf31."""
    known = set(names)
    return next((layout for layout in LAYOUTS if known.issuperset(points_of(layout))), None)


def to_smpl22(capture: Capture, layout: str | None = None) -> NDArray[np.float64]:
    """[T, 22, 3] metres: the joints of a capture in SMPL order. layout: None finds it by the names."""
    if layout is None:
        layout = detect_layout(capture.names)
        if layout is None:
            raise InputError(unknown_layout(capture.names))
    missing = [point for point in points_of(layout) if point not in capture.names]
    if missing:
        raise InputError(f"layout {layout} needs the points {', '.join(missing)}, which are not among {', '.join(capture.names)}")
    matrix = np.zeros((len(SMPL22), len(capture.names)))
    for row, weights in enumerate(_layout(layout).values()):
        for point, weight in weights.items():
            matrix[row, capture.names.index(point)] = weight
    return np.ascontiguousarray(np.einsum("jn,tnd->tjd", matrix, capture.points, optimize=True))


def unknown_layout(names: Iterable[str]) -> str:
    """The sentence for a skeleton that no layout fits: which of its joints the nearest layout does not know, and what it lacks."""
    given = list(names)
    nearest = max(LAYOUTS, key=lambda layout: len(set(points_of(layout)) & set(given)) / len(points_of(layout)))
    shared = set(points_of(nearest)) & set(given)
    everything = {point for layout in LAYOUTS for point in points_of(layout)}
    unknown = [name for name in given if name not in everything and not name.endswith("_end")]
    lacking = [point for point in points_of(nearest) if point not in given]
    text = f"no known layout fits these joints; unknown: {', '.join(unknown) or 'none'}"
    if shared:
        text += f"; for {nearest} these are missing: {', '.join(lacking)}"
    return f"{text}; the known layouts are {', '.join(LAYOUTS)}"


def _layout(name: str) -> dict[str, dict[str, float]]:
    if name not in LAYOUTS:
        raise InputError(f"layout '{name}' does not exist; the known layouts are {', '.join(LAYOUTS)}")
    return LAYOUTS[name]
