"""Moves of elements between quantised values, as integers: no bit of them changes, unless scales do."""

import numpy as np

from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.quantised.qconcat import QConcat
from tilewright.compiler.ops.quantised.qgather import NOWHERE, QGather
from tilewright.compiler.ops.quantised.qlookup import QLookup
from tilewright.compiler.ops.quantised.qpad2d import QPad2d
from tilewright.compiler.quantise.constant import literal_of
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.group import FusionGroup
from tilewright.compiler.quantise.integer import IntegerBuilder, QuantisedValue, feature_map_of
from tilewright.compiler.quantise.lower_pointwise import passed, rescaled, rescaling
from tilewright.compiler.quantise.parameter import QuantParams
from tilewright.compiler.quantise.recognise_move import number
from tilewright.compiler.quantise.recognition import sample_of
from tilewright.numerics.table import ENTRIES, FIRST


def lower_concat(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds a concatenation of integers of one scale: that of the result, unless all have another one."""
    operator = equation.operator
    assert isinstance(operator, Concat)
    parts = [_maps(b, value) for value in equation.operands]
    scales = {of for _, of in parts}
    (common,) = scales if len(scales) == 1 else (parameters,)
    values = [
        value if of == common else _rescaled_by_table(b, value, of, common, equation.labels)
        for value, of in parts
    ]
    joined = b.emit(QConcat(operator.axis), values, equation.labels)
    return _behind(b, joined, common, equation, group, parameters)


def lower_slice(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds what takes some of the channels, of the rows and of the columns."""
    operator = equation.operator
    assert isinstance(operator, Slice)
    value, own = _maps(b, equation.operands[0])
    bounds = [
        (number(start), number(stop), step)
        for start, stop, step in list(zip(operator.starts, operator.stops, operator.steps, strict=True))[1:]
    ]
    channels, height, width = sample_of(value)
    taken = tuple(range(*bounds[0]))
    if taken != tuple(range(channels)):
        value = b.emit(QGather(taken), (value,), equation.labels)
    (top, below, down), (left, right, across) = bounds[1:] if len(bounds) > 1 else ((0, 1, 1), (0, 1, 1))
    pads = (-top, -left, below - height, right - width)
    if any(pads) or (down, across) != (1, 1):
        value = b.emit(QPad2d(pads, (down, across)), (value,), equation.labels)
    return _behind(b, value, own, equation, group, parameters)


def lower_pad(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds a border."""
    operator = equation.operator
    assert isinstance(operator, Pad)
    value, own = _maps(b, equation.operands[0])
    constant = literal_of(b.source, equation.operands[1])
    assert constant is not None, "recognised: borders are constants"
    if own != parameters:
        # The constant may have no integer of the scale before.
        value = rescaled(b, value, own, parameters, equation.labels)
    fill = parameters.quantised(float(constant))
    borders = [(number(low), number(high)) for low, high in zip(operator.low, operator.high, strict=True)][1:]
    (before, behind), (top, bottom), (left, right) = (
        borders if len(borders) > 1 else (*borders, (0, 0), (0, 0))
    )
    if before or behind:
        indices = (*[NOWHERE] * before, *range(sample_of(value)[0]), *[NOWHERE] * behind)
        value = b.emit(QGather(indices, fill), (value,), equation.labels)
    if any((top, left, bottom, right)):
        value = b.emit(QPad2d((top, left, bottom, right), fill=fill), (value,), equation.labels)
    return _behind(b, value, parameters, equation, group, parameters)


def lower_gather(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds what puts channels in another order."""
    value, own = _maps(b, equation.operands[0])
    indices = literal_of(b.source, equation.operands[1])
    assert indices is not None, "recognised: indices are constants"
    value = b.emit(QGather(tuple(indices.tolist())), (value,), equation.labels)
    return _behind(b, value, own, equation, group, parameters)


def _rescaled_by_table(
    b: IntegerBuilder, value: Value, before: QuantParams, after: QuantParams, labels: tuple[str, ...]
) -> Value:
    """An int8 value of another scale: as `rescaled`, by a table, which ends what makes it."""
    all_values = np.arange(FIRST, FIRST + ENTRIES).astype(np.int8).reshape(1, 1, 1, -1)
    (table,) = rescaling(all_values.shape[1:], before, after).run(all_values)
    return b.emit(QLookup(), (value, b.constant(table.reshape(-1))), labels)


def _maps(b: IntegerBuilder, value: Value) -> tuple[Value, QuantParams]:
    """Feature maps of integers, and what they mean; features are maps of one pixel."""
    integer = b.operand(value)
    sample = feature_map_of(integer, sample_of(value))
    is_flat = len(sample_of(value)) == 1
    require(
        not is_flat or sample[1:] == (1, 1), f"features of {sample} must not be moved: move the feature maps"
    )
    return b.feature_map(integer, sample), integer.parameters


def _behind(
    b: IntegerBuilder,
    value: Value,
    own: QuantParams,
    equation: Equation,
    group: FusionGroup,
    parameters: QuantParams,
) -> QuantisedValue:
    value = passed(b, value, own, group, parameters, equation.labels)
    return QuantisedValue(value, sample_of(value), parameters)
