"""f(t, z): the implicit field of NeRM and its per-sequence Gaussian codes (stage 1 of the paper).

The field predicts a pose in a sequence-fixed frame (start above the origin, facing +z): root position and bone directions.
Nothing in it is per frame: reading it at 60 fps and keeping every third frame gives the same as reading it at 20. It knows no dataset.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerm.cli import choose
from nerm.errors import InputError
from nerm.motion import Skeleton
from nerm.motion.skeleton import SKELETONS
from nerm.time_encoding import CodebookAttention, CodeCurve, FourierEncoding, NoEncoding, coordinate

C = TypeVar("C", bound=Any)


@dataclass
class FieldConfig:
    """Every ablation of the paper is a setting here or in the training's settings. The defaults are scale=shipped (see nerm.train).

    width: of the hidden layers.
    layers: how many.
    latent: numbers of a code.
    intervals: of the curve that the code is (nerm.time_encoding.CodeCurve); 0 is one code for all times, as in the paper.
    time_encoding: none, simple or codebook.
    octaves: of the time encoding; the last one is 2^(octaves - 1) / longest_s Hz, 25.6 Hz.
    per_octave: waves in an octave.
    time_normalisation: time as a share of the duration, as in the paper, and not in seconds.
    rate_input: the paper's f(t, z, s); costs the exact agreement between rates.
    conditioning: film or concatenation.
    variational: codes are Gaussians, as in the paper, and not points.
    longest_s: of a motion, in seconds.
    codebook_size: entries of a codebook.
    codebook_width: numbers of an entry.
    skeleton: of the motion; a training takes it from its dataset.
    bone_lengths: metres, with 0 for the root; none is those of the skeleton of that name.
    """

    width: int = 256
    layers: int = 6
    latent: int = 560
    intervals: int = 32
    time_encoding: str = "simple"
    octaves: int = 9
    per_octave: int = 1
    time_normalisation: bool = True
    rate_input: bool = False
    conditioning: str = "film"
    variational: bool = True
    longest_s: float = 10.0
    codebook_size: int = 512
    codebook_width: int = 64
    skeleton: str = "smpl22"
    bone_lengths: list[float] | None = None


class Pose(NamedTuple):
    """root: [..., 3] metres.  directions: [..., J-1, 3] unit vectors from parent to child."""

    root: Tensor
    directions: Tensor


class Field(nn.Module):
    """The shared decoder: a residual MLP with LayerNorm and ReLU, modulated by z.

    Equation 2 of the paper, x = f(t, z [, s]), with s only if `rate_input`.
    """

    def __init__(self, config: FieldConfig) -> None:
        super().__init__()
        choose("conditioning", config.conditioning, ["film", "concatenation"])
        self.config = config
        self.encoding = _encoding(config)
        self.curve = CodeCurve(config.intervals, config.latent, config.time_normalisation, config.longest_s) if config.intervals else None
        code = self.curve.size if self.curve else config.latent
        concatenated = config.conditioning == "concatenation"
        size = self.encoding.size + int(config.rate_input) + concatenated * code
        self.enter = nn.Linear(size, config.width)
        self.norms = nn.ModuleList(nn.LayerNorm(config.width, elementwise_affine=concatenated) for _ in range(config.layers))
        self.layers = nn.ModuleList(nn.Linear(config.width, config.width) for _ in range(config.layers))
        self.film = None if concatenated else nn.Linear(code, 2 * config.width * config.layers)
        if self.film is not None:
            strength = 1 if self.curve else 2  # a weak start costs thousands of steps
            nn.init.normal_(self.film.weight, std=strength * code**-0.5)
            nn.init.zeros_(self.film.bias)
        for matrix in (p for p in self.layers.parameters() if p.ndim == 2):
            nn.init.normal_(matrix, std=(2 / config.width) ** 0.5)
        self.leave = nn.LayerNorm(config.width)
        self.skeleton = skeleton_of(config.skeleton, config.bone_lengths)
        bones = len(self.skeleton) - 1
        self.root_head = nn.Linear(config.width, 3)
        self.bone_head = nn.Linear(config.width, 3 * bones)
        self.register_buffer("mean_directions", torch.as_tensor(self.skeleton.axes[1:], dtype=torch.float32))
        self.register_buffer("mean_root", torch.tensor([0.0, 0.9, 0.0]))
        self.register_buffer("root_scale", torch.tensor([1.0, 0.2, 1.0]))
        self.register_buffer("to_joints", ancestry(self.skeleton), persistent=False)

    def matrices(self) -> list[nn.Parameter]:
        """The matrices of the hidden layers and of their modulation, which Muon trains."""
        return [p for name, p in self.named_parameters() if p.ndim == 2 and name.startswith(("layers.", "film."))]

    def forward(self, times_s: Tensor, seconds: Tensor, z: Tensor, fps: Tensor | float | None = None, fade: float = 1.0) -> Pose:
        """The pose at times_s [B, m] (seconds from the first frame) of sequences that last seconds [B], with codes z [B, d]."""
        return self.pose(self.hidden(times_s, seconds, z, fps, fade))

    def hidden(self, times_s: Tensor, seconds: Tensor, z: Tensor, fps: Tensor | float | None = None, fade: float = 1.0) -> Tensor:
        """[B, m, width] hidden values from which the heads read the pose; the arguments are those of `forward`."""
        config = self.config
        t = coordinate(times_s, seconds, config.longest_s, config.time_normalisation)
        parts = [self.encoding(t, fade)]
        if config.rate_input:
            rate = torch.as_tensor(60.0 if fps is None else fps, device=t.device, dtype=torch.float32)
            parts.append(torch.log2(rate / 60.0).reshape(-1, 1, 1).expand(*t.shape, 1))
        code = self.curve(t, z) if self.curve else z[:, None]  # [B, m or 1, c]
        if self.film is None:
            parts.append(code.expand(*t.shape, code.shape[-1]))
            modulation = None
        else:
            # Scale and shift of every layer in turn: [B, m or 1, W] each. To split one product of all would cost a copy of all gradients.
            parts_of_film = zip(self.film.weight.split(config.width), self.film.bias.split(config.width), strict=True)
            modulation = [F.linear(code, weight, bias) for weight, bias in parts_of_film]
        h = self.enter(torch.cat(parts, dim=-1))
        for index, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            x = norm(h)
            if modulation is not None:
                x = torch.addcmul(modulation[2 * index + 1], x, 1 + modulation[2 * index])
            h = h + layer(F.relu(x))
        return self.leave(h).float()

    def pose(self, h: Tensor) -> Pose:
        """The pose of a hidden layer [..., width]."""
        with torch.autocast(h.device.type, enabled=False):
            root = self.mean_root + self.root_scale * self.root_head(h)
            bones = self.mean_directions + self.bone_head(h).unflatten(-1, (-1, 3))
        return Pose(root, F.normalize(bones, dim=-1, eps=1e-6))

    def joints(self, pose: Pose) -> Tensor:
        """Joint positions [..., J, 3] relative to the root, metres."""
        return torch.einsum("jb,...bc->...jc", self.to_joints, pose.directions)


class Codes(nn.Module):
    """One Gaussian N(mu_i, diag exp(logvar_i)) for every training sequence: the auto-decoder's latents. Not variational: a point mu_i.

    Gradients are sparse: a step costs memory for its batch, not for all sequences.
    """

    def __init__(self, count: int, size: int, variational: bool = True, initial_logvar: float = -6.0, spread: float = 0.5) -> None:
        super().__init__()
        self.variational = variational
        self.mean = nn.Embedding(count, size, sparse=True)
        self.logvar = nn.Embedding(count, size, sparse=True)
        nn.init.normal_(self.mean.weight, std=spread)
        nn.init.constant_(self.logvar.weight, initial_logvar)

    def forward(self, index: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z [B, d] ~ N(mu, Sigma) (mu if noise is None) and KL(N(mu, Sigma) || N(0, I)) [B], summed over d; of points: mu and 0."""
        mean = self.mean(index)
        if not self.variational:
            return mean, mean.new_zeros(len(mean))
        logvar = self.logvar(index)
        kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(-1)
        return mean if noise is None else mean + (0.5 * logvar).exp() * noise, kl


