"""The text of a raw result file: the document of one row, written so that it is small and a difference can be read.

Equal documents are equal bytes: keys are sorted, values have six digits and other floats nine. Replications of one series are lists, and
what most series have in common stands once. It does not know where files lie (`evaluators.store`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from evaluators.canonical import canonical, plain
from evaluators.records import REPLICATION, SERIES, Document, Record
from nerm.errors import InputError

FORMAT = 2
DIGITS = 6
"""Of a stored value: as many as the single precision has in which motion is made."""
_OFTEN_EQUAL = ("seed", "n")
"""Fields of a replication that stand once if they are the same in all of a series."""
_SHARED = ("replication", "seed", "n", "version", "extractor", "upsampling", "protocol", "protocol_version", "training")
"""Fields that most series of a file have in common. They stand once, in `shared`; a series holds only those in which it differs."""


def to_bytes(document: Document) -> bytes:
    """The bytes that `read_document` reads."""
    head = {"format": FORMAT, "dataset": document.dataset, "table": document.table, "tier": document.tier, "system": document.system}
    return _dump({**head, "provenance": document.provenance, "machine": document.machine}, _to_series(document.records))


def read_document(path: Path) -> Document:
    """A raw result file; a file that is none, or has another format, is an InputError."""
    try:
        raw = json.loads(path.read_text())
        version = raw["format"]
        if version == FORMAT:
            shared = raw.get("shared", {})
            records = tuple(record for series in raw["series"] for record in _from_series(shared | series))
            head = (raw["dataset"], raw["table"], raw["tier"], raw["system"])
            return Document(*head, records, raw["provenance"], raw["machine"])
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path} is not a complete result file ({type(error).__name__}: {error}); delete it and run its table again"
        ) from None
    raise InputError(f"{path} has result format {version}; this version reads {FORMAT}")


def check_content(document: Document) -> None:
    """A ValueError for content that no run writes, and that a report would stumble over."""
    if not (isinstance(document.provenance, dict) and isinstance(document.machine, dict)):
        raise ValueError("provenance and machine are no dicts")
    seen = set()
    for record in document.records:
        key = tuple(getattr(record, name) for name in (*SERIES, "replication"))
        if key in seen:
            raise ValueError(f"replication {record.replication} of {record.metric} twice")
        seen.add(key)
        if not np.isfinite(record.value):
            raise ValueError(f"{record.metric} is {record.value}")
        texts = (record.metric, record.set, record.extractor, record.upsampling, record.protocol)
        if not all(isinstance(text, str) for text in texts) or not isinstance(record.fps, (int, float, type(None))):
            raise ValueError(f"a series of {record.metric} with a value of a wrong type")


def _to_series(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Records that differ in nothing but their replication, folded into one dict of lists: a twentieth of the size."""
    folded: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda record: record.replication):
        if not np.isfinite(record.value):
            raise InputError(f"{record.metric} is {record.value} at replication {record.replication}; leave out what is not defined")
        fields = plain(asdict(record))
        series = {key: fields[key] for key in SERIES}
        lists = folded.setdefault(canonical(series), series | {key: [] for key in REPLICATION})
        for key in REPLICATION:
            lists[key].append(float(f"{record.value:.{DIGITS}g}") if key == "value" else fields[key])
    for lists in folded.values():
        for key in _OFTEN_EQUAL:
            if len(set(lists[key])) == 1:
                lists[key] = lists[key][0]
    return [folded[key] for key in sorted(folded)]


def _from_series(series: Mapping[str, Any]) -> list[Record]:
    kept = {key: series.get(key, default) for key, default in SERIES.items()}
    if kept["metric"] is None:
        raise KeyError("metric")
    seeds, counts = (series[key] if isinstance(series[key], list) else [series[key]] * len(series["value"]) for key in _OFTEN_EQUAL)
    columns = zip(series["replication"], seeds, counts, series["value"], strict=True)
    return [Record(**kept, replication=int(r), seed=int(s), n=int(n), value=float(v)) for r, s, n, v in columns]


def _dump(head: Mapping[str, Any], series: Sequence[Mapping[str, Any]]) -> bytes:
    """Sorted JSON, one line per series so that a difference can be read."""
    text = json.dumps(plain(head), sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    shared = {key: _most_common([canonical(item[key]) for item in series]) for key in _SHARED} if series else {}
    own = [{key: value for key, value in item.items() if canonical(value) != shared.get(key)} for item in series]
    common = canonical({key: json.loads(value) for key, value in shared.items()})
    lines = ",\n".join("  " + canonical(item) for item in own)
    return (text.removesuffix("\n}") + f',\n "shared": {common},\n "series": [\n{lines}\n ]\n}}\n').encode()


def _most_common(texts: Sequence[str]) -> str:
    """The most common text; of equally common ones the first in the alphabet."""
    counts = Counter(texts)
    return max(sorted(counts), key=counts.__getitem__)
