"""The multi-rate clip extractor: 128-d embeddings of short clips at any frame rate, from quantities in SI units.

A clip of m frames at rate s is described by heading-relative joints and joint velocities, low-passed at min(0.4 s, 20) Hz, with the
time of every frame as an input; so two rates of one motion look alike, and what lies above the stated band cannot be rewarded.
It knows joints and rates; it knows no generator.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.kinematics import derivative, lowpass

CLIP_FRAMES = 32
VERSION = 1


@dataclass
class ClipConfig:
    """Size of the network, and the band of its input."""

    width: int = 128
    layers: int = 3
    heads: int = 4
    embedding: int = 128
    band_share: float = 0.4
    band_limit_hz: float = 20.0
    classes: int = 0


class ClipEncoder(nn.Module):
    """A transformer over the frames of a clip; the mean over frames is the embedding."""

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        size = 2 * 3 * len(SMPL22)
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))
        self.register_buffer("time_hz", 2.0 ** torch.arange(-2, 5) * np.pi, persistent=False)
        self.enter = nn.Linear(size + 2 * 7 + 1, config.width)
        layer = nn.TransformerEncoderLayer(config.width, config.heads, 2 * config.width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(config.width), enable_nested_tensor=False)
        self.leave = nn.Linear(config.width, config.embedding)
        self.project = nn.Sequential(nn.Linear(config.embedding, config.embedding), nn.GELU(), nn.Linear(config.embedding, 64))
        self.classify = nn.Linear(config.embedding, max(config.classes, 1))

    def forward(self, features: Tensor, fps: Tensor) -> Tensor:
        """features: [n, m, 132] of `clip_features`; fps: [n] -> embeddings [n, 128]."""
        frames = features.shape[1]
        t = (torch.arange(frames, device=features.device) - (frames - 1) / 2) / fps[:, None].to(features.dtype)
        phase = t[..., None] * self.time_hz
        x = torch.cat([(features - self.mean) / self.std, torch.sin(phase), torch.cos(phase), t[..., None]], dim=-1)
        return self.leave(self.encoder(self.enter(x)).mean(dim=1))


def clip_features(joints: NDArray | Tensor, fps: float, config: ClipConfig) -> Tensor:
    """What the extractor sees of clips. joints: [n, m, 22, 3] metres at one rate -> [n, m, 132].

    Joints: the root's ground position at the clip's centre is the origin, its heading there is +z.  Velocities: m/s, same axes.
    """
    joints = torch.as_tensor(np.asarray(joints) if not isinstance(joints, Tensor) else joints).float()
    smooth, velocity = (torch.from_numpy(matrix) for matrix in _filters(joints.shape[1], fps, config.band_share, config.band_limit_hz))
    centre = joints[:, joints.shape[1] // 2]
    place = centre[:, :1] * torch.tensor([1.0, 0.0, 1.0])
    left_hip, right_hip, left_shoulder, right_shoulder = (SMPL22.index(n) for n in ("l_hip", "r_hip", "l_shoulder", "r_shoulder"))
    across = (centre[:, left_hip] - centre[:, right_hip]) + (centre[:, left_shoulder] - centre[:, right_shoulder])
    yaw = torch.atan2(-across[:, 2], across[:, 0])
    cos, sin, zero, one = torch.cos(yaw), torch.sin(yaw), torch.zeros_like(yaw), torch.ones_like(yaw)
    turn = torch.stack([cos, zero, -sin, zero, one, zero, sin, zero, cos], -1).unflatten(-1, (3, 3))  # heading -> +z
    local = torch.einsum("nij,nmkj->nmki", turn, joints - place[:, None])
    flat = local.flatten(2)
    speed = torch.einsum("ab,nbc->nac", velocity, flat)
    place_relative = torch.einsum("ab,nbc->nac", smooth, flat).unflatten(-1, (-1, 3))
    root = place_relative[:, :, :1] * torch.tensor([1.0, 0.0, 1.0])
    relative = torch.cat([root, place_relative[:, :, 1:] - root], dim=2)
    relative[:, :, 0, 1] = place_relative[:, :, 0, 1]
    return torch.cat([relative.flatten(2), speed], dim=-1)


@lru_cache(maxsize=256)
def _filters(frames: int, fps: float, share: float, limit_hz: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The low-pass and the low-passed time derivative of a clip as [m, m] matrices."""
    cutoff = min(share * fps, limit_hz)
    identity = np.eye(frames)
    return lowpass(identity, fps, cutoff).astype(np.float32), derivative(identity, fps, 1, cutoff).astype(np.float32)


class ClipExtractor:
    """The trained extractor, frozen by the digest of its weights."""

    name = "multirate"

    def __init__(self, encoder: ClipEncoder, digest: str = "untrained") -> None:
        self.encoder = encoder.eval()
        self.digest = digest
        self.version = VERSION

    @classmethod
    def load(cls, path: Path) -> ClipExtractor:
        """From a file that `save` wrote."""
        if not path.exists():
            raise InputError(f"{path} does not exist; train the extractor: python -m evaluators.train extractor=clip")
        with safe_open(path, "pt") as file:
            config = ClipConfig(**json.loads(file.metadata()["config"]))
            encoder = ClipEncoder(config)
            encoder.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
        return cls(encoder, hashlib.sha256(path.read_bytes()).hexdigest())

    @torch.no_grad()
    def embed_clips(self, joints: NDArray, fps: float, batch: int = 256) -> NDArray[np.float32]:
        """joints: [n, m, 22, 3] metres -> [n, 128]."""
        found = [
            self.encoder(clip_features(joints[i : i + batch], fps, self.encoder.config), torch.full((len(joints[i : i + batch]),), fps))
            for i in range(0, len(joints), batch)
        ]
        return torch.cat(found).numpy()


def save(encoder: ClipEncoder, path: Path) -> None:
    """fp16 weights with the configuration in the metadata, written in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    tensors = {k: v.detach().cpu().half().contiguous() for k, v in encoder.state_dict().items()}
    save_file(tensors, temporary, {"config": json.dumps(asdict(encoder.config)), "version": str(VERSION)})
    temporary.replace(path)
