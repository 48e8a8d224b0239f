// The plots, of the groups that the filter leaves; drawn by Plotly.

const mostSeries = 24; // more lines than this tell nothing, and take long
const mostBands = 10; // and more bands than this hide each other
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const palettes = {
  light: ["#0b57a4", "#b34700", "#00704f", "#8a2f7d", "#8a6100", "#b3152b", "#3b6f8f", "#5c5c5c"],
  dark: ["#86bdf5", "#ffab66", "#5fd3a8", "#e69adb", "#e6c34d", "#ff8f9b", "#9ed2ea", "#c4c4c4"],
};
const dashes = ["solid", "dash", "dot", "dashdot"];
const symbols = ["circle", "square", "diamond", "triangle-up", "x"];
const measured = { bits_per_weight: "bits per weight", seconds: "seconds", bytes: "bytes of the file" };

const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const escaped = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;"); // Plotly reads <b> and the like

function styleOf(number) {
  const colours = palettes[dark.matches ? "dark" : "light"];
  const round = Math.floor(number / colours.length);
  return {
    colour: colours[number % colours.length],
    dash: dashes[round % dashes.length],
    symbol: symbols[number % symbols.length],
  };
}

function draw(place, traces, { x, y, log = false, percent = true, extra = {} }) {
  const axis = { gridcolor: variable("line"), linecolor: variable("soft"), zeroline: false, automargin: true };
  const layout = {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: variable("text"), family: "system-ui, sans-serif", size: 13 },
    margin: { l: 56, r: 12, t: 12, b: 48 },
    xaxis: { ...axis, title: { text: x }, type: log ? "log" : "-", ...extra.xaxis },
    yaxis: { ...axis, title: { text: y }, ticksuffix: percent ? " %" : "", ...extra.yaxis },
    hovermode: "closest",
    modebar: { bgcolor: variable("back"), color: variable("soft"), activecolor: variable("text") },
    hoverlabel: { namelength: -1 },
    showlegend: false,
    ...extra.layout,
  };
  // Named one by one: by default there is one, too, that would send the figures to a server.
  const modeBarButtons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];
  const quiet = { displaylogo: false, responsive: true, showSendToCloud: false, modeBarButtons };
  Plotly.react(place, traces, layout, quiet);
}

// A legend that can be read, and used by keyboard: a button for each line, which hides it and its band.
function legend(place, traces) {
  const items = traces.filter((trace) => trace.label).map((trace) => {
    const button = make("button", { type: "button", "aria-pressed": "true" }, sample(trace), trace.label);
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(shown));
      const both = traces.flatMap(({ legendgroup }, at) => (legendgroup === trace.legendgroup ? [at] : []));
      Plotly.restyle(place, { visible: shown }, both);
    });
    return make("li", {}, button);
  });
  byId(`${place}-legend`).replaceChildren(...items);
}

const dashLengths = { solid: "", dash: "7 4", dot: "2 3", dashdot: "7 3 2 3" };
const outlines = {
  circle: "M13 6a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
  square: "M13 2h8v8h-8z",
  diamond: "M17 1l5 5l-5 5l-5 -5z",
  "triangle-up": "M17 1l5 9h-10z",
  x: "M13 3l1.5 -1.5l2.5 2.5l2.5 -2.5l1.5 1.5l-2.5 2.5l2.5 2.5l-1.5 1.5l-2.5 -2.5l-2.5 2.5l-1.5 -1.5l2.5 -2.5z",
};

// The line and the marker of a trace.
function sample({ line, marker, mode }) {
  const element = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const picture = element("svg", { viewBox: "0 0 34 12", "aria-hidden": "true" });
  const stroke = { stroke: line.color, "stroke-width": "2", "stroke-dasharray": dashLengths[line.dash] };
  if (mode !== "markers") picture.append(element("path", { d: "M0 6h34", ...stroke }));
  if (mode !== "lines") picture.append(element("path", { d: outlines[marker.symbol], fill: marker.color }));
  return picture;
}

// A line, and mean ± standard deviation as a band around it. Values are fractions.
function withBand(points, name, number, mode) {
  const { colour, dash, symbol } = styleOf(number);
  const spread = number < mostBands ? points.filter((point) => point.deviation !== null) : [];
  const legendgroup = String(number);
  const line = {
    x: points.map((point) => point.x),
    y: points.map((point) => 100 * point.mean),
    customdata: points.map((point) => (point.deviation === null ? "one run" : `± ${(100 * point.deviation).toFixed(2)}`)),
    text: points.map((point) => escaped(point.text ?? "")),
    name: escaped(name),
    label: name,
    legendgroup,
    mode,
    line: { color: colour, dash, width: 2 },
    marker: { color: colour, symbol, size: mode === "lines" ? 4 : 8 },
    hovertemplate: "%{y:.2f} % %{customdata}<br>%{x}<br>%{text}",
  };
  if (mode !== "lines" && spread.length) {
    const array = points.map((point) => 100 * (point.deviation ?? 0));
    line.error_y = { type: "data", array, color: colour, thickness: 1.2, width: 3 };
  }
  if (spread.length < 2) return [line];
  const back = [...spread].reverse();
  const band = {
    x: [...spread, ...back].map((point) => point.x),
    y: [...spread.map((p) => 100 * (p.mean + p.deviation)), ...back.map((p) => 100 * (p.mean - p.deviation))],
    fill: "toself",
    fillcolor: `${colour}33`,
    line: { width: 0 },
    mode: "lines",
    hoverinfo: "skip",
    legendgroup,
  };
  return [band, line];
}

