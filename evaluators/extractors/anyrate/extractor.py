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
from nerm import checkpoint
from nerm.errors import InputError
from nerm.motion.motion import check_fps

NAME = "anyrate"
SHORTEST = 4
"""The fewest frames of a clip."""


class AnyrateExtractor(Extractor):
    """The trained network, frozen by the digest of its weights. Embeddings are not normalised; distances are Euclidean."""

    name = NAME
    version = VERSION

    def __init__(self, encoder: AnyrateEncoder, digest: str = "untrained") -> None:
        self.encoder = encoder.eval()
        self.digest = digest

    @torch.no_grad()
    def embed_clips(self, joints: NDArray, fps: float, batch: int = 256) -> NDArray[np.float32]:
        """Clips [n, m, 22, 3] in metres at one rate -> [n, 128]. They should have 32 frames, as in training."""
        x = np.asarray(joints)
        if x.ndim != 4 or x.shape[2:] != (22, 3) or x.shape[1] < SHORTEST:
            raise InputError(f"clips of shape {list(x.shape)}; expected [n, m, 22, 3] in metres with m >= {SHORTEST}")
        if not np.isfinite(x).all():
            raise InputError("clips with a value that is not finite; leave such motions out, or fill them in")
        fps = check_fps(fps)
        embeddings = [np.empty((0, self.encoder.config.embedding), np.float32)]
        for start in range(0, len(x), batch):
            features = clip_features(x[start : start + batch], fps, self.encoder.config)
            embeddings.append(self.encoder(features, torch.full((len(features),), fps)).numpy())
        return np.concatenate(embeddings)


def load(path: Path) -> AnyrateExtractor:
    """From a file that `save` wrote; the digest is the sha256 of the file."""
    file = checkpoint.read(path, NAME)
    try:
        encoder = AnyrateEncoder(AnyrateConfig(**file.about["config"]))
        encoder.load_state_dict(file.part(""))
        version = file.about["version"]
    except (KeyError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is no file of the extractor '{NAME}' ({reason}); train it again or download it again") from None
    if version != VERSION:
        raise checkpoint.another_version(file.path, f"file of the extractor '{NAME}'")
    return AnyrateExtractor(encoder, file.digest)


def save(encoder: AnyrateEncoder, path: Path) -> None:
    """Weights in half precision, statistics in single; written whole or not at all."""
    checkpoint.write(path, NAME, encoder.state_dict(), {"config": asdict(encoder.config), "version": VERSION}, exact=("mean", "std"))
