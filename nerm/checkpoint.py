"""The one reader and writer of model files (safetensors), and where shipped ones lie. It knows no system.

A file holds tensors by name and one entry of metadata, `about`: JSON with the kind of file, its settings and facts. One entry, because
the order of several would vary, and the same weights must always have the same digest. Older files, with several entries, are read too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nerm.atomic import replacing
from nerm.cli import suggest
from nerm.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

RESULTS = Path(__file__).resolve().parents[1] / "results"
"""What ships with the package: models/, reference/, stored results."""
MODELS = "models"
SUFFIX = ".safetensors"
LARGEST = ":largest"
"""Ends the name of what rows of a matrix in 8 bits are shares of."""
MANY = 10_000
"""Numbers of a matrix from which on 8 bits are worth it."""


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds. about: kind, settings, facts.  digest: sha256 of the file."""

    path: Path
    tensors: dict[str, Tensor] = field(repr=False)
    about: dict[str, Any]
    digest: str

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under a prefix ('field.'), in single precision, without it."""
        return {name.removeprefix(prefix): value.float() for name, value in self.tensors.items() if name.startswith(prefix)}


def write(
    path: Path,
    kind: str,
    tensors: Mapping[str, Tensor],
    about: Mapping[str, Any],
    exact: Iterable[str] | None = (),
    small: Iterable[str] = (),
) -> Path:
    """Write a model file whole or not at all; weights in half precision.

    kind: what reads it (the system's or extractor's name).  exact: names that keep their precision; None keeps all.
    small: names of matrices that are kept in 8 bits, as steps of 1/127 of the largest number of each row; reading gives numbers back.
    """
    import torch
    from safetensors.torch import save_file

    kept, rounded = set(tensors) if exact is None else set(exact), set(small)
    plain: dict[str, Tensor] = {}
    for name, value in ((name, value.detach().cpu().contiguous()) for name, value in tensors.items()):
        if name in rounded:
            largest = value.float().abs().amax(tuple(range(1, value.ndim)), keepdim=True).clamp(min=1e-12)
            plain[name] = (value.float() * (127 / largest)).round().to(torch.int8)
            plain[name + LARGEST] = largest
        else:
            plain[name] = value if name in kept else value.half()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        save_file(plain, temporary, {"about": json.dumps({"kind": kind, **about}, sort_keys=True)})
    return path


def large_matrices(tensors: Mapping[str, Tensor], but: str) -> list[str]:
    """Names of the matrices for which 8 bits are worth it, for `small` of `write`; those under the prefix `but` are left out."""
    return [name for name, value in tensors.items() if value.ndim > 1 and value.numel() >= MANY and not name.startswith(but)]


def read(path: str | Path, kind: str = "") -> Checkpoint:
    """What a file holds; kind: what it must be of. A missing, damaged or foreign file is an InputError."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} does not exist or is no file; give a {SUFFIX} file that training wrote")
    try:
        with safe_open(path, "pt") as file:
            tensors = _whole({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            about = _about(file.metadata() or {})
    except (SafetensorError, json.JSONDecodeError) as error:
        raise InputError(f"{path} is not a whole {SUFFIX} file ({str(error)[:80]}); fetch or train it again") from None
    if kind and about.get("kind", kind) != kind:
        raise InputError(f"{path} is a file of '{about['kind']}'; expected one of '{kind}'")
    return Checkpoint(path, tensors, about, sha256(path))


def sha256(path: str | Path) -> str:
    """The digest of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def another_version(path: Path, what: str) -> InputError:
    """The error for a file whose settings or tensors this version does not know."""
    return InputError(f"{path} is a {what} of another version of this package; train it again, or use the version it was made with")


def model_path(where: str | Path, folders: Sequence[Path] = ()) -> Path:
    """A model file: `where` itself if it names one, else WHERE.safetensors of the first folder that has it.

    folders: of models, default those of `model_folders`.
    """
    path = Path(where)
    if path.suffix:
        if not path.is_file():
            raise InputError(f"{path} does not exist or is no file; give a model file or the name of a shipped one")
        return path
    places = list(folders) or model_folders()
    file = next((place / f"{where}{SUFFIX}" for place in places if (place / f"{where}{SUFFIX}").is_file()), None)
    if file is None:
        known = sorted({model.stem for place in places for model in place.glob(f"*{SUFFIX}")})
        hint = f"{suggest(str(where), known)}: train it or give a file" if known else "train it or give a file"
        raise InputError(f"there is no model '{where}' in {' or '.join(map(str, places))}; {hint}")
    return file


def model_folders() -> list[Path]:
    """Where models are looked for: results/models of the working folder, then those that ship."""
    return list(dict.fromkeys([(Path("results") / MODELS).resolve(), RESULTS / MODELS]))


def _whole(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a file with matrices in 8 bits as numbers again."""
    largest = {name.removesuffix(LARGEST): value for name, value in tensors.items() if name.endswith(LARGEST)}
    return {
        name: value.float() * (largest[name] / 127) if name in largest else value
        for name, value in tensors.items()
        if not name.endswith(LARGEST)
    }


def _about(metadata: Mapping[str, str]) -> dict[str, Any]:
    """The facts of a file; in older files they are entries of their own, some of them JSON, and the kind is called system."""
    if "about" in metadata:
        return json.loads(metadata["about"])
    about = {key: _value(text) for key, text in metadata.items()}
    return {"kind": about.pop("system"), **about} if "system" in about else about


def _value(text: str) -> Any:
    """JSON objects, lists, strings and short numbers as what they are; any other text (a digest) as it is."""
    is_json = text.startswith(("{", "[", '"')) or (text.isdecimal() and len(text) < 9)
    return json.loads(text) if is_json else text
