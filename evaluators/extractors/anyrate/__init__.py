"""The extractor `anyrate`: 128-d embeddings of short clips at any frame rate, from quantities in SI units. Imports nothing heavy."""

from evaluators.extractors import ExtractorEntry

VERSION = 1

ENTRIES = (
    ExtractorEntry(
        name="anyrate",
        title="clips at any frame rate, from heading-relative joints, velocities and accelerations in SI units",
        embeds=("clips",),
        version=VERSION,
        loads="evaluators.extractors.anyrate.extractor:load",
        trains="evaluators.extractors.anyrate.training:train",
        decisive_fps=(20.0, 60.0, 120.0),
        licence="MIT; weights: see NOTICE-WEIGHTS.md",
    ),
)
