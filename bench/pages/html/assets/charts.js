// The plots: each takes rows and a width, and returns an element.

// Values of a metric: [{run, value}] of the runs that are ok.
const seedsOf = (row, metric) =>
  row.runs.filter((run) => run.status === "ok" && metric in run.values).map((run) => ({ run, value: run.values[metric] }));
function cellOf(row, key) {
  const place = group().columns.findIndex((column) => column.key === key);
  return place < 0 ? null : row.cells[place];
}

// What an axis shows: all, or where one far row would squeeze the others, the better half and what is near it.
function focusOn(rows, metric) {
  const values = rows.map((row) => seedsOf(row, metric).map((each) => each.value));
  const sign = metricOf(metric).better === "lower" ? -1 : 1;
  const order = values.map((each, index) => [mean(each) * sign, index]).sort((a, b) => b[0] - a[0]);
  const all = values.flat();
  if (rows.length < 4) return [Math.min(...all), Math.max(...all)];
  const upper = order.slice(0, Math.ceil(rows.length / 2)).flatMap(([, index]) => values[index]);
  const low = Math.min(...upper), high = Math.max(...upper), width = high - low;
  if (Math.max(...all) - Math.min(...all) <= 3 * width) return [Math.min(...all), Math.max(...all)];
  const near = values.filter((each) => mean(each) >= low - width && mean(each) <= high + width).flat();
  return [Math.min(...near), Math.max(...near)];
}

const nameRoom = (rows, width) => Math.min(330, Math.max(...rows.map((row) => wide(row.label))) + 14, width * 0.38);
function rowName(row, x, y, room) {
  const words = clipped(row.label, room);
  return text(x, y, [words, words !== row.label && svg("title", {}, row.label)], { "text-anchor": "end", class: "name" });
}

function seedChart(rows, metric, width) {
  const entry = metricOf(metric), left = nameRoom(rows, width);
  const step = 26, top = 8, height = top + rows.length * step + 44;
  const ends = rows.flatMap((row) => {
    const cell = cellOf(row, metric);
    return cell && cell[3] !== null ? [cell[0] - cell[3], cell[0] + cell[3]] : [];
  });
  const [low, high] = focusOn(rows, metric);
  const reach = high - low || 1;
  const near = ends.filter((end) => end > low - reach && end < high + reach);
  const domain = padded(Math.min(low, ...near), Math.max(high, ...near), 0.05);
  const x = linear(domain, [left, width - 12]);
  const inside = (value) => value >= domain[0] && value <= domain[1];
  const bottom = top + rows.length * step;
  const { step: gap, values: at } = ticks(...domain, Math.max(2, Math.floor((width - left) / 90)));
  const grid = at.map((value) => [
    lineFrom(x(value), top, x(value), bottom, { class: "grid" }),
    text(x(value), bottom + 16, tick(value, gap), { class: "tick", "text-anchor": "middle" }),
  ]);
  const marks = rows.map((row, index) => {
    const y = top + (index + 0.5) * step, seeds = seedsOf(row, metric), cell = cellOf(row, metric);
    const parts = [rowName(row, left - 8, y + 4, left - 12)];
    if (!seeds.length) return [...parts, text(left + 4, y + 4, "no value", { class: "tick" })];
    const middle = cell ? cell[0] : mean(seeds.map((each) => each.value));
    if (!inside(middle)) {
      const words = number(middle, entry.digits), before = middle < domain[0];
      const edge = before ? [left + 4, "start", `\u2190 ${words}`] : [width - 14, "end", `${words} \u2192`];
      parts.push(text(edge[0], y + 4, edge[2], { "text-anchor": edge[1], class: "tick" }));
    } else {
      if (cell && cell[3] !== null) {
        const from = Math.max(domain[0], middle - cell[3]), to = Math.min(domain[1], middle + cell[3]);
        parts.push(coloured(lineFrom(x(from), y, x(to), y, { class: "interval" }), row));
      }
      parts.push(coloured(lineFrom(x(middle), y - 8, x(middle), y + 8, { class: "middle" }), row));
    }
    seeds.forEach(({ run, value }, place) => {
      if (!inside(value)) return;
      const shift = seeds.length > 1 ? (place / (seeds.length - 1) - 0.5) * 12 : 0;
      const dot = marker(row, x(value), y + shift, 4, false);
      dot.dataset.tip = `${row.label}, seed ${run.seed}: ${number(value, entry.digits + 1)} ${entry.unit}, commit ${run.commit}`;
      dot.addEventListener("click", () => showRun(row, run));
      parts.push(dot);
    });
    return parts;
  });
  const title = axisTitle((left + width) / 2, bottom + 36, `${entry.label}${unit(metric)}${direction(metric)}`, width);
  return interactive(chart(width, height, `${entry.label}, every seed`, grid, marks, title));
}

