"""The checks of every trial of a corpus, and which results are worth a look. It knows joints and rates, no file and no manifest.

Nothing here changes a motion. Wrong files never get this far (values that are not finite, a missing bone, another rate than the
manifest's are errors); what is found here is usable and unusual, and the corpus keeps it in `validation.csv` and its manifest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from nerm.motion import SMPL22, Skeleton
from nerm.motion.faults import JUMP_MPS

_FLOOR_M = (-0.01, 0.07)  # foot joints of a person on the floor of the recording lie at about 0.03 m
_BELOW_M = -0.03  # a joint lower than the floor that the rest of the trial stands on
_ABOVE_M = 0.10  # if nothing is lower than this half of the time, the person stands, sits or hangs on something
_RIGID_MM = 10.0
_SCALE = (0.7, 1.4)
_REPEATED = 0.05
_LIMBS = [f"{side}_{name}" for side in "lr" for name in ("knee", "ankle", "elbow", "wrist")]

Check = float | str


def measure(
    points: NDArray, joints: NDArray, fps: float, scale: float, floor_m: float, frames_in_file: int, skeleton: Skeleton = SMPL22
) -> dict[str, Check]:
    """The checks of one trial.

    points: [T, J, 3] metres as recorded.  joints: [T, J, 3] metres on the corpus skeleton, floor at 0.
    """
    limbs = np.array([skeleton.index(name) for name in _LIMBS]) - 1
    bones = np.linalg.norm(points[:, 1:] - points[:, skeleton.parents[1:]], axis=-1)
    own = np.linalg.norm(joints[:, 1:] - joints[:, skeleton.parents[1:]], axis=-1)
    lowest = joints[..., 1].min(axis=1)
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * fps if len(joints) > 1 else np.zeros((1, len(skeleton)))
    still = speed.max(axis=1) < 1e-3
    return {
        "cut_frames": frames_in_file - len(joints),
        "scale": scale,
        "floor_m": floor_m,
        "lowest_m": float(lowest.min()),
        "median_lowest_m": float(np.median(lowest)),
        "fastest_mps": float(speed.max()),
        "fastest_joint": skeleton.names[int(speed.max(axis=0).argmax())],
        "jumps": float((speed.max(axis=1) > JUMP_MPS).sum()),
        "repeated": 0.0 if still.all() else float(still.mean()),
        "limb_change_mm": float(np.ptp(bones[:, limbs], axis=0).max() * 1000),
        "skeleton_error_mm": float(np.abs(own - skeleton.lengths[1:]).max() * 1000),
    }


def findings(checks: Mapping[str, Check]) -> dict[str, str]:
    """Kind -> sentence, for everything about one trial that is worth a look."""
    value = {name: float(check) for name, check in checks.items() if not isinstance(check, str)}
    kinds = {}
    if value["cut_frames"]:
        kinds["cut"] = f"{value['cut_frames']:.0f} frames outside the clean run (tracking jumps, or blended from a T-pose) were left out"
    if value["jumps"]:
        kinds["jump"] = f"{checks['fastest_joint']} at {value['fastest_mps']:.1f} m/s on the corpus skeleton, {value['jumps']:.0f} frames"
    if not _FLOOR_M[0] <= value["floor_m"] <= _FLOOR_M[1]:
        kinds["floor"] = f"lowest joint at {value['floor_m']:+.2f} m in the recording, moved to 0"
    if value["lowest_m"] < _BELOW_M:
        kinds["below"] = f"a joint goes {-value['lowest_m']:.3f} m below the floor"
    if value["median_lowest_m"] > _ABOVE_M:
        kinds["above"] = f"half of the time nothing is lower than {value['median_lowest_m']:.2f} m"
    if value["limb_change_mm"] > _RIGID_MM:
        kinds["bones"] = f"a limb bone changes its length by {value['limb_change_mm']:.0f} mm"
    if value["skeleton_error_mm"] > 0.01:
        kinds["skeleton"] = f"a bone differs from the corpus skeleton by {value['skeleton_error_mm']:.3f} mm"
    if not _SCALE[0] < value["scale"] < _SCALE[1]:
        kinds["scale"] = f"scale {value['scale']:.2f}: is the unit of length right?"
    if value["repeated"] > _REPEATED:
        kinds["repeated"] = f"{value['repeated']:.0%} of the frames repeat the one before: is the rate right?"
    return kinds


def summary(sources: Iterable[str], rows: Iterable[Mapping[str, Check]]) -> dict[str, dict[str, list[float]]]:
    """source -> check -> [least, median, most] over its trials. rows: the checks of each trial; sources: where each is from."""
    by_source: dict[str, dict[str, list[float]]] = {}
    for source, row in zip(sources, rows, strict=True):
        checks = by_source.setdefault(source, {})
        for name, check in row.items():
            if not isinstance(check, str):
                checks.setdefault(name, []).append(check)
    return {
        source: {name: [round(float(f(values)), 4) for f in (np.min, np.median, np.max)] for name, values in checks.items()}
        for source, checks in by_source.items()
    }
