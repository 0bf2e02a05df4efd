"""The extractor `guo`: a text-motion evaluator on the 263-d features of Guo et al. (CVPR 2022), and a space for distances between motions.

Official evaluators load unchanged. Imports nothing heavy.
Version 2 was never released. Version 1 took distances in the space of the texts, and embedded clips.
"""

from evaluators.extractors import ExtractorEntry

VERSION = 3

ENTRIES = (
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
