"""Functions of integers on the host: operator by operator as machine code, with the accelerator's bytes.

int8 values lie as [samples][height][width · channels]; floats, which go in and come out, as its types say.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.targets.cpu.cache import ObjectStore
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.kernel import CompiledFunction, compile_function
from tilewright.compiler.targets.cpu.machine import HostMachine
from tilewright.compiler.targets.cpu.operator.convolution_schedule import NO_SCHEDULES, Schedules
from tilewright.compiler.targets.cpu.operator.layout import aligned_empty
from tilewright.compiler.targets.cpu.operator.lower import OPERATORS, lower_operator
from tilewright.compiler.targets.cpu.operator.lowered import LoweredOperator

Array = NDArray[Any]
Step = Callable[[Sequence[Array]], Array]
"""From the operands of an equation that are no constants to its result, for some samples."""
Observe = Callable[[Value, Array], object]
"""Is called with a value of the function for one sample, and what it is for some samples."""
Kernels = dict[int, CompiledFunction]
"""Compiled loop programs by the identity of these, which they keep alive."""
PORTS = (Quantise, Dequantise, Reshape, Transpose)
"""Operators that numpy does: a pass over a value at the border of the network, or a view."""
CHUNK_SAMPLES = 64
"""Computed together, operator by operator: weights stay near, and values do not grow with the samples."""


class HostNetwork:
    """A function as machine code of this process: weights packed, kernels compiled or taken from the cache.

    Members:
        named: the function that it computes.
    """

    def __init__(
        self,
        named: NamedFunction,
        machine: HostMachine | None = None,
        store: ObjectStore | None = None,
        schedules: Schedules = NO_SCHEDULES,
        kernels: Kernels | None = None,
    ) -> None:
        """Compile a function.

        Args:
            named: of integers, verified; on any number of samples.
            machine: one whose code this machine runs; None for this one.
            store: machine code that is carried along, and gets what is used; None: the disk alone.
            schedules: of convolutions, in the place of defaults.
            kernels: what other networks compiled, for the same machine and store, and gets what this one
                compiles; None: nothing.

        Raises:
            CpuError: listing every equation that has no compiled form; or if the sizes or the machine do
                not allow a schedule.
        """
        self.named = named
        self._function = named.one_sample().function
        self._machine = HostMachine.host() if machine is None else machine
        self._store, self._schedules = store, schedules
        self._kernels: Kernels = {} if kernels is None else kernels
        self._fixed: dict[Value, Array] = {}
        moving = [each for each in self._function.equations if not self._fold(each)]
        _refuse_others(moving)
        self._steps = [(each, self._step(each)) for each in moving]

    def run(self, inputs: Mapping[str, Array], observe: Observe | None = None) -> dict[str, Array]:
        """The results by name, for all samples along the first axis: as `NamedFunction.run`.

        Args:
            inputs: by name.
            observe: is called with each value of an equation, of `CHUNK_SAMPLES` samples at a time.

        Raises:
            EvaluationError: if names, shapes or element types are wrong, or a value is NaN.
        """
        samples = self.named.check(inputs)
        parts = [
            self._run({name: array[start : start + CHUNK_SAMPLES] for name, array in inputs.items()}, observe)
            for start in range(0, samples, CHUNK_SAMPLES)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, inputs: Mapping[str, Array], observe: Observe | None) -> dict[str, Array]:
        function = self._function
        values = {
            value: to_host(inputs[name], value.type)
            for name, value in zip(self.named.inputs, function.parameters, strict=True)
        }
        for equation, step in self._steps:
            values[equation.result] = step([values[each] for each in equation.operands if each in values])
            if observe is not None:
                observe(equation.result, to_graph(values[equation.result], equation.result.type))
        return {
            name: to_graph(values[value], value.type)
            for name, value in zip(self.named.outputs, function.results, strict=True)
        }

    def _fold(self, equation: Equation) -> bool:
        """Whether an equation makes a constant of constants; computes it then."""
        if not all(value in self._fixed for value in equation.operands):
            return False
        arrays = (self._fixed[value] for value in equation.operands)
        self._fixed.update(zip(equation.results, equation.operator.run(*arrays), strict=True))
        return True

    def _step(self, equation: Equation) -> Step:
        types = [value.type for value in equation.operands]
        if isinstance(equation.operator, PORTS):
            return _port(equation.operator, types[0], equation.result.type)
        arrays = [self._fixed.get(value) for value in equation.operands]
        features = Features.of(self._machine)
        lowered = lower_operator(equation.operator, types, arrays, features, self._schedules)
        return _layer(self._compiled(lowered), lowered, equation.result.type)

    def _compiled(self, lowered: LoweredOperator) -> CompiledFunction:
        # Loop programs of convolutions are kept: the same sizes are the same object.
        key = id(lowered.function)
        if key not in self._kernels:
            self._kernels[key] = compile_function(
                lowered.function, parallel=lowered.is_shared, machine=self._machine, store=self._store
            )
        return self._kernels[key]


def _refuse_others(equations: Sequence[Equation]) -> None:
    """Refuse a function with operators that are neither compiled nor at its border."""
    known = (*OPERATORS, *PORTS, Constant)
    rejected = [each for each in equations if not isinstance(each.operator, known)]
    if rejected:
        listed = ", ".join(f"{each.label!r} ({each.operator.name})" for each in rejected)
        raise CpuError(
            f"every operator must have a compiled form on the CPU, and {listed} has none: "
            "quantise the network first"
        )


def _port(
    operator: Quantise | Dequantise | Reshape | Transpose, given: TensorType, result: TensorType
) -> Step:
    def step(values: Sequence[Array]) -> Array:
        array = to_graph(values[0], given)
        if isinstance(operator, Reshape):
            return to_host(array.reshape(len(array), *result.numbers[1:]), result)
        return to_host(operator.run(array)[0], result)

    return step


def _layer(kernel: CompiledFunction, lowered: LoweredOperator, result: TensorType) -> Step:
    """The compiled kernel, called for each sample."""
    shape = host_shape(result)
    # What is no constant comes in the order of the operator's inputs.
    order = sorted(argument for argument in lowered.arguments if isinstance(argument, int))

    def step(values: Sequence[Array]) -> Array:
        out = aligned_empty((len(values[0]), *shape), np.int8)
        arrays = [
            values[order.index(argument)] if isinstance(argument, int) else argument
            for argument in lowered.arguments
        ]
        moving = [isinstance(argument, int) for argument in lowered.arguments]
        kernel.repeat([*arrays, out], [*moving, True])
        return out

    return step


def host_shape(tensor: TensorType) -> tuple[int, int]:
    """Height, and width · channels, of a value; axes that it lacks are 1."""
    channels, height, width = (*tensor.numbers[1:], 1, 1)[:3]
    return height, width * channels


def to_host(array: Array, tensor: TensorType) -> Array:
    """An int8 value, [samples, channels, height, width], as it lies here; floats as they are."""
    if tensor.dtype is not DType.INT8:
        return array
    pixels = array.reshape(len(array), tensor.numbers[1] if tensor.rank > 1 else 1, -1)
    return np.ascontiguousarray(pixels.transpose(0, 2, 1)).reshape(len(array), *host_shape(tensor))


def to_graph(array: Array, tensor: TensorType) -> Array:
    """The inverse of `to_host`."""
    if tensor.dtype is not DType.INT8:
        return array
    pixels = array.reshape(len(array), -1, tensor.numbers[1] if tensor.rank > 1 else 1)
    return np.ascontiguousarray(pixels.transpose(0, 2, 1)).reshape(len(array), *tensor.numbers[1:])
