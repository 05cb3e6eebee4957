// Everything that is a list: outcomes, cells, changes, known causes, the environments' checks, steps per second.

const PAGE = 100; // rows of a list at a time

function drawOutcomes(counts) {
  const chosen = new Set(view.outcome.split(",").filter(Boolean));
  const chips = report.states
    .filter(({ id }) => counts.has(id) || chosen.has(id))
    .map((of) =>
      make(
        "button",
        {
          type: "button",
          class: "chip",
          "data-state": of.id,
          "aria-pressed": String(chosen.has(of.id)),
          title: of.help,
          onclick: () => toggleOutcome(of.id),
        },
        sign(of),
        of.title,
        " ",
        make("b", {}, (counts.get(of.id) ?? 0).toLocaleString("en")),
      ),
    );
  const focused = document.activeElement?.dataset?.state;
  find("outcomes").replaceChildren(...chips);
  if (focused) find("outcomes").querySelector(`[data-state="${focused}"]`)?.focus();
}

function toggleOutcome(id) {
  const chosen = new Set(view.outcome.split(",").filter(Boolean));
  if (!chosen.delete(id)) chosen.add(id);
  choose({ outcome: [...chosen].join(",") });
}

// Rows up to `most` of `items`, and the button that shows more of them.
function fill(rows, more, items, row, most = PAGE) {
  rows.replaceChildren(...items.slice(0, most).map(row));
  more.hidden = items.length <= most;
  more.textContent = `Show ${Math.min(PAGE, items.length - most)} more of ${items.length.toLocaleString("en")}`;
  more.onclick = () => {
    fill(rows, more, items, row, most + PAGE);
    rows.children[most]?.querySelector("a")?.focus();
  };
}

const cellLink = (cell) => address({ ...view, cell: fullName(cell) });

function cellRow(cell) {
  const check = text("role", cell) === "check";
  const way = text("way", cell) ? `, ${text("way", cell)}` : "";
  const reads = text("role", cell) === "consume";
  const who = reads
    ? `${label(text("producer", cell))} → ${label(text("environment", cell))}`
    : label(text("environment", cell));
  const what = check
    ? report.short[columns.cell.at[cell]]
    : `${reads ? "" : "writes "}${kindTitle.get(text("kind", cell)) ?? ""}${way}`;
  return make(
    "li",
    {},
    make(
      "a",
      { href: cellLink(cell), "data-open": cell },
      sign(state(cell)),
      make("span", { class: "who" }, who),
      make("span", { class: "what" }, what),
      make(
        "span",
        { class: "why" },
        !text("reason", cell).startsWith(state(cell).title) && make("span", { class: "what" }, state(cell).title),
        text("reason", cell),
      ),
    ),
  );
}

function drawCells() {
  const narrowed = view.outcome || view.way || view.producer || view.consumer || view.reason || view.entry;
  const from =
    view.all || !report.kinds.length ? Array.from({ length: report.count }, (_, cell) => cell) : ofKind.get(view.kind);
  const cells = from.filter((cell) => shown[cell]).sort(worseFirst);
  find("cells-count").textContent = `${many(cells.length, "cell")}${narrowed ? " that the filters let through" : ""}`;
  fill(find("cells-rows"), find("cells-more"), cells, cellRow, 25);
}

function changeRow([what, name, before, after, reason]) {
  const cell = cellNamed(name);
  const was = before ? stateOf.get(before).title : "not there";
  const now = after ? stateOf.get(after).title : "not there";
  return make(
    "li",
    {},
    make(
      "a",
      cell === undefined ? {} : { href: cellLink(cell), "data-open": cell },
      after ? sign(stateOf.get(after)) : make("span", {}),
      make("b", {}, what),
      make("span", { class: "what" }, `${was} → ${now}`),
      make("span", { class: "why" }, make("span", { class: "who" }, name), " ", reason),
    ),
  );
}

function buildChanges() {
  if (!report.against) return;
  const counts = new Map();
  for (const [what] of report.changes) counts.set(what, (counts.get(what) ?? 0) + 1);
  const summed = [...counts].map(([what, count]) => `${count.toLocaleString("en")} × ${what}`).join(", ");
  find("changes-sum").textContent = `Since the report of ${report.against}: ${summed || "nothing"}.`;
  fill(find("changes-rows"), find("changes-more"), report.changes, changeRow, 12);
  find("changes").hidden = false;
}

