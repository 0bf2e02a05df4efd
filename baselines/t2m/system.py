"""T2M behind the interface of all systems: text -> motion at the rate of its features, and how long a motion of a text is.

A motion's length is the one that is asked for, as in the ground-truth-length protocol; `estimate_length` is the published system's own
answer. A label is read as its first training sentence; without a condition the text encoder reads only sos and eos, as in training for
items without a caption. A text is cut after 20 words, as published. There is no guidance.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from baselines.checkpoints import load_strict, safe_load, sections
from baselines.features import FeatureReadout, Noise, load_statistics, sentence_for
from baselines.t2m.network import CONTACTS, UNIT, VAE_PARTS, MotionLenEstimatorBiGRU, T2MConfig, TemporalVAE, estimator_of
from baselines.t2m.words import WordVectors, glove_words, own_words
from nerm import checkpoint
from nerm.errors import InputError
from nerm.generator import Condition, Facts, one_each
from nerm.motion import Motion
from nerm.motion.features import FEATURES_251, FEATURES_263

KIND = "t2m"

SHORTEST_SNIPPETS = {FEATURES_263.dims: 10, FEATURES_251.dims: 6}
"""Numbers of a frame -> the least snippets that an estimate may have; a shorter one is drawn again, at most twice."""
DROPPED = ("ep", "total_it", "sub_ep", "sl_len", "epoch", "iter", "niter")  # counters; optimiser states begin with opt_
_PLACES = ("length_est_bigru/model/latest.tar", "length_est_bigru/latest.tar", "length_est_bigru.tar")
_ESTIMATOR = "estimator."
_TABLE = ".positional_encoder.pe"  # made anew on loading and not saved


class T2M:
    """The temporal VAE, the length estimator (None if an official checkpoint came without one), word vectors and feature statistics."""

    def __init__(
        self,
        vae: TemporalVAE,
        estimator: MotionLenEstimatorBiGRU | None,
        words: WordVectors,
        mean: Tensor,
        std: Tensor,
        name: str = "t2m",
        digest: str = "untrained",
        facts: Facts | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        """facts: how it was trained. device: where the networks run; random numbers always come from the CPU."""
        self.config = vae.config
        self.vae, self.estimator = vae.eval().to(device), estimator.eval().to(device) if estimator is not None else None
        self.words, self.mean, self.std = words, mean, std
        self.name, self.digest, self.facts = name, digest, facts or Facts()
        self.readout = FeatureReadout(mean, std, longest=self.config.longest)
        self.native_fps = self.readout.format.fps

    def sample(
        self, conditions: Sequence[Condition], seconds: Sequence[float], fps: float, seeds: Sequence[int], guidance: float | None = None
    ) -> list[Motion]:
        """One motion per condition, made at the features' rate in whole snippets, cropped, and brought to `fps`.

        seconds: each above 0, at 20 fps at most 10.15 (shipped) or 9.75 (official). guidance: T2M has none, so only None is taken.
        """
        if guidance is not None:
            raise InputError(f"guidance={guidance:g}; T2M has no guidance: leave it out")
        one_each(conditions, seconds, seeds)
        snippets = [-(-self.readout.frames(length) // UNIT) for length in seconds]
        noises = Noise(seeds, [(count, self.config.dim_z) for count in snippets]).draw()
        sentences = [sentence_for(condition, self.facts.dataset) or "" for condition in conditions]
        made = self.vae.generate([self.words.one(sentence) for sentence in sentences], noises)
        return [self.readout.motion(item.features, length, fps) for item, length in zip(made, seconds, strict=True)]

    @torch.no_grad()
    def estimate_length(self, texts: Sequence[str], seeds: Sequence[int]) -> list[float]:
        """Seconds for each text, drawn from the estimator's distribution over numbers of snippets.

        As published, a draw below 10 snippets (6 for KIT-ML) is repeated at most twice, and the third draw is kept. There is at least one
        snippet. The seconds are those of whole snippets: `sample` makes exactly that many.
        """
        if self.estimator is None:
            raise InputError(f"this T2M came without a length estimator; put the official file beside it, as {_PLACES[0]}")
        if len(texts) != len(seeds):
            raise InputError(f"{len(texts)} texts and {len(seeds)} seeds; give one of each")
        device = next(self.estimator.parameters()).device
        lengths = []
        for text, seed in zip(texts, seeds, strict=True):  # one at a time, so that no text depends on another
            generator = torch.Generator().manual_seed(int(seed))
            words, classes = (x[None].to(device) for x in self.words.one(text))
            chances = self.estimator(words, classes, torch.tensor([words.shape[1]]))[0].softmax(dim=-1).cpu()
            count = draw_snippets(chances, generator, SHORTEST_SNIPPETS[self.config.dim_pose])
            lengths.append((max(count, 1) * UNIT - 1) / self.native_fps)
        return lengths

    def parameters(self) -> int:
        """Learned numbers that `save` writes."""
        networks = [self.vae, *([self.estimator] if self.estimator is not None else [])]
        return sum(p.numel() for network in networks for p in network.parameters())

    def save(self, path: Path, **origin: Any) -> None:
        """Weights in half precision, statistics in single; settings, facts and the digest of the word vectors inside.

        origin: further entries of the metadata.
        """
        tensors = {k: v for k, v in self.vae.state_dict().items() if not k.endswith(_TABLE)}
        if self.estimator is not None:
            tensors |= {f"{_ESTIMATOR}{k}": v for k, v in self.estimator.state_dict().items()}
        tensors |= {"mean": self.mean.float(), "std": self.std.float()}
        facts = replace(self.facts, parameters=self.parameters())
        about = {"config": asdict(self.config), "facts": asdict(facts), "words": self.words.digest, **origin}
        checkpoint.write(path, KIND, tensors, about, exact=("mean", "std"))


def draw_snippets(chances: Tensor, generator: torch.Generator, shortest: int) -> int:
    """A number of snippets from chances [classes]; drawn again where it is below `shortest`, at most twice."""
    count = 0
    for _ in range(3):
        count = int(torch.multinomial(chances, 1, generator=generator))
        if count >= shortest:
            break
    return count


def load(name: str, file: Path | None, device: str) -> T2M:
    """The shipped T2M of that name, a file that `T2M.save` wrote, or an official Comp_v6 `latest.tar`."""
    path = file or checkpoint.model_path(name)
    return load_saved(path, name, device) if path.suffix == checkpoint.SUFFIX else load_official(path, name, device)


def load_saved(path: Path, name: str = KIND, device: str = "cpu") -> T2M:
    """From a file that `T2M.save` wrote; any other is an InputError that says what it is."""
    stored = checkpoint.read(path, KIND)
    state = stored.part("")
    try:
        config = T2MConfig(**stored.about["config"])
        facts, digest = Facts.of(stored.about["facts"]), stored.about["words"]
        mean, std = state.pop("mean"), state.pop("std")
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} lacks the settings of a T2M ({error}); fetch or train it again") from None
    with torch.random.fork_rng(devices=[]):
        vae, estimator = TemporalVAE(config), estimator_of(config)
    of_estimator = stored.part(_ESTIMATOR)
    tables = {k: v for k, v in vae.state_dict().items() if k.endswith(_TABLE)}
    load_strict(vae, {k: v for k, v in state.items() if not k.startswith(_ESTIMATOR)} | tables, str(path))
    if of_estimator:
        load_strict(estimator, of_estimator, f"{path}, estimator")
    words = own_words(path.resolve().parent, digest)
    _check_words(words, config, path)
    return T2M(vae, estimator if of_estimator else None, words, mean, std, name, stored.digest, facts, device)


def load_official(path: Path, name: str = "t2m", device: str = "cpu") -> T2M:
    """From an official Comp_v6 checkpoint, its widths read off the file; beside it its statistics, GloVe and, if there, the estimator.

    Optimiser states and counters are dropped by name; anything else that is missing, unknown or misshapen is an InputError.
    """
    parts = networks_of(safe_load(path), VAE_PARTS, path)
    config = _widths(parts, path)
    if config.dim_pose not in SHORTEST_SNIPPETS:
        known = " or ".join(str(dims) for dims in SHORTEST_SNIPPETS)
        raise InputError(f"checkpoint {path} makes features of {config.dim_pose} numbers; expected {known}, of HumanML3D or KIT-ML")
    vae = TemporalVAE(config)
    for part, state in parts.items():
        load_strict(getattr(vae, part), state, f"checkpoint {path}, {part}")
    file = _estimator_file(path)
    estimator = None
    if file is not None:
        state = networks_of(safe_load(file), ("estimator",), file)["estimator"]
        estimator = _official_estimator(state, config, file)
    mean, std = load_statistics(path, config.dim_pose)
    words = glove_words(path, config.dim_word)
    digest = hashlib.sha256("".join([checkpoint.sha256(path), checkpoint.sha256(file) if file else "", words.digest]).encode())
    digest.update(mean.numpy().tobytes() + std.numpy().tobytes())
    return T2M(vae, estimator, words, mean, std, name, digest.hexdigest(), None, device)


def networks_of(checkpoint: Any, wanted: Sequence[str], path: Path | str) -> dict[str, Any]:
    """The wanted networks of an official checkpoint; optimiser states and counters are dropped, anything else is an InputError."""
    optimizers = [k for k in checkpoint if str(k).startswith("opt_")] if isinstance(checkpoint, Mapping) else []
    return sections(checkpoint, wanted, [*DROPPED, *optimizers], path)


def _widths(parts: dict[str, Any], path: Path) -> T2MConfig:
    """The configuration of an official checkpoint, from the shapes of its tensors."""
    try:
        text, prior, posterior, decoder = (parts[name] for name in ("text_enc", "seq_pri", "seq_post", "seq_dec"))
        return T2MConfig(
            scale="paper",
            dim_pose=parts["mov_enc"]["main.0.weight"].shape[1] + CONTACTS,
            dim_word=text["pos_emb.weight"].shape[0],
            dim_pos_ohot=text["pos_emb.weight"].shape[1],
            dim_text_hidden=text["hidden"].shape[-1],
            dim_att_vec=parts["att_layer"]["W_q.weight"].shape[0],
            dim_z=prior["mu_net.weight"].shape[0],
            dim_pri_hidden=prior["emb.0.weight"].shape[0],
            dim_pos_hidden=posterior["emb.0.weight"].shape[0],
            dim_dec_hidden=decoder["emb.0.weight"].shape[0],
            n_layers_pri=_layers(prior),
            n_layers_pos=_layers(posterior),
            n_layers_dec=_layers(decoder),
            dim_movement_enc_hidden=parts["mov_enc"]["main.0.weight"].shape[0],
            dim_movement_latent=parts["mov_enc"]["out_net.weight"].shape[0],
            dim_movement_dec_hidden=parts["mov_dec"]["main.0.weight"].shape[1],
        )
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise InputError(f"checkpoint {path} is not a T2M: {error} is missing or not a tensor of the expected kind") from None


def _layers(state: Mapping[str, Any]) -> int:
    return len([k for k in state if re.fullmatch(r"gru\.\d+\.weight_ih", str(k))])


def _official_estimator(state: Any, config: T2MConfig, path: Path) -> MotionLenEstimatorBiGRU:
    try:
        hidden, width = state["hidden"].shape[-1], state["output.0.weight"].shape[0]
        estimator = MotionLenEstimatorBiGRU(config.dim_word, config.dim_pos_ohot, hidden, state["output.9.weight"].shape[0], width)
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
        raise InputError(f"checkpoint {path} is not a length estimator of T2M: {error} is missing or not a tensor") from None
    load_strict(estimator, state, f"checkpoint {path}, estimator")
    return estimator


def _estimator_file(checkpoint: Path) -> Path | None:
    """The official length estimator beside a checkpoint, or beside the folder of its run."""
    roots = [checkpoint.resolve().parent, *checkpoint.resolve().parents[1:4]]
    return next((root / place for root in roots for place in _PLACES if (root / place).is_file()), None)


def _check_words(words: WordVectors, config: T2MConfig, path: Path) -> None:
    if words.width != config.dim_word:
        raise InputError(f"{path} reads word vectors of {config.dim_word} numbers; its file of them has {words.width}")
