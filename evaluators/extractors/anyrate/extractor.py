"""The extractor `anyrate` as metrics use it: its weights in a file, and embeddings of clips. It knows no generator and no dataset."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from evaluators.extractors import Extractor
from evaluators.extractors.anyrate import VERSION
from evaluators.extractors.anyrate.network import AnyrateConfig, AnyrateEncoder, clip_features
from evaluators.extractors.anyrate.space import Space, space_of
from nerm import checkpoint
from nerm.errors import InputError
from nerm.motion.motion import check_fps

NAME = "anyrate"
SHORTEST = 4
"""The fewest frames of a clip."""
_SPACE = "space."


class AnyrateExtractor(Extractor):
    """The trained network and its space, frozen by the digest of its weights. Embeddings are whitened; distances are Euclidean."""

    name = NAME
    version = VERSION

    def __init__(self, encoder: AnyrateEncoder, space: Space, digest: str = "untrained") -> None:
        self.encoder, self.space = encoder.eval(), space
        self.digest = digest

    def embed_clips(self, joints: NDArray, fps: float) -> NDArray[np.float32]:
        """Clips [n, m, 22, 3] in metres at one rate -> [n, D], D at most 64. They should have 32 frames, as in training."""
        x = np.asarray(joints)
        if x.ndim != 4 or x.shape[2:] != (22, 3) or x.shape[1] < SHORTEST:
            raise InputError(f"clips of shape {list(x.shape)}; expected [n, m, 22, 3] in metres with m >= {SHORTEST}")
        if not np.isfinite(x).all():
            raise InputError("clips with a value that is not finite; leave such motions out, or fill them in")
        return self.space.embed(x, check_fps(fps), lambda clips, rate: learned_features(self.encoder, clips, rate))


@torch.no_grad()
def learned_features(encoder: AnyrateEncoder, joints: NDArray, fps: float, batch: int = 256) -> NDArray[np.float32]:
    """What the network says of clips [n, m, 22, 3]: [n, E]."""
    features = [np.empty((0, encoder.config.embedding), np.float32)]
    for start in range(0, len(joints), batch):
        x = clip_features(joints[start : start + batch], fps, encoder.config)
        features.append(encoder(x, torch.full((len(x),), fps)).numpy())
    return np.concatenate(features)


def load(path: Path) -> AnyrateExtractor:
    """From a file that `save` wrote; the digest is the sha256 of the file."""
    file = checkpoint.read(path, NAME)
    try:
        version, space = file.about["version"], file.part(_SPACE)
        if version != VERSION:
            raise checkpoint.another_version(file.path, f"file of the extractor '{NAME}'")
        encoder = AnyrateEncoder(AnyrateConfig(**file.about["config"]))
        encoder.load_state_dict(file.part("encoder."))
        return AnyrateExtractor(encoder, space_of(space), file.digest)
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is no file of the extractor '{NAME}' ({reason}); train it again or download it again") from None


def save(encoder: AnyrateEncoder, space: Space, path: Path) -> None:
    """Weights in half precision, statistics and the space in single; written whole or not at all."""
    tensors = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    tensors |= {f"{_SPACE}{name}": tensor for name, tensor in space.tensors().items()}
    exact = ("encoder.mean", "encoder.std", *(name for name in tensors if name.startswith(_SPACE)))
    checkpoint.write(path, NAME, tensors, {"config": asdict(encoder.config), "version": VERSION}, exact=exact)
