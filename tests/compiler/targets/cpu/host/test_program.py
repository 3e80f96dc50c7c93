"""Whole functions as compiled code: random ones, control flow, sizes that only data tell, few kernels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.targets.cpu.host.compiled import assert_near, check, values

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.host import compile_host

F32, F64, I32, I64 = DType.FLOAT32, DType.FLOAT64, DType.INT32, DType.INT64
N = Size.of("n")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def random_function(rng, dtype, steps):
    """Equations of all kinds on values of ranks 2 to 4, whose sizes are products of 2 and 3."""
    b = Builder("random")
    known = [b.parameter("x", TensorType(dtype, (2, 3, 4))), b.parameter("y", TensorType(dtype, (3, 4)))]

    def pick():
        return known[rng.integers(len(known))]

    def alike():
        x = pick()
        others = [y for y in known if y.type == x.type]
        return x, others[rng.integers(len(others))]

    def axis(x):
        return int(rng.integers(x.type.rank))

    def emit(kind):
        x = pick()
        rank, shape = x.type.rank, x.type.numbers
        at = axis(x)
        match kind:
            case 0:
                return e.add(b, *alike())
            case 1:
                one, other = alike()
                return e.maximum(b, one, e.sub(b, other, 1))
            case 2:
                return e.transpose(b, x, tuple(map(int, rng.permutation(rank))))
            case 3:
                return (
                    e.reshape(b, x, (shape[0] * shape[1], *shape[2:]))
                    if rank > 2
                    else e.expand_dims(b, x, (at,))
                )
            case 4:
                return e.reduce_sum(b, x, (at,), keep=rank < 3)
            case 5:
                return e.concat(b, [x, x], at) if shape[at] < 9 else e.slice_axis(b, x, at, 1, shape[at], 2)
            case 6:
                return e.cumulative_sum(b, e.mul(b, x, e.cast(b, e.less(b, x, 2), dtype)), at)
            case 7:
                return e.select(b, e.less(b, x, 0), e.neg(b, x), x)
            case 8:
                return e.add(b, x, e.reduce_max(b, x, (at,), keep=True))
            case 9:
                low = [0] * at + [1] + [0] * (rank - at - 1)
                return e.slice_axis(b, e.pad(b, x, low, low, 1), at, 0, shape[at], 1)
            case 10:
                return e.tanh(b, x) if dtype.is_float else e.mod(b, x, 7)
            case _:
                return e.gather(b, x, b.constant(np.array([0, -1, 0])), at)

    for _ in range(steps):
        known.append(emit(int(rng.integers(12))))
    picked = [known[i] for i in rng.integers(0, len(known), 3)]
    return b.function(known[-1], *picked)


@settings(max_examples=12, deadline=None)
@given(
    st.integers(0, 1 << 30), st.sampled_from([F32, F64, DType.FLOAT16, I32, DType.INT8]), st.integers(1, 14)
)
def test_random_functions(seed, dtype, steps):
    rng = np.random.default_rng(seed)
    function = random_function(rng, dtype, steps)
    check(function, values(rng, dtype, 2, 3, 4), values(rng, dtype, 3, 4))


def test_convolution_with_what_follows_is_one_kernel_and_weights_are_packed_once(rng):
    b = Builder("residual")
    x = b.parameter("x", TensorType(F32, (2, 16, 9, 9)))
    w = b.constant(values(rng, F32, 16, 16, 3, 3) / 12)
    bias = b.constant(values(rng, F32, 16, 1, 1))
    first = e.maximum(b, e.add(b, e.conv(b, x, w, pads=(1,) * 4), bias), 0)
    second = e.add(b, e.conv(b, first, w, pads=(1,) * 4), first)
    function = b.function(e.reduce_sum(b, second, (2, 3)))
    program = check(function, values(rng, F32, 2, 16, 9, 9))
    # The feature map's axes in order, two convolutions, and the sum.
    assert program.kernels == 4


def test_depthwise_convolutions_poolings_and_products(rng):
    b = Builder("small")
    x = b.parameter("x", TensorType(F32, (1, 24, 12, 11)))
    deep = e.conv(b, x, b.constant(values(rng, F32, 24, 1, 3, 3)), (2, 1), (1, 0, 1, 2), groups=24)
    halves = e.conv(b, deep, b.constant(values(rng, F32, 8, 12, 1, 1)), groups=2)
    pooled = e.window(b, halves, "max", (2, 3), (2, 1), (1, 1, 0, 1))
    flat = e.reshape(b, pooled, (1, -1))
    weight = b.constant(values(rng, F32, flat.type.numbers[1], 10) / 9)
    check(b.function(e.matmul(b, flat, weight), halves), values(rng, F32, 1, 24, 12, 11))


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8])
@pytest.mark.parametrize("zero", [0, 5])
@pytest.mark.parametrize("groups", [1, 2, 24])
def test_convolutions_of_bytes_are_exact_and_so_is_what_follows(rng, dtype, zero, groups):
    limits = np.iinfo(dtype.value)
    shape = (2, 24, 9, 10)
    b = Builder("bytes")
    x = b.parameter("x", TensorType(dtype, shape))
    weight = b.constant(rng.integers(-128, 128, (24, 24 // groups, 3, 3)).astype(np.int32))
    wide = e.sub(b, e.cast(b, x, I32), zero)
    total = e.conv(b, wide, weight, (2, 1), (1, 0, 1, 2), groups=groups)
    scaled = e.add(b, e.round(b, e.mul(b, e.cast(b, total, F32), 0.0007)), 3.0)
    result = e.cast(b, e.minimum(b, e.maximum(b, scaled, limits.min), limits.max), dtype)
    array = rng.integers(limits.min, limits.max + 1, shape).astype(dtype.numpy)
    program = check(b.function(result), array)
    # Into the order of pixels, the convolution, and back.
    assert program.kernels == 3


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8])
def test_products_of_bytes_are_exact(rng, dtype):
    limits = np.iinfo(dtype.value)
    b = Builder("bytes")
    x = b.parameter("x", TensorType(dtype, (3, 37, 70)))
    weight = b.constant(rng.integers(-128, 128, (3, 70, 33)).astype(np.int32))
    wide = e.sub(b, e.cast(b, x, I32), 17)
    array = rng.integers(limits.min, limits.max + 1, (3, 37, 70)).astype(dtype.numpy)
    assert check(b.function(e.matmul(b, wide, weight)), array).kernels <= 2


def test_integers_that_are_no_bytes_are_no_micro_kernels(rng):
    for zero, weight in ((300, 1), (0, 200)):
        b = Builder("wide")
        x = b.parameter("x", TensorType(DType.INT8, (1, 8, 9, 9)))
        wide = e.sub(b, e.cast(b, x, I32), zero)
        w = b.constant(np.full((8, 8, 3, 3), weight, np.int32))
        array = rng.integers(-128, 128, (1, 8, 9, 9)).astype(np.int8)
        check(b.function(e.conv(b, wide, w, pads=(1,) * 4)), array)


def test_products_of_several_matrices_with_softmax(rng):
    b = Builder("attention")
    q, k, v = (b.parameter(name, TensorType(F32, (2, 3, 17, 8))) for name in "qkv")
    scores = e.mul(b, e.matmul(b, q, e.transpose(b, k, (0, 1, 3, 2))), 0.35)
    shifted = e.exp(b, e.sub(b, scores, e.reduce_max(b, scores, (3,), keep=True)))
    weights = e.div(b, shifted, e.reduce_sum(b, shifted, (3,), keep=True))
    check(b.function(e.matmul(b, weights, v)), *(values(rng, F32, 2, 3, 17, 8) for _ in range(3)))


@pytest.mark.parametrize("shape", [(3, 5, 40), (7,), (4, 1, 33), (600, 64)])
def test_softmax_and_norms_are_one_kernel(rng, shape):
    b = Builder("rows")
    x = b.parameter("x", TensorType(F32, shape))
    last = (len(shape) - 1,)
    shifted = e.exp(b, e.sub(b, x, e.reduce_max(b, x, last, keep=True)))
    softmax = e.div(b, shifted, e.reduce_sum(b, shifted, last, keep=True))
    assert check(b.function(softmax), values(rng, F32, *shape)).kernels == 1
    b = Builder("norm")
    x = b.parameter("x", TensorType(F32, shape))
    centred = e.sub(b, x, e.mean(b, x, last, keep=True))
    variance = e.mean(b, e.mul(b, centred, centred), last, keep=True)
    norm = e.div(b, centred, e.sqrt(b, e.add(b, variance, 1e-5)))
    factor = b.constant(values(rng, F32, shape[-1]))
    assert check(b.function(e.mul(b, norm, factor)), values(rng, F32, *shape)).kernels == 1


def test_values_that_others_read_too_are_no_part_of_rows(rng):
    b = Builder("shared")
    x = b.parameter("x", TensorType(F32, (4, 9)))
    shifted = e.exp(b, x)
    total = e.reduce_sum(b, shifted, (1,))
    scaled = e.div(b, shifted, e.expand_dims(b, total, (1,)))
    turned = e.matmul(b, e.transpose(b, x, (1, 0)), scaled)
    check(
        b.function(scaled, e.neg(b, total), turned, e.sub(b, e.reduce_max(b, scaled, (0,)), x)),
        values(rng, F32, 4, 9),
    )


def test_values_that_are_read_across_rows_are_no_part_of_rows(rng):
    b = Builder("across")
    x = b.parameter("x", TensorType(F32, (9, 9)))
    shifted = e.exp(b, x)
    turned = e.transpose(b, shifted, (1, 0))
    result = e.div(b, e.add(b, shifted, turned), e.reduce_sum(b, shifted, (1,), keep=True))
    assert check(b.function(result), values(rng, F32, 9, 9)).kernels == 2


def test_small_products_and_volumes_of_bytes_are_exact(rng):
    b = Builder("few")
    x = b.parameter("x", TensorType(DType.UINT8, (2, 3, 4, 5, 6)))
    wide = e.sub(b, e.cast(b, x, I32), 9)
    volume = b.constant(rng.integers(-128, 128, (4, 3, 2, 2, 2)).astype(np.int32))
    weight = b.constant(rng.integers(-128, 128, (6, 2)).astype(np.int32))
    results = e.conv(b, wide, volume, pads=(1,) * 6), e.matmul(b, wide, weight)
    check(b.function(*results), rng.integers(0, 256, (2, 3, 4, 5, 6)).astype(np.uint8))


def test_integers_of_a_product_wrap(rng):
    b = Builder("wraps")
    x, y = b.parameter("x", TensorType(I32, (5, 70))), b.parameter("y", TensorType(I32, (70, 33)))
    arrays = [rng.integers(-(1 << 31), 1 << 31, shape).astype(np.int32) for shape in ((5, 70), (70, 33))]
    check(b.function(e.matmul(b, x, y)), *arrays)


def test_a_result_may_be_a_parameter_a_constant_or_one_that_is_there_twice(rng):
    b = Builder("results")
    x = b.parameter("x", TensorType(F32, (2, 3)))
    constant = b.constant(np.arange(6, dtype=np.float32))
    y = e.neg(b, x)
    flat = e.reshape(b, y, (6,))
    check(b.function(x, x, constant, y, y, flat, e.reshape(b, x, (3, 2))), values(rng, F32, 2, 3))


def lstm_like(length):
    b = Builder("steps")
    xs = b.parameter("xs", TensorType(F32, (length, 2, 8)))
    w, h0 = b.parameter("w", TensorType(F32, (8, 8))), b.parameter("h0", TensorType(F32, (2, 8)))

    def body(inner, h, c, x):
        gate = e.tanh(inner, e.add(inner, e.matmul(inner, x, w), h))
        c = e.add(inner, c, gate)
        return gate, c, e.mul(inner, c, h)

    return b.function(*e.scan(b, [h0, h0], [xs], body))


@pytest.mark.parametrize("length", [1, 2, 7])
def test_scans_run_without_a_kernel_for_each_step(rng, length):
    arrays = values(rng, F32, length, 2, 8), values(rng, F32, 8, 8) / 9, values(rng, F32, 2, 8)
    program = check(lstm_like(length), *arrays)
    assert program.kernels <= 5


def test_scan_of_nothing(rng):
    check(lstm_like(0), values(rng, F32, 0, 2, 8), values(rng, F32, 8, 8), values(rng, F32, 2, 8))


def test_scan_from_the_last_element(rng):
    b = Builder("reversed")
    xs, h0 = b.parameter("xs", TensorType(I32, (5, 3))), b.parameter("h0", TensorType(I32, (3,)))

    def body(inner, h, x):
        h = e.sub(inner, e.mul(inner, h, 3), x)
        return h, h

    check(b.function(*e.scan(b, [h0], [xs], body, reverse=True)), values(rng, I32, 5, 3), values(rng, I32, 3))


def test_while_stacks_as_many_outputs_as_there_are_rounds():
    b = Builder("root")
    a = b.parameter("a", TensorType(F64, ()))

    def body(inner, y):
        y = e.mul(inner, e.add(inner, y, e.div(inner, a, y)), 0.5)
        return e.less(inner, 1e-9, e.abs(inner, e.sub(inner, e.mul(inner, y, y), a))), y, y

    last, all_ = e.while_(b, b.constant(np.array(True)), [b.constant(np.array(1.0))], body)
    function = b.function(last, e.reduce_sum(b, all_, (0,)), all_)
    check(function, np.array(2.0))
    check(function, np.array(1e6))


@pytest.mark.parametrize("flag", [True, False])
def test_branches_of_other_sizes(rng, flag):
    b = Builder("either")
    condition, x = b.parameter("c", TensorType(DType.BOOL, ())), b.parameter("x", TensorType(F32, (4, 3)))

    def then(inner):
        return (e.slice_axis(inner, x, 0, 1, 3, 1),)

    def orelse(inner):
        return (e.concat(inner, [x, x], 0),)

    (y,) = e.if_(b, condition, then, orelse)
    check(b.function(e.mul(b, y, 2), e.reduce_sum(b, y, (0,))), np.array(flag), values(rng, F32, 4, 3))


def test_recursion_has_memory_for_each_call():
    b = Builder("main")
    n = b.parameter("n", TensorType(I64, ()))

    def then(inner):
        below = inner.emit(Call.of("main", TensorType(I64, ())), e.sub(inner, n, 1))
        return (e.mul(inner, n, below),)

    (y,) = e.if_(b, e.less(b, 1, n), then, lambda inner: (e.add(inner, n, 0),))
    check(Module.of(b.function(y)), np.array(12))


def test_sizes_that_only_data_tell(rng):
    b = Builder("found")
    x = b.parameter("x", TensorType(F32, (4, 5)))
    places = e.nonzero(b, e.less(b, x, 0))
    rows = e.gather(b, x, e.reshape(b, e.slice_axis(b, places, 0, 0, 1, 1), (-1,)), 0)
    check(b.function(places, e.reduce_sum(b, rows, (0,))), values(rng, F32, 4, 5))


def test_one_form_is_kept_for_each_set_of_sizes(rng):
    b = Builder("any")
    x, w = b.parameter("x", TensorType(F32, (N, 6))), b.parameter("w", TensorType(F32, (6, 5)))
    function = b.function(e.reduce_max(b, e.matmul(b, x, w), (0,)), e.iota(b, I64, (N, 2), 0))
    program = compile_host(function)
    assert program.kernels == 0
    weight = values(rng, F32, 6, 5)
    counts = []
    for rows in (3, 8, 3, 8, 3):
        given_x = values(rng, F32, rows, 6)
        assert_near(program.run(given_x, weight), run(function, given_x, weight))
        counts.append(program.kernels)
    assert counts[0] < counts[1] == counts[-1]


def test_equal_layers_are_compiled_once(rng):
    b = Builder("layers")
    x = b.parameter("x", TensorType(F32, (1, 32, 8, 8)))
    for _ in range(6):
        x = e.maximum(b, e.conv(b, x, b.constant(values(rng, F32, 32, 32, 1, 1) / 30)), 0)
    assert check(b.function(x), values(rng, F32, 1, 32, 8, 8)).kernels == 3


def test_arrays_that_do_not_fit_are_refused(rng):
    b = Builder("typed")
    x, y = b.parameter("x", TensorType(F32, (N, 3))), b.parameter("y", TensorType(F32, (N,)))
    program = compile_host(b.function(e.reduce_sum(b, x, (1,)), y))
    for arrays in (
        [values(rng, F32, 2, 3)],
        [values(rng, F64, 2, 3), values(rng, F32, 2)],
        [values(rng, F32, 2, 3), values(rng, F32, 4)],
        [values(rng, F32, 6), values(rng, F32, 2)],
    ):
        with pytest.raises(EvaluationError, match="must be"):
            program.run(*arrays)


def test_indices_that_lie_outside_are_told(rng):
    b = Builder("outside")
    x, places = b.parameter("x", TensorType(F32, (4, 3))), b.parameter("at", TensorType(I64, (2,)))
    with b.label("rows"):
        rows = e.gather(b, x, places, 0)
    program = compile_host(b.function(e.neg(b, rows)))
    array = values(rng, F32, 4, 3)
    assert_near(program.run(array, np.array([-4, 3])), (-array[[0, 3]],))
    for wrong in (4, -5, 1 << 40):
        with pytest.raises(EvaluationError, match=r"rows \(gather\): indices must be from -4 to 3"):
            program.run(array, np.array([0, wrong]))
    assert_near(program.run(array, np.array([0, 0])), (-array[[0, 0]],))


def test_negative_exponents_of_integers_are_told():
    b = Builder("power")
    x, y = b.parameter("x", TensorType(I32, (2,))), b.parameter("y", TensorType(I32, (2,)))
    program = compile_host(b.function(e.pow(b, x, y)))
    assert program.run(np.array([2, 3], np.int32), np.array([5, 0], np.int32))[0].tolist() == [32, 1]
    with pytest.raises(EvaluationError, match="exponent of integers must be 0 or more"):
        program.run(np.array([2, 3], np.int32), np.array([5, -1], np.int32))


def test_arrays_may_lie_in_memory_in_any_way(rng):
    b = Builder("strided")
    x = b.parameter("x", TensorType(F32, (4, 6)))
    array = values(rng, F32, 12, 8).T[1:5, ::2]
    check(b.function(e.reduce_sum(b, x, (1,)), e.neg(b, x)), array)


def test_constants_that_a_region_captures_are_its_own(rng):
    b = Builder("captured")
    xs = b.parameter("xs", TensorType(F32, (6, 1, 40)))
    h0 = b.parameter("h0", TensorType(F32, (1, 40)))
    weight = b.constant(values(rng, F32, 40, 40, 3)[:, :, 0] / 20)
    shift = b.parameter("shift", TensorType(F32, (1, 40)))

    def body(inner, h, x):
        def then(inside):
            return (e.tanh(inside, e.add(inside, e.matmul(inside, h, weight), x)),)

        def orelse(inside):
            return (e.add(inside, e.matmul(inside, x, weight), shift),)

        is_more = e.less(inner, 0, e.reduce_sum(inner, x, (0, 1)))
        (h,) = e.if_(inner, is_more, then, orelse)
        return h, h

    function = b.function(*e.scan(b, [h0], [xs], body))
    check(function, values(rng, F32, 6, 1, 40), values(rng, F32, 1, 40), values(rng, F32, 1, 40))


def test_a_while_whose_body_reads_what_is_around(rng):
    b = Builder("around")
    x, limit = b.parameter("x", TensorType(F32, (3,))), b.constant(np.array(7, np.int32))

    def body(inner, count, total):
        count = e.add(inner, count, 1)
        return e.less(inner, count, limit), count, e.add(inner, total, x), e.mul(inner, total, 2)

    start = b.constant(np.zeros(3, np.float32))
    results = e.while_(b, b.constant(np.array(True)), [b.constant(np.array(0, np.int32)), start], body)
    check(b.function(*results), values(rng, F32, 3))
    results = e.while_(b, b.constant(np.array(False)), [b.constant(np.array(0, np.int32)), start], body)
    check(b.function(*results), values(rng, F32, 3))


def test_an_element_of_what_has_none_is_refused_with_the_node():
    b = Builder("first")
    x = b.parameter("x", TensorType(F32, (N, 3)))
    with b.label("pick"):
        y = e.gather(b, x, b.constant(np.array([0])), 0)
    program = compile_host(b.function(y))
    with pytest.raises(CpuError, match=r"^pick \(.*\): it must read from a value that has elements, not "):
        program.run(np.zeros((0, 3), np.float32))
    assert program.run(np.ones((2, 3), np.float32))[0].tolist() == [[1, 1, 1]]
