"""The action classes of multirate: which labels are one action. Known from the facts of the labels; it knows no motion and no network.

Eleven are the actions of HDM05, ten the contents of the second Bandai-Namco set in all their styles; walking and running are merged with
those of CMU that are nothing else. A label of no class (a dance, a walk that turns) is left out.
"""

from __future__ import annotations

from nerm.data.multirate.captions import load_captions

HDM05 = {
    "depositFloorR": "deposit-floor",
    "elbowToKnee1RepsLelbowStart": "elbow-to-knee",
    "grabHighR": "grab-high",
    "hopBothLegs1hops": "hop",
    "jogLeftCircle4StepsRstart": "jog-left-circle",
    "kickLFront1Reps": "kick-left-front",
    "lieDownFloor": "lie-down",
    "rotateArmsBothBackward1Reps": "rotate-arms-backward",
    "sneak2StepsLStart": "sneak",
    "squat1Reps": "squat",
    "throwBasketball": "throw-basketball",
}
"""Action code of HDM05 -> class."""
BANDAI = (
    "raise-up-both-hands",
    "raise-up-left-hand",
    "raise-up-right-hand",
    "run",
    "walk",
    "walk-turn-left",
    "walk-turn-right",
    "wave-both-hands",
    "wave-left-hand",
    "wave-right-hand",
)
"""The contents of the second Bandai-Namco set, which are classes."""
CMU = {
    "walk": ("walk", "slow walk", "walk/stride", "slow walk/stride", "Walking"),
    "run": ("run", "run/jog", "Run"),
}
"""Class -> the descriptions of CMU trials that are this action and nothing else, and that training has."""


def classes() -> dict[str, str]:
    """Label -> its class, of the labels that have one."""
    of_cmu = {description: name for name, descriptions in CMU.items() for description in descriptions}
    found = {}
    for label in load_captions().labels:
        source, _, rest = label.partition("/")
        content = rest.partition("/")[0]
        known = {"hdm05": HDM05.get(rest), "bandai": content if content in BANDAI else None, "cmu": of_cmu.get(rest)}
        name = known.get(source)
        if name:
            found[label] = name
    return found
