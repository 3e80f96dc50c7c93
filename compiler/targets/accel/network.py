"""An integer graph as the machine sees it: what the host hands over, layers, and what it takes back."""

from dataclasses import dataclass

from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.identity import Identity
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.ops.reshape import Reshape
from tilewright.compiler.targets.accel.operator.lower import OPERATORS
from tilewright.numerics.error import TilewrightError

VIEWS = (Reshape, Flatten, Identity)
"""Operators that change how a tensor is presented, and no element of it."""


class NetworkError(TilewrightError):
    """A graph of which the machine can do a part only, with everything that it cannot do."""


@dataclass(frozen=True)
class Port:
    """A tensor that passes between host and machine.

    Members:
        name: of the graph's input or output.
        shape: that the user sees, without the batch axis.
        value: name of the int8 value [1, channels, height, width].
        scale, zero_point: of its elements.
    """

    name: str
    shape: tuple[int, ...]
    value: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Network:
    """What the machine does of a graph.

    Members:
        graph: all of it.
        inputs, outputs: what passes between host and machine.
        layers: nodes in order.
    """

    graph: Graph
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    layers: tuple[Node, ...]


def network_of(graph: Graph) -> Network:
    """The network of an integer graph.

    Raises:
        NetworkError: listing every node that neither host nor machine can do where it stands.
    """
    layers = tuple(node for node in graph.nodes if isinstance(node.operator, OPERATORS))
    inputs, seen = _inputs(graph)
    outputs = tuple(_output(graph, name, seen) for name in graph.outputs)
    seen |= {node.name for node in layers}
    strange = [node for node in graph.nodes if node.name not in seen]
    if strange:
        listed = ", ".join(f"{node.name!r} ({node.operator.name})" for node in strange)
        raise NetworkError(f"the accelerator must be able to run every operator, and cannot run {listed}")
    return Network(graph, inputs, outputs, layers)


def _inputs(graph: Graph) -> tuple[tuple[Port, ...], set[str]]:
    """Inputs behind their quantisation, and the names of the nodes that the host does for them."""
    ports, seen = [], set()
    for name, tensor in graph.inputs:
        for node, passed in _quantised(graph, name):
            assert isinstance(node.operator, Quantise), "found by its class"
            seen |= {*passed, node.name}
            value, scale, zero_point = node.output, node.operator.scale, node.operator.zero_point
            ports.append(Port(name, tensor.shape[1:], value, float(scale), int(zero_point)))
    names = [port.name for port in ports]
    bad = [name for name, _ in graph.inputs if names.count(name) != 1]
    if bad:
        raise NetworkError(f"each input must be quantised once, and {', '.join(map(repr, bad))} is not")
    return tuple(ports), seen


def _quantised(graph: Graph, name: str) -> list[tuple[Node, list[str]]]:
    """The quantisations that a value reaches through views, each with the views before it."""
    found: list[tuple[Node, list[str]]] = []
    for node in graph.consumers.get(name, ()):
        if isinstance(node.operator, Quantise):
            found.append((node, []))
        elif isinstance(node.operator, VIEWS):
            found += [(last, [node.name, *passed]) for last, passed in _quantised(graph, node.output)]
    return found


def _output(graph: Graph, name: str, seen: set[str]) -> Port:
    """An output before its dequantisation; notes in `seen` what the host does for it."""
    value, dequantise = name, None
    while value in graph.producers:
        node = graph.producers[value]
        if isinstance(node.operator, Dequantise) and dequantise is None:
            dequantise = node.operator
        elif not isinstance(node.operator, VIEWS):
            break
        seen.add(node.name)
        value = node.inputs[0]
    if dequantise is None:
        raise NetworkError(f"output {name!r} must be the dequantised result of an integer operator")
    shape = graph.types[name].shape[1:]
    return Port(name, shape, value, float(dequantise.scale), int(dequantise.zero_point))


def picture(tensor: TensorType) -> tuple[int, int, int]:
    """Channels, height and width of a value."""
    channels, height, width = (*tensor.shape[1:], 1, 1)[:3]
    return channels, height, width
