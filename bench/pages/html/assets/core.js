"use strict";
// What every section needs: the facts, the state that the address holds, elements, numbers and scales.
const FACTS = JSON.parse(document.getElementById("facts").textContent);
const MOST_DRAWN = 30;
const DASH = "\u2013";
const MINUS = "\u2212";
const byId = (id) => document.getElementById(id);

// State ---------------------------------------------------------------------------------------------------------------
// key -> what it is without a word in the address; "" means: the first that there is.
const DEFAULTS = {
  g: "", m: "", t: "Main", q: "", s: "", a: "", b: "", x: "", c: "epoch", l: "", p: "samples", pa: "", pb: "",
};
const state = { ...DEFAULTS };

function readAddress() {
  Object.assign(state, DEFAULTS);
  const text = location.hash.slice(1);
  if (!text.includes("=")) return;
  for (const [key, value] of new URLSearchParams(text)) if (key in DEFAULTS) state[key] = value;
}

function writeAddress() {
  const changed = Object.entries(state).filter(([key, value]) => value !== DEFAULTS[key]);
  const text = new URLSearchParams(changed).toString();
  history.replaceState(null, "", text ? "#" + text : location.pathname + location.search);
}

const group = () => FACTS.groups.find((each) => each.id === state.g) || FACTS.groups[0];
const metricOf = (name) => FACTS.metrics[name] || { label: name, header: name, unit: "", better: null, digits: 3 };

function chosenMetric() {
  const names = group().metrics;
  return names.includes(state.m) ? state.m : names.includes("elbo_nats") ? "elbo_nats" : names[0] || "";
}

// The rows that the filter leaves, in the order of the page.
function visibleRows() {
  const words = state.q.toLowerCase().split(/[\s,]+/).filter(Boolean);
  return group().rows.filter((row) => !words.length || words.some((word) => row.label.toLowerCase().includes(word)));
}

// Elements ------------------------------------------------------------------------------------------------------------
function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  for (const child of [children].flat(Infinity)) if (child !== null && child !== undefined && child !== false) element.append(child);
  return element;
}
const el = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

function choice(label, options, chosen, then) {
  const select = el("select", { onchange: (event) => then(event.target.value) },
    options.map(([value, text]) => el("option", { value, selected: value === chosen }, text)));
  return el("label", {}, label, " ", select);
}

const sentenceCase = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
const note = (...text) => el("p", { class: "muted small" }, ...text);
const region = (name, ...content) => el("div", { class: "wide", role: "region", tabindex: "0", "aria-label": name }, ...content);

// Numbers -------------------------------------------------------------------------------------------------------------
const signed = (text) => text.replace(/-/g, MINUS);
function number(value, digits) {
  if (value === null || value === undefined) return DASH;
  return signed((value || 0).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
}
function tick(value, step) {
  const digits = Math.max(0, Math.min(8, -Math.floor(Math.log10(step) + 1e-9)));
  return number(Math.abs(value) < step * 1e-9 ? 0 : value, digits);
}
const unit = (name) => (metricOf(name).unit ? ` (${metricOf(name).unit})` : "");
const direction = (name) => ({ higher: ", higher is better \u2192", lower: ", lower is better \u2190" })[metricOf(name).better] || "";

// Scales --------------------------------------------------------------------------------------------------------------
function ticks(low, high, count) {
  const raw = (high - low) / Math.max(1, count);
  const size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((each) => each * size).find((each) => each >= raw * 0.999) || size * 10;
  const found = [];
  for (let value = Math.ceil(low / step - 1e-9) * step; value <= high + step * 1e-9; value += step) found.push(value);
  return found.length < 2 && count < 40 ? ticks(low, high, count * 2) : { step, values: found };
}
function logTicks(low, high) {
  const found = [];
  for (const factors of [[1, 2, 5], [1, 2, 3, 5, 7], [1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9]]) {
    found.length = 0;
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high) + 1; power++) {
      for (const factor of factors) {
        const value = factor * 10 ** power;
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    }
    if (found.length >= 3) break;
  }
  return found;
}
function padded(low, high, share) {
  const room = high - low || Math.abs(high) * 0.1 || 1;
  return [low - room * share, high + room * share];
}
const linear = ([low, high], [start, end]) => (value) => start + ((value - low) / (high - low)) * (end - start);
const logarithmic = ([low, high], range) => {
  const line = linear([Math.log(low), Math.log(high)], range);
  return (value) => line(Math.log(value));
};
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

// Marks ---------------------------------------------------------------------------------------------------------------
function coloured(element, row) {
  element.classList.add("mark");
  element.style.setProperty("--light", row.colour[0]);
  element.style.setProperty("--dark", row.colour[1]);
  return element;
}

const POLYGONS = {
  s: [[-1, -1], [1, -1], [1, 1], [-1, 1]], D: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
  "^": [[0, -1.25], [1.15, 0.9], [-1.15, 0.9]], v: [[0, 1.25], [1.15, -0.9], [-1.15, -0.9]],
  "<": [[-1.25, 0], [0.9, -1.15], [0.9, 1.15]], ">": [[1.25, 0], [-0.9, -1.15], [-0.9, 1.15]],
};
const star = (corners, inner) => [...Array(2 * corners).keys()].map((index) => {
  const reach = index % 2 ? inner : 1.35;
  const angle = (Math.PI * index) / corners - Math.PI / 2;
  return [reach * Math.cos(angle), reach * Math.sin(angle)];
});
const POINTED = { "*": star(5, 0.6), p: star(5, 1.1), h: star(6, 1.15), P: star(4, 0.75), X: star(4, 0.6) };

