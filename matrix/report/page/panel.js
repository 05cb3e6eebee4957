// A cell, opened: what it found, why, what to do instead, the command that runs it again, and where it ran.

const panel = find("panel");
let cameFrom = null; // what has the focus again when the panel closes

// Terms and their values; those without a value are left out.
function definitions(pairs) {
  const list = make("dl");
  for (const [term, value] of pairs) {
    if (value !== "" && value !== null && value !== undefined)
      list.append(make("dt", {}, term), make("dd", {}, value.nodeType ? value : String(value)));
  }
  return list.children.length ? list : null;
}

function part(title, ...content) {
  const there = content.filter(Boolean);
  return there.length ? [make("h3", {}, title), ...there] : [];
}

async function copy(words, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(words);
  } catch {
    getSelection().selectAllChildren(button.previousElementSibling); // no clipboard for this page: the old way
    done = document.execCommand("copy");
  }
  button.textContent = done ? "Copied" : "Press Ctrl+C";
  setTimeout(() => (button.textContent = "Copy"), 2000);
}

function commandPart(cell) {
  const words = command(cell);
  const button = make(
    "button",
    {
      type: "button",
      class: "quiet",
      id: "copy",
      "aria-live": "polite",
      "aria-label": "Copy the command",
      onclick: () => {
        button.removeAttribute("aria-label");
        copy(words, button);
      },
    },
    "Copy",
  );
  return part("Run it again", make("div", { class: "command" }, make("code", { id: "command" }, words), button));
}

function causePart(cell) {
  const cause = causes.get(text("entry", cell));
  if (!cause) return [];
  const upstream = link(cause.link);
  return [
    make(
      "div",
      { class: "instead-block" },
      make("p", {}, make("b", {}, "Known: "), cause.cause),
      cause.instead && make("p", {}, make("b", {}, "Instead: "), cause.instead),
      make("p", {}, make("code", {}, cause.id), " ", upstream),
    ),
  ];
}

// A log lies beside the page where it was written; elsewhere the path is all there is.
function logLink(path) {
  const beside = path.startsWith("reports/") && !path.includes("..") && location.protocol === "file:";
  return beside
    ? make("a", { href: path.slice("reports/".length).split("/").map(encodeURIComponent).join("/") }, path)
    : path;
}

function wherePart(cell) {
  const context = report.contexts[text("context", cell)];
  if (!context) return [];
  const started = text("started", cell);
  return [
    ...part(
      "Where it ran",
      definitions([
        ["log", logLink(text("log", cell))],
        ["started", started && `${started}, ${text("seconds", cell)} s`],
        ["engine", context.engine],
        ["isolation", context.isolation],
        ["device", context.device],
        ["image", context.image],
        ["image id", context.image_id],
        ["base", context.base],
        ["artifact", text("artifact", cell)],
        ["sha256", text("sha256", cell)],
        ["run", text("run", cell)],
      ]),
    ),
    ...part("Versions", definitions(Object.entries(context.versions))),
    ...part("Host", definitions(Object.entries(context.host))),
  ];
}

// The same artifact and reader by the other ways.
function otherWays(cell) {
  if (text("role", cell) !== "consume") return [];
  const same = (other) =>
    other !== cell && ["producer", "environment", "role"].every((name) => text(name, other) === text(name, cell));
  const others = ofKind.get(text("kind", cell)).filter(same);
  return part(
    "The same by another way",
    ...others.map((other) =>
      make(
        "p",
        {},
        sign(state(other)),
        " ",
        make("a", { href: cellLink(other), "data-open": other }, `${text("way", other)}: ${state(other).title}`),
        text("reason", other) && ` ${text("reason", other)}`,
      ),
    ),
  );
}

function fillPanel(cell) {
  const of = state(cell);
  const kind = kindTitle.get(text("kind", cell)) ?? "";
  const role = text("role", cell);
  const title =
    role === "consume"
      ? `${label(text("producer", cell))} → ${label(text("environment", cell))}`
      : `${label(text("environment", cell))}${role === "produce" ? " writes" : ""}`;
  const under = [of.title, kind, text("way", cell)].filter(Boolean).join(" · ");
  const figures = text("figures", cell).map(([name, value]) => [name.replaceAll("_", " "), value]);
  panel.replaceChildren(
    make(
      "div",
      { class: "panel-top" },
      sign(of),
      make("div", {}, make("h2", { id: "panel-title", tabindex: -1 }, title), make("p", { class: "lead" }, under)),
      make("button", { type: "button", class: "quiet", onclick: () => panel.close() }, "Close"),
    ),
    make(
      "div",
      { class: "panel-body" },
      text("reason", cell)
        ? make("p", { class: "why-block" }, text("reason", cell))
        : make("p", { class: "lead" }, `${of.help}.`),
      ...causePart(cell),
      ...commandPart(cell),
      ...part("Measured", definitions(figures)),
      ...otherWays(cell),
      ...part("What it shows", text("text", cell) && make("div", { class: "text-block" }, text("text", cell))),
      ...wherePart(cell),
      ...part(
        "Cell",
        definitions([
          ["name", fullName(cell)],
          ["pytest", text("cell", cell)],
        ]),
      ),
    ),
  );
}

function openCell(cell, keepAddress = false) {
  if (!panel.open) cameFrom = document.activeElement;
  fillPanel(cell);
  view.cell = fullName(cell);
  if (!keepAddress) history.pushState(null, "", address(view));
  if (!panel.open) panel.showModal();
  panel.scrollTop = 0;
  find("panel-title").focus();
}

panel.addEventListener("close", () => {
  if (view.cell) {
    view.cell = "";
    history.replaceState(null, "", address(view));
  }
  if (cameFrom?.isConnected) cameFrom.focus();
});
panel.addEventListener("click", (event) => event.target === panel && panel.close()); // beside the panel
