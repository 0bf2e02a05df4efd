"""Descriptors of clips and the whitening that makes them comparable: what they see, what they do not, and by how much."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_up import walker

from evaluators.extractors.describing import FLOORS, bands, describe, noise_floors, sized
from evaluators.extractors.whitening import fit_whitening
from nerm.errors import InputError
from nerm.motion.skeleton import yaw_matrix


@pytest.fixture(scope="module")
def clips():
    joints = walker(480)
    return np.stack([joints[start : start + 32] for start in range(0, 400, 40)]).astype(np.float32)


def test_place_heading_and_size_are_not_seen(clips):
    described = describe(clips, 120.0)
    turned = clips @ yaw_matrix(1.0).T.astype(np.float32) + np.array([3.0, 0.0, -2.0], np.float32)
    for other in (turned, 1.1 * clips):
        again = describe(other, 120.0)
        np.testing.assert_allclose(again.rest, described.rest, atol=5e-3)
        np.testing.assert_allclose(again.pose, described.pose, atol=1e-4)


def test_bands_are_those_that_a_rate_holds():
    assert [bands(fps) for fps in (12.5, 20.0, 24.0, 30.0, 40.0, 60.0, 240.0)] == [2, 2, 2, 3, 4, 4, 4]
    clip = np.zeros((1, 32, 22, 3), np.float32) + np.random.default_rng(0).normal(size=(22, 3)).astype(np.float32)
    assert describe(clip, 20.0).rest.shape[1] == 5 + 5 + 4 + 2 * 5 + 4 + 5
    assert describe(clip, 120.0).rest.shape[1] == 5 + 5 + 4 + 4 * 5 + 4 + 5


def test_a_sine_has_its_energy_in_its_band(clips):
    """A part shaken at 10 Hz by a: acceleration (2 pi 10)^2 a, mean square half of that."""
    still = sized(torch.from_numpy(np.repeat(clips[:, :1], 360, axis=1))).numpy()
    t = np.arange(360) / 120
    shaken = still.copy()
    shaken[:, :, [18, 20], 0] += 0.005 * np.sin(2 * np.pi * 10 * t)[None, :, None]
    before, after = describe(still, 120.0).rest, describe(shaken, 120.0).rest
    of_left_arm = 5 + 5 + 4 + 2 * 5 + 1  # the third band begins after the other groups and two bands
    energy = after[:, of_left_arm].exp().numpy() - FLOORS[2]
    expected = (2 / 3) * 0.5 * ((2 * np.pi * 10) ** 2 * 0.005) ** 2
    np.testing.assert_allclose(energy, expected, rtol=0.2)  # the edges of a band are not sharp
    assert (after[:, of_left_arm + 1] - before[:, of_left_arm + 1]).abs().max() < 1e-3  # the other arm is still


@pytest.mark.parametrize("fps", [20.0, 24.0, 40.0, 60.0, 120.0])
def test_the_floors_cover_a_millimetre_of_noise_at_every_rate(clips, fps):
    still = sized(torch.from_numpy(np.repeat(clips[:1, :1], 64, axis=1))).numpy()
    noise = 0.001 * np.random.default_rng(0).standard_normal((40, *still.shape[1:])).astype(np.float32)
    floors, first = noise_floors(fps), 5 + 5 + 4
    noisy, quiet = (describe(x, fps, floors).rest[:, first : first + 5 * bands(fps)] for x in (still + noise, still))
    assert ((noisy - quiet).mean(0) < np.log(2.3)).all()  # about once the floor, above the lowest band
    assert ((noisy - quiet)[:, :5].mean(0) < 0.15).all()


def test_whitened_motion_has_unit_variance_and_a_known_nuisance_is_short():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 3)) * [1.0, 10.0, 0.1] + 5
    plain = fit_whitening(x, np.zeros((0, *x.shape)))
    np.testing.assert_allclose(np.cov(plain(x).T), np.eye(3), atol=0.01)
    always = np.array([0.0, 0.0, 1.0])  # ten times its spread
    told = fit_whitening(x, (x + always)[None], weight=4.0)
    assert np.linalg.norm(always @ plain.matrix) == pytest.approx(10, rel=0.05)
    assert np.linalg.norm(always @ told.matrix) == pytest.approx(0.5, rel=0.01)
    longer = fit_whitening(x, np.zeros((0, *x.shape)), stretched=always, stretch=2.0)
    assert np.linalg.norm(always @ longer.matrix) == pytest.approx(20, rel=0.05)
    assert np.linalg.norm([1.0, 0, 0] @ longer.matrix) == pytest.approx(1, rel=0.05)


def test_embeddings_of_other_shapes_are_answered():
    with pytest.raises(InputError, match=r"expected \[n, D\] and \[k, n, D\]"):
        fit_whitening(np.zeros((5, 3)), np.zeros((5, 3)))
