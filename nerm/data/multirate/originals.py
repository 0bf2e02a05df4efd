"""The dataset `multirate-original`: the recordings of `multirate`, from the files of their original homes instead of packaged archives.

The packaged archives changed what they hold; here the same corrections are applied while reading:
- CMU as BVH begins with a T-pose that was not recorded: frame 0 is dropped.
- The BVH files of the CMU subjects 60 and 61 give 120 fps for recordings of 60: the registry's rate is used.
- CMU as BVH with 31 joints (bvh31) has zero length for the thorax and the last third of the forearm: both are filled in. The thorax
  is that of the subject's Acclaim skeleton where known (07, 08, 35), else the upper-back vector; the wrist lies half a forearm further.
- Skeletons of CMU subjects 13 (those of 11) and 88, 90, 91 (those of 87) stand in for missing ones.
Differences remain: archives hold rounded numbers (joints within 0.05 mm), and bones are kept here as lengths and directions to 6 decimals.
Bandai-Namco's position channels below the hips need no correction: our reader lets positions replace offsets.

The addresses were written down from the manifests; no release was checked against the servers, so a first download may find moved files.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from nerm.data.multirate.captions import SOURCES
from nerm.data.multirate.trials import SourceFile
from nerm.errors import InputError
from nerm.motion.amc import AcclaimSkeleton, read_amc, read_asf
from nerm.motion.bvh import capture_of, mended, parse_bvh
from nerm.motion.capture import Capture

REGISTRY = Path(__file__).with_name("registry.csv")
DIGESTS = "digests.sha256"
_SKELETONS = Path(__file__).with_name("skeletons.csv")
_COLUMNS = ("file", "url", "sha256", "layout", "skeleton", "fps", "metres_per_unit", "frames", "clean_start", "clean_end", "split", "label")
_WRONG_RATE = {60.0: 120.0}  # of bvh43: rate of the recording -> rate that the file names
_THORAX = {"07": (0.06167, 2.20558, -0.17210), "08": (-0.00074, 2.01873, 0.08292), "35": (0.01673, 2.05437, 0.11438)}


@dataclass(frozen=True)
class Entry:
    """One line of a registry: a file, its address, and the facts about the recording in it."""

    file: str
    url: str
    sha256: str
    facts: dict[str, str]


def read_registry(path: Path) -> list[Entry]:
    """The entries of a registry: a table, after lines `# NAME ADDRESS` that say what {NAME} at the beginning of a url stands for."""
    if not path.is_file():
        raise InputError(f"registry {path} does not exist; expected a CSV file with the columns {', '.join(_COLUMNS)}")
    lines = path.read_text().splitlines()
    homes = dict(line[2:].split(maxsplit=1) for line in lines if line.startswith("# "))
    entries = []
    for row in csv.DictReader(line for line in lines if not line.startswith("#")):
        missing = [name for name in _COLUMNS if row.get(name) is None]
        if missing:
            raise InputError(
                f"registry {path}: no {missing[0]} in the line of {row.get('file')}; expected the columns {', '.join(_COLUMNS)}"
            )
        home, brace, rest = row["url"].lstrip("{").partition("}")
        if brace and home not in homes:
            raise InputError(f"registry {path}: {{{home}}} in the address of {row['file']} is not explained by a line '# {home} ADDRESS'")
        if Path(row["file"]).is_absolute() or ".." in Path(row["file"]).parts:
            raise InputError(f"registry {path}: the file name {row['file']} leads out of the folder of downloads")
        entries.append(Entry(row["file"], homes[home] + rest if brace else row["url"], row["sha256"].lower(), row))
    if not entries:
        raise InputError(f"registry {path} lists no file; expected a CSV file with the columns {', '.join(_COLUMNS)}")
    return entries


def is_home(folder: Path) -> bool:
    """Whether a folder holds downloaded originals."""
    return (folder / REGISTRY.name).is_file()


def recordings(sources: Path, names: Sequence[str] = SOURCES) -> list[SourceFile]:
    """Every recording that the registry in the folder of downloads lists, in its order."""
    files = []
    for entry in read_registry(sources / REGISTRY.name):
        source, facts = Path(entry.file).parts[0], entry.facts
        if source not in names:
            continue
        try:
            files.append(
                SourceFile(
                    name=str(Path(entry.file).with_suffix("")) if source == "cmu" else Path(entry.file).stem,
                    source=source,
                    file=entry.file,
                    asf=facts["skeleton"] or None,
                    layout=facts["layout"],
                    fps=float(facts["fps"]),
                    metres_per_unit=float(facts["metres_per_unit"]),
                    frames=int(facts["frames"]),
                    clean=(int(facts["clean_start"]), int(facts["clean_end"])) if facts["clean_end"] else None,
                    split=facts["split"],
                    label=facts["label"],
                )
            )
        except ValueError as error:
            raise InputError(f"registry {sources / REGISTRY.name}: the line of {entry.file} cannot be used ({error})") from None
    return files


def identity(sources: Path) -> dict[str, str]:
    """sha256 of the registry and of the digests of the files."""
    digests = {}
    for name in (REGISTRY.name, DIGESTS):
        path = sources / name
        lines = sorted(path.read_text().splitlines()) if path.exists() else []
        digests[name] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return digests


def read_capture(recording: SourceFile, folder: Path) -> Capture:
    """The points of one original file, corrected as the module says."""
    path = folder / recording.file
    if path.suffix == ".amc":
        return read_amc(path, acclaim_skeleton(str(recording.asf)), recording.fps, recording.metres_per_unit)
    file = parse_bvh(path)
    expected = _WRONG_RATE.get(recording.fps, recording.fps) if recording.layout == "bvh43" else recording.fps
    if abs(file.fps / expected - 1) > 0.01:
        raise InputError(f"{path}: {file.fps:g} fps in the file, {expected:g} expected; it is another file than the one described")
    thorax = _THORAX.get(str(recording.asf))
    file = mended(file, thorax, begins_with_t_pose=recording.source == "cmu", say=_nothing)
    return replace(capture_of(file, recording.metres_per_unit), fps=recording.fps)


@lru_cache(maxsize=1)
def _skeleton_table() -> list[dict[str, str]]:
    with _SKELETONS.open(newline="") as file:
        return list(csv.DictReader(file))


@lru_cache(maxsize=64)
def acclaim_skeleton(name: str) -> AcclaimSkeleton:
    """A skeleton of CMU (by subject) or HDM05 (HDM_ACTOR): 30 bones and the root, in units of 0.05644 m."""
    return read_asf(acclaim_text(name))


def acclaim_text(name: str) -> str:
    """The same as the text of an ASF file."""
    table = _skeleton_table()
    if name not in table[0]:
        raise InputError(f"skeleton '{name}' does not exist; known are {', '.join(list(table[0])[4:])}")
    bones, tree = [], []
    for row in table:
        offset = np.array(row[name].split(), dtype=float)
        dof = f"dof {row['dof']}\n" if row["dof"] else ""
        direction = " ".join(map(str, offset))
        bones.append(
            f"begin\nname {row['bone']}\ndirection {direction}\nlength {np.linalg.norm(offset)}\naxis {row['axis']} XYZ\n{dof}end\n"
        )
        tree.append(f"{row['parent']} {row['bone']}\n")
    root = ":root\norder TX TY TZ RX RY RZ\naxis XYZ\nposition 0 0 0\norientation 0 0 0\n"
    return f":units\nangle deg\n{root}:bonedata\n{''.join(bones)}:hierarchy\nbegin\n{''.join(tree)}end\n"


def _nothing(text: str) -> None:
    """What is mended in these files is said once, above."""
