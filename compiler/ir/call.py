"""The operator that applies another function of the module."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.ir.operator import Operator, expect
from tilewright.compiler.ir.size import SizeName
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Call(Operator):
    """The results of a function of the module, by name; recursion is allowed.

    Its types are attributes, since a recursive function is called before it is known; the verifier compares
    them with the function.

    Members:
        function: its name.
        parameters, results: its types, as this call has them.
        sizes: names of sizes that the results show first.
    """

    name: ClassVar[str] = "call"
    function: str
    dtypes: tuple[str, ...]
    shapes: tuple[tuple[object, ...], ...]
    sizes: tuple[SizeName, ...] = ()

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        from tilewright.compiler.dtype import DType

        expect(len(self.dtypes) == len(self.shapes), "must have a shape for each element type of its results")
        return tuple(
            TensorType(DType(dtype), shape)  # type: ignore[arg-type]  # TensorType checks each size
            for dtype, shape in zip(self.dtypes, self.shapes, strict=True)
        )