// On the front: no other row is better in y without being slower, beyond the quartiles where x has them.
function onFront(points, better, cheaper) {
  const gain = better === "lower" ? (a, b) => a < b : (a, b) => a > b;
  const surely = (a, b) => cheaper === "lower" ? a.xHigh < b.xLow : a.xLow > b.xHigh;
  return points.filter((point) => !points.some((other) => other !== point && gain(other.y, point.y) && !surely(point, other)));
}

function scatter(rows, metric, column, width) {
  const entry = metricOf(metric), points = [];
  for (const row of rows) {
    const y = cellOf(row, metric), x = cellOf(row, column.key);
    if (!y || !x || !(x[0] > 0)) continue;
    points.push({ row, x: x[0], xLow: x[5] ?? x[0], xHigh: x[6] ?? x[0], y: y[0], half: y[3], words: row.label });
  }
  if (points.length < 2) return note("Fewer than two rows have both figures.");
  const height = Math.min(440, Math.max(300, width * 0.5)), left = 66, right = width - 16, top = 12, bottom = height - 46;
  const xs = points.flatMap((point) => [point.xLow, point.xHigh]);
  const xDomain = [Math.min(...xs) / 1.25, Math.max(...xs) * 1.25];
  const [low, high] = focusOn(points.map((point) => point.row), metric);
  const yDomain = padded(low, high, 0.14);
  const x = logarithmic(xDomain, [left, right]), y = linear(yDomain, [bottom, top]);
  const { step, values } = ticks(...yDomain, 5);
  const shown = logTicks(...xDomain).filter((value, place, all) => !place || x(value) - x(all[place - 1]) > 54 || all.length < 5);
  const grid = [
    values.map((value) => [lineFrom(left, y(value), right, y(value), { class: "grid" }),
      text(left - 8, y(value) + 4, tick(value, step), { class: "tick", "text-anchor": "end" })]),
    shown.map((value) => [lineFrom(x(value), top, x(value), bottom, { class: "grid" }),
      text(x(value), bottom + 17, value >= 10 ? number(value, 0) : String(value), { class: "tick", "text-anchor": "middle" })]),
  ];
  const front = new Set(onFront(points, entry.better, column.better === "lower" || !column.better ? "lower" : "higher"));
  const far = points.filter((point) => point.y < yDomain[0] || point.y > yDomain[1]);
  const at = (point) => [x(point.x), Math.min(bottom - 8, Math.max(top + 8, y(point.y)))];
  for (const point of far) point.words = `${point.y < yDomain[0] ? "\u2193" : "\u2191"} ${point.words} ${number(point.y, entry.digits)}`;
  const marks = points.map((point) => {
    const [cx, cy] = at(point), parts = [];
    if (!far.includes(point) && point.half) parts.push(coloured(lineFrom(cx, y(Math.max(yDomain[0], point.y - point.half)), cx, y(Math.min(yDomain[1], point.y + point.half)), { class: "interval" }), point.row));
    if (point.xLow !== point.xHigh) parts.push(coloured(lineFrom(x(point.xLow), cy, x(point.xHigh), cy, { class: "interval" }), point.row));
    const dot = marker(point.row, cx, cy, 5.5, front.has(point));
    dot.dataset.tip = `${point.row.label}: ${entry.label} ${number(point.y, entry.digits)} ${entry.unit}; ${column.header}: ${cellOf(point.row, column.key)[1]}${front.has(point) ? "; on the front" : ""}`;
    return [...parts, dot];
  });
  const named = points.map((point) => ({ x: at(point)[0], y: at(point)[1], words: point.words }));
  const along = points.flatMap((point) => [...Array(9).keys()].map((place) => [x(point.xLow + ((point.xHigh - point.xLow) * place) / 8), at(point)[1]]));
  for (const point of points) {
    const half = far.includes(point) ? 0 : point.half || 0;
    for (let place = -4; place <= 4; place++) along.push([at(point)[0], Math.min(bottom, Math.max(top, y(point.y + (half * place) / 4)))]);
  }
  const spots = placed(named, [...named.map((each) => [each.x, each.y]), ...along], [left, top - 4, right + 12, bottom]);
  const names = spots.map((spot, place) => spot && [
    spot.leader && lineFrom(named[place].x, named[place].y, spot.x, spot.y - 4, { class: "leader" }),
    text(spot.x, spot.y, named[place].words, { "text-anchor": spot.anchor, class: "name" }),
  ]);
  const arrow = { higher: ", higher is better \u2191", lower: ", lower is better \u2193" }[entry.better] || "";
  const cheaper = { higher: ", more is better \u2192", lower: ", less is better \u2190" }[column.better] || ", less is cheaper \u2190";
  const titles = [
    axisTitle((left + right) / 2, height - 8, `${column.header.replace(/ [\u2191\u2193]/, "")}, logarithmic${cheaper}`, width),
    text(14, (top + bottom) / 2, `${entry.label}${unit(metric)}${arrow}`, { class: "axis", "text-anchor": "middle", transform: `rotate(-90 14 ${(top + bottom) / 2})` }),
  ];
  return interactive(chart(width, height, `${entry.label} against ${column.header}`, grid, names, marks, titles));
}

