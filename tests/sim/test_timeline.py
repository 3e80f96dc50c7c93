from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.stepped.trial import draw_trial, ending, simulated, stepped

from tilewright.isa.config import IN_FLIGHT, PRESETS
from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.fault import Cause, Fault, FaultEngine
from tilewright.isa.instruction import Finish, Load, Matrix, Nop, Store
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.timing import ADDRESS_FAULT, DMA_SETUP, STORE_BEATS
from tilewright.sim.memory import MemoryModel
from tilewright.sim.record import ProgramMemory
from tilewright.sim.timeline import HostSettings, NeverEndsError, run_timeline

TINY = PRESETS["tiny"]
FIXED_TRIALS = 180


def run(program, *, timeout=0, mismatch=False, **memory):
    placed = ProgramMemory(MemoryModel(size_bytes=1 << 16, **memory), 0, [1 << 12])
    return run_timeline(TINY, decode_table(encode_program(program)), placed, HostSettings(timeout, mismatch))


@pytest.mark.slow
def test_every_event_is_in_the_cycle_in_which_a_stepped_machine_has_it():
    endings = Counter()
    for seed in range(FIXED_TRIALS):
        trial = draw_trial(seed)
        expected = stepped(trial)
        assert simulated(trial) == expected, f"seed {seed}"
        endings[ending(expected)] += 1
    # The trials are worth something: nearly every way to end was among them.
    assert {"finish", "ILLEGAL", "BUS", "ADDRESS", "DEADLOCK", "TIMEOUT"} <= set(endings)


@pytest.mark.slow
@given(seed=st.integers(1 << 10, 1 << 40))
def test_any_program_takes_the_cycles_of_a_stepped_machine(seed):
    trial = draw_trial(seed)
    assert simulated(trial) == stepped(trial)


def test_a_lonely_finish_takes_what_the_fetch_of_one_burst_takes():
    # Requested in cycle 1, on the bus in 2, first beat 16 later, 8 beats, visible after 2, dispatched after
    # 2.
    dispatched = 2 + 16 + 7 + 2 + 2
    timeline = run([Finish()], latency=16)
    assert timeline.dispatched.tolist() == [dispatched]
    assert timeline.cycles == dispatched + 1 + 1
    assert timeline.fault is None
    assert timeline.traffic == (64, 0, 0)


def test_an_engine_runs_as_many_instructions_as_may_be_in_flight():
    # Padding alone: each can start long before the one before it has finished.
    pad = Load(memory=Memory.ACTIVATION, n_y=0, n_x=0, pad_top=1, pad_left=250)
    timeline = run([pad] * (IN_FLIGHT + 2) + [Finish()])
    start, finish = timeline.start.tolist(), timeline.finish.tolist()
    assert start[IN_FLIGHT - 1] < finish[0]
    assert start[IN_FLIGHT : IN_FLIGHT + 2] == [finish[0] + 1, finish[1] + 1]


@pytest.mark.parametrize(
    ("fields", "delay"),
    [
        # Streamed from start + 4 on, issued one cycle later, a fault one later still.
        ({"activation": 255, "n_x": 2, "stride_x": 1}, 4 + 1 + 1 + 1),
        # Row 2 of the preload, which issues from start + 1 on.
        ({"weight": 254}, 1 + 2 + 1),
        # Behind 4 rows and 4 columns.
        ({"accumulator": 63, "n_x": 2}, 4 + 1 + 4 + 4 + 4),
    ],
    ids=["activation", "weight", "accumulator"],
)
def test_an_address_of_a_matrix_instruction_is_a_fault_after_its_issue(fields, delay):
    timeline = run([Matrix(**fields), Finish()])
    assert timeline.fault == Fault(int(timeline.start[0]) + delay, FaultEngine.MATRIX, 0, Cause.ADDRESS)


def test_an_empty_program_is_illegal_in_cycle_0():
    timeline = run([])
    assert timeline.fault == Fault(0, FaultEngine.FETCH, 0, Cause.ILLEGAL)
    assert timeline.cycles == 2


def test_the_program_of_another_machine_is_not_even_fetched():
    timeline = run([Finish()], mismatch=True)
    assert timeline.fault == Fault(0, FaultEngine.FETCH, 0, Cause.CONFIG)
    assert timeline.traffic == (0, 0, 0)


def test_a_token_that_nobody_gives_is_a_deadlock():
    timeline = run([Nop(runs_on=Engine.MATRIX, wait=1 << Engine.LOAD), Finish()])
    assert timeline.fault is not None
    assert timeline.fault.cause == Cause.DEADLOCK
    assert timeline.fault.instruction == 2
    # Found as soon as finish is dispatched and its own queue slot is visible.
    assert timeline.fault.cycle == timeline.dispatched[1] + 1
    assert timeline.cycles == timeline.fault.cycle + 2


def test_a_silent_memory_is_a_timeout_after_as_many_silent_cycles():
    timeline = run([Finish()], silent_from=10, latency=16, timeout=50)
    # The address is accepted in cycle 2, the last handshake.
    assert timeline.fault == Fault(2 + 1 + 50, FaultEngine.SYSTEM, 0, Cause.TIMEOUT)
    assert timeline.cycles == timeline.fault.cycle + 2


@pytest.mark.parametrize(
    ("inside", "cause"), [(STORE_BEATS - 1, Cause.ADDRESS), (STORE_BEATS, Cause.TIMEOUT)]
)
def test_a_store_whose_address_is_not_accepted_goes_on_as_long_as_there_is_room(inside, cause):
    depth, cols = TINY.depth(Memory.ACTIVATION), TINY.cols
    store = Store(address=depth - inside, n_x=16, stride_x=cols, bytes=cols)
    shown = int(run([store, Finish()]).start[0]) + DMA_SETUP + 1
    timeline = run([store, Finish()], silent_from=shown, timeout=50)
    # The last handshake is fetch's; what is pending from then on is the address.
    timeout = shown + 50
    taken = shown + 1 + inside
    cycle = taken + ADDRESS_FAULT if cause == Cause.ADDRESS else timeout
    assert timeline.fault is not None
    assert (timeline.fault.cycle, timeline.fault.cause) == (cycle, cause)
    assert timeline.cycles == timeout + 2


def test_a_silent_memory_without_a_timeout_is_refused_with_the_remedy():
    with pytest.raises(NeverEndsError, match="timeout must be set"):
        run([Load(n_x=4, stride_x=4), Finish()], silent_from=10)


def test_a_memory_that_is_slower_than_the_timeout_is_a_fault():
    timeline = run([Finish()], latency=30, timeout=29)
    assert timeline.fault is not None
    assert timeline.fault.cause == Cause.TIMEOUT
    assert run([Finish()], latency=30, timeout=30).fault is None
