"""The words, the style and the script of the page of a run."""

from tilewright.runtime.layer_time import MOSTLY
from tilewright.tune.page_frame import STYLE

TIMELINE = (
    "What each engine does in each cycle of one sample: full colour: busy, an instruction is in flight; "
    "pale: the next instruction waits for a token of the engine of that colour, or for room for its own; "
    "red: stalled, a port of a memory is taken, or its own engine; white: nothing in its queue. The band "
    "above are the layers, in the colour of the engine that is busy longest: a layer's cycles go from the"
    " end of all layers before it to its own end, so that they add up to the whole. Drag to zoom, down to"
    " single cycles; double-click for all."
)
LAYERS = (
    "Cycles are those by which a layer moved the end of all layers before it, share is of all of them. "
    "Array is the layer's products of what the array could do from the start of its first matrix "
    "instruction to the end of its last (of vector instructions, if it has no other). Load, matrix, "
    "vector and store are the shares of these cycles in which the engine is busy, for whatever layer: "
    f"layers overlap. What bounds a layer is the engine that is busy longest, if for {MOSTLY:.0%} of the "
    "cycles (with those that are nearly as long); else what that engine spends most of the others on. All"
    " of it is counted in the run. A click on a layer zooms the timeline to it, a click on a column's "
    "head sorts."
)
ROOFLINE = (
    "Points are numbered as in the table. Operations are two for each multiply-accumulate that the "
    "network asks for. Across: operations for each byte on the bus, of its busier way (reading: "
    "instructions and loads; writing: stores; both at once). Up: operations a cycle, from the start of "
    "the layer's first matrix instruction to the end of its last (of vector instructions, if it has no "
    "other). Lines: what the machine can do: a bus of {bus} bytes a cycle each way, an array of {array} "
    "operations a cycle, {vector} of the vector engine. A point above the slope brought bytes beside the "
    "work of the layers before it. Colours: the engine that is busy longest."
)
BYTES = (
    "Bytes on the bus for the instructions of each layer, whole vectors as the bus moves them: "
    "instructions are fetched, weights and parameters (bias, requantisation) and activations are loaded, "
    "by the memory that they go to, results are stored."
)
WITHOUT_PLOTLY = (
    "Engines in time, roofline and bytes are drawn with plotly, which is not installed: pip install "
    "'tilewright[tune]'"
)
ENGINES = (
    "Cycles of one sample: busy, an instruction is in flight; else waiting for a token, or for room for "
    "one; else stalled by a port or its own engine; in all others nothing is in its queue."
)
NOISE = " SNR is the signal-to-noise ratio of the layer's result against the network in floats, in dB."

COLOURS = {"load": "#0969da", "matrix": "#1a7f37", "vector": "#8250df", "store": "#bf8700"}
PALE = {"load": "#b6d6f7", "matrix": "#b4dfc0", "vector": "#dccbf9", "store": "#f0d9a6"}
STALLED = "#cf222e"
PAGE_STYLE = (
    STYLE
    + """
.bar .busy { background: #1a7f37; } .bar .waiting { background: #bf8700; }
.bar .stalled { background: #cf222e; }
.bar div { display: inline-block; vertical-align: middle; } .bar { min-width: 5rem; width: 12%; }
.layer { overflow-wrap: anywhere; min-width: 14rem; } th { vertical-align: bottom; }
tr[data-begin] { cursor: pointer; } tr[data-begin]:hover { background: #f6f8fa; }
.layers th { cursor: pointer; position: sticky; top: 0; background: #fff; } .summary { width: auto; }
.layers .bound { min-width: 9rem; } .scroll { max-height: 40rem; overflow: auto; }
"""
)

