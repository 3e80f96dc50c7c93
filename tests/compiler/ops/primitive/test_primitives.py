"""Each primitive computes what numpy does, and its types say so; what has no meaning is refused."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.error import EvaluationError, OperatorError
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import Size, SizeName
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.argsort import ArgSort
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.cumulative import CumulativeSum
from tilewright.compiler.ops.primitive.dilate import Dilate
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.extent import Extent
from tilewright.compiler.ops.primitive.gather import Gather, ScatterAdd
from tilewright.compiler.ops.primitive.gather_elements import GatherElements, ScatterElements
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.nonzero import NonZero
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reduce import Reduce
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.scalar import SCALARS
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.primitive.window import ReduceWindow
from tilewright.numerics import elementary

F32, I64, BOOL = DType.FLOAT32, DType.INT64, DType.BOOL
N, M = Size.of("n"), Size.of("m")
DTYPES = list(DType)


def type_of(x: Any) -> TensorType:
    return TensorType(DType.of(x.dtype), x.shape)


def check(operator: Operator, arrays: list[Any], expected: Any) -> None:
    """The result equals the expected array, and its type is the inferred one."""
    (tensor,) = operator.infer(*map(type_of, arrays))
    (found,) = operator.run(*arrays)
    assert tensor == type_of(found)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.asarray(expected).dtype


def values(dtype: DType, *shape: int, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    if dtype is BOOL:
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.is_float:
        return rng.normal(size=shape).astype(dtype.numpy) * 3
    return rng.integers(-5 if dtype.is_signed else 0, 9, shape).astype(dtype.numpy)


NUMPY: dict[str, Callable[..., Any]] = {
    "neg": np.negative, "abs": np.abs, "sign": np.sign, "exp": np.exp, "log": np.log, "sqrt": np.sqrt,
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "isnan": np.isnan, "isinf": np.isinf, "not": np.invert, "add": np.add, "sub": np.subtract,
    "mul": np.multiply, "pow": np.power, "max": np.maximum, "min": np.minimum, "mod": np.mod, "fmod": np.fmod,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "shift_left": np.left_shift,
    "shift_right": np.right_shift, "equal": np.equal, "less": np.less,
    "div": lambda x, y: np.divide(x, y) if x.dtype.kind == "f" else np.trunc(np.divide(x, y)).astype(x.dtype),
    "erf": lambda x: np.vectorize(math.erf)(x.astype(float)).astype(x.dtype),
    "select": np.where,
}  # fmt: skip


@pytest.mark.parametrize("name", list(SCALARS))
def test_every_scalar_function_on_every_element_type(name: str) -> None:
    row = SCALARS[name]
    for dtype in DTYPES:
        arrays = [values(dtype, 3, 4, seed=i) for i in range(row.arity)]
        if name in ("div", "mod", "fmod", "pow", "shift_left", "shift_right"):
            arrays[1] = np.abs(arrays[1]) + 1 if dtype is not BOOL else arrays[1]
        if name == "select":
            arrays[0] = values(BOOL, 3, 4)
        if not row.takes(dtype):
            with pytest.raises(OperatorError, match=name):
                Map(name).infer(*map(type_of, arrays))
            continue
        with np.errstate(all="ignore"):
            expected = NUMPY[name](*arrays)
        if dtype is F32 and hasattr(elementary, name):
            # Its bits are defined, and the tests of `numerics` say how near they are.
            np.testing.assert_allclose(getattr(elementary, name)(*arrays), expected, rtol=1e-6)
            expected = getattr(elementary, name)(*arrays)
        check(Map(name), arrays, expected)


def test_integers_divide_toward_zero() -> None:
    x, y = np.array([7, -7, 7, -7, 5, -128], np.int8), np.array([2, 2, -2, -2, 0, -1], np.int8)
    check(Map("div"), [x, y], np.array([3, -3, -3, 3, 0, -128], np.int8))


def test_operands_of_a_map_must_agree() -> None:
    x = TensorType(F32, (2,))
    for others, message in (
        ([TensorType(F32, (3,))], "shape"),
        ([TensorType(I64, (2,))], "type"),
        ([], "operands"),
    ):
        with pytest.raises(OperatorError, match=message):
            Map("add").infer(x, *others)
    with pytest.raises(OperatorError, match="bool"):
        Map("select").infer(x, x, x)
    with pytest.raises(OperatorError, match="one of"):
        Map("nothing").infer(x)


@pytest.mark.parametrize("dtype", [each for each in DTYPES if each.is_integer])
def test_floats_become_integers_toward_zero_and_saturate(dtype: DType) -> None:
    limits = np.iinfo(dtype.value)
    given = np.array([2.9, -1.9 if dtype.is_signed else 0.3, np.nan, np.inf, -np.inf, 1e30, -1e30])
    wanted = [2, -1 if dtype.is_signed else 0, 0, limits.max, limits.min, limits.max, limits.min]
    check(Cast(dtype), [given], np.array(wanted, dtype.numpy))


def test_other_casts() -> None:
    check(Cast(DType.INT8), [np.array([300, -129])], np.array([44, 127], np.int8))
    check(Cast(BOOL), [np.array([0.0, 0.5, -2])], np.array([False, True, True]))
    check(Cast(F32), [np.array([True, False])], np.array([1, 0], np.float32))


def test_iota_extent_assume() -> None:
    check(Iota(I64, (2, 3), 1), [], np.array([[0, 1, 2], [0, 1, 2]]))
    assert Iota(F32, (N, 2), 0).infer() == (TensorType(F32, (N, 2)),)
    check(Extent(1), [np.zeros((2, 5))], np.asarray(5))
    assert Assume((N,)).infer(TensorType(F32, (M,))) == (TensorType(F32, (N,)),)
    with pytest.raises(EvaluationError):
        Assume((3,)).run(np.zeros(2))
    with pytest.raises(OperatorError, match="never"):
        Assume((N + 1,)).infer(TensorType(F32, (N,)))


@given(st.permutations(range(4)))
def test_transpose(order: list[int]) -> None:
    x = values(F32, 2, 3, 4, 5)
    check(Transpose(tuple(order)), [x], x.transpose(order))


def test_reshape() -> None:
    x = values(F32, 4, 6)
    check(Reshape((3, 8)), [x], x.reshape(3, 8))
    assert Reshape((N * 2, 3)).infer(TensorType(F32, (N, 6))) == (TensorType(F32, (N * 2, 3)),)
    for shape, given_shape in (((5,), (4,)), ((N + 1,), (N,))):
        with pytest.raises(OperatorError, match="elements"):
            Reshape(shape).infer(TensorType(F32, given_shape))
    with pytest.raises(EvaluationError):
        Reshape((2, 2)).run(np.zeros(5))


def test_broadcast() -> None:
    x = values(F32, 3, 1)
    check(Broadcast((2, 3, 4), (1, 2)), [x], np.broadcast_to(x, (2, 3, 4)))
    check(Broadcast((3, 2, 1), (0, 2)), [x], np.broadcast_to(x[:, None], (3, 2, 1)))
    with pytest.raises(OperatorError, match="repeated"):
        Broadcast((2, 4), (0, 1)).infer(type_of(x))


@given(st.data())
def test_slices(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(0, 7), min_size=1, max_size=3))
    x = values(F32, *shape)
    bounds = []
    for size in shape:
        step = data.draw(st.sampled_from([1, 2, 3, -1, -2]))
        if step > 0:
            start = data.draw(st.integers(0, size))
            stop = data.draw(st.integers(start, size))
        else:
            start = data.draw(st.integers(-1, size - 1)) if size else -1
            stop = data.draw(st.integers(-1, start))
        bounds.append((start, stop, step))
    starts, stops, steps = (tuple(each) for each in zip(*bounds, strict=True))
    expected = x
    for axis, (start, stop, step) in enumerate(bounds):
        expected = expected.take(range(start, stop, step), axis)
    check(Slice(starts, stops, steps), [x], expected)


def test_slices_of_symbolic_sizes() -> None:
    x = TensorType(F32, (N * 2,))
    assert Slice((1,), (N * 2,), (2,)).infer(x)[0].shape == (N,)
    assert Slice((N * 2 - 1,), (-1,), (-1,)).infer(x)[0].shape == (N * 2,)
    assert Slice((N,), (N * 2,), (1,)).infer(x)[0].shape == (N,)
    for bounds in ((0, N * 2 + 1), (-1, N), (3, 2)):
        with pytest.raises(OperatorError, match="lie in"):
            Slice((bounds[0],), (bounds[1],), (1,)).infer(x)
    with pytest.raises(EvaluationError):
        Slice((0,), (5,), (1,)).run(np.zeros(4))


def test_dilate_pad_concat() -> None:
    x = np.array([1.0, 2.0])
    check(Dilate(0, 3), [x], np.array([1.0, 0, 0, 2.0]))
    check(Dilate(0, 3), [x[:0]], x[:0])
    y = values(F32, 2, 3)
    check(Pad((1, 0), (2, 3)), [y, np.float32(7)], np.pad(y, ((1, 2), (0, 3)), constant_values=7))
    assert Pad((N,), (1,)).infer(TensorType(F32, (N,)), TensorType(F32, ()))[0].shape == (N * 2 + 1,)
    with pytest.raises(OperatorError, match="from 0"):
        Pad((-1, 0), (0, 0)).infer(type_of(y), TensorType(F32, ()))
    check(Concat(1), [y, y[:, :1]], np.concatenate([y, y[:, :1]], 1))
    with pytest.raises(OperatorError, match="agree"):
        Concat(0).infer(type_of(y), type_of(y[:, :1]))


@given(st.integers(0, 2), st.lists(st.integers(1, 3), max_size=2), st.integers(0, 99))
def test_gather_and_scatter_add(axis: int, places: list[int], seed: int) -> None:
    x = values(F32, 3, 4, 2)
    size = x.shape[axis]
    indices = np.random.default_rng(seed).integers(-size, size, places)
    taken = np.take(x, indices, axis)
    check(Gather(axis), [x, indices], taken)
    expected = x.astype(np.float64)
    for place in np.ndindex(*places):
        where = (slice(None),) * axis + (indices[place],)
        expected[where] += taken[(slice(None),) * axis + place]
    (found,) = ScatterAdd(axis).run(x, indices, taken)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert ScatterAdd(axis).infer(type_of(x), type_of(indices), type_of(taken)) == (type_of(x),)


def test_indices_outside_are_refused() -> None:
    x = np.zeros((3, 2))
    for index in (3, -4):
        with pytest.raises(EvaluationError, match="indices"):
            Gather(0).run(x, np.array([index]))
        with pytest.raises(EvaluationError, match="indices"):
            GatherElements(0).run(x, np.array([[index]]))
    with pytest.raises(OperatorError, match="cast"):
        Gather(0).infer(type_of(x), TensorType(DType.INT32, (1,)))


@pytest.mark.parametrize("axis", [0, 1])
def test_elements_by_indices(axis: int) -> None:
    x = values(F32, 3, 3)
    indices = np.array([[2, 0], [-1, 1]])
    part = x[:, :2] if axis == 0 else x[:2]
    check(GatherElements(axis), [x, indices], np.take_along_axis(part, indices, axis))
    updates = values(F32, 2, 2, seed=4)
    combine = {"none": lambda x, u: u, "add": np.add, "mul": np.multiply, "max": max, "min": min}
    for reduction in combine:
        expected = x.copy()
        for i, j in np.ndindex(2, 2):
            where = (indices[i, j], j) if axis == 0 else (i, indices[i, j])
            expected[where] = combine[reduction](expected[where], updates[i, j])
        check(ScatterElements(axis, reduction), [x, indices, updates], expected)


@pytest.mark.parametrize("function", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_reductions(function: str, dtype: DType) -> None:
    x = values(dtype, 3, 4, 2)
    if dtype is BOOL and function in ("sum", "prod"):
        with pytest.raises(OperatorError, match="bool"):
            Reduce(function, (0,)).infer(type_of(x))
        return
    for axes in ((), (1,), (0, 2), (0, 1, 2)):
        (found,) = Reduce(function, axes).run(x)
        assert Reduce(function, axes).infer(type_of(x)) == (type_of(found),)
        wide = x.astype(np.float64) if dtype.is_float else x
        expected = getattr(np, function)(wide, axis=axes).astype(x.dtype)
        tolerance = 2e-2 if dtype is DType.FLOAT16 else 1e-5
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance / 10)


def test_reductions_of_nothing() -> None:
    x = np.zeros((0, 2), np.float32)
    for function, value in (("sum", 0), ("prod", 1), ("max", -np.inf), ("min", np.inf)):
        check(Reduce(function, (0,)), [x], np.full(2, value, np.float32))
    check(Reduce("max", (0,)), [np.zeros(0, np.int8)], np.asarray(-128, np.int8))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative_sums(exclusive: bool, reverse: bool) -> None:
    x = values(I64, 2, 5)
    expected = np.zeros_like(x)
    for j in range(5):
        places = [k for k in range(5) if (k > j if reverse else k < j) or (k == j and not exclusive)]
        expected[:, j] = x[:, places].sum(1)
    check(CumulativeSum(1, exclusive, reverse), [x], expected)


@given(st.lists(st.integers(0, 3), max_size=8), st.booleans())
def test_sorting_is_stable(numbers: list[int], descending: bool) -> None:
    expected = sorted(range(len(numbers)), key=lambda i: -numbers[i] if descending else numbers[i])
    check(ArgSort(0, descending), [np.array(numbers, np.uint8)], np.array(expected, np.int64))


def test_nonzero() -> None:
    x = np.array([[0, 3], [1, 0]])
    (found,) = NonZero(SizeName("k")).run(x)
    np.testing.assert_array_equal(found, [[0, 1], [1, 0]])
    assert NonZero(SizeName("k")).infer(type_of(x)) == (TensorType(I64, (2, Size.of("k"))),)
    assert NonZero(SizeName("k")).run(np.asarray(2))[0].shape == (0, 1)


@pytest.mark.parametrize("dtype", [DType.FLOAT64, F32, DType.INT8, I64])
def test_products_over_several_axes(dtype: DType) -> None:
    a, b = values(dtype, 2, 3, 4, 5), values(dtype, 5, 2, 6, 3, seed=1)
    operator = Dot((3, 1), (0, 3), (0,), (1,))
    with np.errstate(all="ignore"):
        expected = np.einsum("nkml,lnpk->nmp", a, b).astype(dtype.numpy)
    (found,) = operator.run(a, b)
    assert operator.infer(type_of(a), type_of(b)) == (type_of(found),)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    x = TensorType(F32, (N, M, 4))
    assert Dot((2,), (2,), (0,), (0,)).infer(x, x)[0].shape == (N, M, M)
    with pytest.raises(OperatorError, match="long"):
        Dot((1,), (2,)).infer(x, x)


def plain_conv(x: Any, w: Any, strides: Any, pads: Any, dilations: Any, groups: int) -> Any:
    """By the definition, in float64."""
    rank = x.ndim - 2
    wide = np.pad(x.astype(float), [(0, 0)] * 2 + [(pads[i], pads[rank + i]) for i in range(rank)])
    kernel = w.shape[2:]
    places = [(wide.shape[2 + i] - (kernel[i] - 1) * dilations[i] - 1) // strides[i] + 1 for i in range(rank)]
    result = np.zeros((x.shape[0], w.shape[0], *places))
    per_in, per_out = w.shape[1], w.shape[0] // groups
    for n, o, *place in np.ndindex(*result.shape):
        for c, *k in np.ndindex(*w.shape[1:]):
            at = [p * s + q * d for p, s, q, d in zip(place, strides, k, dilations, strict=True)]
            result[(n, o, *place)] += wide[(n, o // per_out * per_in + c, *at)] * w[(o, c, *k)]
    return result


@given(st.data())
def test_convolutions(data: st.DataObject) -> None:
    rank = data.draw(st.integers(1, 3))
    groups = data.draw(st.sampled_from([1, 2]))
    draw = lambda low, high, count=rank: tuple(data.draw(st.integers(low, high)) for _ in range(count))  # noqa: E731
    kernel, strides, dilations, pads = draw(1, 2), draw(1, 3), draw(1, 2), draw(0, 2, 2 * rank)
    x = values(F32, 2, 2 * groups, *draw(3, 4), seed=1)
    w = values(F32, 2 * groups, 2, *kernel, seed=2)
    operator = Conv(strides, pads, dilations, groups)
    (found,) = operator.run(x, w)
    assert operator.infer(type_of(x), type_of(w)) == (type_of(found),)
    np.testing.assert_allclose(
        found, plain_conv(x, w, strides, pads, dilations, groups), rtol=1e-5, atol=1e-5
    )


def test_windows_must_fit() -> None:
    w = TensorType(F32, (1, 1, 5))
    with pytest.raises(OperatorError, match="fit"):
        Conv((1,), (0, 0), (1,)).infer(TensorType(F32, (1, 1, 4)), w)
    with pytest.raises(OperatorError, match="channels"):
        Conv((1,), (0, 0), (1,)).infer(TensorType(F32, (1, 2, 9)), w)
    assert Conv((2,), (1, 2), (1,)).infer(TensorType(F32, (N, 1, M * 2)), w)[0].shape == (N, 1, M)


@pytest.mark.parametrize("function", ["sum", "max", "min"])
@pytest.mark.parametrize("dtype", [F32, DType.INT8])
def test_windows(function: str, dtype: DType) -> None:
    x = values(dtype, 2, 5, 6)
    operator = ReduceWindow(function, (2, 3), (2, 1), (1, 0, 0, 2), (1, 2))
    (found,) = operator.run(x)
    assert operator.infer(type_of(x)) == (type_of(found),)
    for n, i, j in np.ndindex(*found.shape):
        rows = [r for r in (2 * i - 1, 2 * i) if 0 <= r < 5]
        columns = [c for c in (j, j + 2, j + 4) if c < 6]
        part = x[n][np.ix_(rows, columns)]
        np.testing.assert_allclose(found[n, i, j], getattr(np, function)(part), rtol=1e-5)


def test_a_builder_names_the_operator_that_refuses() -> None:
    b = Builder("f")
    x = b.parameter("x", TensorType(F32, (2,)))
    with pytest.raises(OperatorError, match="transpose: permutation"):
        b.emit(Transpose((0, 1)), x)


def test_a_depthwise_convolution_is_that_of_each_channel_alone():
    """Summed tap by tap; those of one channel are products: both are near the truth to the last bits."""
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(2, 5, 8, 7)) * 10.0 ** rng.integers(-3, 4, (2, 5, 8, 7))).astype(np.float32)
    w = rng.normal(size=(5, 1, 3, 2)).astype(np.float32)
    geometry = (2, 1), (1, 0, 2, 1), (1, 2)
    (found,) = Conv(*geometry, 5).run(x, w)
    for channel in range(5):
        # Twice the weights: as many outputs as no depthwise convolution has.
        pair = np.concatenate([w[channel : channel + 1]] * 2)
        (one,) = Conv(*geometry, 1).run(x[:, channel : channel + 1], pair)
        np.testing.assert_allclose(found[:, channel], one[:, 0], rtol=3e-7, atol=1e-6)
