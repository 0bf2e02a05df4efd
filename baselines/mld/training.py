"""Training of MLD on a dataset, in two stages that share the budget: the VAE, then the denoiser on its posterior.

Where it leaves the original, for a training of minutes instead of days: position tables start as sinusoids (and are learned from there),
a VAE with a distribution layer starts with an order in time and narrow posteriors (`start_in_order`), latents are standardised per number
before the second stage (a VAE trained this briefly is far from unit variance, and the noise schedule counts on it), posteriors are computed
once, for a few crops of every item, and batches hold items of similar length. The shipped scale has another optimiser (`Recipe`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.data import UNIT, FeatureData, Texts, load_feature_data
from baselines.diffusion import SchedulerSettings
from baselines.features import valid_frames
from baselines.mld.config import MldConfig, scaled
from baselines.mld.denoiser import Denoiser
from baselines.mld.network import Attention, PlainStack, Positions, SkipStack, sinusoids
from baselines.mld.system import KIND, Mld
from baselines.mld.vae import ActorVae, MldVae, build_vae
from baselines.training import facts_of, muon_and_adam, origin_of
from nerm.diffusion import noised
from nerm.errors import InputError
from nerm.motion.features import format_of_dims
from nerm.training import Budget, fit

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset

VAE_SHARE = 0.7
"""The VAE's share of the budget; the denoiser has the rest."""
VAE_BATCH, DENOISER_BATCH = 32, 128
JOINTS_WEIGHT, KL_WEIGHT = 1.0, 1e-4  # the original's, section 4.1
DROPPED_TEXTS = 0.1
CROPS = 8
"""Posteriors per item for the second stage, every other one of the mirror image."""
POSTERIORS_S = 0.02
"""Seconds that they take for each item on one core."""
SHORTEST = 2 * UNIT
"""Frames of the shortest item that is used: the table asks for motions of half a second and more."""
POOL = 8  # batches that are drawn together and sorted by length; one of them is used
NARROW = -5.0
"""Log-variance that posteriors start with, if a layer of its own predicts it. The last normalisation keeps means near unit variance, so a
log-variance of 0 would make half of every number noise, and a training of minutes would not recover from that."""
SHARPER = 1.5
"""Factor by which the first queries and keys of a VAE are larger, if they start alike."""
_VAL_BATCH = 32


@dataclass(frozen=True)
class Recipe:
    """Learning rates; `fit` anneals them. matrices: Muon's, for the matrices of the layers; None: AdamW for everything, as published."""

    vae: float
    denoiser: float
    matrices: float | None = None
    decay: float = 0.01

    def optimizers(self, network: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
        """The optimizers of all parameters of a network."""
        if self.matrices is None:
            return [torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=self.decay)]
        return muon_and_adam(network.parameters(), layer_matrices(network), self.matrices, rate)


RECIPES = {"paper": Recipe(vae=8e-4, denoiser=1e-3), "shipped": Recipe(vae=1e-3, denoiser=1e-3, matrices=0.005)}
"""By scale. The shipped one has NeRM's optimiser at a lower rate: at 0.02 the logits of attention grow too large (docs/findings.md)."""