def _encoding(config: FieldConfig) -> NoEncoding | FourierEncoding | CodebookAttention:
    fourier = FourierEncoding(config.octaves, config.per_octave)
    makers: dict[str, Callable[[], NoEncoding | FourierEncoding | CodebookAttention]] = {
        "none": NoEncoding,
        "simple": lambda: fourier,
        "codebook": lambda: CodebookAttention(fourier, torch.zeros(config.codebook_size, config.codebook_width)),
    }
    return makers[choose("time_encoding", config.time_encoding, list(makers))]()


def skeleton_of(name: str, bone_lengths: list[float] | None) -> Skeleton:
    """The skeleton that a field moves, from its settings."""
    known = SKELETONS[choose("skeleton", name, list(SKELETONS))]
    if bone_lengths is None:
        return known
    if len(bone_lengths) != len(known):
        raise InputError(f"{len(bone_lengths)} bone lengths for skeleton '{known.name}' of {len(known)} joints; give one a joint")
    return known.with_lengths(bone_lengths)


def on_skeleton(config: C, skeleton: Skeleton) -> C:
    """The same settings for a field that moves this skeleton."""
    if SKELETONS.get(skeleton.name) is None or SKELETONS[skeleton.name].names != skeleton.names:
        raise InputError(f"skeleton '{skeleton.name}' is not one that a field can move; it can be {', '.join(SKELETONS)}")
    own = skeleton == SKELETONS[skeleton.name]
    return replace(config, skeleton=skeleton.name, bone_lengths=None if own else skeleton.lengths.tolist())


def ancestry(skeleton: Skeleton) -> Tensor:
    """[J, J-1] metres: entry (j, b) is the length of bone b if it lies on the way from the root to joint j."""
    matrix = torch.zeros(len(skeleton), len(skeleton) - 1)
    for joint in range(1, len(skeleton)):
        matrix[joint] = matrix[skeleton.parents[joint]]
        matrix[joint, joint - 1] = skeleton.lengths[joint]
    return matrix
