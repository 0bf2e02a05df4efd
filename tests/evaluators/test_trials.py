"""Distances whose unit is the trial: right values on cases that can be computed by hand, and no bias for few trials."""

from __future__ import annotations

import numpy as np
import pytest

from evaluators.metrics.distribution import polynomial_mmd
from evaluators.metrics.trials import (
    Pairs,
    discrepancy,
    drawn,
    drawn_apart,
    euclidean,
    means_of_pairs,
    pairs_of_trials,
    polynomial,
    resampled,
    split,
)
from nerm.errors import InputError


def test_two_trials_on_a_line() -> None:
    pairs, trials = pairs_of_trials([[0.0], [0.0], [3.0]], ["a", "a", "b"], [[1.0], [5.0]], ["a", "b"])
    assert trials == ["a", "b"]
    # Pairs of different trials: |0-5| and |3-1|, mean 3.5; real 3, generated 4.
    assert discrepancy(pairs, np.ones(2)) == pytest.approx(2 * 3.5 - 3 - 4)


def test_equal_sides_are_exactly_zero_apart() -> None:
    x, trials = np.random.default_rng(0).normal(size=(50, 6)), [k % 7 for k in range(50)]
    for kernel in (euclidean, polynomial):
        pairs, _ = pairs_of_trials(x, trials, x, trials, kernel)
        assert np.abs(discrepancy(pairs, resampled(7, 20, 0))).max() < 1e-12


def test_every_trial_counts_once_however_long() -> None:
    x = np.array([[0.0], [4.0], [9.0]])
    short, _ = pairs_of_trials(x, [0, 1, 2], x + 1, [0, 1, 2])
    long, _ = pairs_of_trials(np.repeat(x, [1, 5, 2], axis=0), np.repeat([0, 1, 2], [1, 5, 2]), x + 1, [0, 1, 2])
    assert discrepancy(long, np.ones(3)) == pytest.approx(float(discrepancy(short, np.ones(3))))


@pytest.mark.parametrize("trials", [6, 20])
def test_unbiased_for_few_trials_with_many_clips(trials: int) -> None:
    rng = np.random.default_rng(3)
    of = np.repeat(np.arange(trials), 10)
    values = []
    for _ in range(300):
        x, y = (rng.normal(size=(trials, 4))[of] + 0.2 * rng.normal(size=(len(of), 4)) for _ in range(2))
        values.append(float(discrepancy(pairs_of_trials(x, of, y, of)[0], np.ones(trials))))
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    shifted = discrepancy(pairs_of_trials(x, of, y + 2, of)[0], np.ones(trials))
    assert shifted > 5 * np.std(values)


@pytest.mark.parametrize("trials", [30, 80])
def test_the_bootstrap_covers_the_truth(trials: int) -> None:
    """A shift of known energy distance: 1.96 sd around the estimate holds it in about 95 of 100 experiments."""
    rng, held = np.random.default_rng(5), 0
    far = rng.normal(size=200_000)
    truth = 2 * np.abs(far * np.sqrt(2) + 1).mean() - 2 * np.abs(far * np.sqrt(2)).mean()
    for _ in range(200):
        x, y = rng.normal(size=(trials, 1)), rng.normal(size=(trials, 1)) + 1
        pairs, _ = pairs_of_trials(x, range(trials), y, range(trials))
        held += abs(discrepancy(pairs, np.ones(trials)) - truth) < 1.96 * drawn(pairs, resampled(trials, 100, 0)).std()
    assert 180 <= held < 200


