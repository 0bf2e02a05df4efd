"""The picture of a report: value against frame rate, or dots at one rate. It draws what the report holds and computes nothing.

One picture shows at most eight curves: the row that the table compares with others is thick, in a colour of its own; every other
generator has a colour, and oracles, controls and real motion are thin and grey.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluators.intervals import interval
from evaluators.records import Figure
from evaluators.report.model import Report, Section
from evaluators.tables import CURVES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Picture

COLOURS = 128
CLOSEST = 0.06
"""Of the width of a panel: labels of rates nearer to each other run together."""
EMPHASIS = "#d0021b"
GENERATORS = ("#0173b2", "#de8f05", "#029e73", "#8c4ec2", "#7a4a21", "#56b4e9", "#e377c2", "#9a9a00")
MUTED = ("#111111", "#8a8a8a", "#5c5c5c", "#b5b5b5", "#3a3a3a", "#a0a0a0", "#727272", "#cccccc")
LINES = {"generator": "-", "oracle": "--", "control": ":", "real": "-"}
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


@dataclass(frozen=True)
class Style:
    """How a row is drawn."""

    colour: str
    line: str
    marker: str
    width: float
    emphasised: bool

    @property
    def order(self) -> int:
        """Drawing order: rows of a higher order cover the others."""
        return 4 if self.emphasised else 3 if self.width > 1.2 else 2


def picture(report: Report) -> bytes:
    """PNG with one panel per section of the table's `pictured` metrics; b'' if there is none."""
    pictured = report.table.pictured
    panels = sorted((s for s in report.sections if s.metric_id in pictured), key=lambda s: pictured.index(s.metric_id))
    against_rate = [section for section in panels if len(_rates(section)) > 1 and len(section.own_rates) > 1]
    if against_rate:
        return _curves(report, against_rate)
    panels = [section for section in panels if section.own_rates and _same_place(section, report.main)]
    return _dots(report, panels) if panels else b""


def drawn_rows(report: Report, present: Sequence[str]) -> list[str]:
    """At most eight of the rows that are present: the emphasised one, rows that the table does not list, then those the table names."""
    table = report.table
    listed = [row.id for row in table.rows]
    named = list(table.curves) or [*chain.from_iterable(table.compared), *listed]
    wanted = [*named[:1], *(name for name in present if name not in listed), *named[1:]]
    chosen = [name for name in dict.fromkeys(wanted) if name in present][:CURVES]
    real = [name for name in present if report.rows[name].role == "real"]
    if real and not set(real) & set(chosen):
        chosen[-1] = real[0]
    return sorted(chosen, key=table.place)


def styles(report: Report, names: Sequence[str]) -> dict[str, Style]:
    """A style for each row, all of different colours."""
    ordered = sorted(names, key=report.table.place)
    first = next((name for name in (report.table.leading, *ordered) if name in names and report.rows[name].role == "generator"), "")
    colours, greys = iter(_palette(GENERATORS, len(names))), iter(_palette(MUTED, len(names)))
    given: dict[str, Style] = {}
    for name in sorted(ordered, key=lambda name: report.rows[name].role != "real"):  # real motion has the darkest grey
        role, marker = report.rows[name].role, MARKERS[ordered.index(name) % len(MARKERS)]
        if name == first:
            given[name] = Style(EMPHASIS, "-", "o", 3.2, True)
        elif role == "generator":
            given[name] = Style(next(colours), "-", marker, 1.6, False)
        else:
            given[name] = Style(next(greys), LINES[role], marker, 1.1, False)
    return given


@contextmanager
def canvas(width: float, height: float) -> Iterator[Picture]:
    """A picture of that size in inches, independent of the user's matplotlib settings."""
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Picture

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(sns.axes_style("whitegrid", {"grid.color": "#e6e6e6", "axes.edgecolor": "#9a9a9a"}))
        mpl.rcParams.update({"font.size": 9, "axes.titlesize": 10, "axes.spines.top": False, "axes.spines.right": False})
        drawn = Picture(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(drawn)
        yield drawn


def png(drawn: Picture) -> bytes:
    """A picture as PNG with a palette: a quarter of the size in full colour. With fewer than COLOURS, lines lose their own colours."""
    from PIL import Image

    full, out = io.BytesIO(), io.BytesIO()
    drawn.savefig(full, format="png", dpi=110)
    with Image.open(full) as image:
        image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1).save(out, format="png", optimize=True)
    return out.getvalue()


def legend(axes: Axes, report: Report, handles: dict[str, Any], given: dict[str, Style], **more: Any) -> None:
    """A legend that fills the axes. handles: id -> line, in the order that is shown; the emphasised row is bold."""
    axes.axis("off")
    titles = [report.rows[name].title for name in handles]
    shown = axes.legend(list(handles.values()), titles, loc="center left", frameon=False, fontsize=9, handlelength=2.8, **more)
    for text, name in zip(shown.get_texts(), handles, strict=True):
        text.set_fontweight("bold" if given[name].emphasised else "normal")


