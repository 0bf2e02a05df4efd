"""The channels of any rig as functions of time: rotations as rotations, positions by cubic splines. It knows no file text, no person.

method=cubic: a joint that turns about three axes has quaternions of continuous sign, each number a cubic spline, brought to unit length
(to second order a spline on the sphere, and C2 like it). The quaternions are those of the joint in the world or beside its parent: the
clip's own frames decide, by which of the two finds every second frame better from the others. In recordings it is nearly always the
world, by 0.1 to 5 % (docs/upsampling.md); where each joint has a simple motion of its own it is the parent, by more.
A joint that turns about one or two axes has splines of these angles, which are all rotations that it can make; so a constant channel
stays constant. Splines begin and end with the slope of a parabola through the three outer frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nerm.motion.bvh_parsing import Node
from nerm.motion.euler import angles_near, followed, quaternions
from nerm.motion.rotations import matrix_from_quaternion, quaternion_inverse, quaternion_multiply, quaternion_rotate

Array = NDArray[np.float64]
RigMethod = Literal["cubic", "slerp", "linear"]
Space = Literal["world", "local"]
_STEP_DEG = 90.0  # between frames; beyond it the angles are asked whether another form of them is smoother


@dataclass(frozen=True)
class Channels:
    """Of one node.  axes: of its rotations, 'zxy'.  rotations, positions: columns of the values.  xyz: of the positions."""

    axes: str
    rotations: tuple[int, ...]
    positions: tuple[int, ...]
    xyz: tuple[int, ...]


def channels_of(nodes: list[Node]) -> list[Channels]:
    """Where the channels of every node stand among the values."""
    found, column = [], 0
    for node in nodes:
        columns = [(column + index, channel[0].lower(), channel[1:]) for index, channel in enumerate(node.channels)]
        column += len(node.channels)
        turns = [(at, axis) for at, axis, kind in columns if kind == "rotation"]
        moves = [(at, axis) for at, axis, kind in columns if kind == "position"]
        axes = "".join(axis for _, axis in turns)
        xyz = tuple("xyz".index(axis) for _, axis in moves)
        found.append(Channels(axes, tuple(at for at, _ in turns), tuple(at for at, _ in moves), xyz))
    return found


def is_ball(channels: Channels, values: Array) -> bool:
    """Whether a joint has three different axes and turns about all of them in values [T, channels]."""
    if len(channels.axes) != 3 or len(set(channels.axes)) != 3:
        return False
    angles = values[:, list(channels.rotations)]
    return bool((angles != angles[:1]).any(axis=0).all())


class RigCurves:
    """A clip of a rig without jumps as a function of time.

    frames: values [T, channels] as in the file, angles without jumps.  fps: their rate.  to_fps: what is above it is filtered out.
    """

    def __init__(self, nodes: list[Node], frames: Array, fps: float, to_fps: float, method: RigMethod, space: Space | None = None) -> None:
        self.nodes, self.frames, self.method = nodes, frames, method
        self.parents = np.array([node.parent for node in nodes])
        self.levels = _levels(self.parents)
        self.channels = channels_of(nodes)
        self.balls = [index for index, channels in enumerate(self.channels) if is_ball(channels, frames)]
        self._filter = (fps, to_fps)
        self.space: Space = space or ("local" if method != "cubic" else self._better_space())

    def at(self, position: Array) -> Array:
        """Values [n, channels] at positions [n], counted in frames."""
        values = self._curve(self.frames, position)
        if self.method == "linear" or not self.balls:
            return values
        for index, rotations in zip(self.balls, self._ball_rotations(values, position), strict=True):
            channels = self.channels[index]
            columns = list(channels.rotations)
            angles = angles_near(rotations, channels.axes, values[:, columns])
            values[:, columns] = self._steady(angles, rotations, channels.axes)
        return values

    def locals(self, values: Array) -> Array:
        """Rotations of nodes [N, T, 4] beside their parents."""
        rotations = np.empty((len(self.nodes), len(values), 4))
        for axes in {channels.axes for channels in self.channels}:
            alike = [index for index, channels in enumerate(self.channels) if channels.axes == axes]
            columns = np.array([self.channels[index].rotations for index in alike], dtype=int)
            rotations[alike] = quaternions(axes, values[:, columns].transpose(1, 0, 2))
        return rotations

    def worlds(self, values: Array) -> Array:
        """Rotations of nodes [N, T, 4] in the world."""
        return self._along_chains(self.locals(values))

    def _along_chains(self, rotations: Array) -> Array:
        """Rotations [N, T, 4] beside the parents, in place -> in the world."""
        for level in self.levels[1:]:
            rotations[level] = quaternion_multiply(rotations[self.parents[level]], rotations[level])
        return rotations

    def points(self, values: Array, worlds: Array | None = None) -> Array:
        """Positions of nodes [N, T, 3] in units of the file."""
        worlds = self.worlds(values) if worlds is None else worlds
        points = np.repeat(np.stack([node.offset for node in self.nodes])[:, None], len(values), axis=1)
        for index, channels in enumerate(self.channels):
            points[index][:, list(channels.xyz)] = values[:, list(channels.positions)]
        for level in self.levels[1:]:
            parents = self.parents[level]
            points[level] = points[parents] + quaternion_rotate(worlds[parents], points[level])
        return points

    def _curve(self, x: Array, position: Array) -> Array:
        """x [T, ...] at positions [n], columns that never change unchanged."""
        x = self._filtered(x)
        if self.method == "cubic":
            values = cubic(x, position)
        else:
            low = np.clip(position.astype(int), 0, max(len(x) - 2, 0))
            share = (position - low).reshape(-1, *[1] * (x.ndim - 1))
            values = x[low] + share * (x[np.minimum(low + 1, len(x) - 1)] - x[low])
        still = (x == x[:1]).all(axis=0)
        return np.where(still, x[:1], values)

    def _filtered(self, x: Array) -> Array:
        fps, to_fps = self._filter
        if to_fps >= fps:
            return x
        from nerm.motion.kinematics import lowpass
        from nerm.motion.resample import NYQUIST_SHARE

        still = (x == x[:1]).all(axis=0)
        return np.where(still, x, lowpass(x, fps, NYQUIST_SHARE * to_fps))

    def _ball_rotations(self, values: Array, position: Array) -> Array:
        """Rotations [balls, n, 4] beside the parents at positions [n]; values [n, channels]: those of all other joints."""
        if self.space == "local" or self.method == "slerp":
            rotations = _continuous(self.locals(self.frames)[self.balls].transpose(1, 0, 2))
            return self._turned(rotations, position).transpose(1, 0, 2)
        worlds = _continuous(self.worlds(self.frames)[self.balls].transpose(1, 0, 2))
        turned = self._turned(worlds, position).transpose(1, 0, 2)
        worlds = self.locals(values)
        place = {index: number for number, index in enumerate(self.balls)}
        for level in self.levels:
            if level is not self.levels[0]:
                worlds[level] = quaternion_multiply(worlds[self.parents[level]], worlds[level])
            balls = [index for index in level if index in place]
            worlds[balls] = turned[[place[index] for index in balls]]
        parents = worlds[self.parents[self.balls]]
        parents[self.parents[self.balls] < 0] = (1.0, 0.0, 0.0, 0.0)
        return quaternion_multiply(quaternion_inverse(parents), turned)

    def _turned(self, rotations: Array, position: Array) -> Array:
        """Rotations [T, balls, 4] of continuous sign at positions [n]."""
        if self.method == "slerp":
            from nerm.motion.resample import slerp

            rotations = _normalised(self._filtered(rotations))
            low = np.clip(position.astype(int), 0, max(len(rotations) - 2, 0))
            return slerp(rotations[low], rotations[np.minimum(low + 1, len(rotations) - 1)], (position - low)[:, None, None])
        return _normalised(self._curve(rotations, position))

    def _steady(self, angles: Array, rotations: Array, axes: str) -> Array:
        """Angles [n, 3], followed from frame to frame instead if that halves a jump: near gimbal lock the nearest form may change."""
        jump = np.abs(np.diff(angles, axis=0)).max(initial=0)
        if jump <= _STEP_DEG:
            return angles
        other = followed(matrix_from_quaternion(rotations), axes, angles[0])
        return other if np.abs(np.diff(other, axis=0)).max(initial=0) < 0.5 * jump else angles

    def _better_space(self) -> Space:
        """The one in which every second frame is found better from the others, by the mean distance of all joints."""
        if not self.balls or len(self.frames) < 7:
            return "local"
        kept = self.frames[: (len(self.frames) - 1) // 2 * 2 + 1]
        truth = self.points(kept)[:, 1::2]
        errors = {}
        for space in ("local", "world"):
            half = RigCurves(self.nodes, kept[::2], 1.0, 1.0, "cubic", space)
            position = np.arange(1, len(kept), 2) / 2
            values = half._curve(half.frames, position)
            rotations = half.locals(values)
            if half.balls:
                rotations[half.balls] = half._ball_rotations(values, position)
            errors[space] = np.linalg.norm(self.points(values, self._along_chains(rotations)) - truth, axis=-1).mean()
        return "world" if errors["world"] < errors["local"] else "local"


def cubic(x: Array, position: Array) -> Array:
    """x [T, ...] at positions [n] in frames, by cubic splines whose end slopes are those of the parabola through the three outer frames."""
    if len(x) < 3:
        return x[0] + position.reshape(-1, *[1] * (x.ndim - 1)) * (x[-1] - x[0])
    from scipy.interpolate import CubicSpline

    slopes = (-3 * x[0] + 4 * x[1] - x[2]) / 2, (3 * x[-1] - 4 * x[-2] + x[-3]) / 2
    return CubicSpline(np.arange(len(x)), x, bc_type=((1, slopes[0]), (1, slopes[1])))(position)


def _levels(parents: NDArray[np.int_]) -> list[NDArray[np.int_]]:
    """Nodes by their distance from the root."""
    depth = np.zeros(len(parents), dtype=int)
    for index, parent in enumerate(parents):
        depth[index] = depth[parent] + 1 if parent >= 0 else 0
    return [np.flatnonzero(depth == level) for level in range(depth.max() + 1)]


def _continuous(rotations: Array) -> Array:
    """Quaternions [T, n, 4] with the signs that follow the frame before."""
    flips = np.sum(rotations[1:] * rotations[:-1], axis=-1, keepdims=True) < 0
    return rotations * np.concatenate([np.ones_like(rotations[:1, :, :1]), np.cumprod(np.where(flips, -1.0, 1.0), axis=0)])


def _normalised(rotations: Array) -> Array:
    return rotations / np.maximum(np.linalg.norm(rotations, axis=-1, keepdims=True), 1e-12)
