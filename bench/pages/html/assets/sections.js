// The sections: each fills its own element from the state.
const bodyOf = (id) => byId(id).querySelector(".body");
const widthOf = (id) => Math.max(280, Math.floor(bodyOf(id).clientWidth));
const charted = (...content) => el("div", { class: "plot" }, ...content);

function set(changes) {
  Object.assign(state, changes);
  writeAddress();
  draw();
}

// Scores --------------------------------------------------------------------------------------------------------------
const shownColumns = () => group().columns.map((column, place) => ({ ...column, place }))
  .filter((column) => state.t === "All" || column.theme === state.t);

function sortedRows() {
  const rows = visibleRows(), [key, order] = [state.s.replace(/^-/, ""), state.s.startsWith("-") ? -1 : 1];
  if (!key) return rows;
  if (key === "label") return [...rows].sort((a, b) => order * (a.label < b.label ? -1 : a.label > b.label ? 1 : 0));
  const value = (row) => (key === "runs" ? row.ok : (cellOf(row, key) || [null])[0]);
  return [...rows].sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    return order * (x - y);
  });
}

function heading(key, words, explained, first) {
  const own = state.s.replace(/^-/, "") === key, down = state.s.startsWith("-");
  const better = (group().columns.find((column) => column.key === key) || {}).better;
  const start = better === "higher" || key === "runs" ? "-" : "";
  const next = own ? (down ? key : `-${key}`) : start + key;
  const sort = own ? (down ? "descending" : "ascending") : null;
  const arrow = own ? (down ? " \u25bc" : " \u25b2") : "";
  return el("th", { scope: "col", "aria-sort": sort, class: first ? "frozen" : null },
    el("button", { type: "button", title: explained, "data-sort": key, onclick: () => { set({ s: next }); byId("scores").querySelector(`[data-sort="${CSS.escape(key)}"]`).focus(); } }, words, arrow));
}

function scoreCell(cell) {
  if (!cell) return el("td", { class: "muted" }, DASH);
  const [, words, mark] = cell, [value, ...rest] = words.split(" \u00b1 ");
  const half = rest.length ? el("span", { class: "muted" }, ` \u00b1 ${rest.join("")}`) : null;
  const sign = mark === "best" ? el("span", { class: "star", title: "best or tied with the best" }, " \u2605") : mark === "learning" ? el("span", { title: "still learning" }, " \u2020") : null;
  return el("td", { class: mark || null }, mark === "best" ? el("strong", {}, signed(value)) : signed(value), half, sign);
}

function drawScores() {
  const columns = shownColumns(), rows = sortedRows(), base = group();
  const head = el("tr", {}, heading("label", "variant", "", true), heading("runs", "runs", "runs that are ok, of all"),
    columns.map((column) => heading(column.key, column.header, column.says)));
  const lines = rows.map((row) => el("tr", {}, el("th", { scope: "row", class: "frozen" }, row.label),
    el("td", { class: row.ok < row.total ? "bad" : null }, row.count), columns.map((column) => scoreCell(row.cells[column.place]))));
  const marks = new Set(rows.flatMap((row) => columns.map((column) => (row.cells[column.place] || [])[2])));
  const legend = [
    marks.has("best") && "\u2605 the best, and every row that the seeds do not tell from it. ",
    marks.has("learning") && "\u2020 still learning: none of these rows can be called the best yet. ",
    "\u00b1 half the 95 % interval over seeds. Press a heading to sort.",
  ];
  const copies = [["Markdown", copiedMarkdown], ["LaTeX", copiedLatex], ["CSV", copiedCsv]].map(([form, make]) =>
    el("button", { type: "button", "data-copy": form, onclick: () => copy(make(), form) }, form));
  bodyOf("scores").replaceChildren(
    note(legend, base.of > base.rows.length ? ` The first ${base.rows.length} of ${base.of} rows; tables/ has all.` : ""),
    region("Table of scores", el("table", { class: "scores" }, el("thead", {}, head), el("tbody", {}, lines))),
    el("p", { class: "copies" }, "Copy this table as ", copies, " ", el("output", { id: "copied", class: "muted small" })),
  );
}

