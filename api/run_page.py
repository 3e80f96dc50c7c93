"""A run as one page that needs nothing else: engines in time, what bounds layers, roofline, bytes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from tilewright.api.layer_time import layer_times_of, programs_of
from tilewright.api.result import RunResult
from tilewright.api.run_figures import (
    OPERATIONS_A_MAC,
    Figure,
    bytes_figure,
    roofline_figure,
    timeline_figure,
)
from tilewright.api.run_page_text import (
    BYTES,
    ENGINES,
    LAYERS,
    NOISE,
    PAGE_STYLE,
    ROOFLINE,
    SCRIPT,
    TIMELINE,
    WITHOUT_PLOTLY,
)
from tilewright.compiler.targets.accel.chain import last_layer
from tilewright.isa.config import Config
from tilewright.isa.executable import Executable
from tilewright.isa.memory import Engine
from tilewright.runtime.device import ENGINE_COUNTERS, DeviceResult
from tilewright.runtime.engine_time import EngineSpans, Spans, engine_spans
from tilewright.runtime.layer_time import LayerTime
from tilewright.runtime.trace import first_cycles, timeline_of
from tilewright.tune.page_frame import Section, framed, has_plotly

if TYPE_CHECKING:
    from tilewright.api.package import Package

_NUMBERS = frozenset(("#", "cycles", "array", "KB moved", "SNR, dB", *(engine.label for engine in Engine)))
_KB = 1024


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """What a page shows of one sample.

    Members:
        title: of the page.
        summary: lines of two texts.
        config: of the machine.
        runs: programs that ran one after the other, with what a machine says of each; none on the CPU.
        layers: of these.
        noise_db: the signal-to-noise ratio of layers by name, where it is known: a column shows it.
    """

    title: str
    summary: Sequence[tuple[str, str]]
    config: Config
    runs: Sequence[tuple[Executable, DeviceResult]]
    layers: Sequence[LayerTime]
    noise_db: Mapping[str, float]

    @property
    def cycles(self) -> int:
        """Of all programs."""
        return sum(result.cycles for _, result in self.runs)

    def html(self) -> str:
        """The page; without plotly its tables, and the remedy."""
        is_drawn = bool(self.layers) and has_plotly()
        sections = [Section(heading="Summary", body=_summary(self.summary))]
        if is_drawn:
            sections.append(Section(heading="Engines in time", text=TIMELINE, figure="timeline"))
        if self.layers:
            text = LAYERS + (NOISE if self.noise_db else "") + ("" if is_drawn else f" {WITHOUT_PLOTLY}")
            table = _layer_table(self.layers, self.noise_db)
            sections.append(Section(heading="Layers", text=text, body=table))
        if is_drawn:
            sections.append(Section(heading="Roofline", text=self._roofline_text(), figure="roofline"))
            sections.append(Section(heading="Bytes moved", text=BYTES, figure="bytes"))
        if self.runs:
            body = _engine_table([result for _, result in self.runs])
            sections.append(Section(heading="Engines", text=ENGINES, body=body))
        figures = self._figures() if is_drawn else {}
        return framed(self.title, sections, figures, style=PAGE_STYLE, script=SCRIPT)

    def _roofline_text(self) -> str:
        return ROOFLINE.format(
            bus=self.config.bus_bytes,
            array=OPERATIONS_A_MAC * self.config.peak_macs,
            vector=OPERATIONS_A_MAC * self.config.cols,
        )

    def _figures(self) -> dict[str, Figure]:
        return {
            "timeline": timeline_figure(_joined_spans(self.runs), self.layers, self.cycles),
            "roofline": roofline_figure(self.layers, self.config),
            "bytes": bytes_figure(self.layers),
        }


def page_of(
    package: "Package",
    result: RunResult,
    title: str,
    summary: Sequence[tuple[str, str]],
    noise_db: Mapping[str, float] | None = None,
) -> RunPage:
    """The page of a package that ran.

    Args:
        package: that ran.
        result: what it gave.
        title, summary, noise_db: see `RunPage`.
    """
    return RunPage(
        title=title,
        summary=summary,
        config=package.config,
        runs=[(executable, first) for executable, first, _ in programs_of(package, result)],
        layers=layer_times_of(package, result),
        noise_db=noise_db or {},
    )


def summary_of(package: "Package", result: RunResult) -> list[tuple[str, str]]:
    """The lines of a summary."""
    lines = [("device", result.device), ("samples", f"{result.samples:,}")]
    if result.cycles is not None:
        macs = sum(part.model.macs for part in package.parts.values())
        share = macs / (result.cycles * package.config.peak_macs)
        lines += [("cycles", f"{result.cycles:,}"), ("macs", f"{macs:,}"), ("utilization", f"{share:.2%}")]
    return [*lines, *((f"host: {name}", f"{each:.3g} s") for name, each in result.host_seconds.items())]


# --- details -----------------------------------------------------------------------------------------------


def _joined_spans(runs: Sequence[tuple[Executable, DeviceResult]]) -> dict[Engine, EngineSpans]:
    """What each engine does when, of programs one after the other."""
    parts = [engine_spans(executable, timeline_of(executable, result)) for executable, result in runs]
    first = first_cycles(runs)

    def joined(each: Iterable[Spans]) -> Spans:
        shifted = [Spans(spans.begin + by, spans.end + by) for spans, by in zip(each, first, strict=False)]
        return Spans(*(np.concatenate(column) for column in zip(*shifted, strict=True)))

    return {
        engine: EngineSpans(
            busy=joined(part[engine].busy for part in parts),
            waiting={other: joined(part[engine].waiting[other] for part in parts) for other in Engine},
            stalled=joined(part[engine].stalled for part in parts),
        )
        for engine in Engine
    }


def _summary(lines: Sequence[tuple[str, str]]) -> str:
    return _table("summary", (), [[_cell(name), _number(text)] for name, text in lines])


def _engine_table(results: Sequence[DeviceResult]) -> str:
    cycles = sum(result.cycles for result in results)
    rows = []
    for engine in Engine:
        counts = {
            kind: sum(result.counters[f"{engine.label}_{kind}"] for result in results)
            for kind in ENGINE_COUNTERS
        }
        bars = "".join(_bar(kind, count / cycles) for kind, count in counts.items())
        numbers = [_number(f"{count:,}") for count in counts.values()]
        rows.append([_cell(engine.label), *numbers, f'<td class="bar">{bars}</td>'])
    return _table("", ("engine", *ENGINE_COUNTERS, "of all cycles"), rows)


def _layer_table(layers: Sequence[LayerTime], noise_db: Mapping[str, float]) -> str:
    total = sum(layer.profile.cycles for layer in layers) or 1
    most = max(layer.profile.cycles for layer in layers) or 1
    engines = [engine.label for engine in Engine]
    head = ["#", "layer", "operator", "cycles", "share", "array", *engines, "bound", "KB moved"]
    head += ["SNR, dB"] if noise_db else []
    rows = [
        f'<tr data-begin="{layer.window[0]}" data-end="{layer.window[1]}">'
        + "".join(_layer_cells(number, layer, total, most))
        + (_noise(noise_db.get(last_layer(layer.profile.layer.name))) if noise_db else "")
        + "</tr>"
        for number, layer in enumerate(layers, 1)
    ]
    table = f'<table class="layers">\n{_head(head)}\n' + "\n".join(rows) + "\n</table>"
    return f'<div class="scroll">{table}</div>'


def _layer_cells(number: int, layer: LayerTime, total: int, most: int) -> list[str]:
    profile = layer.profile
    share = profile.cycles / total
    bar = _bar("cost", profile.cycles / most, f"{share:.1%}")
    engines = [
        _number(f"{each.busy / each.cycles:.0%}" if each.cycles else "", each.busy / (each.cycles or 1))
        for each in layer.engines.values()
    ]
    return [
        _number(str(number)),
        f'<td class="layer">{escape(profile.layer.name)}</td>',
        _cell(profile.layer.operator),
        _number(f"{profile.cycles:,}", profile.cycles),
        f'<td class="bar" data-key="{profile.cycles}">{bar}</td>',
        _number(f"{profile.utilization:.1%}" if profile.layer.macs else "", profile.utilization),
        *engines,
        f'<td class="bound">{escape(layer.bound)}</td>',
        _number(f"{layer.moved.total / _KB:,.1f}", layer.moved.total),
    ]


def _noise(decibels: float | None) -> str:
    return _number("", -1) if decibels is None else _number(f"{decibels:.1f}", decibels)


def _table(kind: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [_head(header)] if header else []
    lines += [f"<tr>{''.join(row)}</tr>" for row in rows]
    return f'<table class="{kind}">\n' + "\n".join(lines) + "\n</table>"


def _head(names: Sequence[str]) -> str:
    kinds = ("number" if name in (*_NUMBERS, *ENGINE_COUNTERS) else "" for name in names)
    cells = (f'<th class="{kind}">{escape(name)}</th>' for kind, name in zip(kinds, names, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _number(text: str, key: float | None = None) -> str:
    """A number as text, and what it is sorted by where that is another."""
    sorted_by = "" if key is None else f' data-key="{key}"'
    return f'<td class="number"{sorted_by}>{escape(text)}</td>'


def _bar(kind: str, share: float, told: str = "") -> str:
    return f'<div class="{kind}" style="width:{100 * share:.1f}%" title="{told}"></div>'
