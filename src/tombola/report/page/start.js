// Everything is there: fill in the choices, draw, and listen.

function choices() {
  for (const [id, key] of [["method", "method"], ["data-set", "data"]]) {
    const values = [...new Set(report.runs.map((run) => run[key]).filter(Boolean))].sort();
    byId(id).append(...values.map((value) => make("option", { text: value, value })));
  }
  const varies = (name) => new Set(report.groups.map((group) => setting(group, name))).size > 1;
  const numbers = Object.keys({ width: 0, density: 0, ...firstOf(report.groups[0] ?? { members: [0] })?.settings });
  const options = numbers.filter((name) => name === "width" || (name !== "seed" && varies(name) && report.groups.some((group) => typeof setting(group, name) === "number")));
  const all = [...options, ...Object.keys(measured)];
  byId("against-choice").append(...all.map((value) => make("option", { value, text: measured[value] ?? value.replaceAll("_", " ") })));
}

function summarise() {
  const unfinished = report.runs.filter((run) => !run.finished).length;
  const words = [`${report.runs.length} runs in ${report.groups.length} groups that are equal but for the seed`];
  if (unfinished) words.push(`${unfinished} unfinished`);
  byId("summary").textContent = `${words.join(", ")}.`;
  const notes = report.damaged.map((line) => `Left out: ${line}`);
  if (report.without_layers) notes.push(`To keep this page small, the layers of ${report.without_layers} runs are left out.`);
  if (report.without_pictures) notes.push(`To keep this page small, the pictures of masks of ${report.without_pictures} runs are left out.`);
  byId("notes").replaceChildren(...notes.map((text) => make("li", { text })));
}

function loadPlotly() {
  const held = byId("plotly");
  held.replaceWith(make("script", { text: held.textContent })); // the page's policy knows it by its hash
  drawPlots();
  if (dialog.open) drawDialog(); // somebody was quick
}

function later(action, milliseconds) {
  let waiting;
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(action, milliseconds);
  };
}

choices();
summarise();
update(false);
performance.mark("table"); // for whoever measures: the table can be used now
// Plotly's script takes the browser longest: it is run once the table has been painted.
requestAnimationFrame(() => setTimeout(loadPlotly, 0));
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("filter").addEventListener("input", later(update, 120));
for (const id of ["method", "data-set", "state"]) byId(id).addEventListener("change", () => update());
byId("grouped").addEventListener("change", (event) => {
  view.grouped = event.target.checked;
  update(false);
});
byId("against-choice").addEventListener("change", drawChosen);
byId("close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", closed);
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // beside it
});
dark.addEventListener("change", () => {
  drawPlots();
  if (dialog.open) dialog.close(); // its plots have the old colours
});
