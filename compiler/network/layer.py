"""The layers of a part in integers: each an operator, between activations that stand for floats."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.quantise.parameter import QuantParams
from tilewright.compiler.quantise.quantise import TracedIntegers
from tilewright.numerics.quantise import dequantise, quantise


@dataclass(frozen=True)
class Layer:
    """A value of a part that integers stand for, and the equations between it and such before it.

    Members:
        value: of the function of floats.
        equation: the integer operator that multiplies most.
        unit: from integers, which stand for `operands`, to integers.
        operands: of the function of floats, with the parameters of their integers.
        parameters: of the result.
    """

    value: Value
    equation: Equation
    unit: Function
    operands: tuple[tuple[Value, QuantParams], ...]
    parameters: QuantParams

    @property
    def macs(self) -> int:
        """Multiply-accumulates of a sample."""
        return _macs(self.equation)

    def run(self, values: Mapping[Value, Array]) -> Array:
        """What the layer alone makes of floats."""
        given = [
            _integers_of(values[value], each, parameter)
            for (value, each), parameter in zip(self.operands, self.unit.parameters, strict=True)
        ]
        (result,) = run(self.unit, *given)
        real = dequantise(result, self.parameters.scale, self.parameters.zero_point)
        return np.asarray(real.reshape(values[self.value].shape), np.float32)


def _integers_of(x: Array, parameters: QuantParams, parameter: Value) -> Array:
    """A float activation as a unit reads it: what the host quantises inside of it stays as it is."""
    sizes = [size for size in parameter.type.shape[1:] if isinstance(size, int)]
    given = x.reshape(len(x), *sizes)
    if parameter.type.dtype is DType.FLOAT32:
        return given
    return np.asarray(quantise(given, parameters.scale, parameters.zero_point), np.int8)


def layers_of(traced: TracedIntegers) -> list[Layer]:
    """The layers of a part, in their order."""
    function = traced.named.function
    known = {each.value: (value, each.parameters) for value, each in traced.stands_for.items()}
    layers = []
    for integer, (value, parameters) in known.items():
        if integer in function.parameters:
            continue
        unit = _unit(function, integer, known)
        named = [each for each in unit.equations if each.labels and each.operands]
        if named:
            equation = max(named, key=_macs)
            operands = tuple(known[each] for each in unit.parameters)
            layers.append(Layer(value, equation, unit, operands, parameters))
    return layers


def _macs(equation: Equation) -> int:
    found = equation.operator.macs(*(each.type for each in equation.operands))
    return found if isinstance(found, int) else 0


def _unit(function: Function, result: Value, known: Mapping[Value, object]) -> Function:
    """The equations from known values to one."""
    needed, parameters, equations = [result], dict[Value, None](), set[Equation]()
    while needed:
        value = needed.pop()
        if value != result and value in known:
            parameters[value] = None
            continue
        equation = function.producers[value]
        equations.add(equation)
        needed += equation.operands
    ordered = tuple(each for each in function.equations if each in equations)
    return Function(result.name, tuple(parameters), ordered, (result,))
