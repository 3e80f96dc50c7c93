"""Plans of functions of integers: a kernel for each layer, and one for what lies between layers.

int8 values of layers lie with channels innermost, floats in the order of their axes. Quantisation, its
inverse and views have no memory of their own: they are part of the kernel that makes what a layer reads, or a
result.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.targets.cpu.host.buffer_view import BufferView, Order, channels_last, plain
from tilewright.compiler.targets.cpu.host.express import Indices, is_plain_reshape
from tilewright.compiler.targets.cpu.host.kernel import Argument, Code, Compiler, KernelBuilder
from tilewright.compiler.targets.cpu.host.plan import KernelStep, Plan, arena_of
from tilewright.compiler.targets.cpu.host.template import Reader, map_kernel
from tilewright.compiler.targets.cpu.operator.lowered import LoweredOperator
from tilewright.compiler.te import call, cast, clamp, constant
from tilewright.compiler.tir.expr import Const, ElementFunction, Expr
from tilewright.numerics.quantise import INT8_MAXIMUM, INT8_MINIMUM

PORTS = (Quantise, Dequantise, Reshape, Transpose)
"""Operators that are no layers: at the border of the network, and views."""


@dataclass(frozen=True)
class Layer:
    """An equation as a kernel of its own.

    Members:
        equation: the layer.
        lowered: its loop program.
        code: the same compiled.
    """

    equation: Equation
    lowered: LoweredOperator
    code: Code


@dataclass(frozen=True)
class SamplePlan:
    """Steps for one sample.

    Members:
        steps: in their order.
        constants: arrays by buffer.
        sizes: bytes of a sample in each buffer of the arena.
        parameters, results: types of a sample.
    """

    steps: tuple[KernelStep, ...]
    constants: Mapping[str, Array]
    sizes: Mapping[str, int]
    parameters: tuple[TensorType, ...]
    results: tuple[TensorType, ...]

    def repeated(self, samples: int) -> Plan:
        """The plan of so many samples, step by step: weights stay near."""
        borders = (("parameter", self.parameters), ("result", self.results))
        bytes_of = dict(self.sizes)
        for kind, types in borders:
            bytes_of |= {f"{kind}{place}": each.size_bytes for place, each in enumerate(types)}
        steps = [
            KernelStep(step.code, tuple(_of_sample(each, sample, bytes_of) for each in step.arguments))
            for step in self.steps
            for sample in range(samples)
        ]
        whole = {name: samples * size for name, size in self.sizes.items()}
        offsets, arena_bytes = arena_of(steps, whole)
        parameters, results = (
            tuple(Value(f"{kind}{place}", _batch(each, samples)) for place, each in enumerate(types))
            for kind, types in borders
        )
        function = Function("integers", parameters, (), results)
        return Plan(function, list(steps), dict(self.constants), offsets, arena_bytes, [])


def _of_sample(argument: Argument, sample: int, bytes_of: Mapping[str, int]) -> Argument:
    return Argument(argument.buffer, argument.offset_bytes + sample * bytes_of.get(argument.buffer, 0))


def _batch(one: TensorType, samples: int) -> TensorType:
    return TensorType(one.dtype, (samples * one.numbers[0], *one.shape[1:]))


def sample_plan(
    function: Function,
    layers: Sequence[Layer],
    fixed: Mapping[Value, Array],
    results: Sequence[Value],
    compiler: Compiler,
) -> SamplePlan:
    """The plan of one sample.

    Args:
        function: of one sample, of layers, ports and constants.
        layers: in their order.
        fixed: values that are constants.
        results: values that are wanted.
        compiler: of what lies between layers.
    """
    return _Planner(function, fixed, compiler).plan(layers, results)


@dataclass
class _Planner:
    function: Function
    fixed: Mapping[Value, Array]
    compiler: Compiler
    views: dict[Value, BufferView] = field(default_factory=dict)
    steps: list[KernelStep] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    def plan(self, layers: Sequence[Layer], results: Sequence[Value]) -> SamplePlan:
        for place, value in enumerate(self.function.parameters):
            self.views[value] = BufferView(f"parameter{place}", value.type, plain(value.type.rank))
        for layer in layers:
            self._layer(layer)
        for place, value in enumerate(results):
            self._made(value, BufferView(f"result{place}", value.type, plain(value.type.rank)))
        types = [tuple(value.type for value in values) for values in (self.function.parameters, results)]
        return SamplePlan(tuple(self.steps), self.constants, self.sizes, *types)

    def _layer(self, layer: Layer) -> None:
        arguments = [self._argument(layer.equation, each) for each in layer.lowered.arguments]
        value = layer.equation.result
        self.views[value] = BufferView(self._buffer(value), value.type, layer_order(value.type.rank))
        self.steps.append(KernelStep(layer.code, (*arguments, Argument(self.views[value].buffer))))

    def _argument(self, equation: Equation, argument: int | Array) -> Argument:
        """An array, or an operand by its place, as layers have it."""
        if isinstance(argument, int):
            return Argument(self._operand(equation.operands[argument]).buffer)
        return Argument(self._constant(argument))

    def _operand(self, value: Value) -> BufferView:
        order = layer_order(value.type.rank)
        source = self._source(value)
        view = self.views.get(source)
        if view is not None and _is_same(view, value, order):
            return BufferView(view.buffer, value.type, order)
        made = BufferView(self._buffer(value), value.type, order)
        self._made(value, made)
        self.views[value] = made
        return made

    def _source(self, value: Value) -> Value:
        """The value that this one is, but for axes of one element."""
        while value not in self.views and value in self.function.producers:
            equation = self.function.producers[value]
            if not isinstance(equation.operator, Reshape):
                break
            value = equation.operands[0]
        return value

    def _made(self, value: Value, result: BufferView) -> None:
        """A kernel that computes a value from what lies in memory."""
        reader = _PortReader(self.function, self.views, KernelBuilder(), {}, self._value, self._constant)
        spec = map_kernel(reader, value, result)
        code = self.compiler.code(spec.key, spec.make, parallel=spec.parallel)
        self.steps.append(KernelStep(code, (*spec.arguments, Argument(result.buffer))))

    def _value(self, value: Value) -> BufferView | None:
        """The view of a value in memory; None if it is computed where it is read."""
        if value in self.fixed and value not in self.views:
            name = self._constant(self.fixed[value])
            self.views[value] = BufferView(name, value.type, plain(value.type.rank))
        return self.views.get(value)

    def _buffer(self, value: Value) -> str:
        name = f"b{len(self.sizes)}"
        self.sizes[name] = value.type.size_bytes
        return name

    def _constant(self, array: Array) -> str:
        name = f"constant{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(array)
        return name


def layer_order(rank: int) -> Order:
    """The axes of an int8 value as layers have it: channels innermost."""
    return channels_last(rank) if rank > 2 else plain(rank)


def _is_same(view: BufferView, value: Value, order: Order) -> bool:
    """Whether a value of the same elements lies as another one should."""
    if view.type.dtype is not value.type.dtype or not is_plain_reshape(view.type.numbers, value.type.numbers):
        return False
    kept = [[axis for axis, size in enumerate(x.numbers) if size != 1] for x in (view.type, value.type)]
    places = dict(zip(kept[0], kept[1], strict=True))
    return [places[axis] for axis in view.axes] == [axis for axis in order if value.type.numbers[axis] != 1]


@dataclass
class _PortReader(Reader):
    """Elements of values between layers, by those of values in memory.

    Members:
        value: gives what lies in memory.
        constant: makes a constant of an array.
    """

    value: Callable[[Value], BufferView | None]
    constant: Callable[[Array], str]

    def element(self, value: Value, indices: Indices) -> Expr:
        if (view := self.value(value)) is not None:
            return self.read(view, indices)
        equation = self.function.producers[value]
        match equation.operator:
            case Quantise(scale=scale, zero_point=zero_point):
                x, of = self.element(equation.operands[0], indices), self._scale(scale, zero_point)
                whole = call(ElementFunction.ROUND, call(ElementFunction.DIVIDE, x, of[0])) + of[1]
                lo, hi = (constant(float(each), DType.FLOAT32) for each in (INT8_MINIMUM, INT8_MAXIMUM))
                return cast(clamp(whole, lo, hi), DType.INT8)
            case Dequantise(scale=scale, zero_point=zero_point):
                x, of = self.element(equation.operands[0], indices), self._scale(scale, zero_point)
                return (cast(x, DType.FLOAT32) - of[1]) * of[0]
            case Reshape():
                shapes = equation.result.type.numbers, equation.operands[0].type.numbers
                return self.element(equation.operands[0], regrouped(indices, *shapes))
        return super().element(value, indices)

    def _scale(self, scale: float, zero_point: int) -> tuple[Expr, Expr]:
        """Scale and zero point: an argument, so that all kernels of these sizes are one."""
        name = self.constant(np.array([scale, zero_point], np.float32))
        tensor = self.builder.source(Argument(name), (2,), DType.FLOAT32)
        return tensor[0], tensor[1]


def regrouped(indices: Indices, shape: Sequence[int], source: Sequence[int]) -> Indices:
    """The indices of the same element in a tensor of another shape: divisions only where axes are split."""
    found: list[Expr] = []
    given, wanted = list(zip(indices, shape, strict=True)), list(source)
    while wanted:
        axes: list[tuple[Expr, int]] = []
        sizes = [wanted.pop(0)]
        while prod(size for _, size in axes) != prod(sizes):
            if prod(size for _, size in axes) < prod(sizes):
                axes.append(given.pop(0))
            else:
                sizes.append(wanted.pop(0))
        found += _unravelled(axes, sizes)
    return tuple(found)


def _unravelled(axes: Sequence[tuple[Expr, int]], sizes: Sequence[int]) -> list[Expr]:
    """The place that indices of some axes are, as indices of axes of these sizes."""
    place: Expr | None = None
    for index, size in axes:
        if size != 1:
            place = index if place is None else place * size + index
    if place is None:
        return [Const(0)] * len(sizes)
    found: list[Expr] = []
    for number, size in enumerate(sizes):
        inner, outer = prod(sizes[number + 1 :]), prod(sizes[:number])
        index = place if inner == 1 else place // inner
        found.append(Const(0) if size == 1 else index if outer == 1 else index % size)
    return found
