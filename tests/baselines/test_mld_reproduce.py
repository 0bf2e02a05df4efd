"""MLD against the outputs of the original, and every configuration that the settings allow run to the end."""

import copy
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.cases import Case, read_arrays, read_case
from baselines.mld.config import MldConfig, denoiser_from_official, vae_from_official
from baselines.mld.denoiser import Denoiser
from baselines.mld.reproduce import reproduce
from baselines.mld.system import load
from baselines.mld.vae import build_vae
from nerm.errors import InputError

SOURCES = os.environ.get("NERM_SOURCES")
CASES = Path(SOURCES or ".") / "golden" / "mld"
golden = pytest.mark.skipif(
    SOURCES is None or not CASES.exists(), reason="the cases of the original are not there: set NERM_SOURCES to their folder"
)
# All published cases; listing them here makes a missing one fail instead of passing unseen.
NAMES = ("action_small", "features_denoiser_small", "text_full", "text_small")

ABLATION = {"VAE_TYPE": "mld", "VAE_ARCH": "encoder_decoder", "PE_TYPE": "mld", "DIFF_PE_TYPE": "mld", "SKIP_CONNECT": True}
ABLATION |= {"MLP_DIST": False, "IS_DIST": False, "PREDICT_EPSILON": True}
SCHEDULER = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SCHEDULER |= {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}


@golden
@pytest.mark.parametrize("name", NAMES)
def test_the_outputs_are_those_of_the_original(name):
    case = read_case(CASES / name)
    made, expected = reproduce(case), read_arrays(CASES / name / "outputs.npz")
    assert made.keys() == expected.keys() == case.fixture["outputs"].keys()
    for key, value in expected.items():
        limit = case.fixture["outputs"][key]["tolerance"]
        assert made[key].shape == value.shape and made[key].dtype == value.dtype, key
        if value.dtype.kind == "f":
            ratio = np.abs(made[key] - value) / (limit["atol"] + limit["rtol"] * np.abs(value))
            assert ratio.max() <= 0.5, (key, float(ratio.max()))
        else:
            assert np.array_equal(made[key], value), key


@golden
def test_the_checkpoint_of_a_case_is_read_as_an_official_file(tmp_path):
    case = read_case(CASES / "text_small")
    path = tmp_path / "model.ckpt"
    path.write_bytes((case.folder / "model.ckpt").read_bytes())
    np.save(tmp_path / "Mean.npy", np.zeros(263, np.float32))
    np.save(tmp_path / "Std.npy", np.ones(263, np.float32))
    made = load("mld", path)
    assert made.config.vae.latent == [1, 32] and made.config.vae.layers == made.config.denoiser.layers == 5
    z = torch.from_numpy(case.inputs["z"]).transpose(0, 1)
    expected = read_arrays(case.folder / "outputs.npz")["decoded"]
    for k, frames in enumerate(case.inputs["decode_lengths"].tolist()):
        np.testing.assert_allclose(made.decode(z[k], frames).numpy(), expected[k, :frames], atol=2e-5)


