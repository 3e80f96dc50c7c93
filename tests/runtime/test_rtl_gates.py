"""Compiled and interpreted gates are clocked, fed and traced alike."""

from functools import cache

import numpy as np
import pytest
from amaranth.back import verilog

from stub_bench import DESTINATION, SOURCE, START, StubBench
from tilewright.isa.memory import Engine
from tilewright.runtime.rtl_amaranth import AmaranthGates
from tilewright.runtime.rtl_build import TOP, Optimise, build_verilog
from tilewright.runtime.rtl_gates import GatesError
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.rtl_verilator import VerilatorGates
from tilewright.sim.memory import MemoryModel

BUS_BYTES = (8, 64)
LIMIT = 1000


def verilator_gates(bus_bytes):
    toolchain = find_toolchain()
    if toolchain is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    return VerilatorGates(build_verilog(stub_verilog(bus_bytes), bus_bytes, toolchain, Optimise.BUILD))


@cache
def stub_verilog(bus_bytes):
    return verilog.convert(StubBench(bus_bytes), name=TOP)


def amaranth_gates(bus_bytes):
    return AmaranthGates(lambda: StubBench(bus_bytes), bus_bytes)


MAKERS = [
    pytest.param(verilator_gates, marks=pytest.mark.slow, id="verilator"),
    pytest.param(amaranth_gates, id="amaranth"),
]


@pytest.fixture(params=MAKERS)
def gates(request):
    return request.param(8)


def attach(gates, data, **parameters):
    gates.attach(data, MemoryModel(size_bytes=len(data), **parameters))


def start(gates, cycles, *, source=0, destination=512):
    gates.begin_trace(cycles)
    gates.write([(SOURCE, source), (DESTINATION, destination), (START, cycles)])


def random_bytes(size=1024):
    return np.random.default_rng(1).integers(0, 256, size, np.uint8)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("bus_bytes", BUS_BYTES)
def test_memory_is_read_and_written_in_the_same_cycle(make, bus_bytes):
    gates, data = make(bus_bytes), random_bytes()
    before = data.copy()
    attach(gates, data)
    start(gates, 5)
    assert gates.advance(LIMIT)
    assert np.array_equal(data[512:][: 5 * bus_bytes], before[: 5 * bus_bytes])
    assert np.array_equal(data[512 + 5 * bus_bytes :], before[512 + 5 * bus_bytes :])


def test_events_are_logged_from_cycle_0_in_every_stream(gates):
    attach(gates, random_bytes())
    start(gates, 40)
    assert gates.advance(LIMIT)
    trace = gates.trace()
    assert gates.cycles == 40
    assert trace.dispatches.tolist() == list(range(40))
    for engine in Engine:
        assert trace.starts[engine].tolist() == list(range(0, 40, engine + 2))
        assert trace.finishes[engine].tolist() == list(range(1, 40, engine + 2))


def test_a_second_program_is_traced_afresh(gates):
    attach(gates, random_bytes())
    for cycles in (7, 3):
        start(gates, cycles)
        assert gates.advance(LIMIT)
        assert (gates.cycles, len(gates.trace().dispatches)) == (cycles, cycles)


def test_a_run_goes_on_where_its_limit_ended_it(gates):
    attach(gates, random_bytes())
    start(gates, 100)
    advances = 1
    while not gates.advance(10):
        advances += 1
    assert advances > 5
    assert gates.trace().dispatches.tolist() == list(range(100))


def test_memory_falls_silent_in_its_cycle_and_the_limit_ends_the_wait(gates):
    attach(gates, random_bytes(), silent_from=3)
    start(gates, 9)
    assert not gates.advance(50)
    assert gates.trace().dispatches.tolist() == [0, 1, 2]


def test_a_reset_ends_a_run_and_a_new_memory_speaks_again(gates):
    attach(gates, random_bytes(), silent_from=0)
    start(gates, 9)
    assert not gates.advance(50)
    gates.reset()
    assert gates.read([START]) == [0]
    attach(gates, random_bytes())
    start(gates, 4)
    assert gates.advance(LIMIT)
    assert gates.cycles == 4


def test_a_power_cycle_clears_the_registers(gates):
    gates.write([(SOURCE, 5)])
    assert gates.read([SOURCE, START]) == [5, 0]
    gates.power_cycle()
    assert gates.read([SOURCE, START]) == [0, 0]


def test_what_lies_beyond_the_memory_reads_as_0_and_is_not_written(gates):
    data = random_bytes(64)
    before = data.copy()
    attach(gates, data)
    start(gates, 3, source=56, destination=0)
    assert gates.advance(LIMIT)
    assert data[:24].tolist() == [*before[56:], *(0,) * 16]
    start(gates, 2, source=32, destination=56)
    assert gates.advance(LIMIT)
    assert data[24:].tolist() == [*before[24:56], *before[32:40]]


def test_a_refused_register_is_an_error(gates):
    with pytest.raises(GatesError, match="0x44"):
        gates.write([(0x44, 1)])


def test_more_events_than_the_program_has_are_an_error(gates):
    attach(gates, random_bytes())
    gates.begin_trace(3)
    gates.write([(START, 4)])
    assert gates.advance(LIMIT)
    with pytest.raises(GatesError, match="4 events"):
        gates.trace()
