"""What tensorising marks: the largest nests that are one instruction, and never a virtual thread."""

import pytest

from task_machine import check, machine
from task_program import Conv, accumulate, allocated, as_int32, assign, at, buffer, copy, int8, nest
from tilewright.compiler.targets.accel.tensorise import TensoriseError, limits_of, tensorise
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import Binary, BinaryOp, minimum
from tilewright.compiler.tir.stmt import Allocate, Block, For, IntrinsicStmt, LoopKind, PrimFunc
from tilewright.compiler.tir.walk import statements
from tilewright.isa.config import PRESETS


def marked(program, config=None):
    """Names of the intrinsics in their order, each with how many loops are inside."""
    function = tensorise(program, limits_of(config or machine()))
    found = [s for s in statements(function.body) if isinstance(s, IntrinsicStmt)]
    return [(s.name, sum(isinstance(inner, For) for inner in statements(s))) for s in found]


def test_a_convolution_is_five_kinds_of_instruction():
    assert marked(Conv().program()) == [
        ("load", 4),
        ("load", 5),
        ("matrix", 7),
        ("load", 2),
        ("vector", 3),
        ("store", 3),
    ]


def test_every_block_is_inside_of_one_intrinsic():
    function = tensorise(Conv(threads=3, tile=(2, 5)).program(), limits_of(machine()))
    blocks = sum(isinstance(s, Block) for s in statements(function.body))
    inside = [s for s in statements(function.body) if isinstance(s, IntrinsicStmt)]
    assert sum(isinstance(s, Block) for top in inside for s in statements(top)) == blocks


def test_tensorising_again_changes_nothing():
    function = tensorise(Conv().program(), limits_of(machine()))
    assert tensorise(function, limits_of(machine())) == function


def test_virtual_threads_stay_outside():
    x, y = buffer("x", (4, 3, 4)), buffer("y", (4, 3, 4))
    a = buffer("a", (3, 4), MemoryScope.ACTIVATION, 4)

    def thread(t):
        return allocated(
            [a],
            copy(a, a.shape, lambda i, c: at(x, t, i, c)),
            nest((3, 4), lambda i, c: assign(at(y, t, i, c), at(a, i, c))),
        )

    program = PrimFunc("f", (x, y), 1, nest([4], thread, LoopKind.VIRTUAL_THREAD))
    assert marked(program) == [("load", 2), ("store", 2)]
    # A copy that could be one instruction still is one for each thread.
    b = buffer("b", (4, 3, 4), MemoryScope.ACTIVATION)
    both = nest(
        [4],
        lambda t: nest((3, 4), lambda i, c: assign(at(y, t, i, c), at(b, t, i, c))),
        LoopKind.VIRTUAL_THREAD,
    )
    program = PrimFunc("f", (x, y), 1, allocated([b], copy(b, b.shape, lambda *i: at(x, *i)), both))
    assert marked(program) == [("load", 3), ("store", 2)]


def test_a_field_too_small_leaves_a_loop_outside():
    # Rows of 4998 results are two loops of the instruction: a third one over rows is too many.
    x, y = buffer("x", (3, 5000, 4)), buffer("y", (3, 4998, 4))
    a, out = buffer("a", x.shape, MemoryScope.ACTIVATION), buffer("out", y.shape, MemoryScope.ACTIVATION)
    work = nest(
        (3, 4998, 4), lambda i, j, c: assign(at(out, i, j, c), Binary(BinaryOp.MAX, at(a, i, j, c), int8(0)))
    )
    program = PrimFunc(
        "f",
        (x, y),
        1,
        allocated(
            [a, out], copy(a, a.shape, lambda *i: at(x, *i)), work, copy(y, y.shape, lambda *i: at(out, *i))
        ),
    )
    assert marked(program) == [("load", 3), ("vector", 2), ("store", 3)]


