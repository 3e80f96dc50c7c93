"""Where elements are not 0."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import INDEX
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.operator import Kept, Operator, expect_operands
from tilewright.compiler.ir.size import Size, SizeName
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class NonZero(Operator):
    """Indices of the elements that are not 0, in the order of rows: int64, (rank, length).

    Members:
        length: the name of their number, which is known when it is run.
    """

    name: ClassVar[str] = "nonzero"
    length: SizeName

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect_operands(types, "x")
        return (TensorType(INDEX, (types[0].rank, Size.of(self.length))),)

    def run(self, *arrays: Array) -> tuple[Array, ...]:
        (x,) = arrays
        found = np.nonzero(x.reshape(-1))[0]
        indices = np.stack(np.unravel_index(found, x.shape)) if x.ndim else np.zeros((0, len(found)))
        return (indices.astype(np.int64),)

    def vjp(self, b: Builder, kept: Kept, cotangents: Sequence[Value | None]) -> Sequence[Value | None]:
        return [None]
