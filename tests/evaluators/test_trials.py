"""Distances whose unit is the trial: right values on cases that can be computed by hand, and no bias for few trials."""

from __future__ import annotations

import numpy as np
import pytest

from evaluators.metrics.distribution import polynomial_mmd
from evaluators.metrics.trials import discrepancy, euclidean, pairs_of_trials, polynomial, resampled, split
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


def test_the_bootstrap_covers_the_truth() -> None:
    """A shift of known energy distance: 1.96 sd around the estimate holds it in about 95 of 100 experiments."""
    rng, trials, held = np.random.default_rng(5), 30, 0
    far = rng.normal(size=200_000)
    truth = 2 * np.abs(far * np.sqrt(2) + 1).mean() - 2 * np.abs(far * np.sqrt(2)).mean()
    for _ in range(200):
        x, y = rng.normal(size=(trials, 1)), rng.normal(size=(trials, 1)) + 1
        pairs, _ = pairs_of_trials(x, range(trials), y, range(trials))
        held += abs(discrepancy(pairs, np.ones(trials)) - truth) < 1.96 * discrepancy(pairs, resampled(trials, 100, 0)).std()
    assert 175 <= held < 200


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