SCRIPT = """
const place = document.getElementById("timeline"), run = figures.timeline.run, COLUMNS = 600, LINES = 60;
function decoded({dtype, bdata}) {
  const bytes = Uint8Array.from(atob(bdata), each => each.charCodeAt(0));
  return dtype === "i4" ? new Int32Array(bytes.buffer) : new Float64Array(bytes.buffer);
}
for (const engine of run.engines) for (const state of engine.states) {
  state.begin = decoded(state.begin);
  state.end = decoded(state.end);
  state.sums = new Float64Array(state.begin.length + 1);
  state.begin.forEach((begin, k) => { state.sums[k + 1] = state.sums[k] + state.end[k] - begin; });
}
function cyclesBefore(state, edge) {
  let low = 0, high = state.begin.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (state.begin[middle] < edge) low = middle + 1; else high = middle;
  }
  return state.sums[low] - (low ? Math.max(state.end[low - 1] - edge, 0) : 0);
}
function edgesOf(first, end) {
  const step = Math.max(1, Math.ceil((end - first) / COLUMNS)), edges = [];
  for (let edge = first; edge < end; edge += step) edges.push(edge);
  return [...edges, end];
}
function sharesOf(state, edges) {
  const before = edges.map(edge => cyclesBefore(state, edge));
  const shares = edges.slice(1).map((edge, k) => (before[k + 1] - before[k]) / (edge - edges[k]));
  return [...shares, shares[shares.length - 1]];
}
function tracesOf(first, end) {
  const edges = edgesOf(first, end), shown = new Set(), traces = [bandOf(first, end)];
  run.engines.forEach((engine, row) => engine.states.forEach((state, k) => {
    const y = sharesOf(state, edges);
    // Without any trace an axis would vanish.
    if (k && !y.some(share => share > 0)) return;
    traces.push({
      type: "scatter", mode: "lines", line: {shape: "hv", width: 0}, stackgroup: engine.name, x: edges, y,
      yaxis: "y" + (row + 2), name: state.name, legendgroup: state.name, showlegend: !shown.has(state.name),
      legendrank: state.rank, fillcolor: state.colour, hovertemplate: "%{y:.0%}",
    });
    shown.add(state.name);
  }));
  return traces;
}
function bandOf(first, end) {
  const {base, x, text, hovertext, marker} = run.band, seen = [];
  base.forEach((begin, k) => { if (begin < end && begin + x[k] > first) seen.push(k); });
  const cut = seen.map(k => Math.max(first, base[k]));
  return {
    ...run.band, base: cut, x: seen.map((k, n) => Math.min(end, base[k] + x[k]) - cut[n]),
    y: seen.map(() => ""), text: seen.map(k => text[k]), hovertext: seen.map(k => hovertext[k]),
    marker: {...marker, color: seen.map(k => marker.color[k])},
  };
}
function linesOf(first, end) {
  const starts = run.band.base.filter(begin => first < begin && begin < end);
  return starts.length > LINES ? [] : starts.map(x => ({
    type: "line", x0: x, x1: x, y0: 0, y1: 1, yref: "paper", line: {color: "#afb8c1", width: 1, dash: "dot"},
  }));
}
function drawTimeline(from, to) {
  const first = Math.max(0, Math.floor(Math.min(from, run.cycles - 1)));
  const end = Math.min(run.cycles, Math.max(first + 1, Math.ceil(to)));
  const layout = figures.timeline.layout;
  layout.xaxis.range = [first, end];
  Plotly.react(place, tracesOf(first, end), {...layout, shapes: linesOf(first, end)}, options);
}
place.on("plotly_relayout", change => {
  const range = change["xaxis.range"] ?? [change["xaxis.range[0]"], change["xaxis.range[1]"]];
  if (change["xaxis.autorange"]) drawTimeline(0, run.cycles);
  else if (range[0] !== undefined) drawTimeline(...range.map(Number));
});
drawTimeline(0, run.cycles);
const table = document.querySelector("table.layers");
for (const row of table.querySelectorAll("tr[data-begin]")) row.addEventListener("click", () => {
  const begin = Number(row.dataset.begin), end = Number(row.dataset.end), margin = (end - begin) / 20;
  drawTimeline(begin - margin, end + margin);
  place.scrollIntoView({block: "center"});
});
table.querySelectorAll("th").forEach((head, column) => head.addEventListener("click", () => {
  const rows = [...table.querySelectorAll("tr[data-begin]")];
  const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
  const order = head.dataset.order = head.dataset.order === "down" ? "up" : "down";
  rows.sort((one, other) => {
    const [a, b] = order === "down" ? [other, one] : [one, other];
    return key(a) - key(b) || String(key(a)).localeCompare(String(key(b)));
  });
  rows.forEach(row => row.parentNode.appendChild(row));
}));
"""