function forest(rows, base, metric, width) {
  const all = group().rows, entry = metricOf(metric);
  const lines = rows.filter((row) => row !== base).map((row) => ({ row, pair: (group().pairs[`${all.indexOf(row)},${all.indexOf(base)}`] || {})[metric] }))
    .filter((line) => line.pair && line.pair[0] !== null);
  if (!lines.length) return null;
  const left = nameRoom(lines.map((line) => line.row), width), room = width < 560 ? 20 : 150;
  const step = 26, top = 8, bottom = top + lines.length * step, right = width - room;
  const values = lines.flatMap((line) => line.pair.slice(0, 3).filter((value) => value !== null));
  const sorted = lines.map((line) => Math.abs(line.pair[0])).sort((a, b) => a - b);
  const usual = 3 * (sorted[Math.floor(sorted.length / 2)] || 1);
  const kept = values.filter((value) => Math.abs(value) <= usual);
  const domain = padded(Math.min(0, ...kept), Math.max(0, ...kept), 0.06), x = linear(domain, [left, right]);
  const { step: gap, values: at } = ticks(...domain, Math.max(2, Math.floor((right - left) / 90)));
  const clampedTo = (value) => Math.min(domain[1], Math.max(domain[0], value));
  const marks = lines.map(({ row, pair }, index) => {
    const y = top + (index + 0.5) * step, [difference, from, to, verdict] = pair, outside = clampedTo(difference) !== difference;
    const dot = marker(row, x(clampedTo(difference)), y, 4.5, true);
    dot.dataset.tip = `${row.label} against ${base.label}: ${pair[4]}`;
    return [
      rowName(row, left - 8, y + 4, left - 12),
      from !== null && coloured(lineFrom(x(clampedTo(from)), y, x(clampedTo(to)), y, { class: "interval" }), row),
      dot,
      room > 20 && text(right + 10, y + 4, (outside ? `${number(difference, 1)} ` : "") + verdict, { class: `verdict ${verdict.replace(/ /g, "-")}` }),
    ];
  });
  const grid = at.map((value) => [lineFrom(x(value), top, x(value), bottom, { class: value === 0 ? "zero" : "grid" }),
    text(x(value), bottom + 16, tick(value, gap), { class: "tick", "text-anchor": "middle" })]);
  if (!at.some((value) => Math.abs(value) < gap * 1e-9)) grid.push(lineFrom(x(0), top, x(0), bottom, { class: "zero" }));
  const title = axisTitle((left + right) / 2, bottom + 36, `difference in ${entry.label}${unit(metric)}${direction(metric)}`, width);
  return interactive(chart(width, bottom + 44, `All against ${base.label}`, grid, marks, title));
}