def made_up(folder, changes=None, vae=None, denoiser=None, ablation=None, without=(), text=40):
    """A case with random weights and inputs, of which every output is wanted."""
    shared = {"ablation": ABLATION | (ablation or {}), "nfeats": 263, "latent_dim": [1, 16], "ff_size": 24, "num_layers": 3, "num_heads": 4}
    own = shared | {"condition": "text", "guidance_scale": 7.5, "text_encoded_dim": text, "arch": "trans_enc", "nclasses": 5}
    config = {
        "vae_class": "MldVae",
        "vae": shared | {"arch": "encoder_decoder"} | (vae or {}),
        "denoiser": own | (denoiser or {}),
        "scheduler": dict(SCHEDULER),
        "noise_scheduler": SCHEDULER | {"variance_type": "fixed_small", "steps_offset": 0, "set_alpha_to_one": True},
        "num_inference_timesteps": 10,
    }
    for key, value in (changes or {}).items():
        config[key] = value
        if value is None:
            del config[key]
    random = np.random.default_rng(0)

    def normal(*shape):
        return random.standard_normal(shape).astype(np.float32)

    tokens, width = config["denoiser"]["latent_dim"]
    features = config["denoiser"]["nfeats"]
    raw = "vae" not in config
    latent = (12, features) if raw else (tokens, width)
    inputs = {
        "motions": normal(3, 12, features),
        "lengths": np.array([12, 5, 8]),
        "latent_noise": normal(tokens, 3, width),
        "z": normal(tokens, 2, width),
        "decode_lengths": np.array([4, 12]),
        "sample": normal(3, *latent),
        "timesteps": np.array([1, 981]),
        "text_embed": normal(3, 1, text),
        "train_noise": normal(3, *latent),
        "train_timesteps": np.array([3, 500, 999]),
        "denoise_lengths": np.array([12, 6, 9]),
        "sample_init": normal(2, *latent),
        "sample_lengths": np.array([12, 7]),
        "sample_text_embed": normal(2, 1, text),
        "sample_uncond_embed": normal(1, 1, text),
        "action": np.array([0, 4, 2]),
        "sample_action": np.array([3, 1]),
    }
    if raw:
        inputs["step_noise"] = normal(10, 2, *latent)
    action = config["denoiser"]["condition"] == "action"
    wanted = {"noise_pred_0": [6 if action else 3, *latent], "noise_pred_1": [6 if action else 3, *latent], "alphas_cumprod": [1000]}
    wanted |= {"train_noisy": [3, *latent], "train_noise_pred": [3, *latent], "sample_timesteps": [10]}
    wanted |= {"sampled_latent": [latent[0], 2, latent[1]], "sampled_latent_steps": [3, latent[0], 2, latent[1]]}
    wanted["sampled_features"] = [2, 12, features]
    if not raw:
        wanted |= {"mu": [tokens, 3, width], "std": [tokens, 3, width], "latent": [tokens, 3, width]}
        wanted |= {"reconstruction": [3, 12, features], "decoded": [2, 12, features]}
        if config["vae_class"] == "ActorVae":
            wanted["mu"] = wanted["std"] = [3, width]
    torch.manual_seed(0)
    parts = {"denoiser": Denoiser(denoiser_from_official(config["denoiser"]))}
    if not raw:
        parts["vae"] = build_vae(vae_from_official(config["vae"], config["vae_class"]))
    state = {f"{prefix}.{name}": value for prefix, module in parts.items() for name, value in module.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 1, "global_step": 2}, folder / "model.ckpt")
    outputs = {name: {"shape": shape, "dtype": "float32"} for name, shape in wanted.items()}
    kept = {name: value for name, value in inputs.items() if name not in without}
    return Case(folder, "mld", "made_up", config, {"outputs": outputs, "checkpoint": {"file": "model.ckpt"}}, kept)


