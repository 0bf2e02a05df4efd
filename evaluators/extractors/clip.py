"""The multi-rate clip extractor: 128-d embeddings of short clips at any frame rate, from quantities in SI units.

A clip of m frames at rate s is described by heading-relative joints, their velocities and their accelerations, low-passed at
min(0.4 s, 20) Hz, with the time of every frame as an input; so two rates of one motion look alike within the band that both hold, and what
lies above 20 Hz is not seen. Positions hardly know what happens above 8 Hz, accelerations do: they come in two bands, split at 8 Hz (lower
where the rate holds less), so that what high rates are about has inputs of its own.
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
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from nerm.atomic import replacing
from nerm.clips import canonical, centre_frame, on_ground
from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.kinematics import derivative, lowpass
from nerm.motion.motion import check_fps

CLIP_FRAMES = 32
VERSION = 1
SHORTEST = 4
"""Frames that a clip needs at least."""
FEATURES = 4 * 3 * len(SMPL22)
"""Values per frame: joints (m), velocities (m/s), accelerations (m/s^2) of the lower and of the upper band."""


@dataclass
class ClipConfig:
    """Size of the network, and the band of its input: min(band_share * fps, band_limit_hz), split at split_share of it."""

    width: int = 128
    dilations: tuple[int, ...] = (1, 2, 4)
    embedding: int = 128
    band_share: float = 0.4
    band_limit_hz: float = 20.0
    split_share: float = 0.4


class ClipEncoder(nn.Module):
    """Residual convolutions over the frames of a clip, two frames to a step; the mean over steps is the embedding.

    asinh keeps an impact, or noise, from drowning everything else.
    """

    mean: Tensor
    std: Tensor
    time_rps: Tensor

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("std", torch.ones(FEATURES))
        self.register_buffer("time_rps", 2.0 ** torch.arange(-2, 5) * np.pi, persistent=False)
        self.enter = nn.Conv1d(FEATURES + 2 * len(self.time_rps) + 1, config.width, 3, 2, 1)
        self.blocks = nn.ModuleList(Block(config.width, dilation) for dilation in config.dilations)
        self.leave = nn.Sequential(nn.GroupNorm(1, config.width), nn.GELU(), nn.Conv1d(config.width, config.embedding, 1))

    def forward(self, features: Tensor, fps: Tensor) -> Tensor:
        """features: [n, m, 264] of `clip_features`; fps: [n] -> embeddings [n, 128]."""
        t = (torch.arange(features.shape[1], device=features.device) - centre_frame(features.shape[1])) / fps[:, None].to(features.dtype)
        phase = t[..., None] * self.time_rps
        x = torch.cat([torch.asinh(5 * (features - self.mean) / self.std) / 2, torch.sin(phase), torch.cos(phase), t[..., None]], dim=-1)
        x = self.enter(x.transpose(1, 2))
        for block in self.blocks:
            x = x + block(x)
        return self.leave(x).mean(dim=-1)


class Block(nn.Sequential):
    """What a residual step adds. [n, width, steps] -> the same."""

    def __init__(self, width: int, dilation: int) -> None:
        wide = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        super().__init__(nn.GroupNorm(1, width), wide, nn.GELU(), nn.Conv1d(2 * width, width, 1))


def clip_features(joints: NDArray | Tensor, fps: float, config: ClipConfig) -> Tensor:
    """What the extractor sees of clips. joints: [n, m, 22, 3] metres at one rate -> [n, m, 264].

    Per frame the root's path on the ground and height, the other joints about the root's place on the ground (heights are above the floor),
    all joints' velocities and accelerations (two bands), in the axes of the centre frame. An end is continued by point reflection.
    """
    joints = joints if isinstance(joints, Tensor) else torch.from_numpy(np.array(joints, dtype=np.float32))
    flat = canonical(joints.float()).flatten(2)
    cutoff_hz = min(config.band_share * fps, config.band_limit_hz)
    filters = _filters(joints.shape[1], float(fps), cutoff_hz, config.split_share * cutoff_hz)
    place, velocity, low, high = (torch.einsum("ab,nbc->nac", torch.from_numpy(matrix), flat) for matrix in filters)
    place = place.unflatten(-1, (-1, 3))
    root = place[:, :, :1]
    relative = torch.cat([root, place[:, :, 1:] - on_ground(root)], dim=2)
    return torch.cat([relative.flatten(2), velocity, low, high], dim=-1)


@lru_cache(maxsize=256)
def _filters(frames: int, fps: float, cutoff_hz: float, split_hz: float) -> tuple[NDArray[np.float32], ...]:
    """The low-pass of a clip, its velocity, and its acceleration below and above split_hz, all below cutoff_hz, as [m, m] matrices."""
    identity = np.eye(frames)
    whole, low = derivative(identity, fps, 2, cutoff_hz), derivative(identity, fps, 2, split_hz)
    found = (lowpass(identity, fps, cutoff_hz), derivative(identity, fps, 1, cutoff_hz), low, whole - low)
    return tuple(matrix.astype(np.float32) for matrix in found)


class ClipExtractor:
    """The trained extractor, frozen by the digest of its weights. Embeddings are not normalised; distances are Euclidean."""

    name = "multirate"
    version = VERSION

    def __init__(self, encoder: ClipEncoder, digest: str = "untrained") -> None:
        self.encoder = encoder.eval()
        self.digest = digest

    @classmethod
    def load(cls, path: Path) -> ClipExtractor:
        """From a file that `save` wrote; the digest is the sha256 of the file."""
        path = Path(path)
        if not path.exists():
            raise InputError(f"{path} does not exist; train the extractor: python -m evaluators.train extractor=clip")
        try:
            with safe_open(path, "pt") as file:
                about = json.loads((file.metadata() or {})["about"])
                encoder = ClipEncoder(ClipConfig(**about["config"]))
                encoder.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
        except (SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{path} is no file of the multirate extractor ({reason}); train it again or download it again") from None
        if about["version"] != VERSION:
            raise InputError(f"{path} holds version {about['version']} of the multirate extractor; this is version {VERSION}")
        return cls(encoder, hashlib.sha256(path.read_bytes()).hexdigest())

    @torch.no_grad()
    def embed_clips(self, joints: NDArray, fps: float, batch: int = 256) -> NDArray[np.float32]:
        """Clips [n, m, 22, 3] in metres at one rate -> [n, 128]. They are meant to have CLIP_FRAMES frames."""
        x = np.asarray(joints)
        if x.ndim != 4 or x.shape[2:] != (22, 3) or x.shape[1] < SHORTEST:
            raise InputError(f"clips of shape {list(x.shape)}; expected [n, m, 22, 3] in metres with m >= {SHORTEST}")
        if not np.isfinite(x).all():
            raise InputError("clips with a value that is not finite; leave such motions out, or fill them in")
        fps = check_fps(fps)
        found = [np.empty((0, self.encoder.config.embedding), np.float32)]
        for start in range(0, len(x), batch):
            features = clip_features(x[start : start + batch], fps, self.encoder.config)
            found.append(self.encoder(features, torch.full((len(features),), fps)).numpy())
        return np.concatenate(found)


def save(encoder: ClipEncoder, path: Path) -> None:
    """Weights in half precision, statistics in single, configuration and version in the metadata; written whole or not at all.

    One entry of metadata, because several are written in any order: the same weights always have the same digest.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}
    tensors = {name: value if name in ("mean", "std") else value.half() for name, value in tensors.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, {"about": json.dumps({"config": asdict(encoder.config), "version": VERSION})})