function curves(rows, byTime, width) {
  const drawn = rows.filter((row) => row.curve && row.curve.epochs.length > 1 && (!byTime || row.curve.seconds));
  if (!drawn.length) return null;
  const height = Math.min(460, Math.max(280, width * 0.45)), left = 62, top = 10, bottom = height - 44;
  const names = Math.min(170, Math.max(...drawn.map((row) => wide(row.label))) + 16, width * 0.34), right = width - names;
  const axis = (row) => (byTime ? row.curve.seconds : row.curve.epochs);
  const last = (row) => row.curve.mean[row.curve.mean.length - 1];
  const late = drawn.map((row) => Math.min(...row.curve.mean.slice(Math.floor(row.curve.mean.length / 5))));
  const tops = Math.max(...drawn.flatMap((row) => row.curve.high));
  // The earliest epochs, and rows far behind, lie below the axis.
  const ends = drawn.map(last).sort((a, b) => b - a), half = (row) => row.curve.mean[Math.floor((row.curve.mean.length - 1) / 2)];
  const most = Math.max(4 * (ends[0] - ends[Math.floor((ends.length - 1) / 2)]), 4 * Math.max(...drawn.map((row) => last(row) - half(row)).filter((gain, place) => last(drawn[place]) >= ends[Math.floor((ends.length - 1) / 2)])),
    tops - ends[Math.floor((ends.length - 1) / 2)]);
  const floor = Math.max(Math.min(...late), tops - (most || 1));
  const yDomain = padded(floor, tops, 0.05), xs = drawn.flatMap(axis);
  const x = linear([byTime ? 0 : Math.min(...xs), Math.max(...xs)], [left, right]), y = linear(yDomain, [bottom, top]);
  const { step, values } = ticks(...yDomain, 6), horizontal = ticks(byTime ? 0 : Math.min(...xs), Math.max(...xs), Math.max(2, Math.min(10, (right - left) / 60)));
  const grid = [
    values.map((value) => [lineFrom(left, y(value), right, y(value), { class: "grid" }), text(left - 8, y(value) + 4, tick(value, step), { class: "tick", "text-anchor": "end" })]),
    horizontal.values.filter((value) => byTime || Number.isInteger(value)).map((value) => text(x(value), bottom + 17, number(value, 0), { class: "tick", "text-anchor": "middle" })),
  ];
  const inside = (value) => Math.min(bottom + 40, y(value));
  const clip = svg("clipPath", { id: "curves-clip" }, svg("rect", { x: left, y: top, width: Math.max(0, right - left), height: bottom - top }));
  const lines = drawn.map((row) => {
    const at = axis(row), path = row.curve.mean.map((value, place) => `${x(at[place]).toFixed(1)},${inside(value).toFixed(1)}`).join(" ");
    const band = [...row.curve.high.map((value, place) => [at[place], value]), ...row.curve.low.map((value, place) => [at[place], value]).reverse()];
    return [
      coloured(svg("polygon", { points: band.map(([a, b]) => `${x(a).toFixed(1)},${inside(b).toFixed(1)}`).join(" "), class: "band" }), row),
      coloured(svg("polyline", { points: path, class: "curve" }), row),
    ];
  });
  const heights = spreadOut(drawn.map((row) => Math.min(bottom, Math.max(top, y(last(row))))), 15, top, bottom + 4);
  const labels = drawn.map((row, place) => [
    byTime && coloured(lineFrom(x(axis(row)[axis(row).length - 1]), Math.min(bottom, y(last(row))), right, Math.min(bottom, y(last(row))), { class: "leader-coloured dashed" }), row),
    coloured(lineFrom(right, Math.min(bottom, y(last(row))), right + 10, heights[place], { class: "leader-coloured" }), row),
    text(right + 13, heights[place] + 4, clipped((last(row) < yDomain[0] ? "\u2193 " : "") + row.label, names - 14), { class: "name" }),
  ]);
  const titles = [
    text((left + right) / 2, height - 6, byTime ? "seconds of training" : "epoch", { class: "axis", "text-anchor": "middle" }),
    text(14, (top + bottom) / 2, "validation ELBO (nats)", { class: "axis", "text-anchor": "middle", transform: `rotate(-90 14 ${(top + bottom) / 2})` }),
  ];
  return chart(width, height, "Validation ELBO during training", clip, grid, svg("g", { "clip-path": "url(#curves-clip)" }, lines), labels, titles);
}

