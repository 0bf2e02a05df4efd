"""The extractor `guo`: a text-motion evaluator on the 263-d features of Guo et al. (CVPR 2022), and a space for distances between motions.

Official evaluators load unchanged. Imports nothing heavy.
Version 2 was never released. Version 1 took distances in the space of the texts, and embedded clips; version 3 took measuring noise for
motion.
"""

from evaluators.extractors import ExtractorEntry, Official

VERSION = 4
OFFICIAL_VERSION = 1
_FILE = "text_mot_match/model/finest.tar"


def _official(name: str, title: str, folder: str, sha256: str = "", skeleton: str = "smpl22") -> ExtractorEntry:
    return ExtractorEntry(
        name=name,
        title=f"{title}; file not included",
        embeds=("motions", "texts"),
        version=OFFICIAL_VERSION,
        loads=f"evaluators.extractors.guo.official:load_{name}",
        licence="published with EricGuo5513/text-to-motion (MIT code); the terms of the data it was trained on apply",
        official=Official((f"{folder}/{_FILE}",), "EricGuo5513/text-to-motion (checkpoints)", "checkpoints", sha256),
        skeletons=(skeleton,),
    )


ENTRIES = (
    _official(
        "guo_humanml3d",
        "the official evaluator of HumanML3D: whole motions and texts at 20 fps",
        "t2m",
        "43e43d198f07b7e080749d1709326783d2bfb5810f56ed0c56c68951ee961d0d",
    ),
    _official("guo_kit", "the official evaluator of KIT-ML: whole motions and texts at 12.5 fps", "kit", skeleton="kit21"),
    ExtractorEntry(
        name="guo",
        title="whole motions and texts at 20 fps: a text-motion evaluator on 263-d features, and whitened descriptors for distances",
        embeds=("motions", "texts"),
        version=VERSION,
        loads="evaluators.extractors.guo.extractor:load",
        trains="evaluators.extractors.guo.training:train",
        decisive_fps=(20.0,),
        trained_on=("mirrored with its sentence", "word of the same meaning", "word that makes a sentence wrong", "noise", "size"),
        reproduces={"t2m_evaluator": "evaluators.extractors.guo.cases:reproduce"},
        licence="MIT; weights: see NOTICE-WEIGHTS.md",
    ),
)
