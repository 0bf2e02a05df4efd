"""What an MLD is made of: sizes and options of its two networks, the published scales, and the reading of the original's own settings.

Nothing here knows a tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nerm.cli import choose, suggest
from nerm.errors import InputError

OFFICIAL_POSITIONS = 500
"""Rows of the published learned position tables."""


@dataclass
class VaeConfig:
    """kind: `mld` (skip transformer, learned positions) or `actor` (plain transformer, sinusoids, one latent token).

    latent: (tokens, width).  arch: `encoder_decoder` cross-attends to the latent, `all_encoder` prepends it to the queries.
    sinusoid: fixed position tables in place of learned ones.  mlp_dist: mean and log-variance from one token through a linear layer.
    """

    kind: str = "mld"
    features: int = 263
    latent: list[int] = field(default_factory=lambda: [1, 256])
    ff: int = 1024
    layers: int = 9
    heads: int = 4
    dropout: float = 0.1
    arch: str = "encoder_decoder"
    activation: str = "gelu"
    normalize_before: bool = False
    sinusoid: bool = False
    mlp_dist: bool = False
    positions: int = OFFICIAL_POSITIONS

    def __post_init__(self) -> None:
        choose("vae", self.kind, ("mld", "actor"))
        choose("arch", self.arch, ("encoder_decoder", "all_encoder"))
        _check_stack("VAE", self.latent, self.heads, self.layers, self.activation, skip=self.kind == "mld")


@dataclass
class DenoiserConfig:
    """condition: `text` | `text_uncond` | `action`.  arch: `trans_enc` | `trans_dec`.  skip: long skip connections (of trans_enc alone).

    raw: no VAE; the network denoises the features themselves.  text: width of the text embedding, and then of the time features too.
    """

    features: int = 263
    condition: str = "text"
    latent: list[int] = field(default_factory=lambda: [1, 256])
    ff: int = 1024
    layers: int = 9
    heads: int = 4
    dropout: float = 0.1
    arch: str = "trans_enc"
    skip: bool = True
    raw: bool = False
    activation: str = "gelu"
    normalize_before: bool = False
    sinusoid: bool = False
    cosine_first: bool = True
    freq_shift: float = 0.0
    text: int = 768
    classes: int = 10
    positions: int = OFFICIAL_POSITIONS

    def __post_init__(self) -> None:
        choose("condition", self.condition, ("text", "text_uncond", "action"))
        choose("arch", self.arch, ("trans_enc", "trans_dec"))
        _check_stack("denoiser", self.latent, self.heads, self.layers, self.activation, skip=self.skip and self.arch == "trans_enc")


@dataclass
class MldConfig:
    """A whole system. vae: None where the denoiser works on raw features.

    guidance: weight of classifier-free guidance.  sampler: `ddim` (deterministic) or `ddpm`.  steps: of the sampler.
    longest: feature frames that can be asked for.
    """

    vae: VaeConfig | None = field(default_factory=VaeConfig)
    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    text_encoder: str = "clip:openai/clip-vit-large-patch14"
    guidance: float = 7.5
    sampler: str = "ddim"
    steps: int = 50
    prediction: str = "epsilon"
    longest: int = 196

    def __post_init__(self) -> None:
        choose("sampler", self.sampler, ("ddim", "ddpm"))
        choose("prediction", self.prediction, ("epsilon", "sample"))


# Datasets have motions of up to 10 s, which are 201 frames; the position tables have few rows more. A width of 112 is 4 heads of 28. A VAE
# that is trained for minutes is far from overfitting, and attention is faster without dropout. Seven tokens and the distribution layer are
# variants of the original's ablations: on unseen windows of 5 s, 112 principal components leave an error of 56 mm, and 784 leave 26.
_SHIPPED = {"latent": [7, 112], "ff": 216}
SCALES: dict[str, dict[str, Any]] = {
    "paper": {"vae": {}, "denoiser": {}},
    "shipped": {
        "vae": {**_SHIPPED, "layers": 3, "positions": 212, "dropout": 0.0, "mlp_dist": True},
        "denoiser": {**_SHIPPED, "layers": 5, "text": 768, "positions": 12},
        "text_encoder": "mpnet",
        "longest": 204,
    },
}
"""By scale: what differs from the published sizes (26.4 M parameters). paper: nothing; shipped: at most 1.70 M parameters, as NeRM."""


def scaled(scale: str, features: int = 263) -> MldConfig:
    """The configuration of a scale. features: numbers of a frame."""
    settings: dict[str, Any] = SCALES[choose("scale", scale, list(SCALES))]
    width: dict[str, Any] = {"features": features}
    parts = {"vae": VaeConfig(**settings["vae"], **width), "denoiser": DenoiserConfig(**settings["denoiser"], **width)}
    return MldConfig(**(settings | parts))


# The original's settings: its names and ours, settings that its networks accept but never read, and its ablation switches.
_SHARED_NAMES = {
    "nfeats": "features",
    "latent_dim": "latent",
    "ff_size": "ff",
    "num_layers": "layers",
    "num_heads": "heads",
    "dropout": "dropout",
    "activation": "activation",
    "normalize_before": "normalize_before",
}
_VAE_NAMES = _SHARED_NAMES | {"arch": "arch"}
_DENOISER_NAMES = _SHARED_NAMES | {
    "arch": "arch",
    "condition": "condition",
    "flip_sin_to_cos": "cosine_first",
    "freq_shift": "freq_shift",
    "text_encoded_dim": "text",
    "nclasses": "classes",
}
_ABLATION = {"VAE_TYPE", "VAE_ARCH", "PE_TYPE", "DIFF_PE_TYPE", "SKIP_CONNECT", "MLP_DIST", "IS_DIST", "PREDICT_EPSILON"}
_SEPARATE = {"ablation", "position_embedding", "guidance_scale", "guidance_uncondp", "return_intermediate_dec", "is_vae"}
_PUBLISHED_VAE_ARCH = "all_encoder"  # the original's default


def vae_from_official(settings: Mapping[str, Any], name: str = "MldVae") -> VaeConfig:
    """The VAE that the original builds from these keyword arguments. What cannot be honoured is an InputError that names it."""
    kind = {"MldVae": "mld", "ActorVae": "actor"}[choose("vae_class", name, ("MldVae", "ActorVae"))]
    ablation, ours = _translated(settings, _VAE_NAMES, f"{name}")
    if kind == "actor":
        # The class takes these two and reads neither; it has no learned table.
        ours |= {"arch": "encoder_decoder", "normalize_before": False, "sinusoid": True}
        if settings.get("is_vae", True) is not True:
            raise InputError("is_vae=False; the original's ActorVae fails without its distribution: leave the key out")
        return VaeConfig(kind=kind, **ours)
    if settings.get("arch") is None:
        ours["arch"] = _PUBLISHED_VAE_ARCH
    return VaeConfig(
        kind=kind, **ours, sinusoid=_sinusoid(settings, ablation, "PE_TYPE"), mlp_dist=_flag(ablation, "MLP_DIST", default=False)
    )


def denoiser_from_official(settings: Mapping[str, Any]) -> DenoiserConfig:
    """The denoiser that the original builds from these keyword arguments. What cannot be honoured is an InputError that names it."""
    ablation, ours = _translated(settings, _DENOISER_NAMES, "MldDenoiser")
    if settings.get("return_intermediate_dec", False) and ours.get("arch") == "trans_dec" and ours.get("layers", 6) > 1:
        raise InputError("return_intermediate_dec=True; the original's denoiser fails with the outputs of several layers: set it to False")
    return DenoiserConfig(
        **({"layers": 6} | ours),
        skip=_flag(ablation, "SKIP_CONNECT", default=True),
        raw=ablation.get("VAE_TYPE", "mld") == "no",
        sinusoid=_sinusoid(settings, ablation, "DIFF_PE_TYPE"),
    )


def _translated(settings: Mapping[str, Any], names: Mapping[str, str], what: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """(ablation switches, our names with the values)."""
    for key in settings:
        if key not in names and key not in _SEPARATE:
            raise InputError(f"{what}: '{key}' is not a setting of this network; {suggest(key, [*names, *sorted(_SEPARATE)])}")
    ablation = settings.get("ablation") or {}
    for key in ablation:
        if key not in _ABLATION:
            raise InputError(f"{what}: ablation.{key} is not known; {suggest(key, sorted(_ABLATION))}")
    if "VAE_TYPE" in ablation:
        choose("ablation.VAE_TYPE", ablation["VAE_TYPE"], ("mld", "actor", "no"))
    ours = {ours: settings[theirs] for theirs, ours in names.items() if settings.get(theirs) is not None}
    if "latent" in ours:
        ours["latent"] = [int(size) for size in ours["latent"]]
    return ablation, ours


def _flag(ablation: Mapping[str, Any], key: str, default: bool) -> bool:
    value = ablation.get(key, default)
    if not isinstance(value, bool):
        raise InputError(f"ablation.{key}={value}; expected true or false")
    return value


def _sinusoid(settings: Mapping[str, Any], ablation: Mapping[str, Any], key: str) -> bool:
    """Whether the position tables are fixed. The original's `sine` table replaces what it should be added to, so no such model exists."""
    if choose(f"ablation.{key}", ablation.get(key, "mld"), ("mld", "actor")) == "actor":
        return True
    if settings.get("position_embedding", "learned") not in ("learned", "v3"):
        raise InputError(f"position_embedding={settings['position_embedding']}; a network of this system works with 'learned' alone")
    return False


def _check_stack(what: str, latent: list[int], heads: int, layers: int, activation: str, skip: bool) -> None:
    if len(latent) != 2 or min(latent) < 1:
        raise InputError(f"{what}: latent_dim={list(latent)}; expected [tokens, width]")
    if latent[1] % heads:
        raise InputError(f"{what}: a width of {latent[1]} cannot be shared by {heads} heads; choose a multiple")
    if layers < 1 or (skip and layers % 2 == 0):
        raise InputError(f"{what}: {layers} layers; expected {'an odd number, for the skip connections' if skip else 'at least one'}")
    choose(f"{what}: activation", activation, ("gelu", "relu"))
