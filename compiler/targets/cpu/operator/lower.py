"""Integer operators as loop programs for the host, with the arrays that they read besides activations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler import schedule
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.quantised.convolution import dense_weights
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qconcat import QConcat
from tilewright.compiler.ops.quantised.qconv2d import QConv2d
from tilewright.compiler.ops.quantised.qgather import QGather
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qmatmul import QMatmul
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.qmul import QMul
from tilewright.compiler.ops.quantised.qpad2d import QPad2d
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.schedule import Reorder, Vectorise
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.convolution import Finish, Tail, convolution
from tilewright.compiler.targets.cpu.operator.convolution_schedule import (
    NO_SCHEDULES,
    Schedules,
    convolution_key,
)
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.layout import aligned, starts, weight_panels
from tilewright.compiler.targets.cpu.operator.register_tile import panel_lanes
from tilewright.compiler.targets.cpu.operator.window import WindowReduction, depthwise, largest, total
from tilewright.compiler.te import (
    Tensor,
    both,
    cast,
    clamp,
    compute,
    lower,
    placeholder,
    reduce_axis,
    requantise,
    saturating_add,
    select,
    sum_of,
)
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.numerics.table import FIRST

Array = NDArray[Any]
PARALLEL_WORK = 1 << 24
"""Operations of an operator from which threads are worth waking."""
LOWEST = -128
"""Padding that no maximum takes."""


@dataclass(frozen=True)
class LoweredOperator:
    """An operator as a loop program.

    Members:
        function: the loop program for one sample.
        arguments: for each parameter before the result: which input of the operator it is, or an array.
        work: operations, about.
    """

    function: PrimFunc
    arguments: tuple[int | Array, ...]
    work: int

    @property
    def is_shared(self) -> bool:
        """Whether threads are woken for it."""
        return self.work >= PARALLEL_WORK


def lower_qconv2d(
    operator: QConv2d,
    types: list[TensorType],
    arrays: list[Array | None],
    features: Features,
    schedules: Schedules = NO_SCHEDULES,
) -> LoweredOperator:
    """A convolution over all channels, or one for each; schedules are of those without a pooling."""
    weight, bias, scale = (_constant(array) for array in arrays[1:4])
    # Micro-kernels know no groups: products with zeros instead.
    if operator.groups > 1 and not operator.geometry().is_depthwise(weight.shape):
        weight, operator = dense_weights(weight, operator.groups), replace(operator, groups=1)
        types = [types[0], TensorType(DType.INT8, weight.shape), *types[2:]]
    sizes, constants = _sizes(operator, types), {"bias": bias, "scale": scale}
    residual = []
    if operator.residual:
        constants["factor"] = _constant(arrays[5])
        residual = [placeholder((*sizes.result, sizes.outputs), DType.INT8, "residual")]
    parameters = [placeholder((sizes.outputs,), DType.INT32, name) for name in constants]
    finish, inputs = _finish(operator, *parameters[:2]), [*residual, *parameters]
    tail = Tail(_add(residual[0], parameters[2]) if residual else None, operator.pool)
    if operator.geometry().is_depthwise(weight.shape):
        constants["weight"] = weight[:, 0].transpose(1, 2, 0)
        taps = placeholder(constants["weight"].shape, DType.INT8, "weight")
        function = WindowReduction(sizes, depthwise(taps), (taps, *inputs), finish, tail).function(
            "depthwise"
        )
    else:
        is_shared = operator.macs(*types) >= PARALLEL_WORK
        schedule = (
            schedules.get(convolution_key(sizes, is_shared=is_shared)) if operator.pool is None else None
        )
        lanes = panel_lanes(sizes.outputs, False, features) if schedule is None else schedule.lanes
        constants |= {"weight": weight_panels(weight, sizes, lanes), "start": starts(weight, lanes)}
        function = convolution("convolution", sizes, inputs, finish, features, tail, schedule)
    return _lowered(function, {"x": 0, "residual": 4}, constants, operator.macs(*types))


def lower_qmax_pool2d(
    operator: QMaxPool2d, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """The maximum in windows."""
    sizes = _window_sizes(operator.window, types[0], LOWEST)

    def finish(value: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        return clamp(value, operator.lo, operator.hi)

    function = WindowReduction(sizes, largest, (), finish).function("maximum")
    return _lowered(function, {"x": 0}, {}, prod(sizes.kernel) * types[0].elements)


def lower_qaverage_pool2d(
    operator: QAveragePool2d, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """Sums in windows, each with the scale of its number of pixels."""
    sizes = _window_sizes(operator.window, types[0], operator.input_zero_point)
    words = dict(operator.scales)
    counts = operator.window.counts(*types[0].numbers[2:])
    scale = aligned(np.vectorize(words.__getitem__, otypes=[np.int32])(counts))
    scales = placeholder(scale.shape, DType.INT32, "scale")

    def finish(value: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        biased = saturating_add(value, Const(operator.bias, DType.INT32))
        return _clamped(requantise(biased, scales[y, x]), operator)

    function = WindowReduction(sizes, total, (scales,), finish).function("average")
    return _lowered(function, {"x": 0}, {"scale": scale}, prod(sizes.kernel) * types[0].elements)


def lower_qadd(
    operator: QAdd, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """The sum of two activations."""
    shape = (types[0].elements,)
    a, b = (placeholder(shape, DType.INT8, name) for name in "ab")

    def element(i: Expr) -> Expr:
        value = cast(a[i], DType.INT32) * operator.ka + cast(b[i], DType.INT32) * operator.kb
        biased = saturating_add(value, Const(operator.bias, DType.INT32))
        return _clamped(requantise(biased, Const(operator.scale, DType.INT32)), operator)

    function = lower("addition", [a, b], [compute(shape, element, "result")])
    function = schedule.apply(function, [Vectorise("result_i")])
    return _lowered(function, {"a": 0, "b": 1}, {}, types[0].elements)


def lower_qmul(
    operator: QMul, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """The product of two activations; b may be one pixel for all of a."""
    _, channels, *size = types[0].numbers
    shape = (prod(size), channels)
    repeats = types[0].shape != types[1].shape
    a = placeholder(shape, DType.INT8, "a")
    b = placeholder((1, channels) if repeats else shape, DType.INT8, "b")

    def element(p: Expr, c: Expr) -> Expr:
        factor = b[0, c] if repeats else b[p, c]
        value = (cast(a[p, c], DType.INT32) - operator.za) * (cast(factor, DType.INT32) - operator.zb)
        return _clamped(requantise(value, Const(operator.scale, DType.INT32)), operator)

    function = lower("product", [a, b], [compute(shape, element, "result")])
    function = schedule.apply(function, [Vectorise("result_c")])
    return _lowered(function, {"a": 0, "b": 1}, {}, types[0].elements)


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
        return _clamped(requantise(sums[g, p, o], Const(operator.scale, DType.INT32)), operator)

    function = lower("products", [x, w], [compute(sums.shape, element, "result")])
    orders = [Reorder(("sums_g", "sums_p", "sums_i", "sums_o")), Vectorise("sums_o"), Vectorise("result_o")]
    return _lowered(schedule.apply(function, orders), {"x": 0, "w": 1}, {}, operator.macs(*types))


def lower_qlookup(
    operator: QLookup, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """A function of single elements, by its table."""
    shape, entries = (types[0].elements,), _constant(arrays[1])
    x, table = placeholder(shape, DType.INT8, "x"), placeholder(entries.shape, DType.INT8, "table")
    result = compute(shape, lambda i: table[cast(x[i], DType.INT64) - FIRST], "result")
    return _lowered(lower("lookup", [x, table], [result]), {"x": 0}, {"table": entries}, types[0].elements)


def lower_qconcat(
    operator: QConcat, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """Operands one behind the other: each element is of that which its place is in."""
    starts = operator.starts(*types)
    inputs = [placeholder(_pixels(each), DType.INT8, f"x{place}") for place, each in enumerate(types)]
    axis = (2, 0, 1)[operator.axis - 1]
    shape = list(_pixels(types[0]))
    shape[axis] = starts[-1]

    def element(y: Expr, x_: Expr, c: Expr) -> Expr:
        at, value = (y, x_, c), cast(Const(0, DType.INT32), DType.INT8)
        for start, x, each in zip(starts, inputs, types, strict=False):
            place = at[axis] - start
            inside = both([place >= 0, place < each.numbers[operator.axis]])
            own = (*at[:axis], place, *at[axis + 1 :])
            value = select(inside, x[own], value)
        return value

    function = lower("concat", inputs, [compute(tuple(shape), element, "result")])
    activations = {f"x{place}": place for place in range(len(types))}
    return _lowered(function, activations, {}, prod(shape))


def lower_qgather(
    operator: QGather, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """Channels by their places."""
    height, width, _ = _pixels(types[0])
    places = np.array(operator.channels, np.int32)
    x = placeholder(_pixels(types[0]), DType.INT8, "x")
    channels = placeholder(places.shape, DType.INT32, "channels")

    def element(y: Expr, x_: Expr, c: Expr) -> Expr:
        place = cast(channels[c], DType.INT64)
        return select(place >= 0, x[y, x_, place], Const(operator.fill, DType.INT8))

    shape = (height, width, len(places))
    function = lower("gather", [x, channels], [compute(shape, element, "result")])
    return _lowered(function, {"x": 0}, {"channels": places}, prod(shape))


def lower_qpad2d(
    operator: QPad2d, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """A border, or a part."""
    height, width, channels = _pixels(types[0])
    x = placeholder((height, width, channels), DType.INT8, "x")
    (top, left, *_), (down, across) = operator.pads, operator.strides

    def element(y: Expr, x_: Expr, c: Expr) -> Expr:
        at_y, at_x = y * down - top, x_ * across - left
        inside = both([at_y >= 0, at_y < height, at_x >= 0, at_x < width])
        return select(inside, x[at_y, at_x, c], Const(operator.fill, DType.INT8))

    shape = (*operator.infer(*types)[0].numbers[2:], channels)
    function = lower("pad", [x], [compute(shape, element, "result")])
    return _lowered(function, {"x": 0}, {}, prod(shape))


def _pixels(tensor: TensorType) -> tuple[int, int, int]:
    """A picture as it lies: height, width, channels."""
    _, channels, height, width = tensor.numbers
    return height, width, channels


OPERATORS: dict[type[Operator], Callable[..., LoweredOperator]] = {
    QConv2d: lower_qconv2d,
    QMaxPool2d: lower_qmax_pool2d,
    QAveragePool2d: lower_qaverage_pool2d,
    QAdd: lower_qadd,
    QLookup: lower_qlookup,
    QMul: lower_qmul,
    QConcat: lower_qconcat,
    QGather: lower_qgather,
    QPad2d: lower_qpad2d,
    QMatmul: lower_qmatmul,
}
"""The operators that have a compiled form."""


def lower_operator(
    operator: Operator,
    types: list[TensorType],
    arrays: list[Array | None],
    features: Features,
    schedules: Schedules = NO_SCHEDULES,
) -> LoweredOperator:
    """An operator that is one of `OPERATORS` as a loop program.

    Args:
        operator: what it does.
        types: of its operands, for one sample.
        arrays: those that are constants.
        features: of the machine.
        schedules: of convolutions, in the place of defaults.

    Raises:
        CpuError: if the sizes or the machine do not allow a schedule.
    """
    if isinstance(operator, QConv2d):
        return lower_qconv2d(operator, types, arrays, features, schedules)
    return OPERATORS[type(operator)](operator, types, arrays, features)


def _lowered(
    function: PrimFunc, activations: Mapping[str, int], constants: Mapping[str, Array], work: int
) -> LoweredOperator:
    """The lowered operator, with an argument for each parameter; constants in the type of the parameter."""
    arguments: list[int | Array] = []
    for buffer in function.parameters[: -function.outputs]:
        if buffer.name in activations:
            arguments.append(activations[buffer.name])
        else:
            arguments.append(aligned(constants[buffer.name].astype(buffer.dtype.numpy)))
    return LoweredOperator(function, tuple(arguments), work)


def _finish(operator: QConv2d, bias: Tensor, scale: Tensor) -> Finish:
    return lambda value, y, x, c: _clamped(requantise(saturating_add(value, bias[c]), scale[c]), operator)


def _add(residual: Tensor, factor: Tensor) -> Finish:
    """A sum with an activation that is multiplied by a factor a channel."""
    return lambda value, y, x, c: value + cast(residual[y, x, c], DType.INT32) * factor[c]


def _clamped(value: Expr, operator: QConv2d | QAveragePool2d | QAdd | QMul | QMatmul) -> Expr:
    return cast(clamp(value + operator.zero_point, operator.lo, operator.hi), DType.INT8)


def _constant(array: Array | None) -> Array:
    assert array is not None, "verified: weights are constants"
    return array


def _sizes(operator: QConv2d, types: list[TensorType]) -> ConvolutionSizes:
    _, channels, height, width = types[0].numbers
    outputs, _, *kernel = types[1].numbers
    return ConvolutionSizes(
        height=height,
        width=width,
        channels=channels,
        outputs=outputs,
        kernel=(kernel[0], kernel[1]),
        strides=operator.strides,
        dilations=operator.dilations,
        pads=operator.pads,
        zero_point=operator.input_zero_point,
        is_signed=operator.geometry().is_depthwise(types[1].numbers),
    )


def _window_sizes(window: Window, x: TensorType, fill: int) -> ConvolutionSizes:
    _, channels, height, width = x.numbers
    return ConvolutionSizes(
        height=height,
        width=width,
        channels=channels,
        outputs=channels,
        kernel=window.kernel,
        strides=window.strides,
        pads=window.pads,
        zero_point=fill,
        is_signed=True,
    )
