"""Distances between sets of features, and the spread inside one: Frechet, kernel, precision and recall, diversity, multimodality.

Pure functions on arrays [N, D]; all sums are float64. Random draws come from a generator that the caller gives, or as explicit indices:
`numpy.random.Generator` for our tables, `numpy.random.RandomState` to repeat the draws of the original implementations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nerm.errors import InputError

Array = NDArray[np.float64]


class Rng(Protocol):
    """A source of random draws: a NumPy generator, old or new, or a stand-in."""

    @property
    def choice(self) -> Callable[..., Any]:
        """(n, size, replace) -> indices below n."""
        ...


@dataclass(frozen=True, eq=False)
class Moments:
    """What a Frechet distance needs of a feature set. mean: [D]; covariance: [D, D], divisor n - 1; n samples.

    Kept for several distances, those of real features save their largest part: the root is computed once.
    """

    mean: Array
    covariance: Array
    n: int

    @cached_property
    def root(self) -> Array:
        """The symmetric root of the covariance; directions without variance stay without."""
        return _root(self.covariance)


def moments(features: ArrayLike) -> Moments:
    """Mean and covariance of features [N, D], N >= 2."""
    x = _features(features, at_least=2)
    mean = x.mean(axis=0)
    centred = x - mean
    return Moments(mean, centred.T @ centred / (len(x) - 1), len(x))


def frechet_distance(mean1: ArrayLike, cov1: ArrayLike, mean2: ArrayLike, cov2: ArrayLike) -> float:
    """|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^1/2) of two Gaussians; means [D], covariances [D, D]. (Dowson and Landau 1982)

    (C1 C2)^1/2 has the same trace as (R C2 R)^1/2 with R = C1^1/2. R C2 R is symmetric, so its eigenvalues suffice, and covariances without
    full rank need no offset.
    """
    m1, c1, m2, c2 = (np.asarray(x, dtype=np.float64) for x in (mean1, cov1, mean2, cov2))
    if m1.ndim != 1 or m1.shape != m2.shape or c1.shape != c2.shape or c1.shape != (len(m1), len(m1)):
        raise InputError(
            f"moments of shapes {m1.shape}, {c1.shape}, {m2.shape} and {c2.shape}; expected [D], [D, D], [D], [D, D] with one D"
        )
    if not all(np.isfinite(x).all() for x in (m1, c1, m2, c2)):
        raise InputError("moments with a value that is not finite; look for NaN in the features they come from")
    return frechet(Moments(m1, c1, 0), Moments(m2, c2, 0))


def frechet(features1: ArrayLike | Moments, features2: ArrayLike | Moments) -> float:
    """Frechet distance of two feature sets [N, D] and [M, D], either of which may be given by its moments. Keep those of the first."""
    first, second = (x if isinstance(x, Moments) else moments(x) for x in (features1, features2))
    if first.mean.shape != second.mean.shape:
        raise InputError(f"features of {len(first.mean)} and of {len(second.mean)} dimensions; both sets must come from one extractor")
    product = first.root @ ((second.covariance + second.covariance.T) / 2) @ first.root
    trace = np.sqrt(np.maximum(np.linalg.eigvalsh((product + product.T) / 2), 0)).sum()
    apart = np.sum((first.mean - second.mean) ** 2) + np.trace(first.covariance) + np.trace(second.covariance)
    return max(float(apart - 2 * trace), 0.0)


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def kernel_distance(
    real: ArrayLike,
    generated: ArrayLike,
    rng: Rng,
    subsets: int = 100,
    subset_size: int = 1000,
    replace: bool | None = None,
) -> tuple[float, float]:
    """KID: mean and population standard deviation over random subsets of the unbiased MMD (Binkowski et al. 2018). [N, D], [M, D].

    replace: draw with replacement. None follows the published evaluation: only if the real set holds more than subset_size items.
    By that rule all subsets are equal if both sets hold exactly subset_size items.
    """
    values = kernel_distances(real, generated, rng, subsets, subset_size, replace)
    return float(values.mean()), float(values.std())


def kernel_distances(
    real: ArrayLike, generated: ArrayLike, rng: Rng, subsets: int = 100, subset_size: int = 1000, replace: bool | None = None
) -> Array:
    """[subsets] the unbiased MMD of each subset; per subset the real indices are drawn first, then the generated ones."""
    x, y = _pair(real, generated)
    if replace is None:
        replace = len(x) > subset_size
    smallest = min(len(x), len(y))
    if subset_size < 2 or (not replace and smallest < subset_size):
        raise InputError(
            f"KID with subsets of {subset_size} of {len(x)} real and {len(y)} generated features; use 2 <= subset_size <= {smallest}"
        )
    draws = ((rng.choice(len(x), subset_size, replace=replace), rng.choice(len(y), subset_size, replace=replace)) for _ in range(subsets))
    return np.array([polynomial_mmd(x[i], y[j]) for i, j in draws])


def polynomial_mmd(x: ArrayLike, y: ArrayLike) -> float:
    """Unbiased squared MMD of x and y [m, D] under k(a, b) = (a.b / D + 1)^3; the cross term is the full mean, diagonal included."""
    return _mmd(*_kernels(x, y))


def polynomial_mmd_variance(x: ArrayLike, y: ArrayLike, at_size: int | None = None) -> float:
    """Estimated variance of `polynomial_mmd` for sets of one size m (Sutherland et al. 2017, appendix A).

    x, y: features [m, D].
    at_size: size of the sets that the variance is for, default m; the published evaluation gives that of the smaller whole set.
    """
    kxx, kyy, kxy = _kernels(x, y)
    m = len(kxx)
    pairs, triples = m * (m - 1), m * (m - 1) * (m - 2)
    kxx, kyy = (k - np.diag(np.diag(k)) for k in (kxx, kyy))
    sums_x, sums_y, sums_xy, sums_yx = kxx.sum(1), kyy.sum(1), kxy.sum(1), kxy.sum(0)
    within = kxx.sum() + kyy.sum()
    squares = np.sum(kxx**2) + np.sum(kyy**2)
    means = (kxx.sum() ** 2 + kyy.sum() ** 2) / pairs**2
    cross_mean = kxy.mean()
    mixed = (sums_x @ sums_xy + sums_y @ sums_yx) / (m * pairs)
    zeta1 = (
        (sums_x @ sums_x + sums_y @ sums_y - squares) / triples
        - means
        + (sums_xy @ sums_xy + sums_yx @ sums_yx - 2 * np.sum(kxy**2)) / (m * pairs)
        - 2 * cross_mean**2
        - 2 * mixed
        + 2 * within / pairs * cross_mean
    )
    zeta2 = squares / pairs - means + 2 * np.mean(kxy**2) - 2 * cross_mean**2 - 4 * mixed + 4 * within / pairs * cross_mean
    size = at_size or m
    return float((4 * (size - 2) * zeta1 + 2 * zeta2) / (size * (size - 1)))


def _kernels(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array, Array]:
    x, y = _pair(x, y)
    return tuple((a @ b.T / x.shape[1] + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))  # type: ignore[return-value]


def _mmd(kxx: Array, kyy: Array, kxy: Array) -> float:
    inside = sum((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kxx, kyy))
    return float(inside - 2 * kxy.mean())


def precision_recall(real: ArrayLike, generated: ArrayLike, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019). [N, D], [M, D]; both are cut to the smaller size first.

    Precision: share of generated features that are no further from some real feature than that feature's k-th real neighbour (itself not
    counted). Recall: the same with real and generated exchanged.
    """
    x, y = _pair(real, generated)
    n = min(len(x), len(y))
    if n <= k:
        raise InputError(f"precision and recall with k={k} of {n} features; at least {k + 1} are needed on both sides")
    x, y = x[:n], y[:n]
    between = pairwise_distances(x, y)
    radius_x, radius_y = (np.partition(pairwise_distances(a, a), k, axis=1)[:, k] for a in (x, y))
    precision = np.mean((between <= radius_x[:, None]).any(axis=0))
    recall = np.mean((between <= radius_y[None, :]).any(axis=1))
    return float(precision), float(recall)


