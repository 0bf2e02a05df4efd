"""The picture of spectra: drawn where the table's rates can show the band that it is about."""

import numpy as np
import pytest

from evaluators.records import Document, Record
from evaluators.report import write_report
from evaluators.store import Store
from evaluators.tables import load_table


@pytest.mark.parametrize(("table", "fps", "drawn"), [("framerates", 120, True), ("text", 20, False)])
def test_spectra_are_drawn_for_tables_that_reach_the_band(tmp_path, table, fps, drawn):
    store = Store(tmp_path)
    hz = np.arange(1.0, fps // 2)
    for system in ("nerm", "real"):
        store.write(Document("multirate", table, "quick", system, (Record("velocity", 1.0, 10, fps=fps),)))
        store.write_curves("multirate", table, "quick", system, "spectrum", {float(fps): np.stack([hz, hz / 2])})
    paths = write_report(store, "multirate", load_table(table), "quick")
    assert [p.name for p in paths if "spectra" in p.name] == [f"{table}.quick.spectra.png"] * drawn
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in paths if p.suffix == ".png")
    shown = f"![{table}.quick.spectra.png]({table}.quick.spectra.png)" in paths[0].read_text()
    assert shown == drawn
