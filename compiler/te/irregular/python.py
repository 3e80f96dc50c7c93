"""Functions for hybrid functions, as plain Python: ranges of each loop kind, and new tensors."""

from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import DTypeLike, NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.interpret import poisoned
from tilewright.compiler.tir.stmt import LoopKind


def serial(*bounds: int) -> range:
    """range(…), in order."""
    return range(*bounds)


def unroll(*bounds: int) -> range:
    """range(…), the body written once for each iteration."""
    return range(*bounds)


def parallel(*bounds: int) -> range:
    """range(…) whose iterations may run on several processors, where they share nothing."""
    return range(*bounds)


def vectorise(*bounds: int) -> range:
    """range(…) whose iterations may run in lanes, where they share nothing."""
    return range(*bounds)


def allocate(shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """A tensor to work with, of unknown contents."""
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    return poisoned(DType.of(dtype), extents)


def output(shape: int | Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """A tensor to fill and to return, of unknown contents."""
    return allocate(shape, dtype)


LOOPS: dict[Callable[..., object], LoopKind] = {
    range: LoopKind.SERIAL,
    serial: LoopKind.SERIAL,
    unroll: LoopKind.UNROLL,
    parallel: LoopKind.PARALLEL,
    vectorise: LoopKind.VECTORISE,
}
"""The ranges that a loop may run over."""
