"""The cases of the original T2M: every output, through the networks and losses that users run."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from baselines.cases import Case
from baselines.checkpoints import load_strict
from baselines.t2m.network import CONTACTS, UNIT, VAE_PARTS, MotionLenEstimatorBiGRU, T2MConfig, TemporalVAE
from baselines.t2m.system import networks_of
from baselines.t2m.training import auto_encoder_losses, vae_losses
from nerm.cli import suggest
from nerm.errors import InputError

_AUTO_ENCODER = {"dim_pose", "dim_movement_enc_hidden", "dim_movement_latent", "dim_movement_dec_hidden"}
_ESTIMATOR = {"dim_word", "dim_pos_ohot", "hidden_size", "num_classes"}
_VAE = _AUTO_ENCODER | {"dim_word", "dim_pos_ohot", "dim_text_hidden", "dim_att_vec", "dim_z"} | {
    f"{kind}_{part}{end}" for part in ("pri", "pos", "dec") for kind, end in (("dim", "_hidden"), ("n_layers", ""))
}  # fmt: skip
_PASSES = {"train_free": (False, False), "train_forced": (True, False), "train_prior": (False, True)}  # (forced, by_prior)


@torch.no_grad()
def reproduce(case: Case) -> dict[str, NDArray]:
    """Every output that the fixture names, from configuration, checkpoint and inputs."""
    if "hidden_size" in case.config:
        outputs = _estimator(case)
    elif "dim_text_hidden" in case.config:
        outputs = _temporal_vae(case)
    else:
        outputs = _auto_encoder(case)
    unknown = [name for name in case.fixture["outputs"] if name not in outputs]
    if unknown:
        raise InputError(f"case {case.name}: output '{unknown[0]}' is not known; {suggest(unknown[0], list(outputs))}")
    return {name: outputs[name].numpy() for name in case.fixture["outputs"]}


def _settings(case: Case, needed: set[str], weights: tuple[str, ...]) -> tuple[dict[str, int], dict[str, float]]:
    """(widths, weights of loss terms); what is missing, unknown or not to be had is an InputError."""
    config: dict[str, Any] = dict(case.config)
    if config.pop("unit_length", UNIT) != UNIT:
        raise InputError(
            f"case {case.name}: unit_length={case.config['unit_length']}; the convolutions of T2M make snippets of {UNIT} frames"
        )
    missing, unknown = needed - config.keys(), config.keys() - needed - set(weights)
    if missing or unknown:
        what = f"lacks {sorted(missing)[0]}" if missing else f"has {sorted(unknown)[0]}, which is not known here"
        raise InputError(f"case {case.name}: its config {what}; expected {', '.join(sorted(needed | set(weights)))}")
    return {name: config[name] for name in needed}, {name: config[name] for name in weights if name in config}


def _estimator(case: Case) -> dict[str, Tensor]:
    widths, _ = _settings(case, _ESTIMATOR, ())
    network = MotionLenEstimatorBiGRU(widths["dim_word"], widths["dim_pos_ohot"], widths["hidden_size"], widths["num_classes"])
    state = networks_of(case.checkpoint(), ("estimator",), case.name)["estimator"]
    load_strict(network, state, f"case {case.name}, estimator")
    words, classes, lengths = (torch.from_numpy(case.inputs[name]) for name in ("word_embs", "pos_onehot", "cap_lens"))
    logits = network.eval()(words, classes, lengths)
    return {"logits": logits, "probabilities": logits.softmax(dim=-1)}


def _auto_encoder(case: Case) -> dict[str, Tensor]:
    widths, weights = _settings(case, _AUTO_ENCODER, ("lambda_sparsity", "lambda_smooth"))
    vae = TemporalVAE(T2MConfig(scale="paper", **widths)).eval()
    parts = networks_of(case.checkpoint(), ("movement_enc", "movement_dec"), case.name)
    load_strict(vae.mov_enc, parts["movement_enc"], f"case {case.name}, movement_enc")
    load_strict(vae.mov_dec, parts["movement_dec"], f"case {case.name}, movement_dec")
    motion = torch.from_numpy(case.inputs["motions"])
    codes = vae.mov_enc(motion[..., :-CONTACTS])
    reconstruction = vae.mov_dec(codes)
    losses = auto_encoder_losses(motion, codes, reconstruction, *(weights.get(f"lambda_{name}", 0.001) for name in ("sparsity", "smooth")))
    return {"latents": codes, "reconstruction": reconstruction, "losses": torch.stack(list(losses))}


def _temporal_vae(case: Case) -> dict[str, Tensor]:
    widths, weights = _settings(case, _VAE, ("lambda_kld",))
    vae = TemporalVAE(T2MConfig(scale="paper", **widths)).eval()
    for name, state in networks_of(case.checkpoint(), VAE_PARTS, case.name).items():
        load_strict(getattr(vae, name), state, f"case {case.name}, {name}")
    inputs = {name: torch.from_numpy(value) for name, value in case.inputs.items()}
    outputs: dict[str, Tensor] = {}
    if "word_embs" in inputs:
        outputs |= _generated(vae, inputs)
    if "train_motions" in inputs:
        outputs |= _training_passes(vae, inputs, weights.get("lambda_kld", 0.01))
    return outputs


def _generated(vae: TemporalVAE, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each caption by itself, as the original generates; results are padded with zeros to the longest."""
    texts = [(w[:n], c[:n]) for w, c, n in zip(inputs["word_embs"], inputs["pos_onehot"], inputs["cap_lens"].tolist(), strict=True)]
    noises = [noise[: frames // UNIT] for noise, frames in zip(inputs["noise_prior"].unbind(1), inputs["m_lens"].tolist(), strict=True)]
    words, steps = inputs["word_embs"].shape[1], max(len(noise) for noise in noises)
    outputs: dict[str, Tensor] = {}
    for name, drawn in (("mean", [torch.zeros_like(noise) for noise in noises]), ("noise", noises)):
        made = vae.generate(texts, drawn)
        outputs[f"motion_{name}"] = torch.stack([_padded(item.features, UNIT * steps) for item in made])
        outputs[f"prior_mu_{name}"] = torch.stack([_padded(item.prior_mean, steps) for item in made])
        outputs[f"attention_{name}"] = torch.stack([_padded(_padded(item.weights.T, steps).T, words) for item in made])
    return outputs


def _padded(x: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(x, (0, 0, 0, length - len(x)))


def _training_passes(vae: TemporalVAE, inputs: dict[str, Tensor], lambda_kld: float) -> dict[str, Tensor]:
    """The three kinds of training pass, over all given frames; the time to arrival may start from a later end than theirs."""
    motion, arrival = inputs["train_motions"], inputs["train_m_lens"] // UNIT
    states, summary = vae.text_enc(inputs["train_word_embs"], inputs["train_pos_onehot"], inputs["train_cap_lens"])
    targets = vae.encode(motion)
    outputs: dict[str, Tensor] = {}
    for name, (forced, by_prior) in _PASSES.items():
        noise = inputs["noise_train_prior" if by_prior else "noise_train_posterior"]
        written = vae.unroll(states, summary, arrival, noise, targets, forced, by_prior)
        made = vae.mov_dec(written.codes)
        losses = vae_losses(motion, made, targets, written, lambda_kld)
        assert written.posterior is not None
        gaussians = {"post": written.posterior, "pri": written.prior}
        outputs |= {f"{name}_motion": made, f"{name}_snippets": written.codes, f"{name}_losses": torch.stack(list(losses))}
        for which, (mean, logvar) in gaussians.items():
            outputs |= {f"{name}_mus_{which}": mean.transpose(0, 1), f"{name}_logvars_{which}": logvar.transpose(0, 1)}
    return outputs