// The table as it is shown: headers, and lines of texts with their marks.
function shownTable() {
  const columns = shownColumns();
  return {
    headers: ["variant", "runs", ...columns.map((column) => column.header)],
    lines: sortedRows().map((row) => [[row.label], [row.count], ...columns.map((column) => {
      const cell = row.cells[column.place];
      return cell ? [cell[1] + (cell[2] === "learning" ? " \u2020" : ""), cell[2] === "best"] : [DASH];
    })]),
  };
}
function copiedMarkdown() {
  const safe = (words) => words.replace(/([\\|*_<>`[\]])/g, "\\$1");
  const { headers, lines } = shownTable();
  const rows = [headers.map(safe), ["---", ...headers.slice(1).map(() => "---:")], ...lines.map((line) => line.map(([words, best]) => (best ? `**${safe(words)}**` : safe(words))))];
  return rows.map((row) => `| ${row.join(" | ")} |\n`).join("");
}
const LATEX = {
  "\\": "\\textbackslash{}", "&": "\\&", "%": "\\%", $: "\\$", "#": "\\#", _: "\\_", "{": "\\{", "}": "\\}", "~": "\\textasciitilde{}",
  "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}", "\u00b1": "$\\pm$", "\u2191": "$\\uparrow$", "\u2193": "$\\downarrow$", "\u2020": "$\\dagger$", "\u2013": "--", '"': "''",
};
function copiedLatex() {
  const safe = (words) => words.replace(/[\\&%$#_{}~^<>|\u00b1\u2191\u2193\u2020\u2013"]/g, (mark) => LATEX[mark]).replace(/(^|[^\w.-])-(?=\d)/g, "$1$-$");
  const { headers, lines } = shownTable();
  const rows = lines.map((line) => line.map(([words, best]) => (best ? `\\textbf{${safe(words)}}` : safe(words))).join(" & ") + " \\\\");
  return ["% Needs \\usepackage{booktabs}.", `\\begin{tabular}{l${"r".repeat(headers.length - 1)}}`, "\\toprule", headers.map(safe).join(" & ") + " \\\\", "\\midrule", ...rows, "\\bottomrule", "\\end{tabular}", ""].join("\n");
}
function copiedCsv() {
  // No text in a cell is a formula to a spreadsheet.
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    const words = typeof value === "string" && /^[=+@-]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(words) ? `"${words.replace(/"/g, '""')}"` : words;
  };
  const columns = shownColumns();
  const headers = ["variant", "ok", "runs", ...columns.flatMap((column) => [column.key, `${column.key}_half_width`])];
  const lines = sortedRows().map((row) => [row.label, row.ok, row.total, ...columns.flatMap((column) => {
    const found = row.cells[column.place];
    return found ? [found[0], found[3]] : [null, null];
  })]);
  return [headers, ...lines].map((line) => line.map(cell).join(",") + "\n").join("");
}
async function copy(words, form) {
  const told = () => byId("copied");
  try {
    await navigator.clipboard.writeText(words);
    told().textContent = `${form} copied.`;
  } catch {
    const area = el("textarea", { "aria-label": `${form} of the table`, rows: "8" }, words);
    told().replaceChildren("Copy it from here: ", area);
    area.select();
  }
}

// Plots of the chosen metric ------------------------------------------------------------------------------------------
function measuredRows(metric) {
  const rows = visibleRows().filter((row) => seedsOf(row, metric).length), better = metricOf(metric).better;
  const value = (row) => cellOf(row, metric)[0];
  if (better) rows.sort((a, b) => (better === "lower" ? value(a) - value(b) : value(b) - value(a)));
  return rows;
}
const cut = (rows) => (rows.length > MOST_DRAWN ? note(`The first ${MOST_DRAWN} of ${rows.length} rows. The filter above chooses others.`) : null);

function drawSeeds() {
  const metric = chosenMetric(), rows = measuredRows(metric);
  if (!rows.length) return bodyOf("seeds").replaceChildren(note("No run that is shown has this figure."));
  return bodyOf("seeds").replaceChildren(
    note("Each mark is one training run; the bar is the mean, the line its 95 % interval. A row far from the others is named at the edge. Press a mark for its record; arrow keys go from one to the next."),
    charted(seedChart(rows.slice(0, MOST_DRAWN), metric, widthOf("seeds"))), cut(rows) || "",
    rows.some((row) => row.runs.length < row.total) ? note("Only the first runs of each row are drawn and listed, to keep this page small; means and intervals are of all. runs/ has every record.") : "");
}

const differ = (values) => Math.max(...values) > 1.01 * Math.min(...values);
function drawSpeed() {
  const metric = chosenMetric(), rows = measuredRows(metric).slice(0, MOST_DRAWN);
  const costs = group().columns.filter((column) => column.theme === "Cost" && differ(rows.map((row) => (cellOf(row, column.key) || [0])[0]).filter((value) => value > 0)));
  if (!costs.length || !metric) return bodyOf("speed").replaceChildren(note("No two rows differ in a cost that was measured."));
  const preferred = costs.find((column) => column.metric === "train_samples_per_s") || costs[0];
  const column = costs.find((each) => each.key === state.x) || preferred;
  return bodyOf("speed").replaceChildren(
    el("p", {}, choice("Cost", costs.map((each) => [each.key, each.header]), column.key, (value) => set({ x: value }))),
    note(`${sentenceCase(column.says)}.`, metricOf(metric).better ? " Filled: on the Pareto front, no other variant is both better and surely cheaper. Lines: 95 % interval, and quartiles of the speed." : ""),
    charted(scatter(rows, metric, column, widthOf("speed"))));
}

