"""Elements of tensors may be anything: no rewrite takes them for indices; conversions have one meaning."""

import numpy as np
import pytest

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import ComputeAt, RFactor, Split
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.tir import interpret
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.printer import print_function

MOST, LEAST = np.iinfo(np.int64).max, np.iinfo(np.int64).min
EXTREMES = np.array(
    [MOST, LEAST, MOST - 1, LEAST + 1, 1 << 62, -(1 << 62), 0, 1, -1, MOST // 2 + 1], np.int64
)
N = len(EXTREMES)


def wrapped(function):
    """Of each extreme, modulo 2⁶⁴."""
    values = (function(int(x)) for x in EXTREMES)
    return np.array([(value + (1 << 63)) % (1 << 64) - (1 << 63) for value in values], np.int64)


def wrap(value):
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


EXPRESSIONS = {
    "half of twice": (lambda x: (x * 2) // 2, lambda x: wrap(2 * x) // 2),
    "rest of thrice": (lambda x: (x * 3 + 1) % 3, lambda x: wrap(3 * x + 1) % 3),
    "minimum": (lambda x: te.minimum(x, x + 1), lambda x: min(x, wrap(x + 1))),
    "maximum": (lambda x: te.maximum(x - 1, x), lambda x: max(x, wrap(x - 1))),
    "above": (lambda x: te.select(x + 1 > x, x * 0 + 1, 0), lambda x: int(wrap(x + 1) > x)),
    "not below": (lambda x: te.select(x - 1 >= x, x * 0 + 1, 0), lambda x: int(wrap(x - 1) >= x)),
    "equal": (lambda x: te.select((x * 2).equal(x * 4 - x * 2), x, 7), lambda x: x),
    "sums": (lambda x: x * 3 - x - x + 5 - 5, lambda x: x),
    "far": (lambda x: (x + (1 << 62)) // 2, lambda x: wrap(x + (1 << 62)) // 2),
    "farther": (lambda x: x * (1 << 62) * 4 + x, lambda x: x),
    "both": (lambda x: x // 3 * 3 + x % 3, lambda x: x),
}


def results(tensor, steps, **arrays):
    """Of the interpreter, the host, and te itself."""
    stage = tensor.stage
    inputs = [each for each in stage.inputs if each.name in arrays]
    function = schedule.apply(te.lower("f", inputs, [tensor]), steps)
    yield interpret.run(function, arrays)[tensor.name]
    yield compile_function(function).run(dict(arrays))[tensor.name]
    yield te.evaluate([tensor], {each: arrays[each.name] for each in inputs})[0]


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("steps", [[], [Split("y_i", 4, "o", "i")]], ids=["plain", "split"])
def test_int64_data_wrap_as_they_are_written(name, steps):
    expression, expected = EXPRESSIONS[name]
    x = te.placeholder((N,), DType.INT64, "x")
    y = te.compute((N,), lambda i: expression(x[i]), "y")
    for found in results(y, steps, x=EXTREMES):
        assert np.array_equal(found, wrapped(expected))


@pytest.mark.parametrize("steps", [[], [Split("y_i", 4, "o", "i")]], ids=["plain", "split"])
def test_loop_variables_with_large_factors_wrap_too(steps):
    y = te.compute((N,), lambda i: (i * (1 << 62)) // 2, "y")
    expected = wrapped_indices(lambda i: wrap(i << 62) // 2)
    function = schedule.apply(te.lower("f", [], [y]), steps)
    assert np.array_equal(interpret.run(function, {})["y"], expected)
    assert np.array_equal(compile_function(function).run({})["y"], expected)


def wrapped_indices(function):
    return np.array([wrap(function(i)) for i in range(N)], np.int64)


FLOATS = [0.0, -0.9, 127.4, 127.9, 128.0, -128.9, -129.0, 255.5, 256.0, -1.0, 300.0, 3e9, -3e9, 1e19, -1e19]
FLOATS += [np.inf, -np.inf, np.nan, 2.0**31, 2.0**63, -(2.0**63), 2.0**31 - 128, 2.0**63 - 2.0**39]


@pytest.mark.parametrize("integer", [np.int8, np.uint8, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("real", [np.float32, np.float64])
@pytest.mark.parametrize(
    "lanes", [[], [Split("y_i", 8, "o", "i"), schedule.Vectorise("i")]], ids=["one", "many"]
)
def test_a_float_becomes_the_nearest_integer(integer, real, lanes):
    values = np.array([*FLOATS, 0.0], real)
    ends = np.iinfo(integer)
    whole = [0 if np.isnan(v) else v if np.isinf(v) else int(v) for v in values]
    expected = np.array([int(min(max(v, ends.min), ends.max)) for v in whole], integer)
    x = te.placeholder(values.shape, real, "x")
    y = te.compute(values.shape, lambda i: te.cast(x[i], integer), "y")
    for found in results(y, lanes, x=values):
        assert found.dtype == integer
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("name", ["a", "z"])
def test_an_int64_sum_is_reduced_in_parts_whatever_its_input_is_called(name):
    x = te.placeholder((3, 12), DType.INT64, name)
    k = te.reduce_axis(12, "k")
    o = te.compute((3,), lambda i: te.sum_of(x[i, k] * 2 + 1, k), "o")
    steps = [Split("o_k", 4, "ko", "ki"), RFactor("o", "ko", "part")]
    data = np.random.default_rng(2).integers(LEAST, MOST, (3, 12))
    for found in results(o, steps, **{name: data}):
        assert np.array_equal(found, (data * 2 + 1).sum(axis=1))


def test_an_extent_is_not_taken_from_a_buffer_that_is_not_filled_yet():
    x = te.placeholder((4, 5), DType.INT32, "x")
    given = te.placeholder((4,), DType.INT64, "given")
    b = te.compute((4,), lambda i: (given[i] + 1) % 4, "b")
    t = te.compute((4, 5), lambda i, j: x[i, j] * 3, "t2")
    g = te.compute((4, 5), lambda i, j: t[b[i], j], "g")
    data = np.arange(20, dtype=np.int32).reshape(4, 5)
    places = np.array([3, 1, 0, 2])
    function = te.lower("f", [x, given], [g])
    for order in (("t2", "b"), ("b", "t2")):
        scheduled = schedule.apply(function, [ComputeAt(name, "g_i") for name in order])
        found = interpret.run(scheduled, {"x": data, "given": places})["g"]
        assert np.array_equal(found, data[(places + 1) % 4] * 3)


def test_rows_that_a_given_index_names_are_computed_alone():
    x = te.placeholder((4, 5), DType.INT32, "x")
    b = te.placeholder((4,), DType.INT64, "b")
    t = te.compute((4, 5), lambda i, j: x[i, j] * 3, "t")
    g = te.compute((4, 5), lambda i, j: t[b[i], j], "g")
    scheduled = schedule.apply(te.lower("f", [x, b], [g]), [ComputeAt("t", "g_i")])
    assert "block t(v_t_i = max(b[g_i], 0) + t_i, " in print_function(scheduled)
    data = np.arange(20, dtype=np.int32).reshape(4, 5)
    places = np.array([3, 1, 0, 3])
    assert np.array_equal(interpret.run(scheduled, {"x": data, "b": places})["g"], data[places] * 3)


@pytest.mark.parametrize("dtype", [np.int32, "int32", np.dtype("int32"), DType.INT32])
def test_types_may_be_named_as_numpy_does(dtype):
    x = te.placeholder((np.int64(4), 3), dtype, "x")
    y = te.compute((4, 3), lambda i, j: te.cast(x[i, j], np.int64) + np.int32(2), "y")
    assert (x.dtype, y.dtype, x.shape) == (DType.INT32, DType.INT64, (4, 3))
    data = np.arange(12, dtype=np.int32).reshape(4, 3)
    for found in results(y, [], x=data):
        assert np.array_equal(found, data + np.int64(2))


@pytest.mark.parametrize("dtype", [np.complex64, "int33", None, 7, "U3", object])
@pytest.mark.parametrize(
    "use",
    [
        lambda dtype: te.placeholder((4,), dtype, "x"),
        lambda dtype: te.constant(3, dtype),
        lambda dtype: te.cast(te.constant(3, DType.INT8), dtype),
        lambda dtype: te.saturate(te.constant(3, DType.INT32), dtype),
    ],
)
def test_a_type_that_no_tensor_has_is_refused(dtype, use):
    with pytest.raises(TirError, match="the type of elements must be one of bool, int8, uint8"):
        use(dtype)


def test_a_number_is_no_expression_to_cast():
    with pytest.raises(TirError, match=r"the value to cast must be an expression, not 3: use constant\(\)"):
        te.cast(3, DType.INT8)
