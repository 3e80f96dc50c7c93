"""Any function of single int8 elements, as a table."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.operator import expect_operands
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.operator import QuantisedOperator, expect_dtype, expect_shape
from tilewright.numerics.table import ENTRIES, FIRST


@dataclass(frozen=True)
class QLookup(QuantisedOperator):
    """y = table[x + 128].

    x int8 of any shape, its first axis the batch; table int8 (256,) → int8 of x's shape.
    """

    name: ClassVar[str] = "qlookup"

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x", "table")
        expect_dtype("x", types[0], DType.INT8)
        expect_table(types[1])
        return types[:1]

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (look_up(*arrays),)


def expect_table(table: TensorType) -> None:
    """Raises OperatorError unless the type is that of a table."""
    expect_dtype("table", table, DType.INT8)
    expect_shape("table", table, (ENTRIES,))


def look_up(x: Array, table: Array) -> Array:
    """What a table has for each int8 value."""
    found: Array = table[x.astype(np.intp) - FIRST]
    return found
