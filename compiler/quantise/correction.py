"""Biases that take back what the integers of weights add to each output channel in the mean.

The error of weights is constant, and so is the mean of what they multiply: their product is a shift of
the channel, which the bias can take (Nagel et al., Data-Free Quantization through Weight Equalization and
Bias Correction, 2019, here with the means of the calibration data).
"""

from collections.abc import Callable

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.nn.convolution import Convolution
from tilewright.compiler.ops.nn.dense import Dense
from tilewright.compiler.quantise.constant import literal_of
from tilewright.compiler.quantise.parameter import quantise_weights, symmetric_scales
from tilewright.compiler.quantise.reweigh import Changes, reweighed
from tilewright.numerics.exact_sum import total

Means = Callable[[Value], Array]
"""The mean of an activation over the samples: float64, a batch of 1 in front."""
LINEAR = (Convolution, Dense)
"""Operators with weights and a bias."""


def corrected(function: Function, means: Means) -> Function:
    """The function with other biases, which is right in the mean once its weights are integers.

    Args:
        function: of floats, as recognised; weights that are integers already stay.
        means: of what its layers read.
    """
    changes: Changes = {
        each: {2: _bias(function, each, means)}
        for each in function.equations
        if isinstance(each.operator, LINEAR) and _is_of_floats(function, each)
    }
    return reweighed(function, changes)


def _is_of_floats(function: Function, equation: Equation) -> bool:
    return all(literal_of(function, value) is not None for value in equation.operands[1:])


def _bias(function: Function, equation: Equation, means: Means) -> Array:
    """The bias less the mean of what the integers of the weights add.

    A convolution of the mean feature map is the mean of the convolutions, borders included.
    """
    x, weight, bias = equation.operands
    weights, before = literal_of(function, weight), literal_of(function, bias)
    assert weights is not None
    assert before is not None
    scale = symmetric_scales(weights)
    scale = np.where(scale > 0, scale, 1.0)
    integers = quantise_weights(weights, scale) * scale.reshape(-1, *(1 for _ in weights.shape[1:]))
    added = np.asarray(integers - weights, np.float32)
    (shift,) = equation.operator.run(means(x).astype(np.float32), added, np.zeros_like(before))
    pixels = shift.reshape(len(before), -1)
    mean = total(pixels.astype(np.float64), (1,)) / pixels.shape[1]
    return np.asarray(before - mean, np.float32)
