"""Gates that are driven like a board, through registers and memory alone, against the simulator."""

import numpy as np
import pytest

from tilewright.isa.assembly import assemble
from tilewright.isa.config import PRESETS
from tilewright.isa.encoding import encode_program
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.isa.fault import Cause
from tilewright.isa.region import Region
from tilewright.isa.register import Status
from tilewright.runtime.board_device import BoardDevice
from tilewright.runtime.device import NOT_YET, Environment
from tilewright.runtime.driver import Driver, DriverError
from tilewright.runtime.loader import LoadError
from tilewright.runtime.rtl_build import Optimise, build
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.rtl_verilator import VerilatorGates
from tilewright.runtime.sim_device import SimDevice
from tilewright.sim.memory import MemoryModel

TINY = PRESETS["tiny"]
ORIGIN, FREE = 0x3000, 0x8000
COPY = """
load base=0 memory=activation n_x=16 stride_x=4 signal=store
store base=1 memory=activation n_x=16 stride_x=4 bytes=4 wait=load
finish
"""
DATA = np.random.default_rng(1).integers(0, 256, 64, np.uint8).tobytes()


class ArrayMemory:
    """The memory that the gates see."""

    def __init__(self, array):
        self.array = array

    def write(self, address, data):
        """Into the array."""
        self.array[address : address + len(data)] = np.frombuffer(data, np.uint8)

    def read(self, address, size_bytes):
        """Out of it."""
        return self.array[address : address + size_bytes].tobytes()


@pytest.fixture(scope="module")
def gates():
    if (tools := find_toolchain()) is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    return VerilatorGates(build(TINY, tools, Optimise.BUILD))


def board(gates, *, silent_from=None, **options):
    """A device whose memory begins with what belongs to others."""
    gates.power_cycle()
    array = np.full(ORIGIN + FREE, 0xA5, np.uint8)
    gates.attach(array, MemoryModel(size_bytes=len(array), silent_from=silent_from))
    memory = ArrayMemory(array)
    return BoardDevice(Driver(gates, TINY), memory, origin=ORIGIN, size_bytes=FREE, **options), array


def program(text=COPY):
    regions = (Region(0, 64, "source"), Region(1, 64, "copy"))
    return Executable(encode_program(assemble(text).program), TINY, regions)


@pytest.mark.slow
def test_bytes_cycles_and_counters_are_the_simulators(gates):
    device, array = board(gates)
    result = device.run(program(), {0: DATA})
    expected = SimDevice(TINY).run(program(), {0: DATA})
    assert result.regions == expected.regions == {0: DATA, 1: DATA}
    assert (result.fault, result.cycles) == (None, expected.cycles)
    assert result.counters == expected.counters
    assert result.dispatch.tolist() == result.start.tolist() == result.finish.tolist() == [NOT_YET] * 3
    assert (array[:ORIGIN] == 0xA5).all(), "what lies before the origin belongs to others"


@pytest.mark.slow
def test_a_prepared_program_runs_on_new_bytes_again_and_again(gates):
    device, _ = board(gates)
    prepared = device.prepare(program(), {0: bytes(64)})
    for data in (DATA, DATA[::-1]):
        assert prepared.run({0: data}).regions[1] == data
    with pytest.raises(LoadError, match="region 0 must be given its 64 bytes, not 3"):
        prepared.run({0: b"abc"})


@pytest.mark.slow
def test_programs_lie_side_by_side_as_long_as_they_are_held(gates):
    device, _ = board(gates)
    one, other = (device.prepare(program(), {0: data}) for data in (DATA, DATA[::-1]))
    assert other.run({}).regions[1] == DATA[::-1]
    assert one.run({}).regions[1] == DATA
    with pytest.raises(LoadError, match="of which 2 programs have a part"):
        device.prepare(program(), {0: DATA})
    del other
    again = device.prepare(program(), {0: DATA[:32] * 2})
    assert one.run({}).regions[1] == DATA
    assert again.run({}).regions[1] == DATA[:32] * 2


@pytest.mark.slow
def test_a_fault_is_reported_and_the_next_program_runs_right(gates):
    device, _ = board(gates)
    stuck = program("nop runs_on=load wait=store\nfinish\n")
    assert device.run(stuck, {0: DATA}, check=False).fault.cause is Cause.DEADLOCK
    assert device.run(program(), {0: DATA}).regions[1] == DATA


@pytest.mark.slow
def test_a_memory_that_falls_silent_is_a_fault_with_a_timeout(gates):
    device, _ = board(gates, silent_from=60)
    result = device.run(program(), {0: DATA}, Environment(timeout=30))
    assert result.fault.cause is Cause.TIMEOUT


@pytest.mark.slow
def test_a_program_that_runs_on_is_given_up_and_the_machine_reset(gates):
    device, array = board(gates, silent_from=60, patience_seconds=0.05)
    with pytest.raises(DriverError, match="but runs on; the machine is reset"):
        device.run(program(), {0: DATA})
    assert Status.RUNNING not in Driver(gates, TINY).status()
    gates.attach(array, MemoryModel(size_bytes=len(array)))
    assert device.run(program(), {0: DATA}).regions[1] == DATA


@pytest.mark.slow
def test_what_a_board_cannot_do_is_refused(gates):
    device, _ = board(gates)
    with pytest.raises(LoadError, match="need 36864 bytes, and must fit the 32768 bytes from 0x3000 on"):
        device.prepare(program(), {0: DATA, 1: bytes(0x7000)})
    with pytest.raises(TilewrightError, match="latency, silent_from must be left out"):
        device.prepare(program(), {0: DATA}, Environment(latency=100, silent_from=1, timeout=1))
    with pytest.raises(TilewrightError, match="origin must be a multiple of 4096, not 64"):
        BoardDevice(Driver(gates, TINY), ArrayMemory(None), origin=64, size_bytes=FREE)
