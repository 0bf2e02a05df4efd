// One table of the page: what is chosen, the figure, and the rows with their provenance. Reads the data of the table and computes nothing.

const ROLE_TITLES = { generator: "Generators", oracle: "Oracles: recordings, reduced to a low rate and interpolated", control: "Controls: damaged or other recordings", real: "Recorded motion" };
const ARROWS = { higher: "↑", lower: "↓", real: "→" };
const NONE = "none, from the motion itself";
const plain = title => title.replace(/[†‡]+$/, "");

function explorer(table, place) {
  const sections = table.sections;
  const several = sections.some(section => section.rates.length > 1);
  const state = { section: table.main, view: table.layout === "rates" && several ? "rates" : "metrics", rate: 0, values: "values", sort: null, down: true, shown: null };
  const rates = distinct(sections.flatMap(section => section.rates)).sort((m, n) => m - n);
  state.rate = rates.indexOf(sections[state.section].rates[0]);

  const controls = h("div", { class: "controls" }), figure = h("figure", { class: "plot" });
  const rows = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Figures of the table; scrolls sideways" }), about = h("p", { class: "definition" });
  place.append(controls, figure, rows, about);
  const current = () => sections[state.section];
  const named = section => section.title + (section.versions ? ` (${section.versions})` : "");

  // The section that fits best what is wanted; what is named first counts most.
  function go(wanted) {
    const here = current(), full = { name: named(here), extractor: here.extractor, set: here.set }, keys = [...Object.keys(wanted), ...Object.keys(full)];
    Object.assign(full, wanted);
    const score = section => keys.reduce((sum, key, i) => sum + ((key === "name" ? named(section) : section[key]) === full[key] ? 2 ** (keys.length - i) : 0), 0);
    state.section = sections.reduce((best, section, i) => score(section) > score(sections[best]) ? i : best, 0);
    if (state.view === "metrics" && !current().rates.includes(rates[state.rate])) state.rate = rates.indexOf(current().rates[0]);
    state.shown = null;
    update();
  }

  function update() {
    const focused = document.activeElement && controls.contains(document.activeElement) ? document.activeElement.closest("[data-choice]").dataset.choice : null;
    drawControls();
    drawFigure();
    drawRows();
    const section = current();
    about.replaceChildren(h("strong", {}, section.title), `: ${section.better}; ${section.definition}.`);
    if (focused) (controls.querySelector(`select[data-choice="${focused}"], [data-choice="${focused}"] [aria-pressed=true]`) || controls).focus();
  }

  function drawControls() {
    const section = current(), byRate = state.view === "rates";
    const offered = byRate ? sections.filter(other => named(other) === named(section)) : sections;
    const options = values => distinct(values).map(value => [value, value || NONE]);
    controls.replaceChildren(...[
      several && segments("View", [["rates", "One metric, every rate"], ["metrics", "One rate, every metric"]], state.view, view => { state.view = view; state.sort = null; go({}); }),
      segments("Show", [["values", "Values"], ["differences", table.first == null ? "Differences" : `Difference from ${plain(table.rows[table.first].title)}`]], state.values, values => { state.values = values; update(); }),
      choice("Metric", distinct(sections.map(named)).map(name => [name, name]), named(section), name => go({ name })),
      choice("Extractor", options(offered.map(other => other.extractor)), section.extractor, extractor => go({ extractor })),
      choice("Set", options(offered.map(other => other.set)), section.set, set => go({ set })),
      byRate ? null : choice("Rate", rates.map((rate, i) => [String(i), rate == null ? "any rate" : `${rate} fps`]), String(state.rate), i => { state.rate = +i; update(); }),
    ].filter(Boolean));
  }

  function drawFigure() {
    const section = current();
    state.shown = state.shown || new Set(section.drawn);
    const svg = chart(table, oneRate(section), state.shown, Math.max(figure.clientWidth, 280));
    const style = looks(table), present = distinct(section.cells.map(cell => cell[0]));
    const offered = present.filter(row => state.more || section.drawn.includes(row)), left = present.length - offered.length;
    const swatch = row => s("svg", { viewBox: "0 0 22 8", class: "swatch", "aria-hidden": "true" }, s("line", { x1: 0, x2: 22, y1: 4, y2: 4, "stroke-dasharray": style[row].dash || null }));
    const again = place => { drawFigure(); figure.querySelectorAll(".legend button")[place].focus(); };
    const legend = several && present.length ? h("div", { class: "legend", role: "group", "aria-label": "Rows of the figure" }, offered.map((row, place) =>
      h("button", { type: "button", class: style[row].class, "aria-pressed": String(state.shown.has(row)), onclick: () => {
        state.shown.has(row) ? state.shown.delete(row) : state.shown.add(row);
        again(place);
      } }, swatch(row), table.rows[row].title)),
      left ? h("button", { type: "button", class: "more-rows", onclick: () => { state.more = true; again(offered.length); } }, `${left} more rows`) : "") : "";
    const where = [section.title, section.extractor && `extractor ${section.extractor}`, section.set && `set ${section.set}`].filter(Boolean).join(", ");
    figure.replaceChildren(...[h("figcaption", {}, h("strong", {}, where), ` — ${section.better}; shaded: 95 % intervals`), svg || h("p", { class: "nothing" }, section.cells.length ? "No row is chosen." : "Not run here: only published figures."), legend].filter(Boolean));
  }

  // For metrics at one rate, the cells of that rate alone.
  function oneRate(section) {
    if (state.view === "rates") return section;
    const column = section.rates.indexOf(rates[state.rate]);
    return several ? section : { ...section, cells: section.cells.filter(cell => cell[1] === column) };
  }

  // Columns of what is shown: { key, title, section, column }.
  function columns() {
    const section = current();
    if (state.view === "rates") {
      const found = section.rates.map((rate, column) => ({ key: `rate ${rate}`, title: section.columns[column], section, column, rate }));
      const more = table.published ? distinct(table.published.systems.flatMap(p => p.cells).filter(c => c[0] === section.metric && !section.rates.includes(c[1])).map(c => c[1])) : [];
      return [...found, ...more.map(rate => ({ key: `rate ${rate}`, title: rate == null ? "any rate" : `${rate} fps`, section, column: -1, rate }))].sort((m, n) => m.rate - n.rate);
    }
    const rate = rates[state.rate];
    return sections.filter(other => other.extractor === section.extractor && other.set === section.set && other.rates.includes(rate))
      .map(other => ({ key: named(other), title: `${named(other)} ${ARROWS[other.direction]}`, section: other, column: other.rates.indexOf(rate), rate, hint: other.definition }));
  }

  function drawRows() {
    const shown = columns(), byRow = shown.map(c => new Map(c.section.cells.filter(cell => cell[1] === c.column).map(cell => [cell[0], cell])));
    const present = table.rows.map((row, i) => i).filter(i => byRow.some(cells => cells.has(i)));
    const order = shown.findIndex(c => c.key === state.sort);
    const sign = state.down ? 1 : -1, value = i => order < 0 ? 0 : (byRow[order].get(i) || [])[2];
    const sorted = order < 0 ? present : [...present].sort((m, n) => value(m) == null ? 1 : value(n) == null ? -1 : sign * (value(m) - value(n)));
    const head = h("tr", {}, h("th", { scope: "col", class: "row-name" }, "Row"), shown.map(c => {
      const active = c.key === state.sort;
      return h("th", { scope: "col", "aria-sort": active ? (state.down ? "ascending" : "descending") : "none" },
        h("button", { type: "button", title: c.hint || null, "data-sort": c.key, onclick: () => sortBy(c) }, c.title, h("span", { class: "sign", "aria-hidden": "true" }, active ? (state.down ? " ▲" : " ▼") : " ↕")));
    }));
    const groups = distinct(sorted.map(i => table.rows[i].role)).sort((m, n) => Object.keys(ROLE_TITLES).indexOf(m) - Object.keys(ROLE_TITLES).indexOf(n));
    rows.replaceChildren(h("table", { class: state.values }, h("caption", { class: "hidden" }, named(current())), h("thead", {}, head),
      groups.map(role => h("tbody", { "data-role": role }, group(ROLE_TITLES[role] || role, shown.length + 1),
        sorted.filter(i => table.rows[i].role === role).map(i => h("tr", { class: i === table.first ? "first" : null, "data-id": table.rows[i].id },
          h("th", { scope: "row", class: "row-name" }, h("button", { type: "button", title: "Where these figures come from", onclick: () => provenance(table, i) }, table.rows[i].title)),
          byRow.map(cells => figureCell(cells.get(i), i)))))), published(shown)));
    const focus = state.focus && [...rows.querySelectorAll("[data-sort]")].find(button => button.dataset.sort === state.focus);
    if (focus) focus.focus();
    state.focus = null;
  }

  const group = (title, span) => h("tr", { class: "group" }, h("th", { scope: "rowgroup", colspan: span }, h("span", {}, title)));

  function figureCell(cell, row) {
    if (!cell) return h("td", { class: "empty" }, "");
    const [, , , , text, n, difference, best] = cell;
    if (state.values === "differences") return h("td", { class: /[▲▼]/.test(difference) ? "apart" : "" }, row === table.first ? "—" : difference);
    const [before, after] = text.split(" ± ");
    return h("td", { class: best ? "best" : "", title: `n ${n}` }, before, after != null ? h("span", { class: "half" }, ` ± ${after}`) : "");
  }

  // Published figures stand below ours, in italics, with the reason why they are not compared.
  function published(shown) {
    if (!table.published || state.values !== "values") return "";
    const lines = table.published.systems.map(system => {
      const texts = shown.map(c => (system.cells.find(cell => cell[0] === c.section.metric && cell[1] === c.rate) || ["", null, ""])[2]);
      return texts.some(Boolean) && h("tr", { class: "published" }, h("th", { scope: "row", class: "row-name" }, system.title, system.run ? "" : h("span", { class: "tag" }, "not run here")), texts.map(text => h("td", {}, text)));
    }).filter(Boolean);
    return lines.length ? h("tbody", { "data-role": "published" }, group(`Published, ${table.published.reason}`, shown.length + 1), lines) : "";
  }

  // First the best on top, then the worst, then the order of the report.
  function sortBy(column) {
    const bestFirst = column.section.direction !== "higher";
    if (state.sort !== column.key) Object.assign(state, { sort: column.key, down: bestFirst });
    else if (state.down === bestFirst) state.down = !bestFirst;
    else state.sort = null;
    state.focus = column.key;
    drawRows();
  }

  let width = 0;
  new ResizeObserver(() => { if (figure.clientWidth !== width) { width = figure.clientWidth; drawFigure(); } }).observe(figure);
  update();
}

// Where the figures of a row come from, in a dialog.
function provenance(table, i) {
  const dialog = document.getElementById("provenance"), row = table.rows[i];
  const parts = row.documents.map(k => table.documents[k]).map(document => h("dl", {}, document.facts.map(([key, value]) => [h("dt", {}, key), h("dd", {}, value)])));
  const close = h("button", { type: "button", class: "close", onclick: () => dialog.close() }, "Close");
  dialog.replaceChildren(h("div", { class: "head" }, h("h2", { id: "provenance-title" }, row.title), close), ...parts);
  dialog.onclick = event => { if (event.target === dialog) dialog.close(); };
  dialog.showModal();
}
