"""Settings of both stages, for commands and model files. It knows only the settings of the networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from omegaconf import OmegaConf

from nerm.denoiser import DenoiserConfig
from nerm.field import FieldConfig

S = TypeVar("S")


@dataclass
class Stage1Config:
    """Settings of stage 1. `kl` weighs the sum over dimensions of the KL divergence.

    matrix_rate is Muon's, for the matrices of the hidden layers and of their modulation (docs/findings.md); rate and code_rate are Adam's.
    """

    field: FieldConfig = field(default_factory=FieldConfig)
    training_rate: str = "native"  # native | fixed (one rate for all, as other systems train)
    progressive: bool = True  # first at the lowest rate of each recording, then at all of them
    fade_octaves: bool = True  # open the octaves of the time encoding one after the other
    clips: int = 800
    clip_frames: int = 5
    matrix_rate: float = 0.02
    rate: float = 2e-3
    code_rate: float = 3e-2
    kl: float = 1e-5
    root_weight: float = 0.1
    velocity_weight: float = 0.3  # of velocity errors, (m/s)^2, phased in between 30 and 60 % of the run
    high_band_weight: float = 0.02  # of acceleration errors, (10 m/s^2)^2, likewise
    fixed_fps: float | None = None  # of training_rate=fixed; None is the base_fps of the dataset


@dataclass
class Stage2Config:
    """Settings of stage 2."""

    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    prediction: str = "sample"  # epsilon (the paper's) | sample | v_prediction
    draws: bool = False  # learn draws from the codes' Gaussians, as in the paper, and not their means
    text_encoder: str = "minilm"
    batch: int = 768  # Muon's orthogonalising costs more than the gradients of this batch
    matrix_rate: float = 0.02  # of Muon, for the matrices between hidden layers
    rate: float = 1e-3  # of AdamW, for the rest
    drop: float = 0.1  # conditions left out, for guidance
    text_noise: float = 0.8  # length of the noise on a sentence's embedding, which has length 1
    crop: float = 0.2  # largest share of a window's duration that is left out at its ends: an exact duration would identify its window
    label_share: float = 0.3  # conditions given as a label instead of a sentence
    flatness: float = 0.25  # of the pose space: 0 keeps distances of poses, 1/2 makes all coordinates alike
    largest: float = 2.0  # deviation of its first coordinate
    gist: float = 0.5  # a coordinate's weight in the loss is its weight in distances of poses to this power, so that details count more
    mirror_size: float = 1.5  # of the mirror sign: the larger, the earlier it is decided
    mirror_weight: float = 16.0  # of the mirror sign in the loss, against 1 on average for the other numbers of the code
    guidance: float = 1.6  # with the sampler chosen on labels that training had not seen (docs/findings.md)
    sampler: str = "ddpm"
    sampling_steps: int = 50


def settings_of(schema: type[S], known: Mapping[str, Any]) -> S:
    """Settings from a model file; those that it does not name have today's defaults, unknown ones raise an OmegaConfBaseException."""
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), dict(known)))  # type: ignore[return-value]
