"""The text-motion evaluator of Guo et al.: movement, text and motion encoders in the official layout, and the extractor made of them.

Parameter names, shapes and arithmetic are the official ones, so that an official `finest.tar` loads as it is. The shipped configuration is
narrower, carries its own word vectors and statistics, and embeds in 128 dimensions. Rows come back in input order, always.
It knows joints, features and texts; it knows no generator and no corpus.

Source: Guo et al., Generating Diverse and Natural 3D Human Motions from Text, CVPR 2022, section 6.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from baselines.checkpoints import load_strict, safe_load, sections
from baselines.t2m.layers import CONTACTS, UNIT, MovementConvEncoder, SequenceGRU, WordGRU
from nerm.atomic import replacing
from nerm.cli import choose
from nerm.data.captions import WORD_CLASSES, encode_caption, vocabulary
from nerm.errors import InputError
from nerm.motion import Motion, resample
from nerm.motion.features import encode_humanml263
from nerm.motion.skeleton import heading, yaw_matrix

VERSION = 1
FPS = 20.0  # of `embed_motions`: the rate of the format
LONGEST_FRAMES = 196

SCALES = {
    "shipped": {"movement_hidden": 160, "movement_latent": 160, "text_hidden": 128, "motion_hidden": 192, "embedding": 128},
    "paper": {"movement_hidden": 512, "movement_latent": 512, "text_hidden": 512, "motion_hidden": 1024, "embedding": 512},
}
NETWORKS = ("text_encoder", "motion_encoder", "movement_encoder")
DROPPED = ("opt_text_encoder", "opt_motion_encoder", "opt_movement_encoder", "epoch", "iter")


@dataclass
class GuoConfig:
    """Widths; a width of 0 is that of the scale (shipped: at most 2.5 M parameters with the word vectors; paper: the official ones)."""

    scale: str = "shipped"
    dim_pose: int = 263
    dim_word: int = 300
    movement_hidden: int = 0
    movement_latent: int = 0
    text_hidden: int = 0
    motion_hidden: int = 0
    embedding: int = 0

    def __post_init__(self) -> None:
        for name, width in SCALES[choose("scale", self.scale, list(SCALES))].items():
            if getattr(self, name) == 0:
                setattr(self, name, width)


class TextEncoder(WordGRU):
    """Word vectors and word classes -> embedding."""

    def __init__(self, config: GuoConfig) -> None:
        super().__init__(config.dim_word, len(WORD_CLASSES), config.text_hidden)
        self.output_net = _head(config.text_hidden, config.embedding)

    def forward(self, words: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
        """words: [B, N, dim_word], classes: [B, N, 15] one-hot, lengths: [B] words (sos and eos included) -> [B, embedding]."""
        return self.output_net(self.read(words, classes, lengths)[1])


class MotionEncoder(SequenceGRU):
    """Movement tokens -> embedding."""

    def __init__(self, config: GuoConfig) -> None:
        super().__init__(config.movement_latent, config.motion_hidden)
        self.output_net = _head(config.motion_hidden, config.embedding)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """tokens: [B, N, latent], lengths: [B] tokens -> [B, embedding]."""
        return self.output_net(self.run(tokens, lengths)[1])


def _head(hidden: int, embedding: int) -> nn.Sequential:
    """The two last states of a recurrent network, side by side -> embedding."""
    return nn.Sequential(nn.Linear(2 * hidden, hidden), nn.LayerNorm(hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, embedding))


class GuoEvaluator(nn.Module):
    """The three networks. Statistics and word vectors are part of it where it is trained here; official ones have files of their own."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: GuoConfig, words: int = 0) -> None:
        """words: the number of word vectors to learn; 0 for none."""
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(config.dim_pose))
        self.register_buffer("std", torch.ones(config.dim_pose))
        self.words = nn.Embedding(words, config.dim_word) if words else None
        self.movement_encoder = MovementConvEncoder(config.dim_pose - CONTACTS, config.movement_hidden, config.movement_latent)
        self.text_encoder = TextEncoder(config)
        self.motion_encoder = MotionEncoder(config)

    def motion(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Normalised features [B, T, dim_pose], lengths [B] frames -> [B, embedding]. What lies beyond a length is the caller's padding."""
        return self.motion_encoder(self.movement_encoder(features[..., :-CONTACTS]), lengths // UNIT)

    def text(self, words: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
        """Word vectors [B, N, dim_word], one-hot classes [B, N, 15], lengths [B] -> [B, embedding]."""
        return self.text_encoder(words, classes, lengths)

    def caption(self, ids: Tensor, classes: Tensor, lengths: Tensor) -> Tensor:
        """Indices into the vocabulary and into the word classes [B, N], lengths [B] -> [B, embedding], by the learned word vectors."""
        if self.words is None:
            raise InputError("this evaluator has no word vectors of its own (the official ones come with GloVe); use text(vectors, ...)")
        one_hot = nn.functional.one_hot(classes, len(WORD_CLASSES)).to(self.words.weight.dtype)
        return self.text(self.words(ids), one_hot, lengths)

    def parameter_counts(self) -> dict[str, int]:
        """Learned numbers of every part, and their sum."""
        counts = {name: sum(p.numel() for p in part.parameters()) for name, part in self.named_children()}
        return counts | {"all": sum(counts.values())}


def load_official(path: str | Path, mean: ArrayLike | None = None, std: ArrayLike | None = None) -> GuoEvaluator:
    """The evaluator of an official `text_mot_match/model/finest.tar`, its widths read off the file.

    mean, std: [dim_pose] the statistics published with it; without them the caller normalises. Optimiser states and counters are
    dropped by name; any other missing, unknown or misshapen entry is an InputError.
    """
    found = sections(safe_load(path), NETWORKS, DROPPED, path)
    movement, text, motion = (found[name] for name in ("movement_encoder", "text_encoder", "motion_encoder"))
    try:
        config = GuoConfig(
            scale="paper",
            dim_pose=movement["main.0.weight"].shape[1] + CONTACTS,
            dim_word=text["pos_emb.weight"].shape[0],
            movement_hidden=movement["main.0.weight"].shape[0],
            movement_latent=movement["out_net.weight"].shape[0],
            text_hidden=text["hidden"].shape[-1],
            motion_hidden=motion["hidden"].shape[-1],
            embedding=motion["output_net.3.weight"].shape[0],
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(f"checkpoint {path} is not a text-motion evaluator: {error} is missing or not a tensor") from None
    evaluator = GuoEvaluator(config)
    for name in NETWORKS:
        load_strict(getattr(evaluator, name), found[name], f"checkpoint {path}, {name}")
    for name, values in (("mean", mean), ("std", std)):
        if values is not None:
            array = torch.as_tensor(np.asarray(values, dtype=np.float32))
            if array.shape != (config.dim_pose,):
                raise InputError(f"{name} of shape {list(array.shape)}; this evaluator needs [{config.dim_pose}]")
            getattr(evaluator, name).copy_(array)
    return evaluator.eval()


def save(evaluator: GuoEvaluator, path: Path) -> None:
    """Weights in half precision, statistics in single, configuration and vocabulary in the metadata; written whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in evaluator.state_dict().items()}
    tensors = {name: value if name in ("mean", "std") else value.half() for name, value in tensors.items()}
    words = json.dumps(list(vocabulary())) if evaluator.words is not None else "[]"
    with replacing(path) as temporary:
        save_file(tensors, temporary, {"config": json.dumps(asdict(evaluator.config)), "version": str(VERSION), "vocabulary": words})


def load(path: Path) -> GuoEvaluator:
    """From a file that `save` wrote. Words that the vocabulary has gained since get the vector of unk."""
    if not path.exists():
        raise InputError(f"{path} does not exist; train the extractor: python -m evaluators.train extractor=guo")
    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata() or {}
            config = GuoConfig(**json.loads(facts["config"]))
            known = {word: row for row, word in enumerate(json.loads(facts["vocabulary"]))}
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is no file of the guo extractor ({error}); train it again or download it again") from None
    if facts.get("version") != str(VERSION):
        raise InputError(f"{path} holds version {facts.get('version')} of the guo extractor; this is version {VERSION}")
    if "words.weight" in state:
        state["words.weight"] = state["words.weight"][[known.get(word, known["unk"]) for word in vocabulary()]]
    evaluator = GuoEvaluator(config, len(vocabulary()) if known else 0)
    load_strict(evaluator, state, str(path))
    return evaluator.eval()


def canonical_clips(joints: NDArray) -> NDArray:
    """Clips [n, m, 22, 3], each moved to start above the origin and turned to face +z at its first frame; heights unchanged."""
    x = np.asarray(joints, dtype=np.float64)
    turn = yaw_matrix(-heading(x[:, 0]))  # [n, 3, 3]
    place = x[:, :1, :1] * np.array([1.0, 0.0, 1.0])
    return (x - place) @ np.swapaxes(turn, -1, -2)[:, None]


def pad_features(features: Sequence[NDArray]) -> tuple[Tensor, Tensor]:
    """Normalised features [T_k, D] of several clips -> ([B, T, D], lengths [B]).

    Each is cropped to a multiple of 4 frames, as officially, and followed by at least 4 rows of zeros (the mean pose): the last token
    then reads the same whatever else is in the batch.
    """
    lengths = [len(item) // UNIT * UNIT for item in features]
    short = [len(item) for item in features if len(item) < UNIT]
    if short:
        raise InputError(f"clip with {short[0]} feature frames; the evaluator reads 4 at a time and needs at least {UNIT + 1} poses")
    out = torch.zeros(len(features), max(lengths) + UNIT, features[0].shape[1])
    for row, (item, length) in enumerate(zip(features, lengths, strict=True)):
        out[row, :length] = torch.as_tensor(np.asarray(item[:length], dtype=np.float32))
    return out, torch.tensor(lengths)


def pad_captions(texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Texts -> (vocabulary indices [B, N], word class indices [B, N], lengths [B])."""
    encoded = [encode_caption(text) for text in texts]
    lengths = torch.tensor([len(ids) for ids, _ in encoded])
    ids = torch.full((len(texts), int(lengths.max())), vocabulary().index("PAD"))
    classes = torch.full_like(ids, WORD_CLASSES.index("OTHER"))
    for row, (words, kinds) in enumerate(encoded):
        ids[row, : len(words)] = torch.tensor(words)
        classes[row, : len(kinds)] = torch.tensor(kinds)
    return ids, classes, lengths


class GuoExtractor:
    """The trained evaluator, frozen by the digest of its weights. Embeddings are not normalised; distances are Euclidean."""

    name = "guo"
    version = VERSION

    def __init__(self, evaluator: GuoEvaluator, digest: str = "untrained", device: str = "cpu") -> None:
        self.evaluator = evaluator.eval().to(device)
        self.digest = digest
        self.device = device

    @classmethod
    def load(cls, path: Path, device: str = "cpu") -> GuoExtractor:
        """From a file that `save` wrote; the digest is the sha256 of the file."""
        return cls(load(path), hashlib.sha256(path.read_bytes()).hexdigest(), device)

    def embed_clips(self, joints: NDArray, fps: float, batch: int = 256) -> NDArray[np.float32]:
        """Clips [n, m, 22, 3] in metres, at least 5 frames -> [n, 128].

        The frames are taken as they are, whatever fps: the format is per frame. m poses make m - 1 features, of which the first
        4 floor((m - 1) / 4) are read (28 of a clip of 32 poses).
        """
        x = np.asarray(joints)
        if x.ndim != 4 or x.shape[2:] != (22, 3):
            raise InputError(f"clips of shape {list(x.shape)}; expected [n, m, 22, 3] in metres")
        return self.embed_features([encode_humanml263(clip) for clip in canonical_clips(x)], batch)

    def embed_motions(self, motions: Sequence[Motion], batch: int = 256) -> NDArray[np.float32]:
        """Motions at any rate -> [n, 128]. Each is resampled to 20 fps (cubic, point values); at most its first 196 features count."""
        features = []
        for motion in motions:
            at20 = resample(motion, FPS, "cubic", "sample")[: LONGEST_FRAMES + 1]
            features.append(encode_humanml263(canonical_clips(at20.joints[None])[0]))
        return self.embed_features(features, batch)

    @torch.no_grad()
    def embed_features(self, features: Sequence[NDArray], batch: int = 256) -> NDArray[np.float32]:
        """Features [T_k, 263], not normalised -> [n, 128]. Batches hold clips of similar length; rows are in input order."""
        found = np.empty((len(features), self.evaluator.config.embedding), dtype=np.float32)
        mean, std = self.evaluator.mean.cpu().numpy(), self.evaluator.std.cpu().numpy()
        order = np.argsort([-len(item) for item in features], kind="stable")
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            x, lengths = pad_features([(features[row] - mean) / std for row in rows])
            found[rows] = self.evaluator.motion(x.to(self.device), lengths).float().cpu().numpy()
        return found

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Texts in English -> [n, 128]. Words outside the vocabulary count as unk; a text without a word is an InputError."""
        found = np.empty((len(texts), self.evaluator.config.embedding), dtype=np.float32)
        for start in range(0, len(texts), batch):
            ids, classes, lengths = pad_captions(texts[start : start + batch])
            embedded = self.evaluator.caption(ids.to(self.device), classes.to(self.device), lengths)
            found[start : start + batch] = embedded.float().cpu().numpy()
        return found
