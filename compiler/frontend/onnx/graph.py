"""Nodes of a graph in their order: each is folded, converted, or refused with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tilewright.compiler.frontend.error import UnsupportedError
from tilewright.compiler.frontend.onnx import body, shape_value
from tilewright.compiler.frontend.onnx.element import read_sparse, read_tensor
from tilewright.compiler.frontend.onnx.error import ValueNeededError
from tilewright.compiler.frontend.onnx.node import CONVERTERS, Node, Result, find_converter
from tilewright.compiler.frontend.onnx.scope import REFUSED, Item, RefusedError, Scope
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.interpret import run
from tilewright.numerics.error import TilewrightError

_FOLDED_ELEMENTS = 1 << 14
"""Of all operands of a node that is computed at import: what shapes are made of is small."""
_NEVER_FOLDED = frozenset(
    # Integers with a scale stay integers: they say how weights are quantised.
    {"DequantizeLinear"}
) | frozenset(
    {"Loop", "If", "Scan", "RandomNormal", "RandomUniform", "Bernoulli", "Multinomial", "SequenceMap"}
)


MALFORMED = (ArithmeticError, IndexError, KeyError, MemoryError, TypeError, ValueError)
"""What a converter raises on a node with too few, empty or enormous operands or attributes."""


@dataclass
class Problems:
    """What cannot be imported, by operator and reason.

    Members:
        lines: names of nodes, by operator and reason.
        needed: inputs whose elements would have to be known.
        only_needs: whether nothing else is missing.
    """

    lines: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    needed: set[str] = field(default_factory=set)
    only_needs: bool = True

    def add(self, operator: str, name: str, error: TilewrightError) -> None:
        """One node, input or output."""
        inputs = error.inputs if isinstance(error, ValueNeededError) else ()
        self.needed.update(inputs)
        self.only_needs = self.only_needs and bool(inputs)
        self.lines.setdefault((operator, str(error)), []).append(repr(name))

    @property
    def count(self) -> int:
        """Of nodes."""
        return sum(map(len, self.lines.values()))

    def __str__(self) -> str:
        return "; ".join(
            f"{what} {', '.join(names)} ({reason})" for (what, reason), names in self.lines.items()
        )


def convert(graph: Any, scope: Scope, b: Builder, opsets: dict[str, int], problems: Problems) -> None:
    """Converts the nodes of a graph; its inputs and constants are in the scope already."""
    for proto in graph.node:
        node = node_of(proto, scope, b, opsets)
        try:
            with b.label(node.name), np.errstate(all="ignore"):
                items = convert_node(node)
        except RefusedError:
            items = []
            if CONVERTERS.get(node.operator) is None and not body.exists(node):
                problems.add(node.operator, node.name, UnsupportedError("there is no such operator here"))
        except (UnsupportedError, IrError) as error:
            items = []
            problems.add(node.operator, node.name, error)
        except MALFORMED as error:
            # Converters check what is plausible; the rest is a node that its operator does not define. What
            # was raised is told, so that a mistake of a converter's own does not pass for one of the model.
            items = []
            told = " ".join(f"{type(error).__name__}: {error}".split())
            reason = f"must have operands, attributes and sizes as the operator defines them ({told})"
            problems.add(node.operator, node.name, UnsupportedError(reason))
        define(node, items)


def define(node: Node, items: Sequence[Item]) -> None:
    """Gives the results of a node their names; those of a refused one stand for nothing."""
    for index, name in enumerate(node.proto.output):
        node.scope.define(name, items[index] if index < len(items) else REFUSED)


def nested(
    graph: Any, around: Scope, b: Builder, opsets: dict[str, int], arguments: Sequence[Item]
) -> list[Item]:
    """The results of a graph inside of a node, applied to items.

    Raises:
        UnsupportedError: with all that is not supported in it.
    """
    scope = Scope(around)
    for tensor in graph.initializer:
        scope.define(tensor.name, Item(array=read_tensor(tensor)))
    for sparse in graph.sparse_initializer:
        scope.define(sparse.values.name, Item(array=read_sparse(sparse)))
    for parameter, item in zip(graph.input, arguments, strict=False):
        scope.define(parameter.name, item)
    problems = Problems()
    convert(graph, scope, b, opsets, problems)
    if problems.lines:
        raise as_error(problems, "a graph inside of it")
    return [scope.find(value.name) for value in graph.output]


def as_error(problems: Problems, where: str) -> UnsupportedError:
    """What to raise for problems in a part of a node."""
    if problems.only_needs and problems.needed:
        return ValueNeededError(problems.needed, where)
    return UnsupportedError(f"in {where}: {problems}")


def node_of(proto: Any, scope: Scope, b: Builder, opsets: dict[str, int]) -> Node:
    """The node of a NodeProto."""
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    operator = f"{domain}.{proto.op_type}" if domain else proto.op_type
    name = proto.name or next((name for name in proto.output if name), operator)
    attributes = {each.name: each for each in proto.attribute}
    return Node(proto, operator, opsets.get(domain, 1), opsets, scope, b, name, attributes)


def convert_node(node: Node) -> list[Item]:
    """The results of a node."""
    operands = [node.scope.find(name) if name else None for name in node.proto.input]
    for item in operands:
        if item is not None and item.value is None and item.array is None and item.elements is None:
            raise RefusedError("it reads a value that is not supported")
    symbolic = shape_value.propagate(node, operands)
    if symbolic is not None and symbolic.dtype != object:
        return [Item(array=symbolic)]
    folded = _folded(node, operands)
    if folded is not None:
        return folded
    results = _converted(node)
    origins = frozenset().union(*(item.origins for item in operands if item is not None))
    items = [_item(node, result, origins) for result in results]
    if symbolic is not None:
        items = [Item(items[0].value, None, symbolic, origins)]
    return items


def _converted(node: Node) -> list[Result]:
    convert_it = find_converter(node.operator, node.opset)
    if convert_it is not None:
        result = convert_it(node)
        return list(result) if isinstance(result, (tuple, list)) else [result]
    return list(body.convert(node))


def _item(node: Node, result: Result, origins: frozenset[str]) -> Item:
    if isinstance(result, Item):
        return result
    if isinstance(result, Value):
        literal = node.b.literal(result)
        return Item(result, origins=origins) if literal is None else Item(array=literal.array)
    return REFUSED if result is None else Item(array=np.asarray(result))


def _folded(node: Node, operands: Sequence[Item | None]) -> list[Item] | None:
    """The results, if all operands are known and small; None if they are not, or have no value."""
    arrays = [None if item is None else item.array for item in operands]
    if any(array is None and item is not None for array, item in zip(arrays, operands, strict=True)):
        return None
    if (
        node.operator in _NEVER_FOLDED
        or sum(array.size for array in arrays if array is not None) > _FOLDED_ELEMENTS
    ):
        return None
    b = Builder("folded")
    inner = Node(
        node.proto, node.operator, node.opset, node.opsets, node.scope, b, node.name, node.attributes
    )
    try:
        results = _converted(inner)
        values = [result for result in results if isinstance(result, Value)]
        if any(isinstance(result, Item) for result in results) or _too_large(values):
            return None
        computed: list[Array] = list(run(b.function(*values)))
    except (UnsupportedError, TilewrightError):
        return None
    arrays_of = dict(zip(values, computed, strict=True))
    return [
        REFUSED
        if each is None
        else Item(array=np.asarray(arrays_of[each] if isinstance(each, Value) else each))
        for each in results
    ]


def _too_large(values: Sequence[Value]) -> bool:
    known = all(value.type.is_known for value in values)
    return not known or sum(value.type.elements for value in values) > _FOLDED_ELEMENTS
