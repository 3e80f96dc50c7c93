"""extern: tensors that opaque code fills."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tilewright.compiler.dtype import DType
from tilewright.compiler.te.stage import Stage, Tensor, buffers_of, checked_name, checked_shape
from tilewright.compiler.tir.error import TirError


@dataclass(frozen=True, eq=False)
class ExternOp(Stage):
    """Tensors that opaque code computes: only the tensors that it reads and fills are known."""

    sources: tuple[Tensor, ...]
    function: Callable[..., None]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that it reads, each once."""
        return tuple(dict.fromkeys(self.sources))


def extern(
    outputs: Sequence[tuple[Sequence[int], DType]],
    inputs: Sequence[Tensor],
    function: Callable[..., None],
    name: str,
) -> tuple[Tensor, ...]:
    """Tensors that a function of arrays fills.

    Args:
        outputs: shape and type of each tensor; they are named {name}_0, …, or `name` if there is one.
        inputs: the tensors that the function reads.
        function: takes the arrays of the inputs, which it must not write, then those of the outputs, which it
            must fill; gives nothing.
        name: of the stage.

    Raises:
        TirError: if there are no outputs, or an extent is not positive.
    """
    if not outputs:
        raise TirError(f"{name}: outputs must hold a shape and a type at least")
    types = [(checked_shape(shape, name), dtype) for shape, dtype in outputs]
    buffers = buffers_of(checked_name(name), types, several=len(types) > 1)
    return ExternOp(name, buffers, tuple(inputs), function).tensors
