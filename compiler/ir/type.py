"""Types of tensors."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.size import AnySize, Size, evaluate

Shape = tuple[AnySize, ...]


@dataclass(frozen=True)
class TensorType:
    """An element type and a shape, whose sizes are numbers from 0 or symbolic.

    Raises:
        IrError: for a size that is neither.
    """

    dtype: DType
    shape: Shape

    def __post_init__(self) -> None:
        for size in self.shape:
            is_number = isinstance(size, int) and not isinstance(size, bool) and size >= 0
            if not is_number and not isinstance(size, Size):
                raise IrError(f"a size of a tensor must be an integer from 0, not {size!r} (of {self.shape})")

    def __str__(self) -> str:
        return f"{self.dtype.short}[{', '.join(map(str, self.shape))}]"

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def is_known(self) -> bool:
        """Whether all sizes are numbers."""
        return all(isinstance(size, int) for size in self.shape)

    @property
    def names(self) -> frozenset[str]:
        """Of the sizes that the shape depends on."""
        return frozenset().union(*(size.names for size in self.shape if isinstance(size, Size)))

    @property
    def numbers(self) -> tuple[int, ...]:
        """The shape, if it is known.

        Raises:
            IrError: if a size is symbolic.
        """
        if not self.is_known:
            raise IrError(f"{self} must have sizes that are numbers here: specialise the function first")
        return tuple(int(size) for size in self.shape if isinstance(size, int))

    @property
    def elements(self) -> int:
        """The number of elements, if the shape is known.

        Raises:
            IrError: if a size is symbolic.
        """
        return math.prod(self.numbers)

    @property
    def size_bytes(self) -> int:
        """The size of all elements in bytes.

        Raises:
            IrError: if a size is symbolic.
        """
        return self.elements * self.dtype.size_bytes

    def evaluate(self, bindings: Mapping[str, AnySize]) -> "TensorType":
        """The type with sizes replaced by name."""
        if self.is_known:
            return self
        return TensorType(self.dtype, tuple(evaluate(size, bindings) for size in self.shape))

    def with_shape(self, shape: Iterable[AnySize]) -> "TensorType":
        """The same elements in another shape."""
        return TensorType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: DType) -> "TensorType":
        """The same shape of other elements."""
        return TensorType(dtype, self.shape)
