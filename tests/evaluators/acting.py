"""A movement known at every time, with what detail metrics look for: steps, landings, jolts, a blow and a little tremor."""

import numpy as np

from nerm.motion import SMPL22, Motion
from nerm.motion.resample import frame_times

STEP_S = 0.5
LANDED_S = {"l": (1.0, 3.0, 5.0), "r": (2.0, 4.0)}
"""When steps end."""
JOLTS_S = (1.42, 3.3)
BLOW_S = 2.6
DIP_M = 0.015
"""How deep toes sink into the floor, 0.03 s after they have landed."""


def acting(index: int, fps: float, late: float = 0.0, size: float = 1.0, seconds: float = 6.0, detail: bool = True) -> Motion:
    """late: seconds by which everything comes later.  size: of tremor, jolts and blow, which come with `detail`, above 8 Hz."""
    rng = np.random.default_rng(index)
    t = frame_times(seconds, fps)[:, None] - late
    joints = np.zeros((len(t), 22, 3))
    for joint in range(1, 22):
        joints[:, joint] = joints[:, SMPL22.parents[joint]] + SMPL22.offsets[joint]
    joints[..., 1] += 0.93
    hz, phase = rng.uniform(0.3, 1.0, 3), rng.uniform(0, 6, 3)
    feet = [SMPL22.index(f"{side}_{name}") for side in "lr" for name in ("ankle", "foot")]
    body = [joint for joint in range(22) if joint not in feet]
    joints[:, body] += (0.05 * np.sin(2 * np.pi * hz * t + phase))[:, None]
    for side, landed in LANDED_S.items():
        for name, rest in (("ankle", 0.09), ("foot", 0.0)):
            joint = SMPL22.index(f"{side}_{name}")
            joints[:, joint] = (0.1 if side == "l" else -0.1, rest, 0.13 if name == "foot" else 0.0)
            for end in landed:
                share = np.clip((t[:, 0] - end) / STEP_S + 1, 0, 1)
                share = share**4 * (35 - 84 * share + 70 * share**2 - 20 * share**3)  # three derivatives are 0 at both ends
                joints[:, joint, 1] += 0.12 * np.sin(np.pi * share) ** 2
                joints[:, joint, 2] += 0.4 * share
                joints[:, joint, 1] -= DIP_M * np.exp(-(((t[:, 0] - end - 0.03) / 0.03) ** 2)) * (detail and name == "foot")
    if not detail:
        return Motion(joints, fps)
    joints += size * 0.0003 * np.sin(2 * np.pi * np.linspace(9, 17, 22)[:, None] * t[:, None] + rng.uniform(0, 6, (22, 3)))
    for moment in JOLTS_S:
        moment += 0.003 * index
        joints += size * 0.01 * (np.exp(-(((t - moment) / 0.04) ** 2)) * np.cos(2 * np.pi * 13 * (t - moment)))[:, None]
    joints[:, SMPL22.index("l_wrist"), 0] += size * 0.4 * np.exp(-(((t[:, 0] - BLOW_S) / 0.1) ** 2))
    return Motion(joints, fps)
