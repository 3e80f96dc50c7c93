"""Activations as int8, and the integer graph while it is made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count

from tilewright.compiler.graph.graph import Graph, Node, constant_type
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.operator import Array, Operator
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.ops.reshape import Reshape
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.island import trace_view
from tilewright.compiler.quantise.parameter import Parameters

Shape = tuple[int, ...]
"""Of pictures: 1, channels, height, width."""


@dataclass(frozen=True)
class Integer:
    """A quantised activation.

    Members:
        name: of the int8 value in the integer graph; of the float input of the graph, if `given`.
        shape: of that value: pictures.
        parameters: what its integers mean to the one who reads it.
        given: how the host makes it, if it is an input of the graph: in the shape that its reader wants.
    """

    name: str
    shape: Shape
    parameters: Parameters
    given: Parameters | None = None


@dataclass
class Draft:
    """The integer graph so far.

    Members:
        source: the graph of floats with quantise and dequantise nodes.
        integers: by the name of their quantise node's result in `source`.
    """

    source: Graph
    integers: dict[str, Integer] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    types: dict[str, TensorType] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.types.update(self.source.inputs)

    def operand(self, name: str) -> Integer:
        """The quantised activation that a float value of the source is, or is a view of.

        Its integers mean what the dequantisation says: its scale need not be the quantisation's.

        Raises:
            IslandError: if it is none.
            KeyError: if it could not be made.
        """
        node = self.source.producers.get(trace_view(self.source, name))
        operator = None if node is None else node.operator
        is_quantised = isinstance(operator, Dequantise)
        require(is_quantised, f"its input {name!r} must be quantised")
        assert node is not None
        assert isinstance(operator, Dequantise)
        parameters = Parameters(operator.scale, operator.zero_point)
        return replace(self.integers[node.inputs[0]], parameters=parameters)

    def picture(self, integer: Integer, shape: Shape) -> str:
        """The int8 value under that shape.

        Raises:
            IslandError: if its pictures have another one.
        """
        if integer.given is not None:
            return self._quantised_input(integer.name, integer.given, shape)
        require(
            integer.shape == shape, f"pictures {list(integer.shape)} must not be reshaped to {list(shape)}"
        )
        return integer.name

    def emit(self, name: str, operator: Operator, inputs: Sequence[str], output: str) -> str:
        """Adds a node; its name is that, or its result's, or like it, whichever no node has yet."""
        types = [self._type(each) for each in inputs]
        self.types[output] = operator.infer(*types)
        taken = {node.name for node in self.nodes}
        names = chain((name, output), (f"{output}.{number}" for number in count(1)))
        free = next(each for each in names if each not in taken)
        self.nodes.append(Node(free, operator, tuple(inputs), output))
        return output

    def finish(self, output: str) -> None:
        """Makes an output of the source."""
        integer = self.operand(output)
        shape = self.source.types[output].shape
        own = _as_picture(shape) if integer.given else integer.shape
        name = self.picture(integer, own)
        parameters = integer.parameters
        real = output if own == shape else f"{output}.picture"
        self.emit(real, Dequantise(parameters.scale, parameters.zero_point), (name,), real)
        if own != shape:
            self.emit(output, Flatten() if len(shape) == 2 else Reshape(shape), (real,), output)

    def graph(self) -> Graph:
        """The integer graph."""
        source = self.source
        return Graph(source.name, source.inputs, tuple(self.nodes), source.outputs, self.constants)

    def _quantised_input(self, name: str, parameters: Parameters, shape: Shape) -> str:
        numbers = f"{parameters.scale!r}.{parameters.zero_point}.{'x'.join(map(str, shape))}"
        result = f"{name}.int8.{numbers}"
        if result in self.types:
            return result
        real = name
        if self.types[name].shape != shape:
            real = self.emit(f"{result}.shape", Reshape(shape), (name,), f"{result}.shape")
        return self.emit(result, Quantise(parameters.scale, parameters.zero_point), (real,), result)

    def _type(self, name: str) -> TensorType:
        if name in self.constants:
            return constant_type(name, self.constants[name])
        return self.types[name]


def pictures_of(integer: Integer, shape: Shape) -> Shape:
    """The pictures behind features of that shape, or the shape itself if it has height and width."""
    if len(shape) == 4:
        return shape
    return _as_picture(shape) if integer.given else integer.shape


def _as_picture(shape: Shape) -> Shape:
    if len(shape) == 4:
        return shape
    return (1, shape[1] if len(shape) > 1 else 1, 1, math.prod(shape[2:]))
