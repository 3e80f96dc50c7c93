"""Products of two activations on the matrix engine: one of them lies in memory as weights do."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qmatmul import QMatmul, QMatmulTransposed
from tilewright.compiler.targets.accel.cost.problem import BlockedConvolution
from tilewright.compiler.targets.accel.operator.epilogue import FACTOR, finish
from tilewright.compiler.targets.accel.operator.layout import blocks, packed_parameters
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.tunable import TunableConvolution
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.compiler.te import Tensor, TensorProgram, cast, compute, placeholder, reduce_axis, sum_of
from tilewright.compiler.tir.expr import Expr
from tilewright.isa.config import Config


def lower_qmatmul(
    operator: QMatmul, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of a product; `w` must have whole blocks of columns (`legalise`).

    A group is a convolution of single pixels. [block of outputs][group][input][lane] is the layout of its
    weights, [block of inputs][group][pixel][lane] that of its input: groups are rows of results.
    """
    inputs, groups, pixels = types[0].numbers[1:]
    outputs = operator.infer(*types)[0].numbers[1]
    sizes = BlockedConvolution(
        out_blocks=blocks(outputs, config),
        out_height=1,
        out_width=pixels,
        in_blocks=blocks(inputs, config),
        kernel=(1, 1),
        parameter_vectors=FACTOR,
    )
    columns = types[1].numbers[3]
    if columns != sizes.in_blocks * config.cols and not isinstance(operator, QMatmulTransposed):
        raise TilingError(f"w must have columns for {sizes.in_blocks} whole blocks, not {columns}")
    rows = [np.full(outputs, value, np.int32) for value in (0, operator.scale)]
    return [
        Lowered(
            build=partial(_program, operator, sizes, groups, config),
            tunable=TunableConvolution(convolution=sizes, config=config, groups=groups),
            tensors={"x": 0, "weight": 1},
            pack=partial(packed_parameters, rows, config),
        )
    ]


def _program(operator: QMatmul, sizes: BlockedConvolution, groups: int, config: Config) -> TensorProgram:
    """Stages input, weights, sums, result, with the loops of a convolution."""
    lanes, rows = config.cols, config.rows
    x = placeholder((sizes.in_blocks, groups, sizes.out_width, lanes), DType.INT8, "x")
    weight, weights = _weights(operator, sizes, groups, config)
    parameters = placeholder((sizes.out_blocks, FACTOR, lanes), DType.INT32, "parameters")
    window = compute(x.shape, lambda z, y, x_, c: x[z, y, x_, c], "input")
    s, ky, kx = (reduce_axis(extent, name) for extent, name in ((config.slices, "s"), (1, "ky"), (1, "kx")))
    i, r = reduce_axis(sizes.in_blocks, "i"), reduce_axis(rows, "r")

    def term(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        operand = window[i, y + ky, x + kx, s * rows + r]
        return cast(operand, DType.INT32) * cast(weights[o, y + ky, i, s, r, c], DType.INT32)

    results = (sizes.out_blocks, groups, sizes.out_width, lanes)
    sums = compute(results, lambda o, y, x, c: sum_of(term(o, y, x, c), (s, ky, kx, i, r)), "sums")

    def value(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        limits = {"zero_point": operator.zero_point, "lo": operator.lo, "hi": operator.hi}
        return finish(sums[o, y, x, c], parameters, o, c, **limits)

    return TensorProgram.of("products", [x, weight, parameters], [compute(results, value, "result")])


def _weights(
    operator: QMatmul, sizes: BlockedConvolution, groups: int, config: Config
) -> tuple[Tensor, Tensor]:
    """w in the memory outside, and in tiles [block of outputs][group][block of inputs][slice][row][lane]."""
    shape = (sizes.out_blocks, groups, sizes.in_blocks, config.slices, config.rows, config.cols)
    outputs, _, inputs, slices, rows, lanes = shape
    if isinstance(operator, QMatmulTransposed):
        w = placeholder((slices, rows, groups, inputs, outputs, lanes), DType.INT8, "weight")
        return w, compute(shape, lambda o, g, i, s, r, c: w[s, r, g, i, o, c], "weights")
    w = placeholder(shape, DType.INT8, "weight")
    return w, compute(shape, lambda o, g, i, s, r, c: w[o, g, i, s, r, c], "weights")
