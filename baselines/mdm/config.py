"""The settings of MDM: of its network, under the original's names, and of the system around it; and the two sizes that are trained.

It knows no tensor and no file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from nerm.cli import choose, suggest
from nerm.errors import InputError

ARCHITECTURES = ("trans_enc", "trans_dec", "gru")
CONDITIONS = ("text", "action", "no_cond")
BERT_WIDTH = 768
# Other arguments of the original's constructor: names that do not reach the network, and options that have one supported value here.
_WITHOUT_EFFECT = ("modeltype", "translation", "pose_rep", "glob", "glob_rot", "clip_version", "dataset", "legacy", "ablation")
_FIXED: dict[str, tuple[Any, ...]] = {
    "action_emb": ("tensor",),
    "emb_policy": ("add",),
    "normalize_encoder_output": (False,),
    "multi_target_cond": (False,),
    "pred_len": (0,),
    "context_len": (0,),
}


@dataclass(frozen=True)
class NetworkConfig:
    """Names and meaning are those of the original's constructor. A value that cannot be honoured is an InputError that names it."""

    njoints: int = 263
    nfeats: int = 1
    num_actions: int = 1
    latent_dim: int = 512
    ff_size: int = 1024
    num_layers: int = 8
    num_heads: int = 4
    dropout: float = 0.1
    activation: str = "gelu"  # gelu | relu
    data_rep: str = "hml_vec"  # hml_vec, rot6d, xyz: one linear map; rot_vel: another one for all frames after the first
    cond_mode: str = "text"  # text | action | no_cond
    cond_mask_prob: float = 0.1  # share of conditions left out in training
    arch: str = "trans_enc"  # trans_enc | trans_dec | gru
    emb_trans_dec: bool = False  # trans_dec: the timestep is a token of the sequence too
    clip_dim: int = 512  # width of pooled text features
    text_encoder_type: str = "clip"  # clip: one pooled vector | bert: 768 numbers per token (trans_dec only)
    pos_embed_max_len: int = 5000
    mask_frames: bool = False  # padding frames are not attended to (transformers; the gru looks at no other frame)

    def __post_init__(self) -> None:
        choose("arch", self.arch, ARCHITECTURES)
        choose("cond_mode", self.cond_mode, CONDITIONS)
        choose("text_encoder_type", self.text_encoder_type, ("clip", "bert"))
        choose("activation", self.activation, ("gelu", "relu"))
        choose("data_rep", self.data_rep, ("hml_vec", "rot6d", "xyz", "rot_vel"))
        if self.cond_mode == "text" and self.text_encoder_type == "bert" and self.arch != "trans_dec":
            raise InputError(f"arch={self.arch} with text_encoder_type=bert; features of single tokens need arch=trans_dec")
        if self.emb_trans_dec and self.arch != "trans_dec":
            raise InputError(f"emb_trans_dec=True with arch={self.arch}; it is an option of arch=trans_dec")
        for name in (
            "njoints",
            "nfeats",
            "num_actions",
            "latent_dim",
            "ff_size",
            "num_layers",
            "num_heads",
            "clip_dim",
            "pos_embed_max_len",
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name}={value!r}; expected a positive integer")
        for name in ("dropout", "cond_mask_prob"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name}={getattr(self, name)}; expected a probability below 1")
        if self.latent_dim % 2 or (self.arch != "gru" and self.latent_dim % self.num_heads):
            raise InputError(f"latent_dim={self.latent_dim}; expected an even number that num_heads={self.num_heads} divides")

    @property
    def features(self) -> int:
        """Numbers per frame."""
        return self.njoints * self.nfeats

    @property
    def text_dim(self) -> int:
        """Width of the text features."""
        return BERT_WIDTH if self.text_encoder_type == "bert" else self.clip_dim

    @classmethod
    def from_official(cls, given: Mapping[str, Any]) -> NetworkConfig:
        """From the keyword arguments of the original's constructor."""
        own = [item.name for item in fields(cls)]
        for name, value in given.items():
            if name in _FIXED and value not in _FIXED[name]:
                raise InputError(f"{name}={value!r} is not supported; this network has {name}={_FIXED[name][0]!r}")
            if name not in own and name not in _FIXED and name not in _WITHOUT_EFFECT:
                raise InputError(f"unknown option {name}={value!r} of the network; {suggest(name, own)}")
        return cls(**{name: value for name, value in given.items() if name in own})


@dataclass(frozen=True)
class MDMConfig:
    """The whole system.

    fixed_frames: features are always generated at this length and then cut; 0 generates only the frames that are asked for. The official
    checkpoints without mask_frames need a fixed length: they were trained on padded motions without a mask, and freeze or drift when
    asked for fewer frames. A network with mask_frames gives the same motion either way.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    scale: str = "paper"  # shipped | paper | official
    diffusion_steps: int = 1000
    noise_schedule: str = "cosine"
    sampling_steps: int = 50  # kept of the diffusion steps
    guidance: float = 2.5  # scale s; 1 is the condition alone
    fixed_frames: int = 196
    longest: int = 196  # feature frames that may be asked for
    fps: float = 20.0
    text_encoder: str = "clip"
    upsampling: str = "slerp"

    def __post_init__(self) -> None:
        if not 1 <= self.sampling_steps <= self.diffusion_steps:
            raise InputError(
                f"{self.sampling_steps} sampling steps; this system was trained with {self.diffusion_steps}: give 1 to that many"
            )
        if not math.isfinite(self.guidance):
            raise InputError(f"guidance={self.guidance}; expected a finite number")
        if self.fixed_frames and self.longest > self.fixed_frames:
            raise InputError(f"longest={self.longest} with fixed_frames={self.fixed_frames}; a motion is cut out of the fixed frames")
        most = self.network.pos_embed_max_len
        if max(self.longest, self.fixed_frames) >= most or self.diffusion_steps > most:
            raise InputError(f"{self.longest} frames and {self.diffusion_steps} steps; the network has positions for {most}")

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> MDMConfig:
        """The inverse of `dataclasses.asdict`. A field that is not known is a TypeError."""
        return cls(**{**settings, "network": NetworkConfig(**settings["network"])})

    def to_json(self) -> str:
        """Always the same text for the same settings, whatever file they come from: digests are computed from it."""
        return json.dumps(asdict(self))


SCALES = {
    # Trained in minutes on a processor: narrow, without dropout (it would rule out the fast attention), 50 steps as in the published
    # 50-step model, and frames masked, so that nothing is spent on padding.
    "shipped": MDMConfig(
        NetworkConfig(latent_dim=192, ff_size=448, num_layers=4, dropout=0.0, clip_dim=768, pos_embed_max_len=512, mask_frames=True),
        scale="shipped",
        diffusion_steps=50,
        fixed_frames=0,
        longest=204,
        text_encoder="mpnet",
    ),
    "paper": MDMConfig(),
}
"""paper: the published text model (17.88 M parameters).  shipped: at most 1.70 M, as NeRM."""
