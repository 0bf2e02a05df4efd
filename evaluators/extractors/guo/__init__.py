"""The extractor `guo`: the text-motion evaluator of Guo et al. (CVPR 2022) on 263-d features. Imports nothing heavy."""

from evaluators.extractors import ExtractorEntry

VERSION = 1

ENTRIES = (
    ExtractorEntry(
        name="guo",
        title="motions, clips and texts in one space: the text-motion evaluator of Guo et al. on 263-d features at 20 fps",
        embeds=("clips", "motions", "texts"),
        version=VERSION,
        loads="evaluators.extractors.guo.extractor:load",
        trains="evaluators.extractors.guo.training:train",
        decisive_fps=(20.0,),
        reproduces={"t2m_evaluator": "evaluators.extractors.guo.cases:reproduce"},
        licence="MIT; weights: see NOTICE-WEIGHTS.md",
    ),
)
