"""Loads and stores: what is copied by the machine is what the loops copy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_machine import check, machine
from task_program import allocated, assign, at, buffer, copy, int8, int32, nest, wide
from tilewright.compiler.targets.accel.enumerate import enumerated
from tilewright.compiler.targets.accel.tensorise import TensoriseError, limits_of, tensorise
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import Select, both
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.isa.instruction import Load, Store

EXTENT = st.integers(1, 4)


def through(chip, x, y, source, outer=()):
    """A program that loads all of `chip` from `source` of the outer variables and indices, and stores it."""

    def step(*o):
        fill = copy(chip, chip.shape, lambda *index: source(o, index))
        return allocated([chip], fill, copy_out(chip, y, o))

    return PrimFunc("copy", (x, y), 1, nest(outer, step))


def copy_out(chip, y, o):
    return nest(chip.shape, lambda *index: assign(at(y, *o, *index), at(chip, *index)))


def only(work, kind):
    return [task.instruction for task in work if isinstance(task.instruction, kind)]


@st.composite
def blocks(draw):
    """A tile of a picture that the border may cut on any side, or that lies outside of it."""
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    origin = draw(st.integers(-6, 5)), draw(st.integers(-6, 5))
    return (
        draw(EXTENT),
        height,
        width,
        rows,
        columns,
        *origin,
        draw(st.integers(1, 2)),
        draw(st.integers(1, 2)),
    )


@given(blocks(), st.integers(-128, 127))
@settings(max_examples=30)
def test_a_load_pads_where_the_border_cuts(block, pad):
    planes, height, width, rows, columns, y0, x0, step_y, step_x = block
    x, y = buffer("x", (planes, height, width, 4)), buffer("y", (planes, rows, columns, 4))
    chip = buffer("chip", y.shape, MemoryScope.ACTIVATION)

    def source(_, index):
        z, i, j, lane = index
        row, column = i * step_y + y0, j * step_x + x0
        inside = both([row >= 0, row < height, column >= 0, column < width])
        return Select(inside, at(x, z, row, column, lane), int8(pad))

    work = check(through(chip, x, y, source), machine())
    assert len(only(work, Load)) == 1


@pytest.mark.parametrize("reverse", [False, True])
def test_tiles_at_every_border(reverse):
    """One intrinsic, folded for inner tiles, cut ones, and one of padding only."""
    x, y = buffer("x", (6, 6, 4)), buffer("y", (4, 4, 3, 3, 4))
    chip = buffer("chip", (3, 3, 4), MemoryScope.ACTIVATION)

    def source(outer, index):
        (a, b), (i, j, lane) = outer, index
        row, column = a * 3 + i - 2, b * 3 + j - 3
        conditions = [row >= 0, row < 6, column >= 0, column < 6]
        inside = both(conditions[::-1] if reverse else conditions)
        return Select(inside, at(x, row, column, lane), int8(9))

    work = check(through(chip, x, y, source, (4, 4)), machine())
    assert len(only(work, Store)) == 16
    # Padding is everywhere the same.
    loads = {
        (load.n_y, load.pad_top, load.pad_bottom, load.pad_left, load.pad_right) for load in only(work, Load)
    }
    assert loads >= {(0, 1, 0, 0, 0), (3, 0, 0, 0, 0), (1, 2, 0, 0, 0), (2, 0, 1, 0, 0)}


def test_more_rows_of_padding_than_one_side_has():
    x, y = buffer("x", (4, 4)), buffer("y", (300, 3, 4))
    chip = buffer("chip", y.shape, MemoryScope.ACTIVATION)
    halves = [
        nest((300, columns, 4), lambda i, j, c, f=first: assign(at(chip, i, j + f, c), int8(-3)))
        for first, columns in ((0, 2), (2, 1))
    ]
    program = PrimFunc("f", (x, y), 1, allocated([chip], *halves, copy(y, y.shape, lambda *i: at(chip, *i))))
    first, second = only(check(program, machine()), Load)
    assert (first.pad_top, first.pad_bottom, first.n_x, first.chip_stride_y) == (255, 45, 2, 3)
    assert (second.n_x, second.n_y, second.address) == (1, 0, 2)


def test_dense_rows_are_one_long_run():
    x, y = buffer("x", (3, 4, 5, 4)), buffer("y", (3, 4, 5, 4))
    chip = buffer("chip", x.shape, MemoryScope.WEIGHT)
    (load,) = only(check(through(chip, x, y, lambda _, index: at(x, *index)), machine()), Load)
    assert (load.n_z, load.n_y, load.n_x, load.stride_x) == (1, 1, 60, 4)


def test_rows_of_a_wider_picture_are_rows():
    x, y = buffer("x", (3, 6, 5, 4)), buffer("y", (3, 4, 5, 4))
    chip = buffer("chip", y.shape, MemoryScope.ACTIVATION)
    work = check(through(chip, x, y, lambda _, index: at(x, *index)), machine())
    (load,), (store,) = only(work, Load), only(work, Store)
    assert (load.n_y, load.n_x, load.stride_y, load.chip_stride_y) == (3, 20, 120, 20)
    assert (store.n_x, store.stride_x, store.bytes) == (60, 4, 4)


@pytest.mark.parametrize("scope", [MemoryScope.PARAMETER, MemoryScope.ACCUMULATOR])
def test_vectors_of_int32(scope):
    x, y = wide("x", (5, 3, 4)), wide("y", (2, 3, 4))
    chip = buffer("chip", y.shape, scope)

    def source(_, index):
        i, j, lane = index
        return Select(i * 2 + 3 < 5, at(x, i * 2 + 3, j, lane), int32(-5))

    check(through(chip, x, y, source), machine())


@given(st.permutations(range(3)), st.tuples(EXTENT, EXTENT, EXTENT), st.integers(1, 2))
@settings(max_examples=15)
def test_a_store_takes_its_loops_in_any_order(order, shape, step):
    x, y = buffer("x", (*shape, 4)), buffer("y", (*(shape[axis] * step for axis in order), 4))
    chip = buffer("chip", x.shape, MemoryScope.ACTIVATION)
    fill = copy(chip, chip.shape, lambda *index: at(x, *index))

    def out(*index):
        *outer, lane = index
        return assign(at(y, *(outer[axis] * step for axis in order), lane), at(chip, *index))

    back = buffer("back", y.shape, MemoryScope.ACTIVATION)
    zero = allocated([back], *_cleared(back, y))
    program = PrimFunc("f", (x, y), 1, allocated([chip], zero, fill, nest(chip.shape, out)))
    work = check(program, machine())
    assert len(only(work, Store)) == 2


def _cleared(back, y):
    """Nothing of `y` may be left unknown: load padding, store it."""
    yield copy(back, back.shape, lambda *index: int8(0))
    yield copy(y, y.shape, lambda *index: at(back, *index))


def test_a_store_of_some_lanes_writes_their_bytes():
    x, y = buffer("x", (3, 8)), buffer("y", (3, 8))
    chip = buffer("chip", x.shape, MemoryScope.ACTIVATION)
    fill = copy(chip, chip.shape, lambda *index: at(x, *index))
    some = nest((3, 3), lambda i, lane: assign(at(y, i, lane), at(chip, i, lane)))
    rest = nest((3, 8), lambda i, lane: assign(at(y, i, lane), at(chip, i, lane)))
    work = check(PrimFunc("f", (x, y), 1, allocated([chip], fill, rest, some)), machine(cols=8))
    assert [store.bytes for store in only(work, Store)] == [8, 3]


def test_long_runs_are_split_into_rows():
    length = 70_000
    x, y = buffer("x", (length, 4)), buffer("y", (4,))
    chip = buffer("chip", x.shape, MemoryScope.ACTIVATION)
    fill = copy(chip, chip.shape, lambda *index: at(x, *index))
    out = nest((4,), lambda lane: assign(at(y, lane), at(chip, 0, lane)))
    function = tensorise(PrimFunc("f", (x, y), 1, allocated([chip], fill, out)), limits_of(machine()))
    (load, _) = (task.instruction for task in enumerated(function, "layer", machine()).tasks())
    assert (load.n_x, load.n_y) == (35_000, 2)
    assert (load.stride_y, load.chip_stride_y) == (140_000, 35_000)


def test_a_surplus_loop_stays_outside():
    x, y = buffer("x", (2, 3, 4, 5, 4)), buffer("y", (2, 2, 2, 2, 4))
    chip = buffer("chip", (2, 2, 2, 2, 4), MemoryScope.ACTIVATION)
    work = check(through(chip, x, y, lambda _, index: at(x, *index)), machine())
    assert len(only(work, Load)) == 2


def refusal(chip, x, source, config=None):
    y = buffer("y", chip.shape) if chip.dtype.size_bytes == 1 else wide("y", chip.shape)
    with pytest.raises(TensoriseError) as error:
        tensorise(through(chip, x, y, source), limits_of(config or machine()))
    return str(error.value)


def test_an_unaligned_row_is_refused():
    text = refusal(
        buffer("chip", (3, 4), MemoryScope.ACTIVATION),
        buffer("x", (3, 6)),
        lambda _, index: at(buffer("x", (3, 6)), *index),
    )
    assert "nearest intrinsic: load" in text
    assert "the stride of x in bytes must be a multiple of 4, not 6" in text
    assert "chip[" in text


def test_missing_lanes_are_refused():
    x = buffer("x", (3, 8))
    text = refusal(buffer("chip", (3, 8), MemoryScope.ACTIVATION), x, lambda _, index: at(x, *index))
    assert "a loop of 4 steps over the lanes" in text
    assert "there is one of 8 steps" in text


def test_a_border_across_two_loops_leaves_one_outside():
    x, y = buffer("x", (6, 6, 4)), buffer("y", (3, 3, 4))
    chip = buffer("chip", y.shape, MemoryScope.ACTIVATION)
    source = lambda _, index: Select(index[0] + index[1] < 3, at(x, *index), int8(0))  # noqa: E731
    assert len(only(check(through(chip, x, y, source), machine()), Load)) == 3
