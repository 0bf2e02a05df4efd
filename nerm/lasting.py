"""How long a denoiser is asked to make an action, and in how many parts, whatever the motion is to last.

A denoiser that has learned a few recordings of each action knows it by its durations, too. Asked for three seconds of what lasts two in
training, it makes something else that does last three, whatever the sentence says (docs/findings.md#durations). So it is asked for the
nearest duration that training has. Of a code for more than the motion lasts the middle is read, as in training; one for a little less is
read more slowly; what is to last much longer is made in parts that go on from each other. Pure functions of durations in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log

from nerm.sequence import LONGEST_S, OVERLAP_S

Known = Sequence[tuple[float, float]]
"""Of each action that is meant: how long its shortest and its longest piece in training lasts. Empty if that is not known."""
DURATIONS = ("known", "asked")
"""What a denoiser is asked for: the nearest duration that training has, or the one of the motion."""
SHORTER, LONGER = 0.8, 1.05
"""Shares of a duration in training between which the sentence is followed as well: training crops its pieces by as much as the first."""
STRETCHED = 1.25
"""How many times as long as the longest piece in training one part may last."""
SHORTEST_PART_S = 2.5
"""One part may last as long as this whatever training has."""


def nearest_s(seconds: float, known: Known) -> float:
    """The duration nearest to `seconds`, by their ratio, that training has; `seconds` itself if nothing is known."""
    near = [min(max(seconds, SHORTER * shortest), LONGER * longest) for shortest, longest in known]
    return min(near, key=lambda length: abs(log(length / seconds)), default=seconds)


def parts_to_last(seconds: float, known: Known) -> int:
    """In how many parts, which overlap by OVERLAP_S, an action is made that is to last so long; 1 for a time that no motion may last."""
    if not known or not 0 < seconds <= LONGEST_S:
        return 1
    longest_s = max(STRETCHED * max(longest for _, longest in known), SHORTEST_PART_S)
    return 1 if seconds <= longest_s else ceil(seconds / (longest_s - OVERLAP_S) - 1e-9)
