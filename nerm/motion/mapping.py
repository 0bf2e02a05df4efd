"""From the named points of a recording to the 22 joints of SMPL order, by weighted sums. It knows layouts, not corpora or files.

Combined points (spine3, neck, collars, head, pelvis of bvh43) place a joint where SMPL has it and avoid bones of zero length.
Skeletons that are known by names and hierarchy, instead of by exact points, are found by `nerm.motion.matching`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.capture import Capture
from nerm.motion.layouts import exact_layouts
from nerm.motion.skeleton import SMPL22

Weights = Mapping[str, Mapping[str, float]]
"""joint -> {point: weight}"""
LAYOUTS = exact_layouts()
"""layout -> its Weights. Points of asf31 and hdm05 are ends of bones; of the others joints, and `NAME_end` End Sites."""


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
    return weighted_joints(capture.points, capture.names, _layout(layout))


def weighted_joints(points: NDArray[np.float64], names: tuple[str, ...], weights: Weights) -> NDArray[np.float64]:
    """[T, 22, 3]: the weighted sums of points [T, N, 3]."""
    matrix = np.zeros((len(SMPL22), len(names)))
    for row, joint in enumerate(SMPL22.names):
        for point, weight in weights[joint].items():
            matrix[row, names.index(point)] = weight
    return np.ascontiguousarray(np.einsum("jn,tnd->tjd", matrix, points, optimize=True))


def unknown_layout(names: Iterable[str]) -> str:
    """The sentence for named points that no exact layout fits: what the nearest layout lacks, and which of the names none knows."""
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
