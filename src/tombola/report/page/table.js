// The table: each run or each group, sorted and filtered.

const columns = [
  { key: "name", title: "Run", kind: "text" },
  { key: "method", title: "Method", kind: "text" },
  { key: "data", title: "Data", kind: "text" },
  { key: "model", title: "Model", kind: "text" },
  { key: "width", title: "Width", kind: "number" },
  { key: "seed", title: "Seed", kind: "whole" },
  { key: "state", title: "State", kind: "text" },
  { key: "test_accuracy", title: "Test accuracy", kind: "percent", figure: true },
  { key: "validation_accuracy", title: "Validation", kind: "percent", figure: true },
  { key: "density", title: "Density", kind: "number", figure: true },
  { key: "bits_per_weight", title: "Bits per weight", kind: "number", figure: true },
  { key: "bytes", title: "Bytes", kind: "bytes", figure: true },
  { key: "seconds", title: "Seconds", kind: "seconds", figure: true },
];
const view = { column: "test_accuracy", descending: true, grouped: false, rows: [], groups: [] };

function stateOfGroup(group) {
  const ended = group.members.filter((place) => report.runs[place].finished).length;
  if (ended === group.members.length) return "finished";
  return ended ? `${ended} of ${group.members.length} finished` : "unfinished";
}

// What a row is sorted by, and what it shows.
function cell(row, column) {
  if (!view.grouped) {
    const value = column.key === "state" ? stateOf(row) : row[column.key];
    if (column.key === "state" && !row.finished) return [value, `unfinished, epoch ${row.epochs_done}`];
    return [value, show(value, column.kind)];
  }
  if (column.figure) {
    const spread = row.figures[column.key];
    return [spread && spread[0], showSpread(spread, column.kind)];
  }
  if (column.key === "name") return [row.label, row.label];
  if (column.key === "state") return [stateOfGroup(row), stateOfGroup(row)];
  if (column.key === "seed") {
    const [runs, seeds] = [row.members.length, row.seeds];
    if (seeds === 1) return [1, show(firstOf(row).seed, "whole") + (runs > 1 ? `, ${runs} runs` : "")];
    return [seeds, `${seeds} seeds` + (runs > seeds ? `, ${runs} runs` : "")];
  }
  return [firstOf(row)[column.key], show(firstOf(row)[column.key], column.kind)];
}

const collator = new Intl.Collator("en", { numeric: true });
function compare(one, other) {
  if (one === null || one === undefined) return other === null || other === undefined ? 0 : 1;
  if (other === null || other === undefined) return -1;
  const order = typeof one === "number" && typeof other === "number" ? one - other : collator.compare(one, other);
  return view.descending ? -order : order;
}

// Every word of the filter must be part of the run's texts, or be one of its options: width=0.5.
const matches = (run, words) => words.every((word) => run.options.has(word) || run.texts.includes(word));

function select() {
  const words = byId("filter").value.toLowerCase().split(/[\s,]+/).filter(Boolean);
  const [method, data, state] = ["method", "data-set", "state"].map((id) => byId(id).value);
  const chosen = report.runs.map((run) => {
    return (!method || run.method === method) && (!data || run.data === data) && (!state || stateOf(run) === state) && matches(run, words);
  });
  view.groups = report.groups.filter((group) => group.members.some((place) => chosen[place]));
  view.rows = view.grouped ? [...view.groups] : report.runs.filter((_, place) => chosen[place]);
  const column = columns.find(({ key }) => key === view.column);
  const keyed = view.rows.map((row) => [cell(row, column)[0], row]);
  view.rows = keyed.sort((one, other) => compare(one[0], other[0])).map(([, row]) => row);
  const runs = chosen.filter(Boolean).length;
  byId("shown").textContent =
    `${runs} of ${report.runs.length} runs, ${view.groups.length} of ${report.groups.length} groups of equal options` +
    (view.grouped ? "; a group is counted with all its seeds, whichever of them the filter finds." : ".");
}

function drawHead() {
  const cells = columns.map((column) => {
    const title = view.grouped && column.key === "name" ? "Group" : column.title;
    const button = make("button", { type: "button", text: title });
    button.addEventListener("click", () => {
      view.descending = view.column === column.key ? !view.descending : Boolean(column.figure);
      view.column = column.key;
      update(false);
      byId("table").querySelector(`th[data-key="${column.key}"] button`).focus();
    });
    const sort = view.column === column.key ? (view.descending ? "descending" : "ascending") : "none";
    const className = column.kind === "text" ? "text" : "";
    return make("th", { scope: "col", "aria-sort": sort, "data-key": column.key, className }, button);
  });
  byId("table").tHead.replaceChildren(make("tr", {}, ...cells));
}

// May be broken after commas and slashes.
const breakable = (text) => text.split(/(?<=[,/])/).flatMap((part) => [part, make("wbr")]);

function drawBody() {
  const rows = view.rows.map((row) => {
    const cells = columns.map((column) => {
      const text = cell(row, column)[1];
      if (column.key !== "name") return make("td", { text, className: column.kind === "text" ? "text" : "" });
      return make("td", { className: "text" }, make("button", { type: "button", className: "open" }, ...breakable(text)));
    });
    const line = make("tr", {}, ...cells);
    line.addEventListener("click", () => (view.grouped ? openGroup(row) : openRun(row)));
    return line;
  });
  byId("table").tBodies[0].replaceChildren(...rows);
}

function update(plots = true) {
  select();
  drawHead();
  drawBody();
  if (plots) drawPlots();
}
