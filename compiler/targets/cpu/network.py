"""Integer graphs on the host: operator by operator as machine code, with the accelerator's bytes exactly.

int8 values lie as [samples][height][width · channels]; floats, which go in and come out, as the graph says.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.graph import Graph, Node
from tilewright.compiler.graph.interpreter import check_inputs
from tilewright.compiler.graph.type import TensorType
from tilewright.compiler.ops.dequantise import Dequantise
from tilewright.compiler.ops.flatten import Flatten
from tilewright.compiler.ops.identity import Identity
from tilewright.compiler.ops.operator import Operator
from tilewright.compiler.ops.quantise import Quantise
from tilewright.compiler.ops.reshape import Reshape
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.feature import Features
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.machine import Machine
from tilewright.compiler.targets.cpu.operator.layout import aligned_empty
from tilewright.compiler.targets.cpu.operator.lower import OPERATORS, Lowered

Array = NDArray[Any]
Step = Callable[[Sequence[Array]], Array]
"""From the inputs of a node that are no constants to its result, for some samples."""
PORTS = (Quantise, Dequantise, Reshape, Flatten, Identity)
"""Operators that numpy does: a pass over a value at the border of the network, or a view."""
CHUNK_SAMPLES = 64
"""Computed together, operator by operator: weights stay near, and values do not grow with the samples."""
PARALLEL_WORK = 1 << 24
"""Operations of an operator from which threads are worth waking."""


class HostNetwork:
    """A graph as machine code of this process: weights packed, kernels compiled or taken from the cache.

    Members:
        graph: what it computes.
    """

    def __init__(self, graph: Graph, machine: Machine | None = None) -> None:
        """Compile a graph.

        Args:
            graph: in integers, verified.
            machine: one whose code this machine runs; None for this one.

        Raises:
            CpuError: listing every node that has no compiled form.
        """
        self.graph = graph
        self._machine = Machine.host() if machine is None else machine
        self._fixed = dict(graph.constants)
        self._refuse_others()
        self._steps = [(node, self._step(node)) for node in graph.nodes if not self._fold(node)]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name, for all samples along the first axis: as `graph.interpreter.run`.

        Raises:
            GraphError: if names, shapes or element types are wrong, or a value is NaN.
        """
        samples = check_inputs(self.graph, inputs)
        parts = [
            self._run({name: array[start : start + CHUNK_SAMPLES] for name, array in inputs.items()})
            for start in range(0, samples, CHUNK_SAMPLES)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        types = self.graph.types
        values = {name: to_host(array, types[name]) for name, array in inputs.items()}
        for node, step in self._steps:
            values[node.output] = step([values[name] for name in node.inputs if name in values])
        return {name: to_graph(values[name], types[name]) for name in dict.fromkeys(self.graph.outputs)}

    def _refuse_others(self) -> None:
        """Refuse a graph with operators that are neither compiled nor at its border."""
        fixed = set(self._fixed)
        strange = []
        for node in self.graph.nodes:
            if fixed.issuperset(node.inputs):
                fixed.add(node.output)
            elif not isinstance(node.operator, (*OPERATORS, *PORTS)):
                strange.append(f"{node.name!r} ({node.operator.name})")
        if strange:
            raise CpuError(
                f"every operator must have a compiled form on the CPU, and {', '.join(strange)} has none: "
                "quantise the network first"
            )

    def _fold(self, node: Node) -> bool:
        """Whether a node makes a constant of constants; computes it then."""
        if not all(name in self._fixed for name in node.inputs):
            return False
        self._fixed[node.output] = node.operator.run(*(self._fixed[name] for name in node.inputs))
        return True

    def _step(self, node: Node) -> Step:
        types = [self.graph.types[name] for name in node.inputs]
        if isinstance(node.operator, PORTS):
            return _port(node.operator, types[0], self.graph.types[node.output])
        arrays = [self._fixed.get(name) for name in node.inputs]
        lower = OPERATORS[type(node.operator)]
        lowered = lower(node.operator, types, arrays, Features.of(self._machine))
        return _layer(lowered, self.graph.types[node.output], self._machine)


def _port(operator: Operator, given: TensorType, result: TensorType) -> Step:
    return lambda values: to_host(operator.run(to_graph(values[0], given)), result)


def _layer(lowered: Lowered, result: TensorType, machine: Machine) -> Step:
    """The compiled kernel, called for each sample."""
    parallel = lowered.work >= PARALLEL_WORK
    kernel = compile_function(lowered.function, parallel=parallel, machine=machine)
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
    channels, height, width = (*tensor.shape[1:], 1, 1)[:3]
    return height, width * channels


def to_host(array: Array, tensor: TensorType) -> Array:
    """An int8 value of a graph, [samples, channels, height, width], as it lies here; floats as they are."""
    if tensor.dtype is not DType.INT8:
        return array
    pixels = array.reshape(len(array), tensor.shape[1] if len(tensor.shape) > 1 else 1, -1)
    return np.ascontiguousarray(pixels.transpose(0, 2, 1)).reshape(len(array), *host_shape(tensor))


def to_graph(array: Array, tensor: TensorType) -> Array:
    """The inverse of `to_host`."""
    if tensor.dtype is not DType.INT8:
        return array
    pixels = array.reshape(len(array), -1, tensor.shape[1] if len(tensor.shape) > 1 else 1)
    return np.ascontiguousarray(pixels.transpose(0, 2, 1)).reshape(len(array), *tensor.shape[1:])