function heatMap(rows, width) {
  const drawn = rows.filter((row) => row.kl.length), most = Math.max(...drawn.map((row) => row.kl.length));
  const left = nameRoom(drawn, width), cell = (width - left - 12) / most, step = 22, top = 4;
  const largest = Math.max(...drawn.flatMap((row) => row.kl), 0.01), bottom = top + drawn.length * step;
  const boxes = drawn.map((row, index) => [
    rowName(row, left - 8, top + index * step + 15, left - 12),
    row.kl.map((value, place) => {
      const box = svg("rect", { x: (left + place * cell).toFixed(1), y: top + index * step + 1, width: Math.max(0.5, cell - 1).toFixed(1), height: step - 2, class: value <= 0.01 ? "collapsed" : "heat" });
      if (value > 0.01) box.setAttribute("fill-opacity", Math.max(0.06, Math.sqrt(value / largest)).toFixed(3));
      box.dataset.tip = `${row.label}, dimension ${place + 1} of ${row.kl.length} by KL: ${value} nats`;
      return box;
    }),
  ]);
  const every = Math.ceil(most / Math.max(1, Math.floor((width - left) / 34)));
  const at = [...Array(most).keys()].filter((place) => place === 0 || (place + 1) % (every < 2 ? 1 : every < 5 ? 5 : 10 * Math.ceil(every / 10)) === 0);
  const axis = at.map((place) => text(left + (place + 0.5) * cell, bottom + 15, String(place + 1), { class: "tick", "text-anchor": "middle" }));
  const title = axisTitle((left + width) / 2, bottom + 34, "latent dimension, the largest KL first", width);
  return interactive(chart(width, bottom + 42, "KL of every latent dimension", boxes, axis, title));
}

