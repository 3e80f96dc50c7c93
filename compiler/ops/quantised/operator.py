"""What the operators on int8 activations share: their batch, and what they expect of operands.

The first axis of an activation is the batch, of any size, symbolic or a number; no operator mixes samples.
All other sizes are numbers.
"""

from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.operator import Operator, expect
from tilewright.compiler.ir.type import TensorType

Samples = tuple[int, ...]
"""Sizes of an activation behind its batch."""


@dataclass(frozen=True)
class QuantisedOperator(Operator):
    """An operator on int8 activations."""

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates with weights, for one sample."""
        return 0


def sample_of(what: str, tensor: TensorType, axes: str) -> Samples:
    """The sizes of an activation behind its batch.

    Args:
        what: the operand, for messages.
        tensor: its type.
        axes: a letter for each of its axes, the batch first.

    Raises:
        OperatorError: unless it has so many axes, and sizes behind the first that are numbers.
    """
    expect_rank(what, tensor, axes)
    sizes = tuple(size for size in tensor.shape[1:] if isinstance(size, int))
    expect(len(sizes) == len(axes) - 1, f"{what} must have known sizes behind the batch, not {tensor}")
    return sizes


def expect_dtype(what: str, tensor: TensorType, *allowed: DType) -> None:
    """Raises OperatorError unless the tensor has one of these element types."""
    names = " or ".join(allowed)
    expect(tensor.dtype in allowed, f"{what} must be {names}, not {tensor}")


def expect_rank(what: str, tensor: TensorType, axes: str) -> None:
    """Raises OperatorError unless the tensor has as many axes as there are letters."""
    expect(tensor.rank == len(axes), f"{what} must have {len(axes)} axes ({', '.join(axes)}), not {tensor}")


def expect_shape(what: str, tensor: TensorType, shape: tuple[object, ...]) -> None:
    """Raises OperatorError unless the tensor has that shape."""
    expect(tensor.shape == shape, f"{what} must have shape {list(shape)}, not {list(tensor.shape)}")


def expect_range(what: str, value: int, low: int, high: int) -> None:
    """Raises OperatorError unless the attribute is an integer within the bounds."""
    good = isinstance(value, int) and low <= value <= high
    expect(good, f"{what} must be an integer from {low} to {high}, not {value!r}")


def expect_sizes(what: str, sizes: tuple[int, ...], count: int, low: int) -> None:
    """Raises OperatorError unless these are `count` integers from `low` up."""
    good = isinstance(sizes, tuple) and len(sizes) == count
    good = good and all(isinstance(size, int) and size >= low for size in sizes)
    expect(good, f"{what} must be {count} integers from {low} up, not {sizes!r}")
