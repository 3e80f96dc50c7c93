"""Sums, averages and lone clamps or poolings between quantised values, as integers."""

import math

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.ops.nn.pointwise import Pointwise
from tilewright.compiler.ops.nn.pool import AveragePool
from tilewright.compiler.ops.quantised.qadd import QAdd
from tilewright.compiler.ops.quantised.qaverage_pool2d import QAveragePool2d
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qmax_pool2d import QMaxPool2d
from tilewright.compiler.ops.quantised.qmul import QMul
from tilewright.compiler.ops.quantised.window import POINT, Window
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.group import FusionGroup, is_sum, trace_view
from tilewright.compiler.quantise.integer import IntegerBuilder, QuantisedValue, feature_map_of
from tilewright.compiler.quantise.lower_linear import lower_linear
from tilewright.compiler.quantise.parameter import QuantParams, add_factors, scale_words
from tilewright.compiler.quantise.recognise_shape import window_of
from tilewright.compiler.quantise.recognition import Sample, sample_of
from tilewright.numerics.quantise import dequantise, quantise
from tilewright.numerics.table import ENTRIES, FIRST


def lower_map(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds what does a sum or a product of two activations."""
    return (_lower_add if is_sum(equation) else _lower_mul)(b, equation, group, parameters)


def _lower_add(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds the integer sum, or the convolution with a residual, that does an addition."""
    linear = [value for value in equation.operands if _linear(b, value) is not None]
    require(len(linear) < 2, "one of its inputs must be quantised, not both the sums of convolutions")
    if linear:
        (other,) = (value for value in equation.operands if value != linear[0])
        convolution = _linear(b, linear[0])
        assert convolution is not None
        return lower_linear(b, convolution, group, parameters, b.operand(other))
    require(group.pool is None, "its result must be quantised before it is pooled")
    one, other_one = sorted(map(b.operand, equation.operands), key=lambda each: each.parameters.scale)
    sample = feature_map_of(one, sample_of(equation.result))
    operands = (b.feature_map(one, sample), b.feature_map(other_one, sample))
    operator = _sum(one.parameters, other_one.parameters, parameters, group)
    return QuantisedValue(b.emit(operator, operands, equation.labels), sample, parameters)


def _lower_mul(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    require(group.pool is None, "its result must be quantised before it is pooled")
    one, other = map(b.operand, equation.operands)
    sample = feature_map_of(one, sample_of(equation.result))
    is_repeated = (
        trace_view(b.source, equation.operands[1]) != equation.operands[1] and other.sample != sample
    )
    factors = (sample[0], 1, 1) if is_repeated else sample
    ratio = one.parameters.scale * other.parameters.scale / parameters.scale
    operator = QMul(
        one.parameters.zero_point,
        other.parameters.zero_point,
        int(scale_words(ratio, parameters.reach)),
        parameters.zero_point,
        *group.limits(parameters),
    )
    operands = b.feature_map(one, sample), b.feature_map(other, factors)
    return QuantisedValue(b.emit(operator, operands, equation.labels), sample, parameters)


def lower_average(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds the integer pooling that does an average."""
    require(group.pool is None, "its result must be quantised before it is pooled")
    operator = equation.operator
    assert isinstance(operator, AveragePool)
    x, sample = b.operand(equation.operands[0]), sample_of(equation.operands[0])
    counted = operator.counted is not None
    limits = group.limits(parameters)
    average = _average(window_of(operator), counted, sample, x.parameters, parameters, limits)
    result = b.emit(average, (b.feature_map(x, sample),), equation.labels)
    return QuantisedValue(result, sample_of(result), parameters)


def lower_lookup(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds the table that does a function of single elements and the clamps behind it."""
    require(group.pool is None, "its result must be quantised before it is pooled")
    operator = equation.operator
    assert isinstance(operator, Pointwise)
    x = b.operand(equation.operands[0])
    sample = feature_map_of(x, sample_of(equation.operands[0]))
    table = _table(operator, x.parameters, parameters, group.limits(parameters))
    operands = b.feature_map(x, sample), b.constant(table)
    return QuantisedValue(b.emit(QLookup(), operands, equation.labels), sample, parameters)


def lower_passed(
    b: IntegerBuilder, x: QuantisedValue, group: FusionGroup, parameters: QuantParams, end: Equation
) -> QuantisedValue:
    """Adds what clamps and pools an activation, and gives it another scale, as far as that is needed.

    Args:
        b: where it goes.
        x: the activation.
        group: what is behind it.
        parameters: of the result.
        end: the quantise equation behind.
    """
    producer = b.source.producers.get(end.operands[0])
    labels = (producer.labels if producer else ()) or end.labels or (end.operands[0].name,)
    sample = feature_map_of(x, sample_of(group.core))
    if group.pool is None and group.limits(parameters) == (-128, 127) and x.parameters == parameters:
        return x
    value = passed(b, b.feature_map(x, sample), x.parameters, group, parameters, labels, end)
    return QuantisedValue(value, sample_of(value), parameters)


def passed(
    b: IntegerBuilder,
    value: Value,
    before: QuantParams,
    group: FusionGroup,
    parameters: QuantParams,
    labels: tuple[str, ...],
    end: Equation | None = None,
) -> Value:
    """An int8 value, clamped and pooled as the group says, and with these parameters; as it is, if it can be.

    Args:
        b: where it goes.
        value: of the function of integers.
        before: its parameters.
        group: what is behind it.
        parameters: of the result.
        labels: of what is added.
        end: the quantise equation behind, which names what gives it another scale.
    """
    limits = group.limits(parameters)
    is_rescaled = before != parameters
    if group.pool is not None or (not is_rescaled and limits != (-128, 127)):
        lo, hi = (-128, 127) if is_rescaled else limits
        value = b.emit(QMaxPool2d(group.pool or POINT, lo, hi), (value,), labels)
    if is_rescaled:
        own = labels if end is None else end.labels or (end.result.name,)
        value = rescaled(b, value, before, parameters, own, limits)
    return value


def rescaled(
    b: IntegerBuilder,
    value: Value,
    before: QuantParams,
    parameters: QuantParams,
    labels: tuple[str, ...],
    limits: tuple[int, int] = (-128, 127),
) -> Value:
    """An int8 value with other parameters."""
    return b.emit(rescaling(sample_of(value), before, parameters, limits), (value,), labels)


def rescaling(
    sample: Sample, before: QuantParams, parameters: QuantParams, limits: tuple[int, int] = (-128, 127)
) -> QAveragePool2d:
    """What gives an int8 value of that shape other parameters: an average of one."""
    return _average(POINT, False, sample, before, parameters, limits)


def _linear(b: IntegerBuilder, value: Value) -> Equation | None:
    equation = b.source.producers.get(trace_view(b.source, value))
    is_linear = equation is not None and isinstance(equation.operator, Convolution | Dense)
    return equation if is_linear else None


def _sum(a: QuantParams, b: QuantParams, y: QuantParams, group: FusionGroup) -> QAdd:
    ka, kb, unit = add_factors(a.scale, b.scale)
    bias = -(a.zero_point * ka + b.zero_point * kb)
    lo, hi = group.limits(y)
    return QAdd(ka, kb, bias, int(scale_words(unit / y.scale, y.reach)), y.zero_point, lo, hi)


def _table(operator: Pointwise, x: QuantParams, y: QuantParams, limits: tuple[int, int]) -> NDArray[np.int8]:
    """The results for all int8 values; where the function has none, the integer of 0."""
    values = np.arange(FIRST, FIRST + ENTRIES).astype(np.int8)
    with np.errstate(all="ignore"):
        (results,) = operator.run(dequantise(values, x.scale, x.zero_point))
    known = np.where(np.isnan(results), np.float32(0), results)
    return np.clip(quantise(known, y.scale, y.zero_point), *limits).astype(np.int8)


def _average(
    window: Window,
    counted: bool,
    sample: Sample,
    x: QuantParams,
    y: QuantParams,
    limits: tuple[int, int],
) -> QAveragePool2d:
    """The average in windows over maps of that shape; `counted` says whether padding counts as zeros."""
    size = math.prod(window.kernel)
    pixels = sorted({int(count) for count in window.counts(sample[1], sample[2]).flat})
    ratio = x.scale / y.scale
    scales = tuple(
        (count, int(scale_words(ratio / (size if counted else count), y.reach))) for count in pixels
    )
    return QAveragePool2d(window, x.zero_point, -size * x.zero_point, scales, y.zero_point, *limits)