function best(groups) {
  const accuracy = (group) => group.figures.test_accuracy?.[0] ?? -1;
  return [...groups].sort((one, other) => accuracy(other) - accuracy(one)).slice(0, mostSeries);
}

function tooMany(count, what) {
  const many = count > mostSeries ? ` The best ${mostSeries} of ${count} ${what} are drawn: filter to see others.` : "";
  return many + (count > mostBands ? ` The best ${mostBands} have their bands.` : "");
}

// Whole numbers alone.
const epochAxis = (curves) => (curves.every(({ epochs }) => epochs.length < 12) ? { dtick: 1 } : { tickformat: "d" });

function drawCurves() {
  const groups = view.groups.filter((group) => group.epochs.length);
  const traces = best(groups).flatMap((group, number) => {
    const points = group.epochs.map((x, at) => ({ x, mean: group.means[at], deviation: group.deviations[at] }));
    const name = group.label + (firstOf(group).validated ? "" : " (training images)");
    return withBand(points, name, number, points.length > 20 ? "lines" : "lines+markers");
  });
  byId("curves-note").textContent =
    "On the images held out of training, where a run has them; a band is the standard deviation over seeds." + tooMany(groups.length, "groups");
  draw("curves", traces, { x: "epoch", y: "accuracy", extra: { xaxis: epochAxis(groups) } });
  legend("curves", traces);
}

const xOf = (group, across) => (across in measured ? (group.figures[across]?.[0] ?? null) : setting(group, across));

// The option along which a line goes from group to group: `across` itself or, of what is measured, the first
// that varies.
function along(across) {
  if (!(across in measured)) return across;
  const varies = (name) => new Set(report.groups.map((group) => setting(group, name))).size > 1;
  return ["width", "source_density", "density"].find(varies) ?? "width";
}

function seriesAcross(across) {
  const series = new Map();
  const left = new Set(["seed", "data_dir", along(across)]);
  for (const group of view.groups) {
    const x = xOf(group, across);
    const accuracy = group.figures.test_accuracy;
    if (typeof x !== "number" || !accuracy) continue;
    const run = firstOf(group);
    const rest = Object.entries(settingsOf(run)).filter(([name]) => !left.has(name));
    const key = JSON.stringify([run.command, run.method, run.data, run.model, rest.sort()]);
    const words = group.label.split(", ").filter((word) => !word.startsWith(`${along(across)}=`));
    if (!series.has(key)) series.set(key, { name: words.join(", "), points: [] });
    series.get(key).points.push({ x, mean: accuracy[0], deviation: accuracy[1], text: group.label });
  }
  const top = ({ points }) => Math.max(...points.map((point) => point.mean));
  return [...series.values()].sort((one, other) => top(other) - top(one));
}

function drawAcross(place, across, log) {
  const series = seriesAcross(across);
  const traces = series.slice(0, mostSeries).flatMap(({ name, points }, number) => {
    points.sort((one, other) => one.x - other.x);
    return withBand(points, name, number, points.length > 1 ? "lines+markers" : "markers");
  });
  const said = series.length ? "Points are means over seeds, bars and bands standard deviations." : "No run that has ended has a number to draw here.";
  byId(`${place}-note`).textContent = said + tooMany(series.length, "lines");
  const extra = log ? { xaxis: { dtick: "D2" } } : {};
  draw(place, traces, { x: measured[across] ?? across.replaceAll("_", " "), y: "test accuracy", log, extra });
  legend(place, traces);
}

function drawChosen() {
  const across = byId("against-choice").value;
  byId("against-name").textContent = measured[across] ?? across.replaceAll("_", " ");
  drawAcross("against", across, across === "seconds");
}

// One after the other, so that the table answers in between; what was not drawn yet is dropped for what is newer.
let drawing = 0;
function drawPlots() {
  const turn = (drawing += 1);
  if (!window.Plotly) return; // it draws when it comes
  const plots = [drawCurves, () => drawAcross("bytes", "bytes", true), drawChosen];
  const next = () => {
    if (turn !== drawing || !plots.length) return;
    plots.shift()();
    setTimeout(next, 0);
  };
  setTimeout(next, 0);
}
