"""Training of T2M: its losses, batches and curriculum, and a short run from data to motions."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from baselines.data import FeatureData
from baselines.t2m import training
from baselines.t2m.network import CONTACTS, SCALES, UNIT, T2MConfig, TemporalVAE, Unrolled
from baselines.t2m.system import load
from baselines.t2m.training import (
    SETTINGS,
    STAGES,
    BoundedAdam,
    MotionTask,
    Settings,
    SnippetTask,
    gaussian_divergence,
    stage_budgets,
    train,
    vae_losses,
)
from baselines.t2m.words import own_words
from nerm.checkpoint import read
from nerm.data.dataset import Item, sentence_of
from nerm.generator import Condition, Facts
from nerm.muon import Muon
from nerm.training import Budget

LABELS = ["cmu/walk", "hdm05/grabHighR", "hdm05/depositFloorR"]
TINY = {
    "dim_text_hidden": 8, "dim_att_vec": 6, "dim_z": 4, "dim_pri_hidden": 8, "dim_pos_hidden": 8, "dim_dec_hidden": 8,
    "dim_movement_enc_hidden": 8, "dim_movement_latent": 8, "dim_movement_dec_hidden": 8, "length_hidden": 8, "length_width": 16,
}  # fmt: skip


def features(count, seed):
    """Smooth frames of 263 numbers, some motions short and one without a caption."""
    random = np.random.default_rng(seed)
    made = [torch.from_numpy(random.normal(size=(n, 263)).cumsum(0).astype(np.float32) * 0.05) for n in random.integers(10, 190, count)]
    captions = [(), *((sentence_of(LABELS[int(k)], "multirate"),) for k in random.integers(len(LABELS), size=count - 1))]
    items = [Item(str(k), "", 20.0, len(x) / 20, captions[k]) for k, x in enumerate(made)]
    return FeatureData(made, [-x for x in made], items, torch.zeros(263), torch.full((263,), 0.3))


@pytest.fixture(scope="module")
def data():
    return features(40, 0), features(9, 1)


@pytest.fixture(scope="module")
def task(data):
    torch.manual_seed(0)
    return MotionTask(*data, own_words(), TemporalVAE(T2MConfig(**TINY)), Settings(motion_batch=6))


def test_the_divergence_is_that_of_two_gaussians():
    mean1, logvar1, mean2, logvar2 = torch.randn(4, 5, 3)
    normal = [torch.distributions.Normal(m, (v / 2).exp()) for m, v in ((mean1, logvar1), (mean2, logvar2))]
    torch.testing.assert_close(
        gaussian_divergence(mean1, logvar1, mean2, logvar2), torch.distributions.kl_divergence(*normal), atol=1e-5, rtol=1e-5
    )


def test_padding_counts_in_no_loss():
    motion, made = torch.randn(2, 2, 12, 263)
    targets, codes = torch.randn(2, 2, 3, 8)
    gaussians = torch.randn(4, 2, 3, 4)
    snippets = torch.tensor([3, 1])
    written = Unrolled(codes, torch.zeros(0), tuple(gaussians[:2]), tuple(gaussians[2:]))
    before = vae_losses(motion, made, targets, written, 0.01, snippets)
    made[1, UNIT:], codes[1, 1:], gaussians[:, 1, 1:] = 9.0, 9.0, 0.5
    after = vae_losses(motion, made, targets, written, 0.01, snippets)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    whole = vae_losses(motion, made, targets, written, 0.01)
    torch.testing.assert_close(whole.motion, torch.nn.functional.smooth_l1_loss(made, motion))
    assert whole.total > after.total


def test_the_curriculum_goes_from_ten_snippets_to_the_longest(task):
    levels = [task.level(progress) for progress in (0.0, 0.3, 0.6, 1.0)]
    assert levels[0] == 10 and levels == sorted(levels) and levels[2:] == [51, 51]
    for progress in (0.0, 1.0):
        motion = task.batch(torch.Generator().manual_seed(0), progress).motion
        assert motion.shape[1] <= task.level(progress) * UNIT and motion.shape[1] % UNIT == 0


def test_a_batch_repeats_with_its_generator_and_holds_motions_of_similar_length(task):
    batches = [task.batch(torch.Generator().manual_seed(5), 1.0) for _ in range(2)]
    assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(*batches, strict=True))
    spread = [float(np.ptp(task.batch(torch.Generator().manual_seed(k), 1.0).lengths.numpy())) for k in range(20)]
    assert np.mean(spread) < 60  # of lengths from 8 to 188
    forced = [task.batch(torch.Generator().manual_seed(k), 0.0).forced for k in range(100)]
    assert 0.25 < np.mean(forced) < 0.55


def test_time_to_arrival_counts_to_the_end_of_the_whole_motion(task):
    for seed in range(10):
        batch = task.batch(torch.Generator().manual_seed(seed), 0.0)
        assert len(batch.noise) == batch.motion.shape[1] // UNIT <= 10
        if int(batch.lengths.max()) > batch.motion.shape[1]:
            return
    raise AssertionError("no motion went on beyond the curriculum")


def test_the_movement_encoder_stands_still_and_every_other_part_learns(task):
    task.module.train()
    assert not task.module.vae.mov_enc.training and task.module.vae.text_enc.training
    loss, parts = task.module(*task.batch(torch.Generator().manual_seed(0), 0.5), progress=0.5)
    loss.backward()
    learning = {name.split(".")[1] for name, p in task.module.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learning == {"text_enc", "seq_pri", "seq_post", "seq_dec", "att_layer", "mov_dec"} and set(parts) == {
        "motion",
        "codes",
        "divergence",
    }


@pytest.mark.parametrize("scale", ["shipped", "paper"])
def test_every_part_that_learns_has_one_optimizer_and_the_movement_decoder_the_slowest(task, scale):
    settings = SETTINGS[scale]
    optimizers = MotionTask(task.train, task.val, task.words, task.module.vae, settings).optimizers()
    owned = [id(p) for optimizer in optimizers for group in optimizer.param_groups for p in group["params"]]
    assert len(owned) == len(set(owned)) == len([p for p in task.module.parameters() if p.requires_grad])
    rates = [optimizer.defaults["lr"] for optimizer in optimizers if isinstance(optimizer, BoundedAdam)]
    assert rates == [settings.motion_rate] * 5 + [pytest.approx(0.1 * settings.motion_rate)]
    by_muon = [p for o in optimizers if isinstance(o, Muon) for group in o.param_groups for p in group["params"]]
    assert len(by_muon) == (20 if scale == "shipped" else 0)
    said = {id(p) for cell in (task.module.vae.seq_pri, task.module.vae.seq_post) for p in (cell.mu_net.weight, cell.logvar_net.weight)}
    assert not said & {id(p) for p in by_muon}  # what is said is not between layers


def test_each_networks_gradient_has_a_largest_norm_of_its_own():
    weights = [torch.nn.Parameter(torch.zeros(3)) for _ in range(2)]
    for weight, size in zip(weights, (100.0, 0.1), strict=True):
        weight.grad = torch.full((3,), size)
        training.BoundedAdam([weight], lr=1e-3, norm=0.5).step()
    assert weights[0].grad.norm() == pytest.approx(0.5, rel=1e-3) and weights[1].grad.norm() == pytest.approx(0.1 * 3**0.5)


def test_the_movement_encoder_does_not_see_the_contacts(task):
    x = torch.randn(1, 8, 263)
    y = x.clone()
    y[..., -CONTACTS:] = 5.0
    assert torch.equal(task.module.vae.encode(x), task.module.vae.encode(y))


def test_windows_of_the_auto_encoder_lie_inside_the_motions(data):
    task = SnippetTask(*data, TemporalVAE(T2MConfig(**TINY)), Settings(mirror=0.0))
    (batch,) = task.batch(torch.Generator().manual_seed(0), 0.0)
    assert batch.shape == (128, 24, 263)
    frames = {tuple(frame[:3].tolist()) for x in data[0].features for frame in x / 0.3}
    assert all(tuple(window[k, :3].tolist()) in frames for window in batch[:10] for k in (0, 23))


def test_the_stages_share_the_budget():
    assert sum(STAGES.values()) == pytest.approx(1.0)
    parts = list(stage_budgets(Budget(minutes=40.0, device="cpu", seed=7)).values())
    assert [part.minutes for part in parts] == pytest.approx([2.0, 10.0, 28.0])
    assert all(part.max_gradient_norm == 0 and part.seed == 7 and part.device == "cpu" for part in parts)


def test_a_short_training_repeats_and_gives_a_file_that_samples(data, tmp_path, monkeypatch):
    dataset, budget = SimpleNamespace(name="multirate", digest="c" * 64), Budget(steps=20, device="cpu", seed=3)
    monkeypatch.setattr(training, "load_feature_data", lambda dataset, split: data[split == "val"])
    monkeypatch.setitem(training.SETTINGS, "shipped", Settings(length_batch=4, snippet_batch=4, motion_batch=3, groups=2))
    monkeypatch.setattr("nerm.training.draw_curves", lambda *_: None)
    for name, width in TINY.items():
        monkeypatch.setitem(SCALES["shipped"], name, width)
    paths = [train(dataset, budget, tmp_path / name) for name in "ab"]
    assert paths[0] == tmp_path / "a" / "t2m.safetensors"
    about = read(paths[0], "t2m").about
    facts = Facts.of(about["facts"])
    samples = {"length": 4, "snippets": 20, "motion": 42}
    steps = {"length": 1, "snippets": 5, "motion": 14}
    assert facts == Facts(facts.parameters, steps, samples, facts.seconds, "cpu", True, "multirate") and facts.parameters > 0
    assert about["seed"] == 3 and about["trained_on"] == "c" * 64
    made = [load("t2m", path, "cpu").sample([Condition(label=LABELS[0])] * 2, [2.0, 4.0], 60, [0, 1]) for path in paths]
    assert [len(motion) for motion in made[0]] == [121, 241]
    assert all(np.array_equal(a.joints, b.joints) for a, b in zip(*made, strict=True))
    again = train(dataset, budget, tmp_path / "a")  # a finished run is not trained again
    assert Facts.of(read(again).about["facts"]).steps == facts.steps
