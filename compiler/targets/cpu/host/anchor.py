"""Convolutions, products of matrices and poolings by micro-kernels, with what is computed of their results.

A kernel takes one sample: a feature map [height, width · channels], or a matrix as a feature map of one row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.window import ReduceWindow
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.host.buffer_view import BufferView, Order, channels_last, plain
from tilewright.compiler.targets.cpu.host.express import ZERO, Indices
from tilewright.compiler.targets.cpu.host.kernel import Argument, KernelBuilder
from tilewright.compiler.targets.cpu.host.narrow import zero_of
from tilewright.compiler.targets.cpu.host.template import KernelSpec, Reader
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution import convolution
from tilewright.compiler.targets.cpu.operator.convolution_schedule import (
    NO_SCHEDULES,
    ConvolutionSchedule,
    Schedules,
    convolution_key,
)
from tilewright.compiler.targets.cpu.operator.convolution_sizes import ConvolutionSizes
from tilewright.compiler.targets.cpu.operator.layout import aligned, starts, weight_panels
from tilewright.compiler.targets.cpu.operator.padded_feature_map import SIGN
from tilewright.compiler.targets.cpu.operator.window import ReduceElements, WindowReduction, depthwise
from tilewright.compiler.targets.cpu.operator.winograd import (
    gains,
    register_tile,
    transformed_weights,
    winograd,
)
from tilewright.compiler.te import ReduceAxis, cast, max_of, min_of, placeholder, select, sum_of
from tilewright.compiler.tir.expr import Expr, Parameter, Var
from tilewright.compiler.tir.printer import print_expr
from tilewright.compiler.tir.stmt import PrimFunc as Loops
from tilewright.compiler.tir.walk import variables

SAMPLE = Var("sample")
"""The index of the sample that a kernel is called for."""
LEAST_ROWS = 4
"""The number of rows of a product from which packing weights in each run pays."""
LEAST_WORK = 1 << 12
"""Products of numbers; fewer are done by a plain reduction, which adds in float64."""
PARALLEL_WORK = 1 << 19
"""Products of a sample from which threads are worth waking."""
SAMPLES_MAXIMUM = 1 << 10
"""Calls of a kernel."""
GROUPED_MAXIMUM = 8
"""Groups that are done as one convolution, with zeros between: beyond, most of the work is with zeros."""


class NotSampledError(Exception):
    """The kernel would read more than one sample."""


@dataclass(frozen=True)
class Anchor:
    """A reduction that a micro-kernel or a vectorised window does.

    Members:
        reduction: the equation.
        function: it is of.
        features: of the machine.
        sizes: of the feature map and the windows.
        samples: the number of calls of the kernel.
        order: of the axes of the result.
        schedules: that take the place of the default, where one is of these sizes.
    """

    reduction: Equation
    function: Function
    features: Features
    sizes: ConvolutionSizes
    samples: int
    order: Order
    schedules: Schedules

    @property
    def schedule(self) -> ConvolutionSchedule | None:
        """Of the micro-kernels; None for the default, and for what has another form."""
        if self.is_channelwise or self.is_transformed:
            return None
        return self.schedules.get(convolution_key(self.sizes, is_shared=self._is_shared))

    @property
    def is_transformed(self) -> bool:
        """Whether it takes the fewer products of `winograd`: with constant weights, where that gains."""
        operator = self.reduction.operator
        if not isinstance(operator, Conv) or operator.groups > 1:
            return False
        weight = self.function.producers.get(self.reduction.operands[1])
        is_constant = weight is not None and isinstance(weight.operator, Constant)
        return is_constant and gains(self.sizes, self.features)

    @property
    def lanes(self) -> int:
        """The lanes of a panel of weights."""
        schedule = self.schedule or ConvolutionSchedule.default(self.sizes, self.features)
        return schedule.lanes

    @property
    def is_channelwise(self) -> bool:
        """Whether each channel is by itself."""
        operator = self.reduction.operator
        return isinstance(operator, ReduceWindow) or (
            isinstance(operator, Conv) and operator.groups > 1 and _is_deep(self.reduction)
        )

    @property
    def source(self) -> tuple[Value, Order]:
        """The operand that lies as a feature map, and the order of its axes."""
        x = self.reduction.operands[0]
        return x, plain(3) if isinstance(self.reduction.operator, Dot) else channels_last(x.type.rank)

    def packed(self, weight: Array) -> Array:
        """Constant weights as the kernel reads them."""
        operator = self.reduction.operator
        if isinstance(operator, Dot):
            matrices = [each.T[:, :, None, None] for each in weight]
            return aligned(np.stack([weight_panels(each, self.sizes, self.lanes) for each in matrices]))
        weights = weight if weight.ndim == 4 else weight[:, :, None, :]
        if self.is_channelwise:
            return aligned(weights[:, 0].transpose(1, 2, 0))
        assert isinstance(operator, Conv)
        if self.is_transformed:
            return transformed_weights(weights, register_tile(self.sizes, self.features).lanes)
        return weight_panels(_dense(weights, operator.groups), self.sizes, self.lanes)

    def starts(self, weight: Array) -> Array | None:
        """Initial values of int8 accumulators, which offset zero point and the added 128; None for floats."""
        if self.sizes.is_float:
            return None
        operator, zero = self.reduction.operator, int(self.sizes.zero_point)
        if isinstance(operator, Dot):
            return aligned(np.stack([self._starts(each.T[:, :, None, None], zero) for each in weight]))
        weights = weight if weight.ndim == 4 else weight[:, :, None, :]
        if self.is_channelwise:
            return aligned(-zero * weights.sum(axis=(1, 2, 3), dtype=np.int32))
        assert isinstance(operator, Conv)
        return self._starts(_dense(weights, operator.groups), zero)

    def _starts(self, weight: Array, zero: int) -> Array:
        return aligned(starts(weight, self.lanes) // SIGN * np.int32(SIGN + zero))

    @property
    def can_pack(self) -> bool:
        """Whether weights that are no constants may be packed by a kernel."""
        operator = self.reduction.operator
        if not self.sizes.is_float:
            return False
        if isinstance(operator, Dot):
            return self.sizes.width >= LEAST_ROWS
        return isinstance(operator, Conv) and operator.groups == 1

    def packing(self, reader: Reader) -> tuple[tuple[int, ...], Callable[..., Expr]]:
        """Shape and elements of weights as the kernel reads them."""
        weight, sizes, lanes = self.reduction.operands[1], self.sizes, self.lanes
        panels = -(-sizes.outputs // lanes)

        def element(n: Expr, p: Expr, ky: Expr, kx: Expr, k: Expr, lane: Expr) -> Expr:
            o = p * lanes + lane
            if isinstance(self.reduction.operator, Dot):
                at: Indices = (n, k, o)
            else:
                column, channel = (
                    (kx, k) if sizes.dilations[1] != 1 else (k // sizes.channels, k % sizes.channels)
                )
                at = (o, channel, ky, column) if weight.type.rank == 4 else (o, channel, column)
            return select(o < sizes.outputs, reader.element(weight, at), 0.0)

        count = self.samples if isinstance(self.reduction.operator, Dot) else 1
        return (count, panels, *sizes.taps, lanes), element

    def kernel(self, views: Mapping[Value, BufferView], value: Value) -> KernelSpec | None:
        """The kernel of a sample, up to a value that is computed of the reduction; None if there is none.

        Its arguments are those between the weights and the result.
        """
        reader = _SampleReader(self.function, dict(views), KernelBuilder(), {})
        try:
            text = print_expr(
                self._finish(reader, value)(
                    Parameter("total", self.reduction.result.type.dtype), *map(Var, "yxc")
                )
            )
        except NotSampledError:
            return None
        operator = self.reduction.operator
        function = f"{operator.function}" if isinstance(operator, ReduceWindow) else ""
        key = [
            *reader.builder.key,
            f"{self.sizes!r} {self.features!r} {self.is_channelwise} {function}",
            text,
        ]
        if self.schedule is not None and not self.is_channelwise:
            key.append(repr(self.schedule))
        if self.is_transformed:
            key.append("winograd")
        return KernelSpec(
            "\n".join(key),
            reader.builder.arguments,
            lambda: self._loops(reader, value),
            self.sizes.is_float,
            self._is_shared,
        )

    @property
    def _is_shared(self) -> bool:
        """Whether threads are woken for it."""
        return self._work >= PARALLEL_WORK

    @property
    def _work(self) -> int:
        """Products or comparisons of a sample."""
        channels = 1 if self.is_channelwise else self.sizes.channels
        return prod(self.sizes.result) * prod(self.sizes.kernel) * self.sizes.outputs * channels

    def _finish(self, reader: Reader, value: Value) -> Callable[[Expr, Expr, Expr, Expr], Expr]:
        shape, sample = self.reduction.result.type.numbers, SAMPLE if self.samples > 1 else ZERO

        def finish(total: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
            if isinstance(self.reduction.operator, Dot):
                at: Indices = (sample, x, c)
            else:
                at = (sample, c, y, x) if len(shape) == 4 else (sample, c, x)
            reader.fixed[self.reduction.result] = lambda _: cast(total, self.reduction.result.type.dtype)
            own = iter([index for index, size in zip(at, shape, strict=True) if size != 1])
            root = tuple(ZERO if size == 1 else next(own) for size in value.type.numbers)
            return reader.element(value, root)

        return finish

    def _loops(self, reader: Reader, value: Value) -> Loops:
        sizes, inputs, finish = self.sizes, reader.builder.inputs, self._finish(reader, value)
        if self.is_transformed:
            return winograd("kernel", sizes, inputs, finish, self.features)
        if not self.is_channelwise:
            return convolution("kernel", sizes, inputs, finish, self.features, schedule=self.schedule)
        operator = self.reduction.operator
        if isinstance(operator, ReduceWindow):
            return WindowReduction(sizes, _POOLS[operator.function], tuple(inputs), finish).function("kernel")
        weight = placeholder((*sizes.kernel, sizes.outputs), sizes.source.dtype, "weight")
        if not sizes.is_float:
            start = placeholder((sizes.outputs,), DType.INT32, "start")

            def ended(total: Expr, y: Expr, x: Expr, c: Expr) -> Expr:
                return finish(total + start[c], y, x, c)

            return WindowReduction(sizes, depthwise(weight), (weight, start, *inputs), ended).function(
                "kernel"
            )

        def reduce(element: Expr, taps: tuple[ReduceAxis, ReduceAxis], c: Expr) -> Expr:
            return sum_of(element * weight[(*taps, c)], taps)

        return WindowReduction(sizes, reduce, (weight, *inputs), finish).function("kernel")

    def arguments(
        self,
        spec: KernelSpec,
        source: BufferView,
        weights: Sequence[Argument],
        result: BufferView,
        sample: int,
    ) -> list[Argument]:
        """The arguments of the kernel for a sample."""
        sizes = self.sizes
        rows, columns = sizes.result
        pixels = sizes.height * sizes.width * sizes.channels
        x = Argument(source.buffer, sample * pixels * source.dtype.size_bytes)
        weights = [replace(each, offset_bytes=sample * each.step_bytes, step_bytes=0) for each in weights]
        others = [
            replace(each, offset_bytes=sample * each.step_bytes, step_bytes=0) for each in spec.arguments
        ]
        size_bytes = rows * columns * sizes.outputs * result.dtype.size_bytes
        return [x, *weights, *others, Argument(result.buffer, sample * size_bytes)]


def _pool(function: Callable[..., Expr]) -> ReduceElements:
    return lambda element, taps, c: function(element, taps)


_POOLS: dict[str, ReduceElements] = {
    "max": _pool(max_of),
    "min": _pool(min_of),
    "sum": lambda element, taps, c: sum_of(cast(element, DType.FLOAT64), taps),
}
_FILLS = {"max": float("-inf"), "min": float("inf"), "sum": 0.0}


class _SampleReader(Reader):
    """Reads values of one sample."""

    def read(self, view: BufferView, indices: Indices) -> Expr:
        at = [indices[axis] for axis in view.axes]
        if any(SAMPLE.name in variables(index) for index in at[1:]):
            raise NotSampledError
        if not at or SAMPLE.name not in variables(at[0]):
            return super().read(view, indices)
        if at[0] != SAMPLE:
            raise NotSampledError
        shape = view.shape[1:]
        step_bytes = prod(shape) * view.dtype.size_bytes
        return self.builder.source(Argument(view.buffer, 0, step_bytes), shape, view.dtype)[tuple(at[1:])]


def anchor_of(
    reduction: Equation, machine: HostMachine, function: Function, schedules: Schedules = NO_SCHEDULES
) -> Anchor | None:
    """The anchor that does a reduction; None if none does.

    Args:
        reduction: the equation.
        machine: that code is for.
        function: it is of.
        schedules: that take the place of defaults.
    """
    operator, x = reduction.operator, reduction.operands[0]
    zero = zero_of(operator)
    if zero is None and any(value.type.dtype is not DType.FLOAT32 for value in reduction.operands):
        return None
    if zero is not None and x.type.dtype is DType.UINT8:
        zero -= SIGN
    features = Features.of(machine)
    if isinstance(operator, Dot):
        samples, rows, depth = x.type.numbers
        columns = reduction.operands[1].type.numbers[2]
        if rows * depth * columns < LEAST_WORK or samples > SAMPLES_MAXIMUM:
            return None
        sizes = ConvolutionSizes(
            height=1,
            width=rows,
            channels=depth,
            outputs=columns,
            kernel=(1, 1),
            is_float=zero is None,
            zero_point=zero or 0,
        )
        return Anchor(reduction, function, features, sizes, samples, plain(3), schedules)
    if isinstance(operator, ReduceWindow | Conv):
        windows = _window_sizes(reduction, zero)
        if windows is None:
            return None
        order = channels_last(x.type.rank)
        return Anchor(reduction, function, features, windows, x.type.numbers[0], order, schedules)
    return None


def _window_sizes(reduction: Equation, zero: int | None) -> ConvolutionSizes | None:
    """The sizes of a convolution or pooling over the one or two last axes of (batch, channels, ..)."""
    operator, shape = reduction.operator, reduction.operands[0].type.numbers
    assert isinstance(operator, ReduceWindow | Conv)
    kernel = operator.kernel if isinstance(operator, ReduceWindow) else reduction.operands[1].type.numbers[2:]
    rank = len(kernel)
    outputs = reduction.result.type.numbers[1]
    if len(shape) != rank + 2 or rank not in (1, 2) or shape[0] > SAMPLES_MAXIMUM:
        return None
    if isinstance(operator, Conv):
        if operator.groups > 1 and not _is_deep(reduction) and operator.groups > GROUPED_MAXIMUM:
            return None
        if (
            prod(reduction.result.type.numbers[1:]) * prod(reduction.operands[1].type.numbers[1:])
            < LEAST_WORK
        ):
            return None
    missing = (1,) * (2 - rank)
    low, high = operator.pads[:rank], operator.pads[rank:]
    none = (0,) * (2 - rank)
    pads = (*none, *low, *none, *high)
    height, width = (*missing, *shape[2:])
    return ConvolutionSizes(
        height=height,
        width=width,
        channels=shape[1],
        outputs=outputs,
        kernel=_pair((*missing, *kernel)),
        strides=_pair((*missing, *operator.strides)),
        dilations=_pair((*missing, *operator.dilations)),
        pads=(pads[0], pads[1], pads[2], pads[3]),
        is_float=zero is None,
        zero_point=_FILLS[operator.function] if isinstance(operator, ReduceWindow) else zero or 0,
        is_signed=isinstance(operator, Conv) and operator.groups > 1 and _is_deep(reduction),
    )


def _pair(numbers: Sequence[int]) -> tuple[int, int]:
    return numbers[0], numbers[1]


def _is_deep(reduction: Equation) -> bool:
    """Whether each group is one channel with one output."""
    outputs, channels = reduction.operands[1].type.numbers[:2]
    return channels == 1 and outputs == reduction.operands[0].type.numbers[1]


def _dense(weight: Array, groups: int) -> Array:
    """Weights (outputs, channels of a group, ..) for all channels, with zeros between groups."""
    if groups == 1:
        return weight
    outputs, channels = weight.shape[:2]
    whole = np.zeros((outputs, channels * groups, *weight.shape[2:]), weight.dtype)
    each = outputs // groups
    for group in range(groups):
        rows = slice(group * each, (group + 1) * each)
        whole[rows, group * channels : (group + 1) * channels] = weight[rows]
    return whole
