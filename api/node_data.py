"""What a run took as node data of Model Explorer, by the names of the user's nodes.

The format is `GraphNodeData` of `node_data_builder.py` in github.com/google-ai-edge/model-explorer
(src/server/package), "Create custom node data" in its wiki: values of the nodes of the graph that is shown,
and how to colour them. A node goes by its name in the ONNX file, as in Model Explorer's adapter for ONNX
(github.com/justinchuby/model-explorer-onnx); one without a name by its first result.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tilewright.api.layer_time import layer_times_of
from tilewright.api.result import RunResult
from tilewright.isa.error import TilewrightError
from tilewright.isa.memory import Engine
from tilewright.runtime.layer_time import LayerTime

if TYPE_CHECKING:
    from tilewright.api.package import Package

_SUFFIXES = re.compile(r"(\.\d+|:pool)$")
"""What layers of one node are told apart by."""
_HOT = ({"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#cf222e"})
_COLD = ({"stop": 0, "bgColor": "#cf222e"}, {"stop": 1, "bgColor": "#ffffff"})
_COLOURS = {
    Engine.LOAD: "#b6d6f7",
    Engine.MATRIX: "#b4dfc0",
    Engine.VECTOR: "#dccbf9",
    Engine.STORE: "#f0d9a6",
}


def node_data(package: "Package", result: RunResult, kind: str = "cycles") -> dict[str, Any]:
    """One figure of each node that computes on the accelerator, to be written as JSON.

    A layer's figures go to the node that it is named after, and not to what was fused with it: cycles of all
    nodes add up to the programs'.

    Args:
        package: that ran.
        result: what it gave.
        kind: one of `KINDS`.

    Raises:
        TilewrightError: if there is no such kind.
    """
    if kind not in KINDS:
        raise TilewrightError(f"node data must be one of {', '.join(KINDS)}, not {kind!r}")
    nodes = {each.label for each in package.explain().placements}
    layers: dict[str, list[LayerTime]] = {}
    for layer in layer_times_of(package, result):
        layers.setdefault(_node_of(layer.profile.layer.name, nodes), []).append(layer)
    results, colours = KINDS[kind](layers)
    return {"results": results, **({"gradient": list(colours)} if colours else {})}


def _node_of(name: str, nodes: Iterable[str]) -> str:
    """The node of a layer, which has something behind the node's name where there are several."""
    found = name
    while found not in nodes and _SUFFIXES.search(found):
        found = _SUFFIXES.sub("", found)
    return found if found in nodes else name


# --- kinds -------------------------------------------------------------------------------------------------

_Layers = Mapping[str, Sequence[LayerTime]]
_Data = tuple[dict[str, dict[str, Any]], Sequence[Mapping[str, Any]]]


def _cycles(layers: _Layers) -> _Data:
    counts = {node: sum(layer.profile.cycles for layer in each) for node, each in layers.items()}
    return {node: {"value": count} for node, count in counts.items()}, _HOT


def _moved_bytes(layers: _Layers) -> _Data:
    counts = {node: sum(layer.moved.total for layer in each) for node, each in layers.items()}
    return {node: {"value": count} for node, count in counts.items()}, _HOT


def _utilization(layers: _Layers) -> _Data:
    """Products of what the array could do while the node's layers compute."""
    found = {}
    for node, each in layers.items():
        computing = [layer.profile for layer in each if layer.profile.utilization]
        if computing:
            macs = sum(profile.layer.macs for profile in computing)
            possible = sum(profile.layer.macs / profile.utilization for profile in computing)
            found[node] = {"value": macs / possible}
    return found, _COLD


def _bound(layers: _Layers) -> _Data:
    """What bounds the longest of the node's layers, in words."""
    longest = {node: max(each, key=lambda layer: layer.profile.cycles) for node, each in layers.items()}
    return {
        node: {"value": layer.bound, "bgColor": _COLOURS[layer.busiest]} for node, layer in longest.items()
    }, ()


KINDS: Mapping[str, Callable[[_Layers], _Data]] = {
    "cycles": _cycles,
    "utilization": _utilization,
    "moved_bytes": _moved_bytes,
    "bound": _bound,
}
