// What is shown: the filters, the address that keeps them, and which cells they let through.

const blank = { kind: "", way: "", producer: "", consumer: "", reason: "", entry: "", outcome: "", all: "", cell: "" };
const view = { ...blank };
const shown = new Uint8Array(report.count); // 1 where a cell passes every filter; the format is none: all are drawn

function firstKind() {
  let best = report.kinds[0]?.id ?? "";
  let worst = 0;
  for (const { id } of report.kinds) {
    const bad = ofKind.get(id).filter((cell) => state(cell).bad).length;
    if (bad > worst) [best, worst] = [id, bad];
  }
  return best;
}

// From the words of a field to a test of environments: `2.1` means 2.1 where there is one, else whatever has it in it.
function wanted(words, environments) {
  const asked = words
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean);
  if (!asked.length) return () => true;
  const exact = new Set(environments.flatMap((name) => [name, label(name)]));
  return (name) =>
    asked.some((word) => (exact.has(word) ? name === word || label(name) === word : name.toLowerCase().includes(word)));
}

const tested = (name, test) => columns[name].values.map((value) => (test(value) ? 1 : 0));

function filter() {
  const everyone = [...new Set([...report.producers, ...report.consumers, ...columns.environment.values])];
  const outcomes = new Set(view.outcome.split(",").filter(Boolean));
  const reason = view.reason.toLowerCase();
  const tests = [
    ["state", (id) => !outcomes.size || outcomes.has(id)],
    ["way", (way) => !view.way || way === view.way || way === ""],
    ["entry", (entry) => !view.entry || entry === view.entry],
    ["reason", (why) => !reason || why.toLowerCase().includes(reason)],
    ["producer", view.producer ? wanted(view.producer, everyone) : () => true],
    ["environment", view.consumer ? wanted(view.consumer, everyone) : () => true],
  ].map(([name, test]) => [columns[name].at, tested(name, test)]);
  const reads = view.consumer ? tested("role", (role) => role !== "produce") : tested("role", () => true);
  tests.push([columns.role.at, reads]);
  const counts = new Map();
  for (let cell = 0; cell < report.count; cell++) {
    let passes = 1;
    for (let n = 1; n < tests.length && passes; n++) passes = tests[n][1][tests[n][0][cell]];
    if (passes) counts.set(columns.state.at[cell], (counts.get(columns.state.at[cell]) ?? 0) + 1);
    shown[cell] = passes & tests[0][1][columns.state.at[cell]];
  }
  return new Map([...counts].map(([at, count]) => [columns.state.values[at], count]));
}

// The address keeps what differs from the blank view: #kind=keras-h5&outcome=silent, or #cell=ENVIRONMENT/short.
function address(of) {
  const words = new URLSearchParams(Object.entries(of).filter(([name, value]) => value && name in blank));
  return `#${words.toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%5B", "[").replaceAll("%5D", "]")}`;
}

function fromAddress() {
  const words = new URLSearchParams(location.hash.slice(1));
  const plain = location.hash.length > 1 && !location.hash.includes("=");
  if (plain) return false; // an anchor such as #causes: the browser goes there, the view stays
  Object.assign(view, blank, Object.fromEntries([...words].filter(([name]) => name in blank)));
  const cell = view.cell ? cellNamed(view.cell) : undefined;
  const kind = cell === undefined ? "" : text("kind", cell);
  view.kind = kindTitle.has(view.kind) ? view.kind : kind || firstKind();
  return true;
}
