from dataclasses import replace
from itertools import pairwise

import pytest

from task_machine import check, machine
from task_program import Conv, allocated, assign, at, buffer, copy, int8, nest
from tilewright.compiler.targets.accel.enumerate import EnumerateError, enumerated
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import Binary, BinaryOp, as_expr
from tilewright.compiler.tir.stmt import LoopKind, PrimFunc, Seq
from tilewright.isa.memory import Engine


def most_in_use(work, name):
    """The largest number of instances of a buffer that are between their first and their last use."""
    first, last = {}, {}
    for index, task in enumerate(work):
        for instance in task.operands.values():
            if instance.buffer.name.startswith(name):
                first.setdefault(instance.number, index)
                last[instance.number] = index
    return max(sum(first[n] <= index <= last[n] for n in first) for index in range(len(work)))


def count(work, engine, name=None):
    names = [[item.buffer.name for item in t.operands.values()] for t in work if t.engine is engine]
    return sum(name is None or any(item.startswith(name) for item in items) for items in names)


@pytest.mark.parametrize(
    "conv",
    [
        Conv(),
        Conv(stride=2, height=9, width=8),
        Conv(dilation=2, pad=2, height=9, width=7),
        Conv(kernel=(1, 1), pad=0, stride=2, height=7, width=7),
        Conv(kernel=(3, 2), pad=0, tile=(4, 4)),
        Conv(rows=4, cols=8, in_blocks=2),
        Conv(rows=4, cols=16, in_blocks=1, kernel=(2, 1), pad=0),
        Conv(tile=(8, 8), height=3, width=3),
        Conv(pad=3, tile=(1, 1), height=2, width=2),
    ],
    ids=str,
)
def test_a_convolution_computes_what_its_loops_mean(conv):
    check(conv.program(), machine(conv.rows, conv.cols))


def test_instances_are_never_more_than_the_depth():
    for depth in (1, 2, 3):
        work = check(Conv(depth=depth, height=9).program(), machine())
        for name in ("sums", "input", "params", "result"):
            assert most_in_use(work, name) <= depth
        assert most_in_use(work, "weights") <= 2 * depth


def test_what_a_slot_still_holds_is_not_loaded_again():
    # Two blocks of weights and of inputs for each result block, one of parameters.
    work = check(Conv(depth=1, tile=(2, 2)).program(), machine())
    tiles = 3 * 3
    assert count(work, Engine.LOAD, "weights") == 2 * 2
    assert count(work, Engine.LOAD, "params") == 2
    assert count(work, Engine.LOAD, "input") == 2 * 2 * tiles


def test_without_a_slot_for_each_a_fill_is_made_again():
    work = check(Conv(depth=1, tile=(2, 2), in_blocks=3).program(), machine())
    assert count(work, Engine.LOAD, "weights") == 2 * 3 * 3 * 3


def test_an_instance_of_another_extent_is_another():
    # The first and the last tile of rows would be the same padding, of 3 and of 1 rows.
    check(Conv(height=1, width=2, pad=5, tile=(3, 3), kernel=(1, 1)).program(), machine())


def test_virtual_threads_are_interleaved():
    conv = Conv(threads=3, depth=3, height=6, tile=(2, 5), out_blocks=1, in_blocks=2)
    work = check(conv.program(), machine())
    matrix = [task.operands["accumulator"].number for task in work if task.engine is Engine.MATRIX]
    assert len(set(matrix)) == 3
    # A part of the reduction each: all sums are under way before the first ones are done.
    rounds = len(matrix) // len(set(matrix))
    assert rounds > 1
    assert matrix == matrix[:3] * rounds
    # With the last part a thread goes on to its end.
    engines = [task.engine for task in work]
    assert engines[-3:] == [Engine.MATRIX, Engine.VECTOR, Engine.STORE]
    assert engines.index(Engine.STORE) < len(engines) - 4