// A row's marker, as on every page; hollow unless filled.
function marker(row, x, y, size, filled) {
  const corners = POLYGONS[row.marker] || POINTED[row.marker];
  const shape = corners
    ? svg("polygon", { points: corners.map(([a, b]) => `${(x + a * size).toFixed(1)},${(y + b * size).toFixed(1)}`).join(" ") })
    : svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: size * 1.1 });
  shape.classList.add(filled ? "filled" : "hollow");
  return coloured(shape, row);
}

function text(x, y, words, attributes) {
  return svg("text", { x: x.toFixed(1), y: y.toFixed(1), ...attributes }, words);
}
// The title of an axis, in the middle of it, or as near as it fits.
function axisTitle(centre, y, words, width) {
  const half = wide(words) / 2 + 2;
  return text(Math.max(half, Math.min(centre, width - half)), y, words, { "text-anchor": "middle", class: "axis" });
}
const lineFrom = (x1, y1, x2, y2, attributes) =>
  svg("line", { x1: x1.toFixed(1), y1: y1.toFixed(1), x2: x2.toFixed(1), y2: y2.toFixed(1), ...attributes });

// About how wide words are in the plots' type, in pixels.
const wide = (words, size = 12) => words.length * size * 0.57;
function clipped(words, width) {
  const most = Math.max(4, Math.floor(width / (12 * 0.57) + 0.01));
  return words.length > most ? words.slice(0, most - 1) + "\u2026" : words;
}

function chart(width, height, label, ...content) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label, class: "chart" }, ...content);
}

// Where each name stands so that it covers no other name and no point: [{x, y, anchor}] in the order of `points`.
function placed(points, obstacles, box) {
  const taken = obstacles.map(([x, y]) => [x - 5, y - 5, x + 5, y + 5]);
  const free = (b) => b[0] >= box[0] && b[1] >= box[1] && b[2] <= box[2] && b[3] <= box[3] &&
    taken.every((o) => b[2] < o[0] || b[0] > o[2] || b[3] < o[1] || b[1] > o[3]);
  return points.map(({ x, y, words }) => {
    const width = wide(words) + 2;
    for (const far of [0, 12, 24, 38, 54, 72, 96]) {
      for (const [dx, dy] of [[1, 0], [-1, 0], [0.7, -1], [0.7, 1], [-0.7, -1], [-0.7, 1], [0, -1], [0, 1]]) {
        const cx = x + dx * (9 + far), cy = y + dy * (11 + far * 0.8);
        const left = dx > 0 ? cx : dx < 0 ? cx - width : cx - width / 2;
        const b = [left, cy - 7, left + width, cy + 7];
        if (free(b)) {
          taken.push(b);
          const anchor = dx > 0 ? "start" : dx < 0 ? "end" : "middle";
          return { x: cx, y: cy + 4, anchor, leader: far > 0 };
        }
      }
    }
    return null;
  });
}

// Heights for names at the edge, each near its own and none over another.
function spreadOut(heights, gap, low, high) {
  const order = heights.map((height, index) => [height, index]).sort((a, b) => a[0] - b[0]);
  let last = low - gap;
  const found = order.map(([height]) => (last = Math.max(height, last + gap)));
  let over = found.length ? found[found.length - 1] - high : 0;
  for (let place = found.length - 1; place >= 0 && over > 0; place--) {
    found[place] -= over;
    over = place ? found[place - 1] + gap - found[place] : 0;
  }
  const result = [];
  order.forEach(([, index], place) => { result[index] = found[place]; });
  return result;
}

// One tab stop for the points of a plot; arrows go from one to the next; focus and pointer tell what a point is.
function interactive(root) {
  const points = [...root.querySelectorAll("[data-tip]")];
  points.forEach((point, place) => {
    point.setAttribute("tabindex", place ? "-1" : "0");
    point.setAttribute("role", "img");
    point.setAttribute("aria-label", point.dataset.tip);
    point.addEventListener("pointerenter", () => showTip(point));
    point.addEventListener("pointerleave", hideTip);
    point.addEventListener("focus", () => showTip(point));
    point.addEventListener("blur", hideTip);
    point.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hideTip();
      if (event.key === "Enter") point.dispatchEvent(new Event("click"));
      const next = points[place + step];
      if (!step || !next) return;
      event.preventDefault();
      point.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    });
  });
  return root;
}
function showTip(point) {
  const tip = byId("tip"), box = point.getBoundingClientRect();
  tip.textContent = point.dataset.tip;
  tip.hidden = false;
  const left = Math.min(Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2), innerWidth - tip.offsetWidth - 8);
  const above = box.top - tip.offsetHeight - 8;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 4 ? above : box.bottom + 8}px`;
}
const hideTip = () => { byId("tip").hidden = true; };

function showRun(row, run) {
  byId("record-title").textContent = `${row.label}, seed ${run.seed}`;
  const facts = { record: run.id, status: run.status, reason: run.reason, commit: run.commit, machine: run.device, started: run.started };
  const lines = Object.entries(facts).filter(([, value]) => value).map(([key, value]) => [key, value]);
  for (const [name, value] of Object.entries(run.values)) lines.push([metricOf(name).header, String(value)]);
  byId("record-body").replaceChildren(
    el("table", {}, el("tbody", {}, lines.map(([key, value]) => el("tr", {}, el("th", { scope: "row" }, key), el("td", {}, value))))));
  byId("record").showModal();
}
