"""Each operator and function over its corner values, alone and in lanes: the bits of the interpreter."""

import itertools

import numpy as np
import pytest
from tests.compiler.targets.cpu.host_kernel import assert_same, run_compiled

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import Vectorise
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import Binary, BinaryOp, ElementFunction
from tilewright.compiler.tir.interpret import run
from tilewright.numerics.requantise import X_MAXIMUM, X_MINIMUM, pack_scale

HOST_TYPES = list(DType)
NUMBERS = [dtype for dtype in DType if dtype not in (DType.BOOL, DType.FLOAT16)]
INTEGERS = [dtype for dtype in DType if dtype.is_integer]
OF_ANGLES = [
    *(
        ElementFunction.SIN,
        ElementFunction.COS,
        ElementFunction.TAN,
        ElementFunction.ASIN,
        ElementFunction.ACOS,
        ElementFunction.ATAN,
    ),
    *(ElementFunction.SINH, ElementFunction.COSH),
]
ARITHMETIC = [op for op in BinaryOp if op not in (BinaryOp.AND, BinaryOp.OR)]


def corners(dtype):
    """Values at which operations of a type are special, 18 of each."""
    if dtype is DType.BOOL:
        return np.arange(18) % 2 == 1
    if dtype.is_float:
        tiny, huge = np.finfo(dtype.numpy).tiny, np.finfo(dtype.numpy).max
        values = [
            0,
            -0.0,
            1,
            -1,
            0.5,
            -0.5,
            1.5,
            2.5,
            -2.5,
            3,
            -7,
            np.inf,
            -np.inf,
            np.nan,
            tiny,
            huge,
            -huge,
            1e-3,
        ]
        return np.array(values, dtype.numpy)
    info = np.iinfo(dtype.numpy)
    low, high = int(info.min), int(info.max)
    values = [low, low + 1, high, high - 1, high // 2, low // 2, *range(12)]
    signs = [v if low == 0 or i % 2 else -v for i, v in enumerate(values[6:])]
    return np.array(values[:6] + signs, dtype.numpy)


def pairs(dtype):
    values = corners(dtype)
    return np.repeat(values, values.size), np.tile(values, values.size)


def element_function(computes, *types, size):
    """A function of arrays, one output for each of `computes`: plain, and in lanes."""
    inputs = [te.placeholder((size,), dtype, f"in{number}") for number, dtype in enumerate(types)]

    def element(compute):
        return lambda i: compute(*(tensor[i] for tensor in inputs))

    elements = [te.compute((size,), element(one), f"out{number}") for number, one in enumerate(computes)]
    plain = te.lower("element", inputs, elements)
    return plain, schedule.apply(plain, [Vectorise(f"out{number}_i") for number in range(len(elements))])


def check_all(computes, *arrays):
    types = [DType.of(array.dtype) for array in arrays]
    inputs = {f"in{number}": array for number, array in enumerate(arrays)}
    plain, lanes = element_function(computes, *types, size=arrays[0].size)
    expected = run(plain, inputs)
    for function in (plain, lanes):
        assert_same(run_compiled(function, inputs), expected)


def check(compute, *arrays):
    check_all([compute], *arrays)


@pytest.mark.parametrize("dtype", NUMBERS)
def test_operators_have_the_bits_of_the_interpreter(dtype):
    check_all([lambda a, b, op=op: Binary(op, a, b) for op in ARITHMETIC], *pairs(dtype))


def test_truth_values_combine():
    integers_only = (BinaryOp.SUB, BinaryOp.MOD, BinaryOp.FLOORDIV)
    kept = [op for op in BinaryOp if op not in integers_only]
    check_all([lambda a, b, op=op: Binary(op, a, b) for op in kept], *pairs(DType.BOOL))


def test_arithmetic_on_truth_values_is_refused():
    function, _ = element_function([lambda a: a - a], DType.BOOL, size=4)
    with pytest.raises(CpuError, match="- must not be applied to bool: cast"):
        run_compiled(function, {"in0": np.zeros(4, np.bool_)})


def test_division_by_a_constant_is_floor_division():
    divisors = [1, 2, 8, 7, -1, -4, -7, 0]
    check_all([lambda a, d=d: a // d + (a % d) * 3 for d in divisors], corners(DType.INT32))


@pytest.mark.parametrize("old", HOST_TYPES)
def test_casts_are_those_of_numpy(old):
    values = corners(old)
    if old.is_float:
        # What lies outside of an integer type has no value that numpy promises.
        values = np.array([0, -0.0, 1, 0.5, 1.5, 2.5, 100.99, 127, 0.999], old.numpy)
    check_all([lambda a, new=new: te.cast(a, new) for new in HOST_TYPES], values)


def test_floats_convert_to_floats_and_truth_values_at_their_corners():
    for old in (DType.FLOAT32, DType.FLOAT64):
        kept = (DType.FLOAT32, DType.FLOAT64, DType.BOOL)
        check_all([lambda a, new=new: te.cast(a, new) for new in kept], corners(old))


def test_a_float_outside_of_an_integer_type_is_its_nearest():
    function, _ = element_function([lambda a: te.cast(a, DType.INT8)], DType.FLOAT32, size=4)
    found = run_compiled(function, {"in0": np.array([np.nan, -np.inf, 300, -129], np.float32)})
    assert found["out0"].tolist() == [0, -128, 127, -128]


def test_requantise_is_that_of_numerics_for_every_shift():
    info = np.iinfo(np.int32)
    rng = np.random.default_rng(0)
    near = [base + step for base in (0, X_MAXIMUM, X_MINIMUM, 1 << 16, 1 << 30) for step in range(-2, 3)]
    t = [info.min, info.min + 1, info.max, info.max - 1, *near, *rng.integers(info.min, info.max, 35)]
    t += [sign << power for power in range(31) for sign in (1, -1)]
    # 65664 and 65665 round the ends of x to results that their neighbours do not have.
    multipliers = [0, 1, 15, 16, 17, 1 << 16, (1 << 17) - 16, (1 << 17) - 1, 54321, 65664, 65665]
    scales = [int(pack_scale(m, shift)) for m in multipliers for shift in range(-32, 32)]
    # The bits outside of both fields are ignored.
    scales += [scale | -(1 << 23) for scale in scales[::7]]
    grid = np.array(list(itertools.product(t, scales)), np.int32)
    columns = [np.ascontiguousarray(column) for column in grid.T]
    check(lambda t, scale: te.requantise(t, scale), *columns)


def test_saturation_is_that_of_numerics():
    values = np.concatenate(
        [
            corners(DType.INT32),
            np.array([s * v for v in (127, 128, 129, 32767, 32768) for s in (1, -1)], np.int32),
        ]
    )
    a, b = np.repeat(values, values.size), np.tile(values, values.size)
    check(lambda x, y: te.saturating_add(x, y), a, b)
    check_all([lambda x, to=to: te.saturate(x, to) for to in (DType.INT8, DType.INT16)], values)


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
@pytest.mark.parametrize("function", [ElementFunction.SQRT, ElementFunction.ROUND])
def test_exact_functions_of_floats_have_the_bits_of_numpy(dtype, function):
    check(lambda a: te.call(function, a), corners(dtype))


@pytest.mark.parametrize(
    "function", [ElementFunction.EXP, ElementFunction.LOG, ElementFunction.TANH, ElementFunction.ERF]
)
def test_elementary_functions_of_float32_have_the_bits_of_numerics(function):
    rng = np.random.default_rng(3)
    anything = rng.integers(-(2**31), 2**31, 20_000).astype(np.int32).view(np.float32)
    near = rng.uniform(-110, 110, 20_000).astype(np.float32)
    values = np.concatenate([corners(DType.FLOAT32), anything, near])
    check(lambda a: te.call(function, a), values)


@pytest.mark.parametrize("dtype", [DType.FLOAT64])
@pytest.mark.parametrize(
    "function", [ElementFunction.EXP, ElementFunction.LOG, ElementFunction.TANH, ElementFunction.ERF]
)
def test_other_functions_of_floats_are_near_and_the_same_in_lanes(dtype, function):
    values = np.concatenate([corners(dtype), np.linspace(-90, 90, 101).astype(dtype.numpy)])
    plain, lanes = element_function([lambda a: te.call(function, a)], dtype, size=values.size)
    found = run_compiled(plain, {"in0": values})
    assert_same(run_compiled(lanes, {"in0": values}), found)
    expected = run(plain, {"in0": values})["out0"]
    np.testing.assert_allclose(found["out0"], expected, rtol=8 * np.finfo(dtype.numpy).eps)


def test_arithmetic_that_not_every_machine_has_is_refused():
    function, _ = element_function([lambda a: a + a], DType.FLOAT16, size=4)
    with pytest.raises(CpuError, match="must not be applied to float16 on the host: cast the operands"):
        run_compiled(function, {"in0": np.zeros(4, np.float16)})


def test_every_float16_is_a_float32_and_a_float64():
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    wide = [DType.FLOAT32, DType.FLOAT64, DType.BOOL]
    check_all([lambda a, new=new: te.cast(a, new) for new in wide], values)


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
def test_floats_become_the_nearest_float16(dtype):
    halves = np.arange(1 << 15, dtype=np.uint16).view(np.float16).astype(np.float64)
    halves = halves[np.isfinite(halves)]
    middles = (halves[1:] + halves[:-1]) / 2
    near = [np.nextafter(dtype.numpy.type(x), dtype.numpy.type(to)) for x in middles[::97] for to in (0, 1e9)]
    values = np.concatenate([middles, -middles, near, corners(dtype), [65519.999, 65520, 1e-8, 1e6]])
    check(lambda a: te.cast(a, DType.FLOAT16), values.astype(dtype.numpy))


def test_integers_become_the_nearest_float16():
    values = np.array([0, 1, -1, 2049, 2051, -2049, 65504, 65519, 65520, 1 << 40, (1 << 25) + 1], np.int64)
    check(lambda a: te.cast(a, DType.FLOAT16), values)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_bits_and_shifts_are_those_of_numpy(dtype):
    two = (
        ElementFunction.BIT_AND,
        ElementFunction.BIT_OR,
        ElementFunction.BIT_XOR,
        ElementFunction.SHIFT_LEFT,
        ElementFunction.SHIFT_RIGHT,
    )
    check_all([lambda a, b, f=f: te.call(f, a, b) for f in two], *pairs(dtype))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_powers_of_integers_wrap(dtype):
    bases, exponents = pairs(dtype)
    kept = exponents >= 0
    check(lambda a, b: te.call(ElementFunction.POWER, a, b), bases[kept], exponents[kept])


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
def test_floats_are_rounded_to_integers_as_by_numpy(dtype):
    one = (ElementFunction.ABSOLUTE, ElementFunction.FLOOR, ElementFunction.CEIL)
    check_all([lambda a, f=f: te.call(f, a) for f in one], corners(dtype))
    check(lambda a, b: te.call(ElementFunction.FMOD, a, b), *pairs(dtype))


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
@pytest.mark.parametrize("function", OF_ANGLES)
def test_functions_of_angles_are_near_and_the_same_in_lanes(dtype, function):
    values = np.concatenate([corners(dtype), np.linspace(-1, 1, 41), np.linspace(-20, 20, 61)])
    values = values.astype(dtype.numpy)
    plain, lanes = element_function([lambda a: te.call(function, a)], dtype, size=values.size)
    found = run_compiled(plain, {"in0": values})
    assert_same(run_compiled(lanes, {"in0": values}), found)
    expected = run(plain, {"in0": values})["out0"]
    np.testing.assert_allclose(found["out0"], expected, rtol=16 * np.finfo(dtype.numpy).eps)


@pytest.mark.parametrize("dtype", [DType.FLOAT32, DType.FLOAT64])
def test_powers_of_floats_are_near(dtype):
    bases, exponents = (values[::7] for values in pairs(dtype))
    plain, _ = element_function(
        [lambda a, b: te.call(ElementFunction.POWER, a, b)], dtype, dtype, size=bases.size
    )
    given = {"in0": bases, "in1": exponents}
    found, expected = run_compiled(plain, given)["out0"], run(plain, given)["out0"]
    np.testing.assert_allclose(found, expected, rtol=8 * np.finfo(dtype.numpy).eps)


@pytest.mark.parametrize(
    ("function", "types"),
    [(ElementFunction.BIT_AND, [DType.FLOAT32] * 2), (ElementFunction.SIN, [DType.INT8])],
)
def test_functions_refuse_what_they_have_no_meaning_on(function, types):
    values = [te.constant(1, dtype) for dtype in types]
    with pytest.raises(TirError, match="must not be applied to"):
        te.call(function, *values)


def test_a_constant_that_its_type_cannot_hold_is_refused():
    function, _ = element_function([lambda a: te.maximum(a, 300)], DType.INT8, size=4)
    with pytest.raises(CpuError, match="constant 300 must fit int8"):
        run_compiled(function, {"in0": np.zeros(4, np.int8)})
