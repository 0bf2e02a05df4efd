"""`nerm.codebook`: the measure of use, the features, the quantiser and a short training on synthetic motions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nerm.codebook import CLIP_FRAMES, CodebookConfig, Quantiser, clip_features, install, perplexity, train_codebook
from nerm.errors import InputError
from nerm.field import Field, FieldConfig
from nerm.motion import SMPL22, Motion
from nerm.motion.skeleton import joints_from_directions
from nerm.windows import load_windows

SMALL = CodebookConfig(size=32, code_width=8, width=32, clips=128, rate=5e-3, decay=0.9)


def waving(seconds, fps, speed):
    """Every bone waves about its rest direction while the person walks ahead."""
    t = np.arange(int(seconds * fps) + 1)[:, None] / fps
    directions = SMPL22.axes[1:] + 0.5 * np.sin(speed * t + np.linspace(0, 6, 63)).reshape(len(t), -1, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    root = np.concatenate([0 * t, 0.9 + 0 * t, speed * t / 3], axis=1)
    return Motion(joints_from_directions(root, directions, SMPL22).astype(np.float32), fps)


@pytest.fixture(scope="module")
def windows():
    return load_windows([waving(4, fps, speed) for fps, speed in ((30, 2), (60, 3), (120, 4), (24, 5))], mirror=False)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [([5, 5, 5, 5], 4), ([9, 0, 0, 0], 1), ([3, 3, 0, 0], 2), ([2, 1, 1], math.exp(0.5 * math.log(2) + 0.5 * math.log(4))), ([0, 0], 1)],
)
def test_the_perplexity_of_known_use_is_known(counts, expected):
    assert perplexity(torch.tensor(counts)) == pytest.approx(expected)


def test_features_do_not_depend_on_where_a_clip_goes_nor_its_velocity_on_the_rate():
    motion = waving(2, 120, 3)
    turned = motion.transformed(2.0, (3.0, 0.0, -1.0))
    clips = [torch.from_numpy(np.array(m.joints[:CLIP_FRAMES])) for m in (motion, turned, motion[::2])]
    features = clip_features(torch.stack(clips), torch.tensor([120.0, 120.0, 60.0]))
    assert features.shape == (3, 3 * (8 * 21 + 7))
    torch.testing.assert_close(features[0], features[1], atol=1e-3, rtol=0)
    speeds = features[:, -3 * (CLIP_FRAMES - 1) :].unflatten(-1, (-1, 3)).norm(dim=-1)
    torch.testing.assert_close(speeds, torch.full_like(speeds, 1.0), atol=1e-3, rtol=0)


def test_a_code_that_nothing_is_near_to_is_moved_to_where_vectors_are():
    quantiser = Quantiser(CodebookConfig(size=4, code_width=2, decay=0.5))
    generator = torch.Generator().manual_seed(0)
    vectors = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]).repeat(25, 1) + 0.01 * torch.randn(100, 2, generator=generator)
    quantiser.codes.copy_(torch.tensor([[0.5, 0.5], [9, 9], [9, -9], [-9, 9]]))
    quantiser.total.copy_(quantiser.codes)
    for _ in range(40):
        quantiser.follow(vectors, quantiser.nearest(vectors), torch.rand(4, generator=generator))
    assert perplexity(torch.bincount(quantiser.nearest(vectors), minlength=4)) > 2.9
    assert (vectors - quantiser.codes[quantiser.nearest(vectors)]).norm(dim=-1).mean() < 0.3


def test_a_short_training_uses_most_codes_and_repeats_exactly(windows):
    first, second = (train_codebook(windows, steps=100, seed=5, config=SMALL, device="cpu") for _ in range(2))
    assert first.codes.shape == (32, 8) and torch.isfinite(first.codes).all()
    assert torch.equal(first.codes, second.codes)
    assert first.used >= 24 and 12 < first.perplexity <= first.used
    assert first.direction_deg < 20


def test_a_field_takes_the_codes_into_its_time_encoding(windows):
    codes = train_codebook(windows, steps=2, config=SMALL, device="cpu").codes
    config = FieldConfig(width=16, layers=1, latent=4, intervals=1, time_encoding="codebook", codebook_size=32, codebook_width=8)
    field = install(codes, Field(config))
    assert torch.equal(field.encoding.codebook, codes)
    with pytest.raises(InputError, match=r"codes of shape \[3, 8\]; the field expects \[32, 8\]"):
        install(codes[:3], field)
    with pytest.raises(InputError, match="only time_encoding=codebook has a codebook"):
        install(codes, Field(FieldConfig(width=16, layers=1, latent=4, intervals=1)))


def test_windows_without_a_clip_are_refused():
    with pytest.raises(InputError, match="no window of at least 8 frames"):
        train_codebook(load_windows([waving(0.1, 30, 1)], mirror=False), steps=1, config=SMALL)
