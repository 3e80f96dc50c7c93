"""Softmax in two parts, so that its integers are fine: a coarse one, and what it lacks.

As int8 with a scale of 1/127, the softmax of a row of n equal elements has no integers that tell it from 0
or from twice as much, once n is large. With p in two parts, p = coarse + fine / 254, both within [−1, 1] and
quantised with that scale, it has 15 bits. Both are rows of one product with the values, where the second one
is rounded before it is added: it is small.
"""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import expect, expect_operands
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.activation import softmax
from tilewright.compiler.ops.primitive.dot import Dot

COARSE_STEPS = 127
"""Steps of the coarse part from 0 to 1."""
FINE_UNITS = 254
"""Times that the fine part counts less: it is at most half a step of the coarse one."""


@dataclass(frozen=True)
class PartedSoftmax(Composite):
    """Softmax along the last axis of x (…, q, n), any float type: (…, 2q, n), of each row both parts.

    Row 2i is p rounded to steps of 1/127, row 2i + 1 is 254 times what it lacks.
    """

    name: ClassVar[str] = "parted_softmax"

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        expect_operands(tuple(each.type for each in operands), "x")
        (x,) = operands
        expect(x.type.rank >= 2, f"x must have two axes, not {x.type}")
        rank, (rows, columns) = x.type.rank, x.type.shape[-2:]
        steps = e.mul(b, softmax(b, x, rank - 1), float(COARSE_STEPS))
        coarse = e.round(b, steps)
        fine = e.mul(b, e.sub(b, steps, coarse), float(FINE_UNITS / COARSE_STEPS))
        parts = [e.div(b, coarse, float(COARSE_STEPS)), fine]
        joined = e.concat(b, [e.expand_dims(b, part, (rank - 1,)) for part in parts], rank - 1)
        return (e.reshape(b, joined, (*x.type.shape[:-2], 2 * rows, columns)),)


@dataclass(frozen=True)
class PartedProduct(Composite):
    """p (…, 2q, k), rows in both parts, times v (…, k, o): (…, q, o), with all axes in front alike."""

    name: ClassVar[str] = "parted_product"

    @staticmethod
    def dot(rank: int) -> Dot:
        """The product of matrices of operands of that rank."""
        front = tuple(range(rank - 2))
        return Dot((rank - 1,), (rank - 2,), front, front)

    def define(self, b: Builder, *operands: Value) -> tuple[Value]:
        expect_operands(tuple(each.type for each in operands), "p", "v")
        p, v = operands
        product = b.emit(self.dot(p.type.rank), p, v)
        *front, rows, columns = product.type.shape
        expect(isinstance(rows, int) and rows % 2 == 0, f"p must have rows in pairs, not {p.type}")
        halves = e.reshape(b, product, (*front, rows // 2, 2, columns))
        coarse, fine = (
            e.reshape(b, e.slice_axis(b, halves, -2, part, part + 1), (*front, rows // 2, columns))
            for part in range(2)
        )
        return (e.add(b, coarse, e.div(b, fine, float(FINE_UNITS))),)

    def macs(self, *types: TensorType) -> AnySize:
        """Those of the product that a network asks for: of one of both parts."""
        rows = types[0].shape[-2]
        whole = types[0].with_shape((*types[0].shape[:-2], rows // 2, types[0].shape[-1]))
        return self.dot(types[0].rank).macs(whole, types[1])
