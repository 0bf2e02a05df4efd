"""The picture of acceleration spectra of a frame-rate table: it shows the energy at each frequency, which clip-FID does not."""

from __future__ import annotations

from typing import Any

from evaluators.report.model import Report
from evaluators.report.pictures import canvas, drawn_rows, legend, png, styles
from evaluators.store import Store

BAND_HZ = (8.0, 20.0)
CURVES = "spectrum"
"""The name under which spectra are stored."""


def picture_of_spectra(report: Report, store: Store) -> bytes:
    """PNG of the stored spectra at the highest rate of the table; b'' if that rate cannot hold the band, or no row has a spectrum."""
    fps = max(report.table.rates)
    if fps < 2 * BAND_HZ[1]:
        return b""
    spectra = {}
    for document in report.documents:
        curves = store.curves(document.dataset, document.table, document.tier, document.system, CURVES)
        if fps in curves and document.system in report.rows:  # of several trainings the first
            spectra[document.system] = curves[fps]
    return _draw(report, spectra, fps) if spectra else b""


def _draw(report: Report, spectra: dict[str, Any], fps: float) -> bytes:
    names = drawn_rows(report, list(spectra))
    given = styles(report, names)
    with canvas(10.0, 4.6) as drawn:
        axes, legend_axes = drawn.subplots(1, 2, width_ratios=(2.1, 1))
        handles: dict[str, Any] = {}
        for name in names:
            hz, density = spectra[name]
            shown = (hz > 0) & (density > 0)
            style = given[name]
            (handles[name],) = axes.plot(
                hz[shown], density[shown], style.line, color=style.colour, linewidth=style.width, zorder=style.order
            )
        axes.axvspan(*BAND_HZ, color="0.5", alpha=0.12, linewidth=0)
        axes.set(xscale="log", yscale="log", xlabel="Hz", ylabel="power of joint acceleration, (m/s$^2$)$^2$/Hz")
        axes.set_title(f"Acceleration spectra at {fps:g} fps; shaded: {BAND_HZ[0]:g} to {BAND_HZ[1]:g} Hz")
        legend(legend_axes, report, handles, given)
        return png(drawn)
