"""Weights of a function as its parameters, and back as its constants."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ops.nn.norm import BatchNorm

_STATISTICS = (3, 4)
"""Operands of a batch norm that were measured, not trained: mean and variance."""


@dataclass(frozen=True)
class WeightedFunction:
    """A function whose last parameters are weights.

    Members:
        function: inputs, then weights.
        weights: their arrays, float32.
        names: of the weights, as the function knew them as constants.
    """

    function: Function
    weights: tuple[NDArray[np.float32], ...]
    names: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The parameters that are no weights."""
        return self.function.parameters[: len(self.function.parameters) - len(self.weights)]


def with_weights_as_parameters(function: Function) -> WeightedFunction:
    """The function with all that can be trained as parameters behind its own.

    Weights are constants of float32 with more than one element that equations read, but for the statistics of
    a batch norm.

    Raises:
        IrError: if it has no weights.
    """
    chosen = _weights(function)
    if not chosen:
        raise IrError(f"{function.name!r} must have weights to be trained: constants of float32")
    b, found = Builder(function.name), dict[Value, Array]()

    def each(
        b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        if not (isinstance(operator, Constant) and equation.result in chosen):
            return emit(b, equation, operator, operands)
        weight = b.parameter(equation.result.name, equation.result.type)
        found[weight] = operator.value.array
        return (weight,)

    own = [b.parameter(value.name, value.type) for value in function.parameters]
    lifted = b.function(*inline(b, function, own, each))
    weights = tuple(np.array(array, np.float32) for array in found.values())
    return WeightedFunction(lifted, weights, tuple(value.name for value in found))


def with_weights_as_constants(function: Function, weights: Sequence[Array]) -> Function:
    """The function whose last parameters are constants.

    Raises:
        IrError: if a weight has another shape than its parameter.
    """
    b, count = Builder(function.name), len(function.parameters) - len(weights)
    own = [b.parameter(value.name, value.type) for value in function.parameters[:count]]
    constants = []
    for value, weight in zip(function.parameters[count:], weights, strict=True):
        if value.type.shape != weight.shape:
            raise IrError(f"weight {value.name} must have the shape {value.type.shape}, not {weight.shape}")
        constants.append(b.constant(np.ascontiguousarray(weight), value.type.dtype))
    return b.function(*inline(b, function, [*own, *constants]))


def _weights(function: Function) -> set[Value]:
    measured = {
        equation.operands[place]
        for equation in function.equations
        if isinstance(equation.operator, BatchNorm)
        for place in _STATISTICS
    }
    read = {value for equation in function.equations for value in equation.operands}
    return {
        equation.result
        for equation in function.equations
        if isinstance(equation.operator, Constant)
        and equation.operator.value.array.dtype == np.float32
        and equation.operator.value.array.size > 1
        and equation.result in read - measured
    }
