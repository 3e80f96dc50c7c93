"""Data, refusals and words of the simulator; its cycles are held by test_timeline."""

import json

import numpy as np
import pytest

from tilewright.isa.checker import CheckError
from tilewright.isa.config import PRESETS
from tilewright.isa.encoding import encode_program
from tilewright.isa.error import TilewrightError
from tilewright.isa.fault import Cause
from tilewright.isa.instruction import Destination, Finish, InstructionError, Load, SourceA, Store, Vector
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.random_program import random_config, random_program
from tilewright.isa.semantics import apply
from tilewright.isa.state import Dram, State
from tilewright.sim.machine import Simulator
from tilewright.sim.memory import MemoryModel
from tilewright.sim.result import ProgramFaultError
from tilewright.sim.statistics import summary
from tilewright.sim.trace import Reason, chrome_trace

TINY = PRESETS["tiny"]
LOAD, VECTOR, STORE = (1 << engine for engine in (Engine.LOAD, Engine.VECTOR, Engine.STORE))
DATA, RESULT, CODE, SIZE = 0, 1 << 12, 1 << 13, 1 << 14
VECTORS = 8
COPY = [
    Load(base=0, n_x=VECTORS, stride_x=4, signal=VECTOR),
    Vector(
        a_from=SourceA.ACTIVATION,
        to=Destination.ACTIVATION,
        destination=TINY.depth(Memory.ACTIVATION),
        n_1=VECTORS,
        a_stride_1=1,
        destination_stride_1=1,
        wait=LOAD,
        signal=STORE,
    ),
    Store(base=1, address=TINY.depth(Memory.ACTIVATION), n_x=VECTORS, stride_x=4, bytes=4, wait=VECTOR),
    Finish(),
]


def dram():
    data = np.zeros(SIZE, np.uint8)
    data[:RESULT] = np.random.default_rng(0).integers(0, 256, RESULT)
    return data


def run(program, data, simulator=None, *, timeout=0, check=True, digest=None, **memory):
    simulator = simulator or Simulator(TINY)
    return simulator.run(
        encode_program(program),
        dram=data,
        memory=MemoryModel(size_bytes=len(data), **memory),
        bases=[DATA, RESULT],
        program_address=CODE,
        config_digest=digest,
        timeout=timeout,
        check=check,
    )


def test_a_program_does_what_its_instructions_mean():
    data = dram()
    result = run(COPY, data)
    assert result.fault is None
    assert (data[RESULT : RESULT + 4 * VECTORS] == data[: 4 * VECTORS]).all()
    assert result.counters["load_bytes"] == result.counters["store_bytes"] == 4 * VECTORS


@pytest.mark.parametrize("seed", range(16))
def test_random_programs_leave_what_their_meaning_says(seed):
    rng = np.random.default_rng(seed)
    config, region = random_config(rng, large_share=0.5), 4096
    program = random_program(rng, config, instructions=30, memory_bytes=region)
    code = encode_program(program)
    bases = [region * base for base in range(8)]
    timed = rng.integers(0, 256, region * 8 + len(code), np.uint8)
    timed[8 * region :] = np.frombuffer(code, np.uint8)
    functional, expected = timed.copy(), timed.copy()
    simulator, state = Simulator(config), State(config)
    memory = MemoryModel(size_bytes=len(timed))
    simulator.run(code, dram=timed, memory=memory, bases=bases, program_address=8 * region)
    Simulator(config).run_functional(code, dram=functional, bases=bases)
    apply(program, state, Dram(expected, bases))
    assert (timed == expected).all()
    assert (functional == expected).all()
    for memory_kind in Memory:
        assert (simulator.state.memories[memory_kind] == state.memories[memory_kind]).all()


def test_memories_keep_their_contents_from_program_to_program():
    data, simulator = dram(), Simulator(TINY)
    run([Load(n_x=VECTORS, stride_x=4), Finish()], data, simulator)
    run([Store(base=1, n_x=VECTORS, stride_x=4, bytes=4), Finish()], data, simulator)
    assert (data[RESULT : RESULT + 4 * VECTORS] == data[: 4 * VECTORS]).all()


def test_what_has_started_before_a_fault_ends():
    wrong = Load(address=TINY.depth(Memory.ACTIVATION) - 1, n_x=2, stride_x=4)
    data = dram()
    result = run([Store(base=1, n_x=VECTORS, stride_x=4, bytes=4), wrong, Finish()], data, check=False)
    assert result.fault.cause == Cause.ADDRESS
    assert (result.finish[:2] > 0).all()
    assert not data[RESULT : RESULT + 4 * VECTORS].any()