RAW = {"vae": None, "vae_class": None, "scheduler": None}
VARIANTS = {
    "text": {},
    "seven latents": {"vae": {"latent_dim": [7, 16]}, "denoiser": {"latent_dim": [7, 16]}},
    "kit": {"vae": {"nfeats": 251}, "denoiser": {"nfeats": 251}},
    "deep and wide": {"vae": {"num_layers": 7, "ff_size": 40}, "denoiser": {"num_layers": 9, "num_heads": 2}},
    "linear distribution": {"ablation": {"MLP_DIST": True}},
    "all encoder": {"vae": {"arch": "all_encoder"}},
    "sinusoids": {"ablation": {"PE_TYPE": "actor", "DIFF_PE_TYPE": "actor"}},
    "normalised before": {"vae": {"normalize_before": True}, "denoiser": {"normalize_before": True}},
    "relu": {"vae": {"activation": "relu"}, "denoiser": {"activation": "relu"}},
    "no skips": {"ablation": {"SKIP_CONNECT": False}, "denoiser": {"num_layers": 4}},
    "decoder": {"denoiser": {"arch": "trans_dec", "num_layers": 2}},
    "clean latents": {"ablation": {"PREDICT_EPSILON": False}},
    "sines first": {"denoiser": {"flip_sin_to_cos": False, "freq_shift": 1}},
    "text as wide as the latent": {"text": 16},
    "without guidance": {"denoiser": {"guidance_scale": 1.0}},
    "unconditional": {"denoiser": {"condition": "text_uncond"}, "without": ("sample_text_embed",)},
    "action": {"changes": {"vae_class": "ActorVae"}, "vae": {"nfeats": 150}, "denoiser": {"condition": "action", "nfeats": 150}},
    "raw features, decoder": {"changes": RAW, "ablation": {"VAE_TYPE": "no"}, "denoiser": {"arch": "trans_dec"}},
    "raw features, encoder": {"changes": RAW, "ablation": {"VAE_TYPE": "no"}},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_configuration_gives_every_output_in_its_shape(name, tmp_path):
    case = made_up(tmp_path, **copy.deepcopy(VARIANTS[name]))
    made = reproduce(case)
    assert {key: list(value.shape) for key, value in made.items() if key != "train_noise_pred"} == {
        key: about["shape"] for key, about in case.fixture["outputs"].items() if key != "train_noise_pred"
    }
    assert all(np.isfinite(value).all() for value in made.values())


def test_guidance_takes_the_unconditional_half_first(tmp_path):
    """The reverse process written out, with calls of one half each."""
    case = made_up(tmp_path)
    sampled = reproduce(case)["sampled_latent"]
    denoiser = Denoiser(denoiser_from_official(case.config["denoiser"])).eval()
    state = case.checkpoint()["state_dict"]
    denoiser.load_state_dict({k.removeprefix("denoiser."): v for k, v in state.items() if k.startswith("denoiser.")})
    beta = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    abar = np.cumprod(1 - beta)
    x = torch.from_numpy(case.inputs["sample_init"])
    text, nothing = (torch.from_numpy(case.inputs[f"sample_{name}_embed"]) for name in ("text", "uncond"))
    with torch.no_grad():
        for k in range(901, 0, -100):
            some, none = denoiser(x, torch.tensor(k), text), denoiser(x, torch.tensor(k), nothing.expand(2, -1, -1))
            predicted = none + 7.5 * (some - none)
            now, then = abar[k], abar[k - 100] if k > 100 else abar[0]
            x = then**0.5 * (x - (1 - now) ** 0.5 * predicted) / now**0.5 + (1 - then) ** 0.5 * predicted
    np.testing.assert_allclose(sampled, x.transpose(0, 1).numpy(), atol=2e-3, rtol=1e-4)


def test_what_a_case_cannot_have_is_refused(tmp_path):
    case = made_up(tmp_path)
    with pytest.raises(InputError, match=r"config\.shceduler is not known; did you mean scheduler"):
        reproduce(made_up(tmp_path, changes={"shceduler": {}}))
    with pytest.raises(InputError, match="output 'mo' is not known"):
        reproduce(Case(tmp_path, "mld", "x", case.config, {**case.fixture, "outputs": {"mo": {"shape": []}}}, case.inputs))
    with pytest.raises(InputError, match="input 'sample_text_embed' is missing"):
        reproduce(made_up(tmp_path, without=("sample_text_embed",)))
    with pytest.raises(InputError, match="input 'motions' is missing"):
        reproduce(made_up(tmp_path, without=("motions",)))
    with pytest.raises(InputError, match="vae_class=VposertVae"):
        reproduce(Case(tmp_path, "mld", "x", case.config | {"vae_class": "VposertVae"}, case.fixture, case.inputs))
    assert MldConfig().guidance == 7.5
