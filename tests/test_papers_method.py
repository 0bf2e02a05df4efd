"""The paper's method as settings: what `nerm-paper` is, as large as what ships, and that what ships is as it was."""

import pytest
import torch

from nerm.denoiser import Denoiser, TokenTransformer
from nerm.diffusion import target
from nerm.field import Field
from nerm.model import load_nerm
from nerm.time_encoding import CodebookAttention
from nerm.train import Train, settings_of_scale, shares_of

LABELS = 362
"""Labels of the training items of `multirate`."""


@pytest.fixture(scope="module")
def paper() -> Train:
    settings = settings_of_scale("paper-small")
    settings.stage2.denoiser.labels = LABELS
    settings.stage2.denoiser.latent = settings.stage1.field.latent + 1  # and the mirror sign
    return settings


def test_the_papers_method_is_at_most_half_larger_than_what_ships_and_its_denoiser_is_as_wide_as_its_code(paper):
    ours = sum(p.numel() for part in (Field(paper.stage1.field), Denoiser(paper.stage2.denoiser)) for p in part.parameters())
    assert 1 < ours / load_nerm("nerm").facts.parameters < 1.5
    for settings in (paper, settings_of_scale("paper")):
        assert settings.stage2.denoiser.width >= settings.stage1.field.latent


def test_it_has_one_code_for_all_times_and_reads_a_codebook(paper):
    field = Field(paper.stage1.field)
    assert field.curve is None and isinstance(field.encoding, CodebookAttention) and len(field.layers) == 9
    assert paper.stage1.field.variational and paper.stage1.progressive and paper.stage1.training_rate == "native"
    z, seconds = torch.zeros(1, 256), torch.tensor([2.0])
    assert field.hidden(torch.zeros(1, 3), seconds, z).shape == (1, 3, 96)


def test_its_field_is_told_the_rate(paper):
    torch.manual_seed(0)
    field, z, time, seconds = Field(paper.stage1.field).eval(), torch.randn(1, 256), torch.tensor([[0.5]]), torch.tensor([2.0])
    slow, fast = (field(time, seconds, z, fps).directions for fps in (20.0, 120.0))
    assert not torch.equal(slow, fast)
    shipped = Field(settings_of_scale("shipped").stage1.field).eval()
    z = torch.randn(1, 560)
    slow, fast = (shipped(time, seconds, z, fps).directions for fps in (20.0, 120.0))
    assert torch.equal(slow, fast)


def test_its_loss_is_of_positions_alone(paper):
    assert paper.stage1.velocity_weight == paper.stage1.high_band_weight == 0 and not paper.stage1.fade_octaves


def test_its_denoiser_is_a_transformer_that_predicts_the_noise(paper):
    assert isinstance(Denoiser(paper.stage2.denoiser).network, TokenTransformer)
    noise = torch.randn(4, 7)
    assert torch.equal(target(torch.zeros(4, 7), noise, torch.arange(4), paper.stage2.prediction), noise)


def test_all_coordinates_of_its_codes_are_alike(paper):
    assert (paper.stage2.flatness, paper.stage2.largest, paper.stage2.gist) == (0.5, 1.0, 0.0)


def test_it_has_two_stages_that_share_the_budget_as_those_of_what_ships(paper):
    shares, shipped = shares_of(paper), shares_of(settings_of_scale("shipped"))
    assert list(shares) == ["field", "denoiser"] and sum(shares.values()) == pytest.approx(1)
    assert shares["field"] / shares["denoiser"] == pytest.approx(shipped["field"] / shipped["denoiser"])


def test_the_same_method_at_the_published_size_has_the_same_settings_but_for_sizes_and_batches(paper):
    large = settings_of_scale("paper")
    assert {name for name, value in vars(large.stage1.field).items() if value != getattr(paper.stage1.field, name)} == {"width"}
    assert {name for name, value in vars(large.stage1).items() if value != getattr(paper.stage1, name)} == {"field", "clips", "clip_frames"}
    stage2 = {name for name, value in vars(large.stage2).items() if value != getattr(paper.stage2, name)}
    assert stage2 == {"denoiser", "batch", "rate", "matrix_rate"}


def test_what_ships_is_trained_with_the_defaults():
    assert settings_of_scale("shipped") == Train()
    assert load_nerm("nerm").stage1.field == Train().stage1.field
