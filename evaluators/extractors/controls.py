"""What an extractor must see and must not see, as data: kinds of damage of known amounts, and the effect sizes that are demanded of them.

What a person or a simulator would notice must have an effect of at least SEEN. What is no difference (measuring noise, size, place,
heading) must have at most UNSEEN. Effects are in standard deviations of what chance makes of a distance; `evaluators.extractors.acceptance`
measures them. It knows no extractor and no recording.
"""

from __future__ import annotations

from dataclasses import dataclass

from evaluators.damage import (
    Damage,
    backwards,
    flattened,
    foreign_root_path,
    foreign_upper_body,
    frozen,
    low_passed,
    noise,
    permuted,
    placed,
    played_at,
    raised,
    reduced,
    shuffled,
    sized,
    sliding,
    turned,
)

SEEN = 3.0
UNSEEN = 1.0


@dataclass(frozen=True)
class Control:
    """A damage that must be seen, or a change that must not be. fps: the only rate of it, 0 for every rate.  fast: on fast trials alone."""

    name: str
    damage: Damage
    seen: bool = True
    fps: float = 0.0
    fast: bool = False

    @property
    def kind(self) -> str:
        """Its name without the amount."""
        return self.name.partition(",")[0]


CONTROLS = (
    Control("other speed, 1.25 x", played_at(1.25)),
    Control("other speed, 0.8 x", played_at(0.8)),
    Control("backwards", backwards),
    Control("frozen", frozen),
    Control("pieces permuted, of half a second", permuted(0.5)),
    Control("foreign limb", shuffled),
    Control("foreign upper body", foreign_upper_body),
    Control("foreign root path", foreign_root_path),
    Control("foot slide, 0.1 m/s", sliding(0.1)),
    Control("above the floor, 5 cm", raised(0.05)),
    Control("smaller amplitude, 0.7", flattened(0.7)),
    Control("low-pass, 4 Hz, fast quarter", low_passed(4.0), fps=120.0, fast=True),
    Control("interpolated, from 20 fps by slerp, fast quarter", reduced(20.0, "slerp"), fps=120.0, fast=True),
    Control("noise, 0.5 mm", noise(0.0005), seen=False),
    Control("low-pass, 20 Hz", low_passed(20.0), seen=False),
    Control("turned", turned, seen=False),
    Control("placed elsewhere", placed, seen=False),
    Control("size, 3 % more", sized(1.03), seen=False),
)
"""The held-out controls of motions."""
OF_ACTIONS = ("backwards", "frozen", "foreign limb", "foreign upper body")
"""Kinds of damage that a classifier must see; that a movement is slower or higher above the floor does not make it another action."""
LEADS_AWAY = ("backwards", "frozen")
"""Those of them after which motion is of no action, so that sets as a whole change too."""


def effect_check(name: str, effect: float, seen: bool) -> dict:
    """A check of an effect size against its limit."""
    demand = f"{name}: {f'at least {SEEN:g}' if seen else f'at most {UNSEEN:g}'} sd"
    passed = effect >= SEEN if seen else effect <= UNSEEN
    return {"demand": demand, "effect": effect, "detail": f"{effect:.1f}", "passed": bool(passed)}
