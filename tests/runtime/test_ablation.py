"""A unit of no-ops takes no time and changes no order: what is left is what the others need."""

from dataclasses import replace

import pytest

import network
from tilewright.isa.assembly import assemble
from tilewright.isa.checker import CheckError, check
from tilewright.isa.config import PRESETS
from tilewright.isa.error import TilewrightError
from tilewright.isa.executable import Executable
from tilewright.isa.instruction import Finish, Nop
from tilewright.isa.memory import Engine
from tilewright.isa.model import CONSTANTS, INPUTS
from tilewright.runtime.ablation import EACH, UNITS, ablated, ablated_executable, run_without
from tilewright.runtime.device import DEFAULT_ENVIRONMENT
from tilewright.runtime.rtl_device import RtlDevice
from tilewright.runtime.rtl_toolchain import find_toolchain
from tilewright.runtime.sim_device import SimDevice

TINY = PRESETS["tiny"]
# The array is busy far longer than the bus: 16 tiles of weights on 64 rows.
PRODUCT = """
.region 0 1024 "in"
.region 1 256 "out"
load base=0 memory=activation n_x=256 stride_x=4 signal=matrix
load base=0 memory=weight n_x=64 stride_x=4 signal=matrix
nop runs_on=matrix wait=load
matrix n_x=64 n_ci=16 stride_x=1 stride_ci=12 wait=load signal=vector
vector a_from=accumulator destination=256 n_1=64 a_stride_1=1 destination_stride_1=1 wait=matrix signal=store
store base=1 memory=activation address=256 n_x=64 stride_x=4 bytes=4 wait=vector
finish
"""


@pytest.fixture(scope="module")
def device():
    return SimDevice(TINY)


def product(text=PRODUCT):
    assembly = assemble(text)
    return Executable.of(assembly.program, TINY, assembly.regions), {0: bytes(1024)}


def layers():
    """A compiled model: its executable and what lies behind its base registers."""
    model = network.make_runnable()
    sizes = {region.base: region.size_bytes for region in model.executable.regions}
    return model.executable, {CONSTANTS: model.constants, INPUTS: bytes(sizes[INPUTS])}


PROGRAMS = pytest.mark.parametrize("program", [product, layers])


def times(device, executable, regions):
    """Cycles without each unit."""
    return {unit: run_without(unit, device, executable, regions).cycles for unit in UNITS}


@PROGRAMS
@pytest.mark.parametrize("unit", UNITS)
def test_queues_and_tokens_stay(program, unit):
    executable, _ = program()
    for before, after in zip(executable.program(), ablated(executable.program(), unit), strict=True):
        assert (after.engine, after.wait, after.signal) == (before.engine, before.wait, before.signal)
        assert after == before or (isinstance(after, Nop) and before.engine in UNITS[unit])
        assert before.engine not in UNITS[unit] or isinstance(after, Nop)


@PROGRAMS
@pytest.mark.parametrize("unit", UNITS)
def test_a_sound_program_stays_sound(program, unit):
    executable, _ = program()
    sizes = {region.base: region.size_bytes for region in executable.regions}
    assert check(ablated(executable.program(), unit), TINY, region_bytes=sizes).ok


def test_tokens_are_needed():
    """What the test above would see."""
    executable, _ = product()
    bare = [replace(each, signal=0) for each in ablated(executable.program(), "matrix")]
    assert not check(bare, TINY).ok


@PROGRAMS
def test_without_its_slowest_engine_a_run_is_much_shorter(device, program):
    executable, regions = program()
    full = device.run(executable, regions)
    busy = {engine.label: full.counters[f"{engine.label}_busy"] for engine in Engine}
    slowest = max(busy, key=lambda name: busy[name])
    found = times(device, executable, regions)
    assert found[slowest] < full.cycles - busy[slowest] // 4
    assert max(found.values()) <= full.cycles
    assert found["dma"] < min(found["load"], found["store"])


def test_a_unit_saves_the_time_that_the_others_wait_for_it(device):
    executable, regions = product()
    full = device.run(executable, regions)
    # Nothing overlaps here but the start of the array, which loads its first weights while the bus is busy.
    saved = {unit: full.cycles - cycles for unit, cycles in times(device, executable, regions).items()}
    assert saved["matrix"] == full.counters["matrix_busy"] - 2
    assert saved["vector"] == full.counters["vector_busy"] - 1
    assert saved["store"] == full.counters["store_busy"] - 1


def test_nothing_is_changed_where_a_unit_has_nothing_to_do(device):
    text = "load n_x=4 stride_x=4 signal=matrix\nmatrix n_x=4 stride_x=1 wait=load\nfinish"
    executable = Executable.of(assemble(text).program, TINY)
    for unit in ("vector", "store"):
        assert ablated_executable(executable, unit) == executable
        without = run_without(unit, device, executable, {0: bytes(64)})
        assert without.cycles == device.run(executable, {0: bytes(64)}).cycles


@pytest.mark.slow
@PROGRAMS
def test_the_gates_take_the_same_time(device, program):
    if find_toolchain() is None:
        pytest.skip("needs Verilator and a C++ compiler: tilewright doctor --for rtl")
    executable, regions = program()
    assert times(RtlDevice(TINY), executable, regions) == times(device, executable, regions)


def test_units_are_all_engines():
    assert frozenset().union(*(UNITS[unit] for unit in EACH)) == set(Engine)
    assert sum(len(UNITS[unit]) for unit in EACH) == len(Engine)


def test_an_unknown_unit_is_refused():
    with pytest.raises(
        TilewrightError, match="unit must be one of dma, matrix, vector, load, store, not 'x'"
    ):
        ablated([Finish()], "x")


def test_a_fault_is_told(device):
    executable, regions = product(PRODUCT.replace("n_x=256 stride_x=4 signal", "n_x=256 stride_x=5 signal"))
    with pytest.raises(CheckError, match="stride_x"):
        run_without("matrix", device, executable, regions)
    with pytest.raises(TilewrightError, match=r"without matrix, .* ILLEGAL"):
        run_without("matrix", Unchecked(), executable, regions)


class Unchecked(SimDevice):
    """Runs what is unsound."""

    def __init__(self):
        super().__init__(TINY)

    def run(self, executable, regions, environment=DEFAULT_ENVIRONMENT, *, check=True):
        return super().run(executable, regions, environment, check=False)
