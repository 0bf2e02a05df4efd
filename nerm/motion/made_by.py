"""What a file says it was made by (a sentence, a seed, a model, ...), in the place that its format has for this, and how it is read back.

    .npz     made_by, JSON                      .gif    its comment, JSON
    .glb     asset.extras.made_by               .mp4    its comment, JSON
    .html    the data block `made-by`           .bvh, .npy    FILE.json beside it, or made_by.json of its folder

A .bvh has no comments: programs differ in which lines they skip, and one that stops at a line of ours would be worse than a second file. So
has a .npy. The file beside holds the digest of the one that it is about, and says nothing of another of the same name. This module knows no
motion and no model.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from nerm.atomic import replacing
from nerm.errors import InputError

BESIDE = (".bvh", ".npy")
"""Suffixes of the formats that have no place for it."""
INDEX = "made_by.json"
"""In a folder of many samples: file name -> what it was made by."""
BLOCK = '<script type="application/json" id="made-by">{}</script>'
MadeBy = Mapping[str, Any]


def as_text(made_by: MadeBy) -> str:
    """One line of ASCII, which every format's comment can hold."""
    return json.dumps(made_by)


def as_block(made_by: MadeBy) -> str:
    """For the head of a page."""
    return BLOCK.format(as_text(made_by).replace("<", "\\u003c"))


def write_beside(path: Path, made_by: MadeBy) -> Path | None:
    """Write FILE.json for a file that is there, and give its path; None where somebody else's file has that name, which stays as it is."""
    beside = path.with_name(f"{path.name}.json")
    if beside.exists() and "made_by" not in _beside(beside):
        return None
    said = {"file": path.name, "sha256": _digest(path), "made_by": dict(made_by)}
    with replacing(beside) as temporary:
        temporary.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return beside


def read_made_by(path: str | Path) -> dict[str, Any]:
    """What a file says it was made by; empty if it says nothing. InputError for one that is missing, damaged or of no format above."""
    path = Path(path)
    if path.suffix.lower() not in _READERS:
        raise InputError(f"{path}: '{path.suffix or path.name}' does not say what it was made by; {', '.join(_READERS)} can")
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the path of a file")
    try:
        return dict(_READERS[path.suffix.lower()](path))
    except InputError:
        raise
    except Exception as error:  # each format has a reader with errors of its own
        raise InputError(f"{path} cannot be read ({type(error).__name__}: {error}); the file is damaged") from None


def _of_npz(path: Path) -> MadeBy:
    import numpy as np

    with np.load(path, allow_pickle=False) as stored:
        return json.loads(str(stored["made_by"])) if "made_by" in stored.files else {}


def _of_glb(path: Path) -> MadeBy:
    from pygltflib import GLTF2

    extras = GLTF2.load_binary(str(path)).asset.extras or {}
    return extras.get("made_by", {})


def _of_page(path: Path) -> MadeBy:
    start, end = BLOCK.split("{}")
    found = re.search(re.escape(start) + "(.*?)" + re.escape(end), path.read_text(encoding="utf-8"))
    return json.loads(found[1]) if found else {}


def _of_gif(path: Path) -> MadeBy:
    from PIL import Image

    with Image.open(path) as image:
        return _of_comment(bytes(image.info.get("comment", b"")).decode("ascii", "replace"))


def _of_video(path: Path) -> MadeBy:
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        raise InputError("what an .mp4 was made by is read by imageio-ffmpeg: pip install 'nerm[video]'") from None
    command = [get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "ffmetadata", "-"]
    shown = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8")
    if shown.returncode:
        raise InputError(f"{path} cannot be read as a video ({shown.stderr.strip().splitlines()[-1]}); the file is damaged")
    found = re.search(r"^comment=(.*)$", shown.stdout, re.M)
    return _of_comment(re.sub(r"\\(.)", r"\1", found[1])) if found else {}  # FFmpeg puts \ before = ; # and \


def _of_beside(path: Path) -> MadeBy:
    beside, index = path.with_name(f"{path.name}.json"), path.with_name(INDEX)
    said = _beside(beside)
    if "made_by" in said and said.get("sha256") == _digest(path):
        return said["made_by"]
    return _beside(index).get(path.name, {})


def _beside(path: Path) -> MadeBy:
    """The content of a file beside; of somebody else's, or of none, nothing."""
    return _of_comment(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else {}


def _of_comment(text: str) -> MadeBy:
    """What is no object of JSON is somebody else's, and says nothing."""
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


_READERS: dict[str, Callable[[Path], MadeBy]] = {
    ".npz": _of_npz,
    ".glb": _of_glb,
    ".html": _of_page,
    ".gif": _of_gif,
    ".mp4": _of_video,
    **dict.fromkeys(BESIDE, _of_beside),
}
