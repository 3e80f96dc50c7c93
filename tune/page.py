"""A search for machines as one page that needs nothing else: front, hypervolume, what decides, layers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from math import log2
from types import ModuleType
from typing import Any

import numpy as np

from tilewright.isa.config import Config
from tilewright.tune.budget import Board
from tilewright.tune.evaluated import Evaluated
from tilewright.tune.front import Quartiles, Values, hypervolumes, values_of
from tilewright.tune.page_frame import FONT, Section, framed, missing_plotly
from tilewright.tune.page_text import CAPTIONS, SCRIPT, layer_table

_COLOURS = ("#0969da", "#bf8700", "#1a7f37", "#8250df", "#cf222e")
_GREY, _FRONT, _BASE = "#afb8c1", "#0969da", "#cf222e"
_FEW = 12
"""Sizes that are drawn, of those that decide most."""
_SLOWEST = 2.5
"""The cycles up to which machines are drawn, of those of the first one: the others are no candidates."""
_AXES = (("bram", "block RAMs"), ("lut", "look-up tables"))


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A machine of the front.

    Members:
        report: its figures, as JSON has them.
        layers: by network a row for each layer: its name, operator, cycles, cycles of each engine, the engine
            that bounds it, and moved bytes.
    """

    report: Mapping[str, Any]
    layers: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a page shows.

    Members:
        title: of the page.
        board, base: for which board, and the machine that the search began with.
        evaluated: machines by the models.
        front: those that no other beats.
        curves: hypervolumes behind each call of several seeds, by the name of a way to search.
        importance: by objective the share of each size.
        notes: on what the figures are worth.
    """

    title: str
    board: Board
    base: Config
    evaluated: Sequence[Evaluated]
    front: Sequence[Shown]
    curves: Mapping[str, Sequence[Values]]
    importance: Mapping[str, Mapping[str, float]]
    notes: Sequence[str] = ()

    def html(self) -> str:
        """The page.

        Raises:
            TuneError: if plotly is missing.
        """
        figures = {
            "front": self._front(),
            "hypervolume": self._hypervolume(),
            "importance": self._importance(),
            "coordinates": self._coordinates(),
        }
        drawn = {name: json.loads(figure.to_json()) for name, figure in figures.items()}
        sections = [
            Section(heading=heading, text=text, figure=name)
            for name, (heading, text) in CAPTIONS.items()
            if name in figures
        ]
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes if note)
        return framed(self.title, [*sections, self._layers()], drawn, script=SCRIPT, end=f"<ul>{notes}</ul>")

    # --- figures -------------------------------------------------------------------------------------------

    def _known(self) -> list[Evaluated]:
        return [each for each in self.evaluated if each.costs is not None]

    def _front(self) -> Any:
        graph, subplots = _graph(), _subplots()
        figure = subplots.make_subplots(cols=2, rows=1, shared_yaxes=True, horizontal_spacing=0.04)
        known = self._known()
        latencies = [each.costs.latency for each in known if each.costs]
        fronts = [_mean(shown.report["cycles"]) for shown in self.front]
        for column, (name, label) in enumerate(_AXES, 1):
            grey = graph.Scatter(
                x=[getattr(each.area, name) for each in known],
                y=latencies,
                customdata=list(range(len(known))),
                mode="markers",
                marker={"color": _GREY, "size": 6},
                name="looked at, by the model",
                hovertext=[_hover(_figures(each), self.base, each.config) for each in known],
            )
            front = graph.Scatter(
                x=[shown.report[name] for shown in self.front],
                y=fronts,
                mode="markers+text",
                marker={"color": _FRONT, "size": 11, "line": {"color": "white", "width": 1}},
                text=[str(number) for number in range(len(self.front))],
                textposition="top center",
                name="front",
                hovertext=[
                    _hover(shown.report, self.base, Config(**shown.report["config"])) for shown in self.front
                ],
            )
            base = graph.Scatter(
                x=[getattr(each.area, name) for each in known[:1]],
                y=latencies[:1],
                mode="markers",
                marker={"color": _BASE, "symbol": "diamond", "size": 11},
                name="where it began, by the model",
                hoverinfo="skip",
            )
            for trace in (grey, base, front):
                trace.update(
                    showlegend=column == 1, hoverinfo=trace.hoverinfo or "text", legendgroup=trace.name
                )
                figure.add_trace(trace, row=1, col=column)
            figure.update_xaxes(
                title=f"{label} of {getattr(self.board, name):,}", rangemode="tozero", col=column
            )
        most = _SLOWEST * latencies[0] if latencies else None
        figure.update_yaxes(title="cycles, geometric mean", range=[0, most], col=1)
        figure.update_yaxes(range=[0, most], col=2)
        return _finished(figure, 440)

    def _hypervolume(self) -> Any:
        graph = _graph()
        figure = graph.Figure()
        for (name, curves), colour in zip(self.curves.items(), _COLOURS, strict=False):
            quartiles = Quartiles.of(curves)
            calls = np.arange(1, len(quartiles.median) + 1)
            band = [*quartiles.high.tolist(), *quartiles.low[::-1].tolist()]
            if len(curves) > 1:
                figure.add_scatter(
                    x=[*calls.tolist(), *calls[::-1].tolist()],
                    y=band,
                    fill="toself",
                    mode="none",
                    fillcolor=_faint(colour),
                    hoverinfo="skip",
                    showlegend=False,
                )
            seeds = f", {len(curves)} seeds" if len(curves) > 1 else ""
            figure.add_scatter(
                x=calls.tolist(), y=quartiles.median.tolist(), line={"color": colour}, name=name + seeds
            )
        figure.update_xaxes(title="machines looked at")
        figure.update_yaxes(title="hypervolume", rangemode="tozero")
        return _finished(figure, 360)

    def _importance(self) -> Any:
        graph = _graph()
        figure = graph.Figure()
        totals: dict[str, float] = {}
        for shares in self.importance.values():
            for name, share in shares.items():
                totals[name] = totals.get(name, 0.0) + share
        names = sorted(totals, key=lambda name: totals[name])[-_FEW:]
        for (objective, shares), colour in zip(self.importance.items(), _COLOURS, strict=False):
            figure.add_bar(
                y=names,
                x=[shares.get(name, 0.0) for name in names],
                orientation="h",
                name=objective,
                marker={"color": colour},
            )
        figure.update_xaxes(title="share of what decides", tickformat=".0%")
        return _finished(figure, 120 + 34 * max(1, len(names)))

    def _coordinates(self) -> Any:
        graph = _graph()
        known = self._known()
        fields = [
            name for name in asdict(self.base) if len({getattr(each.config, name) for each in known}) > 1
        ]
        dimensions = [_sizes(name, [getattr(each.config, name) for each in known]) for name in fields]
        latencies = [each.costs.latency for each in known if each.costs]
        for label, values in (
            ("block RAMs", [each.area.bram for each in known]),
            ("tables", [each.area.lut for each in known]),
        ):
            dimensions.append({"label": label, "values": values})
        ticks = np.linspace(log2(min(latencies)), log2(max(latencies)), 6).tolist() if latencies else []
        dimensions.append(
            {
                "label": "cycles",
                "values": [log2(latency) for latency in latencies],
                "tickvals": ticks,
                "ticktext": [f"{2**tick / 1e6:.3g} M" for tick in ticks],
            }
        )
        line = {
            "color": [log2(latency) for latency in latencies],
            "colorscale": "Viridis",
            "reversescale": False,
        }
        figure = graph.Figure(
            graph.Parcoords(line=line, dimensions=dimensions, labelangle=-35, labelfont={"size": 11})
        )
        _finished(figure, 460)
        return figure.update_layout(margin={"t": 110, "b": 30, "l": 50, "r": 90})

    # --- layers --------------------------------------------------------------------------------------------

    def _layers(self) -> Section:
        heading, text = CAPTIONS["layers"]
        options = "".join(
            f'<option value="{number}">{number}: {_cycles(shown.report["cycles"])}</option>'
            for number, shown in enumerate(self.front)
        )
        tables = "".join(
            f'<div class="point" id="point-{number}" {"" if number == 0 else "hidden"}>'
            + f"<p>{escape(_changed(shown.report))}</p>"
            + "".join(f"<h3>{escape(name)}</h3>{layer_table(rows)}" for name, rows in shown.layers.items())
            + "</div>"
            for number, shown in enumerate(self.front)
        )
        chooser = f'<label>Point <select id="chosen">{options}</select></label>'
        return Section(heading=heading, text=text, body=chooser + tables)


def curve_of(evaluated: Sequence[Evaluated], board: Board) -> Values:
    """The hypervolume behind each machine, by the models; the first one is the base."""
    base = evaluated[0].costs
    return hypervolumes(values_of(evaluated, board, base.latency if base else 1.0))


def _mean(cycles: Mapping[str, int]) -> float:
    return float(2 ** np.mean(np.log2(list(cycles.values()))))


def _cycles(cycles: Mapping[str, int]) -> str:
    return escape(", ".join(f"{name} {count:,}" for name, count in cycles.items()))


def _figures(machine: Evaluated) -> dict[str, Any]:
    cycles = dict(machine.costs.cycles) if machine.costs else {}
    return {"cycles": cycles, **asdict(machine.area), "chip_bytes": machine.config.chip_bytes}


def _changed(report: Mapping[str, Any]) -> str:
    sizes = ", ".join(f"{name} {size}" for name, size in report["changed"].items())
    return sizes or "the sizes with which the search began"


def _hover(figures: Mapping[str, Any], base: Config, config: Config) -> str:
    own, other = asdict(config), asdict(base)
    changed = [f"{name} {size}" for name, size in own.items() if size != other[name]]
    rows = [", ".join(changed[at : at + 3]) for at in range(0, len(changed), 3)]
    area = f"{figures['lut']:,.0f} LUT, {figures['dsp']} DSP, {figures['bram']:g} BRAM"
    return "<br>".join((_cycles(figures["cycles"]), f"{area}, {figures['chip_bytes'] // 1024} KB", *rows))


def _sizes(name: str, values: Sequence[int]) -> dict[str, Any]:
    """An axis of powers of two, each as far from the next."""
    ticks = sorted(set(values))
    return {
        "label": name,
        "values": [log2(value) for value in values],
        "tickvals": [log2(value) for value in ticks],
        "ticktext": [f"{value:,}" for value in ticks],
    }


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"


def _finished(figure: Any, height: int) -> Any:
    return figure.update_layout(
        template="plotly_white",
        height=height,
        margin={"t": 30, "b": 50, "l": 70, "r": 20},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        font=FONT,
    )


# --- plotly ------------------------------------------------------------------------------------------------


def _graph() -> ModuleType:
    """Raises TuneError with the remedy where it is missing."""
    try:
        import plotly.graph_objects
    except ImportError as error:
        raise missing_plotly() from error
    found: ModuleType = plotly.graph_objects
    return found


def _subplots() -> ModuleType:
    import plotly.subplots

    found: ModuleType = plotly.subplots
    return found
