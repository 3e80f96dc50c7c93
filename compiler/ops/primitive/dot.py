"""Products of tensors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect, expect_axis, expect_operands
from tilewright.compiler.ir.size import AnySize, product
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.transpose import inverse
from tilewright.numerics import exact_sum


@dataclass(frozen=True)
class Dot(Operator):
    """The sum of products over axes of two tensors of one element type.

    Sums of floats are reproducible (`numerics.exact_sum`), integers wrap. Axes of the result: the batch, the
    rest of a, the rest of b.

    Members:
        contract_a, contract_b: axes that are summed, in pairs.
        batch_a, batch_b: axes that go along, in pairs.
    """

    name: ClassVar[str] = "dot"
    contract_a: tuple[int, ...]
    contract_b: tuple[int, ...]
    batch_a: tuple[int, ...] = ()
    batch_b: tuple[int, ...] = ()

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "a", "b")
        a, b = types
        expect(a.dtype is b.dtype, f"operands must have one element type, not {a}, {b}")
        expect(a.dtype is not DType.BOOL, "operands must be of numbers, not bool")
        for what, axes, rank in (("a", self._axes_a, a.rank), ("b", self._axes_b, b.rank)):
            for axis in axes:
                expect_axis(f"an axis of {what}", axis, rank)
            expect(len(set(axes)) == len(axes), f"axes of {what} must differ, not {axes}")
        expect(
            len(self._axes_a) == len(self._axes_b), f"axes must be in pairs: {self._axes_a}, {self._axes_b}"
        )
        expect(
            len(self.batch_a) == len(self.batch_b),
            f"batch axes must be in pairs: {self.batch_a}, {self.batch_b}",
        )
        for i, j in zip(self._axes_a, self._axes_b, strict=True):
            expect(a.shape[i] == b.shape[j], f"axis {i} of {a} must be as long as axis {j} of {b}")
        rest_a, rest_b = self.rest(a.rank, b.rank)
        batch = [a.shape[axis] for axis in self.batch_a]
        rests = [a.shape[axis] for axis in rest_a] + [b.shape[axis] for axis in rest_b]
        return (a.with_shape((*batch, *rests)),)

    @property
    def _axes_a(self) -> tuple[int, ...]:
        return (*self.batch_a, *self.contract_a)

    @property
    def _axes_b(self) -> tuple[int, ...]:
        return (*self.batch_b, *self.contract_b)

    def rest(self, rank_a: int, rank_b: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Axes of a and of b that are neither summed nor of the batch."""
        rest_a = tuple(axis for axis in range(rank_a) if axis not in self._axes_a)
        return rest_a, tuple(axis for axis in range(rank_b) if axis not in self._axes_b)

    def macs(self, *types: TensorType) -> AnySize:
        (result,) = self.infer(*types)
        return product((*result.shape, *(types[0].shape[axis] for axis in self.contract_a)))

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        a, b = arrays
        rest_a, rest_b = self.rest(a.ndim, b.ndim)
        batch = [a.shape[axis] for axis in self.batch_a]
        rows, columns = [a.shape[axis] for axis in rest_a], [b.shape[axis] for axis in rest_b]
        depth = int(np.prod([a.shape[axis] for axis in self.contract_a], dtype=np.int64))
        count, m, n = (int(np.prod(sizes, dtype=np.int64)) for sizes in (batch, rows, columns))
        left = a.transpose(*self.batch_a, *rest_a, *self.contract_a).reshape(count, m, depth)
        right = b.transpose(*self.batch_b, *self.contract_b, *rest_b).reshape(count, depth, n)
        return (exact_sum.matmul(left, right).reshape((*batch, *rows, *columns)),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        x, y, _ = kept
        (cotangent,) = cotangents
        if cotangent is None:
            return [None, None]
        rest_x, rest_y = self.rest(x.type.rank, y.type.rank)
        batch = tuple(range(len(self.batch_a)))
        of_x = tuple(range(len(batch), len(batch) + len(rest_x)))
        of_y = tuple(range(len(batch) + len(rest_x), cotangent.type.rank))
        to_x = Dot(of_y, rest_y, batch, self.batch_b)
        to_y = Dot(of_x, rest_x, batch, self.batch_a)
        order_x = (*self.batch_a, *rest_x, *_partners(self.contract_b, self.contract_a))
        order_y = (*self.batch_b, *rest_y, *_partners(self.contract_a, self.contract_b))
        return [
            _ordered(b, b.emit(to_x, cotangent, y), order_x),
            _ordered(b, b.emit(to_y, cotangent, x), order_y),
        ]


def _partners(axes: Sequence[int], others: Sequence[int]) -> list[int]:
    """The other axis of each pair, in ascending order of the one."""
    return [other for _, other in sorted(zip(axes, others, strict=True))]


def _ordered(b: Builder, value: Value, axes: Sequence[int]) -> Value:
    """The value, whose axes are these of the operand, with the operand's order of axes."""
    from tilewright.compiler.ops import emit as e

    return e.transpose(b, value, inverse(axes))
