// A run or a group in full: figures, the command that repeats it, its options, curve, layers, and masks.

const dialog = byId("detail");
let drawDialog; // the plots of what is open

function openDialog(title, parts, plots = () => {}) {
  byId("detail-title").textContent = title;
  byId("detail-body").replaceChildren(...parts);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  drawDialog = plots;
  if (window.Plotly) plots();
}

function closed() {
  for (const plot of dialog.querySelectorAll(".plot")) Plotly.purge(plot);
  byId("detail-body").replaceChildren();
}

function facts(pairs) {
  const rows = pairs.map(([name, value]) => {
    const className = value.length > 40 ? "wide" : "";
    return make("div", { className }, make("dt", { text: name }), make("dd", { text: value }));
  });
  return make("dl", { className: "facts" }, ...rows);
}

function openGroup(group) {
  const pairs = columns.filter((column) => column.figure).map((column) => [column.title, showSpread(group.figures[column.key], column.kind)]);
  const list = group.members.map((place) => {
    const run = report.runs[place];
    const button = make("button", { type: "button", text: `${run.name}: ${show(run.test_accuracy, "percent")}` });
    button.addEventListener("click", () => openRun(run));
    return make("li", {}, button);
  });
  openDialog(group.label, [facts(pairs), make("h3", { text: "Its runs" }), make("ul", {}, ...list)]);
}

function openRun(run) {
  const pairs = [["State", run.finished ? "finished" : `unfinished, after epoch ${run.epochs_done}`]];
  for (const column of columns) if (column.figure || column.key === "seed") pairs.push([column.title, show(run[column.key], column.kind)]);
  if (run.source_density !== null) pairs.push(["Source density", show(run.source_density, "number")]);
  if (run.digest) pairs.push(["Digest", run.digest]);
  const parts = [facts(pairs), ...repeating(run), make("h3", { text: "Accuracy over epochs" })];
  const curve = make("div", { className: "plot small", role: "group", "aria-label": "Plot of this run's accuracy over epochs" });
  parts.push(run.epochs.length ? curve : make("p", { text: "No epoch has ended." }));
  const layers = layersOf(run);
  parts.push(...layers.parts, make("h3", { text: "Configuration" }));
  const settings = Object.entries(settingsOf(run)).map(([name, value]) => [name, String(value)]);
  parts.push(settings.length ? facts(settings) : make("p", { text: "config.toml is missing." }));
  openDialog(run.name, parts, () => {
    if (run.epochs.length) drawCurve(curve, run);
    layers.plots();
  });
}

function repeating(run) {
  const heading = make("h3", { text: "The command that repeats it" });
  if (!run.repeat) return [heading, make("p", { text: "Not known: config.toml is missing." })];
  const pre = make("pre", { id: "repeat", tabindex: "0", text: run.repeat });
  const button = make("button", { type: "button", text: "Copy" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(run.repeat);
      button.textContent = "Copied";
    } catch {
      window.getSelection().selectAllChildren(pre); // where a browser allows no more
      button.textContent = "Selected: copy it";
    }
  });
  return [heading, pre, button];
}

function drawCurve(place, run) {
  const points = run.epochs.map((x, at) => ({ x, mean: run.accuracies[at], deviation: null }));
  const traces = withBand(points, run.validated ? "held-out images" : "training images", 0, "lines+markers");
  draw(place, traces, { x: "epoch", y: run.validated ? "validation accuracy" : "training accuracy", extra: { xaxis: epochAxis([run]) } });
}

function layersOf(run) {
  const heading = make("h3", { text: "Layers" });
  const nothing = (text) => ({ parts: [heading, make("p", { text })], plots() {} });
  if (!run.finished) return nothing("Known once the run has ended.");
  if (!run.layers && run.method === "dense") return nothing("Dense training keeps every weight.");
  if (!run.layers) return nothing("The run has no layers.json: it was made by an earlier version.");
  if (run.layers.left_out) return nothing("Left out, to keep this page small: report on fewer runs to see them.");
  const plot = make("div", { className: "plot small", role: "group", "aria-label": "Plot of layerwise densities; the table below holds the same figures" });
  const head = ["Layer", "Shape", "Weights", "In the source", "Kept", "Source density", "Density"];
  const rows = run.layers.tensors.map(([name, shape, weights, alive, kept]) => {
    const texts = [name, shape.join("×"), weights, alive, kept].map(String);
    const shares = [alive, kept].map((count) => (weights ? count / weights : 0).toFixed(4));
    return make("tr", {}, ...[...texts, ...shares].map((text, at) => make("td", { text, className: at < 2 ? "text" : "" })));
  });
  const top = make("thead", {}, make("tr", {}, ...head.map((text, at) => make("th", { scope: "col", className: at < 2 ? "text" : "" }, make("span", { text })))));
  const table = make("div", { className: "scroll", tabindex: "0", role: "region", "aria-label": "Layers" }, make("table", { className: "layers" }, top, make("tbody", {}, ...rows)));
  const redraws = redrawsOf(run);
  const mask = maskOf(run);
  return {
    parts: [heading, plot, table, ...redraws.parts, ...mask.parts],
    plots() {
      drawLayers(plot, run.layers.tensors);
      redraws.plots();
      mask.plots();
    },
  };
}

