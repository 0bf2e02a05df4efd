"""`nerm.fitting`: what a fit depends on, and that it fits. Small random fields stand in for a trained one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nerm.errors import InputError
from nerm.field import Field, FieldConfig
from nerm.fitting import fit_codes, fit_error, fit_errors
from nerm.motion import SMPL22, Motion
from nerm.motion.skeleton import KIT21
from nerm.reading import decode


@pytest.fixture(scope="module")
def field():
    torch.manual_seed(3)
    return Field(FieldConfig(width=48, layers=3, latent=16, intervals=5, octaves=3)).eval()


@pytest.fixture(scope="module")
def motions(field):
    """Motions that the field can hold, of different rates and durations."""
    codes = 0.5 * torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    return [decode(field, z, seconds, fps) for z, seconds, fps in zip(codes, (10, 2.5, 4, 1, 7), (30, 120, 60, 20, 24), strict=True)]


@pytest.mark.parametrize("autocast", [False, True])
def test_a_fit_is_the_same_whatever_else_is_in_the_batch(field, motions, autocast):
    together = fit_codes(field, motions, steps=40, autocast=autocast)
    alone = torch.cat([fit_codes(field, [motion], steps=40, autocast=autocast) for motion in motions])
    pairs = fit_codes(field, motions[::-1], steps=40, batch=2, autocast=autocast).flip(0)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(together, pairs, rtol=0, atol=1e-5)


def test_the_code_of_a_motion_that_the_field_can_hold_reproduces_it(field, motions):
    before = fit_errors(field, torch.zeros(len(motions), 16), motions)
    after = fit_errors(field, fit_codes(field, motions, steps=300, autocast=False), motions)
    assert np.mean([e.mre_mm for e in after]) < 0.1 * np.mean([e.mre_mm for e in before])
    assert np.mean([e.root_mm for e in after]) < 0.2 * np.mean([e.root_mm for e in before])


def test_a_fit_may_start_from_the_nearest_known_code(field):
    known = torch.randn(600, 16, generator=torch.Generator().manual_seed(2))
    motion = decode(field, known[555], 3.0, 50.0)
    torch.testing.assert_close(fit_codes(field, [motion], steps=0, nearest=known)[0], known[555])


def test_fitting_leaves_the_field_as_it_was(field, motions):
    before = {name: value.clone() for name, value in field.state_dict().items()}
    fit_codes(field, motions[:1], steps=3)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in field.parameters())
    assert all(torch.equal(value, before[name]) for name, value in field.state_dict().items())


def test_the_error_subtracts_the_root_translation_and_reports_it_beside():
    truth = np.random.default_rng(0).normal(size=(4, 22, 3)).astype(np.float32)
    moved = fit_error(truth + np.array([0.03, 0.0, 0.04], np.float32), truth)
    assert moved.mre_mm == pytest.approx(0, abs=1e-3) and moved.root_mm == pytest.approx(50, abs=1e-3)


def test_no_motions_have_no_codes_and_one_frame_has_one(field):
    assert fit_codes(field, []).shape == (0, 16)
    pose = Motion(np.zeros((1, 22, 3), np.float32), 30.0)
    assert torch.isfinite(fit_codes(field, [pose], steps=3)).all()


def test_what_cannot_be_fitted_is_answered_with_one_sentence(field):
    long = Motion(np.zeros((302, 22, 3), np.float32), 30.0, SMPL22)
    with pytest.raises(InputError, match=r"motion 0 lasts 10\.03 s; one code holds at most 10 s: cut it"):
        fit_codes(field, [long])
    with pytest.raises(InputError, match="motion 0 is on skeleton 'kit21'"):
        fit_codes(field, [Motion(np.zeros((5, 21, 3), np.float32), 30.0, KIT21)])
    with pytest.raises(InputError, match="expected steps >= 0"):
        fit_codes(field, [], steps=-1)
