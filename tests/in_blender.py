"""A motion file as Blender sees it: places of the bones at some frames, and a picture. Any .bvh or .glb will do, whatever its skeleton.

Blender is the `bpy` package (about 350 MB, not among the extras): in this interpreter, or in the one that NERM_BLENDER_PYTHON names:

    python3.11 -m venv blender && blender/bin/pip install bpy==4.2.23
    NERM_BLENDER_PYTHON=blender/bin/python pytest tests/test_blender.py

The second half runs inside of that interpreter, as a command, and knows nothing of the project:

    blender/bin/python tests/in_blender.py walk.bvh frames=0,10,20 out=bones.npz metres_per_unit=0.01 picture=walk.png
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIZE = (320, 240)


@dataclass(frozen=True)
class Seen:
    """names: of the bones.  heads: [F, B, 3] metres, y up.  parents: of the bones, '' for a root.  lengths: [B] metres in the rest pose.

    fps: of the scene after the import.  frames: how many the animation has.
    """

    names: tuple[str, ...]
    heads: np.ndarray
    parents: tuple[str, ...]
    lengths: np.ndarray
    fps: float
    frames: int

    def joints(self, names: Sequence[str]) -> np.ndarray:
        """[F, len(names), 3] metres."""
        return self.heads[:, [self.names.index(name) for name in names]]


def interpreter() -> str | None:
    """The Python that has Blender, if there is one."""
    named = os.environ.get("NERM_BLENDER_PYTHON")
    return named or (sys.executable if importlib.util.find_spec("bpy") else None)


def see(
    path: Path, frames: Sequence[int], metres_per_unit: float = 0.01, picture: Path | None = None, size: tuple[int, int] = SIZE
) -> Seen:
    """Import a file into Blender. frames: counted from 0.  metres_per_unit: of a .bvh.  picture: where to render them, all in one."""
    out = path.with_name(f"{path.name}.bones.npz")
    command = [interpreter(), __file__, path, f"frames={','.join(map(str, frames))}", f"out={out}", f"metres_per_unit={metres_per_unit}"]
    command += [f"picture={picture}", f"size={size[0]}x{size[1]}"] if picture else []
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0 and out.is_file(), done.stdout[-2000:] + done.stderr[-2000:]
    with np.load(out) as found:
        return Seen(
            tuple(found["names"].tolist()),
            found["heads"],
            tuple(found["parents"].tolist()),
            found["lengths"],
            float(found["fps"]),
            int(found["frames"]),
        )


# ---- inside of Blender ----


def main(words: Sequence[str]) -> None:
    import bpy

    path, settings = words[0], dict(word.split("=", 1) for word in words[1:])
    frames = [int(frame) for frame in settings["frames"].split(",")]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    first = load(path, float(settings.get("metres_per_unit", 0.01)))
    scene = bpy.context.scene
    armature = next(thing for thing in scene.objects if thing.type == "ARMATURE")
    heads = []
    for frame in frames:
        scene.frame_set(first + frame)
        heads.append([armature.matrix_world @ bone.head for bone in armature.pose.bones])
    points = np.array(heads, dtype=np.float64)
    last = armature.animation_data.action.frame_range[1]
    np.savez(
        settings["out"],
        names=[bone.name for bone in armature.pose.bones],
        heads=points[..., [0, 2, 1]] * (1, 1, -1),
        parents=[bone.parent.name if bone.parent else "" for bone in armature.data.bones],
        lengths=[bone.length * armature.matrix_world.median_scale for bone in armature.data.bones],
        fps=scene.render.fps / scene.render.fps_base,
        frames=round(last) - first + 1,
    )
    if "picture" in settings:
        width, height = map(int, settings["size"].split("x"))
        render(armature, [first + frame for frame in frames], points, settings["picture"], width, height)


def load(path: str, metres_per_unit: float) -> int:
    """Import the file at its own rate; the frame of the scene at which it begins."""
    import bpy

    if path.endswith(".bvh"):
        bpy.ops.preferences.addon_enable(module="io_anim_bvh")
        bpy.ops.import_anim.bvh(
            filepath=path, global_scale=metres_per_unit, rotate_mode="NATIVE", update_scene_fps=True, update_scene_duration=True
        )
        return 1
    bpy.ops.preferences.addon_enable(module="io_scene_gltf2")
    scene = bpy.context.scene
    scene.render.fps = round(rate_of(path))
    scene.render.fps_base = scene.render.fps / rate_of(path)
    bpy.ops.import_scene.gltf(filepath=path)
    return 0


def rate_of(path: str) -> float:
    """Frames per second of a .glb whose keys are equally far apart: the specification leaves it to the file."""
    data = Path(path).read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + length])
    keys = document["accessors"][document["animations"][0]["samplers"][0]["input"]]
    return (keys["count"] - 1) / keys["max"][0] if keys["count"] > 1 else 30.0


def render(armature, frames: Sequence[int], points: np.ndarray, picture: str, width: int, height: int) -> None:
    """The poses of all frames in one picture: the skinned body where there is one, else a solid for every bone."""
    import bpy
    from mathutils import Vector

    scene = bpy.context.scene
    body = [thing for thing in scene.objects if thing.type == "MESH" and any(m.type == "ARMATURE" for m in thing.modifiers)]
    for number, frame in enumerate(frames):
        scene.frame_set(frame)
        shade = number / max(len(frames) - 1, 1)
        paint = material(f"pose {number}", (0.75 - 0.65 * shade, 0.45 - 0.2 * shade, 0.25 + 0.3 * shade))
        if body:
            shown = body[0].evaluated_get(bpy.context.evaluated_depsgraph_get())
            mesh = bpy.data.meshes.new_from_object(shown)
            place(mesh, paint).matrix_world = body[0].matrix_world.copy()
        else:
            for bone in armature.pose.bones:
                place(solid(armature.matrix_world @ bone.head, armature.matrix_world @ bone.tail), paint)
                if bone.parent and (bone.head - bone.parent.tail).length > 1e-4:
                    place(solid(armature.matrix_world @ bone.parent.head, armature.matrix_world @ bone.head, 0.012), paint)
    for thing in body:
        thing.hide_render = True
    low, high = points.reshape(-1, 3).min(axis=0), points.reshape(-1, 3).max(axis=0)
    floor = bpy.data.meshes.new("floor")
    middle = Vector((low + high) / 2)
    floor.from_pydata([(middle[0] + 30 * x, middle[1] + 30 * y, 0) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))], [], [(0, 1, 2, 3)])
    place(floor, material("floor", (0.55, 0.56, 0.58)))
    reach = high - low
    aside = Vector((1, -0.25, 0.22)) if reach[1] >= reach[0] else Vector((0.25, -1, 0.22))  # across the way that the person goes
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    camera.location = middle + aside.normalized() * 15
    camera.rotation_euler = (-aside).to_track_quat("-Z", "Y").to_euler()
    camera.data.type = "ORTHO"
    turn = np.array(camera.rotation_euler.to_matrix())
    seen = np.abs((points.reshape(-1, 3) - np.array(middle)) @ turn[:, :2]).max(axis=0) + 0.28  # half of what must be in the picture
    camera.data.ortho_scale = 2 * max(seen[0], seen[1] * width / height) * max(1, height / width)
    sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
    sun.data.energy, sun.data.angle, sun.rotation_euler = 2.2, 0.2, (0.7, 0.3, 0.9)
    scene.collection.objects.link(sun)
    scene.camera, scene.world = camera, bpy.data.worlds.new("world")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs[0].default_value = (0.42, 0.44, 0.47, 1)
    scene.view_settings.view_transform = "Standard"
    scene.render.engine = "CYCLES"
    scene.cycles.device, scene.cycles.samples, scene.cycles.use_denoising = "CPU", 12, True
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = width, height, 100
    scene.render.filepath = str(Path(picture).resolve())
    scene.render.image_settings.file_format = "PNG"
    bpy.ops.render.render(write_still=True)


def solid(head, tail, radius=None):
    """A bone as Blender draws it: two pyramids, the thick end at a tenth of the way. radius: metres; by its length where left out."""
    import bpy

    way = tail - head
    across = way.orthogonal().normalized() * (radius or min(0.1 * way.length + 0.012, 0.05))
    other = way.normalized().cross(across)
    middle = head + 0.1 * way
    mesh = bpy.data.meshes.new("bone")
    corners = [head, middle + across, middle + other, middle - across, middle - other, tail]
    faces = [(0, b, a) for a, b in ((1, 2), (2, 3), (3, 4), (4, 1))] + [(5, a, b) for a, b in ((1, 2), (2, 3), (3, 4), (4, 1))]
    mesh.from_pydata(corners, [], faces)
    return mesh


def place(mesh, paint):
    """An object for a mesh, in the scene, with one material."""
    import bpy

    mesh.materials.clear()
    mesh.materials.append(paint)
    thing = bpy.data.objects.new(mesh.name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def material(name: str, colour: tuple[float, float, float]):
    import bpy

    paint = bpy.data.materials.new(name)
    paint.use_nodes = True
    shader = paint.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1)
    shader.inputs["Roughness"].default_value = 0.7
    return paint


if __name__ == "__main__":
    main(sys.argv[1:])
