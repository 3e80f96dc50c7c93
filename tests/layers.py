"""Networks as tests write them down: equations between values that have names."""

from typing import NamedTuple

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.ops.primitive.reshape import Reshape

BATCH = Size.of("batch")


class Node(NamedTuple):
    """An equation.

    Members:
        name: its label.
        operator: what is done.
        inputs: names of inputs, constants, or results of nodes before.
        output: the name of its result.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    output: str


def network(
    inputs: dict[str, tuple[int, ...]],
    nodes: tuple[Node, ...],
    outputs: tuple[str, ...],
    constants: dict[str, np.ndarray] | None = None,
    name: str = "test",
) -> NamedFunction:
    """The function of nodes, on any number of samples.

    Args:
        inputs: names and shapes, with a batch of 1 in front; float32.
        nodes: in order.
        outputs: names of results.
        constants: arrays by name.
        name: of the function.
    """
    b = Builder(name)
    values = {
        key: b.parameter(key, TensorType(DType.FLOAT32, (BATCH, *shape[1:]))) for key, shape in inputs.items()
    }
    values |= {key: b.constant(array) for key, array in (constants or {}).items()}
    for node in nodes:
        with b.label(node.name):
            values[node.output] = b.emit(node.operator, *(values[each] for each in node.inputs))
    function = b.function(*(values[each] for each in outputs))
    verify(function)
    return NamedFunction(function, tuple(inputs), tuple(outputs))


def reshape(*sizes: int) -> Reshape:
    """The view with these sizes behind the batch."""
    return Reshape((BATCH, *sizes))


def layers_of(named: NamedFunction, *kinds: type[Operator]) -> list:
    """The operators of these kinds, in order."""
    operators = (equation.operator for equation in named.function.equations)
    return [each for each in operators if isinstance(each, kinds)]


def macs_of(named: NamedFunction) -> int:
    """Multiply-accumulates of one sample of a network of integers."""
    equations = named.one_sample().function.equations
    return sum(
        each.operator.macs(*(value.type for value in each.operands))
        for each in equations
        if hasattr(each.operator, "macs")
    )
