"""The matrix intrinsic: acc[m, c] (+)= Σ int32(x[…, r]) · int32(w[k, r, c])."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.intrinsic.affine import Number, compiled_sum, split
from tilewright.compiler.targets.accel.intrinsic.axis import (
    StridedLoop,
    all_in_units,
    fitted,
    in_units,
    merged,
    without,
)
from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.geometry import Geometry, Pattern
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import Nest, Statement
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import Binary, BinaryOp, BufferLoad, Cast, Const, Expr
from tilewright.isa.encoding import IntArray
from tilewright.isa.instruction import Instruction, Matrix, specs

_SPECS = specs(Matrix)
_ADDRESSES = ("activation", "weight", "accumulator")


class MatrixIntrinsic(Intrinsic):
    """Roles: y and x move activations and results, ky, kx and ci activations and weights, r and c the tile.

    Weights are dense over the tiles and results over y and x. `accumulate` is 0 where the loop nest contains
    the first step of the reduction: all of its indices are 0 there, and the block starts from 0.
    """

    name: ClassVar[str] = "matrix"
    kind: ClassVar[type[Instruction]] = Matrix

    def __init__(self, nest: Nest, limits: Limits) -> None:
        super().__init__(nest, limits)
        statement = nest.only
        _check_result(statement)
        activation, weight = _factors(statement)
        result = BufferLoad(statement.store.buffer, statement.store.indices)
        loads = (activation, weight, result)
        self.operands = dict(zip(_ADDRESSES, (load.buffer for load in loads), strict=True))
        self._limits = limits
        self._geometry = Geometry(statement.loops, loads)
        self._first = _first_step(statement)

    def _addresses(self, pattern: Pattern, rows: Iterations) -> Mapping[str, IntArray]:
        cols = self._limits.cols
        activation, weight, result = [base(rows) for base in pattern.bases]
        return {
            "activation": all_in_units(activation, self._limits.rows, "the first activation"),
            "weight": all_in_units(weight, cols, "the first weight"),
            "accumulator": all_in_units(result, cols, "the first result"),
            "accumulate": self._accumulates(rows),
        }

    def _accumulates(self, rows: Iterations) -> IntArray:
        """1 where something was added before."""
        if self._first is None:
            return np.array(1)
        found = np.zeros(rows.count, np.int64)
        for index in self._first:
            found |= index(rows) != 0
        return found

    def _pattern(self, numbers: Sequence[int]) -> Pattern:
        key, _ = self._geometry.key(numbers)
        rows, cols = self._limits.rows, self._limits.cols
        axes, bases = self._geometry.axes(key)
        axes = merged(_without_row(without(axes, (0, 1, 1), cols), rows, cols))
        results = _dense([axis for axis in axes if axis.strides[2]], 2, cols, "results")
        tiles = _dense([axis for axis in axes if not axis.strides[2]], 1, rows * cols, "weight tiles")
        if any(axis.strides[1] for axis in results):
            text = "a loop that moves results and weights is no role of the array: leave it outside"
            raise MismatchError(text, MatchProgress.LOOPS)
        fields = self._loop_fields(("x", "y"), results, "over results")
        fields |= self._loop_fields(("ci", "kx", "ky"), tiles, "over tiles")
        return Pattern(Matrix, fields, bases)

    def _loop_fields(self, names: tuple[str, ...], axes: list[StridedLoop], what: str) -> dict[str, int]:
        """Counts and strides of the loops, which are given and named innermost first."""
        fields = {}
        loops = fitted(axes, [_SPECS[f"n_{name}"].maximum for name in names], what)
        for name, axis in zip(names, loops, strict=True):
            fields[f"n_{name}"] = axis.extent
            if axis.extent > 1:
                fields[f"stride_{name}"] = in_units(
                    axis.strides[0], self._limits.rows, f"the stride of {name}"
                )
        return fields


def _without_row(axes: list[StridedLoop], rows: int, cols: int) -> list[StridedLoop]:
    """The loops without that over the rows of a tile; what is left of one over several tiles' rows stays."""
    strides = (1, cols, 0)
    for index, axis in enumerate(axes):
        if axis.strides == strides and axis.extent % rows == 0:
            return [*axes[:index], axis.split(rows)[0], *axes[index + 1 :]]
    return without(axes, strides, rows, "rows of a weight tile")


def _dense(axes: list[StridedLoop], column: int, unit: int, what: str) -> list[StridedLoop]:
    """The loops innermost first, which must be dense in an access from `unit` elements up."""
    ordered = sorted(axes, key=lambda axis: axis.strides[column])
    expected = unit
    for axis in ordered:
        if axis.strides[column] != expected:
            text = f"{what} must be dense: a loop of {axis.extent} strides {axis.strides[column]} elements"
            raise MismatchError(f"{text}, not {expected}; leave it outside", MatchProgress.LOOPS)
        expected *= axis.extent
    return ordered


def _check_result(statement: Statement) -> None:
    buffer = statement.store.buffer
    if buffer.scope is not MemoryScope.ACCUMULATOR or buffer.dtype is not DType.INT32:
        text = f"sums must be int32 in accumulator memory, not {buffer.dtype} in {buffer.scope}"
        raise MismatchError(text, MatchProgress.EXPRESSION)


def _factors(statement: Statement) -> tuple[BufferLoad, BufferLoad]:
    """The activation and the weight of acc + int32(activation) · int32(weight)."""
    added = statement.added()
    if added is None or added[0].op is not BinaryOp.ADD:
        raise MismatchError("acc[…] = acc[…] + a product is expected", MatchProgress.EXPRESSION)
    product = added[1]
    if not (isinstance(product, Binary) and product.op is BinaryOp.MUL):
        raise MismatchError("a product is expected to be added", MatchProgress.EXPRESSION)
    loads = {load.buffer.scope: load for load in map(_widened, (product.a, product.b))}
    if loads.keys() != {MemoryScope.ACTIVATION, MemoryScope.WEIGHT}:
        text = f"factors must lie in activation and weight memory, not in {', '.join(sorted(loads))}"
        raise MismatchError(text, MatchProgress.EXPRESSION)
    return loads[MemoryScope.ACTIVATION], loads[MemoryScope.WEIGHT]


def _widened(factor: Expr) -> BufferLoad:
    match factor:
        case Cast(type=DType.INT32, value=BufferLoad() as load) if load.dtype is DType.INT8:
            return load
    raise MismatchError("factors must be int8 elements, converted to int32", MatchProgress.EXPRESSION)


def _first_step(statement: Statement) -> list[Number] | None:
    """The reduced indices at the first step of the loop nest; None if the sum starts elsewhere."""
    if statement.init is None:
        return None
    if statement.init != Const(0, DType.INT32):
        raise MismatchError("the sum must start from an int32 0", MatchProgress.EXPRESSION)
    names = [loop.name for loop in statement.loops]
    parts = [split(index, names) for index in statement.reduced]
    if any(part is None or min(part[0], default=0) < 0 for part in parts):
        text = "reduced indices must grow affinely with the loops: their first step is not to be found"
        raise MismatchError(text, MatchProgress.ACCESS)
    return [compiled_sum(part[1]) for part in parts if part is not None]
