"""Metrics against closed forms and limits."""

import numpy as np
import pytest

from evaluators import intervals
from evaluators.metrics import distribution as d
from evaluators.metrics import reconstruction
from evaluators.metrics import retrieval as r
from nerm.errors import InputError


def covariance(rng: np.random.Generator, dimensions: int, rank: int | None = None) -> np.ndarray:
    a = rng.normal(size=(dimensions, rank or dimensions))
    return a @ a.T


def with_moments(mean: np.ndarray, cov: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """[n, D] samples whose empirical mean and covariance are exactly the given ones."""
    x = rng.normal(size=(n, len(mean)))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return x @ np.linalg.cholesky(cov).T + mean


def test_the_frechet_distance_of_one_dimensional_gaussians_is_the_closed_form():
    assert d.frechet_distance([1.0], [[4.0]], [3.5], [[9.0]]) == pytest.approx(2.5**2 + (2 - 3) ** 2)


def test_the_frechet_distance_of_commuting_covariances_is_the_closed_form():
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    a, b = rng.uniform(0.1, 5, (2, 12))
    mean = rng.normal(size=12)
    distance = d.frechet_distance(mean, (basis * a) @ basis.T, np.zeros(12), (basis * b) @ basis.T)
    assert distance == pytest.approx(mean @ mean + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2), rel=1e-10)


def test_the_frechet_distance_agrees_with_the_matrix_square_root_where_covariances_do_not_commute():
    rng = np.random.default_rng(1)
    a, b = covariance(rng, 8), covariance(rng, 8)
    values = np.linalg.eigvals(a @ b)  # the textbook form; real and positive up to rounding
    expected = np.trace(a) + np.trace(b) - 2 * np.sqrt(values.real).sum()
    assert d.frechet_distance(np.zeros(8), a, np.zeros(8), b) == pytest.approx(expected, rel=1e-9)


def test_the_frechet_distance_of_features_is_that_of_their_moments_and_survives_rank_deficiency():
    rng = np.random.default_rng(2)
    a, b = covariance(rng, 5), covariance(rng, 5)
    x, y = with_moments(np.ones(5), a, 40, rng), with_moments(np.zeros(5), b, 60, rng)
    assert d.frechet(x, y) == pytest.approx(d.frechet_distance(np.ones(5), a, np.zeros(5), b), rel=1e-9)
    assert d.frechet(d.moments(x), y) == d.frechet(x, y)
    low = covariance(rng, 30, rank=3)
    assert d.frechet_distance(np.zeros(30), low, np.zeros(30), low) == pytest.approx(0, abs=1e-6)
    assert d.frechet_distance(np.zeros(30), low, np.zeros(30), 4 * low) == pytest.approx(np.trace(low), rel=1e-6)


def test_features_with_nan_are_refused_with_the_row():
    x = np.zeros((5, 3))
    x[3, 1] = np.nan
    with pytest.raises(InputError, match="index 3"):
        d.moments(x)
    with pytest.raises(InputError, match="one extractor"):
        d.kernel_distance(np.zeros((9, 3)), np.zeros((9, 4)), np.random.default_rng(0))


def test_the_kernel_distance_is_unbiased_and_sees_a_shift():
    rng = np.random.default_rng(3)
    same = d.kernel_distances(rng.normal(size=(400, 4)), rng.normal(size=(400, 4)), rng, 30, 150, replace=False)
    assert abs(same.mean()) < 3 * same.std()
    assert d.kernel_distance(rng.normal(size=(400, 4)), rng.normal(size=(400, 4)) + 1, rng, 5, 150, replace=False)[0] > 1


def test_the_kernel_distance_of_exactly_the_subset_size_is_the_same_for_every_subset_and_of_less_is_refused():
    rng = np.random.default_rng(4)
    values = d.kernel_distances(rng.normal(size=(50, 4)), rng.normal(size=(50, 4)), rng, 4, 50)
    assert np.ptp(values) < 1e-12
    with pytest.raises(InputError, match="subset_size <= 40"):
        d.kernel_distance(rng.normal(size=(50, 4)), rng.normal(size=(40, 4)), rng, 4, 50)


