"""Networks whose choice of a standing foot is known, walkers whose path is known, and what is seen of them."""

from collections.abc import Sequence

import numpy as np
import torch
from small_run import ThreeMotions
from torch import nn

from nerm.data.dataset import Item
from nerm.motion import SMPL22, Motion, frame_times
from nerm.motion.skeleton import Skeleton, yaw_matrix
from nerm.stance import FEET, RATE, HasStance, Stance, StanceConfig, observed
from nerm.stance_training import StanceTask

CHOICES = (*FEET, "free")
PLANE = [0, 2]
SMALL = StanceConfig(width=16, dilations=[1, 2])


# --- networks that are known ----------------------------------------------------------------------------------------------------------


def blank(width: int = 4) -> Stance:
    """A network of zeros."""
    stance = Stance(StanceConfig(width=width, dilations=[1])).eval()
    for parameter in stance.parameters():
        nn.init.zeros_(parameter)
    return stance


def choosing(name: str) -> Stance:
    """A network that always makes one choice."""
    stance = blank()
    with torch.no_grad():
        stance.leave.bias[CHOICES.index(name)] = 100.0
    return stance


def on_the_lower_toe() -> Stance:
    """A network that stands on the toe that is lower than the other, and looks at nothing else."""
    stance, feet = blank(), ("l_foot", "r_foot")
    columns = [stance.config.seen + 3 * (SMPL22.index(name) - 1) + 1 for name in feet]  # heights at the moment itself
    with torch.no_grad():
        stance.leave.bias[:] = torch.tensor([-1e4, -1e4, 0, 0, -1e4, 0, 0])
        for own, name in enumerate(feet):
            stance.enter.weight[own, columns[1 - own]], stance.enter.weight[own, columns[own]] = 1e4, -1e4
            stance.leave.weight[CHOICES.index(name), own] = 1.0
    return stance


class Standing(HasStance):
    """Nothing but a name and a stance."""

    def __init__(self, stance: Stance | None, name: str) -> None:
        self.stance, self.name = stance, name


def stand(stance: Stance | None, motion: Motion, name: str = "nerm") -> Motion:
    """The motion as a system with that stance puts it."""
    return Standing(stance, name).stood(motion)


def drawn(seed: int = 0, config: StanceConfig = SMALL) -> Stance:
    """A network with random weights."""
    torch.manual_seed(seed)
    return Stance(config).eval()


# --- motions that are known -----------------------------------------------------------------------------------------------------------


def path_of(times: np.ndarray, speed: float = 0.9) -> np.ndarray:
    """[T, 3] where the walker's root really is."""
    return np.stack([0.4 * np.sin(0.8 * times), 0.9 + 0.02 * np.sin(12.6 * times), speed * times], axis=1)


def toe_of(times: np.ndarray, begin: float, aside: float, speed: float) -> np.ndarray:
    """[T, 3] a toe that swings from begin for .4 s of every second, and else stands where it is when the root passes by."""
    step = np.floor(times - begin)
    u = np.clip((times - begin - step) / 0.4, 0, 1)
    share = (u**3 * (10 - 15 * u + 6 * u**2))[:, None]
    before, after = (path_of(begin + step + mid, speed) + np.array([aside, 0, 0]) for mid in (-0.3, 0.7))
    toe = before + share * (after - before)
    toe[:, 1] = 0.1 * np.sin(np.pi * u) ** 2
    return toe


def walker(fps: float, seconds: float, speed: float = 0.9, slide: float = 0.0) -> Motion:
    """A person who turns while it walks a curve on toes of which one always stands; a slide moves it at every moment as a whole."""
    times = frame_times(seconds, fps)
    rest = np.zeros((22, 3))
    for joint in range(1, 22):
        rest[joint] = rest[SMPL22.parents[joint]] + SMPL22.offsets[joint]
    joints = rest @ np.swapaxes(yaw_matrix(0.4 * times), -1, -2) + path_of(times, speed)[:, None]
    for side, begin, aside in (("l", 0.0, 0.1), ("r", 0.5, -0.1)):
        toe = toe_of(times, begin, aside, speed)
        joints[:, SMPL22.index(f"{side}_foot")], joints[:, SMPL22.index(f"{side}_ankle")] = toe, toe + np.array([0, 0.08, 0])
    slid = slide * np.stack([np.sin(3 * times), 0 * times, times], axis=1)
    return Motion((joints + slid[:, None]).astype(np.float32), fps)


def walked(motion: Motion) -> np.ndarray:
    """[T, 2] the path from the first frame."""
    return motion.root[:, PLANE] - motion.root[0, PLANE]


class Walkers(ThreeMotions):
    """A dataset of six walkers of different speeds."""

    name, digest = "walkers", "six walkers"

    def __init__(self) -> None:
        self.walkers = [walker(120, 4.0, speed) for speed in (0.3, 0.5, 0.7, 0.9, 1.1, 1.3)]
        self._items = [Item(name, name, 120.0, 4.0, (), "") for name in "abcdef"]

    def motion(self, item: Item) -> Motion:
        return self.walkers["abcdef".index(item.id)]


def renamed(skeleton: Skeleton = SMPL22, **names: str) -> Skeleton:
    return Skeleton("other", tuple(names.get(name, name) for name in skeleton.names), skeleton.parents, skeleton.offsets)


def seen_of(motion: Motion) -> np.ndarray:
    """What the network sees of a motion at 32 fps."""
    assert motion.fps == RATE
    return observed(motion.joints.astype(np.float64), 1 / RATE, motion.skeleton)[0]


def parts_of(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Joints about the root [K, 21, 3], velocities of the feet [K, 4, 3], turn [K], height [K], hint [K, 2]."""
    pose, feet = seen[:, :63].reshape(-1, 21, 3), seen[:, 63:75].reshape(-1, 4, 3)
    return pose, feet, seen[:, 75], seen[:, 76], seen[:, 77:]


# --- trainings -----------------------------------------------------------------------------------------------------------------------


def a_task(motions: Sequence[Motion] = (), stance: Stance | None = None) -> StanceTask:
    """A task whose network may be one that is known; it is given numbers as they are."""
    motions = motions or [walker(120, 3.0), walker(60, 1.0, 0.5)]
    task = StanceTask(SMALL if stance is None else stance.config, motions, motions)
    if stance is not None:
        task.module.stance = stance
    return task


@torch.no_grad()
def error_of(motions: Sequence[Motion], stance: Stance | None = None) -> float:
    """The validation error on motions; of an untrained network if none is given."""
    torch.manual_seed(0)
    return a_task(motions, stance).validate()["loss"]
