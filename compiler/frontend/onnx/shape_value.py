"""Integers that say sizes, followed through the nodes that compute them.

They are arrays of numbers and symbolic sizes: what exporters write as Shape → Gather → Concat → Reshape
becomes a shape at import.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tilewright.compiler.frontend.error import UnsupportedError
from tilewright.compiler.frontend.onnx.node import Node
from tilewright.compiler.frontend.onnx.scope import Item
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.size import AnySize, Size

_Rule = Callable[[Node, Sequence[Array]], Any]
_MOST_ELEMENTS = 1024


def propagate(node: Node, operands: Sequence[Item | None]) -> Array | None:
    """The elements of a node's result: integers if all are numbers, objects if some are symbolic.

    None if nothing is known of them.
    """
    if node.operator in ("Shape", "Size"):
        return _typed(_measured(node, operands))
    rule = _RULES.get(node.operator)
    known = [None if item is None else item.known for item in operands]
    symbolic = any(item is not None and item.sizes is not None for item in operands)
    if rule is None or not symbolic or any(each is None for each in known):
        return None
    try:
        found = np.asarray(rule(node, [each for each in known if each is not None]), dtype=object)
    except (IrError, UnsupportedError, TypeError, ValueError, IndexError, ArithmeticError):
        return None
    return _typed(found) if found.size <= _MOST_ELEMENTS else None


def _typed(elements: Array) -> Array:
    """int64 if all elements are numbers."""
    if any(isinstance(each, Size) for each in elements.reshape(-1)):
        return elements
    return elements.astype(np.int64)


def _measured(node: Node, operands: Sequence[Item | None]) -> Array:
    shape = node.type(0).shape
    if node.operator == "Size":
        total: AnySize = 1
        for size in shape:
            total = total * size
        return np.array(total, dtype=object)
    end = node.integer("end", len(shape))
    part = shape[node.integer("start", 0) : end]
    found = np.empty(len(part), dtype=object)
    found[:] = part
    return found


def _gather(node: Node, known: Sequence[Array]) -> Any:
    return np.take(known[0], known[1].astype(np.int64), axis=node.integer("axis", 0))


def _slice(node: Node, known: Sequence[Array]) -> Any:
    if node.opset < 10:
        return known[0][node.integers("starts")[0] : node.integers("ends")[0]]
    lists = [each.astype(np.int64).reshape(-1).tolist() for each in known[1:]]
    starts, stops = lists[0], lists[1]
    axes = lists[2] if len(lists) > 2 else list(range(len(starts)))
    steps = lists[3] if len(lists) > 3 else [1] * len(starts)
    index = [slice(None)] * known[0].ndim
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        low = None if step < 0 and stop < -known[0].shape[axis] else stop
        index[axis] = slice(start, low, step)
    return known[0][tuple(index)]


def _unsqueeze(node: Node, known: Sequence[Array]) -> Any:
    axes = known[1].astype(np.int64).reshape(-1).tolist() if len(known) > 1 else node.integers("axes")
    return np.expand_dims(known[0], tuple(axes))


def _squeeze(node: Node, known: Sequence[Array]) -> Any:
    if len(known) > 1:
        return np.squeeze(known[0], tuple(known[1].astype(np.int64).reshape(-1).tolist()))
    return np.squeeze(known[0], tuple(node.integers("axes")) if node.given("axes") else None)


def _reshape(node: Node, known: Sequence[Array]) -> Any:
    return known[0].reshape(known[1].astype(np.int64).tolist())


def _cast(node: Node, known: Sequence[Array]) -> Any:
    return known[0] if node.dtype("to").is_integer else None


def _divide(one: Any, other: Any) -> Any:
    if isinstance(one, Size) and isinstance(other, int):
        return one // other
    return quotient([one], [other])


def _elementwise(function: Callable[[Any, Any], Any]) -> _Rule:
    vectorised = np.frompyfunc(function, 2, 1)
    return lambda node, known: vectorised(known[0], known[1])


def _add(one: Any, other: Any) -> Any:
    return one + other


def _sub(one: Any, other: Any) -> Any:
    return one + -1 * other


def _mul(one: Any, other: Any) -> Any:
    return one * other


_RULES: dict[str, _Rule] = {
    "Gather": _gather,
    "Slice": _slice,
    "Concat": lambda node, known: np.concatenate(known, node.integer("axis")),
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Identity": lambda node, known: known[0],
    "Cast": _cast,
    "Add": _elementwise(_add),
    "Sub": _elementwise(_sub),
    "Mul": _elementwise(_mul),
    "Div": _elementwise(_divide),
}


def quotient(whole: Sequence[AnySize], parts: Sequence[AnySize]) -> AnySize:
    """The product of `whole` over that of `parts`, where it is a size for certain.

    Raises:
        UnsupportedError: if it cannot be said.
    """
    number, names = _factors(whole)
    by, divisors = _factors(parts)
    for divisor in divisors:
        if divisor not in names:
            raise UnsupportedError(
                f"the product of {list(whole)} must be a multiple of that of {list(parts)}"
            )
        names.remove(divisor)
    total: AnySize = 1
    for size in names:
        total = total * size
    if by == 0:
        raise UnsupportedError("a size that follows from the others needs others that are not 0")
    if number % by == 0:
        return total * (number // by)
    if isinstance(total, int):
        raise UnsupportedError(f"{number} elements must be a multiple of {by}")
    return (total * number) // by


def _factors(sizes: Sequence[AnySize]) -> tuple[int, list[Size]]:
    """A number, and what else the product has as factors."""
    number, rest = 1, []
    for size in sizes:
        if not isinstance(size, Size):
            number *= int(size)
        elif len(size.terms) == 1:
            ((monomial, factor),) = size.terms
            number *= factor
            rest += [Size((((atom,), 1),)) for atom in monomial]
        else:
            rest.append(size)
    return number, rest


def reshaped(
    shape: Sequence[AnySize], wanted: Sequence[AnySize], keeps_zero: bool = False
) -> tuple[AnySize, ...]:
    """The shape that a Reshape asks for: 0 copies a size, −1 is what is left.

    Raises:
        UnsupportedError: if there is none.
    """
    copied: list[AnySize] = []
    for axis, size in enumerate(wanted):
        if size == 0 and not keeps_zero:
            if axis >= len(shape):
                raise UnsupportedError(f"shape must not copy axis {axis} of {len(shape)} axes")
            size = shape[axis]
        if isinstance(size, int) and size < -1:
            raise UnsupportedError(f"shape must have sizes from -1, not {size}")
        copied.append(size)
    if copied.count(-1) > 1:
        raise UnsupportedError(f"shape must have one -1 at most, not {copied}")
    if -1 in copied:
        others = [size for size in copied if size != -1]
        place = copied.index(-1)
        copied[place] = 0 if 0 in shape and 0 not in others else quotient(shape, others)
    return tuple(copied)
