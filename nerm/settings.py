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
    """Settings of stage 1.

    training_rate: native, or fixed: one rate for all, as other systems train.
    progressive: first at the lowest rate of each recording, then at all of them.
    fade_octaves: open the octaves of the time encoding one after the other.
    clips: in a batch.
    clip_frames: frames of a clip.
    matrix_rate: learning rate of Muon, for the matrices of the hidden layers and of their modulation (docs/findings.md).
    rate: learning rate of Adam, for the other weights.
    code_rate: learning rate of Adam, for the codes.
    kl: weight of the sum over dimensions of the KL divergence.
    root_weight: of the root's error in the loss.
    velocity_weight: of velocity errors, (m/s)^2, phased in between 30 and 60 % of the run.
    high_band_weight: of acceleration errors, (10 m/s^2)^2, likewise.
    fixed_fps: the rate of training_rate=fixed; none is the base_fps of the dataset.
    """

    field: FieldConfig = field(default_factory=FieldConfig)
    training_rate: str = "native"
    progressive: bool = True
    fade_octaves: bool = True
    clips: int = 800
    clip_frames: int = 5
    matrix_rate: float = 0.02
    rate: float = 2e-3
    code_rate: float = 3e-2
    kl: float = 1e-5
    root_weight: float = 0.1
    velocity_weight: float = 0.3
    high_band_weight: float = 0.02
    fixed_fps: float | None = None


@dataclass
class Stage2Config:
    """Settings of stage 2.

    prediction: sample, epsilon (the paper's) or v_prediction.
    draws: learn draws from the codes' Gaussians, as in the paper, and not their means.
    text_encoder: mpnet, minilm, clip or clip:DIRECTORY.
    one_sided: sentences that name the right are learned and asked for as their mirror images.
    sentence_space: numbers that a sentence is read in (nerm.sentence_space); 0 reads its embedding as it is.
    batch: codes in a batch. Muon's orthogonalising costs more than the gradients of the default.
    matrix_rate: learning rate of Muon, for the matrices between hidden layers.
    rate: learning rate of AdamW, for the rest.
    drop: share of conditions left out, for guidance.
    text_noise: length of the noise on a sentence's embedding, which has length 1.
    crop: largest share of a window's duration that is left out at its ends: an exact duration would identify its window.
    label_share: share of conditions given as a label instead of a sentence.
    flatness: of the pose space: 0 keeps distances of poses, 0.5 makes all coordinates alike.
    largest: deviation of the pose space's first coordinate.
    keep: leading coordinates of the pose space that are denoised; 0 is all.
    gist: a coordinate's weight in the loss is its weight in distances of poses to this power, so that details count more.
    mirror_size: of the mirror sign: the larger, the earlier it is decided.
    mirror_weight: of the mirror sign in the loss, against 1 on average for the other numbers of the code.
    guidance: weight of classifier-free guidance, chosen with the sampler on labels that training had not seen (docs/findings.md).
    sampler: ddpm, ddim or dpm-solver++.
    sampling_steps: of the sampler.
    """

    denoiser: DenoiserConfig = field(default_factory=DenoiserConfig)
    prediction: str = "sample"
    draws: bool = False
    text_encoder: str = "mpnet"
    one_sided: bool = True
    sentence_space: int = 128
    batch: int = 768
    matrix_rate: float = 0.02
    rate: float = 1e-3
    drop: float = 0.1
    text_noise: float = 0.8
    crop: float = 0.2
    label_share: float = 0.3
    flatness: float = 0.25
    largest: float = 2.0
    keep: int = 0
    gist: float = 0.5
    mirror_size: float = 1.5
    mirror_weight: float = 16.0
    guidance: float = 1.6
    sampler: str = "dpm-solver++"
    sampling_steps: int = 10


def settings_of(schema: type[S], known: Mapping[str, Any]) -> S:
    """Settings from a model file; those that it does not name have today's defaults, unknown ones raise an OmegaConfBaseException."""
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), dict(known)))  # type: ignore[return-value]
