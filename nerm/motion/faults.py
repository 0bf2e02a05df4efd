"""Known faults of motion files, mended or said the same way for the corpus and for every user. It knows no corpus and no manifest.

- CMU as BVH for MotionBuilder (bvh31) has zero length for the thorax and the last third of the forearm: `filled`.
- A T-pose (or the rest pose) stands before the recording: `without_leading_pose`.
- Position channels that are zero throughout, where the program meant them to be added to OFFSET: `with_offsets`.
- Jumps that no person can make: `jumps`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from nerm.cli import progress
from nerm.motion.body import height_along_bones
from nerm.motion.bvh_parsing import CHANNELS, BvhFile
from nerm.motion.skeleton import SMPL22

Say = Callable[[str], None]
"""What is told what was changed."""
JUMP_MPS = 20.0
"""A joint of a person is not faster. Above it the recordings' manifests take a step for a jump of the tracking, and cut there."""
_CMU_TRUNK = {"LHipJoint", "RHipJoint", "LowerBack", "Spine", "Spine1", "Neck", "Neck1", "Head", "LeftShoulder", "RightShoulder"}
_FILLED_WITH_THORAX = ("Neck", "LeftShoulder", "RightShoulder")
_FILLED_WITH_WRIST = {"LeftFingerBase": "LeftHand", "LThumb": "LeftHand", "RightFingerBase": "RightHand", "RThumb": "RightHand"}
_BLEND_S = 0.1  # a pose before the recording goes over into it in one step, or is blended into it in no more time
_TIMES = 4.0  # in steps that are larger than those of the motion (nine of ten of the steps that follow) by this factor
_LEAST_PER_S = 1.0  # and faster than this many body heights (ankle to head) a second
_AFTER = 30
_SIDEWAYS = np.cos(np.deg2rad(35.0))
_VERTICAL = np.cos(np.deg2rad(30.0))


def filled(file: BvhFile, thorax: Sequence[float] | None = None, say: Say = progress) -> BvhFile:
    """The file with the offsets of thorax and wrists that its conversion left at zero, if it has the trunk of the layout bvh31; said.

    thorax: [3] the subject's own, in units of the file; where it is not known, the vector of the upper back stands in.
    """
    if not _CMU_TRUNK.issubset(node.name for node in file.nodes):
        return file
    offsets = {node.name: node.offset for node in file.nodes}
    nodes = []
    for node in file.nodes:
        if node.name in _FILLED_WITH_THORAX and not node.offset.any():
            node = replace(node, offset=np.array(offsets["Spine1"] if thorax is None else thorax, dtype=np.float64))
        elif _FILLED_WITH_WRIST.get(node.name) in offsets and not node.offset.any():
            node = replace(node, offset=offsets[_FILLED_WITH_WRIST[node.name]] / 2)
        nodes.append(node)
    changed = [node.name for node, before in zip(nodes, file.nodes, strict=True) if node is not before]
    if not changed:
        return file
    say(f"{file.source}: thorax and wrists have no length, as in CMU files for MotionBuilder; filled in at {', '.join(changed)}")
    return replace(file, nodes=nodes)


def with_offsets(file: BvhFile, say: Say = progress) -> BvhFile:
    """The file with OFFSET in position channels, of joints below the root, that are zero in every frame; said."""
    values, changed, column = file.values, [], 0
    for node in file.nodes:
        columns = [column + k for k, channel in enumerate(node.channels) if CHANNELS[channel][1] == "position"]
        column += len(node.channels)
        if node.parent < 0 or not columns or not node.offset.any() or file.values[:, columns].any():
            continue
        values = values.copy() if values is file.values else values
        for place, channel in zip(columns, (c for c in node.channels if CHANNELS[c][1] == "position"), strict=True):
            values[:, place] = node.offset["xyz".index(CHANNELS[channel][0])]
        changed.append(node.name)
    if not changed:
        return file
    say(f"{file.source}: the position channels of {len(changed)} joints ({changed[0]} ...) are zero in every frame; their OFFSET is used")
    return replace(file, values=values)


