"""Motion: joint positions over time at any frame rate. It knows no corpus, no model and no file."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nerm.errors import InputError
from nerm.motion.skeleton import SMPL22, Skeleton, heading, yaw_matrix


class Features(NamedTuple):
    """A motion in a published format, as a system made it. values: [n, dims], not normalised.  format: `FeatureFormat.name`."""

    format: str
    values: NDArray


@dataclass(frozen=True, eq=False)
class Motion:
    """Immutable motion of one skeleton.

    joints: [T, J, 3] metres, y up.  fps: any positive number.  rotations: [T, J, 3, 3] local rotation matrices where known.
    features: what it was decoded from, so that an extractor of that format reads them without re-encoding; every change drops them.
    """

    joints: NDArray = field(repr=False)
    fps: float
    skeleton: Skeleton = SMPL22
    rotations: NDArray | None = field(default=None, repr=False)
    features: Features | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        joints = np.asarray(self.joints)
        if not np.issubdtype(joints.dtype, np.floating):
            joints = joints.astype(np.float64)
        if joints.ndim != 3 or joints.shape[1:] != (len(self.skeleton), 3) or len(joints) == 0:
            shape, expected = list(joints.shape), f"[T, {len(self.skeleton)}, 3] with T >= 1"
            raise InputError(f"motion of shape {shape}; expected {expected} for skeleton '{self.skeleton.name}'")
        check_fps(self.fps)
        bad = ~np.isfinite(joints)
        if bad.any():
            frame, joint = np.argwhere(bad)[0][:2]
            raise InputError(
                f"motion with a value that is not finite at frame {frame}, joint '{self.skeleton.names[joint]}'; "
                f"{int(bad.any(axis=(1, 2)).sum())} of {len(joints)} frames are affected: remove them or fill them in"
            )
        object.__setattr__(self, "joints", _frozen(joints))
        object.__setattr__(self, "fps", float(self.fps))
        if self.rotations is not None:
            rotations = np.asarray(self.rotations)
            if rotations.shape != (*joints.shape[:2], 3, 3):
                raise InputError(f"rotations of shape {list(rotations.shape)}; expected {[*joints.shape[:2], 3, 3]}")
            object.__setattr__(self, "rotations", _frozen(rotations))

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def seconds(self) -> float:
        """Time from the first frame to the last."""
        return (len(self) - 1) / self.fps

    @property
    def times(self) -> NDArray[np.float64]:
        """[T] seconds; the first frame is at 0."""
        return np.arange(len(self)) / self.fps

    @property
    def root(self) -> NDArray:
        """[T, 3] metres."""
        return self.joints[:, 0]

    def __getitem__(self, frames: slice) -> Motion:
        if not isinstance(frames, slice):
            raise TypeError("a Motion is cut with a slice; for one pose use motion.joints[frame]")
        step = 1 if frames.step is None else frames.step
        if step < 1:
            raise InputError(f"slice step {step}; expected a positive number of frames")
        rotations = None if self.rotations is None else self.rotations[frames]
        return replace(self, joints=self.joints[frames], fps=self.fps / step, rotations=rotations, features=None)

    def cut(self, start_s: float, end_s: float) -> Motion:
        """The frames from start_s to end_s, both included, in seconds."""
        return self[int(np.ceil(start_s * self.fps - 1e-6)) : int(np.floor(end_s * self.fps + 1e-6)) + 1]

    def transformed(self, yaw: float = 0.0, translation: NDArray | tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Motion:
        """Turned about the world's +y axis by yaw radians, then moved by translation [3] metres."""
        matrix = yaw_matrix(yaw)
        rotations = self.rotations
        if rotations is not None:
            rotations = np.array(rotations)
            rotations[:, 0] = matrix @ rotations[:, 0]
        joints = self.joints @ matrix.T + np.asarray(translation)
        return replace(self, joints=joints.astype(self.joints.dtype), rotations=rotations, features=None)

    def canonical(self) -> Motion:
        """Starting above the origin and facing +z; heights unchanged."""
        start = self.joints[0].astype(np.float64)
        yaw = -float(heading(start, self.skeleton))
        moved = yaw_matrix(yaw) @ start[0]
        return self.transformed(yaw, (-moved[0], 0.0, -moved[2]))

    def mirrored(self) -> Motion:
        """Left and right exchanged. Joints only: rotations are dropped."""
        return Motion(self.joints[:, self.skeleton.left_right] * np.array([-1, 1, 1], self.joints.dtype), self.fps, self.skeleton)


def check_fps(fps: float, name: str = "fps") -> float:
    """fps as a float, or an error that says what is wrong with it."""
    try:
        value = float(fps)
    except (TypeError, ValueError):
        raise InputError(f"{name}={fps!r}; expected a positive number of frames per second") from None
    if not np.isfinite(value) or value <= 0:
        raise InputError(f"{name}={fps}; expected a positive number of frames per second")
    return value


def _frozen(array: NDArray) -> NDArray:
    view = array.view()
    view.setflags(write=False)
    return view
