"""Products of two activations on the matrix engine: one of them lies in memory as weights do."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.qdense_transposed import QDenseTransposed
from tilewright.compiler.ops.quantised.qmatmul import QMatmul, QMatmulParted, QMatmulTransposed
from tilewright.compiler.targets.accel.cost.problem import BlockedConvolution
from tilewright.compiler.targets.accel.operator.epilogue import FACTOR, finish, with_residual
from tilewright.compiler.targets.accel.operator.layout import blocks, packed_parameters
from tilewright.compiler.targets.accel.operator.lowered import Lowered
from tilewright.compiler.targets.accel.operator.tunable import TunableConvolution
from tilewright.compiler.targets.accel.tiling import TilingError
from tilewright.compiler.te import (
    Tensor,
    TensorProgram,
    cast,
    clamp,
    compute,
    placeholder,
    reduce_axis,
    requantise,
    sum_of,
)
from tilewright.compiler.tir.expr import Expr
from tilewright.isa.config import Config
from tilewright.numerics.quantise import INT8_MAXIMUM, INT8_MINIMUM

Product = QMatmul | QDenseTransposed


def lower_qmatmul(
    operator: QMatmul, types: list[TensorType], constants: list[NDArray[Any] | None], config: Config
) -> list[Lowered]:
    """The loops of a product; `w` must have whole blocks of columns (`legalise`).

    A group is a convolution of single pixels. [block of outputs][group][input][lane] is the layout of its
    weights, [block of inputs][group][pixel][lane] that of its input: groups are rows of results.
    """
    inputs, groups, pixels = types[0].numbers[1:]
    # Both parts of a pixel are accumulators of one result, as those of a pooling are.
    parts = 2 if isinstance(operator, QMatmulParted) else 1
    outputs = operator.infer(*types)[0].numbers[1]
    sizes = BlockedConvolution(
        out_blocks=blocks(outputs, config),
        out_height=1,
        out_width=pixels // parts,
        in_blocks=blocks(inputs, config),
        kernel=(1, 1),
        pool_kernel=(1, parts),
        pool_strides=(1, parts),
        parameter_vectors=FACTOR + 2 * (parts - 1),
    )
    columns = types[1].numbers[3]
    if columns != sizes.in_blocks * config.cols and not isinstance(operator, QMatmulTransposed):
        raise TilingError(f"w must have columns for {sizes.in_blocks} whole blocks, not {columns}")
    values = [0, operator.scale]
    if isinstance(operator, QMatmulParted):
        values += [operator.factor, operator.fine_scale]
    rows = [np.full(outputs, value, np.int32) for value in values]
    return [
        Lowered(
            build=partial(_program, operator, sizes, groups, config),
            tunable=TunableConvolution(
                convolution=sizes, config=config, groups=groups, parted=isinstance(operator, QMatmulParted)
            ),
            tensors={"x": 0, "weight": 1},
            pack=partial(packed_parameters, rows, config),
        )
    ]


def lower_qdense_transposed(
    operator: QDenseTransposed,
    types: list[TensorType],
    constants: list[NDArray[Any] | None],
    config: Config,
) -> list[Lowered]:
    """The loops of a layer that reads its weights as a feature map, and its input as weights.

    [block of tokens][feature][lane] is what a product of activations reads as weights.
    """
    weight = constants[1]
    assert weight is not None, "verified: weights are constants"
    features, inputs = weight.shape
    tokens, _, columns = types[0].numbers[1:]
    sizes = BlockedConvolution(
        out_blocks=blocks(tokens, config),
        out_height=1,
        out_width=features,
        in_blocks=blocks(inputs, config),
        kernel=(1, 1),
        parameter_vectors=FACTOR,
    )
    if columns != sizes.in_blocks * config.cols:
        raise TilingError(f"x must have columns for {sizes.in_blocks} whole blocks, not {columns}")

    return [
        Lowered(
            build=partial(_program, operator, sizes, 1, config),
            tunable=TunableConvolution(convolution=sizes, config=config, groups=1),
            tensors={"weight": 0},
            pack=partial(_packed_keys, operator.scale, weight, tokens, config),
        )
    ]


def _packed_keys(scale: int, weight: NDArray[Any], tokens: int, config: Config) -> dict[str, NDArray[Any]]:
    """Weights (features, inputs) as a feature map [block of inputs][1][feature][lane], and parameters."""
    rows = [np.full(tokens, value, np.int32) for value in (0, scale)]
    padded = np.pad(weight, ((0, 0), (0, -weight.shape[1] % config.cols)))
    x = padded.reshape(len(weight), 1, -1, config.cols).transpose(2, 1, 0, 3)
    return {"x": np.ascontiguousarray(x), **packed_parameters(rows, config)}


def _program(operator: Product, sizes: BlockedConvolution, groups: int, config: Config) -> TensorProgram:
    """Stages input, weights, sums, fine (in parts), result, with the loops of a convolution."""
    lanes, rows = config.cols, config.rows
    width = sizes.accumulators(sizes.out_width, 1)
    x = placeholder((sizes.in_blocks, groups, width, lanes), DType.INT8, "x")
    weight, weights = _weights(operator, sizes, groups, config)
    parameters = placeholder((sizes.out_blocks, sizes.parameter_vectors, lanes), DType.INT32, "parameters")
    window = compute(x.shape, lambda z, y, x_, c: x[z, y, x_, c], "input")
    s, ky, kx = (reduce_axis(extent, name) for extent, name in ((config.slices, "s"), (1, "ky"), (1, "kx")))
    i, r = reduce_axis(sizes.in_blocks, "i"), reduce_axis(rows, "r")

    def term(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        operand = window[i, y + ky, x + kx, s * rows + r]
        return cast(operand, DType.INT32) * cast(weights[o, y + ky, i, s, r, c], DType.INT32)

    accumulators = (sizes.out_blocks, groups, width, lanes)
    sums = compute(accumulators, lambda o, y, x, c: sum_of(term(o, y, x, c), (s, ky, kx, i, r)), "sums")
    limits = {"zero_point": operator.zero_point, "lo": operator.lo, "hi": operator.hi}
    fine = _fine_part(sums, parameters) if isinstance(operator, QMatmulParted) else None

    def value(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        total: Expr = sums[o, y, x if fine is None else 2 * x, c]
        if fine is not None:
            total = with_residual(total, fine[o, y, x, c], parameters, o, c)
        return finish(total, parameters, o, c, **limits)

    results = (sizes.out_blocks, groups, sizes.out_width, lanes)
    return TensorProgram.of("products", [x, weight, parameters], [compute(results, value, "result")])


def _fine_part(sums: Tensor, parameters: Tensor) -> Tensor:
    """Every second sum as int8, by the last of the parameters."""
    blocks_, groups, width, lanes = sums.shape

    def value(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        scaled = requantise(sums[o, y, 2 * x + 1, c], parameters[o, FACTOR + 1, c])
        return cast(clamp(scaled, INT8_MINIMUM, INT8_MAXIMUM), DType.INT8)

    return compute((blocks_, groups, width // 2, lanes), value, "fine")


def _weights(
    operator: Product, sizes: BlockedConvolution, groups: int, config: Config
) -> tuple[Tensor, Tensor]:
    """w in the memory outside, and in tiles [block of outputs][group][block of inputs][slice][row][lane]."""
    shape = (sizes.out_blocks, groups, sizes.in_blocks, config.slices, config.rows, config.cols)
    outputs, _, inputs, slices, rows, lanes = shape
    if isinstance(operator, QMatmulTransposed):
        w = placeholder((slices, rows, groups, inputs, outputs, lanes), DType.INT8, "weight")
        return w, compute(shape, lambda o, g, i, s, r, c: w[s, r, g, i, o, c], "weights")
    w = placeholder(shape, DType.INT8, "weight")
    return w, compute(shape, lambda o, g, i, s, r, c: w[o, g, i, s, r, c], "weights")
