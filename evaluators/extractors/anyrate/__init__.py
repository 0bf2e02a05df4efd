"""The extractor `anyrate`: 64-d embeddings of short clips at any frame rate, from quantities in SI units. Imports nothing heavy."""

from evaluators.extractors import ExtractorEntry

VERSION = 4

ENTRIES = (
    ExtractorEntry(
        name="anyrate",
        title="clips at any frame rate: plain descriptors beside what a network learned to tell apart, whitened",
        embeds=("clips",),
        version=VERSION,
        loads="evaluators.extractors.anyrate.extractor:load",
        trains="evaluators.extractors.anyrate.training:train",
        decisive_fps=(20.0, 40.0, 60.0, 120.0),
        trained_on=("desynchronised limb", "bent limb", "wobbling limb", "leaning body", "foreign detail"),
        licence="MIT; weights: see NOTICE-WEIGHTS.md",
    ),
)
