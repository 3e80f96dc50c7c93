"""Tokens go from instruction to instruction in the order of the program, and tell for whom one waits."""

import numpy as np
import pytest

from tilewright.isa.assembly import assemble
from tilewright.isa.config import PRESETS
from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.memory import Engine
from tilewright.isa.random_program import random_config, random_program
from tilewright.runtime.token_flow import NOBODY, token_flows, token_waits
from tilewright.sim.counters import heads_of
from tilewright.sim.machine import Simulator
from tilewright.sim.memory import MemoryModel

TINY = PRESETS["tiny"]
SIZE = 4096
CHAIN = """
load base=0 memory=activation n_x=8 stride_x=4 signal=matrix
load base=0 memory=activation n_x=8 stride_x=4 signal=matrix
nop runs_on=matrix signal=store
nop runs_on=matrix wait=load
nop runs_on=matrix wait=load
nop runs_on=store wait=matrix
finish
"""


def timed(program, config):
    code = encode_program(program)
    memory = MemoryModel(size_bytes=SIZE)
    simulator = Simulator(config)
    return simulator.time(code, dram=np.zeros(SIZE, np.uint8), memory=memory, check=False)


def expected(timeline):
    """The first cycle at the head with tokens, of what reached the head of its queue; else 0."""
    ready, head = np.zeros((2, len(timeline.engine)), np.int64)
    for engine in Engine:
        heads = heads_of(timeline, engine)
        ready[heads.instruction], head[heads.instruction] = heads.tokens_ready, heads.head
    return ready, head


def test_the_first_token_that_is_given_is_the_first_that_is_taken():
    table = decode_table(encode_program(assemble(CHAIN).program))
    flows = token_flows(table, timed(assemble(CHAIN).program, TINY).timeline.engine)
    assert {pair: [each.tolist() for each in flow] for pair, flow in flows.items()} == {
        (Engine.LOAD, Engine.MATRIX): [[0, 1], [3, 4]],
        (Engine.MATRIX, Engine.STORE): [[2], [5]],
    }


def test_the_engine_that_gave_last_is_blamed():
    result = timed(assemble(CHAIN).program, TINY)
    waits = token_waits(result.table, result.timeline, TINY.token_capacity)
    finish = result.finish.tolist()
    assert waits.ready.tolist() == [0, 0, 0, finish[0] + 1, finish[1] + 1, finish[2] + 1, 0]
    assert waits.blamed.tolist() == [*[NOBODY] * 3, Engine.LOAD, Engine.LOAD, Engine.MATRIX, NOBODY]


@pytest.mark.parametrize("capacity", [1, 2])
def test_a_giver_waits_for_room(capacity):
    gives = ["nop runs_on=matrix signal=store"] * 3
    load = "load base=0 memory=activation n_x=64 stride_x=4 signal=store"
    takes = ["nop runs_on=store wait=load,matrix", *["nop runs_on=store wait=matrix"] * 2]
    program = assemble("\n".join([load, *gives, *takes, "finish"])).program
    config = type(TINY)(**{**vars(TINY), "token_capacity": capacity})
    result = timed(program, config)
    waits = token_waits(result.table, result.timeline, capacity)
    last = result.start.tolist()[4 + 2 - capacity]
    assert waits.ready[3] == last + 1 == result.start[3]
    assert waits.blamed[3] == Engine.STORE


@pytest.mark.parametrize("seed", range(30))
def test_random_programs_have_their_tokens_when_the_simulator_says_so(seed):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    program = random_program(rng, config, instructions=80, memory_bytes=SIZE)
    result = timed(program, config)
    waits = token_waits(result.table, result.timeline, config.token_capacity)
    ready, head = expected(result.timeline)
    reached = ready > 0
    assert reached.sum() >= np.count_nonzero(result.start >= 0)
    assert np.array_equal(np.maximum(waits.ready, head)[reached], ready[reached])
