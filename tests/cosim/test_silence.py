"""A memory that falls silent amid a store: simulator and gates do the same with the rest of it."""

import pytest
from tests.cosim.case import Case, Run
from tests.cosim.compare import Pair
from tests.cosim.test_cosim import MACHINES, needs_verilator

from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Finish, Store
from tilewright.isa.memory import Memory
from tilewright.runtime.rtl_build import Optimise
from tilewright.runtime.rtl_machine import RtlMachine

CONFIG = MACHINES["tiny"]
DEPTH = CONFIG.depth(Memory.ACTIVATION)
BEATS = 20
"""Of the store: one a vector, more than there is room for, in several bursts."""


@pytest.fixture(scope="module")
def pair() -> Pair:
    """The machine, compiled once."""
    return Pair(RtlMachine(CONFIG, optimise=Optimise.BUILD))


def silenced(inside: int, cycle: int) -> Case:
    """A store whose vectors but the first `inside` lie outside of their bank, and silence from `cycle` on."""
    block = {"n_x": BEATS, "stride_x": CONFIG.cols, "bytes": CONFIG.cols}
    store = Store(address=DEPTH - inside, offset=CONFIG.burst_bytes // 2, **block)
    run = Run(program=(store, Finish()), latency=5, silent_from=cycle, timeout=40)
    return Case(config=CONFIG, runs=(run,), memory_bytes=2048)


@needs_verilator
@pytest.mark.slow
@pytest.mark.parametrize("inside", [1, 3, 7, 8, 9, BEATS])
def test_a_store_goes_on_as_far_as_there_is_room_for_its_beats(pair: Pair, inside: int) -> None:
    ends = set()
    for cycle in range(2, 70):
        difference = pair.first_difference(silenced(inside, cycle))
        assert difference is None, f"silent from cycle {cycle}: {difference}"
        fault = pair.seen[0].fault
        ends.add(fault.cause if fault is not None else Cause.NONE)
    assert Cause.TIMEOUT in ends
    assert (Cause.ADDRESS in ends) == (inside < BEATS)