def test_draws_of_equal_distributions_are_not_half_too_wide() -> None:
    """Where both sides are alike all chance lies in pairs. Reweighted pairs count it three times over; draws at most twice."""
    rng, trials, values, wide, narrow = np.random.default_rng(6), 40, [], [], []
    for _ in range(300):
        x, y = rng.normal(size=(2, trials, 6))
        pairs, _ = pairs_of_trials(x, range(trials), y, range(trials))
        weights = resampled(trials, 60, 0)
        values.append(float(discrepancy(pairs, np.ones(trials))))
        narrow.append(drawn(pairs, weights).std() ** 2)
        wide.append(discrepancy(pairs, weights).std() ** 2)
    truth = np.var(values)
    assert 1.0 < np.mean(narrow) / truth < 2.2 and 2.2 < np.mean(wide) / truth < 3.6


def test_a_draw_of_every_trial_once_is_the_figure_and_differences_of_draws_are_draws_of_differences() -> None:
    rng = np.random.default_rng(7)
    x, y, z = rng.normal(size=(3, 12, 3)) + np.array([0, 1, 2])[:, None, None]
    first, second = (pairs_of_trials(x, range(12), other, range(12))[0] for other in (y, z))
    assert drawn(first, np.ones((1, 12)))[0] == pytest.approx(float(discrepancy(first, np.ones(12))))
    both = Pairs(np.zeros((12, 12)), second.yy - first.yy, second.xy - first.xy)
    weights = resampled(12, 9, 0)
    np.testing.assert_allclose(drawn(second, weights) - drawn(first, weights), drawn(both, weights), atol=1e-12)


def test_sides_with_trials_of_their_own_are_compared_over_all_pairs() -> None:
    """|0-5|, |3-5|, |0-9|, |3-9|, mean 5.5; within 3 and 4; and the spread of draws is that of the figure in new samples."""
    xx, yy, xy = ([[0.0, 3.0], [3.0, 0.0]], [[0.0, 4.0], [4.0, 0.0]], [[5.0, 9.0], [2.0, 6.0]])
    pairs = Pairs(np.array(xx), np.array(yy), np.array(xy))
    assert discrepancy(pairs, np.ones(2), np.ones(2), same_trials=False) == pytest.approx(2 * 5.5 - 3 - 4)
    rng, values, spread = np.random.default_rng(8), [], []
    for _ in range(200):
        x, y = rng.normal(size=(30, 2)), rng.normal(size=(50, 2)) + 1
        of = (
            means_of_pairs(x, range(30), x, range(30)),
            means_of_pairs(y, range(50), y, range(50)),
            means_of_pairs(x, range(30), y, range(50)),
        )
        draws = drawn_apart(Pairs(*of), resampled(30, 100, 0), resampled(50, 100, 1))
        values.append(float(discrepancy(Pairs(*of), np.ones(30), np.ones(50), same_trials=False)))
        spread.append(draws.std())
    assert np.mean(spread) == pytest.approx(np.std(values), rel=0.15)


def test_halves_share_no_trial_and_are_zero_apart_on_average() -> None:
    first, second = split(11, 400, 0)
    assert not (first * second).any() and (first.sum(1) == 5).all() and (second.sum(1) == 6).all()
    x, of = np.random.default_rng(1).normal(size=(110, 3)), np.repeat(np.arange(11), 10)
    values = discrepancy(pairs_of_trials(x, of, x, of)[0], first, second)
    assert abs(values.mean()) < 0.25 * values.std()


def test_polynomial_is_the_kernel_of_kid() -> None:
    x, y = np.random.default_rng(2).normal(size=(2, 40, 5))
    pairs, _ = pairs_of_trials(x, range(40), y, range(40), polynomial)
    cross = (x @ y.T / 5 + 1) ** 3
    off = (cross.sum() - np.trace(cross)) / (40 * 39)  # KID's cross term counts its diagonal too
    assert discrepancy(pairs, np.ones(40)) == pytest.approx(polynomial_mmd(x, y) + 2 * (cross.mean() - off))


def test_one_common_trial_is_not_enough() -> None:
    with pytest.raises(InputError, match="1 trials that both sides have"):
        pairs_of_trials([[0.0], [1.0]], ["a", "b"], [[0.0]], ["a"])
