"""The networks of T2M: text to length, the snippet auto-encoder, and the temporal VAE that writes a motion snippet by snippet.

Parameter names, shapes and arithmetic are the official ones, so an official checkpoint loads as it is. A snippet is 4 frames of features;
the movement encoder turns a snippet into its code. Nothing here knows captions, corpora or losses.

Source: Guo et al., Generating Diverse and Natural 3D Human Motions from Text, CVPR 2022, sections 3 and 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from baselines.t2m.layers import CONTACTS, UNIT, MovementConvEncoder, WordGRU
from nerm.cli import choose
from nerm.errors import InputError

CHUNK = 8
"""Snippets are written for exactly this many motions at a time (padded), so that a motion does not depend on what else is in the batch."""
WORDS = 22
"""Captions are padded to this many words, with sos and eos, when they are written together."""
VAE_PARTS = ("text_enc", "seq_pri", "seq_post", "seq_dec", "att_layer", "mov_enc", "mov_dec")

# fmt: off
SCALES: dict[str, dict[str, int]] = {
    "shipped": {
        "dim_text_hidden": 96, "dim_att_vec": 96, "dim_z": 32, "dim_pri_hidden": 160, "dim_pos_hidden": 160, "dim_dec_hidden": 160,
        "dim_movement_enc_hidden": 128, "dim_movement_latent": 128, "dim_movement_dec_hidden": 128,
        "length_hidden": 64, "length_width": 128, "longest": 204,
    },
    "paper": {
        "dim_text_hidden": 512, "dim_att_vec": 512, "dim_z": 128, "dim_pri_hidden": 1024, "dim_pos_hidden": 1024, "dim_dec_hidden": 1024,
        "dim_movement_enc_hidden": 512, "dim_movement_latent": 512, "dim_movement_dec_hidden": 512,
        "length_hidden": 512, "length_width": 512, "longest": 196,
    },
}
# fmt: on


@dataclass
class T2MConfig:
    """Widths, named as officially; a 0 is the scale's (shipped: at most 1.6 M parameters in all; paper: the official ones).

    length_hidden, length_width: of the length estimator.  longest: frames that can be asked for, and the last length class.
    """

    scale: str = "shipped"
    dim_pose: int = 263
    dim_word: int = 300
    dim_pos_ohot: int = 15
    dim_text_hidden: int = 0
    dim_att_vec: int = 0
    dim_z: int = 0
    dim_pri_hidden: int = 0
    dim_pos_hidden: int = 0
    dim_dec_hidden: int = 0
    n_layers_pri: int = 1
    n_layers_pos: int = 1
    n_layers_dec: int = 1
    dim_movement_enc_hidden: int = 0
    dim_movement_latent: int = 0
    dim_movement_dec_hidden: int = 0
    length_hidden: int = 0
    length_width: int = 0
    longest: int = 0

    def __post_init__(self) -> None:
        for name, width in SCALES[choose("scale", self.scale, list(SCALES))].items():
            if getattr(self, name) == 0:
                setattr(self, name, width)
        for field in fields(self):
            value: Any = getattr(self, field.name)
            if field.name != "scale" and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError(f"{field.name}={value}; expected a whole number above 0")
        if self.dim_pose <= CONTACTS:
            raise InputError(f"dim_pose={self.dim_pose}; expected more than {CONTACTS}: the movement encoder leaves the last columns out")

    @property
    def classes(self) -> int:
        """Of the length estimator: class k stands for 4k frames."""
        return self.longest // UNIT + 1


class MovementConvDecoder(nn.Module):
    """Codes -> 4 frames of all features each. A frame reads its own code and the neighbours'."""

    def __init__(self, latent: int, hidden: int, features: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose1d(latent, hidden, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose1d(hidden, features, 4, 2, 1),
            nn.LeakyReLU(0.2),
        )
        self.out_net = nn.Linear(features, features)

    def forward(self, codes: Tensor) -> Tensor:
        """codes: [B, n, latent] -> [B, 4n, features]."""
        return self.out_net(self.main(codes.transpose(1, 2)).transpose(1, 2))


class TextEncoderBiGRU(WordGRU):
    """A caption -> a state per word and a summary.

    As published, the backward half is reversed within the caption's length: its column t belongs to word length - 1 - t.
    """

    def forward(self, words: Tensor, classes: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """As `read`, with the backward half reversed: ([B, max length, 2h], [B, 2h])."""
        states, last = self.read(words, classes, lengths)
        forward, backward = states.chunk(2, dim=-1)
        place = torch.arange(states.shape[1], device=states.device)
        turned = lengths.to(states.device)[:, None] - 1 - place
        order = torch.where(turned >= 0, turned, place)[..., None].expand_as(backward)
        return torch.cat([forward, backward.gather(1, order)], dim=-1), last


class MotionLenEstimatorBiGRU(WordGRU):
    """A caption -> scores of length classes; class k stands for 4k frames."""

    def __init__(self, dim_word: int, dim_class: int, hidden: int, classes: int, width: int = 512) -> None:
        super().__init__(dim_word, dim_class, hidden)
        widths = [2 * hidden, width, width // 2, width // 4]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.LeakyReLU(0.2)]
        self.output = nn.Sequential(*layers, nn.Linear(widths[-1], classes))

    def forward(self, words: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
        """[B, N, dim_word], [B, N, dim_class], [B] -> logits [B, classes]."""
        return self.output(self.read(words, classes, lengths)[1])


class AttLayer(nn.Module):
    """Attention of the decoder's state over the words."""

    def __init__(self, query: int, key: int, width: int) -> None:
        super().__init__()
        self.W_q = nn.Linear(query, width)
        self.W_k = nn.Linear(key, width, bias=False)
        self.W_v = nn.Linear(key, width)

    def project(self, words: Tensor) -> tuple[Tensor, Tensor]:
        """States of words [B, N, key] -> (keys, values) [B, N, width] each; they serve all snippets."""
        return self.W_k(words), self.W_v(words)

    def forward(self, query: Tensor, keys: Tensor, values: Tensor, absent: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """query [B, query] -> (read [B, width], weights [B, N]).

        absent [B, N]: words that are left out. Without it none is, as in published training: a padded word then has the bias as value.
        """
        scores = (keys @ self.W_q(query)[..., None])[..., 0] / math.sqrt(keys.shape[-1])
        if absent is not None:
            scores = scores.masked_fill(absent, -math.inf)
        weights = scores.softmax(dim=-1)
        return (weights[:, None] @ values)[:, 0], weights


class PositionalEncoding(nn.Module):
    """A table of sinusoids, read by the time to arrival. It is part of official checkpoints."""

    pe: Tensor

    def __init__(self, width: int, rows: int = 300) -> None:
        super().__init__()
        position = torch.arange(rows, dtype=torch.float32)[:, None]
        rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
        table = torch.zeros(rows, width)
        table[:, 0::2] = torch.sin(position * rate)
        table[:, 1::2] = torch.cos(position * rate)[:, : width // 2]
        self.register_buffer("pe", table)

    def forward(self, index: Tensor) -> Tensor:
        """Rows of the table; as published, a negative index counts from its end."""
        return self.pe[index]


class SnippetCell(nn.Module):
    """One step of a recurrent network over snippets, begun from the caption's summary: what prior, posterior and decoder share."""

    def __init__(self, text: int, inputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.width = hidden
        self.emb = nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2))
        self.gru = nn.ModuleList([nn.GRUCell(hidden, hidden) for _ in range(layers)])
        self.z2init = nn.Linear(text, hidden * layers)
        self.positional_encoder = PositionalEncoding(hidden)

    def matrices(self) -> list[nn.Parameter]:
        """Those of its layers between what it reads and what it says."""
        return _matrices(self.emb, self.gru, self.z2init)

    def start(self, text: Tensor) -> list[Tensor]:
        """The caption's summary [B, text] -> the state of every layer [B, hidden]."""
        return list(self.z2init(text).split(self.width, dim=-1))

    def step(self, inputs: Sequence[Tensor], hidden: list[Tensor], time: Tensor) -> list[Tensor]:
        """inputs, side by side [B, inputs]; time [B, hidden], a row of the table -> the new state of every layer."""
        x = self.emb(torch.cat(list(inputs), dim=-1)) + time
        new = []
        for cell, before in zip(self.gru, hidden, strict=True):
            x = cell(x, before)
            new.append(x)
        return new


class GaussianCell(SnippetCell):
    """Prior and posterior: a Gaussian over z at every snippet."""

    def __init__(self, text: int, inputs: int, z: int, hidden: int, layers: int) -> None:
        super().__init__(text, inputs, hidden, layers)
        self.mu_net = nn.Linear(hidden, z)
        self.logvar_net = nn.Linear(hidden, z)

    def gaussian(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """(mean, log-variance) [..., z]."""
        return self.mu_net(output), self.logvar_net(output)


class CodeCell(SnippetCell):
    """The decoder: the code of the next snippet."""

    def __init__(self, text: int, inputs: int, code: int, hidden: int, layers: int) -> None:
        super().__init__(text, inputs, hidden, layers)
        self.output = nn.Sequential(nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, code))

    def matrices(self) -> list[nn.Parameter]:
        return [*super().matrices(), *_matrices(self.output[0])]


class Unrolled(NamedTuple):
    """What `TemporalVAE.unroll` wrote, over n snippets. The posterior's are None where no targets were given."""

    codes: Tensor  # [B, n, latent]
    weights: Tensor  # [B, N, n] attention
    prior: tuple[Tensor, Tensor]  # mean, log-variance [B, n, z]
    posterior: tuple[Tensor, Tensor] | None


class Generated(NamedTuple):
    """One motion."""

    features: Tensor  # [4n, dim_pose] normalised
    weights: Tensor  # [N, n] attention over the words
    prior_mean: Tensor  # [n, z]


class TemporalVAE(nn.Module):
    """Text -> motion, one snippet after the other (section 4.3). Movement encoder and decoder come from the auto-encoder."""

    def __init__(self, config: T2MConfig) -> None:
        super().__init__()
        self.config = c = config
        text, code, context = 2 * c.dim_text_hidden, c.dim_movement_latent, c.dim_att_vec
        self.text_enc = TextEncoderBiGRU(c.dim_word, c.dim_pos_ohot, c.dim_text_hidden)
        self.seq_pri = GaussianCell(text, code + context, c.dim_z, c.dim_pri_hidden, c.n_layers_pri)
        self.seq_post = GaussianCell(text, 2 * code + context, c.dim_z, c.dim_pos_hidden, c.n_layers_pos)
        self.seq_dec = CodeCell(text, code + context + c.dim_z, code, c.dim_dec_hidden, c.n_layers_dec)
        self.att_layer = AttLayer(c.dim_dec_hidden, text, context)
        self.mov_enc = MovementConvEncoder(c.dim_pose - CONTACTS, c.dim_movement_enc_hidden, code)
        self.mov_dec = MovementConvDecoder(code, c.dim_movement_dec_hidden, c.dim_pose)

    def matrices(self) -> list[nn.Parameter]:
        """The matrices of the parts that write codes, without those that read words and say Gaussians and codes: what Muon may train."""
        cells = (self.seq_pri, self.seq_post, self.seq_dec)
        return [*_matrices(self.text_enc.gru, self.att_layer), *(p for cell in cells for p in cell.matrices())]

    def encode(self, motion: Tensor) -> Tensor:
        """Normalised features [B, 4n, dim_pose] -> codes [B, n, latent]; nothing is learned through it."""
        return self.mov_enc(motion[..., :-CONTACTS]).detach()

    def unroll(
        self,
        words: Tensor,
        summary: Tensor,
        arrival: Tensor,
        noise: Tensor,
        targets: Tensor | None = None,
        forced: bool = False,
        by_prior: bool = False,
        absent: Tensor | None = None,
    ) -> Unrolled:
        """Write n snippets.

        words [B, N, 2h], summary [B, 2h]: from the text encoder.  arrival [B]: snippets to go at the first one; the table of times is
        read at arrival - i.  noise [n, B, z]: of the Gaussian that z is drawn from, the posterior's unless by_prior or no targets.
        targets [B, n, latent]: codes of the true motion.  forced: they are fed back, not the decoder's own codes.  absent: as in AttLayer.
        """
        count, config = len(noise), self.config
        from_posterior = targets is not None and not by_prior
        keys, values = self.att_layer.project(words)
        times = arrival.to(words.device)[:, None] - torch.arange(count, device=words.device)
        cells = {"prior": self.seq_pri, "decoder": self.seq_dec} | ({"posterior": self.seq_post} if targets is not None else {})
        states = {name: cell.start(summary) for name, cell in cells.items()}
        table = {name: cell.positional_encoder(times).unbind(1) for name, cell in cells.items()}
        outputs: dict[str, list[Tensor]] = {"prior": [], "posterior": []}
        codes, weights, drawn = [], [], []
        source, source_cell = ("posterior", self.seq_post) if from_posterior else ("prior", self.seq_pri)
        fed = self.mov_enc(words.new_zeros(len(words), UNIT, config.dim_pose - CONTACTS))[:, 0].detach()
        for i in range(count):
            context, weight = self.att_layer(states["decoder"][-1], keys, values, absent)
            states["prior"] = self.seq_pri.step((fed, context), states["prior"], table["prior"][i])
            if targets is not None:
                states["posterior"] = self.seq_post.step((fed, targets[:, i], context), states["posterior"], table["posterior"][i])
            gaussian = source_cell.gaussian(states[source][-1])
            z = gaussian[0] + (gaussian[1] / 2).exp() * noise[i]
            states["decoder"] = self.seq_dec.step((fed, context, z), states["decoder"], table["decoder"][i])
            code = self.seq_dec.output(states["decoder"][-1])
            fed = targets[:, i] if forced and targets is not None else code.detach()
            codes.append(code)
            weights.append(weight)
            drawn.append(gaussian)
            for name in ("prior", "posterior") if targets is not None else ():
                if name != source:  # its Gaussians are needed only for the divergence, and computed for all snippets at once
                    outputs[name].append(states[name][-1])
        used = (torch.stack([mean for mean, _ in drawn], 1), torch.stack([logvar for _, logvar in drawn], 1))
        other = None
        if targets is not None:
            other_cell = self.seq_pri if from_posterior else self.seq_post
            other = other_cell.gaussian(torch.stack(outputs["prior" if from_posterior else "posterior"], 1))
        prior, posterior = (other, used) if from_posterior else (used, other)
        assert prior is not None
        return Unrolled(torch.stack(codes, 1), torch.stack(weights, -1), prior, posterior)

    @torch.no_grad()
    def generate(self, texts: Sequence[tuple[Tensor, Tensor]], noises: Sequence[Tensor]) -> list[Generated]:
        """One motion per text: (word vectors [N_k, dim_word], one-hot classes [N_k, 15]) and noise [n_k, z], n_k snippets -> features.

        A motion does not depend on the others: each caption is read alone, words beyond its end are left out, snippets are
        written for CHUNK motions at a time, and each motion's codes are decoded alone.
        """
        made: list[Generated | None] = [None] * len(texts)
        order = sorted(range(len(texts)), key=lambda k: -len(noises[k]))  # of similar length together
        device = self.mov_enc.out_net.weight.device
        read = [(words[None].to(device), classes[None].to(device), torch.tensor([len(words)])) for words, classes in texts]
        states = [self.text_enc(*item) for item in read]
        for begin in range(0, len(order), CHUNK):
            places = [order[min(begin + k, len(order) - 1)] for k in range(CHUNK)]
            arrival = torch.tensor([len(noises[place]) for place in places])
            steps, longest = int(arrival.max()), max(WORDS, *(len(texts[place][0]) for place in places))
            words = torch.cat([nn.functional.pad(states[place][0], (0, 0, 0, longest - states[place][0].shape[1])) for place in places])
            noise = torch.stack([nn.functional.pad(noises[place], (0, 0, 0, steps - len(noises[place]))) for place in places], 1)
            absent = torch.arange(longest) >= torch.tensor([len(texts[place][0]) for place in places])[:, None]
            summary = torch.cat([states[place][1] for place in places])
            written = self.unroll(words, summary, arrival, noise.to(device), absent=absent.to(device))
            for k, place in enumerate(places[: len(order) - begin]):
                n, count = len(noises[place]), len(texts[place][0])
                features = self.mov_dec(written.codes[k : k + 1, :n])[0]
                made[place] = Generated(features, written.weights[k, :count, :n], written.prior[0][k, :n])
        return [item for item in made if item is not None]


def estimator_of(config: T2MConfig) -> MotionLenEstimatorBiGRU:
    """The length estimator of a configuration."""
    return MotionLenEstimatorBiGRU(config.dim_word, config.dim_pos_ohot, config.length_hidden, config.classes, config.length_width)


def _matrices(*layers: nn.Module) -> list[nn.Parameter]:
    return [p for layer in layers for p in layer.parameters() if p.dim() == 2]


def initialise(module: nn.Module) -> None:
    """As published: weights of linear and convolutional layers from Xavier's normal distribution, their biases zero."""
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.ConvTranspose1d):
            nn.init.xavier_normal_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def parameter_counts(module: nn.Module) -> dict[str, int]:
    """Learned numbers of every part, and their sum."""
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in module.named_children()}
    return counts | {"all": sum(counts.values())}
