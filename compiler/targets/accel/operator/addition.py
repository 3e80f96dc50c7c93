"""The sum of two activations: two instructions of the vector engine, with one rounding."""

from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.operator.epilogue import FACTOR, finish, with_residual
from tilewright.compiler.te import Tensor, TensorProgram, cast, compute, placeholder
from tilewright.compiler.tir.expr import Expr


@dataclass(frozen=True, kw_only=True)
class AdditionNest:
    """a * ka + b * factor in the layout of the machine.

    Members:
        shape: [blocks][height][width][lanes] of all three.
        ka: factor of a, within int8; that of b is a parameter, within int16.
        zero_point, lo, hi: of the result.
    """

    shape: tuple[int, int, int, int]
    ka: int
    zero_point: int
    lo: int
    hi: int

    def program(self, name: str) -> TensorProgram:
        """The loops: stages a_tile, b_tile, sums, result."""
        a, b = (placeholder(self.shape, DType.INT8, operand) for operand in ("a", "b"))
        parameters = placeholder((self.shape[0], FACTOR + 1, self.shape[3]), DType.INT32, "parameters")
        sums = compute(self.shape, lambda o, y, x, c: cast(a[o, y, x, c], DType.INT32) * self.ka, "sums")
        result = compute(
            self.shape, lambda o, y, x, c: self._value(sums, b, parameters, o, y, x, c), "result"
        )
        return TensorProgram.of(name, [a, b, parameters], [result])

    def _value(self, sums: Tensor, b: Tensor, parameters: Tensor, *at: Expr) -> Expr:
        block, _, _, lane = at
        total = with_residual(sums[at], b[at], parameters, block, lane)
        return finish(total, parameters, block, lane, zero_point=self.zero_point, lo=self.lo, hi=self.hi)
