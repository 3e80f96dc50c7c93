"""An integer operator as a loop program for the host, with the arrays that it reads besides activations."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from tilewright.compiler.targets.cpu.operator.layout import aligned
from tilewright.compiler.tir.stmt import PrimFunc

Array = NDArray[Any]
PARALLEL_WORK = 1 << 24
"""Operations of an operator from which threads are worth waking."""


@dataclass(frozen=True)
class LoweredOperator:
    """An operator as a loop program.

    Members:
        function: the loop program for one sample.
        arguments: for each parameter before the result: which input of the operator it is, or an array.
        work: operations, about.
    """

    function: PrimFunc
    arguments: tuple[int | Array, ...]
    work: int

    @property
    def is_shared(self) -> bool:
        """Whether threads are woken for it."""
        return self.work >= PARALLEL_WORK


def lowered(
    function: PrimFunc, activations: Mapping[str, int], constants: Mapping[str, Array], work: int
) -> LoweredOperator:
    """The lowered operator, with an argument for each parameter; constants in the type of the parameter."""
    arguments: list[int | Array] = []
    for buffer in function.parameters[: -function.outputs]:
        if buffer.name in activations:
            arguments.append(activations[buffer.name])
        else:
            arguments.append(aligned(constants[buffer.name].astype(buffer.dtype.numpy)))
    return LoweredOperator(function, tuple(arguments), work)


def constant_of(array: Array | None) -> Array:
    """An operand that is a constant."""
    assert array is not None, "verified: weights are constants"
    return array
