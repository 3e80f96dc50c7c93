"""Convolutions over all channels: the matrix engine, and behind it the vector engine."""

from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.cost.problem import BlockedConvolution
from tilewright.compiler.targets.accel.operator.epilogue import finish, with_residual
from tilewright.compiler.targets.accel.operator.padding import padded
from tilewright.compiler.targets.accel.operator.table import looked_up, table_parameter, table_stages
from tilewright.compiler.te import (
    Tensor,
    TensorProgram,
    cast,
    compute,
    max_of,
    placeholder,
    reduce_axis,
    sum_of,
)
from tilewright.compiler.tir.expr import Expr
from tilewright.isa.config import Config


@dataclass(frozen=True, kw_only=True)
class ConvolutionNest:
    """A convolution in the layouts of the machine.

    Members:
        sizes: in blocks.
        height, width: of the input.
        pads: (top, left) of the input.
        input_zero_point: what pads it.
        zero_point, lo, hi: of the result.
        lookup: whether the result is looked up in a table.
    """

    sizes: BlockedConvolution
    height: int
    width: int
    pads: tuple[int, int]
    input_zero_point: int
    zero_point: int
    lo: int
    hi: int
    lookup: bool = False

    def program(self, name: str, config: Config) -> TensorProgram:
        """The loops: stages input, sums, pooled (with a pooling), entries and tables (with one), result."""
        sizes, lanes = self.sizes, config.cols
        kernel, rows = sizes.kernel, config.rows
        x = placeholder((sizes.in_blocks, self.height, self.width, lanes), DType.INT8, "x")
        shape = (sizes.out_blocks, config.slices, *kernel, sizes.in_blocks, rows, lanes)
        weight = placeholder(shape, DType.INT8, "weight")
        vectors = (sizes.out_blocks, sizes.parameter_vectors, lanes)
        parameters = placeholder(vectors, DType.INT32, "parameters")
        inputs = [x, weight, parameters]
        sums = self._sums(self._window(x), weight, config)
        total = self._pooled(sums)
        residual = None
        if sizes.residual:
            residual = placeholder(self._result_shape(lanes), DType.INT8, "residual")
            inputs.append(residual)
        tables = None
        if self.lookup:
            inputs.append(table_parameter(lanes))
            tables = table_stages(inputs[-1])
        return TensorProgram.of(name, inputs, [self._result(total, parameters, residual, tables)])

    def _window(self, x: Tensor) -> Tensor:
        sizes = self.sizes
        height = sizes.inputs(sizes.out_height, sizes.kernel[0], 0)
        width = sizes.inputs(sizes.out_width, sizes.kernel[1], 1)
        picked = sizes.strides[0] // sizes.steps[0]
        return padded(x, (height, width), self.pads, self.input_zero_point, "input", picked)

    def _sums(self, window: Tensor, weight: Tensor, config: Config) -> Tensor:
        sizes = self.sizes
        (stride_y, stride_x), (step_y, step_x) = sizes.steps, sizes.dilations
        s = reduce_axis(config.slices, "s")
        ky, kx = (reduce_axis(taps, name) for taps, name in zip(sizes.kernel, ("ky", "kx"), strict=True))
        i, r = reduce_axis(sizes.in_blocks, "i"), reduce_axis(config.rows, "r")

        def product(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            at_y, at_x = y * stride_y + ky * step_y, x * stride_x + kx * step_x
            operand = window[i, at_y, at_x, s * config.rows + r]
            return cast(operand, DType.INT32) * cast(weight[o, s, ky, kx, i, r, c], DType.INT32)

        height, width = sizes.accumulators(sizes.out_height, 0), sizes.accumulators(sizes.out_width, 1)
        return compute(
            (sizes.out_blocks, height, width, config.cols),
            lambda o, y, x, c: sum_of(product(o, y, x, c), (s, ky, kx, i, r)),
            "sums",
        )

    def _pooled(self, sums: Tensor) -> Tensor:
        sizes = self.sizes
        if not sizes.pools:
            return sums
        py, px = (reduce_axis(taps, name) for taps, name in zip(sizes.pool_kernel, ("py", "px"), strict=True))
        stride_y, stride_x = sizes.pool_strides
        return compute(
            (sums.shape[0], sizes.out_height, sizes.out_width, sums.shape[3]),
            lambda o, y, x, c: max_of(sums[o, y * stride_y + py, x * stride_x + px, c], (py, px)),
            "pooled",
        )

    def _result(
        self, total: Tensor, parameters: Tensor, residual: Tensor | None, tables: Tensor | None
    ) -> Tensor:
        def value(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            t: Expr = total[o, y, x, c]
            if residual is not None:
                t = with_residual(t, residual[o, y, x, c], parameters, o, c)
            y = finish(t, parameters, o, c, zero_point=self.zero_point, lo=self.lo, hi=self.hi)
            return y if tables is None else looked_up(tables, y, c)

        return compute(self._result_shape(total.shape[3]), value, "result")

    def _result_shape(self, lanes: int) -> tuple[int, int, int, int]:
        return self.sizes.out_blocks, self.sizes.out_height, self.sizes.out_width, lanes
