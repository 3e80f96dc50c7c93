"""The machine as a simulator runs it, between a host and a memory that both answer when they like."""

import logging
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp
from tests.cocotb.case import Case
from tests.cocotb.memory import MEMORIES
from tests.cocotb.monitor import Monitor
from tests.cocotb.pause import pauses
from tests.cocotb.storage import Storage

from tilewright.isa.config import Config
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.register import REGISTERS, Control, RegisterAccess, Status
from tilewright.isa.state import State

PERIOD_NS = 10
_LIMIT_CYCLES = 40_000
_POLL_CYCLES = 40

warnings.simplefilter("error")
# Written for older versions of cocotb, whose names still work.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"cocotbext\.axi|cocotb_bus")
# Else each model lists its pins, and each transfer.
logging.getLogger("cocotb.tilewright").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Outcome:
    """What the registers say after a program."""

    status: Status
    cause: Cause
    engine: FaultEngine
    instruction: int
    cycles: int


class Bench:
    """Clock, host, memory and monitor around the machine, from a reset on.

    Members:
        storage: the bytes of the memory.
        memory: its model, if it can be silenced.
        monitor: watches the buses.
    """

    def __init__(self, dut: Any, config: Config, model: str, seed: int) -> None:
        self._dut, self.config = dut, config
        rng = random.Random(seed)
        Clock(dut.clk, PERIOD_NS, "ns").start()
        self.storage = Storage()
        self.memory = MEMORIES[model](dut, self.storage, rng)
        self.monitor = Monitor(dut, config)
        self._host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk)
        self._written: dict[str, int] = {}
        for channel in _channels(self._host):
            channel.set_pause_generator(pauses(random.Random(rng.random())))

    @classmethod
    async def powered(cls, dut: Any, config: Config, model: str, seed: int = 0) -> "Bench":
        """A bench whose machine is reset; what is on the chip stays from test to test."""
        dut.rst.value = 1
        bench = cls(dut, config, model, seed)
        bench.monitor.off = True
        await bench.wait(2)
        dut.rst.value = 0
        await bench.wait(1)
        bench.monitor.clear()
        return bench

    async def wait(self, cycles: int) -> None:
        """Let so many cycles pass."""
        await ClockCycles(self._dut.clk, cycles)

    # --- registers -----------------------------------------------------------------------------------------

    async def read(self, name: str) -> int:
        """The value of a register; a pair of words is read low word first."""
        row = REGISTERS[name]
        answer = await self._host.read(row.offset, row.bits // 8)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    async def write(self, name: str, value: int) -> None:
        """Write a register."""
        await self.write_bytes(name, value.to_bytes(REGISTERS[name].bits // 8, "little"))

    async def write_bytes(self, name: str, data: bytes, first: int = 0) -> None:
        """Write some bytes of a register."""
        answer = await self._host.write(REGISTERS[name].offset + first, data)
        assert answer.resp == AxiResp.OKAY

    async def status(self) -> Status:
        """The status register."""
        return Status(await self.read("status"))

    # --- programs ------------------------------------------------------------------------------------------

    async def start(self, case: Case, **registers: int) -> None:
        """Put a program and its regions into the memory, and start it; `registers` are written otherwise."""
        image = case.image()
        self.storage.data = bytearray(image.dram.tobytes())
        self.monitor.clear()
        values = {
            "program_address": image.program_address,
            "program_length": len(case.executable.program()),
            "timeout": 0,
            "expected_digest": int.from_bytes(case.executable.config_digest, "little"),
        } | {f"base_{base}": address for base, address in enumerate(image.bases)}
        changed = (values | registers).items() - self._written.items()
        for name, value in sorted(changed):
            await self.write(name, value)
        self._written |= changed
        await self.write("control", Control.START)

    async def finish(self) -> Outcome:
        """Wait for the end of the program.

        Raises:
            AssertionError: if it does not come.
        """
        for _ in range(_LIMIT_CYCLES // _POLL_CYCLES):
            status = await self.status()
            if not status & Status.RUNNING:
                return await self._outcome(status)
            await self.wait(_POLL_CYCLES)
        raise AssertionError(f"the program must end within {_LIMIT_CYCLES} cycles: {await self.status()!r}")

    async def _outcome(self, status: Status) -> Outcome:
        fault = await self.read("fault")
        return Outcome(
            status=status,
            cause=Cause(fault & 0xFF),
            engine=FaultEngine(fault >> 8),
            instruction=await self.read("fault_instruction"),
            cycles=await self.read("cycles"),
        )

    async def run(self, case: Case, state: State) -> Outcome:
        """Run a program on a chip that holds `state`, which afterwards is what the program leaves there.

        Raises:
            AssertionError: if it does not end well, or leaves other bytes than it means.
        """
        expected = case.expected(state)
        await self.start(case)
        outcome = await self.finish()
        assert outcome.status == Status.DONE | Status.BUS_IDLE | Status.INTERRUPT, outcome
        wrong = differences(expected, self.storage.data)
        assert not wrong, f"{len(wrong)} of {len(expected)} bytes are wrong, the first at {wrong[0]:#x}"
        return outcome

    async def check_counters(self, cycles: int) -> None:
        """They must say what the monitor saw, and split no more cycles than there were."""
        for name, count in self.monitor.bytes_of.items():
            assert await self.read(f"{name}_bytes") == count, name
        for engine in ("load", "matrix", "vector", "store"):
            parts = [await self.read(f"{engine}_{what}") for what in ("busy", "waiting", "stalled")]
            assert sum(parts) <= cycles, engine

    async def reset(self) -> None:
        """Reset machine and bus, whatever they do, through the control register."""
        assert self.memory is not None, "this memory cannot be silenced"
        self.memory.silent = True
        # What it says at this moment is still heard.
        await self.wait(2)
        self.monitor.off = True
        await self.write("control", Control.RESET)
        self.memory.clear()
        self.monitor.clear()
        self.memory.silent = False


def differences(expected: bytes, found: bytes) -> list[int]:
    """Where two memories of one size differ."""
    assert len(expected) == len(found)
    return [place for place, (a, b) in enumerate(zip(expected, found, strict=True)) if a != b]


def read_only() -> Iterator[str]:
    """The registers that ignore what is written to them."""
    return (row.name for row in REGISTERS.values() if row.access is RegisterAccess.READ)


def _channels(host: AxiLiteMaster) -> Iterator[Any]:
    write, read = host.write_if, host.read_if
    yield from (write.aw_channel, write.w_channel, write.b_channel, read.ar_channel, read.r_channel)
