"""The checker finds every kind of problem, says where it is, and finds none where there is none."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.isa.checker import SHOWN_PROBLEMS, CheckError, ProblemKind, check
from tilewright.isa.config import PRESETS
from tilewright.isa.encoding import decode_table, encode_program
from tilewright.isa.footprint import footprint
from tilewright.isa.instruction import Finish, Load, Matrix, Nop, SourceA, Store, Vector
from tilewright.isa.memory import Engine, Memory
from tilewright.isa.random_program import random_config, random_program

TINY = PRESETS["tiny"]
LOAD, MATRIX, VECTOR, STORE = (
    1 << engine for engine in (Engine.LOAD, Engine.MATRIX, Engine.VECTOR, Engine.STORE)
)
BANK = TINY.activation_vectors

# A tile through all engines: weights and activations come, the product goes back.
TILE = [
    Load(memory=Memory.WEIGHT, n_x=4, stride_x=4),
    Load(base=1, n_x=8, stride_x=4, signal=MATRIX),
    Matrix(n_x=8, stride_x=1, wait=LOAD, signal=VECTOR),
    Vector(
        a_from=SourceA.ACCUMULATOR,
        destination=BANK,
        n_1=8,
        a_stride_1=1,
        destination_stride_1=1,
        wait=MATRIX,
        signal=STORE,
    ),
    Store(base=2, address=BANK, n_x=8, stride_x=4, bytes=4, wait=VECTOR),
    Finish(),
]


def found(program, config=TINY, **options):
    return check(program, config, **options).problems


def only(program, kind, config=TINY, **options):
    """The one problem of a program, which is of that kind."""
    problems = found(program, config, **options)
    assert [problem.kind for problem in problems] == [kind], problems
    return problems[0]


def without_tokens(program):
    return [replace(instruction, wait=0, signal=0) for instruction in program]


# --- programs without problems -----------------------------------------------------------------------------


def test_an_ordered_program_has_no_problems():
    report = check(TILE, TINY, region_bytes={0: 16, 1: 32, 2: 32})
    assert report.ok
    assert report.format() == "no problems"
    report.raise_for_problems()
    assert check(TILE, TINY, table=decode_table(encode_program(TILE))).ok


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_that_are_legal_have_no_problems(seed):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    program = random_program(rng, config, instructions=80, memory_bytes=4096)
    assert found(program, config, region_bytes=dict.fromkeys(range(8), 4096)) == ()


# --- one instruction ---------------------------------------------------------------------------------------


def test_an_undefined_instruction_is_named_with_its_reasons():
    problem = only([Load(n_x=2, stride_x=3), Finish()], ProblemKind.UNDEFINED)
    assert problem.instructions == (0,)
    assert "instruction 0 (load n_x=2 stride_x=3): stride_x must be a multiple of 4 bytes" in problem.text


def test_finish_must_come_and_come_last():
    assert "must end with finish" in only([], ProblemKind.UNDEFINED).text
    assert "the last instruction must be finish" in only([Nop()], ProblemKind.UNDEFINED).text
    assert only([Finish(), Finish()], ProblemKind.UNDEFINED).instructions == (0,)


@pytest.mark.parametrize(
    ("instruction", "text"),
    [
        (
            Load(address=BANK - 2, n_x=3, stride_x=4),
            "vectors 254 to 256 of activation must lie in one bank, bank 0",
        ),
        (Load(address=1, n_y=2, chip_stride_y=-2), "vectors -1 to 1 of activation"),
        (Store(address=BANK, n_x=2, chip_stride_x=-1), "bank 1 is 256 to 511"),
        (Matrix(n_x=65), "vectors 0 to 64 of accumulator"),
        (Matrix(n_ci=65), "vectors 0 to 259 of weight"),
        (Matrix(activation=BANK - 1, n_kx=2, stride_kx=1), "vectors 255 to 256 of activation"),
        (Vector(destination=BANK, parameter=63, bias=1, requantise=1), "vectors 63 to 64 of parameter"),
    ],
)
def test_addresses_that_leave_their_bank_are_found(instruction, text):
    assert text in only([instruction, Finish()], ProblemKind.ADDRESS).text


def test_bytes_outside_of_a_region_are_found():
    program = [Store(base=3, offset=8, n_x=2, stride_x=8, bytes=3), Finish()]
    assert found(program, region_bytes={3: 19}) == ()
    problem = only(program, ProblemKind.REGION, region_bytes={3: 18})
    assert "bytes 8 to 18 must lie in the region of base register 3 of 18 bytes" in problem.text
    assert "base register 3 must have a region" in only(program, ProblemKind.REGION, region_bytes={}).text
    assert found(program) == ()


def test_bytes_before_a_base_register_are_found_without_regions():
    program = [Load(n_y=2, stride_y=-8), Finish()]
    assert "bytes -8 to 3 must lie in the region of base register 0" in only(program, ProblemKind.REGION).text


def test_a_vector_instruction_in_place_must_visit_an_address_once():
    strides = {"a_stride_0": 1, "a_stride_1": 1, "destination_stride_0": 1, "destination_stride_1": 1}
    twice = Vector(a=5, destination=5, n_0=3, n_1=2, **strides)
    problem = only([twice, Finish()], ProblemKind.IN_PLACE)
    assert "every vector must be visited once, not activation vector 6 2 times" in problem.text
    assert found([replace(twice, n_1=1), Finish()]) == ()
    # Strides do not show that 0, 3, 6, 2, 5, 8 are distinct.
    distinct = {"a_stride_0": 2, "a_stride_1": 3, "destination_stride_0": 2, "destination_stride_1": 3}
    assert found([Vector(n_0=2, n_1=3, **distinct), Finish()]) == ()
    # Not in place, the last of two writes stays.
    assert found([replace(twice, destination=BANK), Finish()]) == ()


# --- tokens ------------------------------------------------------------------------------------------------


def test_tokens_that_nobody_takes_are_found():
    program = [Nop(runs_on=Engine.LOAD, signal=STORE), Nop(runs_on=Engine.LOAD, signal=STORE), Finish()]
    problem = only(program, ProblemKind.TOKEN)
    assert problem.instructions == (0, 1)
    assert "2 tokens from load to store must be taken" in problem.text
    assert "the last one is given by instruction 1 (nop signal=store): remove the signal" in problem.text


def test_a_token_that_nobody_gives_is_a_deadlock():
    problem = only([Nop(runs_on=Engine.STORE, wait=LOAD), Finish()], ProblemKind.DEADLOCK)
    assert problem.text == (
        "instruction 0 (nop runs_on=store wait=load) waits for a token from load, "
        "but no later instruction does that"
    )


def test_a_circle_of_waits_is_a_deadlock():
    program = [
        Nop(runs_on=Engine.LOAD, wait=STORE),
        Nop(runs_on=Engine.MATRIX, wait=LOAD),
        Nop(runs_on=Engine.LOAD, signal=MATRIX),
        Nop(runs_on=Engine.STORE, wait=MATRIX),
        Nop(runs_on=Engine.STORE, signal=LOAD),
        Nop(runs_on=Engine.MATRIX, signal=STORE),
        Finish(),
    ]
    problem = only(program, ProblemKind.DEADLOCK)
    assert sorted(problem.instructions) == [0, 1, 3]
    assert "waits for a token from load by instruction 2, which stands behind instruction 0" in problem.text


def test_dispatching_in_order_into_a_full_queue_can_be_a_deadlock():
    waiting = [Nop(runs_on=Engine.LOAD, wait=STORE)] * (TINY.queue_depth + 1)
    giving = [Nop(runs_on=Engine.STORE, signal=LOAD)] * (TINY.queue_depth + 1)
    problem = only([*waiting, *giving, Finish()], ProblemKind.DEADLOCK)
    assert problem.instructions == (0,)
    assert "by instruction 5, not dispatched while the queue of load is full" in problem.text
    assert found([*waiting[1:], *giving[1:], Finish()]) == ()


def test_a_full_token_counter_can_be_a_deadlock():
    config = replace(TINY, token_capacity=1, queue_depth=8)
    program = [
        Nop(runs_on=Engine.LOAD, signal=STORE),
        Nop(runs_on=Engine.LOAD, signal=STORE),
        Nop(runs_on=Engine.LOAD, signal=MATRIX),
        Nop(runs_on=Engine.MATRIX, wait=LOAD, signal=STORE),
        Nop(runs_on=Engine.STORE, wait=MATRIX),
        Nop(runs_on=Engine.STORE, wait=LOAD),
        Nop(runs_on=Engine.STORE, wait=LOAD),
        Finish(),
    ]
    assert found(program, replace(config, token_capacity=2)) == ()
    problem = only(program, ProblemKind.DEADLOCK, config)
    assert sorted(problem.instructions) == [1, 3, 4]
    assert "waits for store to take one of the 1 tokens that it was given by instruction 5" in problem.text


# --- hazards -----------------------------------------------------------------------------------------------


def test_a_missing_token_is_named_with_both_instructions_and_the_range():
    program = [replace(TILE[1], signal=0), replace(TILE[2], wait=0, signal=0), Finish()]
    problem = only(program, ProblemKind.HAZARD)
    assert problem.instructions == (0, 1)
    assert problem.text == (
        "instruction 1 (matrix n_x=8 stride_x=1) reads vectors 0 to 7 of activation bank 0, and nothing "
        "orders it after instruction 0 (load base=1 n_x=8 stride_x=4), which writes the same: "
        "missing token from load (signal in 0 or later) to matrix (wait in 1 or earlier)"
    )


def test_every_conflict_of_a_program_without_tokens_is_found():
    pairs = [problem.instructions for problem in found(without_tokens(TILE))]
    assert sorted(pairs) == [(0, 2), (1, 2), (2, 3), (3, 4)]


def test_a_chain_of_tokens_and_the_order_of_an_engine_are_enough():
    relay = [
        Load(n_x=4, stride_x=4),
        Nop(runs_on=Engine.LOAD, signal=VECTOR),
        Nop(runs_on=Engine.VECTOR, wait=LOAD, signal=MATRIX),
        Nop(runs_on=Engine.MATRIX, wait=VECTOR),
        Matrix(),
        Finish(),
    ]
    assert found(relay) == ()


def test_a_token_of_an_earlier_instruction_orders_nothing():
    program = [Nop(runs_on=Engine.LOAD, signal=MATRIX), Load(), Matrix(wait=LOAD), Finish()]
    assert only(program, ProblemKind.HAZARD).instructions == (1, 2)


def test_tokens_against_the_order_of_the_program_are_found():
    program = [Load(wait=MATRIX), Matrix(signal=LOAD), Finish()]
    assert "and tokens let it run before instruction 0" in only(program, ProblemKind.HAZARD).text


def test_only_common_addresses_of_one_bank_are_a_conflict():
    apart = [Load(address=8, n_x=4, stride_x=4), Store(address=4, n_x=4, stride_x=4, base=1), Finish()]
    assert found(apart) == ()
    # Every second vector here, the others there: only the bounds overlap.
    comb = [
        Load(n_y=4, chip_stride_y=2),
        Store(address=1, n_y=3, chip_stride_y=2, base=1),
        Finish(),
    ]
    assert found(comb) == ()
    assert only([comb[0], replace(comb[1], address=2), Finish()], ProblemKind.HAZARD)
    # Two banks share no address; two readers no conflict.
    assert found([Load(address=BANK), Matrix(), Store(base=1), Finish()]) == ()


def test_memory_outside_is_compared_by_bytes_behind_one_base_register():
    program = [
        Store(base=1, n_x=4, stride_x=8, bytes=4),
        Load(base=1, offset=4, n_x=4, stride_x=8, address=BANK),
    ]
    assert found([*program, Finish()]) == ()
    problem = only([program[0], replace(program[1], offset=24), Finish()], ProblemKind.HAZARD)
    assert "reads bytes 24 to 27 of memory of base register 1" in problem.text
    assert found([program[0], replace(program[1], base=2, offset=24), Finish()]) == ()


# --- against an oracle -------------------------------------------------------------------------------------


def tokens(program):
    """(giver, taker) of every token: the k-th of a pair of engines is taken by the k-th wait."""
    for giver, taker in itertools.permutations(Engine, 2):
        given = [i for i, each in enumerate(program) if each.engine == giver and each.signal >> taker & 1]
        taken = [i for i, each in enumerate(program) if each.engine == taker and each.wait >> giver & 1]
        yield from zip(given, taken, strict=True)


def happens_before(program):
    """before[x, y]: instruction x finishes before y starts, as the transitive closure says it."""
    n = len(program)
    engines = np.array([-1 if each.engine is None else each.engine for each in program])
    same = (engines[:, None] == engines) & (engines >= 0)
    in_order = same & (np.arange(n)[:, None] <= np.arange(n))
    token = np.zeros((n, n), bool)
    for giver, taker in tokens(program):
        token[giver, taker] = True
    # From finish to finish along an engine, over a token to a start, along an engine from start to start.
    before = (in_order.astype(int) @ token @ in_order) > 0
    for _ in range(n.bit_length()):
        before |= (before.astype(int) @ before) > 0
    return before


def racy_pairs(program, config):
    """Pairs of different engines that share an address, one of them writing, and are not in order."""
    before = happens_before(program)
    touched = [
        [((a.memory, a.bank), a.write, set(a.addresses().tolist())) for a in footprint(each, config)]
        for each in program
    ]
    for x, y in itertools.combinations(range(len(program)), 2):
        conflict = any(
            place == other_place and (write or other_write) and addresses & other_addresses
            for place, write, addresses in touched[x]
            for other_place, other_write, other_addresses in touched[y]
        )
        if conflict and program[x].engine != program[y].engine and not before[x, y]:
            yield x, y


def drop(program, token):
    """The program without one token."""
    giver, taker = token
    result = list(program)
    result[giver] = replace(result[giver], signal=result[giver].signal & ~(1 << program[taker].engine))
    result[taker] = replace(result[taker], wait=result[taker].wait & ~(1 << program[giver].engine))
    return result


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.data())
def test_a_program_that_lost_a_token_has_exactly_the_races_that_the_token_prevented(seed, data):
    rng = np.random.default_rng(seed)
    config = random_config(rng)
    program = random_program(rng, config, instructions=25, memory_bytes=1024)
    given_tokens = list(tokens(program))
    if not given_tokens:
        return
    lacking = drop(program, data.draw(st.sampled_from(given_tokens)))
    problems = found(lacking, config)
    assert {problem.kind for problem in problems} <= {ProblemKind.HAZARD}
    assert sorted({problem.instructions for problem in problems}) == sorted(racy_pairs(lacking, config))


@pytest.mark.parametrize("token", list(tokens(TILE)))
def test_each_token_of_a_lean_program_is_needed(token):
    pairs = [problem.instructions for problem in found(drop(TILE, token))]
    assert pairs
    assert all(first <= token[0] and second >= token[1] for first, second in pairs)


# --- the report --------------------------------------------------------------------------------------------


def test_a_report_lists_all_problems_and_prints_the_first():
    # Every load writes the vector that every store reads.
    program = [each for _ in range(5) for each in (Load(), Store(base=1, bytes=4))]
    report = check([*program, Finish()], TINY)
    assert not report.ok
    lines = report.format().splitlines()
    assert len(lines) == SHOWN_PROBLEMS + 1
    assert lines[-1] == f"and {len(report.problems) - SHOWN_PROBLEMS} more problems"
    assert lines[0].startswith(
        "hazard: instruction 1 (store base=1 bytes=4) reads vector 0 of activation bank 0"
    )
    with pytest.raises(CheckError, match=r"(?s)hazard: .* more problems") as caught:
        report.raise_for_problems()
    assert caught.value.problems == report.problems


def test_many_candidates_are_compared_at_once():
    loads = [Load(address=k) for k in range(100)]
    program = [*loads, Store(base=1, n_x=2, chip_stride_x=60, address=7, stride_x=4), Finish()]
    assert [problem.instructions for problem in found(program)] == [(7, 100), (67, 100)]
