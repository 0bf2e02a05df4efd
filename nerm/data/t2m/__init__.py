"""The official datasets of text to motion: `humanml3d` and `kit` (features), `humanml3d-native` (AMASS at its own rates)."""

from nerm.data.dataset import DatasetEntry

_AMASS = "annotations: MIT; the motion is AMASS's and HumanAct12's, non-commercial research"

ENTRIES = (
    DatasetEntry(
        "humanml3d",
        "HumanML3D as published: 263-d features at 20 fps, captions",
        opens="nerm.data.t2m.opening:open_humanml3d",
        prepares="nerm.data.t2m.official:HUMANML3D",
        licence=_AMASS,
    ),
    DatasetEntry(
        "kit",
        "KIT-ML as published: 251-d features at 12.5 fps of 21 joints, captions",
        opens="nerm.data.t2m.opening:open_kit",
        prepares="nerm.data.t2m.official:KIT",
        licence="KIT Motion-Language: see its home",
        skeleton="kit21",
    ),
    DatasetEntry(
        "humanml3d-native",
        "the segments of HumanML3D cut out of AMASS at the rates of its recordings, captions",
        opens="nerm.data.t2m.opening:open_native",
        prepares="nerm.data.t2m.native:NATIVE",
        licence=f"{_AMASS}; SMPL-H: its own",
    ),
)
