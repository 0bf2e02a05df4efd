// The figure of one section: value against frame rate with intervals, or a dot with its interval for every row. Draws what the data holds.

const DASHES = { generator: "", oracle: "7 4", control: "2 4", real: "" };

// The look of each row, the same in every figure of a table: the first row has the accent, other generators a colour, the rest is grey.
// Rows that are drawn at first take the first colours, so that no two of them are alike.
function looks(table) {
  let colour = 0, grey = 0;
  const style = [], drawn = table.sections[table.main].drawn;
  for (const i of distinct([...drawn, ...table.rows.keys()])) {
    const { role } = table.rows[i];
    const name = i === table.first ? "accent" : role === "generator" ? `colour-${colour++ % 8}` : role === "real" ? "floor" : `grey-${grey++ % 4}`;
    style[i] = { class: name, dash: DASHES[role] || "" };
  }
  return style;
}

function nice(low, high, count) {
  const raw = (high - low || Math.abs(high) || 1) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find(k => k * power >= raw - 1e-12);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) ticks.push(k * step);
  return ticks;
}

// value -> pixel and ticks; logarithmic where the values span more than a factor of 30 and every interval is above zero.
function scale(values, ends, from, to) {
  const low = Math.min(...values), high = Math.max(...values);
  if (Math.min(...ends) > 0 && high > 30 * low) {
    const a = Math.log10(low) - 0.05, b = Math.log10(high) + 0.05, ticks = [];
    for (let k = Math.ceil(a); k <= b; k++) ticks.push(10 ** k);
    if (ticks.length < 3) for (let k = Math.floor(a); k <= b; k++) for (const m of [2, 5]) if (m * 10 ** k > 10 ** a && m * 10 ** k < 10 ** b) ticks.push(m * 10 ** k);
    const at = v => from + (to - from) * (Math.log10(Math.max(v, 10 ** a)) - a) / (b - a);
    return { at, ticks: ticks.sort((x, y) => x - y), log: true };
  }
  let [a, b] = [Math.min(...ends), Math.max(...ends)];
  if (a > 0 && a < 0.6 * b) a = 0;
  const room = (b - a || Math.abs(b) || 1) * 0.05;
  a = a === 0 ? 0 : a - room; b += room;
  return { at: v => from + (to - from) * (v - a) / (b - a), ticks: nice(a, b, 5), log: false };
}

const short = v => v === 0 ? "0" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(0) : String(+v.toPrecision(4));

// section: of the table's data. shown: set of rows. Returns an SVG of the given width, or null where nothing is shown.
function chart(table, section, shown, width) {
  const style = looks(table);
  const points = section.cells.filter(cell => shown.has(cell[0]) && cell[2] != null)
    .map(([row, column, value, half, text]) => ({ row, column, value, half: half || 0, text }));
  if (!points.length) return null;
  const used = distinct(points.map(p => p.column)).filter(c => section.rates[c] != null);
  return used.length > 1 ? curves(table, section, style, points.filter(p => used.includes(p.column)), width) : dots(table, section, style, points, width);
}

function curves(table, section, style, points, width) {
  const height = width < 560 ? 280 : 360, left = 54, right = width - 18, top = 14, bottom = height - 40;
  const rates = section.rates, drawn = rates.filter(rate => rate != null), low = Math.min(...drawn), high = Math.max(...drawn);
  const log = high > 8 * low, place = r => log ? Math.log(r) : r, [a, b] = [place(low), place(high)];
  const x = r => left + 14 + (right - left - 28) * (place(r) - a) / (b - a || 1);
  const y = scale(points.map(p => p.value), points.flatMap(p => [p.value - p.half, p.value + p.half]), bottom, top);
  const clip = v => Math.min(Math.max(y.at(v), top - 8), bottom + 8);
  const svg = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": `${section.title} against frames per second; the same figures are in the table below` });
  for (const tick of y.ticks) svg.append(s("line", { class: "grid", x1: left, x2: right, y1: y.at(tick), y2: y.at(tick) }),
    s("text", { class: "tick", x: left - 8, y: y.at(tick) + 4, "text-anchor": "end" }, short(tick)));
  let last = -1e9;
  for (const rate of drawn) {
    if (x(rate) - last < 26) continue;
    last = x(rate);
    svg.append(s("text", { class: "tick", x: last, y: bottom + 18, "text-anchor": "middle" }, String(rate)));
  }
  svg.append(s("text", { class: "axis", x: right, y: height - 4, "text-anchor": "end" }, "frames per second"));
  const rows = distinct(points.map(p => p.row)).sort((m, n) => (m === table.first) - (n === table.first));
  for (const row of rows) {
    const line = points.filter(p => p.row === row).sort((m, n) => m.column - n.column), look = style[row];
    const group = s("g", { class: `line ${look.class}`, "data-row": row });
    const along = f => line.map(p => `${x(rates[p.column]).toFixed(1)},${clip(f(p)).toFixed(1)}`);
    group.append(s("polygon", { class: "band", points: [...along(p => p.value - p.half), ...along(p => p.value + p.half).reverse()].join(" ") }));
    group.append(s("polyline", { points: along(p => p.value).join(" "), "stroke-dasharray": look.dash || null }));
    for (const p of line) group.append(s("circle", { cx: x(rates[p.column]), cy: clip(p.value), r: row === table.first ? 4.5 : 3.2 },
      s("title", {}, `${table.rows[row].title}, ${section.columns[p.column]}: ${p.text}`)));
    svg.append(group);
  }
  return svg;
}

function dots(table, section, style, points, width) {
  const rows = distinct(points.map(p => p.row)).sort((m, n) => m - n), narrow = width < 620, step = narrow ? 40 : 26;
  const left = narrow ? 10 : Math.min(300, width * 0.36), right = width - 18, top = 6, bottom = top + step * rows.length, height = bottom + 26;
  const x = scale(points.map(p => p.value), points.flatMap(p => [p.value - p.half, p.value + p.half]), left + 10, right);
  const svg = s("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, width, height, role: "img",
    "aria-label": `${section.title} by row; the same figures are in the table below` });
  for (const tick of x.ticks) svg.append(s("line", { class: "grid", x1: x.at(tick), x2: x.at(tick), y1: top, y2: bottom }),
    s("text", { class: "tick", x: x.at(tick), y: bottom + 18, "text-anchor": "middle" }, short(tick)));
  for (const p of points) {
    const middle = top + step * rows.indexOf(p.row) + (narrow ? 28 : step / 2), look = style[p.row];
    const group = s("g", { class: `line ${look.class}`, "data-row": p.row }, s("title", {}, `${table.rows[p.row].title}: ${p.text}`));
    const title = table.rows[p.row].title, room = Math.floor((narrow ? width : left) / 6.6);
    group.append(s("text", { class: "name", x: narrow ? left : left - 8, y: narrow ? middle - 13 : middle + 4, "text-anchor": narrow ? "start" : "end" },
      title.length > room ? title.slice(0, room - 1) + "…" : title));
    if (p.half) group.append(s("line", { class: "whisker", x1: Math.max(x.at(p.value - p.half), left), x2: x.at(p.value + p.half), y1: middle, y2: middle }));
    group.append(s("circle", { cx: x.at(p.value), cy: middle, r: p.row === table.first ? 5.5 : 4 }));
    svg.append(group);
  }
  return svg;
}
