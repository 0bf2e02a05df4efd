"""Writing a motion as binary glTF 2.0 (.glb): skeleton, animation and a neutral body, for engines, Blender and pages.

Metres, y up, the person of the rest pose faces +z. Every node of a joint holds its rest pose (a T-pose); the animation turns the joints and
moves the root (and joints that move against their parents) with linear interpolation between the motion's own frames, k / fps seconds.
Source: the glTF 2.0 specification of the Khronos Group, sections 3.6 to 3.11.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gl
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.motion.mannequin import Mesh, mannequin
from nerm.motion.motion import Motion
from nerm.motion.rig import Rig, rig_of
from nerm.motion.rotations import quaternion_from_matrix

_GREY = [0.62, 0.64, 0.67, 1.0]
_STILL = 1e-9


def write_glb(motion: Motion, path: str | Path, names: str = "smpl", made_by: Mapping[str, Any] | None = None) -> None:
    """The motion as a .glb with the same joints. names: as of `nerm.motion.bvh_writer.write_bvh`.  made_by: kept in asset.extras."""
    rig = rig_of(motion, names)
    document = _Document()
    joints = _add_skeleton(document, rig)
    _add_body(document, mannequin(rig, motion.skeleton), joints, rig)
    _add_animation(document, rig)
    with replacing(path) as temporary:
        temporary.write_bytes(document.finished({"fps": motion.fps} | ({"made_by": dict(made_by)} if made_by else {})))


class _Document:
    """A glTF of one buffer, which grows array by array."""

    def __init__(self) -> None:
        self.gltf = gl.GLTF2(asset=gl.Asset(version="2.0", generator="nerm"))
        self.blob = bytearray()

    def add(self, values: NDArray, kind: str, component: int, target: int | None = None, limits: bool = False) -> int:
        """The index of an accessor for values [N] or [N, ...] of a kind such as 'VEC3'. limits: with its least and largest values."""
        self.blob += bytes(-len(self.blob) % 4)
        data = np.ascontiguousarray(values).tobytes()
        view = gl.BufferView(buffer=0, byteOffset=len(self.blob), byteLength=len(data), target=target)
        self.blob += data
        self.gltf.bufferViews.append(view)
        accessor = gl.Accessor(bufferView=len(self.gltf.bufferViews) - 1, componentType=component, count=len(values), type=kind)
        if limits:
            rows = values.reshape(len(values), -1)
            accessor.min, accessor.max = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
        self.gltf.accessors.append(accessor)
        return len(self.gltf.accessors) - 1

    def floats(self, values: NDArray, kind: str, **more: Any) -> int:
        return self.add(values.astype(np.float32), kind, gl.FLOAT, **more)

    def finished(self, extras: dict[str, Any]) -> bytes:
        self.gltf.asset.extras = extras
        self.gltf.buffers.append(gl.Buffer(byteLength=len(self.blob)))
        self.gltf.set_binary_blob(bytes(self.blob))
        return b"".join(self.gltf.save_to_bytes())


def _add_skeleton(document: _Document, rig: Rig) -> list[int]:
    """Nodes for the joints, in their order, and a scene with the root; the nodes' indices."""
    for name, offset, children in zip(rig.names, rig.offsets, rig.children, strict=True):
        document.gltf.nodes.append(gl.Node(name=name, translation=_rounded(offset), children=list(children)))
    document.gltf.scenes.append(gl.Scene(nodes=[0]))
    document.gltf.scene = 0
    return list(range(len(rig.names)))


def _add_body(document: _Document, mesh: Mesh, joints: list[int], rig: Rig) -> None:
    """The mesh, skinned rigidly: every vertex follows one joint. A motion whose bones have no length has no body."""
    if not len(mesh.points):
        return
    gltf = document.gltf
    inverse = np.tile(np.eye(4), (len(joints), 1, 1))
    inverse[:, :3, 3] = -rig.rest
    matrices = document.floats(inverse.transpose(0, 2, 1), "MAT4")  # by columns
    owners = np.zeros((len(mesh.points), 4), np.uint8 if len(joints) <= 256 else np.uint16)
    owners[:, 0] = mesh.joints
    weights = np.zeros((len(mesh.points), 4), np.uint8)
    weights[:, 0] = 255
    attributes = gl.Attributes(
        POSITION=document.floats(mesh.points, "VEC3", target=gl.ARRAY_BUFFER, limits=True),
        NORMAL=document.floats(mesh.normals, "VEC3", target=gl.ARRAY_BUFFER),
        JOINTS_0=document.add(owners, "VEC4", gl.UNSIGNED_BYTE if len(joints) <= 256 else gl.UNSIGNED_SHORT, gl.ARRAY_BUFFER),
        WEIGHTS_0=document.add(weights, "VEC4", gl.UNSIGNED_BYTE, gl.ARRAY_BUFFER),
    )
    short = len(mesh.points) < 65535
    indices = mesh.triangles.reshape(-1).astype(np.uint16 if short else np.uint32)
    faces = document.add(indices, "SCALAR", gl.UNSIGNED_SHORT if short else gl.UNSIGNED_INT, gl.ELEMENT_ARRAY_BUFFER)
    gltf.accessors[-2].normalized = True  # the weights: 255 is 1
    surface = gl.PbrMetallicRoughness(baseColorFactor=_GREY, metallicFactor=0.0, roughnessFactor=0.8)
    gltf.materials.append(gl.Material(name="neutral", pbrMetallicRoughness=surface))
    gltf.meshes.append(gl.Mesh(name="body", primitives=[gl.Primitive(attributes=attributes, indices=faces, material=0)]))
    gltf.skins.append(gl.Skin(joints=joints, inverseBindMatrices=matrices, skeleton=joints[0]))
    gltf.nodes.append(gl.Node(name="body", mesh=0, skin=0))
    gltf.scenes[0].nodes.append(len(gltf.nodes) - 1)


def _add_animation(document: _Document, rig: Rig) -> None:
    """A rotation for every joint that turns, a translation for every one that moves."""
    animation = gl.Animation(name="motion")
    times = document.floats(np.arange(len(rig.rotations)) / rig.fps, "SCALAR", limits=True)

    def animate(joint: int, path: str, output: int) -> None:
        animation.samplers.append(gl.AnimationSampler(input=times, output=output, interpolation="LINEAR"))
        target = gl.AnimationChannelTarget(node=joint, path=path)
        animation.channels.append(gl.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))

    for joint in range(len(rig.names)):
        if rig.moves[joint]:
            animate(joint, "translation", document.floats(rig.translations[:, joint], "VEC3"))
        if np.abs(rig.rotations[:, joint] - np.eye(3)).max() > _STILL:
            animate(joint, "rotation", document.floats(_quaternions(rig.rotations[:, joint]), "VEC4"))
    document.gltf.animations.append(animation)


def _quaternions(rotations: NDArray) -> NDArray:
    """[T, 3, 3] -> (x, y, z, w) [T, 4], each on the side of the one before, so that no interpolation goes the long way round."""
    values = quaternion_from_matrix(rotations)[:, [1, 2, 3, 0]]
    flips = np.where(np.sum(values[1:] * values[:-1], axis=-1) < 0, -1.0, 1.0)
    values[1:] *= np.cumprod(flips)[:, None]
    return values


def _rounded(vector: NDArray) -> list[float]:
    return [float(np.float32(value)) for value in vector]


__all__ = ["write_glb"]
