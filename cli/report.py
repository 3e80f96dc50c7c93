"""A run as one page that needs nothing else: summary, layers with bars, engines."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from tilewright.cli.summary import Report, format_value

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid #d0d7de; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; }
td { border-bottom: 1px solid #eaeef2; font-variant-numeric: tabular-nums; }
.number { text-align: right; }
.bar { width: 35%; }
.bar div { height: 0.8rem; display: inline-block; vertical-align: middle; }
.cost { background: #0969da; } .busy { background: #1a7f37; } .waiting { background: #bf8700; }
.stalled { background: #cf222e; }
p { color: #57606a; }
"""
_ENGINE_COLOURS = ("busy", "waiting", "stalled")


def html_page(title: str, report: Report) -> bytes:
    """The page of a report, as of `--json`."""
    sections = [_section("Summary", _summary(report))]
    if report.get("layers"):
        sections.append(_section("Layers", _layers(report["layers"])))
    if report["engines"]:
        sections.append(_section("Engines", _engines(report["engines"], report["cycles"])))
    name = escape(title)
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{name} on {escape(str(report['config']))}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{name}</h1>",
        *sections,
        "</body></html>",
    ]
    return "\n".join(lines).encode()


def _section(heading: str, body: str) -> str:
    return f"<h2>{heading}</h2>\n{body}"


def _summary(report: Report) -> str:
    rows = [(name, format_value(name, value)) for name, value in report.items()]
    host = [(f"host: {name}", f"{seconds:.3g} s") for name, seconds in report["host"].items()]
    return _table((), [[_cell(name), _number(text)] for name, text in (*rows, *host) if text])


def _layers(layers: Sequence[Mapping[str, Any]]) -> str:
    total = sum(layer["cycles"] for layer in layers) or 1
    rows = [
        [
            _cell(layer["name"]),
            _cell(layer["operator"]),
            _number(f"{layer['cycles']:,}"),
            _bar([("cost", layer["cycles"] / total)]),
            _number(f"{layer['macs']:,}"),
            _number(f"{layer['utilization']:.1%}" if layer["macs"] else ""),
        ]
        for layer in layers
    ]
    note = (
        "<p>Cycles are those by which a layer moved the end of all layers so far; layers overlap. "
        "Utilisation is that of the array from the start of a layer's first product to its last.</p>"
    )
    return _table(("layer", "operator", "cycles", "share", "MACs", "utilisation"), rows) + note


def _engines(engines: Mapping[str, Mapping[str, int]], cycles: int) -> str:
    rows = [
        [
            _cell(name),
            *(_number(f"{counts[kind]:,}") for kind in _ENGINE_COLOURS),
            _bar([(kind, counts[kind] / cycles) for kind in _ENGINE_COLOURS]),
        ]
        for name, counts in engines.items()
    ]
    note = "<p>Busy, waiting for tokens, stalled by a port, in cycles of one sample.</p>"
    return _table(("engine", *_ENGINE_COLOURS, "of all cycles"), rows) + note


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    lines = [f"<tr>{head}</tr>"] if header else []
    lines += [f"<tr>{''.join(row)}</tr>" for row in rows]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _number(text: str) -> str:
    return f'<td class="number">{escape(text)}</td>'


def _bar(parts: Iterable[tuple[str, float]]) -> str:
    inner = "".join(f'<div class="{kind}" style="width:{100 * share:.1f}%"></div>' for kind, share in parts)
    return f'<td class="bar">{inner}</td>'
