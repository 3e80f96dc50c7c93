"""Arrays as attributes: immutable, compared by contents."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.type import TensorType

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Literal:
    """A constant array of any shape, read-only; equal to another of the same type and bytes.

    Raises:
        IrError: for elements that no tensor has.
    """

    array: Array
    type: TensorType = field(init=False, repr=False)

    def __post_init__(self) -> None:
        try:
            dtype = DType.of(self.array.dtype)
        except ValueError:
            raise IrError(f"a constant must be of {', '.join(DType)}, not {self.array.dtype}") from None
        array = np.array(self.array, dtype.numpy.newbyteorder("="), order="C")
        array.setflags(write=False)
        object.__setattr__(self, "array", array)
        object.__setattr__(self, "type", TensorType(dtype, array.shape))

    @staticmethod
    def of(value: ArrayLike, dtype: DType | None = None) -> "Literal":
        """A literal of a number, a list or an array."""
        return Literal(np.asarray(value, None if dtype is None else dtype.numpy))

    @cached_property
    def digest(self) -> str:
        """A hash of type and bytes: sixteen hexadecimal digits."""
        head = f"{self.type}:".encode()
        return hashlib.sha256(head + self.array.tobytes()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and self.type == other.type and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)