class VaeModule(nn.Module):
    """The VAE and its loss. mean, std: [D] of the features, to recover joints."""

    mean: Tensor
    std: Tensor

    def __init__(self, vae: MldVae | ActorVae, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.vae = vae
        self.register_buffer("mean", mean.clone(), persistent=False)
        self.register_buffer("std", std.clone(), persistent=False)

    def forward(self, x: Tensor, lengths: Tensor, noise: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The paper's loss (section 3.1). x: [B, L, D] normalised, zero beyond lengths [B]; noise: [B, tokens, width]."""
        mean, logvar = (part.float() for part in self.vae.distribution(x, lengths))
        z = mean + (0.5 * logvar).exp() * noise
        made = self.vae.decode(z, lengths)
        with torch.autocast(x.device.type, enabled=False):
            made = made.float()
            inside = valid_frames(lengths, x.shape[1]).float()[..., None]
            features = _mean(F.smooth_l1_loss(made, x, reduction="none"), inside)
            of_made, of_true = (recover_joints(y * self.std + self.mean).flatten(2) for y in (made, x))
            joints = _mean(F.smooth_l1_loss(of_made, of_true, reduction="none"), inside)
            kl = 0.5 * (logvar.exp() + mean.square() - 1 - logvar).mean()
            loss = features + JOINTS_WEIGHT * joints + KL_WEIGHT * kl
        return loss, {"features": features.detach(), "joints": joints.detach(), "kl": kl.detach()}


class VaeTask:
    """Crops of all items and of their mirror images."""

    def __init__(
        self,
        vae: MldVae | ActorVae,
        train: FeatureData,
        val: FeatureData,
        longest: int,
        shortest: int,
        recipe: Recipe = RECIPES["shipped"],
    ) -> None:
        self.recipe = recipe
        self.data, self.val, self.longest, self.shortest = train, val, longest, shortest
        self.usable, self.val_usable = train.usable(shortest), val.usable(shortest)
        self.latent = tuple(vae.config.latent)
        self.module: nn.Module = VaeModule(vae, train.mean, train.std)

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return self.recipe.optimizers(self.module, self.recipe.vae)

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, ...]:
        """x, lengths, noise."""
        places = self.data.draw(self.usable, VAE_BATCH, generator, POOL, stable=False)
        mirrored = torch.rand(len(places), generator=generator) < 0.5
        x, lengths = self.data.batch(places, mirrored, generator, self.longest, shortest=self.shortest)
        return x, lengths, torch.randn(len(x), *self.latent, generator=generator)

    def validate(self) -> dict[str, float]:
        """Losses on one fixed crop of every validation item, weighted by items."""
        generator, device = torch.Generator().manual_seed(7), next(self.module.parameters()).device
        totals: dict[str, float] = {}
        for places in self.val.by_length(self.val_usable, _VAL_BATCH, stable=False):
            x, lengths = self.val.batch(places, torch.zeros(len(places), dtype=torch.bool), generator, self.longest, shortest=self.shortest)
            noise = torch.randn(len(x), *self.latent, generator=generator)
            loss, parts = self.module(x.to(device), lengths.to(device), noise.to(device), progress=1.0)
            for name, value in {"loss": loss, **parts}.items():
                totals[name] = totals.get(name, 0.0) + float(value) * len(places) / len(self.val_usable)
        return totals


class DenoiserModule(nn.Module):
    """The denoiser and its loss. abar: [1000]."""

    abar: Tensor

    def __init__(self, denoiser: Denoiser, settings: SchedulerSettings) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.predicts_noise = settings.prediction_type == "epsilon"
        self.register_buffer("abar", settings.alphas_cumprod(), persistent=False)

    def forward(self, z: Tensor, noise: Tensor, step: Tensor, text: Tensor, progress: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Equation 2 of the paper. z, noise: [B, tokens, width]; step: [B]; text: [B, 1, d]."""
        predicted = self.denoiser(noised(z, noise, step, self.abar), step, text).float()
        loss = F.mse_loss(predicted, noise if self.predicts_noise else z)
        return loss, {}


class Posteriors:
    """mean, deviation: [items, CROPS, tokens, width] of crops of the items at `places`; odd crops are of the mirror image."""

    def __init__(self, vae: MldVae | ActorVae, data: FeatureData, places: Tensor, longest: int, shortest: int, seed: int) -> None:
        self.places, crops = places, []
        generator, device = torch.Generator().manual_seed(seed), next(vae.parameters()).device
        order = data.lengths[places].argsort()
        for crop in range(CROPS):
            parts = []
            for batch in places[order].split(_VAL_BATCH):
                x, lengths = data.batch(batch, torch.full((len(batch),), crop % 2 == 1), generator, longest, shortest=shortest)
                with torch.inference_mode():
                    parts.append(torch.stack(vae.encode(x.to(device), lengths.to(device))).cpu())
            crops.append(torch.cat(parts, 1)[:, order.argsort()])
        self.mean, self.deviation = torch.stack(crops, 2).clone().unbind(0)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """(shift, scale) [tokens, width]: mean and deviation of draws from them."""
        mean, deviation = self.mean.flatten(0, 1), self.deviation.flatten(0, 1)
        return mean.mean(0), (mean.var(0, unbiased=False) + deviation.square().mean(0)).sqrt().clamp(min=1e-4)


class LatentBatch(NamedTuple):
    """z, noise: [B, tokens, width]; step: [B]; text: [B, 1, d]."""

    z: Tensor
    noise: Tensor
    step: Tensor
    text: Tensor


class DenoiserTask:
    """Standardised draws from the posteriors, with a training caption or the empty text."""

    def __init__(
        self,
        denoiser: Denoiser,
        prediction: str,
        texts: Texts,
        train: tuple[FeatureData, Posteriors],
        val: tuple[FeatureData, Posteriors],
        recipe: Recipe = RECIPES["shipped"],
    ) -> None:
        """prediction: what the denoiser predicts, epsilon | sample."""
        self.recipe = recipe
        self.data, self.posteriors = train
        self.val = val
        self.shift, self.scale = self.posteriors.statistics()
        self.texts = texts
        self.module: nn.Module = DenoiserModule(denoiser, SchedulerSettings(prediction_type=prediction))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return self.recipe.optimizers(self.module, self.recipe.denoiser)

    def batch(self, generator: torch.Generator, progress: float) -> LatentBatch:
        """Random crops of random items."""
        chosen = torch.randint(len(self.posteriors.places), (DENOISER_BATCH,), generator=generator)
        return self._drawn(self.data, self.posteriors, chosen, generator)

    def validate(self) -> dict[str, float]:
        """The loss on fixed draws from the validation items."""
        generator, device = torch.Generator().manual_seed(7), next(self.module.parameters()).device
        data, posteriors = self.val
        chosen = torch.randint(len(posteriors.places), (1024,), generator=generator)
        given = [x.to(device) for x in self._drawn(data, posteriors, chosen, generator)]
        return {"loss": float(self.module(*given, progress=1.0)[0])}

    def _drawn(self, data: FeatureData, posteriors: Posteriors, chosen: Tensor, generator: torch.Generator) -> LatentBatch:
        crop = torch.randint(CROPS, (len(chosen),), generator=generator)
        mean, deviation = posteriors.mean[chosen, crop], posteriors.deviation[chosen, crop]
        z = (mean + deviation * torch.randn(mean.shape, generator=generator) - self.shift) / self.scale
        sentences = data.sentence(posteriors.places[chosen], crop % 2 == 1, generator)
        dropped = (torch.rand(len(chosen), generator=generator) < DROPPED_TEXTS).tolist()
        text = self.texts.embed(["" if drop else sentence for drop, sentence in zip(dropped, sentences, strict=True)])
        step = torch.randint(len(self.module.abar), (len(chosen),), generator=generator)  # type: ignore[arg-type]
        return LatentBatch(z, torch.randn(z.shape, generator=generator), step, text[:, None])


def train(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """Train both stages within the budget, in `folder` (resumable); returns the path of the weights, folder/mld.safetensors."""
    data, val = load_feature_data(dataset), load_feature_data(dataset, "val")
    system = train_on(data, val, dataset.name, budget, folder, scaled(scale, data.format.dims), RECIPES[scale])
    path = folder / f"{KIND}.safetensors"
    system.save(path, **origin_of(budget, dataset))
    return path


def train_on(
    data: FeatureData,
    val: FeatureData,
    dataset: str,
    budget: Budget,
    folder: Path,
    config: MldConfig,
    recipe: Recipe = RECIPES["shipped"],
) -> Mld:
    """The trained system, from the features of a dataset of that name."""
    if config.vae is None:
        raise InputError("a configuration without VAE; training here is of latent diffusion: give one with a VAE")
    texts = Texts(config.text_encoder)
    if texts.size != config.denoiser.text:
        raise InputError(f"text_encoder={config.text_encoder} gives {texts.size} numbers, the denoiser reads {config.denoiser.text}")
    nothing = texts.embed([""])[0]  # before anything is trained, so that a missing encoder is an error now
    shortest = min(SHORTEST, int(data.lengths.max()), int(val.lengths.max()))
    budgets = budget.parts({"vae": VAE_SHARE, "denoiser": 1 - VAE_SHARE}, {"denoiser": POSTERIORS_S * len(data)})
    with torch.random.fork_rng():
        torch.manual_seed(budget.seed)
        vae = build_vae(config.vae)
        start_as_sinusoids(vae)
        start_in_order(vae)
        vae_task = VaeTask(vae, data, val, config.longest, shortest, recipe)
        fits = {"vae": fit(vae_task, budgets["vae"], folder / "vae", f"{KIND} vae")}
        vae.requires_grad_(False).eval()
        known, held_out = ((d, Posteriors(vae, d, d.usable(shortest), config.longest, shortest, budget.seed)) for d in (data, val))
        torch.manual_seed(budget.seed + 1)
        denoiser = Denoiser(config.denoiser)
        start_as_sinusoids(denoiser)
        task = DenoiserTask(denoiser, config.prediction, texts, known, held_out, recipe)
        fits["denoiser"] = fit(task, budgets["denoiser"], folder / "denoiser", f"{KIND} denoiser")
    system = Mld(config, vae, denoiser, data.mean, data.std, task.shift, task.scale, nothing).to("cpu")
    system.facts = facts_of(fits, {"vae": VAE_BATCH, "denoiser": DENOISER_BATCH}, system.parameters, dataset)
    return system


def recover_joints(features: Tensor) -> Tensor:
    """Features [B, T, D], not normalised -> joints [B, T, J, 3] in metres, differentiable (`nerm.motion.features.decode` in torch).

    Heading and root are sums of the steps before a frame; joints 1 to 21 are turned back by the heading and put on the root.
    """
    f = format_of_dims(features.shape[-1])
    before = F.pad(features[:, :-1], (0, 0, 1, 0))
    angle = 2 * before[..., f.turn].cumsum(1)  # the format holds half of it
    step_x, step_z = before[..., f.root_velocity].split(1, -1)
    x, z = _turned(step_x, step_z, angle)
    root = torch.cat([x.cumsum(1), features[..., f.root_height], z.cumsum(1)], -1)
    ric = features[..., f.ric].unflatten(-1, (-1, 3))
    x, z = _turned(ric[..., 0], ric[..., 2], angle)
    joints = torch.stack([x + root[..., :1], ric[..., 1], z + root[..., 2:]], -1)
    return torch.cat([root[..., None, :], joints], -2) * f.metres_per_unit


def start_as_sinusoids(network: nn.Module) -> None:
    """Start learned position tables as sinusoids: neighbouring frames are alike from the first step on."""
    for table in network.modules():
        if isinstance(table, Positions) and isinstance(table.pe, nn.Parameter):
            with torch.no_grad():
                table.pe.copy_(sinusoids(len(table.pe), table.pe.shape[-1])[:, None])


def start_in_order(vae: nn.Module) -> None:
    """Give the tokens of a VAE with a distribution layer (`mlp_dist`) and learned positions an order in time; others stay as they are.

    The tokens start at times spread evenly over the position table, each as the wave of its time, and queries start like keys. So a token
    first reads the frames around its time, and a frame first reads the tokens around its own. Posteriors start narrow.
    """
    if not (isinstance(vae, MldVae) and vae.config.mlp_dist) or vae.config.sinusoid:
        return
    tokens, width = vae.config.latent
    with torch.no_grad():
        positions = torch.arange(vae.config.positions, dtype=torch.float32)
        # In the encoder frame 0 comes after the tokens; the same frame has the same wave in both tables.
        first = tokens if vae.config.arch == "encoder_decoder" else 0
        vae.query_pos_encoder.pe.copy_(_waves(positions, width)[:, None])
        vae.query_pos_decoder.pe.copy_(_waves(positions + first, width)[:, None])
        centres = tokens + (torch.arange(tokens) + 0.5) * (vae.config.positions - tokens) / tokens
        vae.global_motion_token.copy_(_waves(centres, width) - vae.query_pos_encoder.rows(tokens))
        vae.dist_layer.weight[:width].copy_(torch.eye(width))
        vae.dist_layer.weight[width:].mul_(0.1)
        vae.dist_layer.bias[:width].zero_()
        vae.dist_layer.bias[width:].fill_(NARROW)
        for module in vae.modules():
            if isinstance(module, Attention):
                query, key, _ = module.in_proj_weight.chunk(3)
                query.copy_(key.mul_(SHARPER))


def _waves(places: Tensor, width: int) -> Tensor:
    """[n] -> [n, width]: sines and cosines with periods of 6 to 600 frames, so that all of them distinguish the frames of a window."""
    angle = places[:, None] * 100.0 ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width]


def layer_matrices(network: nn.Module) -> list[nn.Parameter]:
    """The matrices of attention, feed-forward and long skip connections: what maps width to width inside the stacks."""
    stacks = [module for module in network.modules() if isinstance(module, SkipStack | PlainStack)]
    return [p for stack in stacks for p in stack.parameters() if p.dim() == 2]


def _turned(x: Tensor, z: Tensor, angle: Tensor) -> tuple[Tensor, Tensor]:
    """x and z, turned about y from the heading frame to the world."""
    cosine, sine = angle.cos(), angle.sin()
    return x * cosine - z * sine, x * sine + z * cosine


def _mean(error: Tensor, inside: Tensor) -> Tensor:
    return (error * inside).sum() / (inside.sum() * error.shape[-1])
