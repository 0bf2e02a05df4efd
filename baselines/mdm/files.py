"""Files of MDM: our own, and official ones, whose configuration is read from the tensors and the args.json beside them.

It knows names and shapes of tensors; what the network computes is not its business.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from baselines.checkpoints import load_strict, safe_load
from baselines.features import load_statistics
from baselines.mdm.config import MDMConfig, NetworkConfig
from baselines.mdm.network import MDM
from nerm import checkpoint
from nerm.errors import InputError
from nerm.generator import Facts

KIND = "mdm"
DROPPED_PREFIXES = ("clip_model.", "rot2xyz.")
DROPPED_TABLE = "sequence_pos_encoder.pe"
_FIRST = "input_process.poseEmbedding.weight"
# Options of args.json for tasks that are not supported here, and the value that turns each off.
_OFF = {"pred_len": 0, "context_len": 0, "multi_target_cond": False, "emb_policy": "add"}
_RATES = {263: 20.0, 251: 12.5}
_ACTION_FRAMES = 60


@dataclass
class Weights:
    """Everything a file gives. mean, std: [features] of the normalisation, None where the features are not normalised (actions)."""

    network: MDM
    config: MDMConfig
    mean: Tensor | None
    std: Tensor | None
    digest: str
    facts: Facts = field(default_factory=Facts)


def state_of(official: Any, what: str, averaged: bool | None = None) -> dict[str, Any]:
    """The state dict of an official checkpoint: flat, or {model, model_avg}, of which the average is preferred (averaged=True demands it).

    Text encoder, body model and sinusoidal tables, which the original does not load either, are left out.
    """
    if isinstance(official, Mapping) and official.keys() & {"model", "model_avg"}:
        unknown = [str(name) for name in official if name not in ("model", "model_avg")]
        if unknown:
            raise InputError(f"{what} holds {', '.join(unknown[:3])} beside its weights; an MDM file has model and model_avg alone")
        if averaged and "model_avg" not in official:
            raise InputError(f"{what} has no averaged weights (model_avg), which its configuration names; give the whole file")
        official = official.get("model_avg", official.get("model"))
    elif averaged:
        raise InputError(f"{what} has no averaged weights (model_avg), which its configuration names; give the whole file")
    if not isinstance(official, Mapping) or not isinstance(official.get(_FIRST), Tensor):
        kind = f"names such as {', '.join(map(str, list(official)[:3]))}" if isinstance(official, Mapping) else type(official).__name__
        raise InputError(f"{what} is not of MDM: it has {kind} and no '{_FIRST}'; give an MDM file (model*.pt)")
    return {k: v for k, v in official.items() if not k.startswith(DROPPED_PREFIXES) and not k.endswith(DROPPED_TABLE)}


def network_state(network: MDM, official: Any, what: str, averaged: bool | None = None) -> None:
    """Fill the network with an official checkpoint; every name must be there and no other one."""
    load_strict(network, state_of(official, what, averaged), what)


def save(weights: Weights, path: Path, **origin: Any) -> None:
    """Weights in fp16, at scale=shipped the matrices of its layers in 8 bits; float32 statistics, configuration and facts.

    origin: further entries of the metadata.
    """
    assert weights.mean is not None and weights.std is not None
    tensors = {**weights.network.state_dict(), "mean": weights.mean.float(), "std": weights.std.float()}
    about = {"config": asdict(weights.config), "facts": asdict(weights.facts), **origin}
    small = checkpoint.large_matrices(tensors, but="output_process.") if weights.config.scale == "shipped" else ()
    checkpoint.write(path, KIND, tensors, about, exact=("mean", "std"), small=small)


def load_own(path: Path) -> Weights:
    """From a file that `save` wrote."""
    stored = checkpoint.read(path, KIND)
    state = stored.part("")
    try:
        config, facts = MDMConfig.of(stored.about["config"]), Facts.of(stored.about["facts"])
        mean, std = state.pop("mean"), state.pop("std")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} has settings that this version does not read ({error}); train it again") from None
    network = MDM(config.network)
    load_strict(network, state, str(path))
    return Weights(network.eval(), config, mean, std, stored.digest, facts)


def load_official(path: Path) -> Weights:
    """From an official model*.pt. Text models need the mean.npy and std.npy of their data beside them."""
    what = f"checkpoint {path}"
    state = state_of(safe_load(path), what)
    config = _config(state, _arguments(path), what, path)
    network = MDM(config.network)
    load_strict(network, state, what)
    digest = hashlib.sha256(path.read_bytes())
    mean = std = None
    if config.network.cond_mode == "text" or config.network.nfeats == 1:
        mean, std = load_statistics(path, config.network.features)
        digest.update(mean.numpy().tobytes() + std.numpy().tobytes())
    return Weights(network.eval(), config, mean, std, digest.hexdigest())


def _arguments(path: Path) -> dict[str, Any]:
    """The args.json beside the checkpoint; empty where there is none."""
    file = path.parent / "args.json"
    if not file.is_file():
        return {}
    try:
        options = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is no JSON ({error}); restore the file or remove it") from None
    if not isinstance(options, dict):
        raise InputError(f"{file} holds a {type(options).__name__}; expected the options of a training run")
    return options


def _config(state: Mapping[str, Any], given: Mapping[str, Any], what: str, path: Path) -> MDMConfig:
    """Widths, architecture and condition from the tensors; the rest from the options, or the published values where there are none."""
    for name, off in _OFF.items():
        if given.get(name, off) != off:
            raise InputError(f"{what}: args.json has {name}={given[name]!r}, a task that is not supported here (only {name}={off!r})")
    arch = "gru" if "gru.weight_ih_l0" in state else "trans_dec" if any(k.startswith("seqTransDecoder.") for k in state) else "trans_enc"
    try:
        width, features = (int(size) for size in state[_FIRST].shape)
        features = int(state["output_process.poseFinal.weight"].shape[0])
        text = state.get("embed_text.weight")
        action = state.get("embed_action.action_embedding")
        text_dim = int(text.shape[1]) if text is not None else 512
        ff = 1024 if arch == "gru" else int(next(v for k, v in state.items() if k.endswith("layers.0.linear1.weight")).shape[0])
    except (KeyError, AttributeError, ValueError, IndexError, StopIteration) as error:
        raise InputError(f"{what} is not of MDM: {error or 'a layer'} is missing or has another shape") from None
    prefix = "gru.weight_ih_l" if arch == "gru" else f"seqTrans{'Encoder' if arch == 'trans_enc' else 'Decoder'}.layers."
    layers = len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})
    rotations = features % 6 == 0
    encoder = given.get("text_encoder_type", "bert" if text_dim == 768 and arch == "trans_dec" else "clip")
    network = NetworkConfig(
        njoints=features // 6 if rotations else features,
        nfeats=6 if rotations else 1,
        num_actions=1 if action is None else int(action.shape[0]),
        latent_dim=width,
        ff_size=ff,
        num_layers=layers,
        data_rep="rot_vel" if "input_process.velEmbedding.weight" in state else "rot6d" if rotations else "hml_vec",
        cond_mode="text" if text is not None else "no_cond" if action is None else "action",
        cond_mask_prob=given.get("cond_mask_prob", 0.1),
        arch=arch,
        emb_trans_dec=bool(given.get("emb_trans_dec", False)) and arch == "trans_dec",
        clip_dim=text_dim,
        text_encoder_type=encoder,
        pos_embed_max_len=given.get("pos_embed_max_len", 5000),
        mask_frames=bool(given.get("mask_frames", False)),
    )
    steps = given.get("diffusion_steps", 1000)
    frames = _ACTION_FRAMES if rotations else 196
    return MDMConfig(
        network,
        scale="official",
        diffusion_steps=steps,
        noise_schedule=given.get("noise_schedule", "cosine"),
        sampling_steps=min(50, steps),
        guidance=2.5 if network.cond_mode == "text" and network.cond_mask_prob > 0 else 1.0,
        fixed_frames=0 if network.mask_frames else frames,
        longest=frames,
        fps=_RATES.get(features, 20.0),
        text_encoder=_encoder(path, encoder),
    )


def _encoder(path: Path, kind: str) -> str:
    """The text encoder: a folder of that name beside the checkpoint or above it, else the published one."""
    for folder in (path.resolve().parent, path.resolve().parent.parent):
        if (folder / kind / "config.json").is_file():
            return f"{kind}:{folder / kind}"
    return kind
