"""The words and the script of the page of a search."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

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
