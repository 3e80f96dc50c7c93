"""The product of two activations of integers on the vector engine."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qmul import QMul
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.compiler.targets.accel.operator.epilogue import FACTOR, finish, with_residual
from tilewright.compiler.targets.accel.operator.layout import blocks, packed_parameters
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.schedule import product_schedule
from tilewright.compiler.targets.accel.operator.tunable import TunableWindows
from tilewright.compiler.te import Tensor, TensorProgram, cast, compute, placeholder, saturate
from tilewright.compiler.tir.expr import Expr
from tilewright.isa.config import Config


def lower_qmul(
    operator: QMul, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of a product."""
    _, channels, height, width = types[0].numbers
    sizes = Windows(
        blocks=blocks(channels, config),
        height=height,
        width=width,
        operands=2,
        parameter_vectors=FACTOR + 1,
        keeps_accumulators=True,
    )
    # (a - za)(b - zb) = (a - za) b + a (-zb) + za zb: the right factor of a product must fit int8.
    values = (operator.za * operator.zb, operator.scale, -operator.zb)
    rows = [np.full(channels, value, np.int32) for value in values]
    return [
        Lowered(
            build=partial(_program, operator, sizes, types[1].numbers[2:], config.cols),
            tunable=TunableWindows(
                windows=sizes, config=config, loops="product", primitives=product_schedule
            ),
            tensors={"a": 0, "b": 1},
            pack=partial(packed_parameters, rows, config),
        )
    ]


def _program(operator: QMul, sizes: Windows, factors: tuple[int, ...], lanes: int) -> TensorProgram:
    """Stages a_tile, shifted, b_tile, products, result; `factors` are the height and width of b."""
    shape = (sizes.blocks, sizes.height, sizes.width, lanes)
    a, b = placeholder(shape, DType.INT8, "a"), placeholder((sizes.blocks, *factors, lanes), DType.INT8, "b")
    parameters = placeholder((sizes.blocks, FACTOR + 1, lanes), DType.INT32, "parameters")
    # One stage for both who read it: one load.
    a_tile = compute(shape, lambda o, y, x, c: a[o, y, x, c], "a_tile")
    shifted = compute(
        shape, lambda o, y, x, c: cast(a_tile[o, y, x, c], DType.INT32) - operator.za, "shifted"
    )
    repeats = factors != (sizes.height, sizes.width)

    def product(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        left = cast(saturate(shifted[o, y, x, c], DType.INT16), DType.INT32)
        return left * cast(b[o, 0, 0, c] if repeats else b[o, y, x, c], DType.INT32)

    products = compute(shape, product, "products")

    def value(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        total = with_residual(products[o, y, x, c], a_tile[o, y, x, c], parameters, o, c)
        return finish(total, parameters, o, c, zero_point=operator.zero_point, lo=operator.lo, hi=operator.hi)

    result: Tensor = compute(shape, value, "result")
    return TensorProgram.of("product", [a, b, parameters], [result])
