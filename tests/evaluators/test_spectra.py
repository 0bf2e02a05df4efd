"""The picture of spectra: drawn where the table's rates can show the band that it is about."""

import pytest

from evaluators.spectra import write_spectra
from evaluators.store import Store
from evaluators.tables import load_table


@pytest.mark.parametrize(("table", "fps", "drawn"), [("framerates", 120, True), ("text", 20, False)])
def test_spectra_are_drawn_for_tables_that_reach_the_band(tmp_path, table, fps, drawn):
    store, read = Store(tmp_path), load_table(table)
    path = store.path("multirate", table, "quick", "real").with_suffix(".spectrum.csv")
    path.parent.mkdir(parents=True)
    path.write_text("fps,hz,density\n" + "".join(f"{fps},{hz},{hz / 2}\n" for hz in range(1, fps // 2)))
    found = write_spectra(store, "multirate", read, "quick")
    assert [p.name for p in found] == [f"{table}.quick.spectra.png"] * drawn
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in found)
