"""Stage 2: the denoiser, trained on the codes of stage 1, in coordinates in which distance is distance of poses (nerm.pose_space).

Mirroring costs stage 1 nothing: a code gets one more number, +1 for the motion as the field reads it and -1 for its mirror image, and
the denoiser learns (z, +1 | caption) and (z, -1 | mirrored caption) together. What it samples says itself whether to mirror.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from nerm.data.captions import load_captions, mirror_caption
from nerm.data.corpus import Corpus
from nerm.denoiser import Denoiser
from nerm.diffusion import STEPS, add_noise, target
from nerm.errors import InputError
from nerm.field import Field
from nerm.model import NeRM, field_training, load_stage1
from nerm.pose_space import pose_space
from nerm.settings import Stage2Config
from nerm.text import load_text_encoder
from nerm.training import Budget, Fit, fingerprint, fit

NOTHING, TEXT, LABEL = 0, 1, 2


class DenoiserTask:
    """Codes of the training windows with their conditions.

    The codes are the means of stage 1's posteriors. Draws from them would be noise that no denoiser can predict, most of it where it
    cannot matter: control points beyond the ends of a short window are read at no time, so that their posterior is the prior.
    """

    def __init__(self, config: Stage2Config, field_: Field, mean: Tensor, windows: Tensor, corpus: Corpus) -> None:
        if not 0 <= config.crop < 1:
            raise InputError(f"stage2.crop={config.crop:g}; expected a share of a window's duration, at least 0 and below 1")
        self.config = config
        rows = corpus.windows.loc[windows.tolist()]
        self.labels = sorted(set(rows["label"]) - {""})
        config.denoiser.labels = len(self.labels)
        config.denoiser.latent = mean.shape[1] + 1
        self.seconds = torch.tensor(rows["seconds"].to_numpy(), dtype=torch.float32)
        self.space = pose_space(field_, mean, self.seconds, config.flatness, config.largest)
        self.codes = self.space.enter(mean)
        self.label = torch.tensor([self.labels.index(name) if name else -1 for name in rows["label"]])
        self._embed_captions()
        self.module = DenoiserModule(config, self.space.weight)

    def _embed_captions(self) -> None:
        """texts: [labels, 2 (mirrored), sentences, d], padded by repeating; the last one of a label is not the test sentence."""
        captions = load_captions()
        encoder = load_text_encoder(self.config.text_encoder)
        self.config.denoiser.text = encoder.size
        groups = [captions.train[name] for name in self.labels]
        self.sentences = torch.tensor([len(group) for group in groups])
        most = int(self.sentences.max())
        padded = [[group[i % len(group)] for i in range(most)] for group in groups]
        flat = [text for group in padded for text in group]
        plain = torch.from_numpy(encoder.encode(flat))
        mirrored = torch.from_numpy(encoder.encode([mirror_caption(text) for text in flat]))
        self.texts = torch.stack([plain, mirrored]).unflatten(1, (len(groups), most)).transpose(0, 1)
        # A label has no mirror image unless none of its sentences has a side.
        self.sided = torch.tensor([any(mirror_caption(text) != text for text in group) for group in groups])

    def optimizers(self) -> list[torch.optim.Optimizer]:
        matrices = self.module.denoiser.matrices()
        owned = {id(p) for p in matrices}
        return [
            torch.optim.Muon(matrices, lr=self.config.matrix_rate, momentum=0.95, weight_decay=0.0, adjust_lr_fn="original"),
            torch.optim.AdamW([p for p in self.module.parameters() if id(p) not in owned], lr=self.config.rate, weight_decay=0.01),
        ]

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Tensor, ...]:
        index = torch.randint(len(self.codes), (self.config.batch,), generator=generator)
        return self.conditioned(index, generator)

    def conditioned(self, index: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """z, noise, step, seconds, text, label, kind for the windows `index`: mirror signs, sentences and noise drawn anew."""
        count = len(index)

        def uniform() -> Tensor:
            return torch.rand(count, generator=generator)

        mirrored = uniform() < 0.5
        label = self.label[index]
        known = label >= 0
        row = label.clamp(min=0)
        sentence = (uniform() * self.sentences[row]).long()
        text = self._reworded(row, mirrored.long(), sentence, generator)
        use_label = (uniform() < self.config.label_share) & ~(mirrored & self.sided[row])
        kind = torch.where(use_label, LABEL, TEXT)
        kind = torch.where(known & (uniform() >= self.config.drop), kind, NOTHING)
        z = torch.cat([self.codes[index], self.config.mirror_size * (1 - 2 * mirrored[:, None].float())], -1)
        step = torch.randint(STEPS, (count,), generator=generator)
        seconds = self.seconds[index] * (1 - self.config.crop * uniform())
        return z, torch.randn(z.shape, generator=generator), step, seconds, text, label, kind

    def _reworded(self, row: Tensor, mirrored: Tensor, sentence: Tensor, generator: torch.Generator) -> Tensor:
        """[B, d] unit vectors around a label's sentences: towards another of them, and off by noise.

        A label has five to ten sentences, which are soon known by heart; a user's own wording lies beside them.
        """
        other = (torch.rand(len(row), generator=generator) * self.sentences[row]).long()
        text = torch.lerp(
            self.texts[row, mirrored, sentence], self.texts[row, mirrored, other], torch.rand(len(row), 1, generator=generator) / 2
        )
        noise = torch.randn(text.shape, generator=generator) * (self.config.text_noise / text.shape[1] ** 0.5)
        return torch.nn.functional.normalize(text + noise, dim=-1)

    def validate(self) -> dict[str, float]:
        """The loss on a fixed draw of training codes: how far memorising has come."""
        generator = torch.Generator().manual_seed(7)
        index = torch.randint(len(self.codes), (1024,), generator=generator)
        loss, _ = self.module(*self.conditioned(index, generator), progress=1.0)
        return {"loss": float(loss)}


class DenoiserModule(nn.Module):
    """The denoiser and its loss. weight: [d] of the coordinates in distances of poses."""

    weight: Tensor

    def __init__(self, config: Stage2Config, weight: Tensor) -> None:
        super().__init__()
        self.prediction = config.prediction
        weight = weight**config.gist
        self.register_buffer("weight", torch.cat([weight / weight.mean(), torch.tensor([config.mirror_weight])]), persistent=False)
        self.denoiser = Denoiser(config.denoiser)

    def forward(
        self, z: Tensor, noise: Tensor, step: Tensor, seconds: Tensor, text: Tensor, label: Tensor, kind: Tensor, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Equation 6 of the paper, for any of the three predictions."""
        said = self.denoiser(add_noise(z, noise, step), step, seconds, text, label, kind).float()
        error = (said - target(z, noise, step, self.prediction)).square()
        loss = (error * self.weight).mean()
        return loss, {"mirror": error[:, -1].detach().mean()}


def train_denoiser(corpus: Corpus, config: Stage2Config, budget: Budget, folder: Path, out: Path | None = None) -> Fit:
    """Train the denoiser on the codes in folder/field.safetensors; writes the whole system to `out` (default folder/nerm.safetensors)."""
    torch.manual_seed(budget.seed)
    stage1, field_, mean, windows = load_stage1(folder / "field.safetensors", corpus)
    task = DenoiserTask(config, field_, mean, windows, corpus)
    outcome = fit(task, budget, folder / "denoiser", "denoiser", fingerprint(mean, *field_.parameters()))
    training = {"field": field_training(folder / "field.safetensors"), "denoiser": outcome.facts(config.batch)}
    space, labels = task.space, task.labels
    NeRM(stage1, field_, config, task.module.denoiser, space.shift, space.back, labels, training=training, trained_on=corpus.digest).save(
        out or folder / "nerm.safetensors"
    )
    return outcome