def test_precision_and_recall_are_one_for_one_set_and_tell_dropped_modes_from_outliers():
    rng = np.random.default_rng(5)
    real = np.concatenate([rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 100])
    assert d.precision_recall(real, real) == (1, 1)
    one_mode = rng.normal(size=(100, 2))
    precision, recall = d.precision_recall(real, one_mode)
    assert precision > 0.8 and recall == pytest.approx(0.5, abs=0.1)


def test_diversity_of_a_simplex_is_its_edge_and_needs_enough_samples():
    x = np.eye(64)
    assert d.diversity(x, 64, np.random.default_rng(0)) == pytest.approx(np.sqrt(2), rel=0.1)
    with pytest.raises(InputError, match="at most 64 pairs"):
        d.diversity(x, 65, np.random.default_rng(0))


def test_multimodality_of_identical_repeats_is_zero_and_of_absent_classes_ends():
    repeated = np.repeat(np.random.default_rng(0).normal(size=(7, 1, 3)), 12, axis=1)
    assert d.multimodality(repeated, 10, np.random.default_rng(0)) == 0
    x, labels = np.random.default_rng(1).normal(size=(40, 3)), np.repeat([0, 2], 20)
    by_quota = d.quota_multimodality(x, labels, 4, 500, np.random.default_rng(2))
    assert 2 * by_quota == pytest.approx(d.class_multimodality(x, labels, 5000, np.random.default_rng(2)), rel=0.05)


def test_accuracy_is_the_diagonal_of_the_confusion_and_does_not_depend_on_order():
    labels, predicted = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 1, 0, 2])
    scores = np.eye(3)[predicted]
    table = d.confusion_matrix(labels, predicted, 3)
    assert table.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert d.accuracy(scores, labels) == pytest.approx(np.trace(table) / 6) == pytest.approx(4 / 6)
    assert d.accuracy(scores[::-1], labels[::-1]) == d.accuracy(scores, labels)
    assert d.accuracy(np.zeros((4, 3)), np.array([0, 1, 2, 0])) == 0.5  # the first of equal scores counts


def test_multimodality_of_classes_counts_every_class_once_whatever_its_size():
    labels = np.array([0] * 90 + [1] * 10)
    features = np.zeros((100, 2))
    features[90:95, 0] = 3.0  # two points of class 1, 3 apart: a random pair is 1.5 apart in the mean
    many = [d.class_multimodality(features, labels, 200, np.random.default_rng(seed)) for seed in range(20)]
    assert np.mean(many) == pytest.approx(0.75, abs=0.03)
    quota = [d.quota_multimodality(features, labels, 2, 20, np.random.default_rng(seed)) for seed in range(10)]
    assert np.mean(quota) == pytest.approx(0.75, abs=0.15)


def test_the_nearest_distance_to_a_set_that_holds_the_motion_is_zero():
    x = np.random.default_rng(0).normal(size=(1500, 3))
    assert d.nearest_distance(x[:1100], x) < 1e-6
    assert d.nearest_distance(x[:2] + np.array([0, 0, 1000]), x) > 990


# --- retrieval ------------------------------------------------------------------------------------------------------------------------


def test_perfect_embeddings_are_always_found_and_collapsed_ones_at_chance():
    x = np.random.default_rng(0).normal(size=(64, 8))
    pools = r.pools(64, seed=1)
    assert r.r_precision(x, x, pools).tolist() == [1, 1, 1]
    assert r.r_precision(x, np.ones_like(x), pools) == pytest.approx(np.arange(1, 4) / 32)
    assert r.matching_distance(x, x) == 0


def test_tied_motions_share_their_places():
    text = np.array([[0.0], [10.0], [20.0]])
    motion = np.array([[1.0], [1.0], [20.0]])  # the first two motions are equally far from the first text
    assert r.hits(text, motion, 2)[0].tolist() == [0.5, 1.0]


def test_pools_come_from_the_seed_hold_every_item_once_and_leave_out_the_rest():
    pools = r.pools(100, seed=4)
    assert pools.shape == (3, 32) and len(np.unique(pools)) == 96
    assert (pools == r.pools(100, seed=4)).all() and not (pools == r.pools(100, seed=5)).all()