// Approximation and amortisation gap, one bar over the other's end.
function gapBars(rows, width) {
  const parts = [["approximation_gap_nats", "part-one", "approximation (posterior family)"], ["amortisation_gap_nats", "part-two", "amortisation (encoder)"]];
  const drawn = rows.filter((row) => parts.every(([key]) => cellOf(row, key)));
  if (!drawn.length) return null;
  const left = nameRoom(drawn, width), step = 26, top = 26, bottom = top + drawn.length * step;
  const most = Math.max(...drawn.map((row) => parts.reduce((sum, [key]) => sum + Math.max(0, cellOf(row, key)[0]), 0)));
  const x = linear([0, most * 1.12 || 1], [left, width - 12]), { step: gap, values } = ticks(0, most * 1.1, Math.max(2, Math.floor((width - left) / 90)));
  const marks = drawn.map((row, index) => {
    let from = 0;
    const y = top + index * step, bars = parts.map(([key, kind, words]) => {
      const value = Math.max(0, cellOf(row, key)[0]), bar = svg("rect", { x: x(from).toFixed(1), y: y + 4, width: Math.max(0.5, x(value) - x(0)).toFixed(1), height: step - 8, class: kind });
      bar.dataset.tip = `${row.label}, ${words}: ${cellOf(row, key)[1]} nats`;
      from += value;
      return bar;
    });
    return [rowName(row, left - 8, y + 17, left - 12), bars,
      text(x(from) + 5, y + 17, number(from, 2), { class: "tick" })];
  });
  const legend = parts.map(([, kind, words], place) => {
    const at = width < 560 ? 4 + place * (width / 2) : left + place * 260;
    return [svg("rect", { x: at, y: 4, width: 12, height: 12, class: kind }), text(at + 17, 15, width < 560 ? words.split(" ")[0] : words, { class: "tick" })];
  });
  const grid = values.map((value) => [lineFrom(x(value), top, x(value), bottom, { class: "grid" }), text(x(value), bottom + 16, tick(value, gap), { class: "tick", "text-anchor": "middle" })]);
  return interactive(chart(width, bottom + 44, "Inference gaps", legend, grid, marks,
    axisTitle((left + width) / 2, bottom + 36, "log p(x) minus ELBO (nats), tighter \u2190", width)));
}

// Rate against distortion on equal axes, so that lines of equal ELBO fall at 45 degrees.
function rateDistortion(rows, width) {
  const points = rows.map((row) => ({ row, x: cellOf(row, "recon_nats"), y: cellOf(row, "kl_nats") })).filter((each) => each.x && each.y)
    .map((each) => ({ row: each.row, x: -each.x[0], y: each.y[0], words: each.row.label }));
  if (points.length < 2) return null;
  const size = Math.min(width, 560), left = 60, top = 14, right = size - 16, bottom = size - 52;
  const centre = (key) => (Math.max(...points.map((p) => p[key])) + Math.min(...points.map((p) => p[key]))) / 2;
  const span = (key) => Math.max(...points.map((p) => p[key])) - Math.min(...points.map((p) => p[key]));
  const reach = Math.max(span("x"), span("y"), 1) * 0.62;
  const yHalf = reach * (bottom - top) / (right - left);
  const xDomain = [centre("x") - reach, centre("x") + reach], yDomain = [centre("y") - yHalf, centre("y") + yHalf];
  const x = linear(xDomain, [left, right]), y = linear(yDomain, [bottom, top]);
  const across = ticks(...xDomain, 5), up = ticks(...yDomain, 5), iso = ticks(xDomain[0] + yDomain[0], xDomain[1] + yDomain[1], 8);
  const grid = iso.values.map((level) => {
    const from = Math.max(xDomain[0], level - yDomain[1]), to = Math.min(xDomain[1], level - yDomain[0]);
    if (to <= from) return null;
    return [lineFrom(x(from), y(level - from), x(to), y(level - to), { class: "grid" }),
      to - from > reach * 0.25 && text(x((from + to) / 2) + 3, y(level - (from + to) / 2) - 4, tick(-level, iso.step), { class: "tick faint" })];
  });
  const axes = [across.values.map((value) => text(x(value), bottom + 17, tick(value, across.step), { class: "tick", "text-anchor": "middle" })),
    up.values.map((value) => text(left - 8, y(value) + 4, tick(value, up.step), { class: "tick", "text-anchor": "end" })),
    lineFrom(left, bottom, right, bottom, { class: "zero" }), lineFrom(left, top, left, bottom, { class: "zero" })];
  const marks = points.map((point) => {
    const dot = marker(point.row, x(point.x), y(point.y), 5, true);
    dot.dataset.tip = `${point.row.label}: distortion ${number(point.x, 2)}, rate ${number(point.y, 2)}, ELBO ${number(-point.x - point.y, 2)} nats`;
    return dot;
  });
  const named = points.map((point) => ({ x: x(point.x), y: y(point.y), words: point.words }));
  const names = placed(named, named.map((each) => [each.x, each.y]), [left + 2, top, size - 2, bottom]).map((spot, place) => spot && [
    spot.leader && lineFrom(named[place].x, named[place].y, spot.x, spot.y - 4, { class: "leader" }),
    text(spot.x, spot.y, named[place].words, { "text-anchor": spot.anchor, class: "name" })]);
  const titles = [axisTitle((left + right) / 2, size - 12, "distortion: \u2212log p(x|z) (nats), better \u2190", size),
    text(14, (top + bottom) / 2, "rate: KL (nats)", { class: "axis", "text-anchor": "middle", transform: `rotate(-90 14 ${(top + bottom) / 2})` })];
  const made = interactive(chart(size, size, "Rate against distortion", grid, axes, names, marks, titles));
  made.classList.add("square");
  return made;
}

