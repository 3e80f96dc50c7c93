import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.compiler.targets.accel.access_log import AccessLog
from tilewright.compiler.targets.accel.token import with_tokens
from tilewright.isa.access_table import AccessTable
from tilewright.isa.address import AddressLoops
from tilewright.isa.checker import ProblemKind, check
from tilewright.isa.config import PRESETS
from tilewright.isa.footprint import Access
from tilewright.isa.instruction import Finish, Load, Matrix, Nop, Store
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.random_program import random_config, random_program

TINY = PRESETS["tiny"]
MEMORY_BYTES = 4096


def draw(seed, length=30, **sizes):
    rng = np.random.default_rng(seed)
    config = replace(random_config(rng), **sizes)
    program = random_program(rng, config, instructions=length, memory_bytes=MEMORY_BYTES)
    return config, [bare(instruction) for instruction in program]


def bare(instruction):
    return replace(instruction, wait=0, signal=0)


def tokens(program):
    """(producer, consumer) of each token, by positions in the program."""
    given = {}
    found = []
    for index, instruction in enumerate(program):
        for engine in Engine:
            if instruction.wait >> engine & 1:
                found.append((given[engine, instruction.engine].pop(0), index))
            if instruction.signal >> engine & 1:
                given.setdefault((instruction.engine, engine), []).append(index)
    return found


def without(program, producer, consumer):
    result = list(program)
    result[producer] = replace(
        result[producer], signal=result[producer].signal & ~(1 << result[consumer].engine)
    )
    result[consumer] = replace(
        result[consumer], wait=result[consumer].wait & ~(1 << program[producer].engine)
    )
    return result


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_any_program_becomes_sound_and_stays_the_same_otherwise(seed):
    config, program = draw(seed)
    done = with_tokens(program, config)
    assert [bare(instruction) for instruction in done] == program
    assert check(done, config).ok


@pytest.mark.parametrize("seed", range(12))
def test_every_token_is_needed(seed):
    config, program = draw(seed, length=24, token_capacity=15)
    done = with_tokens(program, config)
    for producer, consumer in tokens(done):
        problems = check(without(done, producer, consumer), config).problems
        assert {problem.kind for problem in problems} == {ProblemKind.HAZARD}


def test_tokens_that_stand_already_are_replaced():
    config, program = draw(3)
    done = with_tokens(program, config)
    assert with_tokens(done, config) == done


def lead(count):
    """Loads of weights, each for one matrix instruction, all before the first of these."""
    loads = [Load(memory=Memory.WEIGHT, address=4 * k, n_x=4, stride_x=4) for k in range(count)]
    return [*loads, *(Matrix(weight=4 * k) for k in range(count)), Finish()]


@pytest.mark.parametrize("capacity", [1, 2, 5, 15])
@pytest.mark.parametrize("depth", [1, 4])
def test_more_tokens_than_a_counter_holds_are_merged(capacity, depth):
    config = replace(TINY, token_capacity=capacity, queue_depth=depth)
    done = with_tokens(lead(40), config)
    assert check(done, config).ok
    assert len(tokens(done)) == capacity


def test_merged_tokens_are_spread_evenly():
    done = with_tokens(lead(40), replace(TINY, token_capacity=10))
    delays = [producer - (consumer - 40) for producer, consumer in tokens(done)]
    assert max(delays) <= 7


def test_the_newest_conflict_is_the_one_waited_for():
    fill = Load(memory=Memory.WEIGHT, n_x=4, stride_x=4)
    other = replace(fill, address=64)
    done = with_tokens([fill, fill, other, Matrix(), Finish()], TINY)
    assert tokens(done) == [(1, 3)]


def test_what_is_known_through_another_engine_is_not_waited_for():
    load, matrix = Load(memory=Memory.WEIGHT, n_x=4, stride_x=4), Matrix(accumulator=3)
    drain = Store(memory=Memory.ACCUMULATOR, address=3, bytes=16)
    again = Load(memory=Memory.ACCUMULATOR, address=3, stride_x=16)
    done = with_tokens([load, matrix, drain, again, Finish()], TINY)
    assert tokens(done) == [(0, 1), (1, 2), (2, 3)]


def test_memory_outside_is_told_apart_by_bytes_and_base_register():
    out = Store(bytes=4, base=1, offset=64, n_x=3, stride_x=8)
    back = [
        Load(base=1, offset=68, n_x=3, stride_x=8, address=64),
        Load(base=2, offset=64, address=128),
        Load(base=1, offset=80, address=192),
    ]
    assert tokens(with_tokens([out, *back, Finish()], TINY)) == [(0, 3)]


@pytest.mark.parametrize(("address", "count"), [(0, 4), (0, 1), (3, 1)])
def test_a_conflict_far_back_is_found(address, count):
    """The matrix reads four vectors: all of what was loaded, its first, its last."""
    old = Load(memory=Memory.WEIGHT, address=address, n_x=count, stride_x=4)
    between = [Load(memory=Memory.WEIGHT, address=8 + k, stride_x=4) for k in range(100)]
    assert tokens(with_tokens([old, *between, Matrix(), Finish()], TINY)) == [(0, 101)]


def test_what_touches_nothing_waits_for_nothing():
    padding = Load(n_y=0, pad_top=1)
    done = with_tokens([Store(bytes=4, base=0), Nop(runs_on=Engine.MATRIX), padding, Finish()], TINY)
    assert tokens(done) == [(0, 2)]  # The vector that the padding overwrites, not the memory.


def some_access(r, write):
    counts = tuple(r.choice((1, 2, 3, 5)) for _ in range(2))
    strides = tuple(r.choice((-7, -2, -1, 0, 1, 2, 3, 4, 12)) for _ in range(2))
    nest = AddressLoops(r.randint(30, 60), counts, strides)
    return Access(Memory.ACTIVATION, 0, write, nest, r.choice((1, 1, 3)), r.choice((1, 1, 2)))


def table_of(*accesses):
    """Each of an instruction of its own."""
    columns = {
        "row": range(len(accesses)),
        **{
            name: [getattr(access, name) for access in accesses]
            for name in ("memory", "bank", "write", "length", "slices")
        },
        "low": [access.bounds[0] for access in accesses],
        "high": [access.bounds[1] for access in accesses],
        "first": [access.nest.first for access in accesses],
        "counts": [access.nest.counts for access in accesses],
        "strides": [access.nest.strides for access in accesses],
    }
    return AccessTable(**{name: np.array(column) for name, column in columns.items()})


def test_accesses_conflict_exactly_where_they_share_an_address():
    r = random.Random(5)
    for _ in range(1500):
        first, second = some_access(r, True), some_access(r, False)
        log = AccessLog(table_of(first, second), np.array([Engine.LOAD, Engine.STORE]))
        log.add(0, [0] * len(Engine))
        needs = log.add(1, [0] * len(Engine))
        shared = np.intersect1d(first.addresses(), second.addresses())
        assert needs[Engine.LOAD] == (len(shared) > 0)
