"""Joints from poses of the SMPL family: by the mean body in its T-pose, or by a model file of SMPL-H. It knows no dataset.

Sources: Loper et al., SMPL: A Skinned Multi-Person Linear Model, SIGGRAPH Asia 2015, equations 8 and 10; Romero et al., Embodied Hands,
SIGGRAPH Asia 2017. Only joints are computed: pose blend shapes and skinning move the surface and not the joints.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.rotations import matrix_from_axis_angle
from nerm.motion.skeleton import SMPL22, SMPL24, Skeleton, forward_kinematics

SHAPES = 10
"""Shape parameters that are used, as in AMASS's own code."""

# fmt: off
_T_POSE_CM = np.array([
    (0, 0, 0), (7, -9, -1), (-7, -9, -1), (0, 11, -3), (3, -38, 0), (-3, -38, 0), (0, 14, 0), (-1, -40, -4), (1, -40, -4), (0, 5, 3),
    (3, -6, 12), (-3, -6, 12), (0, 21, -4), (8, 12, -3), (-8, 12, -3), (0, 6, 5), (9, 3, -1), (-9, 3, -1), (26, -1, -3), (-26, -1, -3),
    (25, 1, 0), (-25, 1, 0), (8, -1, -2), (-8, -1, -2),
], dtype=np.float64)
# fmt: on
T_POSE = Skeleton("smpl24", SMPL24.names, SMPL24.parents, _T_POSE_CM / 100).with_lengths(SMPL24.lengths)
"""The pose that SMPL's rotations start from, the arms held out: bones of a mean adult to a centimetre, at the lengths of the corpus."""
_UPSIDE_DOWN = np.array([1.0, -1.0, -1.0])


def joints_from_poses(rotations: NDArray, root: NDArray) -> NDArray[np.float64]:
    """Local rotations [T, 24, 3, 3] (or axis-angle [T, 72]) and root [T, 3] metres of action data -> 22 joints [T, 22, 3], feet at 0.

    By the T-pose of the mean body, as no shape is known. Action data have the axes of a camera, y down: half a turn about x.
    """
    if rotations.ndim == 2:
        rotations = matrix_from_axis_angle(rotations.reshape(len(rotations), -1, 3))
    return upright(forward_kinematics(rotations, root, T_POSE)[:, : len(SMPL22)])


def upright(joints: NDArray) -> NDArray[np.float64]:
    """Joints [T, J, 3] in camera axes (y down) -> y up, the lowest of all at 0."""
    turned = np.asarray(joints, dtype=np.float64) * _UPSIDE_DOWN
    turned[..., 1] -= turned[..., 1].min()
    return turned


@dataclass(frozen=True, eq=False)
class BodyModel:
    """The first 22 joints of a body of any shape.

    rest: [22, 3] metres, of the mean body.  by_shape: [22, 3, 10] metres a unit of each shape parameter.
    """

    rest: NDArray[np.float64] = field(repr=False)
    by_shape: NDArray[np.float64] = field(repr=False)

    def joints(self, poses: NDArray, translation: NDArray, shape: NDArray) -> NDArray[np.float64]:
        """poses: [T, 66 or more] axis-angle, translation: [T, 3] metres, shape: [10 or more] -> [T, 22, 3] metres."""
        count = len(SMPL22)
        rest = self.rest + self.by_shape @ np.asarray(shape, dtype=np.float64)[:SHAPES]
        offsets = np.concatenate([rest[:1], rest[1:] - rest[list(SMPL22.parents[1:])]])
        rotations = matrix_from_axis_angle(np.asarray(poses, dtype=np.float64)[:, : 3 * count].reshape(-1, count, 3))
        person = Skeleton("person", SMPL22.names, SMPL22.parents, offsets)
        return forward_kinematics(rotations, rest[0] + np.asarray(translation, dtype=np.float64), person)


def load_body_model(path: Path) -> BodyModel:
    """From the model.npz of SMPL-H; anything else is an InputError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            regressor, template, shapes, tree = (file[name] for name in ("J_regressor", "v_template", "shapedirs", "kintree_table"))
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing; register at mano.is.tue.mpg.de for the extended SMPL+H model and put its model.npz there"
        ) from None
    except (KeyError, ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        text = str(error).strip("'\"").splitlines()[0][:100]
        raise InputError(f"{path} is no SMPL-H model ({text}); expected its model.npz with J_regressor, v_template and shapedirs") from None
    count = len(SMPL22)
    fits = regressor.ndim == 2 and len(regressor) >= count and template.shape == (regressor.shape[1], 3)
    if not (fits and shapes.shape[:2] == template.shape and shapes.shape[2] >= SHAPES):
        shown = ", ".join(str(list(array.shape)) for array in (regressor, template, shapes))
        raise InputError(f"{path} has J_regressor, v_template, shapedirs of shapes {shown}; expected [52, V], [V, 3], [V, 3, 10 or more]")
    if tree.shape[1] < count or tuple(int(parent) for parent in tree[0, 1:count]) != SMPL22.parents[1:]:
        raise InputError(f"{path} has another tree of joints than SMPL-H (kintree_table); give the model.npz of SMPL-H")
    weights = np.asarray(regressor[:count], dtype=np.float64)
    return BodyModel(weights @ template, np.einsum("jv,vcs->jcs", weights, np.asarray(shapes[..., :SHAPES], dtype=np.float64)))
