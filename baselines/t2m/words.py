"""Captions as T2M reads them: word vectors and word classes, between a start and an end.

The shipped system has vectors in a file of their own, which no other system and no extractor reads: they were learned with version 1 of the
extractor guo, and are fixed. Official checkpoints come with a selection of GloVe. It knows files of vectors; it knows no network.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nerm.checkpoint import model_folders, model_path, read
from nerm.errors import InputError, MissingFile
from nerm.words import LONGEST, WORD_CLASSES, encode_caption, tag, vocabulary, word_class

OWN = "t2m-words"
GLOVE = "our_vab"  # what the published selection of GloVe is called
_ENDINGS = ("ing", "ed", "es", "s", "d")


@dataclass
class WordVectors:
    """vectors [V, D]; index: word -> place, with sos, eos and unk.  digest: sha256 of both.

    lemmas: verbs and nouns are first looked up without their ending, as the published pipeline looks up lemmas.
    """

    vectors: Tensor
    index: dict[str, int] = field(repr=False)
    digest: str
    lemmas: bool = False

    def __post_init__(self) -> None:
        self._known: dict[str, tuple[Tensor, Tensor]] = {}

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    def read(self, text: str) -> tuple[Tensor, Tensor]:
        """(places [N], classes [N]) of sos, the words, eos. '' is no condition: sos and eos alone.

        As in the published system a text is cut after its 20th word. A text that is not empty and holds no word is an InputError.
        """
        if text not in self._known:
            places, classes = self._encode(text)
            self._known[text] = (torch.tensor(places), torch.tensor(classes))
        return self._known[text]

    def one(self, text: str) -> tuple[Tensor, Tensor]:
        """(word vectors [N, D], one-hot classes [N, 15]) of a text."""
        places, classes = self.read(text)
        return self.vectors[places], _one_hot(classes)

    def batch(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """(word vectors [B, N, D], one-hot classes [B, N, 15], lengths [B]); padded with zeros."""
        return self._batch([self.read(text) for text in texts])

    def batch_of_tokens(self, tokens: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """The same for published tokens, 'word/POS word/POS ...' each: words are looked up as they are."""
        read = []
        for text in tokens:
            pairs = [token.rpartition("/")[::2] for token in text.split()]
            places, classes = self._placed((word if word in self.index else None, _class_as_tagged(word, pos)) for word, pos in pairs)
            read.append((torch.tensor(places), torch.tensor(classes)))
        return self._batch(read)

    def _batch(self, read: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        each = [(self.vectors[places], _one_hot(classes)) for places, classes in read]
        words, classes = (torch.nn.utils.rnn.pad_sequence([part[k] for part in each], batch_first=True) for k in (0, 1))
        return words, classes, torch.tensor([len(part[0]) for part in each])

    def _encode(self, text: str) -> tuple[list[int], list[int]]:
        other = WORD_CLASSES.index("OTHER")
        if not text:
            return [self.index["sos"], self.index["eos"]], [other, other]
        ids, classes = encode_caption(text)
        if not self.lemmas:
            return [self.index[vocabulary()[k]] for k in ids], classes
        listed = ((next((form for form in _forms(word, pos) if form in self.index), None), pos) for word, pos in tag(text))
        return self._placed((word, "" if word is None else word_class(word, pos)) for word, pos in listed)

    def _placed(self, listed: Iterable[tuple[str | None, str]]) -> tuple[list[int], list[int]]:
        """Places and classes of the first words with their classes, between sos and eos. A word that is not listed (None) is unk."""
        other = WORD_CLASSES.index("OTHER")
        places, classes = [self.index["sos"]], [other]
        for word, kind in islice(listed, LONGEST):
            places.append(self.index["unk" if word is None else word])
            classes.append(other if word is None else WORD_CLASSES.index(kind))
        return [*places, self.index["eos"]], [*classes, other]


def _class_as_tagged(word: str, pos: str) -> str:
    """The class of a published token: words are compared with the published lists as they are."""
    listed = word_class(word, "")
    return pos if listed == "OTHER" and pos in WORD_CLASSES else listed


def _one_hot(classes: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(classes, len(WORD_CLASSES)).float()


def own_words(beside: Path | None = None, expected: str = "") -> WordVectors:
    """The word vectors of T2M: their file is looked for in `beside`, then among the shipped models.

    expected: the digest that they must have, if a system was trained on them. Words added to the vocabulary since then are read as unk.
    """
    folders = ([beside] if beside else []) + model_folders()
    first = model_path(OWN, folders)
    for file in (folder / first.name for folder in folders):
        words = _from_file(file) if file.is_file() else None
        if words is not None and (not expected or words.digest == expected):
            return words
    raise InputError(
        f"{first} holds other word vectors than this T2M was trained on; train T2M again, or put the {first.name} of its training beside it"
    )


def _from_file(path: Path) -> WordVectors:
    stored = read(path, OWN)
    vectors, listed = stored.tensors.get("words.weight"), stored.about.get("vocabulary")
    if vectors is None or not isinstance(listed, list):
        raise InputError(f"{path} is no file of word vectors; restore it")
    known = {word: place for place, word in enumerate(listed)}
    if len(known) != len(vectors) or "unk" not in known:
        raise InputError(f"{path} has {len(vectors)} word vectors for {len(known)} words; restore it")
    digest = hashlib.sha256(vectors.contiguous().numpy().tobytes() + json.dumps(listed).encode()).hexdigest()
    chosen = vectors.float()[[known.get(word, known["unk"]) for word in vocabulary()]]
    return WordVectors(chosen, {word: place for place, word in enumerate(vocabulary())}, digest)


def glove_words(checkpoint: Path, width: int) -> WordVectors:
    """The published selection of GloVe (our_vab_data.npy, our_vab_words.pkl, our_vab_idx.pkl) that official checkpoints read.

    Looked for in the checkpoint's folder, the folders above it, and a folder `glove` in each of them. width: what the network reads.
    """
    names = [f"{GLOVE}_{part}" for part in ("data.npy", "words.pkl", "idx.pkl")]
    above = [checkpoint.resolve().parent, *checkpoint.resolve().parents[1:5]]
    folders = [folder for root in above for folder in (root, root / "glove")]
    folder = next((f for f in folders if all((f / name).is_file() for name in names)), None)
    if folder is None:
        raise MissingFile(
            f"the checkpoint {checkpoint} reads GloVe vectors, which it does not hold; put {', '.join(names)} of the published code "
            f"into {above[0] / 'glove'}"
        )
    try:
        table = np.load(folder / names[0], allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{folder / names[0]} is no array ({str(error).splitlines()[0][:80]}); put the published file there") from None
    listed, places = (_plain(folder / name) for name in names[1:])
    try:
        index = {str(word): int(places[word]) for word in listed}
        fits = table.ndim == 2 and table.shape[1] == width and all(0 <= place < len(table) for place in index.values())
        fits = fits and {"sos", "eos", "unk"} <= index.keys()
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise InputError(
            f"{folder}: {', '.join(names)} do not fit together, or are not {width} numbers wide; put the published files there"
        )
    digest = hashlib.sha256(b"".join((folder / name).read_bytes() for name in names)).hexdigest()
    return WordVectors(torch.from_numpy(table.astype(np.float32)), index, digest, lemmas=True)


class _PlainUnpickler(pickle.Unpickler):
    """Reads only lists, dictionaries, text and numbers: nothing is imported, so no code of the file runs."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _plain(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file).load()
    except Exception as error:  # a broken pickle can fail in any way
        raise InputError(f"{path} is no plain list of words ({str(error)[:80]}); it is not read: put the published file there") from None


def _forms(word: str, pos: str) -> list[str]:
    """The word as it may be listed: verbs and nouns without their ending first ('left' keeps its own), then as it is."""
    if pos not in ("NOUN", "VERB") or word == "left":
        return [word]
    stems = []
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            stem = word[: -len(ending)]
            stems += [stem, stem + "e"] if ending in ("ing", "ed") else [stem]
            if ending in ("ing", "ed") and stem[-1] == stem[-2]:
                stems.append(stem[:-1])
    return [*stems, word]