// Paths [[x, y], ...] of rows beside the diagonal, on which both are equal; axes from 0 or from the least.
function diagonal(rows, key, titles, width, from) {
  const drawn = rows.filter((row) => row[key].length > 1), size = Math.min(width, 560), left = 56, top = 10, names = Math.min(170, size * 0.34), right = size - names, bottom = right - left + top;
  const all = drawn.flatMap((row) => row[key].flat()), domain = from === 0 ? [0, Math.max(...all) || 1] : padded(Math.min(...all), Math.max(...all), 0.04);
  const x = linear(domain, [left, right]), y = linear(domain, [bottom, top]), at = ticks(...domain, 5);
  const grid = at.values.map((value) => [lineFrom(left, y(value), right, y(value), { class: "grid" }), text(x(value), bottom + 16, tick(value, at.step), { class: "tick", "text-anchor": "middle" }), text(left - 6, y(value) + 4, tick(value, at.step), { class: "tick", "text-anchor": "end" })]);
  const even = lineFrom(left, bottom, right, top, { class: "prior" });
  const lines = drawn.map((row) => coloured(svg("polyline", { points: row[key].map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" "), class: "curve" }), row));
  const ends = drawn.map((row) => row[key][row[key].length - 1]), heights = spreadOut(ends.map(([, b]) => y(b)), 15, top + 4, bottom);
  const labels = drawn.map((row, place) => [coloured(lineFrom(x(ends[place][0]), y(ends[place][1]), right + 10, heights[place], { class: "leader-coloured dashed" }), row), text(right + 13, heights[place] + 4, clipped(row.label, names - 14), { class: "name" })]);
  const made = chart(size, bottom + 44, titles[2], grid, even, lines, labels, axisTitle((left + right) / 2, bottom + 36, titles[0], size),
    text(12, (top + bottom) / 2, titles[1], { class: "axis", "text-anchor": "middle", transform: `rotate(-90 12 ${(top + bottom) / 2})` }));
  made.classList.add("square");
  return made;
}

