"""Element types of tensors, at every level of the compiler."""

from enum import StrEnum

import numpy as np
from numpy.typing import DTypeLike


class DType(StrEnum):
    """An element type, by its numpy name."""

    BOOL = "bool"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"

    @classmethod
    def of(cls, dtype: DTypeLike) -> "DType":
        """The element type of that numpy dtype.

        Raises:
            ValueError: for one that no tensor has.
        """
        return cls(np.dtype(dtype).name)

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy dtype."""
        return np.dtype(self.value)

    @property
    def is_float(self) -> bool:
        """Whether values are floating point."""
        return self.numpy.kind == "f"

    @property
    def size_bytes(self) -> int:
        """Bytes of one element."""
        return self.numpy.itemsize


INDEX = DType.INT64
"""Of loop variables and extents."""
