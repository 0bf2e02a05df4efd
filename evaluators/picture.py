"""The figure of a report: value against frame rate. It draws what the report holds and computes nothing."""

from __future__ import annotations

import io
from itertools import cycle
from typing import TYPE_CHECKING, get_args

import numpy as np

from evaluators.intervals import interval
from evaluators.tables import Role, position

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from evaluators.report import Report

COLOURS = 128


def picture(report: Report) -> bytes:
    """PNG: value against frame rate with the interval as a band, one panel per section of the table's `figure` metrics; b'' if none."""
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    panels = [s for s in report.sections if s.metric_id in report.table.figure and any(fps is not None for fps in s.rates)]
    if not panels:
        return b""
    systems = list(dict.fromkeys(row for section in panels for row in section.rows))
    systems.sort(key=lambda row: (position(row[0], report.table.system_ids), row[1]))
    colours: dict[tuple[str, str], tuple] = {}  # distinct inside a role; the line style tells the role
    for role in get_args(Role):
        inside = [row for row in systems if report.table.system(row[0]).role == role]
        colours |= dict(zip(inside, cycle(sns.color_palette("colorblind") if role != "real" else [(0.1, 0.1, 0.1)]), strict=False))
    lines = {"generator": ("-", "o", 2.0), "oracle": ("--", "s", 1.2), "control": (":", "^", 1.2), "real": ("-", "D", 1.6)}
    with mpl.rc_context():
        mpl.rcdefaults()  # a user's own settings must not change the picture
        mpl.rcParams.update(sns.axes_style("whitegrid"))
        across = min(2, len(panels))
        down = -(-len(panels) // across)
        figure = Figure(figsize=(5.2 * across, 3.6 * down + 0.26 * len(systems) / across + 0.5), layout="constrained")
        FigureCanvasAgg(figure)
        handles: dict[str, Line2D] = {}
        for place, section in enumerate(panels):
            axes = figure.add_subplot(down, across, place + 1)
            for row in section.rows:
                cells = [section.cells[(*row, fps)] for fps in section.rates if fps is not None and (*row, fps) in section.cells]
                x = np.array([cell.fps for cell in cells], dtype=float)
                y, half = np.nan_to_num(np.array([interval(cell.values) for cell in cells])).T
                role = report.table.system(row[0]).role
                style, marker, width = lines[role]
                (line,) = axes.plot(x, y, style, marker=marker, markersize=4, linewidth=width, color=colours[row])
                axes.fill_between(x, y - half, y + half, color=colours[row], alpha=0.18, linewidth=0)
                handles.setdefault(section.label(*row), line)
            means = np.array([np.mean(f.values) for f in section.figures])
            if means.min() > 0 and means.max() > 30 * means.min():
                axes.set_yscale("log")
            axes.set_xticks([fps for fps in section.rates if fps is not None])
            axes.set_title(section.title.replace("`", ""), fontsize=10)
            axes.set_xlabel("frames per second")
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=across, fontsize=8, frameon=False)
        return png(figure)


def png(figure: Figure) -> bytes:
    """A figure as PNG with a palette: a quarter of the size in full colour. With fewer colours than this, lines lose theirs."""
    from PIL import Image

    full, out = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=80)
    with Image.open(full) as image:
        image.convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1).save(out, format="png", optimize=True)
    return out.getvalue()
