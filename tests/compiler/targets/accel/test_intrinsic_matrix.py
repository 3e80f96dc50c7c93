"""Matrix nests: sums of the machine are those of the loops; what does not fit is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from task_machine import check, machine
from task_program import Conv, accumulate, allocated, as_int32, assign, at, buffer, copy, nest, wide
from tilewright.compiler.targets.accel.enumerate import enumerated
from tilewright.compiler.targets.accel.tensorise import TensoriseError, limits_of, tensorise
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.stmt import PrimFunc
from tilewright.isa.instruction import Matrix

CONV = st.builds(
    Conv,
    rows=st.just(4),
    cols=st.sampled_from([4, 8]),
    in_blocks=st.integers(1, 2),
    out_blocks=st.just(1),
    height=st.integers(3, 6),
    width=st.integers(3, 6),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 2),
    dilation=st.integers(1, 2),
    pad=st.integers(1, 2),
    tile=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)


@pytest.mark.slow
@given(CONV)
@settings(max_examples=15)
def test_any_convolution(conv):
    if min(conv.size(conv.height, conv.kernel[0]), conv.size(conv.width, conv.kernel[1])) > 0:
        check(conv.program(), machine(conv.rows, conv.cols))


def matrices(work):
    return [task.instruction for task in work if isinstance(task.instruction, Matrix)]


def product(loops, x_shape, w_shape, sums_shape, access):
    """acc += x · w over `loops`, all loaded whole; `access`: indices of acc, x, w, and the reduced ones."""
    x, w, y = buffer("x", x_shape), buffer("w", w_shape), wide("y", sums_shape)
    xa, wa = buffer("xa", x_shape, MemoryScope.ACTIVATION), buffer("wa", w_shape, MemoryScope.WEIGHT)
    sums = buffer("sums", sums_shape, MemoryScope.ACCUMULATOR)

    def body(*v):
        acc, xi, wi, reduced = access(*v)
        return accumulate(at(sums, *acc), as_int32(at(xa, *xi)) * as_int32(at(wa, *wi)), reduced)

    return PrimFunc(
        "product",
        (x, w, y),
        1,
        allocated(
            [xa, wa, sums],
            copy(xa, x_shape, lambda *i: at(x, *i)),
            copy(wa, w_shape, lambda *i: at(w, *i)),
            nest(loops, body),
            copy(y, sums_shape, lambda *i: at(sums, *i)),
        ),
    )


def test_a_dense_product_is_one_instruction():
    program = product(
        (5, 3, 4, 4), (3, 5, 4), (3, 4, 4), (5, 4), lambda m, k, r, c: ((m, c), (k, m, r), (k, r, c), (k, r))
    )
    (matrix,) = matrices(check(program, machine()))
    assert (matrix.n_x, matrix.stride_x, matrix.n_ci, matrix.stride_ci) == (5, 1, 3, 5)
    assert matrix.accumulate == 0


def test_slices_of_a_vector_are_tiles():
    # One loop over all rows of the channels: split into tiles, neighbours of it merged.
    program = product((3, 8, 8), (3, 8), (8, 8), (3, 8), lambda m, k, c: ((m, c), (m, k), (k, c), (k,)))
    (matrix,) = matrices(check(program, machine(4, 8)))
    assert (matrix.n_x, matrix.stride_x, matrix.n_ci, matrix.stride_ci) == (3, 2, 2, 1)


def test_channels_of_several_vectors_by_quotient_and_remainder():
    program = product(
        (3, 2, 2, 4, 8),
        (2, 3, 8),
        (4, 4, 8),
        (3, 8),
        lambda m, kb, s, r, c: (
            (m, c),
            ((kb * 2 + s) // 2, m, (kb * 2 + s) % 2 * 4 + r),
            (kb * 2 + s, r, c),
            (kb * 2 + s, r),
        ),
    )
    (matrix,) = matrices(check(program, machine(4, 8)))
    assert (matrix.n_kx, matrix.n_ci, matrix.stride_kx, matrix.stride_ci) == (2, 2, 6, 1)


def test_any_order_of_loops():
    program = product(
        (4, 2, 4, 3, 2),
        (2, 2, 3, 4),
        (2, 4, 4),
        (2, 3, 4),
        lambda c, k, r, j, i: ((i, j, c), (k, i, j, r), (k, r, c), (k, r)),
    )
    (matrix,) = matrices(check(program, machine()))
    assert (matrix.n_y, matrix.n_x, matrix.n_ci) == (1, 6, 2)


def test_only_the_first_step_overwrites():
    # Four reduced loops that do not merge: the outermost stays outside.
    program = product(
        (2, 2, 3, 2, 3, 4, 4),
        (2, 5, 4, 4, 4),
        (2, 2, 3, 2, 4, 4),
        (3, 4),
        lambda a, b, d, e, m, r, c: ((m, c), (a, b + m, d, e, r), (a, b, d, e, r, c), (a, b, d, e, r)),
    )
    found = matrices(check(program, machine()))
    assert [matrix.accumulate for matrix in found] == [0, 1]
    assert [matrix.weight for matrix in found] == [0, 2 * 3 * 2 * 4]


def test_a_later_slice_begins_within_a_vector():
    # As above, with the slices outermost: they stay outside, and the second is not at a vector's begin.
    program = product(
        (2, 2, 3, 2, 3, 4, 8),
        (5, 4, 4, 8),
        (2, 2, 3, 2, 4, 8),
        (3, 8),
        lambda s, b, d, e, m, r, c: ((m, c), (b + m, d, e, s * 4 + r), (s, b, d, e, r, c), (s, b, d, e, r)),
    )
    found = matrices(check(program, machine(4, 8)))
    assert [matrix.activation for matrix in found] == [0, 1]


def test_results_that_are_not_dense_stay_outside():
    program = product(
        (3, 2, 4, 4),
        (3, 2, 4),
        (4, 4),
        (3, 5, 4),
        lambda i, j, r, c: ((i, j, c), (i, j, r), (r, c), (r,)),
    )
    function = tensorise(program, limits_of(machine()))
    assert len(matrices(enumerated(function, "layer", machine()).tasks())) == 3


def refusal(program, config=None):
    with pytest.raises(TensoriseError) as error:
        tensorise(program, limits_of(config or machine()))
    return str(error.value)


def test_a_loop_that_moves_weights_and_results_is_told():
    # As many results as lanes, but the lane loop itself is missing.
    program = product((3, 4, 2), (3, 4), (4, 4), (3, 4), lambda m, r, c: ((m, c), (m, r), (r, c), (r,)))
    text = refusal(program)
    assert "nearest intrinsic: matrix" in text
    assert (
        "a loop of 4 steps over the lanes, which strides [0, 1, 1] elements, is missing: there is one of 2"
        in text
    )
    assert "sums[" in text


def test_rows_that_are_no_slice_are_told():
    program = product((3, 3, 4), (3, 4), (4, 4), (3, 4), lambda m, r, c: ((m, c), (m, r), (r, c), (r,)))
    assert "a loop of 4 steps over the rows of a weight tile" in refusal(program)


def test_a_sum_that_starts_elsewhere_is_told():
    x, y = buffer("x", (4, 4)), wide("y", (4, 4))
    xa, wa = buffer("xa", (4, 4), MemoryScope.ACTIVATION), buffer("wa", (4, 4), MemoryScope.WEIGHT)
    sums = buffer("sums", (4, 4), MemoryScope.ACCUMULATOR)

    def body(m, r, c):
        item = as_int32(at(xa, m, r)) * as_int32(at(wa, r, c))
        return accumulate(at(sums, m, c), item, [r], init=7)

    program = PrimFunc(
        "f",
        (x, y),
        1,
        allocated(
            [xa, wa, sums],
            copy(xa, xa.shape, lambda *i: at(x, *i)),
            copy(wa, wa.shape, lambda *i: at(x, *i)),
            nest((4, 4, 4), body),
            nest((4, 4), lambda i, j: assign(at(y, i, j), at(sums, i, j))),
        ),
    )
    assert "the sum must start from an int32 0" in refusal(program)
