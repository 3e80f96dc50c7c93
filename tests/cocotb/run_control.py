"""What a host meets besides right results, run by cocotb: registers, faults, resets."""

import os
from typing import Any

import cocotb
import numpy as np
from tests.cocotb.bench import Bench, Outcome, read_only
from tests.cocotb.case import Case, product_case
from tests.cocotb.memory import MEMORIES

from tilewright.isa.config import INSTRUCTION_BYTES, load_config
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.instruction import ISA_VERSION
from tilewright.isa.register import BASE_ALIGNMENT_BYTES, MAGIC, REGISTERS, Control, Status
from tilewright.isa.state import State

CONFIG = load_config(os.environ["TILEWRIGHT_CONFIG"])
CASE: Case = product_case(np.random.default_rng(2), CONFIG)[0]
FAULTED = Status.DONE | Status.FAULTED | Status.BUS_IDLE | Status.INTERRUPT


async def fault_of(bench: Bench, **registers: int) -> Outcome:
    """The fault of a program that is started with other registers than it needs."""
    await bench.start(CASE, **registers)
    outcome = await bench.finish()
    assert outcome.status == FAULTED, outcome
    return outcome


@cocotb.test()
async def registers_name_the_machine_and_keep_what_is_written(dut: Any) -> None:
    bench = await Bench.powered(dut, CONFIG, "in_order")
    digest = int.from_bytes(CONFIG.digest(), "little")
    names = {"magic": MAGIC, "isa_version": ISA_VERSION, "config_digest": digest}
    for name in read_only():
        await bench.write(name, (1 << REGISTERS[name].bits) - 1)
    for name, value in (names | {"status": Status.BUS_IDLE, "cycles": 0}).items():
        assert await bench.read(name) == value, name
    await bench.write("base_5", 0x0123_4567_89AB_CDEF)
    await bench.write_bytes("base_5", b"\xee", first=6)
    assert await bench.read("base_5") == 0x01EE_4567_89AB_CDEF & -BASE_ALIGNMENT_BYTES
    assert await bench.read("base_4") == await bench.read("base_6") == 0


@cocotb.test()
@cocotb.parametrize(model=tuple(MEMORIES), engine=("FETCH", "LOAD", "STORE"))
async def a_bus_error_stops_the_program_and_not_the_next(dut: Any, model: str, engine: str) -> None:
    """The memory ends before the program, before the parameters, or before the result."""
    bench = await Bench.powered(dut, CONFIG, model)
    image, beyond = CASE.image(), 1 << 40
    wrong = {"FETCH": {"program_address": beyond}, "LOAD": {"base_2": beyond}, "STORE": {"base_3": beyond}}
    outcome = await fault_of(bench, **wrong[engine])
    assert (outcome.cause, outcome.engine) == (Cause.BUS, FaultEngine[engine])
    kinds = [type(instruction).__name__.upper() for instruction in CASE.executable.program()]
    assert outcome.instruction == (0 if engine == "FETCH" else kinds.index(engine))
    first = image.bases[3]
    assert bench.storage.data[first:] == image.dram[first:].tobytes(), "nothing may be stored"
    await bench.run(CASE, State(CONFIG))


@cocotb.test()
async def a_program_for_another_machine_is_refused_without_a_burst(dut: Any) -> None:
    bench = await Bench.powered(dut, CONFIG, "in_order")
    outcome = await fault_of(bench, expected_digest=1)
    assert (outcome.cause, outcome.engine) == (Cause.CONFIG, FaultEngine.FETCH)
    assert bench.monitor.bytes_of == {"fetch": 0, "load": 0, "store": 0}
    await bench.run(CASE, State(CONFIG))


@cocotb.test()
async def a_start_while_a_program_runs_is_ignored(dut: Any) -> None:
    bench = await Bench.powered(dut, CONFIG, "in_order")
    expected = CASE.expected(State(CONFIG))
    await bench.start(CASE)
    for _ in range(2):
        await bench.wait(10)
        await bench.write("control", Control.START)
        assert await bench.status() & Status.RUNNING
    assert (await bench.finish()).status == Status.DONE | Status.BUS_IDLE | Status.INTERRUPT
    assert bench.storage.data == expected
    assert bench.monitor.bytes_of["fetch"] == INSTRUCTION_BYTES * len(CASE.executable.program())


@cocotb.test()
async def a_write_while_a_program_runs_is_of_the_next_one(dut: Any) -> None:
    bench = await Bench.powered(dut, CONFIG, "in_order")
    expected = CASE.expected(State(CONFIG))
    await bench.start(CASE)
    for name in ("base_0", "base_3", "program_address", "program_length", "timeout", "expected_digest"):
        await bench.write(name, 64)
    assert await bench.status() & Status.RUNNING
    assert (await bench.finish()).status == Status.DONE | Status.BUS_IDLE | Status.INTERRUPT
    assert bench.storage.data == expected
    await bench.write("control", Control.START)
    assert (await bench.finish()).cause == Cause.CONFIG


@cocotb.test()
async def the_interrupt_line_says_that_a_program_has_ended(dut: Any) -> None:
    bench = await Bench.powered(dut, CONFIG, "in_order")
    assert not int(dut.interrupt.value)
    await bench.start(CASE)
    assert not int(dut.interrupt.value)
    await bench.finish()
    assert int(dut.interrupt.value)
    await bench.write("control", Control.ACKNOWLEDGE)
    await bench.wait(2)
    assert not int(dut.interrupt.value)
    assert await bench.status() == Status.DONE | Status.BUS_IDLE


@cocotb.test()
@cocotb.parametrize(cycles=(0, 60, 150))
async def a_reset_stops_a_program_at_once(dut: Any, cycles: int) -> None:
    bench = await Bench.powered(dut, CONFIG, "shuffling")
    await bench.start(CASE)
    await bench.wait(cycles)
    assert await bench.status() & Status.RUNNING
    await bench.reset()
    assert await bench.status() == Status.BUS_IDLE
    await bench.run(CASE, State(CONFIG))


@cocotb.test()
async def a_silent_memory_is_a_timeout_and_a_reset_helps(dut: Any) -> None:
    bench = await Bench.powered(dut, CONFIG, "shuffling")
    await bench.start(CASE, timeout=200)
    await bench.wait(60)
    # What the machine has offered by then, it takes back.
    bench.memory.silent = bench.monitor.off = True
    outcome = await bench.finish()
    assert outcome.status == Status.DONE | Status.FAULTED | Status.INTERRUPT, outcome
    assert (outcome.cause, outcome.engine) == (Cause.TIMEOUT, FaultEngine.SYSTEM)
    await bench.reset()
    await bench.run(CASE, State(CONFIG))
