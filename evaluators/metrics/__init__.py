"""The registry of metrics, as data that reports, drift checks and tests read.

The functions live in the modules of this package. They are only named here, so that listing metrics imports none of them. A plugin
adds metrics in the same way (`nerm.registry`). A metric knows arrays or motions; it does not know which system, extractor or table they
come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evaluators.intervals import Resamples
from nerm.errors import InputError
from nerm.registry import Registry, load_object

Direction = Literal["higher", "lower", "real"]
Takes = Literal["features", "paired features", "motions", "motion pairs", "calls"]

APPLICABLE: dict[str, frozenset[str]] = {
    "features": frozenset({"order", "batch"}),
    "paired features": frozenset({"order", "batch"}),
    "motions": frozenset({"order", "batch", "yaw", "translation", "rate"}),
    "motion pairs": frozenset({"order", "batch", "yaw", "translation", "rate"}),
    "calls": frozenset(),
}
"""Invariances that a metric of each kind of input may declare. order: of the samples. batch: how the samples were batched. yaw: each motion
turned about the vertical. translation: each motion moved over the floor. rate: the same movement at another frame rate that can hold it."""
ALL_OF_MOTIONS = APPLICABLE["motions"]


@dataclass(frozen=True)
class Metric:
    """One metric as data.

    direction: which values are better: `higher`, `lower`, or the nearest to the value of `real` motion.  range: lowest and highest possible
    value.  invariant_to: exactly the properties of APPLICABLE[takes] that hold.  version: two versions are never compared.
    lowest_fps: rates below it cannot hold the quantity.  published_scale: published figures times this are in `unit`.
    takes: `calls` are calls of a system, timed on one machine.
    resamples: what its replications are, and so what its interval is (`evaluators.intervals`): bootstrap samples of `trials`, new `draws`
    of clips, pairs or halves from the same trials, or `processes` that measured the same.
    least: the fewest trials that a figure needs motions of; with fewer the metric is left out, and that is said.
    function: "module:function", imported when it is needed.
    """

    name: str
    title: str
    direction: Direction
    unit: str
    range: tuple[float, float]
    takes: Takes
    invariant_to: frozenset[str]
    function: str
    definition: str
    version: int = 1
    digits: int = 3
    lowest_fps: float = 0.0
    published_scale: float = 1.0
    resamples: Resamples = "draws"
    least: int = 1

    def __post_init__(self) -> None:
        foreign = self.invariant_to - APPLICABLE[self.takes]
        if foreign:
            raise InputError(f"metric '{self.name}' declares {', '.join(sorted(foreign))}, which cannot be asked of {self.takes}")

    def load(self) -> Callable:
        """The function, imported on demand."""
        return load_object(self.function)

    @property
    def of_machine(self) -> bool:
        """Whether it depends on the machine: figures of two runs are then not compared."""
        return self.takes == "calls"

    @property
    def is_distance(self) -> bool:
        """Whether it says how far features of a row are from real ones, and so can answer how near a row is."""
        return self.takes == "features" and self.direction == "lower"


METRICS: Registry[Metric] = Registry("metric", Metric, __name__)


def metric(name: str) -> Metric:
    """The metric of that name, or an error with suggestions."""
    return METRICS.get(name)


_INF = float("inf")
SET_LEAST = 32
"""The fewest trials of a figure that compares the extent of two sets of features: more than the 20 to 30 directions in which features of
real motion vary (`motion_dimensions`, `clip_dimensions`). From fewer, a Frechet distance mostly says how few there are: clip-FID of real
motion from other real motion at 120 fps is 88 with one motion, 34 with 4, 18 with 16, 13 with 32 and 8 with 64 and more."""
_FEATURES = APPLICABLE["features"]
_TRIALS: dict = {"resamples": "trials"}
_SETS: dict = {"least": SET_LEAST}
_DRAWN = frozenset({"batch"})  # draws of pairs, subsets or pools go by position: another order is another draw
_FRECHET = "distribution:frechet"
_PAIRS: dict = {"takes": "motion pairs", "digits": 1}
_BAND: dict = {"lowest_fps": 60.0}


def _features(name: str, title: str, direction: Direction, function: str, definition: str, **more) -> Metric:
    settings: dict = {"unit": "", "range": (0.0, _INF), "takes": "features", "invariant_to": _FEATURES} | more
    return Metric(name, title, direction, function=f"{__name__}.{function}", definition=definition, **settings)


def _motions(name: str, title: str, direction: Direction, unit: str, function: str, definition: str, **more) -> Metric:
    settings: dict = {"range": (0.0, _INF), "takes": "motions", "invariant_to": ALL_OF_MOTIONS, "resamples": "trials"} | more
    return Metric(name, title, direction, unit, function=f"{__name__}.{function}", definition=definition, **settings)


ENTRIES = (
    _features(
        "trial_distance",
        "trial distance",
        "lower",
        "trials:trial_distance",
        "energy distance of clips (or whole motions) between trials, pairs of one trial left out: unbiased, 0 for motion of the same "
        "distribution; every trial counts once, and n is their number",
        range=(-_INF, _INF),
        least=4,
        **_TRIALS,
    ),
    _features(
        "trial_kid",
        "trial KID",
        "lower",
        "trials:trial_kid",
        "the same with the polynomial kernel of KID, (a.b / D + 1)^3",
        range=(-_INF, _INF),
        digits=4,
        least=4,
        **_TRIALS,
    ),
    _features(
        "fid",
        "FID",
        "lower",
        _FRECHET,
        "Frechet distance of the full sets of the same conditions, biased by the number of samples; real motion: halves by trial, within "
        "labels",
        **_TRIALS,
        **_SETS,
    ),
    *(
        _features(
            f"fid_{split}",
            f"FID ({split})",
            "lower",
            _FRECHET,
            f"Frechet distance of the features of a classifier from those of {what}",
            **_TRIALS,
            **_SETS,
        )
        for split, what in (
            ("train", "all training motions; it is not zero for real test motions either"),
            ("test", "test motions of the same conditions; real motion: halves by trial, within labels"),
        )
    ),
    _features(
        "kid",
        "KID",
        "lower",
        "distribution:kernel_distance",
        "unbiased squared discrepancy under (a.b / D + 1)^3, mean over random subsets of half of the smaller set",
        range=(-_INF, _INF),
        digits=4,
        invariant_to=_DRAWN,
        least=4,
    ),
    _features(
        "accuracy",
        "accuracy",
        "higher",
        "distribution:accuracy",
        "share of motions that a classifier takes for the action that was asked for",
        range=(0, 1),
        takes="paired features",
        **_TRIALS,
    ),
    _features(
        "clip_fid",
        "clip-FID",
        "lower",
        _FRECHET,
        "FID of clips of 32 frames at the rate asked for, full sets of the same conditions; real motion: 1,000 clips of either half by "
        "trial, within labels",
        version=3,
        **_TRIALS,
        **_SETS,
    ),
    *(
        _features(
            f"{kind}_dimensions",
            f"effective dimensions of {kind}s",
            "real",
            "distribution:effective_dimensions",
            f"in how many directions the features of {kind}s vary: (sum of eigenvalues)^2 / sum of their squares, of the covariance",
            digits=1,
            least=2,
        )
        for kind in ("clip", "motion")
    ),
    _features(
        "precision",
        "precision",
        "higher",
        "distribution:precision_recall",
        "share of generated features inside the real manifold, k = 3",
        range=(0, 1),
        **_SETS,
    ),
    _features(
        "recall",
        "recall",
        "higher",
        "distribution:precision_recall",
        "share of real features inside the generated manifold, k = 3",
        range=(0, 1),
        **_SETS,
    ),
    _features(
        "diversity",
        "diversity",
        "real",
        "distribution:diversity",
        "mean distance of random pairs of features",
        invariant_to=_DRAWN,
        least=2,
    ),
    _features(
        "multimodality",
        "multimodality",
        "higher",
        "distribution:multimodality",
        "mean distance of random pairs of one condition",
        invariant_to=_DRAWN,
    ),
    _features(
        "nearest_train",
        "distance to the nearest training motion",
        "real",
        "distribution:nearest_distance",
        "mean over generated features; near 0, training motions are memorised",
        **_TRIALS,
    ),
    *(
        _features(
            f"r_precision_top{k}",
            f"R-precision top {k}",
            "higher",
            "retrieval:r_precision",
            f"share of texts whose motion is among the {k} nearest of a pool of 32; ties share their places",
            range=(0, 1),
            takes="paired features",
            invariant_to=_DRAWN,
            least=32,
            **_TRIALS,
        )
        for k in (1, 2, 3)
    ),
    *(
        _features(
            f"recording_precision_top{k}",
            f"recording precision top {k}",
            "higher",
            "retrieval:r_precision",
            f"share of recordings whose sentence's motion is among the {k} nearest of a pool of 32: R-precision with the recording in "
            "place of its sentence",
            range=(0, 1),
            takes="paired features",
            invariant_to=_DRAWN,
            least=32,
            **_TRIALS,
        )
        for k in (1, 3)
    ),
    _features(
        "multimodal_dist",
        "MM-distance",
        "lower",
        "retrieval:matching_distance",
        "mean distance of text and motion",
        takes="paired features",
        **_TRIALS,
    ),
    _motions(
        "mre",
        "MRE",
        "lower",
        "mm",
        "reconstruction:mre_mm",
        "mean joint distance, root translation subtracted, nothing else",
        published_scale=1e3,
        **_PAIRS,
    ),
    _motions("root_path", "root path error", "lower", "mm", "reconstruction:root_path_mm", "mean distance of the root over time", **_PAIRS),
    _motions(
        "foot_skate",
        "foot skate",
        "lower",
        "m/s",
        "physical:foot_skate",
        "mean horizontal speed (below 8 Hz) of the lowest ankle or toe while it is below 5 cm",
    ),
    _motions(
        "foot_skate_ratio",
        "foot skate ratio",
        "lower",
        "",
        "physical:foot_skate_ratio",
        "share of the time of foot skate in which that joint is faster than 0.15 m/s",
        range=(0, 1),
    ),
    _motions(
        "skate_kimodo",
        "toe skate (kimodo)",
        "lower",
        "m/s",
        "physical:skate_kimodo",
        "mean speed of toes below 5 cm, unfiltered, in the form of kimodo's benchmark; measuring noise counts more at a higher rate",
    ),
    _motions(
        "skate_kimodo_ratio",
        "toe skate ratio (kimodo)",
        "lower",
        "",
        "physical:skate_kimodo_ratio",
        "share of the steps from frame to frame with a toe below 5 cm at both that are faster than 0.2 m/s, as in kimodo's benchmark",
        range=(0, 1),
    ),
    _motions(
        "contact_ratio",
        "contact ratio",
        "real",
        "",
        "physical:contact_ratio",
        "share of time with an ankle or toe in contact",
        range=(0, 1),
    ),
    _motions(
        "penetration", "penetration", "lower", "mm", "physical:penetration_mm", "mean depth of the lowest joint below the floor", digits=1
    ),
    _motions("float", "float", "real", "mm", "physical:float_mm", "mean height of the lowest joint above the floor", digits=1),
    _motions("velocity", "velocity", "real", "m/s", "physical:mean_velocity", "mean joint speed below 8 Hz"),
    _motions("acceleration", "acceleration", "real", "m/s^2", "physical:mean_acceleration", "mean joint acceleration below 8 Hz", digits=2),
    _motions("jerk", "jerk", "real", "m/s^3", "physical:mean_jerk", "mean joint jerk below 8 Hz", digits=1),
    _motions(
        "band_energy",
        "8-20 Hz energy",
        "real",
        "m^2/s^4",
        "physical:band_energy_8_20",
        "mean power of joint acceleration from 8 to 20 Hz",
        **_BAND,
    ),
    _motions(
        "band_error",
        "8-20 Hz error",
        "lower",
        "m^2/s^4",
        "reconstruction:band_error",
        "mean power from 8 to 20 Hz of the acceleration of the difference from the recording",
        takes="motion pairs",
        **_BAND,
    ),
    _motions(
        "band_energy_error",
        "8-20 Hz energy error",
        "lower",
        "octaves",
        "physical:band_energy_error",
        "absolute log2 ratio of mean generated to mean real 8-20 Hz energy; 1 is a factor of 2",
        takes="motion pairs",
        **_BAND,
    ),
)
