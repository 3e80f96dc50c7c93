"""Gates in Amaranth's own simulator: for machines without a compiler, a thousand times slower."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from amaranth.sim import Simulator

from tilewright.runtime.rtl_gates import STARTS, STREAMS, Bytes, GatesError, Trace, make_trace
from tilewright.sim.memory import MemoryModel

_RESET_CYCLES = 4
# A register access that takes longer has found gates that do not answer.
_REGISTER_CYCLES = 1000

Operation = Callable[[Any], Awaitable[None]]


class AmaranthGates:
    """The gates that `make` describes, with the ports of `RtlBench`; see `rtl_gates.Gates`.

    The steps are those of rtl_harness.cpp.
    """

    def __init__(self, make: Callable[[], Any], bus_bytes: int) -> None:
        self._make = make
        self._bus_bytes = bus_bytes
        self._data: Bytes = np.zeros(0, np.uint8)
        self._silent_from: int | None = None
        self._operation: Operation | None = None
        self._streams: list[list[int]] = []
        self._capacity = 0
        self._cycle: int | None = None
        self._cycles = 0
        self._ended = False
        self.power_cycle()

    def power_cycle(self) -> None:
        """Start again with every register reset and every memory on the chip 0."""
        self._bench = self._make()
        self._simulator = Simulator(self._bench)
        self._simulator.add_clock(1e-6)
        self._simulator.add_testbench(self._serve)
        self.begin_trace(0)
        self.reset()

    def reset(self) -> None:
        """Reset every register; memories on the chip keep their contents."""

        async def operation(ctx: Any) -> None:
            ctx.set(self._bench.reset, 1)
            for _ in range(_RESET_CYCLES):
                await self._step(ctx)
            ctx.set(self._bench.reset, 0)
            await self._step(ctx)  # in which it still acts
            self._cycle, self._ended = None, False

        self._run(operation)

    def attach(self, data: Bytes, memory: MemoryModel) -> None:
        """Let the memory outside hold `data` and answer as `memory` says, from now on."""
        self._data, self._silent_from = data, memory.silent_from

        async def operation(ctx: Any) -> None:
            ctx.set(self._bench.silent, 0)
            ctx.set(self._bench.latency, memory.latency)
            ctx.set(self._bench.outstanding, memory.outstanding)
            ctx.set(self._bench.size, data.nbytes)

        self._run(operation)

    def write(self, writes: Sequence[tuple[int, int]]) -> None:
        """Write host registers: (byte address, 32-bit value) in order."""

        async def operation(ctx: Any) -> None:
            for address, value in writes:
                await self._write_register(ctx, address, value)

        self._run(operation)

    def read(self, addresses: Sequence[int]) -> list[int]:
        """Read host registers."""
        values: list[int] = []

        async def operation(ctx: Any) -> None:
            for address in addresses:
                values.append(await self._read_register(ctx, address))

        self._run(operation)
        return values

    def begin_trace(self, capacity: int) -> None:
        """Forget all events, and record up to `capacity` a stream from here on."""
        self._streams = [[] for _ in range(STREAMS)]
        self._capacity = capacity
        self._ended = False

    def advance(self, limit: int) -> bool:
        """Run until the program has ended, at most `limit` cycles; whether it has."""

        async def operation(ctx: Any) -> None:
            for _ in range(limit):
                if self._ended:
                    break
                await self._step(ctx)

        self._run(operation)
        return self._ended

    def trace(self) -> Trace:
        """The events since `begin_trace`."""
        longest = max(len(stream) for stream in self._streams)
        if longest > self._capacity:
            raise GatesError(f"the gates report {longest} events, the program has {self._capacity}")
        return make_trace([np.array(stream, np.int64) for stream in self._streams])

    @property
    def cycles(self) -> int:
        """Cycles in which the program that ended last was running."""
        return self._cycles

    # --- the simulator -------------------------------------------------------------------------------------

    def _run(self, operation: Operation) -> None:
        """Let the simulator's one process do `operation`."""
        self._operation = operation
        while self._operation is not None:
            self._simulator.advance()

    async def _serve(self, ctx: Any) -> None:
        while True:
            if self._operation is not None:
                try:
                    await self._operation(ctx)
                finally:
                    self._operation = None
            await self._step(ctx)

    async def _step(self, ctx: Any) -> None:
        """End this cycle with its clock edge, and settle the next one."""
        if self._cycle is not None:
            self._log_events(ctx)
        if ctx.get(self._bench.write_enable):
            self._write_memory(ctx)
        await ctx.tick()
        self._follow_running(ctx)
        self._settle(ctx)

    def _settle(self, ctx: Any) -> None:
        # It acts in the next cycle; cycle 0 comes after any number of cycles in which the machine stands.
        next_cycle = 0 if self._cycle is None else self._cycle + 1
        if self._silent_from is not None and next_cycle >= self._silent_from:
            ctx.set(self._bench.silent, 1)
        if ctx.get(self._bench.read_enable):
            address = ctx.get(self._bench.read_address)
            data = self._data[address : address + self._bus_bytes].tobytes()
            ctx.set(self._bench.read_data, int.from_bytes(data, "little"))

    def _write_memory(self, ctx: Any) -> None:
        address, strobe = ctx.get(self._bench.write_address), ctx.get(self._bench.write_strobe)
        value = ctx.get(self._bench.write_data).to_bytes(self._bus_bytes, "little")
        for lane in range(self._bus_bytes):
            if strobe >> lane & 1 and address + lane < self._data.nbytes:
                self._data[address + lane] = value[lane]

    def _log_events(self, ctx: Any) -> None:
        raised = ctx.get(self._bench.trace_start) | ctx.get(self._bench.trace_finish) << STARTS
        for index, stream in enumerate(self._streams):
            if raised >> index & 1:
                stream.append(self._cycle or 0)

    def _follow_running(self, ctx: Any) -> None:
        if ctx.get(self._bench.trace_running):
            self._cycle = 0 if self._cycle is None else self._cycle + 1
        elif self._cycle is not None:
            self._cycles, self._cycle, self._ended = self._cycle + 1, None, True

    # --- the register bus ----------------------------------------------------------------------------------

    async def _write_register(self, ctx: Any, address: int, value: int) -> None:
        bench = self._bench
        ctx.set(bench.s_axi_awaddr, address)
        ctx.set(bench.s_axi_wdata, value)
        ctx.set(bench.s_axi_wstrb, 0xF)
        channels = [(bench.s_axi_awvalid, bench.s_axi_awready), (bench.s_axi_wvalid, bench.s_axi_wready)]
        await self._offer(ctx, channels, address)
        (response,) = await self._take(
            ctx, bench.s_axi_bvalid, bench.s_axi_bready, (bench.s_axi_bresp,), address
        )
        _check_response(response, address)

    async def _read_register(self, ctx: Any, address: int) -> int:
        bench = self._bench
        ctx.set(bench.s_axi_araddr, address)
        await self._offer(ctx, [(bench.s_axi_arvalid, bench.s_axi_arready)], address)
        value, response = await self._take(
            ctx, bench.s_axi_rvalid, bench.s_axi_rready, (bench.s_axi_rdata, bench.s_axi_rresp), address
        )
        _check_response(response, address)
        return value

    async def _offer(self, ctx: Any, channels: list[tuple[Any, Any]], address: int) -> None:
        """Raise the valid of each (valid, ready) until the ready has been seen."""
        for valid, _ in channels:
            ctx.set(valid, 1)
        for _ in range(_REGISTER_CYCLES):
            taken = [valid for valid, ready in channels if ctx.get(ready)]
            await self._step(ctx)
            for valid in taken:
                ctx.set(valid, 0)
            if not any(ctx.get(valid) for valid, _ in channels):
                return
        raise GatesError(f"the gates do not take the address of register {address:#x}")

    async def _take(
        self, ctx: Any, valid: Any, ready: Any, ports: tuple[Any, ...], address: int
    ) -> tuple[int, ...]:
        """The values of `ports` in the cycle in which `valid` is up."""
        ctx.set(ready, 1)
        for _ in range(_REGISTER_CYCLES):
            is_there, values = ctx.get(valid), tuple(ctx.get(port) for port in ports)
            await self._step(ctx)
            if is_there:
                ctx.set(ready, 0)
                return values
        raise GatesError(f"the gates do not answer for register {address:#x}")


def _check_response(response: int, address: int) -> None:
    if response:
        raise GatesError(f"the gates answer with error {response} for register {address:#x}")
