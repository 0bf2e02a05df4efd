"""Training of MDM on the features of a dataset: predict the motion without noise, from any step, with and without its caption.

Source: Tevet et al., Human Motion Diffusion Model, ICLR 2023, section 3 (equation 2; the geometric losses are of the action models).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from baselines.data import SHORTEST, UNIT, FeatureData, Texts, load_feature_data
from baselines.diffusion import Diffusion
from baselines.features import valid_frames
from baselines.mdm.config import SCALES, MDMConfig
from baselines.mdm.files import KIND, Weights, save
from baselines.mdm.network import MDM
from baselines.training import facts_of, muon_and_adam, origin_of
from nerm.cli import choose
from nerm.training import Budget, fit

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset

VALIDATION_SEED = 7
VALIDATION_DRAWS = 4  # steps at which every validation item is seen


@dataclass(frozen=True)
class Recipe:
    """How one scale is trained. matrices: Muon's rate, for the matrices of the layers; None: AdamW for everything, as published.

    shortest: frames of the shortest item that is used.  pool: number of batches that are drawn together and sorted by length; one of
    them is used, so that little of a batch is padding.
    """

    batch: int = 64
    rate: float = 1e-4
    matrices: float | None = None
    weight_decay: float = 0.0
    shortest: int = SHORTEST
    pool: int = 1

    def for_lengths(self, *parts: FeatureData) -> Recipe:
        """The same recipe for data whose longest items may be shorter than `shortest`."""
        return replace(self, shortest=min(self.shortest, *(int(data.lengths.max()) // UNIT * UNIT for data in parts)))


RECIPES = {
    # A few thousand steps: many small batches teach more than few large ones. The table asks for motions of half a second and more.
    "shipped": Recipe(batch=32, rate=6e-4, matrices=0.01, shortest=2 * UNIT, pool=16),
    "paper": Recipe(),
}


class Batch(NamedTuple):
    """x, noise [B, L, D] normalised, zero beyond lengths [B]; text [B, 1, d]; keep [B] bool: with the condition; step [B]."""

    x: Tensor
    lengths: Tensor
    text: Tensor
    keep: Tensor
    step: Tensor
    noise: Tensor


class MDMTask:
    """A task for `nerm.training.fit`."""

    def __init__(self, config: MDMConfig, recipe: Recipe, data: FeatureData, held_out: FeatureData) -> None:
        self.config, self.recipe, self.data = config, recipe, data
        self.texts = Texts(config.text_encoder)
        self.usable = data.usable(recipe.shortest)
        self.module = MDMModule(config)
        self._held_out = held_out
        self._validation: list[Batch] | None = None

    def optimizers(self) -> list[torch.optim.Optimizer]:
        recipe, parameters = self.recipe, self.module.parameters()
        if recipe.matrices is None:
            return [torch.optim.AdamW(parameters, lr=recipe.rate, weight_decay=recipe.weight_decay)]
        return muon_and_adam(parameters, self.module.network.layer_matrices(), recipe.matrices, recipe.rate)

    def batch(self, generator: torch.Generator, progress: float) -> Batch:
        """Random items of similar length, at random steps."""
        places = self.data.draw(self.usable, self.recipe.batch, generator, self.recipe.pool)
        mirrored = torch.rand(len(places), generator=generator) < 0.5
        step = torch.randint(self.config.diffusion_steps, (len(places),), generator=generator)
        kept = torch.rand(len(places), generator=generator) >= self.config.network.cond_mask_prob
        return self._conditioned(self.data, places, mirrored, step, kept, generator)

    def _conditioned(
        self, data: FeatureData, places: Tensor, mirrored: Tensor, step: Tensor, kept: Tensor, generator: torch.Generator
    ) -> Batch:
        """The items at these places with captions and noise drawn anew. An item without a caption has no condition."""
        x, lengths = data.batch(places, mirrored, generator, self.config.longest, UNIT, self.recipe.shortest)
        sentences = data.sentence(places, mirrored, generator)
        known = torch.tensor([sentence != "" for sentence in sentences])
        text = torch.zeros(len(places), 1, self.config.network.text_dim)
        if known.any():
            text[known, 0] = self.texts.embed([sentence for sentence in sentences if sentence])
        return Batch(x, lengths, text, kept & known, step, torch.randn(x.shape, generator=generator))

    def validate(self) -> dict[str, float]:
        """The loss on all validation items with their captions, at fixed steps and with fixed noise."""
        self._validation = self._validation or self._draw_validation()
        device = next(self.module.parameters()).device
        total = [self.module.losses(*(part.to(device) for part in batch)) for batch in self._validation]
        return {"loss": float(torch.cat(total).mean())}

    def _draw_validation(self) -> list[Batch]:
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        data = self._held_out
        usable = data.usable(self.recipe.shortest)
        steps = self.config.diffusion_steps
        drawn = []
        for draw in range(VALIDATION_DRAWS):
            for part in data.by_length(usable, self.recipe.batch):
                # Steps are spread evenly over the schedule; each draw shifts them by another quarter of the stride.
                share = (torch.arange(len(part)) + draw / VALIDATION_DRAWS) / len(part)
                plain = torch.zeros(len(part), dtype=torch.bool)
                drawn.append(self._conditioned(data, part, plain, (share * steps).long(), ~plain, generator))
        return drawn


class MDMModule(nn.Module):
    """The network and its loss."""

    def __init__(self, config: MDMConfig) -> None:
        super().__init__()
        self.network = MDM(config.network)
        self.diffusion = Diffusion.make(config.diffusion_steps, schedule=config.noise_schedule)

    def forward(
        self, x: Tensor, lengths: Tensor, text: Tensor, keep: Tensor, step: Tensor, noise: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """A Batch -> its mean loss."""
        return self.losses(x, lengths, text, keep, step, noise).mean(), {}

    def losses(self, x: Tensor, lengths: Tensor, text: Tensor, keep: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """[B] masked mean squared error of the predicted motion, in float32, of a Batch."""
        x, noise = (y.transpose(1, 2)[:, :, None] for y in (x, noise))
        valid = valid_frames(lengths, x.shape[-1])
        # On a processor the plain attention is a fifth faster than the fused one, whose backward pass is slow in bfloat16.
        with sdpa_kernel(SDPBackend.MATH) if x.device.type == "cpu" else nullcontext():
            predicted = self.network(self.diffusion.noised(x, step, noise), step, text, keep, None, valid)
        return masked_mse(x, predicted.float(), valid)


def masked_mse(x0: Tensor, predicted: Tensor, valid: Tensor) -> Tensor:
    """[B] mean squared error over the valid frames. x0, predicted: [B, J, F, T]; valid: [B, T] bool. (MDM, equation 2)"""
    weight = valid[:, None, None].to(x0.dtype)
    return ((x0 - predicted).square() * weight).sum((1, 2, 3)) / (weight.sum((1, 2, 3)) * x0.shape[1] * x0.shape[2] + 1e-8)


def train(dataset: Dataset, budget: Budget, folder: Path, scale: str = "shipped") -> Path:
    """Train until the budget is used up, going on where a run in `folder` stopped; writes and returns folder/mdm.safetensors."""
    config, recipe = SCALES[choose("scale", scale, list(SCALES))], RECIPES[scale]
    data, held_out = load_feature_data(dataset, "train"), load_feature_data(dataset, "val")
    network = replace(config.network, njoints=data.format.dims)
    config, recipe = replace(config, network=network, fps=data.format.fps), recipe.for_lengths(data, held_out)
    torch.manual_seed(budget.seed)
    task = MDMTask(config, recipe, data, held_out)
    outcome = fit(task, budget, folder / KIND, KIND)
    facts = facts_of({"": outcome}, {"": recipe.batch}, sum(p.numel() for p in task.module.parameters()), dataset.name)
    path = folder / f"{KIND}.safetensors"
    weights = Weights(task.module.network, config, data.mean, data.std, "", facts)
    save(weights, path, recipe=asdict(recipe), **origin_of(budget, dataset))
    return path
