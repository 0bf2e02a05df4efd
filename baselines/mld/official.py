"""Official MLD checkpoints: which tensors belong to the networks, and which configuration their shapes show.

It knows names and shapes; what the networks compute is not its business.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from baselines.checkpoints import load_strict, safe_load, sections
from baselines.mld.config import DenoiserConfig, MldConfig, VaeConfig
from baselines.mld.denoiser import Denoiser
from baselines.mld.network import SINUSOID_POSITIONS
from baselines.mld.vae import ActorVae, MldVae, build_vae
from nerm.errors import InputError

LIGHTNING = (
    "epoch",
    "global_step",
    "pytorch-lightning_version",
    "loops",
    "callbacks",
    "optimizer_states",
    "lr_schedulers",
    "hparams_name",
    "hyper_parameters",
    "hparams_type",
    "datamodule_hparams_name",
    "datamodule_hyper_parameters",
    "datamodule_hparams_type",
    "native_amp_scaling_state",
    "amp_scaling_state",
    "MixedPrecisionPlugin",
)
"""Entries beside `state_dict` that a training leaves behind."""
DROPPED = ("text_encoder.", "t2m_textencoder.", "t2m_moveencoder.", "t2m_motionencoder.", "rot2xyz.", "_losses.")
"""What the files hold besides the networks: frozen text encoder, evaluator, body model, running losses. Learned position tables stay."""
_HEADS = 4  # no tensor shape shows it; all published models have 4
_TEXT_FOLDER = "clip-vit-large-patch14"


def read_official(path: Path) -> dict[str, Tensor]:
    """The tensors of an official file, none dropped yet."""
    checkpoint = safe_load(path)
    state = sections(checkpoint, ["state_dict"], LIGHTNING, path)["state_dict"]
    if not isinstance(state, Mapping) or not any(str(name).startswith("denoiser.") for name in state):
        names = ", ".join(str(name) for name in list(state)[:3]) if isinstance(state, Mapping) else type(state).__name__
        raise InputError(f"checkpoint {path} is none of MLD: no tensor starts with 'denoiser.'; it has {names}")
    return dict(state)


def networks(config: MldConfig, state: Mapping[str, Any], what: str) -> tuple[MldVae | ActorVae | None, Denoiser]:
    """Both networks filled from a state dict; a name that is neither theirs nor in the drop list is an InputError."""
    kept = {name: value for name, value in state.items() if not name.startswith(DROPPED)}
    prefixes = ("vae.", "denoiser.") if config.vae is not None else ("denoiser.",)
    strange = next((name for name in kept if not name.startswith(prefixes)), None)
    if strange is not None:
        raise InputError(f"{what} holds '{strange}'; expected tensors of {' and '.join(prefixes)} only: it is of another system or version")
    vae = build_vae(config.vae) if config.vae is not None else None
    denoiser = Denoiser(config.denoiser)
    for prefix, module in (("vae.", vae), ("denoiser.", denoiser)):
        if module is not None:
            own = {name.removeprefix(prefix): value for name, value in kept.items() if name.startswith(prefix)}
            load_strict(module, own, f"{what} ({prefix[:-1]})")
            module.eval()
    return vae, denoiser


def inferred(state: Mapping[str, Tensor], path: Path) -> MldConfig:
    """The configuration that the shapes of an official file show. The number of heads is the published one."""
    try:
        vae = _vae(state) if any(name.startswith("vae.") for name in state) else None
        denoiser = _denoiser(state, vae)
    except (KeyError, IndexError, StopIteration, AttributeError) as error:
        raise InputError(f"checkpoint {path} lacks the tensor {error}; it is of another system or version") from None
    raw, action = vae is None, denoiser.condition == "action"
    return MldConfig(
        vae,
        denoiser,
        text_encoder="" if action else _text_encoder(path),
        sampler="ddpm" if raw else "ddim",
        steps=1000 if raw else 50,
        longest=60 if action else 196,
    )


def _vae(state: Mapping[str, Tensor]) -> VaeConfig:
    if "vae.encoder.mu_token" in state:
        width, features = state["vae.encoder.skel_embedding.weight"].shape
        return VaeConfig(
            kind="actor",
            features=features,
            latent=[1, width],
            ff=len(state["vae.encoder.seqTransEncoder.layers.0.linear1.weight"]),
            layers=_count(state, "vae.encoder.seqTransEncoder.layers."),
            heads=_HEADS,
            sinusoid=True,
        )
    tokens, width = state["vae.global_motion_token"].shape
    mlp_dist = "vae.dist_layer.weight" in state
    return VaeConfig(
        features=state["vae.skel_embedding.weight"].shape[1],
        latent=[tokens if mlp_dist else tokens // 2, width],
        ff=len(state["vae.encoder.middle_block.linear1.weight"]),
        layers=2 * _count(state, "vae.encoder.input_blocks.") + 1,
        heads=_HEADS,
        arch="encoder_decoder" if "vae.decoder.middle_block.norm3.weight" in state else "all_encoder",
        mlp_dist=mlp_dist,
        **_table(state["vae.query_pos_encoder.pe"]),
    )


def _denoiser(state: Mapping[str, Tensor], vae: VaeConfig | None) -> DenoiserConfig:
    action, raw = "denoiser.emb_proj.action_embedding" in state, "denoiser.pose_embd.weight" in state
    decoder, skip = "denoiser.decoder.layers.0.linear1.weight" in state, "denoiser.encoder.middle_block.linear1.weight" in state
    stack = "denoiser.decoder.layers." if decoder else "denoiser.encoder.input_blocks." if skip else "denoiser.encoder.layers."
    first = "denoiser.encoder.middle_block." if skip else f"{stack}0."
    width, text = state["denoiser.time_embedding.linear_1.weight"].shape
    return DenoiserConfig(
        features=state["denoiser.pose_embd.weight"].shape[1] if raw else vae.features if vae else 263,
        condition="action" if action else "text",
        latent=[vae.latent[0] if vae else 1, width],
        ff=len(state[f"{first}linear1.weight"]),
        layers=2 * _count(state, stack) + 1 if skip else _count(state, stack),
        heads=_HEADS,
        arch="trans_dec" if decoder else "trans_enc",
        skip=skip or decoder,
        raw=raw,
        text=768 if action else text,
        classes=len(state["denoiser.emb_proj.action_embedding"]) if action else 10,
        **_table(state["denoiser.query_pos.pe"]),
    )


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """Layers under a prefix."""
    return len({name.removeprefix(prefix).split(".")[0] for name in state if name.startswith(prefix)})


def _table(rows: Tensor) -> dict[str, Any]:
    fixed = len(rows) == SINUSOID_POSITIONS
    return {"sinusoid": True} if fixed else {"positions": len(rows)}


def _text_encoder(path: Path) -> str:
    """CLIP ViT-L/14: a folder of that name near the file (the original keeps it in `deps`), else the hub's."""
    home = path.resolve().parent
    for folder in (home, home / "deps", home.parent, home.parent / "deps"):
        if (folder / _TEXT_FOLDER / "config.json").is_file():
            return f"clip:{folder / _TEXT_FOLDER}"
    return f"clip:openai/{_TEXT_FOLDER}"
