"""Schedules: the order and memory of a loop program, apart from its results."""

from collections.abc import Sequence

from tilewright.compiler.schedule.buffer_depth import BufferDepth, double_buffer
from tilewright.compiler.schedule.cache_read import CacheRead
from tilewright.compiler.schedule.cache_write import CacheWrite
from tilewright.compiler.schedule.compute_at import ComputeAt
from tilewright.compiler.schedule.decompose_reduction import DecomposeReduction
from tilewright.compiler.schedule.error import ScheduleError
from tilewright.compiler.schedule.fuse import Fuse
from tilewright.compiler.schedule.inline import Inline
from tilewright.compiler.schedule.loop_kind import Parallel, Unroll, Vectorise, VirtualThread
from tilewright.compiler.schedule.pipeline import Pipeline, check_pipelines
from tilewright.compiler.schedule.prefetch import Prefetch
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.schedule.r_factor import RFactor
from tilewright.compiler.schedule.reorder import Reorder
from tilewright.compiler.schedule.reverse_compute_at import ReverseComputeAt
from tilewright.compiler.schedule.reverse_inline import ReverseInline
from tilewright.compiler.schedule.set_scope import SetScope
from tilewright.compiler.schedule.split import Split, SplitParts
from tilewright.compiler.schedule.split_first import SplitFirst
from tilewright.compiler.schedule.split_select import SplitSelect
from tilewright.compiler.schedule.storage_align import StorageAlign
from tilewright.compiler.schedule.text import parse_schedule, print_schedule
from tilewright.compiler.schedule.tile import Tile
from tilewright.compiler.schedule.unit_loop import UnitLoop
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.compiler.tir.verify import verify

__all__ = [
    "BufferDepth",
    "CacheRead",
    "CacheWrite",
    "ComputeAt",
    "DecomposeReduction",
    "Fuse",
    "Inline",
    "Parallel",
    "Pipeline",
    "Prefetch",
    "Primitive",
    "RFactor",
    "Reorder",
    "ReverseComputeAt",
    "ReverseInline",
    "ScheduleError",
    "SetScope",
    "Split",
    "SplitFirst",
    "SplitParts",
    "SplitSelect",
    "StorageAlign",
    "Tile",
    "UnitLoop",
    "Unroll",
    "Vectorise",
    "VirtualThread",
    "apply",
    "double_buffer",
    "parse_schedule",
    "print_schedule",
]


def apply(function: PrimFunc, primitives: Sequence[Primitive]) -> PrimFunc:
    """The function after each primitive in turn, verified.

    Raises:
        ScheduleError: if one cannot be applied.
        TirError: if one breaks a rule of loop programs.
    """
    result = function
    for primitive in primitives:
        result = primitive.apply(result)
    check_pipelines(result)
    try:
        verify(result)
    except TirError:
        _verify_each(function, primitives)
        raise
    return result


def _verify_each(function: PrimFunc, primitives: Sequence[Primitive]) -> None:
    """Find the step that breaks a rule: only then is it worth the time to look after each."""
    for primitive in primitives:
        function = primitive.apply(function)
        try:
            verify(function)
        except TirError as error:
            raise TirError(f"after {primitive}: {error}") from None
