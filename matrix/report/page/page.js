// Puts it together: the filters' fields, the theme, the address, and what is drawn when one of them changes.

const FIELDS = {
  "f-kind": "kind",
  "f-way": "way",
  "f-producer": "producer",
  "f-consumer": "consumer",
  "f-reason": "reason",
  "f-entry": "entry",
};

function choose(changed, target) {
  Object.assign(view, changed);
  history.replaceState(null, "", address(view));
  draw();
  target?.scrollIntoView({ block: "start" });
}

function draw() {
  const counts = filter();
  drawOutcomes(counts);
  drawCells();
  if (report.kinds.length) {
    drawOverview();
    drawHeat();
  } else dimGrids();
  for (const [id, name] of Object.entries(FIELDS)) if (find(id).value !== view[name]) find(id).value = view[name];
  find("f-all").checked = Boolean(view.all);
}

function buildFields() {
  find("f-kind").append(...report.kinds.map(({ id, title }) => make("option", { value: id }, title)));
  find("f-way").append(make("option", { value: "" }, "all"), ...report.ways.map((way) => make("option", {}, way)));
  const names = new Set([...report.producers, ...report.consumers].map(label));
  find("names").append(...[...names].map((name) => make("option", { value: name })));
  for (const [id, name] of Object.entries(FIELDS))
    find(id).addEventListener("input", () => choose({ [name]: find(id).value }));
  find("f-all").addEventListener("change", () => choose({ all: find("f-all").checked ? "1" : "" }));
  find("filters").addEventListener("submit", (event) => event.preventDefault());
  find("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    choose({ ...blank, kind: view.kind });
  });
}

function buildHead() {
  const bad = report.states.reduce(
    (sum, of) => sum + (of.bad ? columns.state.at.filter((at) => columns.state.values[at] === of.id).length : 0),
    0,
  );
  const total = many(report.count, "cell");
  find("headline").replaceChildren(
    sign(stateOf.get(bad ? "failed" : "passed")),
    bad ? `${bad.toLocaleString("en")} of ${total} are bad` : `None of ${total} is bad`,
  );
  const selected = report.selection.length ? `, of what was selected: ${report.selection.join(", ")}` : "";
  find("made").textContent = `Measured; report made ${report.made.replace("T", " ")}${selected}`;
  find("notes").replaceChildren(...(report.notes ?? []).map((note) => make("p", { class: "note" }, note)));
  find("footer").textContent =
    "Every figure comes from a record of a run: reports/report.json has them all, reports/junit.xml and report.md the same for other readers.";
}

// The theme: the system's, or the one that was chosen here.
const THEMES = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" };
function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  find("theme").textContent = THEMES[theme];
  readColours();
}

function buildTheme() {
  let theme = "";
  try {
    theme = localStorage.getItem("carryover-theme") ?? "";
  } catch {
    /* a page without storage keeps the system's */
  }
  setTheme(theme in THEMES ? theme : "");
  find("theme").addEventListener("click", () => {
    const order = Object.keys(THEMES);
    const next = order[(order.indexOf(document.documentElement.dataset.theme ?? "") + 1) % order.length];
    setTheme(next);
    drawOverview();
    try {
      localStorage.setItem("carryover-theme", next);
    } catch {
      /* as above */
    }
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColours();
    drawOverview();
  });
}

function listen() {
  document.addEventListener("click", (event) => {
    const box = event.target.closest(".grid td[data-cell], a[data-open]");
    if (!box || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (box.tagName === "TD") goTo(box);
    openCell(Number(box.dataset.cell ?? box.dataset.open));
  });
  for (const kind of ["mouseover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      const box = event.target.closest?.(".grid td[data-cell]");
      if (box) pointAt(box);
    });
  }
  addEventListener("hashchange", follow);
  addEventListener("popstate", follow);
  addEventListener("resize", () => view.kind && fitCells(view.kind));
}

// Show what the address says, if it says anything of the view. That this report has no such cell is told.
function follow() {
  if (!fromAddress()) return false;
  draw();
  const cell = view.cell ? cellNamed(view.cell) : undefined;
  if (cell !== undefined) openCell(cell, true);
  else if (panel.open) panel.close();
  if (view.cell && cell === undefined) {
    find("notes").append(make("p", { class: "note", role: "alert" }, `This report has no cell ${view.cell}.`));
    view.cell = "";
  }
  return true;
}

buildHead();
buildTheme();
find("matrix").hidden = !report.kinds.length;
find("f-all").parentElement.hidden = !report.kinds.length;
buildFields();
buildCauses();
buildOverview();
buildEnvironments();
buildSteps();
listen();
buildChanges();
if (!follow()) {
  view.kind = firstKind();
  draw();
}
document.documentElement.dataset.ready = "yes";
