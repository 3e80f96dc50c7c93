"""The gates, run as a host runs them: results, faults, counters, state from program to program."""

import numpy as np
import pytest

from tilewright.hw.bench_top import RtlBench
from tilewright.isa.assembly import assemble
from tilewright.isa.config import PRESETS
from tilewright.isa.encoding import encode_program
from tilewright.isa.error import TilewrightError
from tilewright.isa.fault import Cause, FaultEngine
from tilewright.isa.memory import Engine
from tilewright.isa.register import REGISTERS, WORD_BYTES, Control, RegisterAccess, Status
from tilewright.runtime.device import COUNTERS
from tilewright.runtime.rtl_amaranth import AmaranthGates
from tilewright.runtime.rtl_build import Optimise
from tilewright.runtime.rtl_gates import GatesError
from tilewright.runtime.rtl_machine import RtlMachine
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.sim.machine import Simulator
from tilewright.sim.memory import MemoryModel

TINY = PRESETS["tiny"]
LIMIT = 10_000
BASES = (0x1000, 0x2000)
COPY = """
load base=0 memory=activation n_x=16 stride_x=4 signal=store
store base=1 memory=activation n_x=16 stride_x=4 bytes=4 wait=load
finish
"""
KEEP = "load base=0 memory=weight n_x=16 stride_x=4\nfinish\n"
SHOW = "store base=1 memory=weight n_x=16 stride_x=4 bytes=4\nfinish\n"
COPIED = slice(0x2000, 0x2040)


@pytest.fixture(scope="module")
def machine():
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    return RtlMachine(TINY, optimise=Optimise.BUILD)


@pytest.fixture
def dram():
    return np.random.default_rng(1).integers(0, 256, 0x4000, np.uint8)


def run(machine, text, dram, **options):
    code = encode_program(assemble(text).program)
    return machine.run(code, dram=dram, bases=BASES, max_cycles=LIMIT, **options)


@pytest.mark.slow
def test_a_copy_copies_and_says_when(machine, dram):
    source = dram[0x1000:0x1040].copy()
    result = run(machine, COPY, dram)
    assert np.array_equal(dram[COPIED], source)
    assert (result.fault, result.status) == (None, Status.DONE | Status.BUS_IDLE | Status.INTERRUPT)
    trace = result.trace
    assert [len(cycles) for cycles in trace.starts] == [1, 0, 0, 1]
    # Dispatched at d, a head at d + 1; a token given at f is taken at f + 1.
    assert trace.starts[Engine.LOAD][0] == trace.dispatches[0] + 1
    assert trace.starts[Engine.STORE][0] == trace.finishes[Engine.LOAD][0] + 1
    assert result.cycles == trace.finishes[Engine.STORE][0] + 2
    assert result.counters.keys() == set(COUNTERS)
    assert result.counters["load_bytes"] == result.counters["store_bytes"] == 64
    assert result.counters["fetch_bytes"] == 3 * 64


@pytest.mark.slow
def test_latency_delays_and_the_same_run_takes_the_same_time(machine, dram):
    short, again, long = (run(machine, COPY, dram, latency=latency).cycles for latency in (1, 1, 50))
    assert short == again < long


class MeddlingGates:
    """Gates whose host writes every register anew while a program runs."""

    def __init__(self, gates):
        self._gates = gates

    def __getattr__(self, name):
        return getattr(self._gates, name)

    def advance(self, limit):
        """Forty cycles, the writes, and the rest."""
        assert not self._gates.advance(40)
        rows = [
            row for row in REGISTERS.values() if row.access is RegisterAccess.WRITE and row.name != "control"
        ]
        words = [row.offset + WORD_BYTES * word for row in rows for word in range(row.words)]
        self._gates.write([(address, 0x0123_4540) for address in words])
        return self._gates.advance(limit)