function buildCauses() {
  const counts = new Map();
  for (let cell = 0; cell < report.count; cell++) {
    const entry = text("entry", cell);
    if (entry) counts.set(entry, (counts.get(entry) ?? 0) + 1);
  }
  const sorted = [...causes.values()].sort((a, b) => counts.get(b.id) - counts.get(a.id));
  find("causes").hidden = !sorted.length;
  find("causes-rows").replaceChildren(
    ...sorted.map(({ id, cause, link: upstream, instead }) =>
      make(
        "article",
        { class: "cause" },
        make(
          "div",
          { class: "many" },
          (counts.get(id) ?? 0).toLocaleString("en"),
          make("small", {}, counts.get(id) === 1 ? "cell" : "cells"),
        ),
        make(
          "div",
          {},
          make("p", {}, cause),
          instead && make("p", { class: "instead" }, "Instead: ", instead),
          make(
            "div",
            { class: "line" },
            make(
              "button",
              { type: "button", class: "quiet", onclick: () => choose({ entry: id, all: "1" }, find("cells-title")) },
              "Show these cells",
            ),
            upstream && link(upstream),
            make("code", { class: "lead" }, id),
          ),
        ),
      ),
    ),
  );
  find("f-entry").append(
    make("option", { value: "" }, "all"),
    ...sorted.map(({ id }) => make("option", { value: id }, `${id} (${counts.get(id)})`)),
  );
}

function buildEnvironments() {
  const cells = ofKind.get("") ?? [];
  if (!cells.length) return;
  const at = new Map();
  const rows = new Map();
  for (const cell of cells) {
    const check = report.short[columns.cell.at[cell]];
    rows.set(check, [check, check]);
    at.set(`${text("environment", cell)} ${check}`, [cell]);
  }
  const order = report.consumers.concat(report.producers, columns.environment.values);
  const here = [...new Set(order)].filter((name) => cells.some((cell) => text("environment", cell) === name));
  const checks = [...rows.values()];
  const place = (row, column) => at.get(`${here[column]} ${checks[row][0]}`);
  const table = gridTable(
    "The environments' own cells: checks by release",
    checks,
    here.map((name) => [label(name), name]),
    place,
    true,
  );
  find("environments-grid").replaceChildren(make("div", { class: "scroll" }, table));
  find("environments").hidden = false;
}

// Steps per second of every mode (a row) in every release (a column), with a bar of how they compare, for one batch size.
function stepsTable(batch) {
  const { rows, unsupported } = report.steps;
  const here = rows.filter((row) => row.batch === batch);
  const most = Math.max(...here.map((row) => row.steps_per_second.median));
  const releases = [...new Set(here.map((row) => row.release))];
  const at = new Map(here.map((row) => [`${row.release} ${row.mode}`, row]));
  const why = new Map(unsupported.map((row) => [`${row.release} ${row.mode}`, row.reason]));
  const box = (release, mode) => {
    const row = at.get(`${release} ${mode}`);
    if (!row) return make("td", { class: "lead", title: why.get(`${release} ${mode}`) }, "–");
    const bar = make("i");
    bar.style.inlineSize = `${(100 * row.steps_per_second.median) / most}%`;
    const rate = row.steps_per_second.median.toLocaleString("en", { maximumSignificantDigits: 3 });
    return make("td", {}, `${rate} `, make("small", {}, `× ${row.ratio.median.toFixed(2)}`), make("span", {}, bar));
  };
  const names = releases.map((release) => make("th", { scope: "col" }, release));
  const body = [...new Set(here.map((row) => row.mode))].map((mode) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, mode.replaceAll("_", " ")),
      ...releases.map((release) => box(release, mode)),
    ),
  );
  return make(
    "table",
    { class: "steps" },
    make("caption", {}, `batches of ${batch.toLocaleString("en")}`),
    make("thead", {}, make("tr", {}, make("th", {}, ""), ...names)),
    make("tbody", {}, ...body),
  );
}

function buildSteps() {
  const { steps } = report;
  if (!steps) return;
  const of = `${steps.reference.mode.replaceAll("_", " ")} of ${steps.reference.release}`;
  find("steps-lead").textContent =
    `Medians of ${many(steps.rounds, "round")} side by side on ${many(steps.threads, "thread")} (${steps.host.processor}), and how many times the rate of the ${of}.`;
  find("steps-table").replaceChildren(...[...new Set(steps.rows.map((row) => row.batch))].map(stepsTable));
  find("steps").hidden = false;
}
