"""Acceleration spectra of the rows of a frame-rate table, as a picture: what lies in the band that clip-FID cannot show alone.

Drawn from the `.spectrum.csv` files beside the raw replications, and from nothing else.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from evaluators.picture import png
from evaluators.report import FALLBACK
from evaluators.store import Store, write_atomic
from evaluators.tables import Role, Table

BAND_HZ = (8.0, 20.0)


def read_spectra(path: Path) -> dict[float, NDArray]:
    """fps -> [2, F] hz and (m/s^2)^2/Hz."""
    found: dict[float, list] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(float(row["fps"]), []).append((float(row["hz"]), float(row["density"])))
    return {fps: np.array(points).T for fps, points in found.items()}


def write_spectra(store: Store, dataset: str, table: Table, tier: str) -> list[Path]:
    """Write ROOT/<dataset>/<table>.<tier>.spectra.png at the highest rate of the table.

    Nothing if that rate cannot hold the band, or no row has a spectrum.
    """
    if max(table.rates) < 2 * BAND_HZ[1]:
        return []
    rows: dict[str, NDArray] = {}
    for system in table.system_ids:
        for where in dict.fromkeys((tier, FALLBACK.get(tier, tier))):
            path = store.path(dataset, table.name, where, system).with_suffix(".spectrum.csv")
            if path.exists():
                spectra = read_spectra(path)
                if max(table.rates) in spectra:
                    rows[system] = spectra[max(table.rates)]
                break
    if not rows:
        return []
    path = store.root / dataset / f"{table.name}.{tier}.spectra.png"
    write_atomic(path, _draw(rows, table))
    return [path]


def _draw(rows: dict[str, NDArray], table: Table) -> bytes:
    import matplotlib as mpl
    import seaborn as sns
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    styles = dict(zip(get_args(Role), ("-", "--", ":", "-"), strict=True))
    with mpl.rc_context():
        mpl.rcdefaults()  # a user's own settings must not change the picture
        mpl.rcParams.update(sns.axes_style("whitegrid"))
        figure = Figure(figsize=(8, 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        colours = sns.color_palette("husl", len(rows))
        for (system, (hz, density)), colour in zip(rows.items(), colours, strict=True):
            role = table.system(system).role
            shown = (hz > 0) & (density > 0)
            black = role == "real"
            colour, width = ("black", 2.2) if black else (colour, 1.4)
            axes.plot(hz[shown], density[shown], styles[role], color=colour, linewidth=width, label=table.system(system).title)
        axes.axvspan(*BAND_HZ, color="0.5", alpha=0.12, linewidth=0)
        axes.set(xscale="log", yscale="log", xlabel="Hz", ylabel="power of joint acceleration, (m/s$^2$)$^2$/Hz")
        axes.set_title(f"Acceleration spectra at {max(table.rates):g} fps; shaded: 8 to 20 Hz", fontsize=10)
        figure.legend(loc="outside right center", fontsize=8, frameon=False)
        return png(figure)