function plane(row, width) {
  const { axes, points, ellipses, labels, prior } = row.plane, size = Math.min(width, 520), left = 46, top = 10, right = size - 10, bottom = size - 46;
  const reach = Math.max(...points.flat().map(Math.abs), prior ? 2.2 : 0) * 1.06 || 1;
  const x = linear([-reach, reach], [left, right]), y = linear([-reach, reach], [bottom, top]), scale = (right - left) / (2 * reach), tall = (bottom - top) / (2 * reach);
  const at = ticks(-reach, reach, 5), classes = [...new Set(labels)].sort((a, b) => a - b);
  const grid = at.values.map((value) => [lineFrom(x(value), top, x(value), bottom, { class: "grid" }), lineFrom(left, y(value), right, y(value), { class: "grid" }),
    text(x(value), bottom + 16, tick(value, at.step), { class: "tick", "text-anchor": "middle" }), text(left - 6, y(value) + 4, tick(value, at.step), { class: "tick", "text-anchor": "end" })]);
  const clouds = ellipses.map(([a, b, c], place) => {
    const middle = (a + c) / 2, turn = Math.hypot((a - c) / 2, b), angle = (Math.atan2(2 * b, a - c) / 2) * (180 / Math.PI);
    const [cx, cy] = [x(points[place][0]), y(points[place][1])];
    return svg("ellipse", { cx: cx.toFixed(1), cy: cy.toFixed(1), rx: (2 * Math.sqrt(Math.max(0, middle + turn)) * scale).toFixed(1), ry: (2 * Math.sqrt(Math.max(0, middle - turn)) * tall).toFixed(1), transform: `rotate(${(-angle).toFixed(1)} ${cx.toFixed(1)} ${cy.toFixed(1)})`, class: `cloud class-${classes.indexOf(labels[place]) % 10}` });
  });
  const dots = points.map(([a, b], place) => svg("circle", { cx: x(a).toFixed(1), cy: y(b).toFixed(1), r: 2.6, class: `dot class-${classes.indexOf(labels[place]) % 10}` }));
  const ring = prior && svg("ellipse", { cx: x(0), cy: y(0), rx: 2 * scale, ry: 2 * tall, class: "prior" });
  const clip = svg("clipPath", { id: "plane-clip" }, svg("rect", { x: left, y: top, width: right - left, height: bottom - top }));
  return chart(size, size, `Latent plane of ${row.label}`, clip, grid, svg("g", { "clip-path": "url(#plane-clip)" }, clouds, dots, ring),
    text((left + right) / 2, size - 8, `latent axis ${axes[0]}`, { class: "axis", "text-anchor": "middle" }),
    text(12, (top + bottom) / 2, `latent axis ${axes[1]}`, { class: "axis", "text-anchor": "middle", transform: `rotate(-90 12 ${(top + bottom) / 2})` }));
}

// Mean ranks, the length that makes a difference above them, and at the right a bar over rows of which no two differ.
function criticalDifference(found, width) {
  const { rows, critical, tied } = found, left = nameRoom(rows, width), lanes = [];
  const lane = tied.map(([from, to]) => {
    let place = lanes.findIndex((last) => last < from);
    if (place < 0) place = lanes.length;
    lanes[place] = to;
    return place;
  });
  const step = 24, top = 34, bottom = top + rows.length * step, right = width - 20 - Math.max(1, lanes.length) * 9;
  const domain = [0.8, Math.max(rows.length, 1 + critical) + 0.2], x = linear(domain, [left, right]);
  const { step: gap, values } = ticks(1, domain[1], Math.max(2, Math.floor((right - left) / 60)));
  const grid = values.map((value) => [lineFrom(x(value), top, x(value), bottom, { class: "grid" }), text(x(value), bottom + 16, tick(value, gap), { class: "tick", "text-anchor": "middle" })]);
  const scale = [lineFrom(x(1), 20, x(1 + critical), 20, { class: "clique" }), lineFrom(x(1), 15, x(1), 25, { class: "zero" }), lineFrom(x(1 + critical), 15, x(1 + critical), 25, { class: "zero" }),
    text(x(1), 11, `critical difference ${number(critical, 2)}`, { class: "tick" })];
  const marks = rows.map((row, place) => {
    const y = top + (place + 0.5) * step, dot = marker(row, x(row.mean), y, 5, true);
    dot.dataset.tip = `${row.label}: mean rank ${number(row.mean, 2)}`;
    return [rowName(row, left - 8, y + 4, left - 12), dot];
  });
  const bars = tied.map(([from, to], place) => lineFrom(right + 12 + lane[place] * 9, top + (from + 0.2) * step, right + 12 + lane[place] * 9, top + (to + 0.8) * step, { class: "clique" }));
  return interactive(chart(width, bottom + 42, `Mean ranks, ${found.title}`, grid, scale, marks, bars, axisTitle((left + right) / 2, bottom + 34, "mean rank, lower is better \u2190", width)));
}
