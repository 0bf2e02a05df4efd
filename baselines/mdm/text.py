"""Texts as MDM reads them: one pooled vector, or a vector per token. It knows text encoders and nothing of motion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from nerm.errors import InputError
from nerm.text import ClipText, load_text_encoder, tokens_of

CLIP_TOKENS = 20
"""Word pieces of a text that the original gives to CLIP, besides start and end; the rest is cut off, as in its training."""
BERT = "distilbert/distilbert-base-uncased"


class Encoder(Protocol):
    """Texts -> [tokens, d] each; 1 token where the features are pooled. No text depends on another one."""

    def __call__(self, texts: Sequence[str]) -> list[Tensor]: ...


def load_encoder(name: str) -> Encoder:
    """minilm | clip[:DIRECTORY or hub name] | bert[:DIRECTORY or hub name]. A text longer than the encoder takes is an InputError."""
    if name == "bert" or name.startswith("bert:"):
        return TokenEncoder(name.partition(":")[2] or BERT)
    return PooledEncoder(name)


class PooledEncoder:
    """The project's encoders; CLIP is given the first 20 word pieces, as in the original."""

    def __init__(self, name: str) -> None:
        self._encoder = load_text_encoder(name)

    def __call__(self, texts: Sequence[str]) -> list[Tensor]:
        if isinstance(self._encoder, ClipText):
            texts = [self._encoder.beginning(text, CLIP_TOKENS) for text in texts]
        return list(torch.from_numpy(self._encoder.encode(texts))[:, None])


class TokenEncoder:
    """The last hidden states of DistilBERT (or another encoder of transformers), start and end tokens among them."""

    def __init__(self, where: str) -> None:
        from transformers import AutoModel, AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(where)
            self._model = AutoModel.from_pretrained(where).eval()
        except (OSError, ValueError) as error:
            raise InputError(
                f"no text model at '{where}' ({str(error).splitlines()[0]}); put its folder beside the checkpoint as bert"
            ) from None

    def __call__(self, texts: Sequence[str]) -> list[Tensor]:
        features = []
        for text in texts:
            tokens = tokens_of(text, self._tokenizer, self._model)
            with torch.no_grad():
                features.append(self._model(**tokens).last_hidden_state[0].float())
        return features


def padded(features: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
    """[n_k, d] each -> ([B, N, d] with zeros after the tokens, [B, N] True where no token is; None if all have the same number)."""
    lengths = torch.tensor([len(item) for item in features])
    out = torch.nn.utils.rnn.pad_sequence(list(features), batch_first=True)
    if bool((lengths == lengths[0]).all()):
        return out, None
    return out, torch.arange(out.shape[1]) >= lengths[:, None]
