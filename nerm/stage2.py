"""Stage 2: the denoiser, trained on the codes of stage 1, in coordinates in which distance is distance of poses (nerm.pose_space).

Mirroring costs stage 1 nothing: a code gets one more number, +1 for the motion as the field reads it and -1 for its mirror image, and
the denoiser learns (z, +1 | caption) and (z, -1 | mirrored caption) together. The sign of what it samples says whether to mirror. Of a
sentence that names one side only the version that names the left is learned and asked for; the motion is mirrored for the other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nerm.cli import progress
from nerm.conditions import Wording, conditions_of, draw_conditions
from nerm.data.dataset import Dataset, Item
from nerm.denoiser import Denoiser
from nerm.diffusion import STEPS, add_noise, target
from nerm.errors import InputError
from nerm.model import NeRM
from nerm.muon import Muon
from nerm.pose_space import Reads, pose_space
from nerm.sentence_space import enter, sentence_space
from nerm.settings import Stage2Config
from nerm.stage1 import field_training, items_of, load_stage1
from nerm.text import load_text_encoder
from nerm.training import Budget, Fit, fingerprint, fit


class Noised(NamedTuple):
    """A batch of codes with their conditions, as `DenoiserModule` takes it.

    z, noise: [B, d].  step: [B] of the diffusion.  seconds: [B].  text: [B, width].  label: [B].  kind: [B] NOTHING, TEXT or LABEL.
    """

    z: Tensor
    noise: Tensor
    step: Tensor
    seconds: Tensor
    text: Tensor
    label: Tensor
    kind: Tensor


class DenoiserTask:
    """Codes of the training items with their conditions.

    The codes are the means of stage 1's posteriors, or, with `draws`, drawn from them anew in every batch, as in the paper. In a code that
    is a curve, draws add noise that no denoiser can predict, most of it without effect: control points beyond the ends of a short window
    are never read, so their posterior is the prior.
    """

    deviation: Tensor | None = None
    """[n, d] of the posteriors, in the field's units; None where the means are learned."""
    sentences: Tensor | None = None
    """The space that sentences are read in (`nerm.sentence_space`); None where their embeddings are read as they are."""

    def __init__(self, config: Stage2Config, field_: Reads, mean: Tensor, items: Sequence[Item], deviation: Tensor | None = None) -> None:
        """mean, deviation: [n, d] of the posteriors; without deviation, or with one of 0 everywhere, codes are points."""
        if not 0 <= config.crop < 1:
            raise InputError(f"stage2.crop={config.crop:g}; expected a share of a window's duration, at least 0 and below 1")
        if config.sentence_space < 0:
            raise InputError(f"stage2.sentence_space={config.sentence_space}; expected a number of dimensions, or 0 for none")
        self.config = config
        encoder = load_text_encoder(config.text_encoder) if any(item.captions for item in items) else None
        if encoder:
            config.denoiser.text = encoder.size
        self.conditions = conditions_of(items, encoder, config.denoiser.text)
        if encoder and config.sentence_space:
            self.sentences = sentence_space(self.conditions, config.sentence_space)
            self.conditions.texts = enter(self.sentences, self.conditions.texts)
            config.denoiser.text = config.sentence_space
        config.denoiser.labels = len(self.conditions.labels)
        self.seconds = torch.tensor(seconds_of(items), dtype=torch.float32)
        self.deviation = deviation if config.draws and deviation is not None and deviation.any() else None
        spread = 0.0 if self.deviation is None else self.deviation * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
        self.space = pose_space(field_, mean + spread, self.seconds, config.flatness, config.largest, config.keep)
        self.codes = self.space.enter(mean)
        config.denoiser.latent = self.codes.shape[1] + 1
        self.module = DenoiserModule(config, self.space.weight, torch.tensor([config.mirror_weight]))

    def optimizers(self) -> list[torch.optim.Optimizer]:
        return self.module.optimizers(self.config)

    def batch(self, generator: torch.Generator, progress: float) -> Noised:
        index = torch.randint(len(self.codes), (self.config.batch,), generator=generator)
        return self.conditioned(index, generator)

    def conditioned(self, index: Tensor, generator: torch.Generator) -> Noised:
        """The items `index`, with mirror signs, sentences and noise drawn anew."""
        count, config = len(index), self.config

        def uniform() -> Tensor:
            return torch.rand(count, generator=generator)

        wording = Wording(config.label_share, config.drop, config.text_noise, config.one_sided)
        asked, mirrored = draw_conditions(self.conditions, index, wording, generator)
        z = torch.cat([self._drawn(index, generator), config.mirror_size * (1 - 2 * mirrored[:, None].float())], -1)
        step = torch.randint(STEPS, (count,), generator=generator)
        seconds = self.seconds[index] * (1 - config.crop * uniform())
        return Noised(z, torch.randn(z.shape, generator=generator), step, seconds, *asked)

    def _drawn(self, index: Tensor, generator: torch.Generator) -> Tensor:
        """[B, d] codes of the items in pose space: their means, or draws from their posteriors."""
        if self.deviation is None:
            return self.codes[index]
        noise = torch.randn(len(index), self.deviation.shape[1], generator=generator)
        return self.codes[index] + (self.deviation[index] * noise) @ self.space.to

    def validate(self) -> dict[str, float]:
        """The loss on a fixed draw of training codes: it shows how far they are memorised."""
        generator = torch.Generator().manual_seed(7)
        index = torch.randint(len(self.codes), (1024,), generator=generator)
        loss, _ = self.module(*self.conditioned(index, generator), progress=1.0)
        return {"loss": float(loss)}


