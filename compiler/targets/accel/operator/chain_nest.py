"""Chains of expand (1x1), depthwise and project (1x1) convolutions: what is between stays on the chip."""

from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.cost.chain import BlockedChain
from tilewright.compiler.targets.accel.operator.epilogue import SCALE, finish, with_residual
from tilewright.compiler.te import (
    Tensor,
    TensorProgram,
    both,
    cast,
    compute,
    placeholder,
    reduce_axis,
    saturate,
    select,
    sum_of,
)
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.isa.config import Config

MIDDLE_VECTORS = SCALE + 1
"""Parameter vectors of a block before the taps of its kernel, or the factor of its residual."""


@dataclass(frozen=True, kw_only=True)
class ResultRange:
    """What results of int8 are clamped to.

    Members:
        zero_point, lo, hi: of the result.
    """

    zero_point: int
    lo: int
    hi: int


@dataclass(frozen=True, kw_only=True)
class ChainNest:
    """A chain in the layouts of the machine.

    Members:
        sizes: in blocks.
        expanded: of the results of the expansion; None without one.
        middle, projected: of those of the others.
        fill: what pads the input of the depthwise convolution.
    """

    sizes: BlockedChain
    expanded: ResultRange | None
    middle: ResultRange
    projected: ResultRange
    fill: int

    def program(self, name: str, config: Config) -> TensorProgram:
        """The loops: stages vectors, expanded (if it expands), padded, reduced, filtered, sums, result."""
        sizes, lanes = self.sizes, config.cols
        x = placeholder((sizes.in_blocks, *sizes.source, lanes), DType.INT8, "x")
        middle = placeholder((sizes.blocks, sizes.middle_vectors, lanes), DType.INT32, "middle_parameters")
        weight = placeholder(
            (sizes.out_blocks, config.slices, sizes.blocks, config.rows, lanes), DType.INT8, "weight"
        )
        count = sizes.result_vectors
        parameters = placeholder((sizes.out_blocks, count, lanes), DType.INT32, "parameters")
        inputs = [x, middle, weight, parameters]
        # One stage for all who read them: one load.
        vectors = compute(middle.shape, lambda k, v, c: middle[k, v, c], "vectors")
        if sizes.expands:
            shape = (sizes.blocks, config.slices, sizes.in_blocks, config.rows, lanes)
            inputs.append(placeholder(shape, DType.INT8, "expand_weight"))
            padded = self._padded(self._sums(x, inputs[-1], "expanded", config), vectors)
        else:
            padded = self._padded(x, None)
        sums = self._sums(self._depthwise(padded, vectors), weight, "sums", config)
        residual = None
        if sizes.residual:
            residual = placeholder((sizes.out_blocks, *sizes.size, lanes), DType.INT8, "residual")
            inputs.append(residual)
        return TensorProgram.of(name, inputs, [self._result(sums, parameters, residual)])

    def _sums(self, source: Tensor, weight: Tensor, name: str, config: Config) -> Tensor:
        """Products of all channels of each pixel."""
        _, height, width, lanes = source.shape
        s, i = reduce_axis(config.slices, "s"), reduce_axis(source.shape[0], "i")
        r = reduce_axis(config.rows, "r")

        def element(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            operand = cast(source[i, y, x, s * config.rows + r], DType.INT32)
            return sum_of(operand * cast(weight[o, s, i, r, c], DType.INT32), (s, i, r))

        return compute((weight.shape[0], height, width, lanes), element, name)

    def _padded(self, source: Tensor, vectors: Tensor | None) -> Tensor:
        """What the windows read: the border, and inside of it the results of the expansion, or the input."""
        sizes = self.sizes
        size = tuple(sizes.windows.inputs(extent, axis) for axis, extent in enumerate(sizes.size))
        _, height, width, lanes = source.shape

        def element(k: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            at_y, at_x = y - sizes.before[0], x - sizes.before[1]
            inside = both([at_y >= 0, at_y < height, at_x >= 0, at_x < width])
            value = source[k, at_y, at_x, c]
            if vectors is not None and self.expanded is not None:
                value = finish(value, vectors, k, c, **vars(self.expanded))
            return select(inside, value, Const(self.fill, DType.INT8))

        return compute((sizes.blocks, *size, lanes), element, "padded")

    def _depthwise(self, padded: Tensor, vectors: Tensor) -> Tensor:
        sizes = self.sizes
        (rows, columns), (stride_y, stride_x) = sizes.kernel, sizes.strides
        step_y, step_x = sizes.dilations
        ky, kx = reduce_axis(rows, "ky"), reduce_axis(columns, "kx")
        first = self.sizes.middle_vectors - rows * columns
        shape = (sizes.blocks, *sizes.size, padded.shape[3])

        def product(k: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            weight = saturate(vectors[k, first + ky * columns + kx, c], DType.INT8)
            pixel = padded[k, y * stride_y + ky * step_y, x * stride_x + kx * step_x, c]
            return sum_of(cast(pixel, DType.INT32) * cast(weight, DType.INT32), (ky, kx))

        reduced = compute(shape, product, "reduced")
        bias = first - MIDDLE_VECTORS

        def value(k: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            return finish(reduced[k, y, x, c], vectors, k, c, first=bias, **vars(self.middle))

        return compute(shape, value, "filtered")

    def _result(self, sums: Tensor, parameters: Tensor, residual: Tensor | None) -> Tensor:
        def value(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            total: Expr = sums[o, y, x, c]
            if residual is not None:
                total = with_residual(total, residual[o, y, x, c], parameters, o, c)
            return finish(total, parameters, o, c, **vars(self.projected))

        return compute(sums.shape, value, "result")