// Compare two ---------------------------------------------------------------------------------------------------------
function drawCompare() {
  const all = group().rows, paired = all.slice(0, group().paired).filter((row) => row.ok);
  if (paired.length < 2) return bodyOf("compare").replaceChildren(note("There are no two rows to compare."));
  const find = (label, other) => paired.find((row) => row.label === label) || paired.find((row) => row !== other);
  const base = find(state.b, null) === paired[0] && !state.b ? paired.find((row) => row.label === "vanilla") || paired[1] : find(state.b, null);
  const row = state.a && state.a !== base.label ? find(state.a, base) : paired.find((each) => each !== base);
  const options = paired.map((each) => [each.label, each.label]);
  const pair = group().pairs[`${all.indexOf(row)},${all.indexOf(base)}`] || {};
  const sentences = Object.entries(pair).map(([metric, told]) => el("li", { "data-metric": metric, class: told[3].replace(/ /g, "-") }, told[4]));
  const metric = chosenMetric(), drawn = metric && metricOf(metric).ranked ? forest(visibleRows().slice(0, MOST_DRAWN), base, metric, widthOf("compare")) : null;
  return bodyOf("compare").replaceChildren(
    el("p", { class: "question" }, choice("Is", options, row.label, (value) => set({ a: value })), " ", choice("better than", options, base.label, (value) => set({ b: value })), " ?"),
    sentences.length ? el("div", { class: "sentences" }, el("p", { class: "head" }, `${row.label} against ${base.label} on ${group().where}: `), el("ul", {}, sentences)) : note("They have no ranked figure in common."),
    group().of > group().paired ? note(`Only the best ${group().paired} of ${group().of} rows are compared here; vaebench compare does it for any two.`) : "",
    drawn ? el("h3", {}, `All against ${base.label}`) : "", drawn ? charted(drawn) : "");
}

// Still learning? -----------------------------------------------------------------------------------------------------
function drawLearning() {
  const rows = visibleRows().filter((row) => row.curve).slice(0, MOST_DRAWN);
  const gains = visibleRows().filter((row) => row.gain !== null);
  const timed = rows.some((row) => row.curve.seconds && row.curve.epochs.length > 1);
  const plot = curves(rows, timed && state.c === "seconds", widthOf("learning"));
  const parts = [];
  if (timed) parts.push(el("p", {}, choice("Against", [["epoch", "epochs"], ["seconds", "seconds of training"]], state.c, (value) => set({ c: value }))));
  if (plot) parts.push(note("Line: mean over seeds; band: lowest to highest seed. The earliest epochs may lie below the axis.", timed && state.c === "seconds" ? " Seconds are of training alone, an equal share for each epoch." : ""), charted(plot));
  else parts.push(note(rows.length ? "One epoch is no curve." : "No run that is shown kept a curve of its ELBO."));
  const leaders = leadersOf(rows);
  if (leaders) parts.push(el("p", { class: "small" }, leaders));
  if (gains.length) {
    const order = [...gains].sort((a, b) => b.gain - a.gain), most = order[0], least = order[order.length - 1];
    parts.push(el("p", {}, order.length > 1
      ? `At its end, training still gained ${number(most.gain, 2)} nats a doubling for ${most.label}, and ${number(least.gain, 2)} for ${least.label}. Verdicts that this may reverse are held back.`
      : `At its end, training still gained ${number(most.gain, 2)} nats a doubling.`));
  }
  return bodyOf("learning").replaceChildren(...parts);
}
function leadersOf(rows) {
  const full = rows.filter((row) => row.curve.epochs.length > 1);
  if (full.length < 2) return "";
  const epochs = full[0].curve.epochs.filter((epoch) => full.every((row) => row.curve.epochs.includes(epoch)));
  const runs = [];
  for (const epoch of epochs) {
    const ahead = full.reduce((best, row) => (row.curve.mean[row.curve.epochs.indexOf(epoch)] > best.curve.mean[best.curve.epochs.indexOf(epoch)] ? row : best));
    const last = runs[runs.length - 1];
    if (last && last.row === ahead) last.to = epoch;
    else runs.push({ row: ahead, from: epoch, to: epoch });
  }
  const words = runs.map(({ row, from, to }) => `${row.label} ${from === to ? `in epoch ${from}` : `in epochs ${from} to ${to}`}`);
  return runs.length > 8 ? `The highest mean changed hands ${runs.length - 1} times.` : `Highest mean: ${words.join(", then ")}.`;
}

