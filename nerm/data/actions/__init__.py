"""The action datasets in their official files: `humanact12` and `uestc`. Their motion is poses of a body model, with labels."""

from nerm.data.dataset import DatasetEntry

ENTRIES = (
    DatasetEntry(
        "humanact12",
        "HumanAct12 as published: 12 actions, SMPL poses and joints at 20 fps",
        opens="nerm.data.actions.opening:open_humanact12",
        prepares="nerm.data.actions.humanact12:HUMANACT12_POSES",
        sentences="nerm.data.actions.labels:humanact12_sentences",
        licence="see its home; non-commercial research",
    ),
    DatasetEntry(
        "uestc",
        "UESTC as published: 40 actions, SMPL poses by VIBE at 30 fps",
        opens="nerm.data.actions.opening:open_uestc",
        prepares="nerm.data.actions.uestc:UESTC_POSES",
        sentences="nerm.data.actions.labels:uestc_sentences",
        licence="see its home; non-commercial research",
    ),
)
