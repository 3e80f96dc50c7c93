"""Every device answers alike: regions, cycles, counters, the cycle of each instruction, refusals."""

import json

import numpy as np
import pytest

from tilewright.isa.assembly import assemble
from tilewright.isa.checker import CheckError
from tilewright.isa.config import PRESETS
from tilewright.isa.encoding import decode_table
from tilewright.isa.executable import Executable
from tilewright.isa.fault import Cause
from tilewright.isa.memory import Engine
from tilewright.runtime.device import COUNTERS, NO_ENGINE, NOT_YET, Environment, engines_of, macs_of
from tilewright.runtime.loader import LoadError
from tilewright.runtime.rtl_build import Optimise
from tilewright.runtime.rtl_device import RtlDevice, of_engines
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.sim_device import SimDevice
from tilewright.runtime.trace import timeline_json

TINY = PRESETS["tiny"]
COPY = """
.region 0 64 "in"
.region 1 64 "out"
load base=0 memory=activation n_x=16 stride_x=4 signal=store
nop runs_on=matrix
store base=1 memory=activation n_x=16 stride_x=4 bytes=4 wait=load
finish
"""
IN = bytes(range(64))


def executable(text, config=TINY):
    assembly = assemble(text)
    return Executable.of(assembly.program, config, assembly.regions)


@pytest.fixture(scope="module")
def sim():
    return SimDevice(TINY)


@pytest.fixture(scope="module")
def rtl():
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    return RtlDevice(TINY, optimise=Optimise.BUILD)


@pytest.fixture(params=["sim", pytest.param("rtl", marks=pytest.mark.slow)])
def device(request):
    return request.getfixturevalue(request.param)


def test_the_device_names_itself_and_its_machine(device, request):
    assert device.name in request.node.name
    assert device.config == TINY


def test_regions_come_back_as_the_program_leaves_them(device):
    assert device.run(executable(COPY), {0: IN}).regions == {0: IN, 1: IN}


def test_a_prepared_program_runs_on_new_bytes_as_if_alone(device):
    prepared = device.prepare(executable(COPY), {0: IN})
    for data in (IN, IN[::-1], bytes(64)):
        one, alone = prepared.run({0: data}), device.run(executable(COPY), {0: data})
        assert one.regions == {0: data, 1: data}
        assert (one.cycles, one.counters) == (alone.cycles, alone.counters)
    assert prepared.run({}).regions == {0: bytes(64), 1: bytes(64)}


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ({0: b"abc"}, "region 0 must be given its 64 bytes, not 3"),
        ({3: b"abc"}, "region 3 must be given its 0 bytes, not 3"),
    ],
)
def test_new_bytes_fill_their_region(device, regions, message):
    with pytest.raises(LoadError, match=message):
        device.prepare(executable(COPY), {0: IN}).run(regions)


def test_every_instruction_has_its_cycles(device):
    result = device.run(executable(COPY), {0: IN})
    assert result.fault is None
    assert np.all(result.dispatch >= 0)
    assert list(result.start >= 0) == list(result.finish >= 0) == [True, True, True, False]
    assert result.finish[1] == result.start[1]
    assert result.start[2] == result.finish[0] + 1
    assert result.cycles == result.finish[2] + 2
    assert result.counters.keys() == set(COUNTERS)


def test_latency_is_the_hosts(device):
    fast, slow = (device.run(executable(COPY), {0: IN}, Environment(latency=n)).cycles for n in (1, 100))
    assert slow > fast + 2 * 99


def test_a_silent_memory_is_a_fault_after_the_hosts_timeout(device):
    result = device.run(executable(COPY), {0: IN}, Environment(silent_from=0, timeout=40))
    assert result.fault.cause is Cause.TIMEOUT
    assert np.all(result.dispatch == NOT_YET)
    assert device.run(executable(COPY), {0: IN}).fault is None


def test_an_unsound_program_is_refused_unless_it_is_wanted(device):
    racy = executable(COPY.replace(" wait=load", "").replace(" signal=store", ""))
    with pytest.raises(CheckError, match="hazard"):
        device.run(racy, {0: IN})
    assert device.run(racy, {0: IN}, check=False).cycles > 0


def test_accesses_beyond_a_region_are_refused(device):
    with pytest.raises(CheckError, match="region"):
        device.run(executable(COPY.replace('1 64 "out"', '1 60 "out"')), {0: IN})


def test_a_program_for_another_machine_is_refused(device):
    with pytest.raises(LoadError, match="of the device"):
        device.run(executable(COPY, PRESETS["reference"]), {0: IN})


@pytest.mark.slow
def test_simulator_and_gates_say_the_same(sim, rtl):
    one, two = (each.run(executable(COPY), {0: IN}) for each in (sim, rtl))
    assert (one.cycles, one.counters, one.regions) == (two.cycles, two.counters, two.regions)
    for name in ("dispatch", "start", "finish"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.slow
def test_both_write_one_timeline_but_only_the_simulator_says_what_was_waited_for(sim, rtl):
    made = executable(COPY)
    one, two = (json.loads(timeline_json(made, each.run(made, {0: IN}))) for each in (sim, rtl))
    waits = [event["args"].pop("waited") for event in one["traceEvents"] if event["ph"] == "X"]
    assert waits[-1].keys() == {"token"}
    assert one == two


def test_engines_and_products_are_read_off_the_code():
    table = decode_table(executable(COPY).code)
    assert engines_of(table).tolist() == [Engine.LOAD, Engine.MATRIX, Engine.STORE, NO_ENGINE]
    table = decode_table(executable("matrix n_x=3 n_ci=5\nmatrix n_y=2\nfinish\n").code)
    assert macs_of(table, TINY) == (3 * 5 + 2) * 16


def test_events_of_engines_go_to_their_instructions():
    engines = np.array([Engine.LOAD, Engine.STORE, NO_ENGINE, Engine.LOAD, Engine.LOAD])
    events = [np.array([5, 6]), np.array([]), np.array([]), np.array([9])]
    assert of_engines(engines, events).tolist() == [5, 9, NOT_YET, 6, NOT_YET]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"latency": 0}, "latency must be"), ({"timeout": 1 << 32}, "timeout must be from 0 to 4294967295")],
)
def test_a_host_that_does_not_fit_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Environment(**options)