def test_after_a_timeout_memory_has_the_beats_that_reached_it():
    fill, data = Load(n_x=VECTORS, stride_x=4, signal=STORE), dram()
    program = [fill, Store(base=1, n_x=VECTORS, stride_x=4, bytes=4, wait=LOAD), Finish()]
    whole = run(program, data.copy())
    answer = int(whole.finish[1]) - 1
    for beats in range(VECTORS + 1):
        seen = data.copy()
        # The answer comes the latency after the last beat; from then on one beat a cycle is missing.
        silent_from = answer - 16 + 1 - (VECTORS - beats)
        result = run(program, seen, silent_from=silent_from, timeout=100)
        assert result.fault.cause == Cause.TIMEOUT
        assert result.finish[1] == -1
        assert (seen[RESULT : RESULT + 4 * beats] == data[: 4 * beats]).all()
        assert not seen[RESULT + 4 * beats : RESULT + 4 * VECTORS].any()


# --- refusals -----------------------------------------------------------------------------------------------


def test_a_racy_program_is_refused_unless_asked_for():
    racy = [COPY[0], Store(base=1, n_x=VECTORS, stride_x=4, bytes=4), Finish()]
    with pytest.raises(CheckError):
        run(racy, dram())
    assert run(racy, dram(), check=False).fault is None


def test_an_undefined_instruction_is_refused_or_is_a_fault_in_words():
    program = [Store(bytes=5), Finish()]
    with pytest.raises(CheckError):
        run(program, dram())
    result = run(program, dram(), check=False)
    with pytest.raises(ProgramFaultError, match=r"fetch: instruction 0 \(store bytes=5\).*bytes must be"):
        result.raise_for_fault()
    with pytest.raises(InstructionError, match=r"instruction 0 must be defined: bytes must be"):
        Simulator(TINY).run_functional(encode_program(program), dram=dram(), check=False)


def test_a_program_without_instructions_is_a_fault_that_leaves_memory_as_it_was():
    data = dram()
    result = run([], data)
    assert result.fault.cause == Cause.ILLEGAL
    assert (data == dram()).all()


def test_another_machines_program_is_a_fault_in_words():
    result = run(COPY, dram(), digest=bytes(8))
    assert result.fault.cause == Cause.CONFIG
    assert TINY.digest().hex() in result.explain_fault()


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"bases": [1]}, "base register 0 must be a multiple of 64, not 1"),
        ({"program_address": 32}, "program_address must be a multiple of 64, not 32"),
        ({"memory": MemoryModel(size_bytes=64)}, "dram must have the memory's 64 bytes, not 16384"),
        ({"timeout": -1}, "timeout must be at least 0 cycles, not -1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(changed, text):
    arguments = {"dram": dram(), "memory": MemoryModel(size_bytes=SIZE)} | changed
    with pytest.raises(TilewrightError, match=text):
        Simulator(TINY).run(encode_program(COPY), **arguments)


# --- traces and statistics ----------------------------------------------------------------------------------


def test_waits_fill_the_time_between_dispatch_and_start():
    result = run(COPY, dram())
    traces = result.trace()
    assert [trace.instruction for trace in traces] == [0, 1, 2]
    for trace in traces:
        assert sum(wait.end - wait.begin for wait in trace.waits) == trace.start - trace.dispatched - 1
    assert traces[1].waited(Reason.TOKEN) == result.finish[0] - result.dispatched[1]


def test_the_trace_file_has_a_lane_for_each_engine():
    result = run(COPY, dram())
    trace = json.loads(json.dumps(chrome_trace(result.timeline, result.instruction_text)))
    lanes = [event["args"]["name"] for event in trace["traceEvents"] if event["ph"] == "M"]
    assert lanes == [engine.label for engine in Engine]
    spans = {event["name"]: event for event in trace["traceEvents"] if event["ph"] == "X"}
    assert set(spans) == {"load", "vector", "store"}
    assert spans["store"]["ts"] == result.start[2]
    assert spans["store"]["dur"] == result.finish[2] - result.start[2] + 1
    assert spans["store"]["args"]["waited"].keys() == {"token"}


def test_the_summary_accounts_for_every_cycle():
    result = run(COPY, dram())
    text = summary(result, macs=result.cycles * TINY.peak_macs // 2)
    assert f"cycles {result.cycles}, instructions 4" in text
    assert "utilization 50.0%" in text
    assert all(sum(counts) <= result.cycles for counts in result.engines.values())