def test_a_global_copy_is_no_instruction():
    x, y = buffer("x", (3, 4)), buffer("y", (3, 4))
    with pytest.raises(TensoriseError, match="no instruction writes global memory from global"):
        tensorise(PrimFunc("f", (x, y), 1, copy(y, y.shape, lambda *i: at(x, *i))), limits_of(machine()))


def test_weights_are_only_loaded():
    x, y = buffer("x", (3, 4)), buffer("y", (3, 4))
    a, w = buffer("a", (3, 4), MemoryScope.ACTIVATION), buffer("w", (3, 4), MemoryScope.WEIGHT)
    body = allocated([a, w], copy(a, a.shape, lambda *i: at(x, *i)), copy(w, w.shape, lambda *i: at(a, *i)))
    with pytest.raises(TensoriseError, match="no instruction writes weight memory from activation"):
        tensorise(PrimFunc("f", (x, y), 1, body), limits_of(machine()))


def test_an_extent_that_depends_on_an_inner_loop_is_told():
    x, y = buffer("x", (4, 4, 4)), buffer("y", (4, 4, 4))
    a = buffer("a", (4, 4, 4), MemoryScope.ACTIVATION)
    triangle = nest((4,), lambda i: nest((i + 1, 4), lambda j, c: assign(at(a, i, j, c), at(x, i, j, c))))
    out = nest((4,), lambda i: nest((i + 1, 4), lambda j, c: assign(at(y, i, j, c), at(a, i, j, c))))
    program = PrimFunc("f", (x, y), 1, allocated([a], triangle, out))
    # Rows of different lengths are one load each.
    assert marked(program) == [("load", 2), ("store", 2)]


def test_a_tail_that_is_no_instruction_is_told():
    x, y = buffer("x", (3, 2, 4)), buffer("y", (3, 2, 4))
    a = buffer("a", (3, 2, 4), MemoryScope.ACTIVATION)

    def tile(o):
        lanes = minimum(4, 10 - 4 * o)
        return nest((2, lanes), lambda i, c: assign(at(a, o, i, c), at(x, o, i, c)))

    program = PrimFunc(
        "f", (x, y), 1, allocated([a], nest((3,), tile), copy(y, y.shape, lambda *i: at(a, *i)))
    )
    with pytest.raises(TensoriseError, match=r"a loop of 4 steps over the lanes.* there is one of 2 steps"):
        tensorise(program, limits_of(machine()))


def test_a_product_of_three_is_told_with_its_nest():
    x, y = buffer("x", (4, 4)), buffer("y", (4, 4))
    a, w = buffer("a", (4, 4), MemoryScope.ACTIVATION), buffer("w", (4, 4), MemoryScope.WEIGHT)
    sums = buffer("sums", (4, 4), MemoryScope.ACCUMULATOR)

    def body(m, r, c):
        item = as_int32(at(a, m, r)) * as_int32(at(w, r, c)) * as_int32(at(w, r, c))
        return accumulate(at(sums, m, c), item, [r])

    loads = (copy(chip, chip.shape, lambda *i: at(x, *i)) for chip in (a, w))
    program = PrimFunc("f", (x, y), 1, allocated([a, w, sums], *loads, nest((4, 4, 4), body)))
    with pytest.raises(TensoriseError) as error:
        tensorise(program, limits_of(machine()))
    text = str(error.value)
    assert "nearest intrinsic: matrix" in text
    assert "factors must be int8 elements, converted to int32" in text
    assert "for i_" in text


@pytest.mark.parametrize("name", ["tiny", "reference-wide", "large-32"])
def test_configurations(name):
    config = PRESETS[name]
    conv = Conv(rows=config.rows, cols=config.cols, height=4, width=4, in_blocks=1, out_blocks=1)
    check(conv.program(), machine(config.rows, config.cols, config.bus_bytes))


def test_an_allocation_is_kept():
    function = tensorise(Conv().program(), limits_of(machine()))
    before = [s.buffer for s in statements(Conv().program().body) if isinstance(s, Allocate)]
    after = [s.buffer for s in statements(function.body) if isinstance(s, Allocate)]
    assert len(before) == len(after) == 5