// Latent space --------------------------------------------------------------------------------------------------------
function drawLatent() {
  const rows = visibleRows().slice(0, MOST_DRAWN), width = widthOf("latent"), parts = [];
  if (rows.some((row) => row.kl.length)) {
    parts.push(el("h3", {}, "Which dimensions are used"), note("KL of each latent dimension, sorted within each seed, mean over seeds: the stronger the colour, the more. Outlined: 0.01 nats or less, collapsed onto the prior."), charted(heatMap(rows, width)));
  }
  const gaps = gapBars(rows, width);
  if (gaps) parts.push(el("h3", {}, "What inference loses"), note("log p(x) minus the ELBO, split into what the family of posteriors costs and what the encoder costs. A weak decoder has a small gap, so this ranks nothing."), charted(gaps));
  const rate = rateDistortion(rows, width);
  if (rate) parts.push(el("h3", {}, "Rate and distortion"), note("Along a grey line the ELBO is the same: a model only trades one for the other. Further to the lower left is better."), charted(rate));
  const planes = rows.filter((row) => row.plane);
  if (planes.length) {
    const row = planes.find((each) => each.label === state.l) || planes[0];
    const [a, b] = row.plane.axes;
    parts.push(el("h3", {}, "Where the codes lie"), el("p", {}, choice("Variant", planes.map((each) => [each.label, each.label]), row.label, (value) => set({ l: value }))),
      note(`Test examples on latent axes ${a} and ${b}, whose means vary most, coloured by class. Ellipses: two standard deviations of q(z|x).`, row.plane.prior ? " Dashed: the same of the prior." : "", " First seed that kept any."), classLegend(row), charted(plane(row, width)));
  }
  if (rows.some((row) => row.norms.length > 1)) {
    parts.push(el("h3", {}, "Aggregated posterior and prior"), note("Quantiles of the length of z: draws from q(z|x) of all test examples against draws from the prior. On the dashed line both are the same; above it codes lie further out than samples ever start from."),
      charted(diagonal(rows, "norms", ["length of z from the prior", "length of z from q(z|x)", "Aggregated posterior against prior"], width)));
  }
  if (rows.some((row) => row.reliability.length > 1)) {
    parts.push(el("h3", {}, "Are the pixels' probabilities right?"), note("How often a pixel is 1 against the probability that the decoder gave it, test examples, by bins of that probability. On the dashed line they agree."),
      charted(diagonal(rows, "reliability", ["probability by the decoder", "share of ones", "Reliability"], width, 0)));
  }
  const classed = rows.filter((row) => row.classes.length > 1 && row.classes.length <= 20);
  if (classed.length) {
    const names = classed[0].classes.map(([label]) => label);
    parts.push(el("h3", {}, "ELBO by class"), note("Mean over the test examples of a class that were looked at, one draw each, in nats."),
      region("ELBO by class", el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "variant"), names.map((label) => el("th", { scope: "col" }, className(label))))),
        el("tbody", {}, classed.map((row) => el("tr", {}, el("th", { scope: "row" }, row.label), names.map((label) => el("td", {}, number((row.classes.find(([each]) => each === label) || [0, null])[1], 1)))))))));
  }
  if (!parts.length) parts.push(note("Nothing was measured of the latent space of these rows."));
  return bodyOf("latent").replaceChildren(...parts);
}

function classLegend(row) {
  const classes = [...new Set(row.plane.labels)].sort((a, b) => a - b);
  if (classes.length < 2 || classes.length > 10) return "";
  return el("p", { class: "classes small" }, "Class: ", classes.map((each, place) =>
    el("span", {}, svg("svg", { viewBox: "0 0 10 10", width: 10, height: 10, "aria-hidden": "true" }, svg("circle", { cx: 5, cy: 5, r: 4.5, class: `dot class-${place}` })), ` ${group().class_names[each] ?? each} `)));
}
const className = (label) => group().class_names[label] ?? `class ${label}`;

