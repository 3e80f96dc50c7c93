"""Products of activations of integers as matrices, as loop programs for the host."""

from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from tilewright.compiler import schedule
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qdense_transposed import QDenseTransposed
from tilewright.compiler.ops.quantised.qmatmul import QMatmul, QMatmulParted
from tilewright.compiler.schedule import Reorder, Vectorise
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.activation_product import ActivationProduct
from tilewright.compiler.targets.cpu.operator.lowered import LoweredOperator, constant_of, lowered
from tilewright.compiler.targets.cpu.operator.numbers import Numbers
from tilewright.compiler.te import cast, clamp, compute, lower, placeholder, reduce_axis, requantise, sum_of
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.numerics.quantise import INT8_MAXIMUM, INT8_MINIMUM

Array = NDArray[Any]
_KEPT_FUNCTIONS = 256
"""Loop programs of products that a process keeps."""


def lower_qmatmul(
    operator: QMatmul, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """Products of matrices, group by group: groups are rows, and channels lie innermost."""
    inputs, groups, pixels = types[0].numbers[1:]
    outputs, _, columns = types[1].numbers[1:]
    product = ActivationProduct(groups, pixels, inputs, columns, outputs, features)
    if isinstance(operator, QMatmulParted):
        function = _parted_products(product)
        numbers = Numbers.of(operator, 0, operator.scale, operator.fine_scale, operator.factor)
    else:
        function, numbers = _products(product), Numbers.of(operator, 0, operator.scale)
    return lowered(function, {"x": 0, "w": 1}, {"numbers": numbers}, operator.macs(*types))


@lru_cache(_KEPT_FUNCTIONS)
def _products(product: ActivationProduct) -> PrimFunc:
    numbers = Numbers(further=1)

    def finish(total: Expr) -> Expr:
        return numbers.clamped(requantise(total, numbers.further(0)))

    return product.function([numbers.tensor], finish)


@lru_cache(_KEPT_FUNCTIONS)
def _parted_products(product: ActivationProduct) -> PrimFunc:
    numbers = Numbers(further=3)

    def finish(coarse: Expr, fine: Expr) -> Expr:
        scaled = clamp(requantise(fine, numbers.further(1)), INT8_MINIMUM, INT8_MAXIMUM)
        total = coarse + cast(cast(scaled, DType.INT8), DType.INT32) * numbers.further(2)
        return numbers.clamped(requantise(total, numbers.further(0)))

    return product.function([numbers.tensor], finish, parts=2)


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


def _clamped(value: Expr, operator: QDenseTransposed) -> Expr:
    return cast(clamp(value + operator.zero_point, operator.lo, operator.hi), DType.INT8)