@pytest.mark.slow
def test_what_a_host_writes_while_a_program_runs_is_of_the_next_one(machine, dram):
    simulated, code = dram.copy(), encode_program(assemble(COPY).program)
    expected = Simulator(TINY).run(
        code, bases=BASES, dram=simulated, memory=MemoryModel(size_bytes=len(dram))
    )
    result = run(RtlMachine(TINY, gates=MeddlingGates(machine._gates)), COPY, dram)
    assert result.fault is None
    assert result.cycles == expected.cycles
    assert np.array_equal(dram, simulated)
    machine._gates.begin_trace(0)
    machine._gates.write([(REGISTERS["control"].offset, Control.START)])
    assert machine._gates.advance(LIMIT)
    (fault,) = machine._gates.read([REGISTERS["fault"].offset])
    assert fault & 0xFF == Cause.CONFIG, "the digest that was written is another machine's"


@pytest.mark.slow
def test_chip_memories_outlive_programs_but_not_the_power(machine, dram):
    source = dram[0x1000:0x1040].copy()
    run(machine, KEEP, dram)
    run(machine, SHOW, dram)
    assert np.array_equal(dram[COPIED], source)
    machine.power_cycle()
    run(machine, SHOW, dram)
    assert not dram[COPIED].any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "options", "cause", "engine"),
    [
        ("nop runs_on=load wait=store\nfinish\n", {}, Cause.DEADLOCK, FaultEngine.SYSTEM),
        ("nop runs_on=load\n", {}, Cause.ILLEGAL, FaultEngine.FETCH),
        ("finish\n", {"expected_digest": b"12345678"}, Cause.CONFIG, FaultEngine.FETCH),
        ("finish\n", {"silent_from": 0, "timeout": 30}, Cause.TIMEOUT, FaultEngine.SYSTEM),
        (COPY, {"silent_from": 60, "timeout": 30}, Cause.TIMEOUT, FaultEngine.SYSTEM),
        ("load base=0 offset=0x3000 memory=weight\nfinish\n", {}, Cause.BUS, FaultEngine.LOAD),
    ],
)
def test_a_fault_is_reported_and_the_next_program_runs_right(machine, dram, text, options, cause, engine):
    result = run(machine, text, dram, **options)
    assert Status.FAULTED in result.status
    assert (result.fault.cause, result.fault.engine) == (cause, engine)
    assert run(machine, COPY, dram).fault is None
    assert np.array_equal(dram[COPIED], dram[0x1000:0x1040])


@pytest.mark.slow
def test_a_program_that_runs_on_is_given_up_and_the_next_one_runs(machine, dram):
    with pytest.raises(GatesError, match="within 10000 cycles"):
        run(machine, "finish\n", dram, silent_from=0)
    assert run(machine, COPY, dram).fault is None


@pytest.mark.slow
def test_progress_is_reported_in_cycles(machine, dram):
    seen = []
    with pytest.raises(GatesError):
        machine.run(b"", dram=dram, max_cycles=0)
    code = encode_program(assemble("finish\n").program)
    with pytest.raises(GatesError):
        machine.run(code, dram=dram, silent_from=0, max_cycles=120_000, progress=seen.append)
    assert seen == [50_000, 100_000]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bases": [8]}, "base 0 must be a multiple of 64"),
        ({"bases": [0] * 9}, "at most 8 addresses, not 9"),
        ({"program_address": 32}, "program_address must be a multiple of 64"),
        ({"latency": 0}, "latency must be an integer from 1"),
        ({"timeout": -1}, "timeout must be from 0"),
        ({"silent_from": 5}, "timeout must be set where the memory falls silent"),
        ({"dram": np.zeros(64, np.int8)}, "writeable contiguous uint8 array"),
        ({"dram": np.zeros(65, np.uint8)}, "multiple of 64"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(machine, dram, options, message):
    with pytest.raises(TilewrightError, match=message):
        machine.run(b"", **{"dram": dram} | options)


@pytest.mark.slow
def test_amaranths_simulator_tells_the_same_story(machine, dram):
    interpreted = RtlMachine(TINY, gates=AmaranthGates(lambda: RtlBench(TINY), TINY.bus_bytes))
    other = dram.copy()
    compiled_result, result = run(machine, COPY, dram), run(interpreted, COPY, other)
    assert np.array_equal(dram, other)
    assert result.cycles == compiled_result.cycles
    assert result.counters == compiled_result.counters
    for one, two in zip(result.trace.starts, compiled_result.trace.starts, strict=True):
        assert np.array_equal(one, two)
