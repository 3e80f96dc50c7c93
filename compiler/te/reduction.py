"""Folds over axes: sum, maximum, minimum."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import BinaryOp, Const, Expr, Var


@dataclass(frozen=True)
class Axis(Var):
    """A variable that a fold runs from 0 to extent − 1."""

    extent: int


@dataclass(frozen=True)
class Reduction(Expr):
    """`value` at all points of the axes, folded by `op`, in the type of the value."""

    op: BinaryOp
    value: Expr
    axes: tuple[Axis, ...]

    @property
    def dtype(self) -> DType:
        """That of the value."""
        return self.value.dtype

    @property
    def identity(self) -> Const:
        """What a fold of nothing is."""
        dtype = self.value.dtype
        if self.op is BinaryOp.ADD:
            return Const(0.0 if dtype.is_float else 0, dtype)
        return Const(_lowest(dtype) if self.op is BinaryOp.MAX else _highest(dtype), dtype)


def reduce_axis(extent: int, name: str) -> Axis:
    """An axis to fold.

    Raises:
        TirError: if the extent is not positive.
    """
    if extent < 1:
        raise TirError(f"the extent of axis {name} must be positive, not {extent}")
    return Axis(name, extent)


def sum_of(value: Expr, axes: Axis | Sequence[Axis]) -> Expr:
    """The sum; integers wrap in their type."""
    return _fold(BinaryOp.ADD, value, axes)


def max_of(value: Expr, axes: Axis | Sequence[Axis]) -> Expr:
    """The largest value."""
    return _fold(BinaryOp.MAX, value, axes)


def min_of(value: Expr, axes: Axis | Sequence[Axis]) -> Expr:
    """The smallest value."""
    return _fold(BinaryOp.MIN, value, axes)


def _fold(op: BinaryOp, value: Expr, axes: Axis | Sequence[Axis]) -> Expr:
    folded = (axes,) if isinstance(axes, Axis) else tuple(axes)
    if not folded:
        raise TirError("a fold must have an axis: use the value itself")
    return Reduction(op, value, folded)


def _lowest(dtype: DType) -> int | float:
    return -np.inf if dtype.is_float else int(np.iinfo(dtype.value).min)


def _highest(dtype: DType) -> int | float:
    return np.inf if dtype.is_float else int(np.iinfo(dtype.value).max)
