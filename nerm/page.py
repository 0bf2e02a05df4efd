"""Motions as one self-contained page to turn, step through and compare. It puts data into the files of `assets`, which know the rest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from nerm.errors import InputError
from nerm.figure import HEAD_M, INK, Figure
from nerm.motion.made_by import as_block
from nerm.motion.packed import FARTHEST, pack

ASSETS = Path(__file__).parent / "assets"
MOST = 4
"""Motions on one page."""
_UNIT_M = 0.001


def page(shown: Sequence[Figure], made_by: Mapping[str, Any] | None = None) -> str:
    """The page as HTML. InputError for more than MOST motions.  made_by: kept in its head."""
    if len(shown) > MOST:
        raise InputError(f"{len(shown)} motions on one page; it shows at most {MOST} side by side: write several pages")
    data = json.dumps([_data(figure) for figure in shown], separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    title = next((figure.title for figure in shown if figure.title), "Motion")
    parts = {name.replace(".", "_"): (ASSETS / name).read_text(encoding="utf-8") for name in ("page.css", "three.min.js", "viewer.js")}
    return Template((ASSETS / "page.html").read_text(encoding="utf-8")).substitute(
        parts, title=title.replace("&", "&amp;").replace("<", "&lt;"), made_by=as_block(made_by) if made_by else "", data=data
    )


def _data(figure: Figure) -> dict[str, Any]:
    """What viewer.js is given of a motion: places in whole units, which are millimetres unless it goes farther than 32 m."""
    motion = figure.motion
    start = motion.root[0].astype(np.float64) * (1, 0, 1)
    moved = motion.joints - start
    unit_m = max(_UNIT_M, float(np.abs(moved).max()) / FARTHEST)
    return {
        "title": figure.title,
        "about": figure.about,
        "fps": motion.fps,
        "frames": len(motion),
        "joints": len(motion.skeleton),
        "unit": unit_m,
        "floor": figure.floor,
        "yaw": figure.yaw,
        "limbs": [[limb.parent, limb.child, limb.side, limb.radius_m] for limb in figure.limbs],
        "head": [-1 if figure.head is None else figure.head, HEAD_M],
        "ink": {side: f"#{bytes(colour).hex()}" for side, colour in INK.items()},
        "toes": figure.toes,
        "stands": [[[round(start, 3), round(end, 3)] for start, end in foot] for foot in figure.stands],
        "packed": pack(moved, unit_m),
    }
