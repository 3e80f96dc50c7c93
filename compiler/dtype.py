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
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT16 = "float16"
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
    def short(self) -> str:
        """As in the text of the IR: f32, i8, u8, bool."""
        return self.value.replace("uint", "u").replace("int", "i").replace("float", "f")

    @property
    def is_float(self) -> bool:
        """Whether values are floating point."""
        return self.numpy.kind == "f"

    @property
    def is_signed(self) -> bool:
        """Whether values are integers with a sign."""
        return self.numpy.kind == "i"

    @property
    def is_integer(self) -> bool:
        """Whether values are integers; truth values are none."""
        return self.numpy.kind in "iu"

    @property
    def size_bytes(self) -> int:
        """Bytes of one element."""
        return self.numpy.itemsize


INDEX = DType.INT64
"""Of loop variables and extents."""
SHORT_NAMES = {dtype.short: dtype for dtype in DType}
"""Element types by their names in the text of the IR."""
