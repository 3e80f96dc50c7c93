"""The stages behind a tensor, in an order in which they can be computed."""

from collections.abc import Iterable, Sequence

from tilewright.compiler.te.tensor import Tensor
from tilewright.compiler.tir.error import TirError


def stages(outputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Every tensor that the outputs need, placeholders too, each behind those that it reads.

    Raises:
        TirError: if two of them have one name.
    """
    order: dict[Tensor, None] = {}
    for output in outputs:
        _visit(output, order)
    _check_names(order)
    return tuple(order)


def _visit(tensor: Tensor, order: dict[Tensor, None]) -> None:
    if tensor in order:
        return
    for source in tensor.inputs:
        _visit(source, order)
    order[tensor] = None


def _check_names(tensors: Iterable[Tensor]) -> None:
    names: set[str] = set()
    for tensor in tensors:
        if tensor.name in names:
            raise TirError(f"the name of tensor {tensor.name} must be unique: two stages have it")
        names.add(tensor.name)
