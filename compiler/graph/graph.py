"""Networks: nodes in order, between named values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.error import GraphError
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.operator import Array, Operator, OperatorError


@dataclass(frozen=True)
class Node:
    """An operator applied to values.

    Members:
        name: for messages; unique in a graph.
        operator: what is done.
        inputs: names of values: of inputs, constants, or nodes before.
        output: the name of the result.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    output: str


@dataclass(frozen=True, eq=False)
class Graph:
    """A network; immutable, so that what is derived from it is derived once.

    Members:
        name: of the network.
        inputs: names and types of what is given for each sample.
        nodes: in an order in which each follows what it reads.
        outputs: names of the values that are the answer.
        constants: arrays by name; they have no batch axis.
    """

    name: str
    inputs: tuple[tuple[str, TensorType], ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))

    @cached_property
    def types(self) -> Mapping[str, TensorType]:
        """The type of every value, by name.

        Raises:
            GraphError: as `verify`.
        """
        types = {name: constant_type(name, array) for name, array in self.constants.items()}
        for name, tensor in self.inputs:
            _define(types, name, tensor)
        for node in self.nodes:
            _define(types, node.output, infer(node, types))
        return MappingProxyType(types)

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node of each value that a node makes."""
        return {node.output: node for node in self.nodes}

    @cached_property
    def consumers(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value that is read; an output is read by nobody for that reason."""
        readers: dict[str, tuple[Node, ...]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(node.inputs):
                readers[name] = (*readers.get(name, ()), node)
        return readers

    @property
    def macs(self) -> int:
        """Multiply-accumulates with weights, for one sample."""
        return sum(node.operator.macs(*(self.types[name] for name in node.inputs)) for node in self.nodes)


def verify(graph: Graph) -> None:
    """Checks names, order, types and the batch axis.

    Raises:
        GraphError: what is wrong, with the name of the node or value.
    """
    names = [node.name for node in graph.nodes]
    for name in names:
        if names.count(name) > 1:
            raise GraphError(
                f"the name of a node must be unique, but {name!r} is there {names.count(name)} times"
            )
    for name, tensor in graph.inputs:
        if tensor.shape[:1] != (1,):
            raise GraphError(f"input {name!r} must have a batch axis of 1 in front, not {tensor}")
    for name in graph.outputs:
        if name not in graph.types or name in graph.constants:
            raise GraphError(f"output {name!r} must be an input or the result of a node, and is not")
    if not graph.outputs:
        raise GraphError(f"graph {graph.name!r} must have an output, and has none")


def infer(node: Node, types: Mapping[str, TensorType]) -> TensorType:
    """The type of a node's result.

    Raises:
        GraphError: with the node's name, if an input is unknown or has a type that the operator cannot take.
    """
    unknown = [name for name in node.inputs if name not in types]
    where = f"node {node.name!r} ({node.operator.name})"
    if unknown:
        raise GraphError(
            f"{where} must read inputs, constants or results of nodes before it, not {unknown[0]!r}"
        )
    try:
        return node.operator.infer(*(types[name] for name in node.inputs))
    except OperatorError as error:
        raise GraphError(f"{where}: {error}") from error


def constant_type(name: str, array: Array) -> TensorType:
    """The type of a constant.

    Raises:
        GraphError: if its elements are of a type that no tensor has, or there are none.
    """
    try:
        return TensorType(array.shape, DType.of(array.dtype))
    except ValueError as error:
        raise GraphError(
            f"constant {name!r} must be a tensor, not {array.dtype} {array.shape}: {error}"
        ) from error


def _define(types: dict[str, TensorType], name: str, tensor: TensorType) -> None:
    if name in types:
        raise GraphError(f"a value must be defined once, but {name!r} is defined again")
    types[name] = tensor
