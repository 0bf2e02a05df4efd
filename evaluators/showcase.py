"""python -m evaluators.showcase: the motions that the page of results plays, made by the shipped weights.

    python -m evaluators.showcase                                   results/showcase.json: five sentences, five systems, about 0.3 MB
    python -m evaluators.showcase out=DIR recordings=multirate      beside them recordings, for a page of one's own
    python -m evaluators.run page out=DIR                           the page, with these motions

Every motion is the first sample of its system for a sentence of the test split, seed 0: none is chosen. It is kept at 120 fps in whole
millimetres. Every second frame of it is the motion at 60 fps and every sixth that at 20, for a system that reads one code at any rate as
for one that is brought up from 20 fps by the resampler, which keeps the frames it is given. Recordings are corpus data and do not ship.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluators.store import write_atomic
from nerm.cli import parse, progress, run
from nerm.errors import InputError
from nerm.help import command
from nerm.motion import Motion
from nerm.motion.packed import pack, unpack

FILE = "showcase.json"
FPS = 120.0
RATES = (20, 60, 120)
"""The rates at which a page plays the motions; each divides FPS."""
UNIT_M = 0.001
SENTENCES = (
    "a figure crosses the room, makes a half turn and heads back to the start",
    "someone runs lightly in a left hand curve",
    "the whole body extends off the ground in a big upward spring",
    "a single front kick is delivered by the left leg while the arms help to keep balance",
    "full of vigor, a person sends someone off by waving one hand far above the head",
)
RECORDED = "real"
ACKNOWLEDGEMENTS = {
    "cmu": "Recordings of CMU: the data used in this project was obtained from mocap.cs.cmu.edu. The database was created with funding "
    "from NSF EIA-0196217.",
    "hdm05": "Recordings of HDM05: M. Müller et al., Documentation Mocap Database HDM05, Universität Bonn, 2007; CC BY-SA 3.0, brought to "
    "the 22 joints of the corpus, and shared alike.",
}
"""Sources of recordings that may be shown on a page, with what has to be said. Others (Bandai-Namco is non-commercial) are left out."""


@dataclass
class Showcase:
    """Keys of the command.

    out: folder of showcase.json.
    systems: ids, in the order in which they are shown.
    sentences: what is asked for; left out, five sentences of the test split.
    seconds: length of each motion.
    seed: of the first motion.
    recordings: a prepared dataset whose recordings of the same label are shown beside them, as far as their licence lets them; empty: none.
    """

    out: str = "results"
    systems: list[str] = field(default_factory=lambda: ["nerm", "nerm-fixed", "t2m", "mdm", "mld"])
    sentences: list[str] = field(default_factory=lambda: list(SENTENCES))
    seconds: float = 4.0
    seed: int = 0
    recordings: str = ""


@command(Showcase)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(Showcase, arguments, "For example: out=results seconds=4 seed=0")
    check(settings)
    from baselines.base import SYSTEMS

    shown: list[dict[str, Any]] = []
    if settings.recordings:
        shown.append(_recorded(settings))
    for name in settings.systems:
        progress(f"{SYSTEMS.get(name).title}: {len(settings.sentences)} motions of {settings.seconds:g} s")
        shown.append(_generated(name, settings))
    path = Path(settings.out) / FILE
    write_atomic(path, document(settings, shown))
    print(f"{path} ({path.stat().st_size / 1e6:.2f} MB); now: python -m evaluators.run page out={settings.out}")
    return 0


def check(settings: Showcase) -> None:
    """An error where the settings cannot be carried out; before anything is made."""
    from baselines.base import SYSTEMS
    from nerm.checkpoint import RESULTS
    from nerm.cli import choose

    for name in settings.systems:
        choose("systems", name, SYSTEMS.names)
    if not settings.sentences or not settings.systems:
        raise InputError("sentences=[] or systems=[]; give at least one of each")
    if settings.seconds <= 0:
        raise InputError(f"seconds={settings.seconds:g}; expected a positive number")
    if settings.recordings and Path(settings.out).resolve() == RESULTS:
        raise InputError(f"recordings={settings.recordings} out={settings.out}; recordings do not ship: give out=DIR, a folder of your own")


def document(settings: Showcase, shown: Sequence[Mapping[str, Any]]) -> bytes:
    """The file: one line for every system, so that a difference can be read."""
    from nerm.motion import SMPL22

    head = {
        "format": 1,
        "fps": FPS,
        "rates": RATES,
        "unit_m": UNIT_M,
        "joints": SMPL22.names,
        "parents": SMPL22.parents,
        "sentences": settings.sentences,
        "seed": settings.seed,
        "acknowledgement": " ".join(dict.fromkeys(text for system in shown for text in system.get("acknowledgements", []))),
    }
    text = json.dumps(head, indent=1)
    lines = ",\n".join("  " + json.dumps(system, sort_keys=True) for system in shown)
    return (text.removesuffix("\n}") + f',\n "systems": [\n{lines}\n ]\n}}\n').encode()


def encode(motion: Motion) -> str:
    """Joints in whole UNIT_M."""
    return pack(motion.joints, UNIT_M)


def decode(text: str, joints: int) -> NDArray[np.float64]:
    """[T, J, 3] metres."""
    return unpack(text, joints, UNIT_M)


def _generated(name: str, settings: Showcase) -> dict[str, Any]:
    from baselines.base import SYSTEMS, load_system
    from nerm.checkpoint import MODELS, RESULTS, SUFFIX
    from nerm.generator import Condition

    shipped = RESULTS / MODELS / f"{name}{SUFFIX}"
    system = load_system(name, shipped if shipped.exists() else None)
    count = len(settings.sentences)
    conditions = [Condition(sentence) for sentence in settings.sentences]
    motions = system.sample(conditions, [settings.seconds] * count, FPS, [settings.seed] * count)
    about = {"id": name, "title": SYSTEMS.get(name).title, "native_fps": system.native_fps, "sha256": system.digest}
    return about | {"motions": [encode(motion) for motion in motions]}


def _recorded(settings: Showcase) -> dict[str, Any]:
    """For every sentence the beginning of a recording of at least 120 fps whose captions hold it; null where none may be shown."""
    from nerm.data.dataset import load_dataset
    from nerm.motion import frame_count, resample

    dataset = load_dataset(settings.recordings)
    items = [item for item in dataset.items("test") if item.label.partition("/")[0] in ACKNOWLEDGEMENTS and item.fps >= FPS]
    found = [next((item for item in items if sentence in item.captions), None) for sentence in settings.sentences]
    motions = [resample(dataset.motion(item), FPS)[: frame_count(settings.seconds, FPS)] if item else None for item in found]
    return {
        "id": RECORDED,
        "title": "Recording",
        "native_fps": None,
        "sha256": dataset.digest,
        "acknowledgements": [ACKNOWLEDGEMENTS[item.label.partition("/")[0]] for item in found if item],
        "motions": [encode(motion) if motion else None for motion in motions],
    }


if __name__ == "__main__":
    run(main)
