"""The table of known skeletons (layouts.yaml), and how the names of joints are compared. It knows no file, no motion and no tree.

Names are compared as (side, base): `mixamorig:LeftUpLeg`, `LeftUpLeg` and `left_up_leg` are all ('l', 'upleg'). A name may be read in
several ways ('lowerback' is also l + 'owerback'); only those that a layout knows count.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from nerm.motion.skeleton import SMPL22

SIDED = ("hip", "knee", "ankle", "foot", "collar", "shoulder", "elbow", "wrist")
NEEDED = tuple(f"{side}_{role}" for side in "lr" for role in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist"))
"""What no rule can stand in for."""
Key = tuple[str, str]
_SEPARATORS = re.compile(r"[\s_.\-'\"()\[\]]+")
_MOST = 0.8
"""A prefix or a numbering that this share of all names has says nothing about a joint."""


@dataclass(frozen=True)
class NamedLayout:
    """joints: 'pelvis', 'neck', 'head' and the roles of SIDED -> names without side, the usual one first.  sides: ? is the name."""

    name: str
    about: str
    sides: tuple[str, str]
    joints: dict[str, tuple[str, ...]]

    def roles(self) -> list[str]:
        """The joints of the 22 that the layout names: pelvis, neck, head, l_hip, r_hip ..."""
        return [role for role in self.joints if role not in SIDED] + [
            f"{side}_{role}" for side in "lr" for role in SIDED if role in self.joints
        ]

    def keys(self, role: str) -> list[Key]:
        """The names of a role, to be compared with those of `keys_of`."""
        side, base = (role[0], role[2:]) if role[:2] in ("l_", "r_") else ("", role)
        return [(side, plain(name)) for name in self.joints[base]]

    def spelled(self, role: str) -> str:
        """The usual name of a role as the program writes it."""
        if role[:2] not in ("l_", "r_"):
            return self.joints[role][0]
        return self.sides["lr".index(role[0])].replace("?", self.joints[role[2:]][0])


def plain(name: str) -> str:
    """A name in lower case without separators."""
    return _SEPARATORS.sub("", name).lower()


def without_affixes(names: Sequence[str]) -> list[str]:
    """Names without namespaces (`Character1:`), and without the first words (`Bip01 `) and numbers (`_07`) that nearly all of them have."""
    short = [re.split(r"[:|]", name)[-1] or name for name in names]
    short = [re.sub(r"^mixamorig\d*[_ ]?(?=\w)", "", name, flags=re.IGNORECASE) for name in short]
    short = [re.sub(r"\.\d{3}$", "", name) if not name.lower().startswith("spine") else name for name in short]
    if len(names) >= 10 and sum(bool(re.search(r"_\d{1,4}$", name)) for name in short) >= _MOST * len(names):
        short = [re.sub(r"_\d{1,4}$", "", name) for name in short]
    while len(names) >= 10:
        words = Counter(found[1].lower() for name in short if (found := re.match(r"([^\s_.\-]+)[\s_.\-]+\S", name)))
        word, count = words.most_common(1)[0] if words else ("", 0)
        if count < _MOST * len(names):
            return short
        short = [re.sub(rf"^{re.escape(word)}[\s_.\-]+(?=\S)", "", name, flags=re.IGNORECASE) for name in short]
    return short


def keys_of(name: str) -> list[Key]:
    """All (side, base) that a name may mean, the likeliest first."""
    low = plain(name)
    keys: list[Key] = []
    words = [word.lower() for word in re.findall(r"[^\W\d_]+|\d+", re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name))]
    for side, marks in (("l", ("left", "lft", "左")), ("r", ("right", "rgt", "右"))):
        keys += [(side, low.removeprefix(mark)) for mark in marks if low.startswith(mark)]
        keys += [(side, low.removesuffix(mark)) for mark in marks if low.endswith(mark)]
        if len(words) > 1 and words[-1] == side:
            keys.append((side, low[:-1]))
        if low.startswith(side):
            keys.append((side, low[1:]))
    if words and words[0] == "c":
        keys.append(("", low[1:]))
    return [("", low), *(key for key in keys if key[1])]


@lru_cache(maxsize=1)
def named_layouts() -> tuple[NamedLayout, ...]:
    """The layouts by names, in the order of the table."""
    return tuple(
        NamedLayout(
            name,
            entry["about"],
            (entry["sides"][0], entry["sides"][1]),
            {role: tuple(part.strip() for part in str(names).split("|")) for role, names in entry["joints"].items()},
        )
        for name, entry in _table()["named"].items()
    )


@lru_cache(maxsize=1)
def exact_layouts() -> dict[str, dict[str, dict[str, float]]]:
    """layout -> joint -> {point: weight}."""
    layouts = {}
    for layout, entry in _table()["exact"].items():
        joints = {}
        for joint, terms in entry["joints"].items():
            for side, letter in zip(entry["sides"], "lr", strict=True):
                joints[joint.replace("?", letter)] = weights_of(terms.replace("?", side))
        layouts[layout] = {name: joints[name] for name in SMPL22.names}
    return layouts


def weights_of(terms: str) -> dict[str, float]:
    """'0.5*Spine1 + 0.5*Neck' -> {'Spine1': 0.5, 'Neck': 0.5}; a name alone has weight 1."""
    weights = {}
    for term in terms.split("+"):
        weight, _, point = term.strip().rpartition("*")
        weights[point.strip()] = float(weight or 1)
    return weights


def all_names() -> Iterable[str]:
    """Every layout's name."""
    return (*exact_layouts(), *(layout.name for layout in named_layouts()))


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    text = Path(__file__).with_name("layouts.yaml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
