"""Training of MDM on the features of a corpus: predict the motion without noise, from any step, with and without its caption.

Source: Tevet et al., Human Motion Diffusion Model, ICLR 2023, section 3 (equation 2; the geometric losses are of the action models).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from baselines.data import SHORTEST, UNIT, FeatureData, Texts, load_feature_data
from baselines.mdm.config import SCALES, MDMConfig
from baselines.mdm.diffusion import Diffusion, masked_mse, valid_frames
from baselines.mdm.files import SYSTEM, Weights, save
from baselines.mdm.network import MDM
from nerm.cli import choose
from nerm.training import Budget, fit, undertrained

if TYPE_CHECKING:
    from nerm.data.corpus import Corpus

VALIDATION_SEED = 7
VALIDATION_DRAWS = 4  # steps at which every validation window is seen


@dataclass(frozen=True)
class Recipe:
    """How one scale is trained. shortest: feature rows of the shortest window that is used.  pool: batches that are drawn at a time and
    sorted by length; one of them is used, so that little of a batch is padding."""

    batch: int = 64
    rate: float = 1e-4
    weight_decay: float = 0.0
    shortest: int = SHORTEST
    pool: int = 1


RECIPES = {
    # A few thousand steps: many small batches teach more than few large ones. Windows of the table last from half a second on.
    "shipped": Recipe(batch=32, rate=6e-4, weight_decay=0.01, shortest=2 * UNIT, pool=16),
    "paper": Recipe(),
}


class MDMTask:
    """A task for `nerm.training.fit`. A batch is (x [B, L, 263], lengths, text [B, 1, d], keep [B], step [B], noise)."""

    def __init__(self, config: MDMConfig, recipe: Recipe, data: FeatureData, held_out: FeatureData) -> None:
        self.config, self.recipe, self.data = config, recipe, data
        self.texts = Texts(config.text_encoder)
        self.usable = data.usable(recipe.shortest)
        self.module = MDMModule(config)
        self._held_out = held_out
        self._validation: list[tuple[Tensor, ...]] | None = None

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.AdamW(self.module.parameters(), lr=self.recipe.rate, weight_decay=self.recipe.weight_decay)]

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, ...]:
        size, pool = self.recipe.batch, self.recipe.pool
        index = self.usable[torch.randint(len(self.usable), (size * pool,), generator=generator)]
        if pool > 1:
            block = int(torch.randint(pool, (1,), generator=generator))
            index = index[self.data.lengths[index].argsort(stable=True)][block * size : (block + 1) * size]
        mirrored = torch.rand(len(index), generator=generator) < 0.5
        step = torch.randint(self.config.diffusion_steps, (len(index),), generator=generator)
        kept = torch.rand(len(index), generator=generator) >= self.config.network.cond_mask_prob
        return self._conditioned(self.data, index, mirrored, step, kept, generator)

    def _conditioned(
        self, data: FeatureData, index: Tensor, mirrored: Tensor, step: Tensor, kept: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """The windows `index` with captions and noise drawn anew. A window without a label has no condition."""
        x, lengths = data.batch(index, mirrored, generator, self.config.longest, UNIT, self.recipe.shortest)
        sentences = data.sentence(index, mirrored, generator)
        known = torch.tensor([sentence != "" for sentence in sentences])
        text = torch.zeros(len(index), 1, self.config.network.text_dim)
        if known.any():
            text[known, 0] = self.texts.embed([sentence for sentence in sentences if sentence])
        return x, lengths, text, kept & known, step, torch.randn(x.shape, generator=generator)

    def validate(self) -> dict[str, float]:
        """The loss on all validation windows with their captions, at fixed steps and with fixed noise."""
        self._validation = self._validation or self._draw_validation()
        device = next(self.module.parameters()).device
        total = [self.module.losses(*(part.to(device) for part in batch)) for batch in self._validation]
        return {"loss": float(torch.cat(total).mean())}

    def _draw_validation(self) -> list[tuple[Tensor, ...]]:
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        data = self._held_out
        index = data.usable(self.recipe.shortest)
        index = index[data.lengths[index].argsort(stable=True)]
        steps = self.config.diffusion_steps
        drawn = []
        for draw in range(VALIDATION_DRAWS):
            for part in index.split(self.recipe.batch):
                # Spread evenly over the schedule, another quarter of a stride in every draw.
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
        return self.losses(x, lengths, text, keep, step, noise).mean(), {}

    def losses(self, x: Tensor, lengths: Tensor, text: Tensor, keep: Tensor, step: Tensor, noise: Tensor) -> Tensor:
        """[B] masked mean squared error of the predicted motion, in float32. x, noise: [B, L, 263]."""
        x, noise = (y.transpose(1, 2)[:, :, None] for y in (x, noise))
        valid = valid_frames(lengths, x.shape[-1])
        # On a processor the plain attention is a fifth faster than the fused one, whose backward pass is slow in bfloat16.
        with sdpa_kernel(SDPBackend.MATH) if x.device.type == "cpu" else nullcontext():
            predicted = self.network(self.diffusion.noised(x, step, noise), step, text, keep, None, valid)
        return masked_mse(x, predicted.float(), valid)


def train(corpus: Corpus, budget: Budget, folder: Path, scale: str = "shipped", seed: int | None = None) -> Path:
    """Train until the budget is used up, going on where a run in `folder` stopped; writes and returns folder/mdm.safetensors.

    seed: in place of the budget's.
    """
    config, recipe = SCALES[choose("scale", scale, list(SCALES))], RECIPES[scale]
    if seed is not None:
        budget = replace(budget, seed=seed)
    data, held_out = load_feature_data(corpus, "train"), load_feature_data(corpus, "val")
    torch.manual_seed(budget.seed)
    task = MDMTask(config, recipe, data, held_out)
    outcome = fit(task, budget, folder / SYSTEM, SYSTEM)
    facts = {
        "steps": outcome.steps,
        "seconds": round(outcome.seconds, 1),
        "samples": outcome.steps * recipe.batch,
        "device": outcome.device,
        "seed": budget.seed,
        "corpus": corpus.digest,
        "parameters": sum(p.numel() for p in task.module.parameters()),
        "undertrained": undertrained(outcome.history),
        "recipe": asdict(recipe),
    }
    path = folder / f"{SYSTEM}.safetensors"
    save(Weights(task.module.network, config, data.mean, data.std, "", facts), path)
    return path
