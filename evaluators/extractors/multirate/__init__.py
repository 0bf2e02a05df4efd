"""Classifiers of the actions of `multirate`, trained here: a recurrent one, and one with graph convolutions. Imports nothing heavy."""

from evaluators.extractors import ExtractorEntry

VERSION = 1
_LICENCE = "MIT; weights: see NOTICE-WEIGHTS.md"

ENTRIES = (
    ExtractorEntry(
        name="multirate_gru",
        title="21 actions of multirate told apart by a recurrent network of 2 x 128 on joints at 20 fps",
        embeds=("actions",),
        version=VERSION,
        loads="evaluators.extractors.multirate.extractor:load_gru",
        trains="evaluators.extractors.multirate.training:train_gru",
        decisive_fps=(20.0,),
        licence=_LICENCE,
    ),
    ExtractorEntry(
        name="multirate_stgcn",
        title="the same actions told apart by graph convolutions over 15 joints and time, at 20 fps",
        embeds=("actions",),
        version=VERSION,
        loads="evaluators.extractors.multirate.extractor:load_stgcn",
        trains="evaluators.extractors.multirate.training:train_stgcn",
        decisive_fps=(20.0,),
        licence=_LICENCE,
    ),
)
