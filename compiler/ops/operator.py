"""What every operator of a graph offers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.graph.type import TensorType
from tilewright.numerics.error import TilewrightError

Array = NDArray[Any]


class OperatorError(TilewrightError):
    """An operator with attributes or inputs that it cannot have."""


@dataclass(frozen=True)
class Operator:
    """Meaning of a node: attributes are the fields, inputs come as types or arrays, in order.

    Members:
        name: in the text form and in messages.
    """

    name: ClassVar[str]

    def infer(self, *types: TensorType) -> TensorType:
        """The type of the result.

        Raises:
            OperatorError: if it has no meaning on inputs of these types.
        """
        raise NotImplementedError

    def run(self, *arrays: Array) -> Array:
        """The result, for any number of samples along the first axis of the activations."""
        raise NotImplementedError

    def macs(self, *types: TensorType) -> int:
        """Multiply-accumulates with weights, for one sample."""
        return 0


def expect(holds: bool, message: str) -> None:
    """Raises OperatorError with that message unless the condition holds."""
    if not holds:
        raise OperatorError(message)


def expect_inputs(types: Sequence[TensorType], *names: str) -> None:
    """Raises OperatorError unless there are as many inputs as names."""
    expect(
        len(types) == len(names),
        f"takes {len(names)} inputs ({', '.join(names)}), not {len(types)}",
    )


def expect_dtype(what: str, tensor: TensorType, *allowed: DType) -> None:
    """Raises OperatorError unless the tensor has one of these element types."""
    names = " or ".join(allowed)
    expect(tensor.dtype in allowed, f"{what} must be {names}, not {tensor}")


def expect_rank(what: str, tensor: TensorType, axes: str) -> None:
    """Raises OperatorError unless the tensor has as many axes as there are letters."""
    expect(
        len(tensor.shape) == len(axes),
        f"{what} must have {len(axes)} axes ({', '.join(axes)}), not {tensor}",
    )


def expect_shape(what: str, tensor: TensorType, shape: tuple[int, ...]) -> None:
    """Raises OperatorError unless the tensor has that shape."""
    expect(tensor.shape == shape, f"{what} must have shape {shape}, not {tensor.shape}")


def expect_range(what: str, value: int, low: int, high: int) -> None:
    """Raises OperatorError unless the attribute is an integer within the bounds."""
    good = isinstance(value, int) and low <= value <= high
    expect(good, f"{what} must be an integer from {low} to {high}, not {value!r}")
