"""The answer of a table in one sentence, and a drawing of how sure it is: the difference from the best rival and its 95 % interval."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import numpy as np

from evaluators.intervals import Difference, interval
from evaluators.report.differences import comparisons_in_words, signed
from evaluators.report.markdown import label, title
from evaluators.report.model import Key, Report, Section
from evaluators.report.words import and_, capital, heading, with_interval

Verdict = str
"""better, worse, open (zero is not excluded), or '' where two rows are not compared."""


@dataclass(frozen=True)
class Strip:
    """The difference at one rate. text: as it is printed."""

    heading: str
    difference: Difference
    text: str


@dataclass(frozen=True)
class Answer:
    """sentence: plain text.  verdict: of the first row against its best rival, and the same said in words.

    strips: by rate, the deciding one last.  sides: what it means to be left and right of zero.
    """

    sentence: str
    verdict: Verdict = ""
    said: str = ""
    caption: str = ""
    sides: tuple[str, str] = ("", "")
    strips: tuple[Strip, ...] = ()


def answer(report: Report) -> Answer:
    """From the section that answers the question of the table, whose first comparison is drawn; without one, the best row is the answer."""
    main = report.main
    if main is None:
        return Answer("Nothing is stored that answers this question.")
    if not main.comparisons:
        return Answer(_best_in_words(main))
    comparison = main.comparisons[0]
    strips = []
    for fps in main.rates:
        present = {key[0] for key in main.rows if (*key, fps) in main.cells}
        if {comparison.mine, comparison.rival} <= present:
            found = main.difference(main.key_of(comparison.rival, fps), main.key_of(comparison.mine, fps), fps)
            strips.append(Strip(heading(fps), found, signed(found, main)))
    decides = strips[-1].difference
    wins = (decides.mean < 0) == (main.metric.direction == "lower")
    verdict = "open" if not decides.excludes_zero else "better" if wins else "worse"
    mine, rival = (report.rows[name].title.partition(" (")[0] for name in (comparison.mine, comparison.rival))
    said = {
        "better": f"{mine} is better: the interval excludes zero",
        "worse": f"{rival} is better: the interval excludes zero",
        "open": "Not decided: the interval includes zero",
    }[verdict]
    sides = (f"{mine} is better", f"{rival} is better")
    sides = sides if main.metric.direction == "lower" else sides[::-1]
    caption = (
        f"{capital(title(main)).replace('`', '')}: {mine} minus {report.rows[comparison.rival].title}, {_sureness(main, comparison.mine)}."
    )
    return Answer(comparisons_in_words(main, heading).replace("`", ""), verdict, said, caption, sides, tuple(strips))


def _sureness(main: Section, row: str) -> str:
    """What the intervals of the differences cover."""
    trainings = max((spread.trainings for key, spread in main.spreads.items() if key[0] == row), default=1)
    over = "trials" if main.resamples == "trials" else "draws from the same trials"
    return f"with 95 % intervals over {over}, of {'one training' if trainings == 1 else f'{trainings} trainings'}"


def _best_in_words(main: Section) -> str:
    """The best generator at the highest rate and those that are not told apart from it, beside real motion."""
    report, fps = main.report, main.rates[-1]
    values = {key: main.cells[*key, fps] for key in main.rows if (*key, fps) in main.cells}
    about = title(main).replace("`", "")

    def said(keys: list[Key]) -> str:
        printed = {key: with_interval(*interval(values[key].values, main.resamples), main.metric) for key in keys}
        return and_([f"{label(report, key, main.rows)} ({text})" for key, text in printed.items()])

    best = [key for key in values if key in main.best(fps)] or [key for key in values if report.rows[key[0]].role == "generator"]
    real = [key for key in values if report.rows[key[0]].role == "real"]
    if not best:
        return f"No generator has been run; {about} of {said(list(values))} at {heading(fps)}."
    best.sort(key=lambda key: values[key].mean, reverse=main.metric.direction == "higher")
    rest = f"; not told apart from it: {said(best[1:])}" if best[1:] else ""
    return f"At {heading(fps)}, the best {about} is that of {said(best[:1])}{rest}." + (f" Recorded motion: {said(real)}." if real else "")


def drawing(found: Answer) -> str:
    """SVG: a line for every rate with zero, the difference and its interval; '' where there is nothing to draw."""
    if not found.strips:
        return ""
    reach = 1.08 * max(abs(s.difference.mean) + np.nan_to_num(s.difference.half) for s in found.strips) or 1.0
    left, right, top, step = 64.0, 516.0, 28, 24
    height = top + step * len(found.strips) + 4

    def x(value: float) -> str:
        return f"{(left + right) / 2 + value / reach * (right - left) / 2:.1f}"

    parts = [
        f'<line class="zero" x1="{x(0)}" x2="{x(0)}" y1="2" y2="{height - 2}"/>',
        f'<text class="side left" x="{float(x(0)) - 10:g}" y="18">{escape(found.sides[0])}</text>',
        f'<text class="side" x="{float(x(0)) + 10:g}" y="18">{escape(found.sides[1])}</text>',
    ]
    for place, strip in enumerate(found.strips):
        y, (centre, half, _) = top + step * place + step / 2, strip.difference
        side = "deciding" if place == len(found.strips) - 1 else "other"
        bar = f'<line class="bar" x1="{x(centre - half)}" x2="{x(centre + half)}" y1="{y:g}" y2="{y:g}"/>' if np.isfinite(half) else ""
        parts.append(
            f'<g class="{side}"><text class="rate" x="0" y="{y + 4:g}">{strip.heading}</text>{bar}'
            f'<circle cx="{x(centre)}" cy="{y:g}" r="5"/><text class="value" x="640" y="{y + 4:g}">{strip.text}</text></g>'
        )
    said = "; ".join(f"{strip.heading}: {strip.text}" for strip in found.strips)
    return f'<svg class="strips" viewBox="0 0 640 {height}" role="img" aria-label="{said}">{"".join(parts)}</svg>'