def nearest_distance(generated: ArrayLike, reference: ArrayLike) -> float:
    """Mean over generated features [M, D] of the distance to the nearest reference feature [N, D]; near zero means memorised."""
    return float(nearest_distances(generated, reference).mean())


def nearest_distances(generated: ArrayLike, reference: ArrayLike) -> Array:
    """[M] the distance of each generated feature [M, D] to the nearest reference feature [N, D]."""
    y, x = _pair(generated, reference)
    return np.concatenate([pairwise_distances(y[start : start + 1024], x).min(axis=1) for start in range(0, len(y), 1024)])


def effective_dimensions(features: ArrayLike) -> float:
    """In how many directions features [N, D] vary: (sum of eigenvalues)^2 / sum of squared eigenvalues of their covariance.

    It is D where all directions vary alike, and 1 where a single one does; at most N - 1. Its reciprocal is the share of variance that a
    typical direction has. (Participation ratio; Gao et al. 2017)
    """
    covariance = moments(features).covariance
    squares = float(np.sum(covariance**2))
    return float(np.trace(covariance) ** 2 / squares) if squares > 0 else 0.0


# --- spread ---------------------------------------------------------------------------------------------------------------------------


def draw_pairs(n: int, pairs: int, rng: Rng, replace: bool = False) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Two index sets [pairs] into n items, drawn one after the other. A pair may hold one item twice, as in the text and action protocols.

    replace: False in the text protocol, True in the action protocol.
    """
    if not replace and pairs > n:
        raise InputError(f"{pairs} pairs without replacement of {n} features; use at most {n} pairs")
    return rng.choice(n, pairs, replace=replace), rng.choice(n, pairs, replace=replace)


def diversity(features: ArrayLike, pairs: int, rng: Rng, replace: bool = False) -> float:
    """Mean distance of random pairs of features [N, D] (300 in the text protocol, 200 in the action protocol)."""
    x = _features(features)
    return mean_pair_distance(x, *draw_pairs(len(x), pairs, rng, replace))


def mean_pair_distance(features: ArrayLike, first: ArrayLike, second: ArrayLike) -> float:
    """Mean distance of features[first] and features[second]; indices [P]."""
    x = _features(features)
    return float(np.linalg.norm(x[np.asarray(first)] - x[np.asarray(second)], axis=-1).mean())


def multimodality(features: ArrayLike, pairs: int, rng: Rng) -> float:
    """Mean distance of random pairs of repeats of one condition. features: [conditions, repeats, D]; the same pairs for every condition."""
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 3:
        raise InputError(f"features of shape {list(x.shape)} for multimodality; expected [conditions, repeats, D]")
    first, second = draw_pairs(x.shape[1], pairs, rng)
    return float(np.linalg.norm(x[:, first] - x[:, second], axis=-1).mean())


def class_multimodality(features: ArrayLike, labels: ArrayLike, pairs: int, rng: Rng) -> float:
    """Mean over the classes that occur of the mean distance of random pairs inside the class. features [N, D], labels [N]."""
    x, y = _features(features), np.asarray(labels)
    members = [np.flatnonzero(y == label) for label in np.unique(y)]
    return float(np.mean([mean_pair_distance(x[m], *draw_pairs(len(m), pairs, rng, replace=True)) for m in members]))


def quota_multimodality(features: ArrayLike, labels: ArrayLike, classes: int, pairs: int, rng: Rng) -> float:
    """The action protocol's own multimodality: pairs of one class, drawn one by one from the whole set until every class has its quota.

    features [n, D], labels [n].
    A class that does not occur still counts in the divisor, as in the original. Unlike in the first original, the draw ends then too.
    """
    x, y = _features(features), np.asarray(labels)
    quota = np.bincount(y, minlength=classes)[:classes].clip(max=1) * pairs
    total = 0.0
    while quota.any():
        first = rng.choice(len(x))
        while not quota[y[first]]:
            first = rng.choice(len(x))
        second = rng.choice(len(x))
        while y[second] != y[first]:
            second = rng.choice(len(x))
        quota[y[first]] -= 1
        total += float(np.linalg.norm(x[first] - x[second]))
    return total / (pairs * classes)


# --- recognition ----------------------------------------------------------------------------------------------------------------------


def confusion_matrix(labels: ArrayLike, predicted: ArrayLike, classes: int) -> NDArray[np.int64]:
    """[true classes, predicted classes] counts."""
    return np.bincount(np.asarray(labels) * classes + np.asarray(predicted), minlength=classes**2).reshape(classes, classes)


def accuracy(scores: ArrayLike, labels: ArrayLike) -> float:
    """Share of samples whose highest score is that of their label. scores [N, classes], labels [N]; the first of equal scores counts."""
    return float(np.mean(np.argmax(np.asarray(scores), axis=1) == np.asarray(labels)))


# --- shared ---------------------------------------------------------------------------------------------------------------------------


def pairwise_distances(x: ArrayLike, y: ArrayLike) -> Array:
    """Euclidean distances [N, M] of x [N, D] and y [M, D], by expansion; clamped at 0, because rounding can make squares negative."""
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return np.sqrt(np.maximum(np.sum(a**2, 1)[:, None] + np.sum(b**2, 1)[None, :] - 2 * (a @ b.T), 0))


def _features(features: ArrayLike, at_least: int = 1) -> Array:
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or len(x) < at_least:
        raise InputError(f"features of shape {list(x.shape)}; expected [N, D] with N >= {at_least}")
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(x.sum())  # a finite sum has only finite terms; where it is not, they are looked at one by one
    bad = np.zeros(len(x), dtype=bool) if finite else ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise InputError(
            f"{int(bad.sum())} of {len(x)} features are not finite, the first at index {int(np.argmax(bad))}; remove their motions"
        )
    return x


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[Array, Array]:
    x, y = _features(first), _features(second)
    if x.shape[1] != y.shape[1]:
        raise InputError(f"features of {x.shape[1]} and of {y.shape[1]} dimensions; both sets must come from one extractor")
    return x, y