def test_pools_with_labels_never_hold_a_label_twice_and_use_most_items():
    labels = np.random.default_rng(0).zipf(1.6, 600) % 60
    pools = r.pools(600, seed=0, labels=labels)
    assert all(len(set(labels[pool])) == 32 for pool in pools)
    assert len(np.unique(pools)) == pools.size
    counts = np.bincount(labels)
    most = max(p for p in range(1, 600) if np.minimum(counts, p).sum() >= 32 * p)  # no choice can fill more pools
    assert len(pools) == most
    with pytest.raises(InputError, match="at most 3"):
        r.pools(50, seed=0, labels=np.arange(50) % 3)


# --- reconstruction and intervals -----------------------------------------------------------------------------------------------------


def test_reconstruction_error_ignores_the_root_path_and_nothing_else():
    joints = np.random.default_rng(0).normal(size=(20, 22, 3))
    path = np.random.default_rng(1).normal(size=(20, 1, 3))
    assert reconstruction.mre_mm(joints + path, joints) == pytest.approx(0, abs=1e-9)
    assert reconstruction.root_path_mm(joints + path, joints) == pytest.approx(1e3 * np.linalg.norm(path, axis=-1).mean())
    moved = joints.copy()
    moved[:, 1:] += [0.003, 0.0, 0.004]
    assert reconstruction.mre_mm(moved, joints) == pytest.approx(5 * 21 / 22)
    with pytest.raises(InputError, match="the same"):
        reconstruction.mre_mm(joints[:-1], joints)


def test_the_8_to_20_hz_error_is_the_power_of_what_is_wrong_there_whatever_the_energies_are():
    fps, hz, size = 120.0, 12.0, 1e-3
    t = np.arange(480) / fps
    still = np.zeros((480, 22, 3))
    wave, other = still.copy(), still.copy()
    wave[..., 0], other[..., 0] = size * np.sin(2 * np.pi * hz * t)[:, None], size * np.cos(2 * np.pi * hz * t)[:, None]
    power = (size * (2 * np.pi * hz) ** 2) ** 2 / 2
    assert reconstruction.band_error(wave, still, fps) == pytest.approx(power, rel=0.1)
    assert reconstruction.band_error(wave, other, fps) == pytest.approx(2 * power, rel=0.1)  # equal energy, out of phase
    slow = still.copy()
    slow[..., 0] = 0.1 * np.sin(2 * np.pi * 2.0 * t)[:, None]
    assert reconstruction.band_error(slow, still, fps) < 0.05 * power


def test_intervals_are_those_of_the_field_and_one_replication_has_none():
    values = np.random.default_rng(0).normal(5, 2, 400)
    mean, half = intervals.interval(values)
    assert half == pytest.approx(1.96 * values.std() / 20)
    assert intervals.interval(values, "trials") == pytest.approx((mean, 1.96 * values.std()))
    assert intervals.interval([3.0])[0] == 3 and np.isnan(intervals.interval([3.0])[1])


def test_figures_of_the_same_draws_are_compared_in_pairs_and_others_by_both_intervals():
    """Two rows that rise and fall together by 1 are 0.1 apart for certain in pairs; the same values of other draws are not."""
    first = {(k, 0): float(k % 2) for k in range(20)}
    second = {key: value + 0.1 + 0.01 * (key[0] % 4 > 1) for key, value in first.items()}
    paired = intervals.difference(first, second, "trials")
    assert paired.paired and paired.mean == pytest.approx(0.105) and paired.half == pytest.approx(1.96 * 0.005) and paired.excludes_zero
    other = {(k, 7): value for (k, _), value in second.items()}
    unpaired = intervals.difference(first, other, "trials")
    assert not unpaired.paired and unpaired.half == pytest.approx(1.96 * np.hypot(0.5, np.std(list(second.values()))))
    assert not intervals.apart(first, other, "trials") and intervals.apart(first, second, "trials")
    assert intervals.apart({(0, 0): 1.0}, {(0, 1): 1.1}) and not intervals.apart({(0, 0): 1.0}, {(0, 0): 1.0})


def test_effective_dimensions_count_the_directions_that_vary():
    x = np.random.default_rng(0).normal(size=(20_000, 6)) * [1, 1, 1, 1, 0, 0]
    assert d.effective_dimensions(x) == pytest.approx(4, abs=0.01)
    assert d.effective_dimensions(x * [5000, 1, 1, 1, 1, 1]) == pytest.approx(1, abs=0.01)
    assert d.effective_dimensions(np.ones((3, 2))) == 0
