"""Graph-convolutional action classifiers: the official ones of UESTC (ACTOR) and of unconstrained HumanAct12 (MoDi, MDM).

Neither file is redistributed, and no digest of them is known. Imports nothing heavy.
"""

from evaluators.extractors import ExtractorEntry, Official

VERSION = 1
_LOADS = "evaluators.extractors.stgcn.extractor:load_"
_CASES = "evaluators.extractors.stgcn.cases:reproduce"

ENTRIES = (
    ExtractorEntry(
        name="uestc_stgcn",
        title="actions of UESTC (40 classes) from the rotations of 24 joints, as ACTOR and MDM use it; file not included",
        embeds=("actions",),
        version=VERSION,
        loads=f"{_LOADS}uestc",
        reproduces={"stgcn_uestc": _CASES},
        licence="published with ACTOR (MIT code); trained on UESTC, whose own terms apply",
        official=Official(("uestc_rot6d_stgcn.tar",), "ACTOR and MDM (prepare/download_recognition_models)", "action_classifiers"),
    ),
    ExtractorEntry(
        name="modi_stgcn",
        title="HumanAct12 without conditions (12 classes) from 15 joint positions, as MoDi and MDM use it; file not included",
        embeds=("actions",),
        version=VERSION,
        loads=f"{_LOADS}modi",
        reproduces={"stgcn_unconstrained": _CASES},
        licence="published with MDM (MIT code); trained on HumanAct12, whose own terms apply",
        official=Official(
            ("humanact12_gru_modi_struct.pth.tar",), "MDM (prepare/download_recognition_unconstrained_models)", "action_classifiers"
        ),
    ),
)
