"""The operator that applies another function of the module."""

from dataclasses import dataclass
from typing import ClassVar

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.operator import Operator, expect
from tilewright.compiler.ir.size import SizeName
from tilewright.compiler.ir.type import Shape, TensorType


@dataclass(frozen=True)
class Call(Operator):
    """Applies a function of the module, by name; recursion is allowed.

    The types of the results are attributes, since a recursive function is called before it is known; the
    verifier compares them with the function's own.

    Members:
        function: its name.
        dtypes, shapes: of the results, in the sizes of the caller.
        sizes: names of sizes that the results show first.
    """

    name: ClassVar[str] = "call"
    function: str
    dtypes: tuple[DType, ...]
    shapes: tuple[Shape, ...]
    sizes: tuple[SizeName, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(map(SizeName, self.sizes)))

    @staticmethod
    def of(function: str, *results: TensorType) -> "Call":
        """A call with results of these types, whose sizes are all known where it stands."""
        return Call(function, tuple(each.dtype for each in results), tuple(each.shape for each in results))

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect(len(self.dtypes) == len(self.shapes), "must have a shape for each element type of its results")
        return tuple(map(TensorType, self.dtypes, self.shapes))