def test_a_turn_ends_behind_the_loads_and_the_work_of_one_iteration():
    conv = Conv(threads=3, depth=3, height=6, tile=(2, 5), out_blocks=1, in_blocks=2)
    work = check(conv.program(), machine())
    matrix = [index for index, task in enumerate(work) if task.engine is Engine.MATRIX]
    # Between two interleave slots, the loads of the next one alone.
    for one, other in pairwise(matrix[:4]):
        assert {task.engine for task in work[one + 1 : other]} == {Engine.LOAD}


def test_virtual_threads_share_what_they_fill_alike():
    conv = Conv(threads=3, depth=3, height=6, tile=(2, 5), out_blocks=1, in_blocks=1)
    work = check(conv.program(), machine())
    assert count(work, Engine.LOAD, "weights") == 1
    assert count(work, Engine.LOAD, "params") == 1


def test_virtual_threads_need_a_slot_each():
    conv = Conv(threads=3, depth=2, height=6, tile=(2, 5))
    with pytest.raises(EnumerateError, match=r"'sums_\d+' needs a depth of more than 2"):
        check(conv.program(), machine())


def test_a_buffer_changed_after_its_fill_is_filled_again():
    x, y = buffer("x", (4, 4)), buffer("y", (3, 4, 4))
    a = buffer("a", (4, 4), MemoryScope.ACTIVATION)

    def step(i):
        fill = copy(a, a.shape, lambda v, lane: at(x, v, lane))
        change = copy(a, a.shape, lambda v, lane: Binary(BinaryOp.MAX, at(a, v, lane), int8(5)))
        return allocated(
            [a], fill, change, nest((4, 4), lambda v, lane: assign(at(y, i, v, lane), at(a, v, lane)))
        )

    work = check(PrimFunc("f", (x, y), 1, nest([3], step)), machine())
    assert count(work, Engine.LOAD) == 3


def test_a_buffer_filled_from_memory_that_is_written_is_filled_again():
    x, y = buffer("x", (4, 4)), buffer("y", (4, 4))
    a, b = (buffer(name, (4, 4), MemoryScope.ACTIVATION) for name in "ab")

    def step(i):
        # What the second step reads is what the first one wrote.
        work = copy(b, b.shape, lambda v, lane: Binary(BinaryOp.MAX, at(a, v, lane), int8(5)))
        fill = copy(a, a.shape, lambda v, lane: at(y, v, lane))
        return allocated([a, b], fill, work, copy(y, y.shape, lambda v, lane: at(b, v, lane)))

    first = allocated([replace(a, name="c")], *_through(x, replace(a, name="c"), y))
    work = check(PrimFunc("f", (x, y), 1, Seq((first, nest([2], step)))), machine())
    assert count(work, Engine.LOAD, "a") == 2


def _through(source, between, target):
    yield copy(between, between.shape, lambda v, lane: at(source, v, lane))
    yield copy(target, target.shape, lambda v, lane: at(between, v, lane))


def test_a_fill_of_several_loads_is_one_fill():
    # Rows that are not dense in memory: one load each.
    x, y = buffer("x", (2, 3, 5, 4)), buffer("y", (2, 4, 2, 3, 2, 4))
    a = buffer("a", (2, 3, 2, 4), MemoryScope.ACTIVATION, 2)

    def step(i, j):
        row = lambda p: nest((3, 2, 4), lambda q, s, c: assign(at(a, p, q, s, c), at(x, p, q, s + i, c)))  # noqa: E731
        out = nest((2, 3, 2, 4), lambda p, q, s, c: assign(at(y, i, j, p, q, s, c), at(a, p, q, s, c)))
        return allocated([a], Seq((row(as_expr(0)), row(as_expr(1)))), out)

    threads = nest([2], lambda i: nest([4], lambda j: step(i, j)), LoopKind.VIRTUAL_THREAD)
    work = check(PrimFunc("f", (x, y), 1, threads), machine())
    assert count(work, Engine.LOAD) == 2 * 2


def test_a_block_outside_of_intrinsics_is_refused():
    with pytest.raises(EnumerateError, match="tensorise first"):
        enumerated(Conv().program(), "layer", machine())


def test_tasks_carry_their_layer_and_no_tokens():
    for task in check(Conv().program(), machine()):
        assert task.layer == "layer"
        assert task.instruction.wait == task.instruction.signal == 0
