"""MDM as a network and a diffusion: the outputs of the original, and what they promise for every option."""

import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.cases import Case, read_arrays, read_case
from baselines.features import valid_frames
from baselines.mdm.config import SCALES, MDMConfig, NetworkConfig
from baselines.mdm.files import state_of
from baselines.mdm.network import MDM
from baselines.mdm.reproduce import reproduce
from baselines.mdm.training import masked_mse
from nerm.errors import InputError

SOURCES = os.environ.get("NERM_SOURCES")
CASES = Path(SOURCES or ".") / "golden" / "mdm"
golden = pytest.mark.skipif(
    SOURCES is None or not CASES.exists(), reason="the cases of the original are not there: set NERM_SOURCES to their folder"
)
SMALL = NetworkConfig(njoints=9, latent_dim=16, ff_size=24, num_layers=2, clip_dim=12, pos_embed_max_len=64)
CASE_NAMES = [
    "action_small",
    "schedules",
    "text_decoder_bert_small",
    "text_full",
    "text_masked_ema_small",
    "text_small",
    "unconstrained_small",
]


@golden
@pytest.mark.parametrize("name", CASE_NAMES)
def test_the_outputs_are_those_of_the_original(name):
    case = read_case(CASES / name)
    made, expected = reproduce(case), read_arrays(CASES / name / "outputs.npz")
    assert made.keys() == expected.keys()
    for key, value in expected.items():
        limit = case.fixture["outputs"][key]["tolerance"]
        assert made[key].shape == value.shape and made[key].dtype == value.dtype, key
        assert (np.abs(made[key] - value) <= limit["atol"] + limit["rtol"] * np.abs(value)).all(), key


@golden
@pytest.mark.parametrize("key, value", [("model", {"emb_policy": "concat"}), ("model", {"arch": "mamba"}), ("guide", 1)])
def test_an_option_that_cannot_be_honoured_is_named(key, value):
    case = read_case(CASES / "text_small")
    changed = case.config | {key: case.config[key] | value if key == "model" else value}
    with pytest.raises(InputError, match=key if key != "model" else next(iter(value))):
        reproduce(replace(case, config=changed))


def network(**options) -> MDM:
    torch.manual_seed(0)
    return MDM(replace(SMALL, **options)).eval()


def arguments(net: MDM, batch=3, frames=7, tokens=None):
    config = net.config
    x = torch.randn(batch, config.njoints, config.nfeats, frames)
    step = torch.arange(batch) * 5
    if config.cond_mode == "text":
        condition = torch.randn(batch, tokens or (5 if config.text_encoder_type == "bert" else 1), config.text_dim)
    else:
        condition = torch.arange(batch) if config.cond_mode == "action" else None
    return x, step, condition


EVERY = [
    {},
    {"mask_frames": True},
    {"arch": "trans_dec"},
    {"arch": "trans_dec", "emb_trans_dec": True, "mask_frames": True},
    {"arch": "trans_dec", "text_encoder_type": "bert"},
    {"arch": "trans_dec", "text_encoder_type": "bert", "emb_trans_dec": True},
    {"arch": "gru"},
    {"cond_mode": "action", "num_actions": 40, "njoints": 25, "nfeats": 6, "data_rep": "rot6d"},
    {"cond_mode": "action", "num_actions": 12, "arch": "gru"},
    {"cond_mode": "action", "num_actions": 12, "arch": "trans_dec"},
    {"cond_mode": "no_cond"},
    {"data_rep": "rot_vel"},
    {"njoints": 251},
    {"activation": "relu"},
]


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_guidance_in_one_batch_is_guidance_in_two_calls(options):
    net = network(**options)
    x, step, condition = arguments(net)
    padding = torch.arange(5) >= torch.tensor([[5], [2], [3]]) if net.config.text_encoder_type == "bert" else None
    scale = torch.tensor([2.5, 1.0, 0.0])
    with torch.no_grad():
        given, null = (net(x, step, condition, torch.full((3,), keep), padding) for keep in (True, False))
        guided = net.guided(x, step, scale, condition, None, padding)
    assert given.shape == x.shape
    assert torch.allclose(guided, null + scale[:, None, None, None] * (given - null), atol=1e-5)
    if condition is not None:
        assert (given - null).abs().max() > 1e-3


