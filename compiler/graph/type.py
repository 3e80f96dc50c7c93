"""Types of tensors."""

import math
from dataclasses import dataclass

from tilewright.compiler.dtype import DType


@dataclass(frozen=True)
class TensorType:
    """A shape and an element type; of an activation the first axis is the batch, and 1.

    Raises:
        ValueError: for a size that is not a positive integer.
    """

    shape: tuple[int, ...]
    dtype: DType

    def __post_init__(self) -> None:
        for size in self.shape:
            if not isinstance(size, int) or size < 1:
                raise ValueError(
                    f"a size of a tensor must be a positive integer, not {size!r} (of {self.shape})"
                )

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    @property
    def size(self) -> int:
        """Elements."""
        return math.prod(self.shape)
