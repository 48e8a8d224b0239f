"use strict";
// Values as texts, and the records as the other parts use them. Texts of records go into the page by
// textContent alone, so that none of them is ever read as HTML.

const report = JSON.parse(document.getElementById("records").textContent);
const byId = (id) => document.getElementById(id);

function make(tag, options = {}, ...children) {
  const { className, text, ...rest } = options;
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(rest)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const figures = {
  percent: (value) => `${(100 * value).toFixed(2)} %`,
  number: (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value)),
  whole: (value) => String(value),
  seconds: (value) => (value < 600 ? `${value.toFixed(1)} s` : `${(value / 3600).toFixed(2)} h`),
  bytes(value) {
    if (value < 1000) return `${Math.round(value)} B`;
    const [size, unit] = value < 1e6 ? [value / 1e3, "kB"] : [value / 1e6, "MB"];
    return `${size < 10 ? size.toFixed(2) : size.toFixed(1)} ${unit}`;
  },
};

function show(value, kind) {
  if (value === null || value === undefined) return "–";
  return kind === "text" ? String(value) : figures[kind](value);
}

// Mean ± standard deviation; of a single run the value alone.
function showSpread(spread, kind) {
  if (!spread) return "–";
  const [mean, deviation] = spread;
  if (deviation === null) return show(mean, kind);
  if (kind === "percent") return `${(100 * mean).toFixed(2)} ± ${(100 * deviation).toFixed(2)} %`;
  if (kind === "seconds" && mean < 600) return `${mean.toFixed(1)} ± ${deviation.toFixed(1)} s`;
  if (kind !== "number") return `${show(mean, kind)} ± ${show(deviation, kind)}`;
  if (deviation < 1e-9 * Math.abs(mean)) return `${show(mean, kind)} ± 0`;
  // To the second digit of the deviation, where that is not finer than anybody reads.
  const digits = Math.min(4, Math.max(0, 1 - Math.floor(Math.log10(deviation))));
  return `${mean.toFixed(digits)} ± ${deviation.toFixed(digits)}`;
}

const settingsOf = (run) => ({ ...report.common, ...run.settings });
const stateOf = (run) => (run.finished ? "finished" : "unfinished");
const firstOf = (group) => report.runs[group.members[0]];

// What was asked for or, where that is no number, what came out: dense training is asked for no density.
function setting(group, name) {
  const asked = settingsOf(firstOf(group))[name];
  return typeof asked === "number" ? asked : (firstOf(group)[name] ?? asked);
}

// What tells a group from the others: its method, and the options that vary among those of its method.
function labelGroups() {
  const kinds = new Map();
  const kindOf = (run) => `${run.command} ${run.method}`;
  for (const group of report.groups) {
    const kind = kindOf(firstOf(group));
    if (!kinds.has(kind)) kinds.set(kind, []);
    kinds.get(kind).push(group);
  }
  const everywhere = ["data", "model", "width"].filter((name) => {
    return new Set(report.groups.map((group) => firstOf(group)[name])).size > 1;
  });
  for (const groups of kinds.values()) {
    const values = new Map();
    for (const group of groups) {
      for (const [name, value] of Object.entries(firstOf(group).settings)) {
        if (!values.has(name)) values.set(name, new Set());
        values.get(name).add(value);
      }
    }
    const varying = [...values].filter(([, set]) => set.size > 1).map(([name]) => name);
    const told = [...new Set([...everywhere, ...varying])].filter((name) => !["seed", "method", "data_dir"].includes(name));
    for (const group of groups) {
      const run = firstOf(group);
      const words = told.map((name) => `${name}=${show(setting(group, name), "number")}`);
      group.label = [run.method ?? run.command, ...words].join(", ");
    }
  }
}
labelGroups();

// What the filter looks at: texts that a word may be part of, and options that it names in full.
for (const run of report.runs) {
  // Whole numbers as in config.toml, too, which has 1.0 for what is a fraction.
  const spellings = (value) => (Number.isInteger(value) ? [value, `${value}.0`] : [value]);
  const options = Object.entries(settingsOf(run)).flatMap(([name, value]) =>
    spellings(value).map((text) => `${name}=${text}`.toLowerCase()),
  );
  run.options = new Set(options);
  run.texts = [run.name, run.command, run.method, run.data, run.model, stateOf(run)].join(" ").toLowerCase();
}