function drawLayers(place, tensors) {
  const trace = (name, at, number) => ({
    x: tensors.map(([layer]) => escaped(layer)),
    y: tensors.map((tensor) => (tensor[2] ? tensor[at] / tensor[2] : 0)),
    name,
    mode: "lines+markers",
    line: { color: styleOf(number).colour, width: 1.5 },
    marker: { color: styleOf(number).colour, symbol: styleOf(number).symbol, size: 8 },
  });
  const extra = { yaxis: { range: [0, 1.05] }, layout: { showlegend: true, legend: { orientation: "h", y: 1.15 } } };
  draw(place, [trace("source", 3, 1), trace("kept", 4, 0)], { x: "", y: "density", percent: false, extra });
}

function redrawsOf(run) {
  const heading = make("h3", { text: "Redraws: the generation of each kept weight" });
  const bars = run.layers.generations;
  if (!bars) return { parts: [], plots() {} }; // weights that are trained are not redrawn
  const total = bars.reduce((sum, [, , number]) => sum + number, 0);
  const first = bars.length ? bars[0][2] : 0;
  const one = bars.every(([from, to]) => from === to);
  const said = `${total - first} of ${total} kept weights are of ${one ? "a later generation than 0" : `a generation after ${bars[0][1]}`}.`;
  const plot = make("div", { className: "plot small", role: "group", "aria-label": `Plot of generations: ${said}` });
  return {
    parts: [heading, make("p", { className: "caption", text: `${said} Generation 0 is the first drawing.` }), plot],
    plots() {
      const trace = {
        type: "bar",
        x: bars.map(([from, to]) => (from === to ? String(from) : `${from}–${to}`)),
        y: bars.map(([, , number]) => number),
        marker: { color: styleOf(0).colour },
        hovertemplate: "generation %{x}: %{y} weights<extra></extra>",
      };
      const extra = { xaxis: { type: "category" }, yaxis: { type: "log" } };
      draw(plot, [trace], { x: "generation", y: "kept weights (log)", percent: false, extra });
    },
  };
}

function maskOf(run) {
  const heading = make("h3", { text: "Mask" });
  if (!run.layers.pictures) return { parts: [heading, make("p", { text: "The pictures are left out, to keep this page small." })], plots() {} };
  const tensors = run.layers.tensors;
  const choice = make("select", {}, ...tensors.map(([name], at) => make("option", { value: String(at), text: name })));
  const canvas = make("canvas", { role: "img" });
  const note = make("p", { className: "caption" });
  const largest = tensors.reduce((best, tensor, at) => (tensor[2] > tensors[best][2] ? at : best), 0);
  choice.value = String(largest);
  const paint = () => paintMask(canvas, note, tensors[choice.value], run.layers.pictures[choice.value]);
  choice.addEventListener("change", paint);
  const key = ["kept", "pruned", "absent"].map((name, at) => [make("span", { className: name }), ["kept ", "pruned ", "not in the source"][at]]);
  const label = make("label", {}, "Layer ", choice);
  return { parts: [heading, label, note, canvas, make("p", { className: "key caption" }, ...key.flat())], plots: paint };
}

// Bits, the first in a byte the greatest, as experiments/layers.py packs them.
function bitsOf(text) {
  const bytes = atob(text);
  return (at) => (bytes.charCodeAt(at >> 3) >> (7 - (at & 7))) & 1;
}

function paintMask(canvas, note, [name, shape, weights, , kept], { rows, columns: across, kept: keptBits, alive }) {
  const scale = Math.max(1, Math.floor(512 / Math.max(rows, across, 1)));
  canvas.width = across * scale;
  canvas.height = rows * scale;
  const isKept = bitsOf(keptBits);
  const isAlive = alive ? bitsOf(alive) : () => 1;
  const colours = ["kept", "pruned", "absent"].map(variable);
  const pen = canvas.getContext("2d");
  for (let at = 0; at < rows * across; at += 1) {
    pen.fillStyle = colours[isKept(at) ? 0 : isAlive(at) ? 1 : 2];
    pen.fillRect((at % across) * scale, Math.floor(at / across) * scale, scale, scale);
  }
  const share = weights ? ((100 * kept) / weights).toFixed(1) : "0";
  const said = `${name}, ${shape.join("×")}: the first ${rows} × ${across} of its matrix, one row for each output; ${share} % of all its weights are kept.`;
  note.textContent = said;
  canvas.setAttribute("aria-label", `Mask of ${said}`);
}
