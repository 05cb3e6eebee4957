// The report: cells by columns, each distinct value once. A cell is a number; text(name, cell) is what it says.

const report = JSON.parse(document.getElementById("data").textContent);

const columns = {};
for (const [name, packed] of Object.entries(report.columns)) {
  columns[name] = { values: packed.values, at: packed.at ?? new Uint8Array(report.count) };
}

const text = (name, cell) => columns[name].values[columns[name].at[cell]];
const stateOf = new Map(report.states.map((state, rank) => [state.id, { ...state, rank }]));
const state = (cell) => stateOf.get(text("state", cell));
const rank = columns.state.values.map((id) => stateOf.get(id).rank);
const rankOf = (cell) => rank[columns.state.at[cell]];
const worseFirst = (a, b) => rankOf(a) - rankOf(b) || a - b;

const fullName = (cell) => `${text("environment", cell)}/${report.short[columns.cell.at[cell]]}`;
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

// What runs this cell again: the same as Cell.command in model.py.
function command(cell) {
  if (text("state", cell) !== "no-record") return `nox -s repro -- ${quoted(text("bundle", cell) || fullName(cell))}`;
  if (text("role", cell) === "check") return `nox -s ${quoted(text("session", cell))}`;
  const environment = text("environment", cell);
  const words = [`producer=${text("producer", cell) || environment}`, `kind=${text("kind", cell)}`];
  if (text("role", cell) === "consume") words.push(`consumer=${environment}`, `way=${text("way", cell)}`);
  return `nox -s matrix -- --only ${words.join(" ")}`;
}

const kindTitle = new Map(report.kinds.map((kind) => [kind.id, kind.title]));
const causes = new Map(report.causes.map((cause) => [cause.id, cause]));

// An environment on an axis: 2.15, gpu 2.15, or keras3-jax.
function label(environment) {
  const [device, release] = environment.split(/-tf(.*)/s);
  if (!release) return environment.replace(/^cpu-/, "");
  return device === "cpu" ? release : `${device} ${release}`;
}

let names; // made when a link to a cell is first followed
function cellNamed(name) {
  names ??= new Map(Array.from({ length: report.count }, (_, cell) => [fullName(cell), cell]));
  return names.get(name);
}

// {kind: [cells that read or write it]}, and the environments' own checks under "".
const ofKind = new Map(["", ...report.kinds.map((kind) => kind.id)].map((id) => [id, []]));
for (let cell = 0; cell < report.count; cell++) {
  const kind = text("kind", cell);
  if (!ofKind.has(kind)) ofKind.set(kind, []);
  ofKind.get(kind).push(cell);
}

// What a sentence says of a cell: who wrote what, who reads it how.
function sentence(cell) {
  const role = text("role", cell);
  if (role === "check") return `${text("environment", cell)}: ${report.short[columns.cell.at[cell]]}`;
  const kind = kindTitle.get(text("kind", cell)) ?? text("kind", cell);
  if (role === "produce") return `${label(text("environment", cell))} writes ${kind}`;
  const who = `written by ${label(text("producer", cell))}, read by ${label(text("environment", cell))}`;
  return `${who}, ${text("way", cell)}, ${kind}`;
}

// An element with attributes and children; strings become text, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined || value === null) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const find = (id) => document.getElementById(id);
const sign = (of) => make("span", { class: `sign s-${of.id}`, "aria-hidden": "true" }, of.sign);
const many = (count, one, several = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : several}`;

// A link only where it leads to the web: a ledger is data, and "javascript:" is no place to go.
function link(address) {
  if (!address) return null;
  if (!/^https?:\/\//.test(address)) return make("span", {}, address);
  return make(
    "a",
    { href: address, rel: "noreferrer noopener", target: "_blank" },
    address.replace(/^https?:\/\//, ""),
  );
}
