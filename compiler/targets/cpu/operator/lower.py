"""Integer operators as loop programs for the host, with the arrays that they read besides activations."""

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
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
from tilewright.compiler.ops.quantised.qdense_transposed import QDenseTransposed
from tilewright.compiler.ops.quantised.qgather import QGather
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qmatmul import QMatmul, QMatmulParted
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.qmul import QMul
from tilewright.compiler.ops.quantised.qpad2d import QPad2d
from tilewright.compiler.ops.quantised.window import Window
from tilewright.compiler.schedule import Vectorise
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.operator.convolution import Finish, Tail, convolution
from tilewright.compiler.targets.cpu.operator.convolution_schedule import (
    NO_SCHEDULES,
    ConvolutionSchedule,
    Schedules,
    convolution_key,
)
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.layout import aligned, starts, weight_panels
from tilewright.compiler.targets.cpu.operator.lowered import (
    PARALLEL_WORK,
    LoweredOperator,
    constant_of,
    lowered,
)
from tilewright.compiler.targets.cpu.operator.numbers import Numbers
from tilewright.compiler.targets.cpu.operator.product import lower_qdense_transposed, lower_qmatmul
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
    requantise,
    saturating_add,
    select,
)
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.numerics.table import FIRST

Array = NDArray[Any]
LOWEST = -128
"""Padding that no maximum takes."""
_KEPT_FUNCTIONS = 1024
"""Loop programs of convolutions that a process keeps."""


def lower_qconv2d(
    operator: QConv2d,
    types: list[TensorType],
    arrays: list[Array | None],
    features: Features,
    schedules: Schedules = NO_SCHEDULES,
) -> LoweredOperator:
    """A convolution over all channels, or one for each; schedules are of those without a pooling."""
    weight, bias, scale = (constant_of(array) for array in arrays[1:4])
    # Micro-kernels know no groups: products with zeros instead.
    if operator.groups > 1 and not operator.geometry().is_depthwise(weight.shape):
        weight, operator = dense_weights(weight, operator.groups), replace(operator, groups=1)
        types = [types[0], TensorType(DType.INT8, weight.shape), *types[2:]]
    sizes, numbers = _sizes(operator, types), Numbers.of(operator, operator.input_zero_point)
    constants = {"bias": bias, "scale": scale, "numbers": numbers}
    if operator.residual:
        constants["factor"] = constant_of(arrays[5])
    macs = operator.macs(*types)
    if operator.geometry().is_depthwise(weight.shape):
        constants["weight"] = weight[:, 0].transpose(1, 2, 0)
        function = _depthwise(sizes, operator.residual, operator.pool)
    else:
        is_shared = macs >= PARALLEL_WORK
        schedule = (
            schedules.get(convolution_key(sizes, is_shared=is_shared)) if operator.pool is None else None
        )
        lanes = panel_lanes(sizes.outputs, False, features) if schedule is None else schedule.lanes
        constants |= {"weight": weight_panels(weight, sizes, lanes), "start": starts(weight, lanes)}
        function = _convolution(sizes, operator.residual, operator.pool, features, schedule)
    return lowered(function, {"x": 0, "residual": 4}, constants, macs)


@lru_cache(_KEPT_FUNCTIONS)
def _convolution(
    sizes: ConvolutionSizes,
    residual: bool,
    pool: Window | None,
    features: Features,
    schedule: ConvolutionSchedule | None,
) -> PrimFunc:
    """The loop program of convolutions of these sizes, whatever their scales and zero points are."""
    inputs, finish, tail, zero_point = _behind_sums(sizes, residual, pool)
    return convolution("convolution", sizes, inputs, finish, features, tail, schedule, zero_point)


@lru_cache(_KEPT_FUNCTIONS)
def _depthwise(sizes: ConvolutionSizes, residual: bool, pool: Window | None) -> PrimFunc:
    """The same of convolutions of each channel by itself."""
    inputs, finish, tail, zero_point = _behind_sums(sizes, residual, pool)
    taps = placeholder((*sizes.kernel, sizes.channels), DType.INT8, "weight")
    window = WindowReduction(sizes, depthwise(taps), (taps, *inputs), finish, tail, zero_point)
    return window.function("depthwise")


def _behind_sums(
    sizes: ConvolutionSizes, residual: bool, pool: Window | None
) -> tuple[list[Tensor], Finish, Tail, Expr]:
    """Further parameters of a convolution, what is behind its sums, and what fills its padding."""
    names = ("bias", "scale", *(["factor"] if residual else []))
    parameters = [placeholder((sizes.outputs,), DType.INT32, name) for name in names]
    numbers = Numbers()
    inputs = [*parameters, numbers.tensor]
    add = None
    if residual:
        inputs.insert(0, placeholder((*sizes.result, sizes.outputs), DType.INT8, "residual"))
        add = _add(inputs[0], parameters[2])
    return inputs, _finish(numbers, *parameters[:2]), Tail(add, pool), numbers.fill


