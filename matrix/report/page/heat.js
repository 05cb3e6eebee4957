// The heatmaps: a card with two small ones for every format, and the chosen format's, a table for each way.

// The ways that are asked for, without those in which nobody reads the format.
function waysShown(kind) {
  return report.ways.filter((way) => (!view.way || way === view.way) && layout(kind, way).consumers.length);
}

// {producers, consumers, at: {"producer consumer": [cells, worst first]}, wrote: {producer: cell}} of a format and way.
function placed(kind, way) {
  const at = new Map();
  const wrote = new Map();
  for (const cell of ofKind.get(kind) ?? []) {
    if (text("role", cell) === "produce") wrote.set(text("environment", cell), cell);
    else if (text("way", cell) === way) {
      const place = `${text("producer", cell)} ${text("environment", cell)}`;
      if (at.has(place)) at.set(place, [...at.get(place), cell].sort(worseFirst));
      else at.set(place, [cell]);
    }
  }
  const rows = new Set([...at.keys()].map((place) => place.split(" ")[0]));
  const reads = new Set([...at.keys()].map((place) => place.split(" ")[1]));
  const producers = report.producers.filter((name) => rows.has(name) || wrote.has(name));
  return { at, wrote, producers, consumers: report.consumers.filter((name) => reads.has(name)) };
}

const layouts = new Map();
function layout(kind, way) {
  const key = `${kind} ${way}`;
  if (!layouts.has(key)) layouts.set(key, placed(kind, way));
  return layouts.get(key);
}

let colours; // of every state, as the style sheet has them in the theme that is on
function readColours() {
  colours = new Map();
  const probe = make("span", { hidden: true });
  document.body.append(probe);
  for (const { id } of report.states) {
    probe.className = `sign s-${id}`;
    const style = getComputedStyle(probe);
    colours.set(id, id === "no-record" ? style.color : style.backgroundColor);
  }
  probe.remove();
}

function drawSmall(canvas, kind, way) {
  const { at, producers, consumers } = layout(kind, way);
  const size = Math.max(producers.length, consumers.length) > 10 ? 4 : 12;
  canvas.width = Math.max(consumers.length, 1) * size;
  canvas.height = Math.max(producers.length, 1) * size;
  canvas.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
  const pen = canvas.getContext("2d");
  producers.forEach((producer, row) =>
    consumers.forEach((consumer, column) => {
      const cells = at.get(`${producer} ${consumer}`);
      if (!cells) return;
      pen.globalAlpha = cells.some((cell) => shown[cell]) ? 1 : 0.13;
      const side = size - size / 8;
      pen.fillStyle = pen.strokeStyle = colours.get(text("state", cells[0]));
      pen.lineWidth = size / 8;
      if (text("state", cells[0]) !== "no-record") pen.fillRect(column * size, row * size, side, side);
      else pen.strokeRect((column + 1 / 8) * size, (row + 1 / 8) * size, side - size / 8, side - size / 8); // a hole
    }),
  );
}

function counted(kind, way) {
  const counts = new Map();
  for (const cell of ofKind.get(kind)) {
    if (text("role", cell) === "consume" && text("way", cell) === way) {
      counts.set(text("state", cell), (counts.get(text("state", cell)) ?? 0) + 1);
    }
  }
  return counts;
}

function smallHeat(kind, way) {
  const counts = counted(kind, way);
  const total = [...counts.values()].reduce((a, b) => a + b, 0);
  const bad = [...counts].reduce((sum, [id, count]) => sum + (stateOf.get(id).bad ? count : 0), 0);
  const bar = make("span", { class: "bar", "aria-hidden": "true" });
  for (const { id } of report.states.toReversed()) {
    if (!counts.has(id)) continue;
    const part = make("i", { class: `s-${id}` });
    part.style.flexGrow = counts.get(id);
    bar.append(part);
  }
  const canvas = make("canvas", { "data-kind": kind, "data-way": way, "aria-hidden": "true" });
  if (!total) return make("span", { class: "way" }, make("span", {}, way), make("span", {}, "not planned"));
  const passed = `✓ ${(counts.get("passed") ?? 0).toLocaleString("en")} of ${total.toLocaleString("en")}`;
  return make(
    "span",
    { class: "way" },
    make("span", {}, way),
    canvas,
    bar,
    make("span", {}, passed),
    bad > 0 && make("span", { class: "bad" }, `${bad.toLocaleString("en")} bad`),
  );
}

function buildOverview() {
  find("overview").replaceChildren(
    ...report.kinds.map(({ id, title }) =>
      make(
        "button",
        { type: "button", class: "card", "data-kind": id, onclick: () => choose({ kind: id }, find("heat")) },
        make("strong", { title }, title),
        make("span", { class: "pair" }, ...report.ways.map((way) => smallHeat(id, way))),
      ),
    ),
  );
}

function drawOverview() {
  for (const card of find("overview").children) card.setAttribute("aria-pressed", card.dataset.kind === view.kind);
  for (const canvas of find("overview").querySelectorAll("canvas"))
    drawSmall(canvas, canvas.dataset.kind, canvas.dataset.way);
}

function cellBox(cells, row, column, first) {
  if (!cells)
    return make("td", {
      class: `none ${first}`,
      role: "gridcell",
      tabindex: -1,
      "data-row": row,
      "data-column": column,
      "aria-label": "not planned",
    });
  const [cell] = cells;
  const more = cells.length > 1 ? `, the worst of ${cells.length} cells` : "";
  return make(
    "td",
    {
      class: `s-${text("state", cell)} ${first}`,
      role: "gridcell",
      tabindex: -1,
      "data-cell": cell,
      "data-row": row,
      "data-column": column,
      "aria-label": `${sentence(cell)}: ${state(cell).title}${more}`,
    },
    state(cell).sign,
  );
}

