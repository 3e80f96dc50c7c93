"""What runs gates: clocked in blocks, with the memory outside, the host's register bus and a trace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.memory import Engine
from tilewright.sim.memory import MemoryModel

Bytes = NDArray[np.uint8]
Cycles = NDArray[np.int64]


class GatesError(RuntimeError):
    """The gates do not answer as gates must: a mistake in them or in what drives them, never in a program."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The events of one program, each array int64 cycles in ascending order.

    Members:
        dispatches: when fetch dispatched an instruction.
        starts, finishes: of each engine's instructions, one array for each `Engine`.
    """

    dispatches: Cycles
    starts: tuple[Cycles, ...]
    finishes: tuple[Cycles, ...]


STARTS = len(Engine) + 1
STREAMS = STARTS + len(Engine)
"""Streams of events in the order of the trace outputs: starts of the engines, dispatches, finishes."""


def make_trace(streams: Sequence[Cycles]) -> Trace:
    """The trace of `STREAMS` arrays in the order of the trace outputs."""
    return Trace(
        dispatches=streams[len(Engine)],
        starts=tuple(streams[: len(Engine)]),
        finishes=tuple(streams[STARTS:]),
    )


class Gates(Protocol):
    """A machine of gates with its memory model, powered up and reset."""

    def power_cycle(self) -> None:
        """Start again with every register reset and every memory on the chip 0."""

    def reset(self) -> None:
        """Reset every register; memories on the chip keep their contents."""

    def attach(self, data: Bytes, memory: MemoryModel) -> None:
        """Let the memory outside hold `data` and answer as `memory` says, from now on.

        Args:
            data: uint8, one-dimensional, contiguous, `memory.size_bytes` long; changed in place by programs.
            memory: parameters of the memory model.
        """

    def write(self, writes: Sequence[tuple[int, int]]) -> None:
        """Write host registers: (byte address, 32-bit value) in order.

        Raises:
            GatesError: if a write is not answered, or answered with an error.
        """

    def read(self, addresses: Sequence[int]) -> list[int]:
        """Read host registers.

        Raises:
            GatesError: if a read is not answered, or answered with an error.
        """

    def begin_trace(self, capacity: int) -> None:
        """Forget all events, and record up to `capacity` a stream from here on."""

    def advance(self, limit: int) -> bool:
        """Run until the program that was started after `begin_trace` has ended, at most `limit` cycles.

        Returns:
            Whether it has ended.
        """

    def trace(self) -> Trace:
        """The events since `begin_trace`.

        Raises:
            GatesError: if there were more than the capacity.
        """

    @property
    def cycles(self) -> int:
        """Cycles in which the program that ended last was running."""