def lower_qmax_pool2d(
    operator: QMaxPool2d, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """The maximum in windows."""
    sizes = _window_sizes(operator.window, types[0], LOWEST)

    def finish(value: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        return clamp(value, operator.lo, operator.hi)

    function = WindowReduction(sizes, largest, (), finish).function("maximum")
    return lowered(function, {"x": 0}, {}, prod(sizes.kernel) * types[0].elements)


def lower_qaverage_pool2d(
    operator: QAveragePool2d, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """Sums in windows, each with the scale of its number of pixels."""
    sizes, words = _window_sizes(operator.window, types[0]), dict(operator.scales)
    counts = operator.window.counts(*types[0].numbers[2:])
    scale = aligned(np.vectorize(words.__getitem__, otypes=[np.int32])(counts))
    numbers = Numbers.of(operator, operator.input_zero_point, operator.bias)
    work = prod(sizes.kernel) * types[0].elements
    return lowered(_average(sizes), {"x": 0}, {"scale": scale, "numbers": numbers}, work)


@lru_cache(_KEPT_FUNCTIONS)
def _average(sizes: ConvolutionSizes) -> PrimFunc:
    scales, numbers = placeholder(sizes.result, DType.INT32, "scale"), Numbers(further=1)

    def finish(value: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
        return numbers.clamped(requantise(saturating_add(value, numbers.further(0)), scales[y, x]))

    inputs = scales, numbers.tensor
    return WindowReduction(sizes, total, inputs, finish, zero_point=numbers.fill).function("average")


def lower_qadd(
    operator: QAdd, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """The sum of two activations."""
    elements = types[0].elements
    numbers = Numbers.of(operator, 0, operator.ka, operator.kb, operator.bias, operator.scale)
    return lowered(_addition(elements), {"a": 0, "b": 1}, {"numbers": numbers}, elements)


@lru_cache(_KEPT_FUNCTIONS)
def _addition(elements: int) -> PrimFunc:
    a, b = (placeholder((elements,), DType.INT8, name) for name in "ab")
    numbers = Numbers(further=4)
    ka, kb, bias, scale = map(numbers.further, range(4))

    def element(i: Expr) -> Expr:
        value = cast(a[i], DType.INT32) * ka + cast(b[i], DType.INT32) * kb
        return numbers.clamped(requantise(saturating_add(value, bias), scale))

    function = lower("addition", [a, b, numbers.tensor], [compute((elements,), element, "result")])
    return schedule.apply(function, [Vectorise("result_i")])


def lower_qmul(
    operator: QMul, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """The product of two activations; b may be one pixel for all of a."""
    _, channels, *size = types[0].numbers
    numbers = Numbers.of(operator, 0, operator.za, operator.zb, operator.scale)
    function = _product(prod(size), channels, types[0].shape != types[1].shape)
    return lowered(function, {"a": 0, "b": 1}, {"numbers": numbers}, types[0].elements)


@lru_cache(_KEPT_FUNCTIONS)
def _product(pixels: int, channels: int, repeats: bool) -> PrimFunc:
    shape = (pixels, channels)
    a = placeholder(shape, DType.INT8, "a")
    b = placeholder((1, channels) if repeats else shape, DType.INT8, "b")
    numbers = Numbers(further=3)
    za, zb, scale = map(numbers.further, range(3))

    def element(p: Expr, c: Expr) -> Expr:
        factor = b[0, c] if repeats else b[p, c]
        value = (cast(a[p, c], DType.INT32) - za) * (cast(factor, DType.INT32) - zb)
        return numbers.clamped(requantise(value, scale))

    function = lower("product", [a, b, numbers.tensor], [compute(shape, element, "result")])
    return schedule.apply(function, [Vectorise("result_c")])


def lower_qlookup(
    operator: QLookup, types: list[TensorType], arrays: list[Array | None], features: Features
) -> LoweredOperator:
    """A function of single elements, by its table."""
    shape, entries = (types[0].elements,), constant_of(arrays[1])
    x, table = placeholder(shape, DType.INT8, "x"), placeholder(entries.shape, DType.INT8, "table")
    result = compute(shape, lambda i: table[cast(x[i], DType.INT64) - FIRST], "result")
    return lowered(lower("lookup", [x, table], [result]), {"x": 0}, {"table": entries}, types[0].elements)


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
    return lowered(function, activations, {}, prod(shape))


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
    return lowered(function, {"x": 0}, {"channels": places}, prod(shape))


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
    return lowered(function, {"x": 0}, {}, prod(shape))


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
    QMatmulParted: lower_qmatmul,
    QDenseTransposed: lower_qdense_transposed,
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


def _finish(numbers: Numbers, bias: Tensor, scale: Tensor) -> Finish:
    return lambda value, y, x, c: numbers.clamped(requantise(saturating_add(value, bias[c]), scale[c]))


def _add(residual: Tensor, factor: Tensor) -> Finish:
    """A sum with an activation that is multiplied by a factor a channel."""
    return lambda value, y, x, c: value + cast(residual[y, x, c], DType.INT32) * factor[c]


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
        is_signed=operator.geometry().is_depthwise(types[1].numbers),
    )


def _window_sizes(window: Window, x: TensorType, fill: int = 0) -> ConvolutionSizes:
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
