"""The actions of HumanAct12 and UESTC by class number, and sentences for them. It knows no file.

Systems that read only sentences are given one for a label. The last sentence of a label is kept for tests.
"""

from __future__ import annotations

# fmt: off
HUMANACT12 = (
    "warm_up", "walk", "run", "jump", "drink", "lift_dumbbell", "sit", "eat", "turn_steering_wheel", "phone", "boxing", "throw",
)
"""Actions of HumanAct12 in the order of their class numbers (Guo et al., Action2Motion, ACM MM 2020)."""
UESTC = (
    "punching-and-knee-lifting", "marking-time-and-knee-lifting", "jumping-jack", "squatting", "forward-lunging", "left-lunging",
    "left-stretching", "raising-hand-and-jumping", "left-kicking", "rotation-clapping", "front-raising", "pulling-chest-expanders",
    "punching", "wrist-circling", "single-dumbbell-raising", "shoulder-raising", "elbow-circling", "dumbbell-one-arm-shoulder-pressing",
    "arm-circling", "dumbbell-shrugging", "pinching-back", "head-anticlockwise-circling", "shoulder-abduction",
    "deltoid-muscle-stretching", "straight-forward-flexion", "spinal-stretching", "dumbbell-side-bend",
    "standing-opposite-elbow-to-knee-crunch", "standing-rotation", "overhead-stretching", "upper-back-stretching", "knee-to-chest",
    "knee-circling", "alternate-knee-lifting", "bent-over-twist", "rope-skipping", "standing-toe-touches",
    "standing-gastrocnemius-calf", "single-leg-lateral-hopping", "high-knees-running",
)
"""Actions of UESTC in the order of their class numbers (Ji et al., A Large-scale RGB-D Database for Arbitrary-view Human Action
Recognition, ACM MM 2018)."""
_HUMANACT12_VERBS = (
    "warms up", "walks", "runs", "jumps", "drinks", "lifts a dumbbell", "sits down", "eats", "turns a steering wheel",
    "talks on the phone", "boxes", "throws something",
)
# fmt: on


def humanact12_sentences() -> dict[str, tuple[str, ...]]:
    """Label -> its sentences."""
    return {
        label: (f"a person {verb}", f"someone {verb}", f"the person {verb}")
        for label, verb in zip(HUMANACT12, _HUMANACT12_VERBS, strict=True)
    }


def uestc_sentences() -> dict[str, tuple[str, ...]]:
    """Label -> its sentences."""
    named = {label: label.replace("-", " ") for label in UESTC}
    return {
        label: (f"a person exercises: {name}", f"someone does the exercise {name}", f"a person does {name}")
        for label, name in named.items()
    }
