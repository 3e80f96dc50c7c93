"""Constants of a function: arrays, and integers with a scale."""

from dataclasses import dataclass

import numpy as np

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ops.nn.quantise import DequantiseAffine
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.quantise.error import GroupError, require

_UINT8_OFFSET = 128
"""The shift from uint8 to int8, of values and of zero points."""


@dataclass(frozen=True)
class QuantisedConstant:
    """A constant as integers: value · scale along an axis.

    Members:
        value: int8 or int32, symmetric.
        scale: float32, one, or one for each index of the axis.
        axis: of `value`.
    """

    value: Array
    scale: Array
    axis: int

    def real(self) -> Array:
        """The constant as float32."""
        along = [1] * self.value.ndim
        if self.scale.size > 1:
            along[self.axis] = -1
        result: Array = self.value.astype(np.float32) * self.scale.reshape(along)
        return result

    def transposed(self) -> "QuantisedConstant":
        """The matrix, its axes exchanged."""
        return QuantisedConstant(self.value.T, self.scale, 1 - self.axis)

    def channels(self, what: str) -> Array:
        """A scale for each index of the first axis.

        Raises:
            GroupError: if there is one for each index of another axis.
        """
        require(
            self.axis == 0 or self.scale.size == 1,
            f"the scales of {what} must be one for each output channel, not along axis {self.axis}",
        )
        return np.broadcast_to(self.scale.reshape(-1), self.value.shape[:1])


class Constants:
    """The values of a function that depend on no parameter; computed when they are asked for.

    Args:
        function: all of whose sizes are numbers.
    """

    def __init__(self, function: Function) -> None:
        self._function = function
        self._arrays: dict[Value, Array] = {}
        moving = set(function.parameters)
        for equation in function.equations:
            if not moving.isdisjoint(equation.operands) or not equation.operator.is_pure:
                moving.update(equation.results)
        self._moving = moving

    def __contains__(self, value: Value) -> bool:
        return value not in self._moving

    def array(self, value: Value) -> Array:
        """The elements of a constant.

        Raises:
            GroupError: if it depends on a parameter.
        """
        require(value in self, f"{value} must be a constant, not computed from the input")
        pending = [value]
        while pending:
            equation = self._function.producers[pending[-1]]
            missing = [each for each in equation.operands if each not in self._arrays]
            if missing:
                pending += missing
                continue
            with np.errstate(all="ignore"):
                results = equation.operator.run(*(self._arrays[each] for each in equation.operands))
            self._arrays.update(zip(equation.results, results, strict=True))
            pending.pop()
        return self._arrays[value]

    def quantised(self, value: Value) -> QuantisedConstant | None:
        """A constant as integers, if the function has it so; views of it count if it has one axis.

        Raises:
            GroupError: if its integers are not symmetric, or its scales not those of channels.
        """
        equation = self._function.producers.get(value)
        while equation is not None and isinstance(equation.operator, Broadcast | Reshape):
            value = equation.operands[0]
            equation = self._function.producers.get(value) if value.type.rank == 1 else None
        if value not in self or equation is None or not isinstance(equation.operator, DequantiseAffine):
            return None
        integers, scale, zero = map(self.array, equation.operands)
        return _symmetric(integers, scale, zero)

    def shift(self, value: Value) -> QuantisedConstant | None:
        """A constant that is added, as integers that a bias can take; None if it has no such."""
        try:
            return self.quantised(value)
        except GroupError:
            return None


def _symmetric(value: Array, scale: Array, zero: Array) -> QuantisedConstant:
    expect_scales(scale)
    axis = next((axis for axis, size in enumerate(scale.shape) if size > 1), 0)
    axis += max(0, value.ndim - scale.ndim)
    good = scale.size == 1 or (axis < value.ndim and scale.size == value.shape[axis])
    require(good, "scales must be one for each channel")
    if value.dtype == np.uint8:
        value = (value.astype(np.int16) - _UINT8_OFFSET).astype(np.int8)
        zero = zero.astype(np.int16) - _UINT8_OFFSET
    if value.dtype not in (np.int8, np.int32):
        raise GroupError(f"quantised constants must be int8, uint8 or int32, not {value.dtype}")
    require(
        not zero.any(),
        "zero points of weights must be 0 (or 128 of uint8): quantise them symmetrically",
    )
    return QuantisedConstant(value, scale.reshape(-1), axis)


def expect_scales(scale: Array) -> None:
    """Raises GroupError unless scales are positive numbers."""
    good = np.isfinite(scale).all() and (scale > 0).all()
    require(bool(good), "scales must be positive numbers")


def parameters_of(scale: Array, zero: Array) -> tuple[float, int]:
    """Scale and zero point of an activation, as of int8.

    Raises:
        GroupError: unless each is one number, of int8 or uint8.
    """
    require(scale.size == 1, f"the scale of an activation must be one number, not {scale.size}")
    expect_scales(scale)
    require(zero.size == 1, f"the zero point of an activation must be one number, not {zero.size}")
    if zero.dtype not in (np.int8, np.uint8):
        raise GroupError(f"activations must be int8 or uint8, not {zero.dtype}")
    offset = _UINT8_OFFSET if zero.dtype == np.uint8 else 0
    return float(scale.reshape(())), int(zero.reshape(())) - offset


def literal_of(function: Function, value: Value) -> Array | None:
    """The array of a value that a constant gives."""
    equation = function.producers.get(value)
    return (
        equation.operator.value.array
        if equation is not None and isinstance(equation.operator, Constant)
        else None
    )
