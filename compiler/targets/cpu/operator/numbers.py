"""Numbers of integer operators as arguments of their loop programs, which do not depend on them."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.te import cast, clamp, placeholder
from tilewright.compiler.tir.expr import BufferLoad, Const, Expr

Array = NDArray[Any]


class Clamped(Protocol):
    """An operator whose result has a zero point and limits."""

    @property
    def zero_point(self) -> int: ...

    @property
    def lo(self) -> int: ...

    @property
    def hi(self) -> int: ...


class Numbers:
    """What calibration chose of an operator, but for arrays: an argument, not a part of the code.

    So operators of the same sizes are one loop program, which is compiled once.

    Members:
        tensor: the parameter, int32: what fills the padding, the zero point and the limits of the result, and
            further numbers.
    """

    def __init__(self, further: int = 0) -> None:
        self.tensor = placeholder((4 + further,), DType.INT32, "numbers")

    @staticmethod
    def of(operator: Clamped, fill: int, *further: int) -> NDArray[np.int32]:
        """The argument."""
        return np.array([fill, operator.zero_point, operator.lo, operator.hi, *further], np.int32)

    def further(self, place: int) -> Expr:
        """A further number."""
        return self.tensor[4 + place]

    @property
    def fill(self) -> Expr:
        """The padding of the input."""
        return BufferLoad(self.tensor.buffer, (Const(0),))

    def clamped(self, value: Expr) -> Expr:
        """The int8 of a requantised sum."""
        zero_point, lo, hi = (self.tensor[place] for place in (1, 2, 3))
        return cast(clamp(value + zero_point, lo, hi), DType.INT8)
