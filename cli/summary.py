"""What a run says of itself: the parts of `--json`, and the same as text."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilewright.cli.table import format_table

if TYPE_CHECKING:
    from tilewright.runtime.device import DeviceResult
    from tilewright.runtime.model_runner import ModelResult
    from tilewright.runtime.profile import LayerProfile

Report = Mapping[str, Any]
"""The object of `--json`."""


def engine_counters(results: "Sequence[DeviceResult]") -> dict[str, dict[str, int]]:
    """Busy, waiting and stalled cycles of each engine, in all programs."""
    from tilewright.isa.memory import Engine
    from tilewright.runtime.device import ENGINE_COUNTERS

    return {
        engine.label: {
            name: sum(each.counters[f"{engine.label}_{name}"] for each in results) for name in ENGINE_COUNTERS
        }
        for engine in Engine
    }


def traffic(results: "Sequence[DeviceResult]") -> dict[str, int]:
    """Bytes on the bus, of all programs."""
    from tilewright.runtime.device import TRAFFIC_COUNTERS

    return {name: sum(each.counters[name] for each in results) for name in TRAFFIC_COUNTERS}


def layer_reports(programs: "Sequence[ModelResult]") -> list[dict[str, Any]]:
    """What each layer took; programs follow each other without time between."""
    reports, first = [], 0
    for program in programs:
        reports += [_layer_report(profile, first) for profile in program.layers]
        first += program.cycles
    return reports


def _layer_report(profile: "LayerProfile", first: int) -> dict[str, Any]:
    return {
        "name": profile.layer.name,
        "operator": profile.layer.operator,
        "cycles": profile.cycles,
        "begin": first + profile.begin,
        "end": first + profile.end,
        "macs": profile.layer.macs,
        "utilization": profile.utilization,
    }


def format_report(report: Report) -> str:
    """The report as text: what is one number a line, then layers and engines as tables."""
    parts = [format_table(("run", ""), list(report_lines(report)))]
    if report.get("layers"):
        parts.append(format_layers(report["layers"]))
    if report["engines"]:
        header = ("engine", *next(iter(report["engines"].values())))
        rows = [(name, *(f"{n:,}" for n in counts.values())) for name, counts in report["engines"].items()]
        parts.append(format_table(header, rows))
    return "\n\n".join(parts)


def format_layers(layers: Sequence[Mapping[str, Any]]) -> str:
    """A table of layers, with the share of each in all cycles, and what bounds it where that is known."""
    total = sum(layer["cycles"] for layer in layers)
    rows = [
        (
            layer["name"],
            layer["operator"],
            f"{layer['cycles']:,}",
            f"{layer['cycles'] / total:.1%}" if total else "",
            f"{layer['macs']:,}",
            f"{layer['utilization']:.1%}" if layer["macs"] else "",
            *([layer["bound"]] if "bound" in layer else []),
        )
        for layer in layers
    ]
    header = ("layer", "operator", "cycles", "share", "macs", "utilization", "bound")
    return format_table(header[: len(rows[0]) if rows else None], rows)


def format_value(name: str, value: object) -> str:
    """One entry of a report as text; empty for what is no single value."""
    if name in ("utilization", "top1") and isinstance(value, float):
        return f"{value:.2%}"
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else ""


def report_lines(report: Report) -> Iterator[tuple[str, str]]:
    """What is one number or one text, each with its name."""
    for name, value in report.items():
        text = format_value(name, value)
        if text:
            yield name, text
    for name, seconds in report["host"].items():
        yield f"host: {name}", f"{seconds:.3g} s"
