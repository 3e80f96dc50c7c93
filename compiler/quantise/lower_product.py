"""Products of two activations between quantised values, as integers."""

import math

from tilewright.compiler.ir.function import Equation, Value
from tilewright.compiler.ops.nn.parted_softmax import FINE_UNITS
from tilewright.compiler.ops.nn.product import GroupedProduct, PartSum
from tilewright.compiler.ops.quantised.qdense_transposed import QDenseTransposed
from tilewright.compiler.ops.quantised.qmatmul import QMatmul, QMatmulParted
from tilewright.compiler.quantise.constant import literal_of
from tilewright.compiler.quantise.error import require
from tilewright.compiler.quantise.group import FusionGroup
from tilewright.compiler.quantise.integer import IntegerBuilder, QuantisedValue
from tilewright.compiler.quantise.parameter import (
    FACTOR_MAXIMUM,
    QuantParams,
    quantise_weights,
    scale_words,
    symmetric_scales,
)
from tilewright.compiler.quantise.recognition import sample_of
from tilewright.numerics.quantise import INT8_MAXIMUM

_HEADROOM = 1.5
"""How much larger than any seen a fine part may be before it saturates."""


def lower_product(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds the integer product of matrices that does one of two activations."""
    require(group.pool is None, "its result must be quantised before it is pooled")
    operands, unit = _operands(b, equation)
    scale = int(scale_words(unit / parameters.scale, parameters.reach))
    operator = QMatmul(scale, parameters.zero_point, *group.limits(parameters))
    return QuantisedValue(b.emit(operator, operands, equation.labels), sample_of(equation.result), parameters)


def lower_part_sum(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds the integer product of rows in two parts.

    The fine part is int8 of whole units of the coarse sums.
    """
    require(group.pool is None, "its result must be quantised before it is pooled")
    assert isinstance(equation.operator, PartSum)
    product = b.source.producers[equation.operands[0]]
    operands, unit = _operands(b, product)
    units = equation.operator.largest * _HEADROOM / (FINE_UNITS * unit)
    factor = min(max(1, math.ceil(units / INT8_MAXIMUM)), FACTOR_MAXIMUM)
    operator = QMatmulParted(
        int(scale_words(unit / parameters.scale, parameters.reach)),
        parameters.zero_point,
        *group.limits(parameters),
        fine_scale=int(scale_words(1 / (FINE_UNITS * factor), INT8_MAXIMUM)),
        factor=factor,
    )
    labels = product.labels or equation.labels
    return QuantisedValue(b.emit(operator, operands, labels), sample_of(equation.result), parameters)


def _operands(b: IntegerBuilder, equation: Equation) -> tuple[list[Value], float]:
    """The feature maps that a product of floats multiplies, and what a unit of their sums is."""
    assert isinstance(equation.operator, GroupedProduct)
    one, other = map(b.operand, equation.operands)
    zeros = one.parameters.zero_point, other.parameters.zero_point
    require(zeros == (0, 0), f"zero points of both must be 0 (or 128 of uint8), not {zeros}")
    unit = one.parameters.scale * other.parameters.scale * equation.operator.factor
    require(unit > 0, f"its factor must be above 0, not {equation.operator.factor}")
    maps = [
        b.feature_map(each, sample_of(value), moves=True)
        for each, value in zip((one, other), equation.operands, strict=True)
    ]
    return maps, unit


def lower_transposed_dense(
    b: IntegerBuilder, equation: Equation, group: FusionGroup, parameters: QuantParams
) -> QuantisedValue:
    """Adds the integer layer whose tokens become channels: with one scale for all of its weights."""
    require(group.pool is None, "its result must be quantised before it is pooled")
    x, weight = b.operand(equation.operands[0]), literal_of(b.source, equation.operands[1])
    assert weight is not None, "recognised: weights are constants"
    require(x.parameters.zero_point == 0, f"the zero point of x must be 0, not {x.parameters.zero_point}")
    scale = symmetric_scales(weight.reshape(1, -1))
    integers = quantise_weights(weight.reshape(1, -1), scale).reshape(weight.shape)
    ratio = float(scale[0]) * x.parameters.scale / parameters.scale
    operator = QDenseTransposed(
        int(scale_words(ratio, parameters.reach)), parameters.zero_point, *group.limits(parameters)
    )
    operands = b.feature_map(x, sample_of(equation.operands[0])), b.constant(integers)
    return QuantisedValue(b.emit(operator, operands, equation.labels), sample_of(equation.result), parameters)