class DenoiserModule(nn.Module):
    """The denoiser and its loss.

    weight: [d] weights of the coordinates in distances of poses.  others: [0 or 1] that of the mirror sign, which follows, against 1 on
    average.
    """

    weight: Tensor

    def __init__(self, config: Stage2Config, weight: Tensor, others: Tensor) -> None:
        super().__init__()
        self.prediction, self.signed = config.prediction, len(others) > 0
        weight = weight**config.gist
        self.register_buffer("weight", torch.cat([weight / weight.mean(), others]), persistent=False)
        self.denoiser = Denoiser(config.denoiser)

    def optimizers(self, config: Stage2Config) -> list[torch.optim.Optimizer]:
        """Muon for the matrices between hidden layers, AdamW for the rest."""
        matrices = self.denoiser.matrices()
        owned = {id(p) for p in matrices}
        return [
            Muon(matrices, lr=config.matrix_rate),
            torch.optim.AdamW([p for p in self.parameters() if id(p) not in owned], lr=config.rate, weight_decay=0.01),
        ]

    def forward(
        self, z: Tensor, noise: Tensor, step: Tensor, seconds: Tensor, text: Tensor, label: Tensor, kind: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Equation 6 of the paper, for any of the three predictions."""
        predicted = self.denoiser(add_noise(z, noise, step), step, seconds, text, label, kind).float()
        error = (predicted - target(z, noise, step, self.prediction)).square()
        loss = (error * self.weight).mean()
        return loss, {"mirror": error[:, -1].detach().mean()} if self.signed else {}


def seconds_of(items: Sequence[Item]) -> list[float]:
    """The durations that denoisers are trained on and asked for, to the microsecond."""
    return [round(item.seconds, 6) for item in items]


def train_denoiser(dataset: Dataset, config: Stage2Config, budget: Budget, folder: Path, out: Path | None = None) -> Fit:
    """Train the denoiser on the codes in folder/field.safetensors; writes the whole system to `out` (default folder/nerm.safetensors)."""
    torch.manual_seed(budget.seed)
    path = folder / "field.safetensors"
    stage1 = load_stage1(path, dataset)
    items = items_of(stage1, dataset)
    for what, known in (("captions", any(item.captions for item in items)), ("labels", any(item.label for item in items))):
        if not known:
            progress(f"denoiser: the training items of dataset '{dataset.name}' have no {what}; it is trained without them")
    task = DenoiserTask(config, stage1.field, stage1.means, items, stage1.deviations)
    learned = [stage1.means] if task.deviation is None else [stage1.means, task.deviation]
    outcome = fit(task, budget, folder / "denoiser", "denoiser", fingerprint(*learned, *stage1.field.parameters()))
    training = {"field": field_training(path), "denoiser": outcome.facts(config.batch)}
    space, labels = task.space, task.conditions.labels
    system = NeRM(stage1.settings, stage1.field, config, task.module.denoiser, space.shift, space.back, labels, training=training)
    system.trained_on, system.dataset, system.sentences = dataset.digest, dataset.name, task.sentences
    system.save(out or folder / "nerm.safetensors")
    return outcome
