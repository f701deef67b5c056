// The filters, and when what is drawn.
function drawFilters() {
  const metric = chosenMetric(), names = group().metrics;
  const groupOf = (theme) => names.filter((name) => metricOf(name).theme === theme);
  const themes = [...new Set(group().columns.map((column) => column.theme)), "All"];
  byId("group").value = group().id;
  byId("metric").replaceChildren(...[...new Set(names.map((name) => metricOf(name).theme))].map((theme) =>
    el("optgroup", { label: theme }, groupOf(theme).map((name) => el("option", { value: name, selected: name === metric }, metricOf(name).header)))));
  if (!themes.includes(state.t)) state.t = themes[0];
  byId("theme").replaceChildren(...themes.map((theme) => el("option", { value: theme, selected: theme === state.t }, theme)));
  if (byId("rows").value !== state.q) byId("rows").value = state.q;
  const shown = visibleRows().length, all = group().rows.length;
  byId("shown").textContent = shown < all ? `${shown} of ${all} rows` : `${all} row${all === 1 ? "" : "s"}`;
  for (const answer of document.querySelectorAll(".answer")) answer.hidden = answer.dataset.group !== group().id;
}

function draw() {
  hideTip();
  drawFilters();
  for (const each of [drawScores, drawSeeds, drawSpeed, drawCompare, drawLearning, drawLatent, drawPictures, drawRanks, drawRuns]) each();
}

function start() {
  readAddress();
  byId("group").addEventListener("change", (event) => set({ g: event.target.value, s: "", a: "", b: "", l: "", pa: "", pb: "" }));
  byId("metric").addEventListener("change", (event) => set({ m: event.target.value }));
  byId("theme").addEventListener("change", (event) => set({ t: event.target.value, s: "" }));
  byId("rows").addEventListener("input", (event) => set({ q: event.target.value }));
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("reset").addEventListener("click", () => set({ ...DEFAULTS, g: state.g }));
  byId("runs").addEventListener("toggle", drawRuns);
  // A link within the page must not take the place of the state in its address.
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]'), target = link && byId(link.getAttribute("href").slice(1));
    if (!target) return;
    event.preventDefault();
    if (target.tagName === "DETAILS") target.open = true;
    target.setAttribute("tabindex", "-1");
    target.focus({ preventScroll: true });
    target.scrollIntoView();
  });
  addEventListener("hashchange", () => { readAddress(); draw(); });
  let last = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== last) { last = innerWidth; draw(); } });
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details[data-printed]:not([open])")];
    for (const drawer of opened) drawer.open = true;
  });
  addEventListener("afterprint", () => { for (const drawer of opened) drawer.open = false; });
  draw();
}
start();
