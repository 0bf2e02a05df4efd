"""One self-contained page of everything that is stored: answers, sortable tables, figures, provenance, and motions to look at.

It is rendered from the store and from nothing else: equal stores give equal bytes. Results that do not ship (tier `quick`) have a page of
their own, so that a trial run leaves the page of the shipped ones as it is. Texts are made here; the scripts beside this file only lay
them out. The page asks for nothing outside of itself.
"""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

from evaluators.report.model import Report
from evaluators.report.page.answers import answer, drawing
from evaluators.report.page.content import content, identity, remarks
from evaluators.report.reading import build
from evaluators.showcase import FILE
from evaluators.store import LOCAL, Store, write_atomic
from evaluators.tables import list_tables, load_table

FOLDER = Path(__file__).parent
SCRIPTS = ("elements.js", "chart.js", "table.js", "viewer.js", "start.js")


def page_name(tier: str) -> str:
    """index.html for tiers that ship; those that do not have a page of their own."""
    return f"index.{tier}.html" if tier in LOCAL else "index.html"


def write_page(store: Store, tier: str, ready: Iterable[Report] = ()) -> Path:
    """Write the page that a tier belongs to; its path. ready: reports of the store that are built already."""
    path = store.root / page_name(tier)
    write_atomic(path, render(store, tier, ready).encode())
    return path


def write_pages(store: Store) -> list[Path]:
    """Write every page that there is something to show on; the page of what ships always."""
    return [write_page(store, tier) for tier in ("full", *sorted({tier for _, _, tier in store.tables()} & set(LOCAL)))]


def render(store: Store, tier: str, ready: Iterable[Report] = ()) -> str:
    """The page as HTML."""
    built = {identity(report): report for report in ready}
    places = [place for place in store.tables() if page_name(place[2]) == page_name(tier)]
    known = set(list_tables())
    order = _order(store)
    places.sort(key=lambda place: (place[0], order.get(place[1], len(order)), place[1:]))
    reports = [
        built.get("-".join(place)) or build(store, place[0], load_table(place[1]), place[2]) for place in places if place[1] in known
    ]
    unknown = [f"{dataset}/{table}/{tier}" for dataset, table, tier in places if table not in known]
    showcase = store.file(FILE)
    parts = {
        "style": _read("style.css"),
        "script": "\n".join(_read(name) for name in SCRIPTS),
        "count": _counted(reports),
        "nav": "".join(f'<li><a href="#{identity(r)}">{_short(r, reports)}</a></li>' for r in reports),
        "answers": "\n".join(_card(report, reports) for report in reports) or "<p>Nothing is stored yet.</p>",
        "tables": "\n".join(_table(report, store) for report in reports),
        "unknown": f"<p>Stored, and of no table that is known here: {_text(', '.join(unknown))}.</p>" if unknown else "",
        "data": _json([content(report) for report in reports]),
        "showcase": _json(json.loads(showcase.read_text())) if showcase.is_file() else "null",
    }
    return Template(_read("template.html")).substitute(parts)


# --- parts ----------------------------------------------------------------------------------------------------------------------------


def _card(report: Report, reports: list[Report]) -> str:
    """Question, answer, and how sure it is."""
    found = answer(report)
    verdict = f'<p class="verdict {found.verdict}">{_text(found.said)}</p>' if found.said else ""
    figure = f"<figure>{drawing(found)}<figcaption>{_text(found.caption)}</figcaption></figure>" if found.strips else ""
    question = f'<p class="question">{_text(report.table.question)}</p>' if report.table.question else ""
    return (
        f'<article class="card"><p class="kicker">{_short(report, reports)}</p>{question}'
        f'<p class="answer">{_text(found.sentence)}</p>{verdict}{figure}'
        f'<p class="more"><a href="#{identity(report)}">All rows and metrics</a></p></article>'
    )


def _table(report: Report, store: Store) -> str:
    """The place of a table; the script fills it from the data. Its other reports are linked if its rows lie beside the page."""
    notes = "".join(f"<p>{inline(line)}</p>" for line in remarks(report))
    stem = f"{report.dataset}/{report.table.name}.{report.tier}"
    beside = any(store.path(d.dataset, d.table, d.tier, d.system).is_file() for d in report.documents)
    links = f'<p>The same as text and as CSV: <a href="{stem}.md">{stem}.md</a>, <a href="{stem}.csv">{stem}.csv</a>.</p>' if beside else ""
    question = f'<p class="question">{_text(report.table.question)}</p>' if report.table.question else ""
    return (
        f'<section class="table" id="{identity(report)}" aria-labelledby="{identity(report)}-title">'
        f'<h2 id="{identity(report)}-title">{_text(report.table.title)}</h2>'
        f'<p class="kicker">dataset {_text(report.dataset)}, tier {_text(report.tier)}</p>{question}'
        f'<p class="answer">{_text(answer(report).sentence)}</p><div class="explorer"></div>'
        f'<details><summary>How to read this table</summary><div class="notes">{notes}{links}</div></details></section>'
    )


def _short(report: Report, reports: list[Report]) -> str:
    """The title of a table, with dataset and tier where the page has several."""
    more = [report.dataset] if len({r.dataset for r in reports}) > 1 else []
    more += [report.tier] if len({r.tier for r in reports}) > 1 else []
    return _text(report.table.title + (f" ({', '.join(more)})" if more else ""))


def _counted(reports: list[Report]) -> str:
    rows = len({(r.dataset, name) for r in reports for name in r.rows})
    figures = sum(len(section.cells) for report in reports for section in report.sections)
    tables = f"{len(reports)} table" + "s" * (len(reports) != 1)
    return f"{tables}, {rows} rows, {figures:,} figures"


def _order(store: Store) -> dict[str, int]:
    """Table -> place, in the order of the paper, which published.csv has."""
    path = store.file("published.csv")
    if not path.is_file():
        return {}
    with path.open(newline="") as file:
        names = dict.fromkeys(line["table"] for line in csv.DictReader(file))
    return {name: place for place, name in enumerate(names)}


# --- text -----------------------------------------------------------------------------------------------------------------------------


def inline(markdown: str) -> str:
    """A line of a report's Markdown as HTML: code, bold, and links, which a report writes from two folders further down."""
    text = re.sub(r"\[([^]]+)\]\(([^)]+)\)", lambda m: f'<a href="{m[2].replace("../../", "../")}">{m[1]}</a>', _text(markdown.strip()))
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", re.sub(r"`([^`]+)`", r"<code>\1</code>", text))


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _json(data: Any) -> str:
    """JSON that can stand in a script element."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
