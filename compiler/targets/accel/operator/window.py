"""Layers of the vector engine alone, one block of channels at a time: depthwise convolutions and poolings."""

from collections.abc import Callable
from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.cost.window import Windows
from tilewright.compiler.targets.accel.operator.epilogue import FACTOR, SCALE, finish, with_residual
from tilewright.compiler.targets.accel.operator.padding import padded
from tilewright.compiler.targets.accel.operator.table import looked_up, table_parameter, table_stages
from tilewright.compiler.te import (
    Tensor,
    TensorProgram,
    cast,
    clamp,
    compute,
    max_of,
    placeholder,
    reduce_axis,
    saturate,
    sum_of,
)
from tilewright.compiler.tir.expr import Expr


@dataclass(frozen=True, kw_only=True)
class WindowNest:
    """Windows over feature maps in the layout of the machine.

    Members:
        sizes: in blocks.
        height, width: of the input.
        before: (rows, columns) by which the first window begins before the feature map; below 0: inside it.
        fill: what lies outside of the feature map.
        zero_point, lo, hi: of the result.
        lookup: whether the result of `depthwise` is looked up in a table.
    """

    sizes: Windows
    height: int
    width: int
    before: tuple[int, int]
    fill: int
    zero_point: int
    lo: int
    hi: int
    lookup: bool = False

    def depthwise(self, name: str, lanes: int, *, residual: bool = False) -> TensorProgram:
        """Each channel with its own kernel, behind the parameters: stages vectors, input, reduced, result.

        Args:
            name: of the function.
            lanes: of a block.
            residual: whether another feature map, times the parameter behind the scale, is added.
        """
        rows, columns = self.sizes.kernel
        first = FACTOR + residual

        def product(pixel: Expr, vectors: Tensor, o: Expr, place: tuple[Expr, Expr], c: Expr) -> Expr:
            weight = saturate(vectors[o, first + place[0] * columns + place[1], c], DType.INT8)
            return cast(pixel, DType.INT32) * cast(weight, DType.INT32)

        return self._requantised(name, lanes, product, first + rows * columns, residual=residual)

    def average(self, name: str, lanes: int) -> TensorProgram:
        """The sum of each window, scaled: stages vectors, input, reduced, result."""
        return self._requantised(name, lanes, _pixel, SCALE + 1)

    def maximum(self, name: str, lanes: int) -> TensorProgram:
        """The maximum of each window: stages input, reduced, result."""
        x = self._input(lanes)
        reduced = self._reduction(x, _pixel, max_of)
        result = compute(
            reduced.shape,
            lambda o, y, x, c: cast(clamp(reduced[o, y, x, c], self.lo, self.hi), DType.INT8),
            "result",
        )
        return TensorProgram.of(name, [x], [result])

    def _input(self, lanes: int) -> Tensor:
        return placeholder((self.sizes.blocks, self.height, self.width, lanes), DType.INT8, "x")

    def _requantised(
        self, name: str, lanes: int, term: Callable[..., Expr], count: int, *, residual: bool = False
    ) -> TensorProgram:
        x = self._input(lanes)
        parameters = placeholder((self.sizes.blocks, count, lanes), DType.INT32, "parameters")
        # One stage for all who read them: one load.
        vectors = compute(parameters.shape, lambda o, v, c: parameters[o, v, c], "vectors")
        reduced = self._reduction(x, lambda pixel, *at: term(pixel, vectors, *at), sum_of)
        shortcut = placeholder(reduced.shape, DType.INT8, "residual") if residual else None
        table = table_parameter(lanes) if self.lookup else None
        tables = None if table is None else table_stages(table)

        def value(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            total: Expr = reduced[o, y, x, c]
            if shortcut is not None:
                total = with_residual(total, shortcut[o, y, x, c], vectors, o, c)
            y = finish(total, vectors, o, c, zero_point=self.zero_point, lo=self.lo, hi=self.hi)
            return y if tables is None else looked_up(tables, y, c)

        inputs = [x, parameters, *(each for each in (shortcut, table) if each is not None)]
        return TensorProgram.of(name, inputs, [compute(reduced.shape, value, "result")])

    def _reduction(self, x: Tensor, term: Callable[..., Expr], reduce: Callable[..., Expr]) -> Tensor:
        sizes = self.sizes
        (stride_y, stride_x), (step_y, step_x) = sizes.strides, sizes.dilations
        seen = (sizes.inputs(sizes.height, 0), sizes.inputs(sizes.width, 1))
        window = padded(x, seen, self.before, self.fill, "input")
        ky, kx = (reduce_axis(taps, name) for taps, name in zip(sizes.kernel, ("ky", "kx"), strict=True))

        def element(o: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            pixel = window[o, y * stride_y + ky * step_y, x * stride_x + kx * step_x, c]
            return reduce(term(pixel, o, (ky, kx), c), (ky, kx))

        return compute((sizes.blocks, sizes.height, sizes.width, x.shape[3]), element, "reduced")


def _pixel(pixel: Expr, *_: object) -> Expr:
    return cast(pixel, DType.INT32)
