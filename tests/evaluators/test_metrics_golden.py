"""The metrics against recorded values of the published evaluation code, to the tolerance recorded with each value."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from evaluators import intervals
from evaluators.metrics import distribution as d
from evaluators.metrics import retrieval as r

SOURCES = os.environ.get("NERM_SOURCES")
FOLDER = Path(SOURCES or "", "golden", "metrics")
pytestmark = pytest.mark.skipif(not SOURCES or not FOLDER.is_dir(), reason="NERM_SOURCES names no folder with golden/metrics")


class Case:
    def __init__(self, name: str) -> None:
        about = json.loads((FOLDER / name / "fixture.json").read_text())
        self.outputs, self.config = about["outputs"], about["config"]
        self.x, self.y = (dict(np.load(FOLDER / name / f"{kind}.npz")) for kind in ("inputs", "outputs"))
        self.seen: set[str] = set()

    def check(self, name: str, value: object) -> None:
        tolerance = self.outputs[name]["tolerance"]
        np.testing.assert_allclose(
            np.squeeze(np.asarray(value, dtype=np.float64)), np.squeeze(self.y[name]).astype(np.float64), **tolerance, err_msg=name
        )
        self.seen.add(name)

    def complete(self) -> None:
        assert self.seen == set(self.outputs), set(self.outputs) - self.seen

    def draws(self) -> np.random.RandomState:
        return np.random.RandomState(self.config["numpy_seed"])


class Recorded:
    """A random state that also writes down what it drew."""

    def __init__(self, state: np.random.RandomState) -> None:
        self.state, self.drawn = state, []

    def choice(self, *arguments, **named):
        self.drawn.append(self.state.choice(*arguments, **named))
        return self.drawn[-1]


def test_text_to_motion_metrics_reproduce_every_recorded_value():
    case = Case("text_to_motion")
    x = case.x
    text, motion, generated = x["text_embeddings"], x["motion_embeddings"], x["generated_embeddings"]
    case.check("distance_matrix_block0", d.pairwise_distances(text[:32], motion[:32]))
    case.check("top_k_block0", r.hits(text[:32], motion[:32]))
    case.check("r_precision_counts_first_block", r.hits(text[:32], motion[:32]).sum(axis=0))
    case.check("r_precision", r.r_precision(text, motion, r.blocks(len(text), case.config["block"])))
    case.check("matching_score", r.matching_distance(text, motion))
    case.check("matching_score_by_norm", [r.matching_distance(a[None], b[None]) for a, b in zip(text, motion, strict=True)])
    for name, features in (("motion", motion), ("generated", generated)):
        found = d.moments(features)
        case.check(f"mean_{name}", found.mean)
        case.check(f"cov_{name}", found.covariance)
    case.check("fid", d.frechet(motion, generated))
    case.check("fid_same_set", d.frechet(motion, motion))
    case.check("fid_rank_deficient", d.frechet(x["few_a"], x["few_b"]))
    rng = Recorded(case.draws())
    case.check("diversity", d.diversity(generated, case.config["diversity_times"], rng))
    case.check("multimodality", d.multimodality(x["mm_embeddings"], case.config["multimodality_times"], rng))
    for name, drawn in zip(("diversity_first", "diversity_second", "multimodality_first", "multimodality_second"), rng.drawn, strict=True):
        case.check(name, drawn)
    means, halves = zip(*(intervals.interval(column) for column in x["replications"].T), strict=True)
    case.check("replication_mean", means)
    case.check("replication_interval", halves)
    case.complete()


def test_action_to_motion_metrics_reproduce_every_recorded_value():
    case = Case("action_to_motion")
    x, config = case.x, case.config
    generated, labels, classes = x["generated_features"], x["generated_labels"], config["num_classes"]
    pairs, per_class = config["diversity_times"], config["multimodality_times"]
    case.check("fid", d.frechet(x["features"], generated))
    case.check("accuracy", d.accuracy(x["scores"], labels))
    case.check("confusion", d.confusion_matrix(labels, x["scores"].argmax(axis=1), classes))
    case.check("nearest_real_distance", d.nearest_distance(generated, x["features"]))
    present = labels != config["absent_class"]
    for prefix, features, of in (("", generated, labels), ("absent_", generated[present], labels[present])):
        rng = Recorded(case.draws())
        case.check(f"{prefix}diversity", d.diversity(features, pairs, rng, replace=True))
        if not prefix:
            case.check("diversity_first", rng.drawn[0])
            case.check("diversity_second", rng.drawn[1])
        case.check(f"{prefix}multimodality", d.quota_multimodality(features, of, classes, per_class, rng))
        case.check(f"{prefix}multimodality_draws", rng.drawn[2:])
    case.check(
        "per_class_diversity", d.mean_pair_distance(generated, case.y["per_class_diversity_first"], case.y["per_class_diversity_second"])
    )
    stored = iter(case.y["per_class_draws"].reshape(-1, per_class))

    class Stored:
        def choice(self, *_, **__):
            return next(stored)

    case.check("per_class_multimodality", d.class_multimodality(generated, labels, per_class, Stored()))
    case.check("interval_variance_rule", [intervals.variance_interval(column)[1] for column in x["replications"].T])
    case.seen |= {"per_class_diversity_first", "per_class_diversity_second", "per_class_draws"}  # draws of another library, used above
    case.complete()


def test_unconstrained_metrics_reproduce_every_recorded_value():
    case = Case("unconstrained")
    x, config = case.x, case.config
    real, generated = x["real_features"], x["generated_features"]
    case.check("fid", d.frechet(real, generated))
    rng = Recorded(case.draws())
    size, subsets = config["kid_subset_size"], config["kid_subsets"]
    values = d.kernel_distances(real, generated, rng, subsets, size)
    case.check("kid_first_subset_real", rng.drawn[0])
    case.check("kid_first_subset_generated", rng.drawn[1])
    case.check("kid_mmd", values)
    case.check("kid_mean_std", [values.mean(), values.std()])
    drawn = zip(rng.drawn[::2], rng.drawn[1::2], strict=True)
    case.check("kid_var", [d.polynomial_mmd_variance(real[i], generated[j], len(generated)) for i, j in drawn])
    case.check("kid_1000_mean_std", d.kernel_distance(x["real_1000"], x["generated_1000"], case.draws(), subsets=5))
    n = config["pr_samples"]
    case.check("precision_recall", d.precision_recall(real[: n + 7], generated[:n], config["k"]))
    rng = Recorded(case.draws())
    case.check("diversity", d.diversity(generated, 200, rng, replace=True))
    case.check("diversity_first", rng.drawn[0])
    case.check("diversity_second", rng.drawn[1])
    case.complete()
