"""Lowers a function of floats with quantise and dequantise equations to a function of integers.

Each quantise equation ends a fusion group: an operator on quantised values and what clamps or pools its
result. A group becomes one integer operator.
"""

from collections.abc import Callable

from tilewright.compiler.ir.error import OperatorError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.ops.nn.pointwise import Pointwise
from tilewright.compiler.ops.nn.pool import AveragePool
from tilewright.compiler.ops.nn.product import GroupedProduct, PartSum
from tilewright.compiler.ops.nn.transposed_dense import TransposedDense
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.gather import Gather
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.quantise.error import GroupError, QuantiseError
from tilewright.compiler.quantise.group import FusionGroup, trace
from tilewright.compiler.quantise.integer import IntegerBuilder, LoweredLayer, QuantisedValue
from tilewright.compiler.quantise.lower_linear import lower_linear
from tilewright.compiler.quantise.lower_move import lower_concat, lower_gather, lower_pad, lower_slice
from tilewright.compiler.quantise.lower_pointwise import (
    lower_average,
    lower_lookup,
    lower_map,
    lower_passed,
)
from tilewright.compiler.quantise.lower_product import (
    lower_part_sum,
    lower_product,
    lower_transposed_dense,
)
from tilewright.compiler.quantise.parameter import QuantParams
from tilewright.compiler.quantise.recognition import describe

Lower = Callable[[IntegerBuilder, Equation, FusionGroup, QuantParams], QuantisedValue]

_LOWER: dict[type[Operator], Lower] = {
    Convolution: lower_linear,
    Dense: lower_linear,
    Map: lower_map,
    AveragePool: lower_average,
    Pointwise: lower_lookup,
    Concat: lower_concat,
    Slice: lower_slice,
    Pad: lower_pad,
    Gather: lower_gather,
    GroupedProduct: lower_product,
    PartSum: lower_part_sum,
    TransposedDense: lower_transposed_dense,
}


def lower(function: Function) -> Function:
    """The function of integers: quantise at the parameters, dequantise at the results, no float between.

    Args:
        function: as recognised; of maps it has sums and products only.

    Raises:
        QuantiseError: naming every equation that cannot be taken.
    """
    return _built(function)[0]


def lower_traced(function: Function) -> tuple[Function, dict[Value, QuantisedValue]]:
    """As `lower`, and what became of the result of each quantise equation."""
    lowered, b = _built(function)
    return lowered, b.integers


def lowered_layers(function: Function) -> dict[Equation, LoweredLayer]:
    """With which scales `lower` makes integers of the convolutions and dense layers of a function."""
    return _built(function)[1].layers


def _built(function: Function) -> tuple[Function, IntegerBuilder]:
    b, problems = IntegerBuilder(function), []
    for equation in function.equations:
        if isinstance(equation.operator, Quantise) and (problem := _lower_group(b, equation)):
            problems.append(problem)
    results: list[Value] = []
    for value in function.results:
        if problem := _finish(b, value, results):
            problems.append(problem)
    if problems:
        raise QuantiseError(f"{function.name!r} cannot be quantised: {'; '.join(dict.fromkeys(problems))}")
    result = b.function(*results)
    verify(result)
    return result, b


def _lower_group(b: IntegerBuilder, end: Equation) -> str | None:
    """Adds a group; the reason, if it cannot be taken and what it reads can."""
    assert isinstance(end.operator, Quantise)
    parameters = QuantParams(end.operator.scale, end.operator.zero_point)
    where = describe(end)
    try:
        group = trace(b.source, end.operands[0])
        if group.equation is not None:
            where = describe(group.equation)
        b.integers[end.result] = _lowered(b, end, group, parameters)
    except (GroupError, OperatorError) as error:
        return f"{where}: {error}"
    except KeyError:
        # It reads what another message is about.
        return None
    return None


def _lowered(b: IntegerBuilder, end: Equation, group: FusionGroup, parameters: QuantParams) -> QuantisedValue:
    equation = group.equation
    if equation is not None:
        if type(equation.operator) not in _LOWER:
            raise GroupError(f"{equation.operator.name} must not lie between quantised values")
        return _LOWER[type(equation.operator)](b, equation, group, parameters)
    is_given = group.core in b.source.parameters
    x = b.parameter(group.core, parameters) if is_given else b.operand(group.core)
    return lower_passed(b, x, group, parameters, end)


def _finish(b: IntegerBuilder, value: Value, results: list[Value]) -> str | None:
    try:
        results.append(b.finish(value))
    except (GroupError, OperatorError) as error:
        return f"result {value.name!r}: {error}"
    except KeyError:
        return None
    return None
