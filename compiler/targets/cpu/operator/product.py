"""Products of activations of integers as matrices, as loop programs for the host."""

from typing import Any

from numpy.typing import NDArray

from tilewright.compiler import schedule
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qdense_transposed import QDenseTransposed
from tilewright.compiler.ops.quantised.qmatmul import QMatmul, QMatmulParted
from tilewright.compiler.schedule import Reorder, Vectorise
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.lowered import LoweredOperator, constant_of, lowered
from tilewright.compiler.te import cast, clamp, compute, lower, placeholder, reduce_axis, requantise, sum_of
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.numerics.quantise import INT8_MAXIMUM, INT8_MINIMUM

Array = NDArray[Any]


def lower_qmatmul(
    operator: QMatmul, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """Products of matrices, group by group: groups are rows, and channels lie innermost."""
    inputs, groups, pixels = types[0].numbers[1:]
    outputs, _, columns = types[1].numbers[1:]
    x = placeholder((groups, pixels, inputs), DType.INT8, "x")
    w = placeholder((groups, columns, outputs), DType.INT8, "w")
    i = reduce_axis(inputs, "i")

    def term(g: Expr, p: Expr, o: Expr) -> Expr:
        return sum_of(cast(x[g, p, i], DType.INT32) * cast(w[g, i, o], DType.INT32), (i,))

    sums = compute((groups, pixels, outputs), term, "sums")

    def element(g: Expr, p: Expr, o: Expr) -> Expr:
        total: Expr = sums[g, p, o]
        if isinstance(operator, QMatmulParted):
            scaled = requantise(sums[g, 2 * p + 1, o], Const(operator.fine_scale, DType.INT32))
            fine = cast(clamp(scaled, INT8_MINIMUM, INT8_MAXIMUM), DType.INT32)
            total = sums[g, 2 * p, o] + fine * operator.factor
        return _clamped(requantise(total, Const(operator.scale, DType.INT32)), operator)

    parts = 2 if isinstance(operator, QMatmulParted) else 1
    result = compute((groups, pixels // parts, outputs), element, "result")
    function = lower("products", [x, w], [result])
    orders = [Reorder(("sums_g", "sums_p", "sums_i", "sums_o")), Vectorise("sums_o"), Vectorise("result_o")]
    return lowered(schedule.apply(function, orders), {"x": 0, "w": 1}, {}, operator.macs(*types))


def lower_qdense_transposed(
    operator: QDenseTransposed, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """A product of matrices: features are pixels, and tokens channels."""
    weight = constant_of(arrays[1])
    outputs, inputs = weight.shape
    _, tokens, _, columns = types[0].numbers
    x = placeholder((columns, tokens), DType.INT8, "x")
    w = placeholder(weight.shape, DType.INT8, "w")
    i = reduce_axis(inputs, "i")

    def term(f: Expr, t: Expr) -> Expr:
        return sum_of(cast(w[f, i], DType.INT32) * cast(x[i, t], DType.INT32), (i,))

    sums = compute((outputs, tokens), term, "sums")

    def element(f: Expr, t: Expr) -> Expr:
        return _clamped(requantise(sums[f, t], Const(operator.scale, DType.INT32)), operator)

    function = lower("keys", [x, w], [compute(sums.shape, element, "result")])
    orders = [Reorder(("sums_f", "sums_i", "sums_t")), Vectorise("sums_t"), Vectorise("result_t")]
    return lowered(schedule.apply(function, orders), {"x": 0}, {"w": weight}, operator.macs(*types))


def _clamped(value: Expr, operator: QMatmul | QDenseTransposed) -> Expr:
    return cast(clamp(value + operator.zero_point, operator.lo, operator.hi), DType.INT8)
