"""The drawings of a run: engines in time, roofline, bytes of layers; as plotly has them."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tilewright.api.run_page_text import COLOURS, PALE, STALLED
from tilewright.isa.config import Config
from tilewright.isa.memory import Engine
from tilewright.runtime.engine_time import Cycles, EngineSpans, Spans
from tilewright.runtime.layer_time import LayerTime
from tilewright.tune.page_frame import FONT

OPERATIONS_A_MAC = 2
_FEW = 40
"""Layers with their numbers beside points, and their names under bars."""
_NAME = 24
"""Characters of a name under a bar."""
_BYTES = {
    "instructions": "#6e7781",
    "weights": "#0969da",
    "parameters": "#54aeff",
    "activations": "#8250df",
    "results": "#bf8700",
}
_INT32 = 1 << 31
_TOP = 0.92
"""Above it is the band of layers, below the engines."""

Figure = dict[str, Any]


def timeline_figure(spans: Mapping[Engine, EngineSpans], layers: Sequence[LayerTime], cycles: int) -> Figure:
    """The engines over the whole run; the page's script draws what is seen of it.

    Args:
        spans: what each engine does when, of all programs.
        layers: of these.
        cycles: of all programs.
    """
    engines = [{"name": engine.label, "states": _states(engine, each)} for engine, each in spans.items()]
    height = _TOP / len(engines)
    rows = {
        f"yaxis{row + 2}": {
            "domain": [_TOP - (row + 0.94) * height, _TOP - row * height],
            "range": [0, 1],
            "fixedrange": True,
            "title": {"text": engine["name"]},
            "tickvals": [0, 0.5, 1],
            "showticklabels": False,
        }
        for row, engine in enumerate(engines)
    }
    layout = {
        **_layout(560),
        "hovermode": "x unified",
        "bargap": 0,
        "uniformtext": {"minsize": 10, "mode": "hide"},
        "xaxis": {"title": {"text": "cycle"}, "range": [0, cycles], "anchor": f"y{len(engines) + 1}"},
        "yaxis": {"domain": [_TOP + 0.01, 1], "fixedrange": True, "showticklabels": False},
        **rows,
    }
    return {
        "data": [],
        "layout": layout,
        "run": {"cycles": cycles, "engines": engines, "band": _band(layers)},
    }


def roofline_figure(layers: Sequence[LayerTime], config: Config) -> Figure:
    """Operations a byte and operations a cycle of layers with products, with what the machine can do."""
    points = [
        (str(number), layer)
        for number, layer in enumerate(layers, 1)
        if layer.profile.layer.macs and layer.profile.utilization
    ]
    mode = "markers+text" if len(points) <= _FEW else "markers"
    data = []
    for engine in Engine:
        numbers = [number for number, layer in points if layer.busiest is engine]
        own = [layer for _, layer in points if layer.busiest is engine]
        data.append(
            {
                "type": "scatter",
                "mode": mode,
                "name": f"{engine.label} busy longest",
                "x": [intensity(layer) for layer in own],
                "y": [performance(layer, config) for layer in own],
                "text": numbers,
                "hovertext": [f"{layer.profile.layer.name}<br>bound: {layer.bound}" for layer in own],
                "hovertemplate": "%{hovertext}<br>%{x:.3g} a byte<br>%{y:.3g} a cycle<extra></extra>",
                "textposition": "top left",
                "marker": {"color": COLOURS[engine.label], "size": 9, "line": {"color": "white", "width": 1}},
            }
        )
    axis = {"type": "log", "dtick": 1}
    layout = {
        **_layout(460),
        "xaxis": {**axis, "title": {"text": "operations a byte of the busier way"}},
        "yaxis": {**axis, "title": {"text": "operations a cycle"}},
    }
    return {
        "data": [*_roofs([layer for _, layer in points], config), *(each for each in data if each["x"])],
        "layout": layout,
    }


def bytes_figure(layers: Sequence[LayerTime]) -> Figure:
    """Bytes moved for each layer, by what they are."""
    places = list(range(1, len(layers) + 1))
    names = [layer.profile.layer.name for layer in layers]
    data = [
        {
            "type": "bar",
            "name": name,
            "x": places,
            "y": [getattr(layer.moved, name) for layer in layers],
            "hovertext": names,
            "hovertemplate": f"%{{hovertext}}<br>{name} %{{y:,}} bytes<extra></extra>",
            "marker": {"color": colour, "line": {"width": 0}},
        }
        for name, colour in _BYTES.items()
    ]
    few = {
        "tickvals": places,
        "ticktext": [f"{place} {_short(name)}" for place, name in zip(places, names, strict=True)],
        "tickangle": -40,
    }
    axis = {"title": {"text": "layer"}, "automargin": True, **(few if len(layers) <= _FEW else {})}
    layout = {**_layout(420), "barmode": "stack", "bargap": 0.1, "xaxis": axis}
    return {"data": data, "layout": {**layout, "yaxis": {"title": {"text": "bytes"}}}}


def intensity(layer: LayerTime) -> float:
    """Operations for each byte of the busier way of the bus."""
    moved = max(layer.moved.read, layer.moved.results)
    return OPERATIONS_A_MAC * layer.profile.layer.macs / moved


def performance(layer: LayerTime, config: Config) -> float:
    """Operations a cycle while the layer computes."""
    return OPERATIONS_A_MAC * layer.profile.utilization * config.peak_macs


# --- details -----------------------------------------------------------------------------------------------


def _states(engine: Engine, spans: EngineSpans) -> list[dict[str, Any]]:
    """What an engine does when, in the order of the legend."""
    found = [(f"{engine.label} busy", COLOURS[engine.label], spans.busy)]
    found += [(f"waits for {other.label}", PALE[other.label], each) for other, each in spans.waiting.items()]
    found.append(("stalled", STALLED, spans.stalled))
    return [
        {"name": name, "colour": colour, "rank": rank, **_encoded(each)}
        for rank, (name, colour, each) in enumerate(found)
    ]


def _encoded(spans: Spans) -> dict[str, dict[str, str]]:
    joined = spans.joined()
    return {"begin": _array(joined.begin), "end": _array(joined.end)}


def _array(cycles: Cycles) -> dict[str, str]:
    """A typed array as plotly has them."""
    small = not len(cycles) or int(cycles[-1]) < _INT32
    values = cycles.astype("<i4" if small else "<f8")
    return {"dtype": "i4" if small else "f8", "bdata": base64.b64encode(values.tobytes()).decode()}


def _band(layers: Sequence[LayerTime]) -> Figure:
    shown = [layer for layer in layers if layer.profile.cycles]
    return {
        "type": "bar",
        "orientation": "h",
        "width": 1,
        "base": [layer.window[0] for layer in shown],
        "x": [layer.profile.cycles for layer in shown],
        "text": [_short(layer.profile.layer.name) for layer in shown],
        "textposition": "inside",
        "insidetextanchor": "middle",
        "textangle": 0,
        "hovertext": [_told(layer) for layer in shown],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {
            "color": [PALE[layer.busiest.label] for layer in shown],
            "line": {"color": "white", "width": 1},
        },
        "showlegend": False,
    }


def _told(layer: LayerTime) -> str:
    profile = layer.profile
    return f"{profile.layer.name}: {profile.cycles:,} cycles, array {profile.utilization:.0%}, {layer.bound}"


def _roofs(points: Sequence[LayerTime], config: Config) -> list[Figure]:
    """What the array and the vector engine can do, up to where the bus gives enough."""
    found = [intensity(layer) for layer in points] or [1.0]
    x = np.geomspace(min(found) / 2, max(2 * max(found), OPERATIONS_A_MAC * config.peak_macs), 200)
    roofs = {"array": config.peak_macs, "vector engine": config.cols}
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"bus and {name}",
            "x": x.tolist(),
            "y": np.minimum(x * config.bus_bytes, OPERATIONS_A_MAC * macs).tolist(),
            "line": {"color": "#57606a", "width": 2, "dash": dash},
            "hoverinfo": "skip",
        }
        for (name, macs), dash in zip(roofs.items(), ("solid", "dot"), strict=True)
    ]


def _layout(height: int) -> Figure:
    return {
        "template": {"layout": {"plot_bgcolor": "white", "xaxis": _GRID, "yaxis": _GRID}},
        "height": height,
        "margin": {"t": 50, "b": 50, "l": 70, "r": 45},
        "modebar": {"orientation": "v"},
        "legend": {"orientation": "h", "y": 1.03, "yanchor": "bottom", "x": 0},
        "font": FONT,
    }


_GRID = {"gridcolor": "#eaeef2", "zerolinecolor": "#d0d7de"}


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"
