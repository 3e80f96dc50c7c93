"""The stages behind tensors, in an order in which they can be computed."""

from collections.abc import Iterable, Sequence

from tilewright.compiler.te.stage import Stage, Tensor
from tilewright.compiler.tir.error import TirError


def stages(outputs: Sequence[Tensor]) -> tuple[Stage, ...]:
    """Every stage that the outputs need, placeholders too, each behind those that it reads.

    Raises:
        TirError: if two tensors have one name.
    """
    order: dict[Stage, None] = {}
    for output in outputs:
        _visit(output.stage, order)
    _check_names(order)
    return tuple(order)


def _visit(stage: Stage, order: dict[Stage, None]) -> None:
    if stage in order:
        return
    for source in stage.inputs:
        _visit(source.stage, order)
    order[stage] = None


def _check_names(found: Iterable[Stage]) -> None:
    names: set[str] = set()
    for stage in found:
        for name in {stage.name, *(buffer.name for buffer in stage.buffers)}:
            if name in names:
                raise TirError(f"the name of tensor {name} must be unique: two stages have it")
            names.add(name)
