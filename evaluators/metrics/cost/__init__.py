"""Metrics of what a sample costs: they depend on the machine, and are compared only between rows that were measured on one."""

from evaluators.metrics import Metric

ENTRIES = (
    Metric(
        "seconds_per_sample",
        "time per sample",
        "lower",
        "ms",
        (0.0, float("inf")),
        "calls",
        frozenset(),
        f"{__name__}.calls:milliseconds_per_sample",
        "median time of a call on one thread, divided by its number of motions: from the sentence to joints at the rate asked for",
        digits=1,
        resamples="processes",
    ),
    Metric(
        "peak_memory",
        "peak memory",
        "lower",
        "MB",
        (0.0, float("inf")),
        "calls",
        frozenset(),
        f"{__name__}.calls:peak_memory_mb",
        "by how much loading a system and sampling raise the greatest resident memory of a process of its own, for all motions of a call "
        "together",
        digits=1,
        resamples="processes",
    ),
)