// A table with one tab stop: `rows` and `heads` are [label, full name], `at(row, column)` the cells of a place.
function gridTable(title, rows, heads, at, wide) {
  const tall = heads.length > 12 || heads.some(([short]) => short.length > 5);
  const head = make(
    "tr",
    { role: "row" },
    make("td", { class: "gap" }),
    ...heads.map(([short, full]) =>
      make("th", { scope: "col", role: "columnheader", title: full }, make("span", { class: tall && "tall" }, short)),
    ),
  );
  const body = rows.map(([short, full], row) =>
    make(
      "tr",
      { role: "row" },
      make("th", { scope: "row", role: "rowheader", title: full, class: wide && "wide" }, short),
      ...heads.map((_, column) => cellBox(at(row, column), row, column, heads[column][0] === "wrote" ? "wrote" : "")),
    ),
  );
  const table = make(
    "table",
    { class: "grid", role: "grid", "aria-label": title, "aria-readonly": "true" },
    make("thead", { role: "rowgroup" }, head),
    make("tbody", { role: "rowgroup" }, ...body),
  );
  table.querySelector("td[data-row]")?.setAttribute("tabindex", 0);
  table.addEventListener("keydown", moveInGrid);
  return table;
}

function heat(kind, way) {
  const { at, wrote, producers, consumers } = layout(kind, way);
  const title = `${kindTitle.get(kind)}, ${way}: written by the row, read by the column`;
  const first = wrote.size ? [["wrote", "whether the release wrote it"]] : []; // one kind of file may be read as two
  const heads = [...first, ...consumers.map((name) => [label(name), name])];
  const place = (row, column) => {
    const producer = producers[row];
    if (column < first.length) return wrote.has(producer) ? [wrote.get(producer)] : undefined;
    return at.get(`${producer} ${consumers[column - first.length]}`);
  };
  const known = counted(kind, way).get("passed") ?? 0;
  const table = gridTable(
    title,
    producers.map((name) => [label(name), name]),
    heads,
    place,
  );
  return make(
    "div",
    { class: "heat" },
    make("h3", {}, `${way} `, make("span", { class: "lead" }, `${known.toLocaleString("en")} pass`)),
    make("div", { class: "scroll" }, table),
  );
}

// Cells as large as lets the ways stand beside each other, where that leaves them readable; else one above the other.
function fitCells(kind) {
  const columns = 1 + Math.max(1, ...report.ways.map((way) => layout(kind, way).consumers.length));
  const ways = waysShown(kind).length || 1;
  const size = (beside) => Math.floor(((find("heats").clientWidth + 28) / beside - 100) / columns) - 2;
  const fitting = size(ways) >= 22 ? size(ways) : Math.max(25, size(1));
  find("heats").style.setProperty("--cell", `${Math.min(38, fitting)}px`);
}

let drawn = "";
function drawHeat() {
  const key = `${view.kind} ${view.way}`;
  if (drawn !== key) {
    find("heat-title").textContent = kindTitle.get(view.kind) ?? "";
    find("heats").replaceChildren(...waysShown(view.kind).map((way) => heat(view.kind, way)));
    find("hint").textContent = "";
    fitCells(view.kind);
    drawn = key;
  }
  dimGrids();
}

function dimGrids() {
  for (const box of document.querySelectorAll(".grid td[data-cell]"))
    box.classList.toggle("dim", !shown[box.dataset.cell]);
}

function moveInGrid(event) {
  const box = event.target.closest("td[data-row]");
  if (!box) return;
  const table = event.currentTarget;
  const [row, column] = [Number(box.dataset.row), Number(box.dataset.column)];
  const last = { row: table.tBodies[0].rows.length - 1, column: table.tBodies[0].rows[0].cells.length - 2 };
  const far = event.ctrlKey || event.metaKey;
  const to = {
    ArrowUp: [far ? 0 : row - 1, column],
    ArrowDown: [far ? last.row : row + 1, column],
    ArrowLeft: [row, far ? 0 : column - 1],
    ArrowRight: [row, far ? last.column : column + 1],
    Home: [far ? 0 : row, 0],
    End: [far ? last.row : row, last.column],
    PageUp: [row - 10, column],
    PageDown: [row + 10, column],
  }[event.key];
  if (to) {
    const [r, c] = [Math.max(0, Math.min(last.row, to[0])), Math.max(0, Math.min(last.column, to[1]))];
    event.preventDefault();
    goTo(table.tBodies[0].rows[r].cells[c + 1]);
  } else if ((event.key === "Enter" || event.key === " ") && box.dataset.cell) {
    event.preventDefault();
    openCell(Number(box.dataset.cell));
  }
}

// The one tab stop of a grid goes with the focus.
function goTo(box) {
  for (const other of box.closest("table").querySelectorAll('td[tabindex="0"]')) other.setAttribute("tabindex", -1);
  box.setAttribute("tabindex", 0);
  box.focus();
}

function pointAt(box) {
  for (const head of document.querySelectorAll(".grid th.on")) head.classList.remove("on");
  if (!box) return;
  const table = box.closest("table");
  table.tHead.rows[0].cells[Number(box.dataset.column) + 1].classList.add("on");
  box.parentElement.cells[0].classList.add("on");
  if (box.closest("#heats")) {
    const cell = Number(box.dataset.cell);
    const why = text("reason", cell) ? `: ${text("reason", cell)}` : "";
    find("hint").replaceChildren(sign(state(cell)), ` ${sentence(cell)}: `, make("b", {}, state(cell).title), why);
  }
}