@pytest.mark.parametrize("options", [o for o in EVERY if o.get("mask_frames")], ids=str)
def test_masked_padding_does_not_matter_and_a_call_without_it_is_the_same(options):
    net = network(**options)
    x, step, condition = arguments(net)
    padded = torch.cat([x, 9 * torch.randn(*x.shape[:3], 5)], -1)
    with torch.no_grad():
        short = net(x, step, condition)
        long = net(padded, step, condition, valid=valid_frames(torch.tensor([7, 7, 7]), 12))
    assert torch.allclose(long[..., :7], short, atol=1e-5)
    with torch.no_grad():
        assert not torch.allclose(net(padded, step, condition)[..., :7], short, atol=1e-3)


def test_frames_beyond_the_length_matter_without_a_mask():
    net = network()
    x, step, condition = arguments(net)
    other = x.clone()
    other[..., 5:] += 1
    with torch.no_grad():
        difference = net(x, step, condition, valid=valid_frames(torch.tensor([5] * 3), 7)) - net(other, step, condition)
    assert difference[..., :5].abs().max() > 1e-3


@pytest.mark.parametrize("options", EVERY, ids=str)
def test_no_fused_path_replaces_the_layers_in_inference(options):
    net = network(**options)
    x, step, condition = arguments(net)
    valid = valid_frames(torch.tensor([7, 4, 1]), 7)
    with torch.no_grad():
        inference = net(x, step, condition, valid=valid)
    assert torch.allclose(inference, net(x, step, condition, valid=valid).detach(), atol=1e-6)


def test_the_gru_runs_along_the_batch_and_every_frame_is_on_its_own():
    net = network(arch="gru")
    x, step, condition = arguments(net)
    with torch.no_grad():
        whole = net(x, step, condition)
        assert torch.allclose(net(x[..., :4], step, condition), whole[..., :4], atol=1e-6)
        assert torch.allclose(net(x[:2], step[:2], condition[:2]), whole[:2], atol=1e-6)
        assert not torch.allclose(net(x[1:], step[1:], condition[1:]), whole[1:], atol=1e-4)


def test_the_decoder_with_a_timestep_token_reads_the_text_from_memory_alone():
    """Its output is that of PyTorch's decoder over [time, frames] with the memory text + time."""
    net = network(arch="trans_dec", emb_trans_dec=True)
    x, step, condition = arguments(net)
    with torch.no_grad():
        time = net.embed_timestep(step)
        memory = net.embed_text(condition.transpose(0, 1)) + time
        tokens = torch.cat([time, net.input_process.poseEmbedding(x[:, :, 0].permute(2, 0, 1))])
        out = net.seqTransDecoder(tokens + net.sequence_pos_encoder.pe[: len(tokens), None], memory)[1:]
        expected = net.output_process.poseFinal(out).permute(1, 2, 0)[:, :, None]
        assert torch.allclose(net(x, step, condition), expected, atol=1e-6)


def test_what_is_left_out_of_a_text_keeps_the_bias_and_of_an_action_nothing():
    for options in ({}, {"cond_mode": "action", "num_actions": 4}):
        net = network(**options)
        x, step, condition = arguments(net)
        with torch.no_grad():
            without = net(x, step, condition, torch.zeros(3, dtype=torch.bool))
            changed = net(x, step, torch.zeros_like(condition), torch.zeros(3, dtype=torch.bool))
            assert torch.equal(without, changed)
            if not options:
                net.embed_text.bias += 1
                assert not torch.allclose(net(x, step, condition, torch.zeros(3, dtype=torch.bool)), without, atol=1e-3)


