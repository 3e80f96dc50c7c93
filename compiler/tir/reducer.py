"""Reductions: how two results combine, the identity, and the reduction of a block."""

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.expr import (
    Binary,
    BinaryOp,
    BufferLoad,
    Cast,
    Const,
    ElementCall,
    Expr,
    Parameter,
    Select,
)
from tilewright.compiler.tir.stmt import Block, IterKind, Reducer
from tilewright.compiler.tir.walk import operands, substitute

OPERATIONS = (BinaryOp.ADD, BinaryOp.MUL, BinaryOp.MIN, BinaryOp.MAX)
"""Operators that reduce."""


def identity(op: BinaryOp, dtype: DType) -> Const:
    """The identity of an operator: the result of an empty reduction.

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
    """The reducer of an operator."""
    left, right = Parameter("a", dtype), Parameter("b", dtype)
    return Reducer((left,), (right,), (Binary(op, left, right),), (identity(op, dtype),))


def combined(reducer: Reducer, left: tuple[Expr, ...], right: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """Two results combined into one."""
    names = [parameter.name for parameter in (*reducer.left, *reducer.right)]
    values = dict(zip(names, (*left, *right), strict=True))
    return tuple(substitute(expr, values) for expr in reducer.combined)


def reduction_of(block: Block) -> tuple[Reducer, tuple[Expr, ...]] | None:
    """The reducer of a block and the values that it reduces; None if the block is no such reduction."""
    if not any(it.kind is IterKind.REDUCE for it in block.iters):
        return None
    reducer = block.reducer or _shown(block)
    if reducer is None or len(reducer.left) != len(block.stores):
        return None
    own = [BufferLoad(store.buffer, store.indices) for store in block.stores]
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
        case ElementCall(function=f), ElementCall(function=g):
            return f is g
        case _:
            return isinstance(pattern, Select | Cast) and pattern.dtype is expr.dtype
