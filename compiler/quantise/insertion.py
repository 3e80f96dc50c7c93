"""Quantise and dequantise nodes for a float graph: where the accelerator will write int8, and only there.

A value stays a sum that is not yet rounded where its one reader can do its work on it: activation
functions, a maximum pooling behind a convolution, the addition of a residual.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.ops.add import Add
from tilewright.compiler.ops.clip import Clip
from tilewright.compiler.ops.conv2d import Conv2d
from tilewright.compiler.ops.dense import Dense
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.max_pool2d import MaxPool2d
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.ops.relu import Relu
from tilewright.compiler.quantise.calibration import Range
from tilewright.compiler.quantise.island import VIEWS
from tilewright.compiler.quantise.parameter import Parameters, choose_parameters, residual_is_fine

CLAMPS = (Relu, Clip)


class _State(Enum):
    """What a value is while its operators are not yet rounded."""

    CLOSED = auto()
    """int8, or a view of such."""
    CONVOLVED = auto()
    """The sums of a convolution."""
    POOLABLE = auto()
    """The sums of a convolution, perhaps with a residual, perhaps clamped."""
    OPEN = auto()
    """What can only be clamped."""


@dataclass
class _Insertion:
    graph: Graph
    ranges: Mapping[str, Range]
    nodes: list[Node] = field(default_factory=list)
    states: dict[str, _State] = field(default_factory=dict)
    parameters: dict[str, Parameters] = field(default_factory=dict)
    """Of closed values, and of open ones that only clamp or pool a closed one: they keep its scale."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Of the graph: what is read in their place."""

    def close(self, name: str) -> None:
        """Makes int8 of an open value."""
        if self.states[name] is _State.CLOSED:
            return
        position = next(index for index, node in enumerate(self.nodes) if node.output == name)
        self.nodes[position] = replace(self.nodes[position], output=f"{name}.real")
        self.quantise(f"{name}.real", name, self.parameters_of(name), name, position + 1)

    def quantise(self, real: str, name: str, parameters: Parameters, result: str, position: int) -> None:
        """Adds the pair of nodes from `real` to `result`."""
        integer = f"{name}.quantised"
        self.nodes[position:position] = [
            Node(integer, Quantise(parameters.scale, parameters.zero_point), (real,), integer),
            Node(
                f"{name}.dequantised", Dequantise(parameters.scale, parameters.zero_point), (integer,), result
            ),
        ]
        self.states[name] = _State.CLOSED
        self.parameters[name] = parameters

    def parameters_of(self, name: str) -> Parameters:
        """Those a value has, or will have."""
        if name in self.parameters:
            return self.parameters[name]
        seen = self.ranges[name]
        return choose_parameters(seen.low, seen.high)

    def only_reader(self, name: str) -> Node | None:
        """The one node that reads a value, unless the value is an output."""
        readers = self.graph.consumers.get(name, ())
        single = len(readers) == 1 and name not in self.graph.outputs
        return readers[0] if single and readers[0].inputs.count(name) == 1 else None


def insert_quantisation(graph: Graph, ranges: Mapping[str, Range]) -> Graph:
    """The graph with a quantise and a dequantise node behind each input and each unit of the accelerator.

    Args:
        graph: of floats, canonical.
        ranges: of all its values.
    """
    work = _Insertion(graph, ranges)
    for name, _ in graph.inputs:
        work.inputs[name] = f"{name}.dequantised"
        work.quantise(name, name, work.parameters_of(name), f"{name}.dequantised", len(work.nodes))
    for node in graph.nodes:
        _add(work, node)
    for node in graph.nodes:
        if node.output in graph.outputs:
            work.close(node.output)
    return replace(graph, nodes=tuple(work.nodes))


def _add(work: _Insertion, node: Node) -> None:
    activations = [name for name in node.inputs if name in work.states]
    fused = _fusable_sum(work, node)
    for name in activations:
        if name != fused and not _can_stay_open(work, name, node):
            work.close(name)
    work.states[node.output] = _state(work, node, fused)
    if isinstance(node.operator, CLAMPS + VIEWS + (MaxPool2d,)) and activations[0] in work.parameters:
        parameters, seen = work.parameters[activations[0]], work.ranges[node.output]
        # A clamp whose bounds lie beyond all data makes values that the scale before it has no integers for.
        if parameters.hold(seen.low, seen.high):
            work.parameters[node.output] = parameters
    work.nodes.append(replace(node, inputs=tuple(work.inputs.get(name, name) for name in node.inputs)))


def _can_stay_open(work: _Insertion, name: str, reader: Node) -> bool:
    if work.only_reader(name) is None:
        return False
    if isinstance(reader.operator, CLAMPS):
        return True
    poolable = (_State.CONVOLVED, _State.POOLABLE)
    return isinstance(reader.operator, MaxPool2d) and work.states[name] in poolable


def _state(work: _Insertion, node: Node, fused: str | None) -> _State:
    before = work.states.get(node.inputs[0], _State.CLOSED)
    match node.operator:
        case Conv2d() | Dense():
            return _State.CONVOLVED
        case Add():
            return _State.POOLABLE if fused else _State.OPEN
        case Relu() | Clip() if before is _State.CONVOLVED:
            return _State.POOLABLE
        case Relu() | Clip() if before is not _State.CLOSED:
            return before
        case operator if isinstance(operator, VIEWS):
            return _State.CLOSED
    return _State.OPEN


def _fusable_sum(work: _Insertion, node: Node) -> str | None:
    """The sums of a convolution, among the inputs of an addition, to which the other input can be added."""
    if not isinstance(node.operator, Add):
        return None
    order = [each.output for each in work.nodes]
    candidates = [name for name in node.inputs if work.states[name] is _State.CONVOLVED]
    for name in sorted(candidates, key=order.index, reverse=True):
        convolution = work.graph.producers[name]
        (other,) = (each for each in node.inputs if each != name) if len(set(node.inputs)) == 2 else (name,)
        if other == name or work.only_reader(name) is None or not isinstance(convolution.operator, Conv2d):
            continue
        weight = work.graph.constants.get(convolution.inputs[1])
        result = work.parameters_of(_end(work, node))
        x, residual = work.parameters[convolution.inputs[0]], work.parameters_of(other)
        if weight is not None and residual_is_fine(weight, x, result, residual):
            return name
    return None


def _end(work: _Insertion, node: Node) -> str:
    """The value behind the clamps that follow a node: its integers are those that are written."""
    reader = work.only_reader(node.output)
    while reader is not None and isinstance(reader.operator, CLAMPS):
        node, reader = reader, work.only_reader(reader.output)
    return node.output
