"""Reductions over axes: sum, product, maximum, minimum, and those that users define."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import overload

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import BinaryOp, Const, Expr, Parameter, Select, Var, as_expr
from tilewright.compiler.tir.reducer import operation
from tilewright.compiler.tir.stmt import Reducer

Elements = Expr | tuple[Expr, ...]
"""An element, or the elements of several tensors at one index."""
Combine = Callable[..., Elements]
"""Two elements as one: takes them, or two tuples of them."""


@dataclass(frozen=True)
class ReduceAxis(Var):
    """A variable that a reduction runs from 0 to extent − 1."""

    extent: int


Axes = ReduceAxis | Sequence[ReduceAxis]


@dataclass(frozen=True)
class Reduction:
    """The values at all points of some axes, combined into one element.

    Members:
        reducer: combines two results.
        op: the operator of the reducer; None for a reducer of the user.
        values: the reduced values; the identity where a predicate does not hold.
        axes: the reduced axes.
        init: the initial value, in terms of the axes of the element.
    """

    reducer: Reducer
    op: BinaryOp | None
    values: tuple[Expr, ...]
    axes: tuple[ReduceAxis, ...]
    init: tuple[Expr, ...]


@dataclass(frozen=True)
class ReductionResult(Expr):
    """One of the results of a reduction, in the type of its value."""

    reduction: Reduction
    output: int = 0

    @property
    def dtype(self) -> DType:
        """The element type of the value."""
        return self.reduction.values[self.output].dtype


def reduce_axis(extent: int, name: str) -> ReduceAxis:
    """An axis to reduce.

    Raises:
        TirError: if the extent is not positive.
    """
    if extent < 1:
        raise TirError(f"the extent of axis {name} must be positive, not {extent}")
    return ReduceAxis(name, extent)


def sum_of(value: Expr, axes: Axes, where: Expr | None = None, init: Expr | float | None = None) -> Expr:
    """The sum; integers wrap in their type.

    Args:
        value: the summand.
        axes: the reduced axes.
        where: only points at which this holds count; elsewhere the value is not evaluated.
        init: the initial value, an element of the type of the value; 0 by default.
    """
    return _by_operator(BinaryOp.ADD, value, axes, where, init)


def prod_of(value: Expr, axes: Axes, where: Expr | None = None, init: Expr | float | None = None) -> Expr:
    """The product; integers wrap in their type. `where` and `init` as in `sum_of`."""
    return _by_operator(BinaryOp.MUL, value, axes, where, init)


def max_of(value: Expr, axes: Axes, where: Expr | None = None, init: Expr | float | None = None) -> Expr:
    """The largest value. `where` and `init` as in `sum_of`."""
    return _by_operator(BinaryOp.MAX, value, axes, where, init)


def min_of(value: Expr, axes: Axes, where: Expr | None = None, init: Expr | float | None = None) -> Expr:
    """The smallest value. `where` and `init` as in `sum_of`."""
    return _by_operator(BinaryOp.MIN, value, axes, where, init)


@dataclass(frozen=True)
class CustomReducer:
    """A reduction by a function of two elements, or of two tuples of elements; called as `sum_of` is.

    Members:
        combine: associative and commutative; gives as much as it takes of one side.
        identity: the number, or the numbers, that change nothing, for given types.
    """

    combine: Combine
    identity: Callable[..., int | float | tuple[int | float, ...]]

    @overload
    def __call__(
        self, value: Expr, axes: Axes, where: Expr | None = None, init: Expr | float | None = None
    ) -> Expr: ...

    @overload
    def __call__(
        self,
        value: tuple[Expr, ...],
        axes: Axes,
        where: Expr | None = None,
        init: tuple[Expr | float, ...] | None = None,
    ) -> tuple[Expr, ...]: ...

    def __call__(
        self,
        value: Elements,
        axes: Axes,
        where: Expr | None = None,
        init: Expr | float | tuple[Expr | float, ...] | None = None,
    ) -> Elements:
        """The reduction of a value, or the tuple of reductions of a tuple.

        Raises:
            TirError: if combine or identity give other types, or another number of them.
        """
        several = isinstance(value, tuple)
        values = value if isinstance(value, tuple) else (value,)
        reducer = self._reducer(tuple(v.dtype for v in values), several)
        starts = None if init is None else init if isinstance(init, tuple) else (init,)
        reduction = _reduction(reducer, None, values, axes, where, starts)
        results = tuple(ReductionResult(reduction, output) for output in range(len(values)))
        return results if several else results[0]

    def _reducer(self, types: tuple[DType, ...], several: bool) -> Reducer:
        left = tuple(Parameter(f"a{number}", dtype) for number, dtype in enumerate(types))
        right = tuple(Parameter(f"b{number}", dtype) for number, dtype in enumerate(types))
        result = self.combine(left, right) if several else self.combine(left[0], right[0])
        numbers = self.identity(*types)
        combined = result if isinstance(result, tuple) else (result,)
        neutral = numbers if isinstance(numbers, tuple) else (numbers,)
        found = tuple(expr.dtype for expr in combined)
        if found != types or len(neutral) != len(types):
            raise TirError(
                f"a reducer of ({', '.join(types)}) must combine to these and have as many identities, "
                f"not ({', '.join(found)}) and {len(neutral)}"
            )
        return Reducer(left, right, combined, tuple(map(Const, neutral, types)))


def reducer(
    combine: Combine, identity: Callable[..., int | float | tuple[int | float, ...]]
) -> CustomReducer:
    """A reduction of your own.

    Args:
        combine: of two elements, or of two tuples of them: (index, value) for the place of a maximum.
        identity: takes the types of the elements, gives the number or numbers that change nothing.
    """
    return CustomReducer(combine, identity)


def _by_operator(
    op: BinaryOp, value: Expr, axes: Axes, where: Expr | None, init: Expr | float | None
) -> Expr:
    starts = None if init is None else (init,)
    return ReductionResult(_reduction(operation(op, value.dtype), op, (value,), axes, where, starts))


def _reduction(
    reducer: Reducer,
    op: BinaryOp | None,
    values: tuple[Expr, ...],
    axes: Axes,
    where: Expr | None,
    init: Sequence[Expr | float] | None,
) -> Reduction:
    over = (axes,) if isinstance(axes, ReduceAxis) else tuple(axes)
    if not over:
        raise TirError("a reduction must have an axis: use the value itself")
    if where is not None and where.dtype is not DType.BOOL:
        raise TirError(f"the predicate of a reduction must be bool, not {where.dtype}: compare")
    if where is not None:
        values = tuple(Select(where, v, e) for v, e in zip(values, reducer.identity, strict=True))
    starts = reducer.identity if init is None else init
    types = [value.dtype for value in values]
    made = tuple(as_expr(start, dtype) for start, dtype in zip(starts, types, strict=False))
    if len(starts) != len(types) or [start.dtype for start in made] != types:
        raise TirError(f"the init of a reduction of ({', '.join(types)}) must be of these types: cast it")
    return Reduction(reducer, op, values, over, made)
