"""The codebook of codebook-coordinate attention: a VQ-VAE on short native-rate clips (van den Oord et al., 2017; NeRM's time encoding).

It knows windows of motion and the one training loop, but no field. A field gets the codes before it is trained:

    codebook = train_codebook(windows, minutes=2)
    field = Field(FieldConfig(time_encoding="codebook"))
    install(codebook.codes, field)          # into the frozen buffer field.encoding.codebook

Training begins as an autoencoder without codes; the codes then start at k-means centres of its vectors and follow their
vectors by exponential moving averages. An unused code is moved onto a vector that is far from its own code, so that nearly all are used.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nerm.errors import InputError
from nerm.field import Field, FieldConfig
from nerm.motion import SMPL22, Skeleton
from nerm.time_encoding import CodebookAttention
from nerm.training import Budget, fit
from nerm.windows import Windows

CLIP_FRAMES = 8
_VELOCITIES = 3 * (CLIP_FRAMES - 1)


@dataclass
class CodebookConfig:
    """size, code_width: as in FieldConfig.  commitment: weight of ||encoding - code||^2.  decay: of the moving averages.

    alone: share of the training before the codes start.  dead_share: a code with less than this share of the average use is moved.
    """

    size: int = FieldConfig.codebook_size
    code_width: int = FieldConfig.codebook_width
    width: int = 256
    clips: int = 512
    rate: float = 1e-3
    commitment: float = 0.25
    decay: float = 0.98
    alone: float = 0.2
    dead_share: float = 0.1


@dataclass(frozen=True, eq=False)
class Codebook:
    """codes: [size, code_width].  used, perplexity: over `clips` training clips.  direction_deg: mean error of bones decoded from codes."""

    codes: Tensor = field(repr=False)
    used: int
    perplexity: float
    clips: int
    direction_deg: float
    steps: int
    seconds: float


def train_codebook(
    windows: Windows,
    minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    config: CodebookConfig | None = None,
    folder: Path | None = None,
    device: str = "auto",
) -> Codebook:
    """Train on windows for a number of minutes or steps (with steps a run repeats exactly); folder: where a run can be resumed."""
    torch.manual_seed(seed)
    task = CodebookTask(config or CodebookConfig(), windows, seed)
    budget = Budget(minutes, steps, seed, device=device, precision="no", validate_times=3)
    with tempfile.TemporaryDirectory() as temporary:
        outcome = fit(task, budget, folder or Path(temporary), "codebook")
    measured = task.validate()
    return Codebook(
        task.quantised.quantiser.codes.cpu().clone(),
        int(measured["used"]),
        measured["perplexity"],
        len(task.quantised.held),
        measured["direction_deg"],
        outcome.steps,
        outcome.seconds,
    )


def install(codes: Tensor, field_: Field) -> Field:
    """Put codes [N, d] into a field whose time encoding is `codebook`; returns the field."""
    encoding = field_.encoding
    if not isinstance(encoding, CodebookAttention):
        raise InputError(f"a field with time_encoding={field_.config.time_encoding}; only time_encoding=codebook has a codebook")
    buffer = encoding.get_buffer("codebook")
    if buffer.shape != codes.shape:
        raise InputError(f"codes of shape {list(codes.shape)}; the field expects {list(buffer.shape)}")
    buffer.copy_(codes)
    return field_


def perplexity(counts: Tensor) -> float:
    """exp of the entropy of how often each code is used, counts [N]: N if all are used alike, 1 if one is."""
    share = counts.double() / counts.sum().clamp(min=1)
    return math.exp(-float(torch.special.xlogy(share, share).sum()))


def clip_features(joints: Tensor, fps: Tensor, skeleton: Skeleton = SMPL22) -> Tensor:
    """Clips [B, CLIP_FRAMES, J, 3] in metres at rates [B] -> [B, F]: bone directions, root velocity in m/s.

    Turned so that the clip starts facing +z: a code describes a movement, not its direction in the world.
    """
    left_hip, right_hip, left_shoulder, right_shoulder = (
        joints[:, 0, skeleton.index(name)] for name in ("l_hip", "r_hip", "l_shoulder", "r_shoulder")
    )
    across = left_hip - right_hip + left_shoulder - right_shoulder
    size = torch.hypot(across[:, 0], across[:, 2]).clamp(min=1e-6)
    c, s, o = across[:, 0] / size, across[:, 2] / size, torch.zeros_like(size)
    turn = torch.stack([c, o, -s, o, o + 1, o, s, o, c], -1).unflatten(-1, (3, 3))
    joints = torch.einsum("bfjx,bxy->bfjy", joints, turn)
    bones = F.normalize(joints[:, :, 1:] - joints[:, :, skeleton.parents[1:]], dim=-1, eps=1e-6)
    velocity = torch.diff(joints[:, :, 0], dim=1) * fps.to(joints)[:, None, None]
    return torch.cat([bones.flatten(1), velocity.flatten(1)], -1)


class CodebookTask:
    """What `nerm.training.fit` needs to train the VQ-VAE."""

    def __init__(self, config: CodebookConfig, windows: Windows, seed: int = 0) -> None:
        keep = windows.count >= CLIP_FRAMES
        if not keep.any():
            raise InputError(f"no window of at least {CLIP_FRAMES} frames; a codebook needs some to learn from")
        self.config, self.windows = config, windows
        self.chosen = keep.nonzero()[:, 0]
        self.quantised = CodebookModule(config, self._features(torch.Generator().manual_seed(seed), 16 * config.size))
        self.module: nn.Module = self.quantised

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(self.module.parameters(), lr=self.config.rate)]

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, Tensor]:
        return self._features(generator, self.config.clips), torch.rand(self.config.size, generator=generator)

    def validate(self) -> dict[str, float]:
        """Over a fixed draw of training clips."""
        module, held = self.quantised, self.quantised.held
        with torch.no_grad():
            decoded, _, _, index = module.reconstruct(held)
        counts = torch.bincount(index, minlength=self.config.size)
        read_out, truth = (x[:, :-_VELOCITIES].unflatten(-1, (-1, 3)) for x in (decoded, held))
        cosine = F.cosine_similarity(read_out, truth, dim=-1)
        loss = F.mse_loss(module.standard(decoded), module.standard(held))
        return {
            "loss": float(loss),
            "used": float((counts > 0).sum()),
            "perplexity": perplexity(counts),
            "direction_deg": float(torch.rad2deg(torch.arccos(cosine.clamp(-1, 1))).mean()),
        }

    def _features(self, generator: torch.Generator, clips: int) -> Tensor:
        """Native-rate clips of windows in proportion to their length, at random places."""
        windows = self.windows
        index = self.chosen[torch.multinomial(windows.seconds[self.chosen].float() + 0.1, clips, replacement=True, generator=generator)]
        start = (torch.rand(clips, generator=generator) * (windows.count[index] - CLIP_FRAMES + 1)).long()
        joints = windows.frames[(windows.offset[index] + start)[:, None] + torch.arange(CLIP_FRAMES)]
        return clip_features(joints, windows.fps[index], windows.skeleton)


class CodebookModule(nn.Module):
    """Encoder, quantiser and decoder. held: features [n, F] that give mean, scales and the first codes."""

    held: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, config: CodebookConfig, held: Tensor) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("held", held, persistent=False)
        self.register_buffer("mean", held.mean(0))
        features = held.shape[1]
        velocity = torch.arange(features) >= features - _VELOCITIES
        # One scale for all bones and one for the root: otherwise a foot, which hardly turns, would weigh as much as an arm.
        scale = torch.where(velocity, held[:, velocity].std(0).mean(), held[:, ~velocity].std(0).mean())
        self.register_buffer("scale", scale.clamp(min=1e-3))
        self.encoder = _perceptron(features, config.width, config.code_width)
        self.decoder = _perceptron(config.code_width, config.width, features)
        self.quantiser = Quantiser(config)

    def standard(self, features: Tensor) -> Tensor:
        return (features - self.mean) / self.scale

    def reconstruct(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(decoded features [B, F], encodings [B, d], their codes [B, d], index [B])."""
        encoded = self.encoder(self.standard(features))
        index = self.quantiser.nearest(encoded.detach())
        code = self.quantiser.codes[index]
        passed = encoded + (code - encoded).detach()  # straight through: the decoder's gradient goes to the encoder
        return self.decoder(passed) * self.scale + self.mean, encoded, code, index

    def forward(self, features: Tensor, draw: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Equation 3 of the VQ-VAE paper, with moving averages in place of its second term (appendix A.1)."""
        if progress < self.config.alone:
            error = F.mse_loss(self.decoder(self.encoder(self.standard(features))), self.standard(features))
            return error, {"error": error.detach()}
        if not bool(self.quantiser.started):
            with torch.no_grad():
                self.quantiser.start(self.encoder(self.standard(self.held)), draw)
        decoded, encoded, code, index = self.reconstruct(features)
        error = F.mse_loss(self.standard(decoded), self.standard(features))
        commitment = F.mse_loss(encoded, code)
        if self.training:
            self.quantiser.follow(encoded.detach(), index, draw)
        return error + self.config.commitment * commitment, {"error": error.detach(), "commitment": commitment.detach()}


class Quantiser(nn.Module):
    """Codes [N, d] that follow the vectors nearest to them; all its state is in buffers, so that a run can be resumed."""

    codes: Tensor
    count: Tensor
    total: Tensor
    started: Tensor

    def __init__(self, config: CodebookConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("codes", torch.zeros(config.size, config.code_width))
        self.register_buffer("count", torch.ones(config.size))
        self.register_buffer("total", torch.zeros(config.size, config.code_width))
        self.register_buffer("started", torch.tensor(False))

    def nearest(self, vectors: Tensor) -> Tensor:
        """[B, d] -> index [B] of the nearest code."""
        return (self.codes.square().sum(-1) - 2 * vectors @ self.codes.T).argmin(-1)

    def start(self, vectors: Tensor, draw: Tensor, rounds: int = 10) -> None:
        """k-means of vectors [n, d], from those chosen by draw [N] in [0, 1)."""
        chosen = (draw * len(vectors)).long()
        spread = vectors.std() * 1e-3  # separates vectors that were drawn twice
        self.codes.copy_(vectors[chosen] + spread * (draw[:, None] - 0.5))
        for _ in range(rounds):
            count, total = self._gather(vectors, self.nearest(vectors))
            self.codes.copy_(torch.where(count[:, None] > 0, total / count.clamp(min=1)[:, None], self.codes))
        count, _ = self._gather(vectors, self.nearest(vectors))
        self.count.copy_(count.clamp(min=1) * (self.config.clips / len(vectors)))
        self.total.copy_(self.codes * self.count[:, None])
        self.started.fill_(True)

    def follow(self, vectors: Tensor, index: Tensor, draw: Tensor) -> None:
        """One step of the moving averages; codes that are hardly used are moved onto vectors far from their own code."""
        with torch.no_grad():
            count, total = self._gather(vectors, index)
            self.count.lerp_(count, 1 - self.config.decay)
            self.total.lerp_(total, 1 - self.config.decay)
            average = len(vectors) / self.config.size
            dead = torch.lt(self.count, self.config.dead_share * average)
            if dead.any():
                distance = (vectors - self.codes[index]).square().sum(-1)
                order = torch.multinomial(distance + 1e-9, int(dead.sum()), replacement=True, generator=_generator(draw))
                self.total[dead] = vectors[order] * average
                self.count[dead] = average
            self.codes.copy_(self.total / self.count.clamp(min=1e-6)[:, None])

    def _gather(self, vectors: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """How many vectors each code has [N], and their sums [N, d]."""
        count = torch.zeros_like(self.count).index_add_(0, index, torch.ones_like(index, dtype=self.count.dtype))
        return count, torch.zeros_like(self.total).index_add_(0, index, vectors)


def _generator(draw: Tensor) -> torch.Generator:
    """A generator from the batch's own random numbers: the same step moves the same codes."""
    return torch.Generator(draw.device).manual_seed(int(draw[0].double() * 2**53))


def _perceptron(size: int, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))
