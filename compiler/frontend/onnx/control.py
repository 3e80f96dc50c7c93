"""Branches and loops: graphs inside of nodes become regions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import require
from tilewright.compiler.frontend.onnx import graph as graphs
from tilewright.compiler.frontend.onnx.node import Node, Result, converter, normal_axis
from tilewright.compiler.frontend.onnx.scope import Item
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e


def _body(node: Node, b: Builder, graph: Any, values: Sequence[Value]) -> list[Value]:
    """The results of a graph inside of the node where `b` builds."""
    items = graphs.nested(graph, node.scope, b, node.opsets, [Item(value) for value in values])
    return [item.emitted(b) for item in items]


@converter("If")
def _if(node: Node) -> Result:
    condition = node.item(0)
    then, orelse = node.graph("then_branch"), node.graph("else_branch")
    if condition.array is not None:
        chosen = then if bool(condition.array.reshape(-1)[0]) else orelse
        return graphs.nested(chosen, node.scope, node.b, node.opsets, [])
    scalar = e.reshape(node.b, node.x(0), ())
    return e.if_(node.b, scalar, lambda b: _body(node, b, then, []), lambda b: _body(node, b, orelse, []))


@converter("Loop")
def _loop(node: Node) -> Result:
    b, graph = node.b, node.graph("body")
    carried = [node.x(index) for index in range(2, node.count)]
    if node.has(0):
        most = e.reshape(b, node.x(0), ())
    else:
        most = b.constant(np.array(np.iinfo(np.int64).max))
    go = e.reshape(b, node.x(1), ()) if node.has(1) else b.constant(np.array(True))
    zero = b.constant(np.array(0, np.int64))

    def body(inner: Builder, step: Value, *state: Value) -> list[Value]:
        more, *results = _body(node, inner, graph, [step, inner.constant(np.array(True)), *state])
        after = e.add(inner, step, 1)
        going = e.logical_and(inner, e.reshape(inner, more, ()), e.less(inner, after, most))
        return [going, after, *results]

    start = e.logical_and(b, go, e.less(b, zero, most))
    _, *results = e.while_(b, start, [zero, *carried], body, b.size_name(f"{node.name}_steps"))
    return results


@converter("Scan", since=9)
def _scan(node: Node) -> Result:
    b, graph = node.b, node.graph("body")
    slices = node.integer("num_scan_inputs")
    states = node.count - slices
    outputs = len(graph.output) - states
    axes = node.integers("scan_input_axes", [0] * slices)
    directions = node.integers("scan_input_directions", [0] * slices)
    out_axes = node.integers("scan_output_axes", [0] * outputs)
    out_directions = node.integers("scan_output_directions", [0] * outputs)
    require(len(axes) == len(directions) == slices, f"scan_input_axes must have {slices} numbers")
    carried = [node.x(index) for index in range(states)]
    stacks = [
        _turned(b, _to_front(b, node.x(states + place), axes[place]), bool(directions[place]))
        for place in range(slices)
    ]
    results = e.scan(b, carried, stacks, lambda inner, *values: _body(node, inner, graph, values))
    found = list(results[:states])
    for place, stack in enumerate(results[states:]):
        turned = _turned(b, stack, bool(out_directions[place]))
        found.append(_from_front(b, turned, out_axes[place]))
    return found


def _to_front(b: Builder, x: Value, axis: int) -> Value:
    axis = normal_axis(axis, x.type.rank, "scan_input_axes")
    return e.transpose(b, x, (axis, *(each for each in range(x.type.rank) if each != axis)))


def _from_front(b: Builder, x: Value, axis: int) -> Value:
    axis = normal_axis(axis, x.type.rank, "scan_output_axes")
    return e.transpose(b, x, (*range(1, axis + 1), 0, *range(axis + 1, x.type.rank)))


def _turned(b: Builder, x: Value, backwards: bool) -> Value:
    """Backwards along the first axis."""
    if not backwards:
        return x
    size = x.type.shape[0]
    last: Value | int = size - 1 if isinstance(size, int) else e.sub(b, e.extent(b, x, 0), 1)
    places = e.iota(b, DType.INT64, (size,), 0)
    return e.gather(b, x, e.add(b, e.neg(b, places), last), 0)


@converter("SequenceConstruct")
def _sequence(node: Node) -> Result:
    return Item(elements=tuple(node.item(index) for index in range(node.count)))


@converter("SequenceEmpty")
def _sequence_empty(node: Node) -> Result:
    return Item(elements=())


def _elements(node: Node) -> tuple[Item, ...]:
    found = node.item(0).elements
    require(found is not None, "must have a sequence that is known at import")
    return found or ()


@converter("SequenceAt")
def _sequence_at(node: Node) -> Result:
    elements = _elements(node)
    return elements[normal_axis(int(node.array(1)), len(elements), "position")]


@converter("SequenceLength")
def _sequence_length(node: Node) -> Result:
    return np.array(len(_elements(node)), np.int64)


@converter("SequenceInsert")
def _sequence_insert(node: Node) -> Result:
    elements = list(_elements(node))
    place = int(node.array(2)) if node.has(2) else len(elements)
    elements.insert(place, node.item(1))
    return Item(elements=tuple(elements))


@converter("SequenceErase")
def _sequence_erase(node: Node) -> Result:
    elements = list(_elements(node))
    del elements[normal_axis(int(node.array(1)) if node.has(1) else -1, len(elements), "position")]
    return Item(elements=tuple(elements))


@converter("ConcatFromSequence")
def _concat_from_sequence(node: Node) -> Result:
    values = [item.emitted(node.b) for item in _elements(node)]
    require(bool(values), "must have a sequence with elements")
    if node.integer("new_axis", 0):
        return e.stack(node.b, values, normal_axis(node.integer("axis"), values[0].type.rank + 1))
    return e.concat(node.b, values, normal_axis(node.integer("axis"), values[0].type.rank))


@converter("SplitToSequence")
def _split_to_sequence(node: Node) -> Result:
    b, x = node.b, node.x(0)
    axis = normal_axis(node.integer("axis", 0), x.type.rank)
    size = x.type.shape[axis]
    require(isinstance(size, int), f"needs a known size of axis {axis}, not {size}")
    assert isinstance(size, int)
    if not node.has(1):
        parts = [1] * size
    elif node.rank(1) == 0:
        (each,) = node.numbers(1)
        parts = [min(each, size - start) for start in range(0, size, each)]
    else:
        parts = node.numbers(1)
    pieces = e.split(b, x, parts, axis)
    if not node.has(1) and not node.integer("keepdims", 1):
        pieces = [e.squeeze(b, piece, (axis,)) for piece in pieces]
    return Item(elements=tuple(Item(piece) for piece in pieces))


@converter("OptionalHasElement")
def _has_element(node: Node) -> Result:
    return np.array(node.has(0))


@converter("Optional", "OptionalGetElement")
def _optional(node: Node) -> Result:
    return node.item(0)