// Pictures ------------------------------------------------------------------------------------------------------------
function drawPictures() {
  const sheets = group().sheets, kinds = Object.entries(FACTS.kinds).filter(([kind]) => sheets.some((sheet) => sheet.kind === kind));
  if (!kinds.length) return bodyOf("pictures").replaceChildren(note(FACTS.left_out ? `${FACTS.left_out} pictures were left out to keep this page small; plots/ has them.` : "These runs kept no pictures."));
  const kind = kinds.some(([each]) => each === state.p) ? state.p : kinds[0][0];
  const order = visibleRows().map((row) => row.label);
  const of = (label) => sheets.find((sheet) => sheet.kind === kind && sheet.label === label);
  const labels = order.filter(of), data = sheets.find((sheet) => sheet.kind === "data");
  const options = [["", "all"], ...labels.map((label) => [label, label])];
  const chosen = [state.pa, state.pb].filter((label) => labels.includes(label));
  const shown = [data, ...(chosen.length ? chosen : labels).map(of)].filter(Boolean);
  const without = order.filter((label) => !of(label));
  const two = chosen.length === 2 && FACTS.same_inputs.includes(kind) ? chosen.map(of) : null;
  return bodyOf("pictures").replaceChildren(
    el("p", { class: "question" }, choice("Show", kinds, kind, (value) => set({ p: value })), " ", choice("of", options, chosen.length ? state.pa : "", (value) => set({ pa: value, pb: value ? state.pb : "" })),
      state.pa ? [" ", choice("beside", options.filter(([value]) => value !== state.pa), state.pb, (value) => set({ pb: value }))] : ""),
    note("Of the first seed that kept any, not picked by eye. Pixels are those of the model, enlarged."),
    el("div", { class: `sheets${chosen.length ? " few" : ""}` }, shown.map((sheet) => el("figure", {}, el("img", { src: sheet.uri, alt: sheet.alt, width: sheet.size[0], height: sheet.size[1] }), el("figcaption", {}, sheet.label || "data"))), two ? difference(...two) : ""),
    without.length && kind === "samples" ? note(`Without samples: ${without.join(", ")}: a model that was trained to no prior, or whose runs kept none.`) : "",
    FACTS.left_out ? note(`${FACTS.left_out} pictures were left out to keep this page small; plots/ has them.`) : "");
}

// One sheet minus another of the same inputs.
const READ = { willReadFrequently: true };
function difference(a, b) {
  const [width, height] = a.size, canvas = el("canvas", { width, height, role: "img", "aria-label": `${a.label} minus ${b.label}` });
  const words = el("figcaption", {}, `${a.label} minus ${b.label}: orange where ${a.label} is brighter, blue where it is darker, twice as strong`);
  if (width === b.size[0] && height === b.size[1]) Promise.all([a, b].map(pixelsOf)).then(([one, other]) => {
    const context = canvas.getContext("2d", READ), made = context.createImageData(width, height);
    for (let at = 0; at < one.length; at += 4) {
      const far = (one[at] + one[at + 1] + one[at + 2] - other[at] - other[at + 1] - other[at + 2]) / 3;
      made.data.set([...(far > 0 ? [217, 122, 18] : [42, 127, 191]), Math.min(255, 2 * Math.abs(far))], at);
    }
    context.putImageData(made, 0, 0);
  });
  return el("figure", { class: "difference" }, canvas, words);
}
async function pixelsOf(sheet) {
  const image = new Image(), [width, height] = sheet.size;
  image.src = sheet.uri;
  await image.decode();
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", READ);
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, width, height).data;
}

// Over data sets ------------------------------------------------------------------------------------------------------
function drawRanks() {
  for (const place of document.querySelectorAll(".critical")) place.replaceChildren(criticalDifference(FACTS.ranks[place.dataset.place], Math.min(760, Math.max(280, place.clientWidth))));
}

// Runs ----------------------------------------------------------------------------------------------------------------
function drawRuns() {
  if (!byId("runs").open) return;
  const metric = chosenMetric(), rows = visibleRows(), most = 1000;
  const lines = rows.flatMap((row) => row.runs.map((run) => el("tr", {},
    el("th", { scope: "row" }, el("button", { type: "button", class: "plain", onclick: () => showRun(row, run) }, `${row.label}, seed ${run.seed}`)),
    el("td", { class: run.status === "ok" ? null : "bad" }, run.status),
    el("td", {}, metric in run.values ? number(run.values[metric], metricOf(metric).digits + 1) : DASH), el("td", {}, run.commit), el("td", {}, run.started || DASH), el("td", {}, run.device)))).slice(0, most);
  byId("runs-body").replaceChildren(region("Table of runs", el("table", {}, el("thead", {}, el("tr", {}, ["run", "status", metricOf(metric).header, "commit", "started", "machine"].map((words) => el("th", { scope: "col" }, words)))), el("tbody", {}, lines))));
}
