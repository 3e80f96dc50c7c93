"""A scalar function on each element."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.scalar import NAMES_OF_KINDS, SCALARS, Scalar


@dataclass(frozen=True)
class Map(Operator):
    """A function of the table on operands of one shape and element type (of `select`, the first is bool).

    Members:
        function: its name in the table.
    """

    name: ClassVar[str] = "map"
    function: str

    @property
    def scalar(self) -> Scalar:
        """The row of the table.

        Raises:
            OperatorError: if there is none.
        """
        expect(self.function in SCALARS, f"must be one of {', '.join(SCALARS)}, not {self.function!r}")
        return SCALARS[self.function]

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        row = self.scalar
        expect(len(types) == row.arity, f"{row.name} must have {row.arity} operands, not {len(types)}")
        typed = types[1:] if row.name == "select" else types
        listed = ", ".join(map(str, types))
        expect(
            len({each.shape for each in types}) == 1,
            f"operands of {row.name} must have one shape, not {listed}",
        )
        expect(
            len({each.dtype for each in typed}) == 1,
            f"operands of {row.name} must have one element type, not {listed}",
        )
        expect(typed is types or types[0].dtype is DType.BOOL, f"the condition must be bool, not {types[0]}")
        kinds = NAMES_OF_KINDS.get(row.kinds, row.kinds)
        expect(row.takes(typed[0].dtype), f"operands of {row.name} must be {kinds}, not {typed[0].dtype}")
        return (types[0].with_dtype(DType.BOOL if row.is_predicate else typed[0].dtype),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        return (self.scalar.run(*arrays),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        (cotangent,) = cotangents
        row = self.scalar
        if cotangent is None or not row.partials:
            return [None] * row.arity
        return [partial(b, *kept, cotangent) for partial in row.partials]
