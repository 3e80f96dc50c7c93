"""Reductions: what combines two results, what changes nothing, and what a block reduces."""

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.expr import Binary, BinaryOp, Call, Cast, Const, Expr, Load, Parameter, Select
from tilewright.compiler.tir.stmt import Block, IterKind, Reducer
from tilewright.compiler.tir.walk import operands, substitute

OPERATIONS = (BinaryOp.ADD, BinaryOp.MUL, BinaryOp.MIN, BinaryOp.MAX)
"""Operators that reduce."""


def identity(op: BinaryOp, dtype: DType) -> Const:
    """What a reduction of nothing is.

    Raises:
        ValueError: for an operator that does not reduce.
    """
    if op not in OPERATIONS:
        raise ValueError(f"op must be one of {', '.join(OPERATIONS)}, not {op}")
    if op in (BinaryOp.ADD, BinaryOp.MUL):
        value = int(op is BinaryOp.MUL)
        return Const(float(value) if dtype.is_float else value, dtype)
    if dtype.is_float:
        return Const(np.inf if op is BinaryOp.MIN else -np.inf, dtype)
    if dtype is DType.BOOL:
        return Const(op is BinaryOp.MIN, dtype)
    ends = np.iinfo(dtype.value)
    return Const(int(ends.max if op is BinaryOp.MIN else ends.min), dtype)


def operation(op: BinaryOp, dtype: DType) -> Reducer:
    """The reduction by an operator."""
    left, right = Parameter("a", dtype), Parameter("b", dtype)
    return Reducer((left,), (right,), (Binary(op, left, right),), (identity(op, dtype),))


def combined(reducer: Reducer, left: tuple[Expr, ...], right: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """Two results together."""
    names = [parameter.name for parameter in (*reducer.left, *reducer.right)]
    values = dict(zip(names, (*left, *right), strict=True))
    return tuple(substitute(expr, values) for expr in reducer.combined)


def folded(block: Block) -> tuple[Reducer, tuple[Expr, ...]] | None:
    """How a block reduces, and which values; None if it does not, or not by what its reducer says."""
    if not any(it.kind is IterKind.REDUCE for it in block.iters):
        return None
    reducer = block.reducer or _shown(block)
    if reducer is None or len(reducer.left) != len(block.stores):
        return None
    own = [Load(store.buffer, store.indices) for store in block.stores]
    values: dict[str, Expr] = dict(zip((p.name for p in reducer.left), own, strict=True))
    for pattern, store in zip(reducer.combined, block.stores, strict=True):
        if not _matches(pattern, store.value, values):
            return None
    right = [values.get(parameter.name) for parameter in reducer.right]
    found = tuple(value for value in right if value is not None)
    return (reducer, found) if len(found) == len(right) else None


def _shown(block: Block) -> Reducer | None:
    value = block.body.value
    if isinstance(value, Binary) and value.op in OPERATIONS and not block.more:
        return operation(value.op, value.dtype)
    return None


def _matches(pattern: Expr, expr: Expr, values: dict[str, Expr]) -> bool:
    """Whether an expression is the pattern, of values for its parameters; adds these."""
    if isinstance(pattern, Parameter):
        return values.setdefault(pattern.name, expr) == expr
    if isinstance(pattern, Const):
        return pattern == expr
    parts, others = operands(pattern), operands(expr)
    alike = type(pattern) is type(expr) and len(parts) == len(others) and _same_node(pattern, expr)
    return alike and all(_matches(part, other, values) for part, other in zip(parts, others, strict=True))


def _same_node(pattern: Expr, expr: Expr) -> bool:
    """Whether two nodes of one class do the same to their operands."""
    match pattern, expr:
        case Binary(op=a), Binary(op=b):
            return a is b
        case Call(function=f), Call(function=g):
            return f is g
        case _:
            return isinstance(pattern, Select | Cast) and pattern.dtype is expr.dtype
