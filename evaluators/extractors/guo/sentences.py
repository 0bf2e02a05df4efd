"""Sentences about motion with other words of the same meaning, and with one word that changes the meaning. It knows words alone.

The extractor `guo` learns from both: few sentences are known for each action, and the sentences of a test have words of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from nerm.words import mirror_caption

# fmt: off
SAME = (
    "person figure man performer human actor", "someone somebody", "woman lady girl", "child kid", "thug punk hoodlum gangster",
    "slowly leisurely unhurriedly", "quickly swiftly rapidly", "briskly energetically vigorously", "gently softly lightly",
    "slow unhurried leisurely", "quick fast rapid brisk swift", "energetic lively active vigorous", "strong powerful forceful",
    "happy cheerful joyful glad merry", "happily cheerfully joyfully merrily", "sad gloomy sorrowful dejected heartbroken downcast",
    "angry furious irritated annoyed fuming cross", "tired weary exhausted fatigued drained spent", "old elderly aged frail",
    "young youthful", "proud haughty arrogant pompous lordly", "shy timid nervous unsure insecure hesitant",
    "huge giant massive colossal enormous towering", "heavy ponderous", "childish childlike playful", "manly masculine macho",
    "feminine ladylike girlish dainty", "graceful elegant", "tough rough rowdy", "big large great", "small little tiny short",
    "normal ordinary regular usual", "limp slack loose", "stiff rigid tense", "stooped hunched bent bowed", "wide broad", "steady even",
    "walks strolls steps paces", "walking strolling stepping", "runs races dashes sprints", "running racing dashing sprinting",
    "jogs trots", "jogging trotting", "jumps leaps springs", "jumping leaping springing", "hops skips", "kicks boots", "punches jabs",
    "lifts raises hoists", "lifted raised", "lifting raising", "lowers drops sinks", "bends leans stoops", "bending leaning stooping",
    "turns rotates pivots swivels", "turning rotating pivoting", "spins whirls twirls", "swings sweeps", "swinging sweeping",
    "sways rocks", "swaying rocking", "shakes waggles", "stretches extends reaches", "stretching extending reaching",
    "throws flings tosses hurls", "pulls draws hauls", "pushes shoves", "puts places sets", "grabs takes grips grasps", "holds keeps",
    "holding keeping", "stops halts", "stopping halting", "stands waits", "squats crouches", "squatting crouching",
    "climbs clambers", "sneaks creeps", "trudges plods", "staggers totters stumbles", "imitates mimics",
    "crosses passes", "moves goes travels", "moving going travelling", "veers drifts bears", "strides paces steps",
    "ahead forward onward", "back backward backwards", "high overhead aloft", "up upward upwards", "down downward downwards",
    "toward towards", "floor ground", "trunk torso", "belly waist", "goodbye farewell bye", "quarter ninety-degree", "path course",
    "pose stance posture", "again anew", "once one-time", "twice repeatedly", "straight directly", "while as", "before then",
    "upright erect", "invisible imaginary pretend unseen", "legs limbs", "spot place",
)
"""Words that a sentence may exchange for each other and still describe the same motion."""
OTHER = (
    "slowly quickly", "slow quick", "fast slow", "walks runs jogs hops crawls", "walking running jogging hopping", "walk run jog hop",
    "strolls sprints trots", "steps runs", "jumps squats kicks", "leaps crouches", "lifts lowers", "raises lowers", "raised lowered",
    "raising lowering", "forward backward", "ahead backward", "forwards backwards", "up down", "upward downward", "high low",
    "arm leg", "arms legs", "hand foot", "hands feet", "elbow knee", "both one", "head chest", "overhead sideways",
    "happy sad angry tired", "cheerful gloomy furious weary", "old young", "elderly youthful", "proud shy", "tired energetic",
    "exhausted energetic", "heavy light", "stiff loose", "strong weak", "woman man", "waves points kicks", "waving pointing",
    "turns stops", "bows waves", "bow kick", "punches kicks", "punch kick", "throws kicks", "dances walks", "runner walker",
    "sits stands", "squats jumps", "once repeatedly", "clockwise counterclockwise", "straight around",
)
"""Words of which one in place of another makes a sentence wrong."""
# fmt: on
_WORD = re.compile(r"[a-z]+(?:[-'][a-z]+)*")


def _table(groups: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Word -> the others of the first group that has it."""
    table: dict[str, tuple[str, ...]] = {}
    for group in groups:
        for word in group.split():
            table.setdefault(word, tuple(other for other in group.split() if other != word))
    return table


_SAME, _OTHER = _table(SAME), _table(OTHER)


def reworded(text: str, share: float, random: np.random.Generator) -> str:
    """The sentence with about that share of the exchangeable words exchanged."""

    def word(found: re.Match[str]) -> str:
        others = _SAME.get(found[0])
        return str(random.choice(others)) if others and random.random() < share else found[0]

    return _WORD.sub(word, text)


def contradicted(text: str, random: np.random.Generator) -> str | None:
    """The sentence with one word changed so that it describes another motion: the side, or a word of OTHER. None if it has no such word."""
    places = [found for found in _WORD.finditer(text) if found[0] in _OTHER]
    sided = mirror_caption(text)
    if sided != text and (not places or random.random() < 0.5):
        return sided
    if not places:
        return None
    found = places[int(random.integers(len(places)))]
    return text[: found.start()] + str(random.choice(_OTHER[found[0]])) + text[found.end() :]
