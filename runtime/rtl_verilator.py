"""Gates compiled by Verilator, driven through `ctypes` in blocks of cycles."""

import ctypes
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from tilewright.runtime.rtl_gates import STREAMS, Bytes, GatesError, Trace, make_trace
from tilewright.sim.memory import MemoryModel

_HANDLE, _POINTER, _COUNT = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64

# Functions of rtl_harness.cpp: result, arguments after the handle.
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "destroy": (None, ()),
    "reset": (None, ()),
    "attach": (None, (_POINTER, _COUNT, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_int64)),
    "trace": (None, (_POINTER, _COUNT)),
    "write": (_COUNT, (_POINTER, _POINTER, _COUNT)),
    "read": (_COUNT, (_POINTER, _POINTER, _COUNT)),
    "advance": (ctypes.c_int, (_COUNT,)),
    "cycles": (ctypes.c_int64, ()),
    "counts": (None, (_POINTER,)),
}
_NEVER = -1


class VerilatorGates:
    """The gates in a library of `rtl_build.build`; see `rtl_gates.Gates`."""

    def __init__(self, library: Path) -> None:
        loaded = ctypes.CDLL(str(library))
        self._create = loaded.tilewright_create
        self._create.restype, self._create.argtypes = _HANDLE, ()
        self._functions = {name: _declare(loaded, name) for name in _FUNCTIONS}
        self._handle = self._create()
        # Held, because the library keeps its address.
        self._data: Bytes = np.zeros(0, np.uint8)
        self._events = np.zeros((STREAMS, 0), np.int64)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self._call("destroy")
            self._handle = None

    def power_cycle(self) -> None:
        """Start again with every register reset and every memory on the chip 0."""
        self._call("destroy")
        self._handle = self._create()

    def reset(self) -> None:
        """Reset every register; memories on the chip keep their contents."""
        self._call("reset")

    def attach(self, data: Bytes, memory: MemoryModel) -> None:
        """Let the memory outside hold `data` and answer as `memory` says, from now on."""
        self._data = data
        silent_from = _NEVER if memory.silent_from is None else memory.silent_from
        self._call("attach", data.ctypes.data, data.nbytes, memory.latency, memory.outstanding, silent_from)

    def write(self, writes: Sequence[tuple[int, int]]) -> None:
        """Write host registers: (byte address, 32-bit value) in order."""
        table = np.array(writes, np.uint32).reshape(-1, 2).T.copy()
        done = self._call("write", table[0].ctypes.data, table[1].ctypes.data, len(writes))
        if done != len(writes):
            raise GatesError(f"the gates refuse a write of register {writes[done][0]:#x}")

    def read(self, addresses: Sequence[int]) -> list[int]:
        """Read host registers."""
        asked, values = np.array(addresses, np.uint32), np.zeros(len(addresses), np.uint32)
        done = self._call("read", asked.ctypes.data, values.ctypes.data, len(addresses))
        if done != len(addresses):
            raise GatesError(f"the gates refuse a read of register {addresses[done]:#x}")
        return [int(value) for value in values]

    def begin_trace(self, capacity: int) -> None:
        """Forget all events, and record up to `capacity` a stream from here on."""
        self._events = np.zeros((STREAMS, capacity), np.int64)
        self._call("trace", self._events.ctypes.data, capacity)

    def advance(self, limit: int) -> bool:
        """Run until the program has ended, at most `limit` cycles; whether it has."""
        return bool(self._call("advance", limit))

    def trace(self) -> Trace:
        """The events since `begin_trace`."""
        counts = np.zeros(STREAMS, np.uint64)
        self._call("counts", counts.ctypes.data)
        if counts.max() > self._events.shape[1]:
            raise GatesError(
                f"the gates report {counts.max()} events, the program has {self._events.shape[1]}"
            )
        return make_trace([row[:count] for row, count in zip(self._events, counts, strict=True)])

    @property
    def cycles(self) -> int:
        """Cycles in which the program that ended last was running."""
        return int(self._call("cycles"))

    def _call(self, name: str, *arguments: int) -> Any:
        return self._functions[name](self._handle, *arguments)


def _declare(library: ctypes.CDLL, name: str) -> Callable[..., Any]:
    function: Any = getattr(library, f"tilewright_{name}")
    result, arguments = _FUNCTIONS[name]
    function.restype, function.argtypes = result, (_HANDLE, *arguments)
    return cast(Callable[..., Any], function)