@pytest.mark.parametrize(
    "options, count, tensors",
    [
        ({}, 17_880_327, 106),
        ({"njoints": 251}, 17_868_027, 106),
        ({"njoints": 25, "nfeats": 6, "cond_mode": "action", "num_actions": 12}, 17_507_990, 105),
        ({"njoints": 25, "nfeats": 6, "cond_mode": "action", "num_actions": 40}, 17_522_326, 105),
        ({"njoints": 25, "nfeats": 6, "cond_mode": "no_cond"}, 17_501_846, 104),
        ({"arch": "trans_dec"}, 26_293_511, 154),
        ({"njoints": 25, "nfeats": 6, "cond_mode": "action", "num_actions": 12, "arch": "gru"}, 13_555_350, 41),
    ],
    ids=["humanml3d", "kit", "humanact12", "uestc", "unconstrained", "decoder", "gru"],
)
def test_the_published_sizes(options, count, tensors):
    with torch.device("meta"):
        net = MDM(replace(SCALES["paper"].network, **options))
    assert sum(p.numel() for p in net.parameters()) == count
    assert len(net.state_dict()) == tensors  # and the two sinusoidal tables, which are not stored


def test_the_shipped_size_is_in_the_budget():
    with torch.device("meta"):
        assert sum(p.numel() for p in MDM(SCALES["shipped"].network).parameters()) <= 1_700_000


@pytest.mark.parametrize(
    "options",
    [
        {"arch": "mamba"},
        {"cond_mode": "music"},
        {"text_encoder_type": "bert"},
        {"emb_trans_dec": True},
        {"latent_dim": 18},
        {"num_layers": 0},
        {"num_heads": 2.0},
        {"dropout": 1.5},
        {"data_rep": "quaternions"},
        {"activation": "silu"},
    ],
    ids=str,
)
def test_a_network_that_cannot_be_built_is_an_input_error_that_names_the_option(options):
    with pytest.raises(InputError, match=next(iter(options))):
        replace(SMALL, **options)


def test_options_of_the_original_constructor_are_taken_or_refused_by_name():
    known = {"modeltype": "", "njoints": 263, "nfeats": 1, "glob": True, "clip_version": "ViT-B/32", "action_emb": "tensor"}
    assert NetworkConfig.from_official(known) == NetworkConfig()
    for option in ({"emb_policy": "concat"}, {"pred_len": 40}, {"action_emb": "scalar"}, {"latent_dims": 512}):
        with pytest.raises(InputError, match=next(iter(option))):
            NetworkConfig.from_official(known | option)


def test_positions_end_somewhere():
    net = network()
    x, step, condition = arguments(net, frames=64)
    with pytest.raises(InputError, match="64 frames"):
        net(x, step, condition)
    with pytest.raises(InputError, match="step 70"):
        net(x[..., :5], step + 60, condition)
    with pytest.raises(InputError, match="no condition"):
        net(x[..., :5], step)


def test_averaged_weights_are_preferred_and_text_encoder_body_model_and_tables_are_dropped():
    state = network().state_dict()
    noise = {"clip_model.x": torch.ones(1), "rot2xyz.y": torch.ones(1), "embed_timestep.sequence_pos_encoder.pe": torch.ones(1)}
    doubled = {name: value * 2 for name, value in state.items()}
    assert state_of(state | noise, "file").keys() == state.keys()
    assert torch.equal(state_of({"model": state, "model_avg": doubled}, "file")["embed_text.bias"], doubled["embed_text.bias"])
    with pytest.raises(InputError, match="model_avg"):
        state_of({"model": state}, "file", averaged=True)


def test_the_loss_counts_valid_frames_alone():
    x, predicted = torch.zeros(2, 3, 1, 4), torch.ones(2, 3, 1, 4)
    predicted[0, ..., 2:] = 100
    assert torch.allclose(masked_mse(x, predicted, valid_frames(torch.tensor([2, 4]), 4)), torch.ones(2))


def test_a_system_keeps_its_own_limits():
    for wrong in ({"sampling_steps": 1001}, {"sampling_steps": 0}, {"longest": 200}, {"guidance": float("nan")}, {"diffusion_steps": 9000}):
        with pytest.raises(InputError):
            replace(MDMConfig(), **wrong)
    assert MDMConfig.of(asdict(SCALES["shipped"])) == SCALES["shipped"]


def test_an_unknown_output_of_a_case_is_named(tmp_path):
    fixture = {"outputs": {"betas_10": {}, "gamma_10": {}}}
    with pytest.raises(InputError, match="gamma_10"):
        reproduce(Case(tmp_path, "mdm", "schedules", {"noise_schedule": "cosine"}, fixture, {}))