def _palette(colours: Sequence[str], count: int) -> Sequence[Any]:
    """Different colours of a kind, as many as are asked for."""
    if count <= len(colours):
        return colours
    if colours == MUTED:
        return [str(grey) for grey in np.linspace(0.05, 0.8, count)]
    import seaborn as sns

    return sns.husl_palette(count)


def _curves(report: Report, panels: Sequence[Section]) -> bytes:
    """Value against frame rate with the interval as a band, two panels a line; the legend takes the place of a last one."""
    names = drawn_rows(report, list(dict.fromkeys(row[0] for section in panels for row in section.rows)))
    given = styles(report, names)
    down = -(-(len(panels) + 1) // 2)
    with canvas(10.0, 3.5 * down) as drawn:
        handles: dict[str, Any] = {}
        for place, section in enumerate(panels):
            axes = drawn.add_subplot(down, 2, place + 1)
            for name in names:
                points = {f.fps: _interval(section, f) for f in section.cells.values() if f.system == name and f.fps is not None}
                if points:
                    x = np.array(sorted(points), dtype=float)
                    y, half = np.nan_to_num(np.array([points[fps] for fps in sorted(points)])).T
                    handles[name] = _line(axes, x, y, half, given[name])
            _finish(axes, section, names)
        ordered = {name: handles[name] for name in _from_top(panels[0], names) if name in handles}
        legend(
            drawn.add_subplot(down, 2, len(panels) + 1), report, ordered, given, title="In the order of the first panel, at its right end"
        )
        return png(drawn)


def _line(axes: Axes, x: np.ndarray, y: np.ndarray, half: np.ndarray, style: Style) -> Any:
    (line,) = axes.plot(x, y, style.line, marker=style.marker, markersize=4, linewidth=style.width, color=style.colour, zorder=style.order)
    axes.fill_between(x, y - half, y + half, color=style.colour, alpha=0.12, linewidth=0, zorder=1)
    return line


def _finish(axes: Axes, section: Section, names: Sequence[str]) -> None:
    means = np.array([f.mean for f in section.cells.values() if f.system in names])
    if means.min() > 0 and means.max() > 30 * means.min():
        axes.set_yscale("log")
    axes.set_xticks(ticks(_rates(section)))
    axes.set_title(_title(section))
    axes.set_xlabel("frames per second")


def ticks(rates: Sequence[float]) -> list[float]:
    """The rates that have a label: none that would run into the one before it."""
    shown: list[float] = []
    for rate in rates:
        if not shown or rate - shown[-1] >= CLOSEST * (rates[-1] - rates[0]):
            shown.append(rate)
    return shown


def _from_top(section: Section, names: Sequence[str]) -> list[str]:
    """Rows by their value at the highest rate, the highest first; those without one last."""
    values = {f.system: f.mean for f in section.cells.values() if f.fps == section.rates[-1]}
    return sorted(names, key=lambda name: -values.get(name, -np.inf))


def _dots(report: Report, panels: Sequence[Section]) -> bytes:
    """One rate: a dot with its interval per row, panels side by side."""
    names = list(dict.fromkeys(row[0] for section in panels for row in section.rows))
    names.sort(key=report.table.place, reverse=True)
    given = styles(report, names)
    with canvas(1.8 + 3.6 * len(panels), 0.9 + 0.34 * len(names)) as drawn:
        first = None
        for place, section in enumerate(panels):
            axes = drawn.add_subplot(1, len(panels), place + 1, sharey=first)
            for figure in section.cells.values():
                if figure.fps == section.own_rates[0]:
                    style, (mean, half) = given[figure.system], _interval(section, figure)
                    axes.errorbar(
                        [mean],
                        [names.index(figure.system)],
                        xerr=[np.nan_to_num(half)],
                        fmt=style.marker,
                        markersize=8 if style.emphasised else 6,
                        color=style.colour,
                        elinewidth=style.width,
                        capsize=3,
                        zorder=style.order,
                    )
            axes.set_title(_title(section))
            axes.set_yticks(range(len(names)), [report.rows[name].title for name in names])
            axes.set_ylim(-0.6, len(names) - 0.4)
            if first is None:
                first = axes
                for tick, name in zip(axes.get_yticklabels(), names, strict=True):
                    tick.set_fontweight("bold" if given[name].emphasised else "normal")
            else:
                axes.tick_params(labelleft=False)
        return png(drawn)


def _interval(section: Section, figure: Figure) -> tuple[float, float]:
    return interval(figure.values, section.resamples)


def _same_place(section: Section, main: Section | None) -> bool:
    return main is None or (section.extractor in ("", main.extractor) and section.set in ("", main.set))


def _rates(section: Section) -> list[float]:
    return [fps for fps in section.rates if fps is not None]


def _title(section: Section) -> str:
    better = {"higher": "higher is better", "lower": "lower is better", "real": "nearest to real is best"}[section.metric.direction]
    parts = [f"extractor {section.extractor}"] if section.extractor else []
    parts += [f"set {section.set}"] if section.set else []
    unit = f" ({section.metric.unit})" if section.metric.unit else ""
    return f"{section.metric.title}{unit}: {better}" + (f"\n{', '.join(parts)}" if parts else "")
