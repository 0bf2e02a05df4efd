"""Joints from poses of the SMPL family and back: by the mean body in its T-pose, or by a model file. It knows no dataset.

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
from nerm.motion.skeleton import SMPL22, SMPL24, Skeleton, bone_directions, forward_kinematics
from nerm.motion.twist import best_fit, swing

SHAPES, WRITTEN_SHAPES = 10, 16
"""Shape parameters that HumanML3D's preparation uses, and that a file of AMASS has."""

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
    """The first 22 joints of a body of any shape, with y up and in its T-pose.

    rest: [22, 3] metres, of the mean body.  by_shape: [22, 3, S] metres a unit of each shape parameter.
    """

    rest: NDArray[np.float64] = field(repr=False)
    by_shape: NDArray[np.float64] = field(repr=False)

    def person(self, shape: NDArray) -> Skeleton:
        """The rest pose of a shape [any number of parameters], the root's offset being its place in the body's own axes."""
        shape = np.ravel(np.asarray(shape, dtype=np.float64))[: self.by_shape.shape[-1]]
        rest = self.rest + self.by_shape[..., : len(shape)] @ shape
        offsets = np.concatenate([rest[:1], rest[1:] - rest[list(SMPL22.parents[1:])]])
        return Skeleton(SMPL22.name, SMPL22.names, SMPL22.parents, offsets)

    def joints(self, poses: NDArray, translation: NDArray, shape: NDArray) -> NDArray[np.float64]:
        """poses: [T, 66 or more] axis-angle, translation: [T, 3] metres, shape: parameters -> [T, 22, 3] metres."""
        person = self.person(shape)
        return forward_kinematics(local_rotations(poses), person.offsets[0] + np.asarray(translation, dtype=np.float64), person)

    def shape_of_rest(self, offsets: NDArray) -> NDArray[np.float64]:
        """[WRITTEN_SHAPES, or as many as there are] the shape whose rest pose is nearest to offsets [22, 3] metres, but for the root's."""
        of_mean = self.person(np.zeros(0)).offsets[1:]
        by_shape = self.by_shape[..., :WRITTEN_SHAPES]
        change = (by_shape[1:] - by_shape[list(SMPL22.parents[1:])]).reshape(3 * len(SMPL22) - 3, by_shape.shape[-1])
        return np.asarray(np.linalg.lstsq(change, (offsets[1:] - of_mean).ravel())[0], dtype=np.float64)

    def shape_of_lengths(self, lengths: NDArray) -> NDArray[np.float64]:
        """[WRITTEN_SHAPES, or as many as the body has] the shape whose bones are nearest to lengths [22] metres.

        By least squares; a parameter of 1 costs as much as a bone that is 1 mm off, so that an unusual person does not become a monster.
        """
        from scipy.optimize import least_squares

        start = np.zeros(self.by_shape[..., :WRITTEN_SHAPES].shape[-1])

        def misfit(shape: NDArray) -> NDArray:
            return np.concatenate([self.person(shape).lengths[1:] - lengths[1:], 1e-3 * shape])

        return least_squares(misfit, start).x if len(start) else start


MEAN_BODY = BodyModel(
    np.array([0.0, -0.22, 0.03]) + forward_kinematics(np.broadcast_to(np.eye(3), (24, 3, 3)), np.zeros(3), T_POSE)[: len(SMPL22)],
    np.zeros((len(SMPL22), 3, 0)),
)
"""The body of T_POSE, of no other shape, for whoever has no model file: joints to a centimetre, and its place to some."""


def local_rotations(poses: NDArray) -> NDArray[np.float64]:
    """Axis-angle poses [T, 66 or more] of any body of the family -> matrices [T, 22, 3, 3]."""
    count = len(SMPL22)
    return matrix_from_axis_angle(np.asarray(poses, dtype=np.float64)[:, : 3 * count].reshape(-1, count, 3))


def rotations_from_joints(joints: NDArray, skeleton: Skeleton) -> NDArray[np.float64]:
    """The local rotations [T, J, 3, 3] with which a skeleton comes nearest to the bone directions of joints [T, J, 3].

    A bone swings from its rest direction without twist; a joint with several children turns as fits them best. Lengths, and
    the angles between the children of one joint, stay those of the skeleton.
    """
    directions = bone_directions(np.asarray(joints, dtype=np.float64), skeleton)
    local = np.tile(np.eye(3), (*directions.shape[:1], len(skeleton), 1, 1))
    world = local.copy()
    for joint in range(len(skeleton)):
        before = world[:, skeleton.parents[joint]] if joint else local[:, 0].copy()
        children = list(skeleton.children[joint])
        wanted = np.einsum("tji,tcj->tci", before, directions[:, np.array(children, dtype=int) - 1])
        rest = skeleton.axes[children]
        if len(children) == 1:
            local[:, joint] = swing(rest[0], wanted[:, 0])
        elif children:
            local[:, joint] = best_fit(rest, wanted)
        world[:, joint] = before @ local[:, joint]
    return local


def load_body_model(path: Path) -> BodyModel:
    """From the .npz of SMPL, SMPL-H or SMPL-X; anything else is an InputError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            regressor, template, shapes, tree = (file[name] for name in ("J_regressor", "v_template", "shapedirs", "kintree_table"))
    except FileNotFoundError:
        raise InputError(
            f"{path} is missing; register at mano.is.tue.mpg.de for the extended SMPL+H model and put its model.npz there"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; give the .npz file of the body model") from None
    except (KeyError, ValueError, EOFError, OSError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        text = str(error).strip("'\"").splitlines()[0][:100]
        raise InputError(
            f"{path} is no SMPL-H model ({text}); expected its model.npz, or that of SMPL or SMPL-X, with J_regressor, v_template, "
            "shapedirs and kintree_table"
        ) from None
    count = len(SMPL22)
    fits = regressor.ndim == 2 and len(regressor) >= count and template.shape == (regressor.shape[1], 3)
    if not (fits and shapes.ndim == 3 and shapes.shape[:2] == template.shape):
        shown = ", ".join(str(list(array.shape)) for array in (regressor, template, shapes))
        raise InputError(f"{path} has J_regressor, v_template, shapedirs of shapes {shown}; expected [52, V], [V, 3], [V, 3, 10 or more]")
    if tree.shape[1] < count or tuple(int(parent) for parent in tree[0, 1:count]) != SMPL22.parents[1:]:
        raise InputError(f"{path} has another tree of joints than SMPL-H (kintree_table); give the model.npz of SMPL-H")
    weights = np.asarray(regressor[:count], dtype=np.float64)
    return BodyModel(weights @ template, np.einsum("jv,vcs->jcs", weights, np.asarray(shapes, dtype=np.float64), optimize=True))