def leading_pose(points: NDArray[np.float64], height: float, fps: float) -> int:
    """How many frames at the beginning are a pose that was not recorded, or blended with one: 0 if none.

    points: [T, N, 3] of the first frames.  height: of the person from ankle to head, in the unit of the points.
    The pose goes over into the motion in steps that are fast, far larger than the steps that follow, and few.
    """
    steps = np.linalg.norm(np.diff(points, axis=0), axis=-1).max(axis=1, initial=0.0) / max(height, 1e-12)
    moving = np.flatnonzero(steps > 1e-6)
    if not len(moving):
        return 0
    first = int(moving[0])
    most = max(1, int(_BLEND_S * fps + 1e-6))
    after = steps[first + 1 :] if len(steps) - first <= 2 * most else steps[first + most :]
    if len(after) < 2:
        return 0
    fast = steps > max(_TIMES * float(np.percentile(after[:_AFTER], 90)), _LEAST_PER_S / fps)
    if not fast[first]:
        return 0
    last = first + int(np.argmin([*fast[first:], False]))
    return last if last - first <= most else 0


def is_t_pose(joints: NDArray[np.float64]) -> bool:
    """Whether joints [22, 3] stand straight with both arms out to the sides."""

    def way(start: str, end: str) -> NDArray[np.float64]:
        bone = joints[SMPL22.index(end)] - joints[SMPL22.index(start)]
        return bone / max(float(np.linalg.norm(bone)), 1e-12)

    up = way("pelvis", "neck")
    arms = [way(f"{side}_shoulder", f"{side}_elbow") for side in "lr"], [way(f"{side}_elbow", f"{side}_wrist") for side in "lr"]
    legs = [way(f"{side}_hip", f"{side}_ankle") for side in "lr"]
    across = way("r_shoulder", "l_shoulder")
    out = all(arm[0] @ across > _SIDEWAYS and arm[1] @ across < -_SIDEWAYS for arm in arms)
    return bool(out and all(-leg @ up > _VERTICAL for leg in legs))


def is_rest_pose(file: BvhFile) -> bool:
    """Whether the first frame has no rotation at all."""
    kinds = [CHANNELS[channel][1] for node in file.nodes for channel in node.channels]
    return not file.values[0, [kind == "rotation" for kind in kinds]].any()


def without_leading_pose(file: BvhFile, points: NDArray[np.float64], joints: NDArray[np.float64] | None, say: Say = progress) -> BvhFile:
    """The file without the T-pose, or the pose without any rotation, that stands before its recording, which is said.

    points: [n, N, 3] of its first frames.  joints: [n, 22, 3], None for an unknown skeleton, of which no T-pose is known.
    """
    height = height_along_bones(joints) if joints is not None else float(np.ptp(points[0], axis=0).max())
    pose = "T-pose" if joints is not None and is_t_pose(joints[0]) else "rest pose" if is_rest_pose(file) else ""
    frames = leading_pose(points if joints is None else joints, height, file.fps) if pose else 0
    return without_frames(file, frames, pose, say) if frames else file


def without_frames(file: BvhFile, frames: int, pose: str = "T-pose", say: Say = progress) -> BvhFile:
    """The file without its first frames, which are a pose and no motion; said."""
    which = "frame 0 is" if frames == 1 else f"frames 0 to {frames - 1} are"
    say(f"{file.source}: {which} a {pose} before the recording, and left out")
    return replace(file, values=file.values[frames:])


def say_jumps(joints: NDArray[np.float64], fps: float, source: str) -> None:
    """One line on stderr if a joint of joints [T, 22, 3] metres is faster than JUMP_MPS."""
    found = jumps(joints, fps)
    if not len(found):
        return
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * fps
    frame = int(speed.max(axis=1).argmax())
    joint = SMPL22.names[int(speed[frame].argmax())]
    count = f"; {len(found)} such steps, the first after frame {found[0]}" if len(found) > 1 else ""
    progress(
        f"{source}: from frame {frame} to {frame + 1} ({frame / fps:.2f} s) {joint} moves at {speed[frame].max():.0f} m/s, as no person "
        f"can (above {JUMP_MPS:g} m/s is a jump of the tracking){count}; nothing is changed"
    )


def jumps(joints: NDArray[np.float64], fps: float) -> NDArray[np.int64]:
    """The frames [n] of joints [T, J, 3] metres after which some joint is faster than JUMP_MPS."""
    if len(joints) < 2:
        return np.zeros(0, dtype=np.int64)
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(axis=1) * fps
    return np.flatnonzero(speed > JUMP_MPS)
