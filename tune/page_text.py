"""The words, the style and the script of pages."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid #d0d7de; }
th, td { padding: 0.2rem 0.75rem 0.2rem 0; }
td { border-bottom: 1px solid #eaeef2; font-variant-numeric: tabular-nums; }
.number { text-align: right; } .bar { width: 22%; }
.bar div { height: 0.8rem; background: #0969da; }
.bound { font-weight: 600; color: #0969da; }
p, li { color: #57606a; } select { font: inherit; }
"""
CAPTIONS: Mapping[str, tuple[str, str]] = {
    "front": (
        "Front",
        "Machines that no other beats in cycles, look-up tables and block RAMs. Grey: costs by the model, "
        "which adds up layers that overlap in fact. A click on a point of the front shows its layers.",
    ),
    "hypervolume": (
        "Hypervolume",
        "What the front dominates, of twice the first machine's cycles and all of the board, by the models; "
        "the median and quartiles over seeds.",
    ),
    "importance": (
        "What decides",
        "How much each size decides whether a machine is among the best in one respect (PED-ANOVA).",
    ),
    "coordinates": (
        "Sizes",
        "A line for each machine, dark where it is fast. Drag along axes to choose some: the others fade in "
        "the front above, too.",
    ),
    "layers": (
        "Layers of a point",
        "Cycles by the event model of each layer alone, with its default schedule; busy cycles of engines as "
        "a share of these, in closed form; the busiest engine bounds the layer.",
    ),
}
ENGINES = ("load", "matrix", "vector", "store")
SCRIPT = """
const options = {responsive: true, displaylogo: false};
for (const [name, figure] of Object.entries(figures))
  Plotly.newPlot(name, figure.data, figure.layout, options);
const chosen = document.getElementById("chosen");
function show(number) {
  chosen.value = number;
  for (const point of document.querySelectorAll(".point")) point.hidden = point.id !== "point-" + number;
}
chosen.addEventListener("change", () => show(chosen.value));
const front = document.getElementById("front"), coordinates = document.getElementById("coordinates");
front.on("plotly_click", event => {
  const point = event.points[0];
  if (point.data.name === "front") show(point.pointNumber);
});
function within(value, range) {
  const ranges = !range ? [[-Infinity, Infinity]] : Array.isArray(range[0]) ? range : [range];
  return ranges.some(([low, high]) => low <= value && value <= high);
}
coordinates.on("plotly_restyle", () => {
  const dimensions = coordinates.data[0].dimensions, kept = [];
  const values = dimensions.map(each => Array.from(each.values));
  for (let k = 0; k < values[0].length; k++)
    if (dimensions.every((each, n) => within(values[n][k], each.constraintrange))) kept.push(k);
  const all = kept.length === values[0].length;
  const grey = front.data.flatMap((trace, n) => trace.customdata ? [n] : []);
  Plotly.restyle(front, {selectedpoints: [all ? null : kept]}, grey);
});
"""


def layer_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The layers of a network, each with its share of the cycles as a bar."""
    total, most = sum(row["cycles"] for row in rows), max((row["cycles"] for row in rows), default=1)
    head = "".join(
        f'<th class="{"number" if name not in ("layer", "operator", "") else ""}">{escape(name)}</th>'
        for name in ("layer", "operator", "cycles", "", *ENGINES, "bound by", "KB moved")
    )
    body = "".join(_row(row, total, most) for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _row(row: Mapping[str, Any], total: int, most: int) -> str:
    shares = "".join(
        f'<td class="number{" bound" * (engine == row["bound"])}">{row[engine] / row["cycles"]:.0%}</td>'
        for engine in ENGINES
    )
    width = 100 * row["cycles"] / most
    return (
        f"<tr><td>{escape(row['layer'].strip(chr(34)))}</td><td>{escape(row['operator'])}</td>"
        f'<td class="number">{row["cycles"]:,}</td>'
        f'<td class="bar"><div style="width: {width:.1f}%" title="{row["cycles"] / total:.1%}"></div></td>'
        f'{shares}<td class="number bound">{escape(row["bound"])}</td>'
        f'<td class="number">{row["moved_bytes"] / 1024:,.0f}</td></tr>'
    )
