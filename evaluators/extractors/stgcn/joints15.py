"""The 15 joints of MoDi among those of SMPL, and their tree.

Source: Raab et al., MoDi: Unconditional Motion Synthesis from Diverse Data, CVPR 2023, in the order of its evaluation of HumanAct12.
"""

from __future__ import annotations

from nerm.motion.skeleton import SMPL22

JOINTS15 = (
    "head", "neck", "l_shoulder", "l_elbow", "l_wrist", "r_shoulder", "r_elbow", "r_wrist",
    "pelvis", "l_hip", "l_knee", "l_ankle", "r_hip", "r_knee", "r_ankle",
)  # fmt: skip
IN_SMPL = [SMPL22.index(name) for name in JOINTS15]
ROOT = JOINTS15.index("pelvis")
CENTRE = JOINTS15.index("neck")
"""The centre of the published graph."""
EDGES = ((4, 3), (3, 2), (2, 1), (7, 6), (6, 5), (5, 1), (1, 0), (14, 13), (13, 12), (12, 8), (11, 10), (10, 9), (9, 8), (8, 1))
