"""Functions that emit equations mean what numpy's functions of the same name mean."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder, trace
from tilewright.compiler.ir.error import EvaluationError, OperatorError
from tilewright.compiler.ir.function import Function, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e

F32, F64, I64, BOOL = DType.FLOAT32, DType.FLOAT64, DType.INT64, DType.BOOL
N, M = Size.of("n"), Size.of("m")
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def normal(*shape: int) -> Any:
    return np.random.default_rng(len(shape)).normal(size=shape)


def traced(body: Callable[..., Any], *types: TensorType) -> Function:
    def listed(*values: Any) -> Sequence[Value]:
        results = body(*values)
        return [results] if isinstance(results, Value) else results

    return trace("f", types, listed)


def computed(body: Callable[..., Any], *arrays: Any) -> tuple[Any, ...]:
    return run(traced(body, *(TensorType(DType.of(x.dtype), x.shape) for x in arrays)), *arrays)


def check(body: Callable[..., Any], arrays: Sequence[Any], expected: Any, exact: bool = True) -> None:
    (found,) = computed(body, *arrays)
    if exact:
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


@given(SHAPES, st.data())
def test_broadcasting(shape: tuple[int, ...], data: st.DataObject) -> None:
    lead = data.draw(st.integers(0, len(shape)))
    other = tuple(data.draw(st.sampled_from([1, size])) for size in shape[lead:])
    x, y = normal(*shape), normal(*other)
    check(lambda b, x, y: e.add(b, x, y), [x, y], x + y)
    check(lambda b, x, y: e.add(b, y, x), [x, y], x + y)


def test_broadcasting_of_symbolic_sizes() -> None:
    def body(b: Any, x: Any, y: Any) -> Any:
        return e.mul(b, x, y)

    function = traced(body, TensorType(F64, (N, 3)), TensorType(F64, (M, 1)))
    assert function.result_types[0].shape == (N, 3)
    run(function, normal(2, 3), normal(2, 1))
    with pytest.raises(EvaluationError):
        run(function, normal(2, 3), normal(3, 1))
    number = traced(body, TensorType(F64, (N, 3)), TensorType(F64, (5, 3)))
    assert number.result_types[0].shape == (5, 3)
    with pytest.raises(OperatorError, match="agree"):
        traced(body, TensorType(F64, (2, 3)), TensorType(F64, (3, 3)))


def test_numbers_take_the_type_of_the_values_beside_them() -> None:
    x = np.array([1, 2], np.int8)
    check(lambda b, x: e.add(b, x, 3), [x], np.array([4, 5], np.int8))
    check(lambda b, x: e.sub(b, 3, x), [x], np.array([2, 1], np.int8))
    for number in (0.5, 300):
        with pytest.raises(OperatorError, match="int8"):
            computed(lambda b, x, y=number: e.mul(b, x, y), x)
    with pytest.raises(OperatorError, match="tensor"):
        e.add(Builder("f"), 1, 2)


def test_what_is_known_is_folded() -> None:
    b = Builder("f")
    x = b.parameter("x", TensorType(F32, (2, N)))
    assert e.mul(b, x, 1) is x
    assert e.sub(b, x, 0) is x
    assert e.reshape(b, x, x.type.shape) is x
    assert e.transpose(b, x, (0, 1)) is x
    assert e.cast(b, x, F32) is x
    assert e.slice_axis(b, x, 1, 0, N) is x
    size = e.mul(b, e.extent(b, x, 0), 3)
    literal = b.literal(size)
    assert literal is not None
    assert literal.array == 6
    assert b.literal(e.extent(b, x, 1)) is None
    # A number of another shape does change something.
    assert e.mul(b, b.constant(np.float32(2)), b.constant(np.ones(3, np.float32))).type.shape == (3,)


def test_comparisons_of_nan() -> None:
    x = np.array([1.0, np.nan, 2.0])
    y = np.array([1.0, 1.0, 1.0])
    check(lambda b, x, y: e.less_equal(b, x, y), [x, y], x <= y)
    check(lambda b, x, y: e.greater_equal(b, x, y), [x, y], x >= y)
    check(lambda b, x, y: e.greater(b, x, y), [x, y], x > y)


def test_small_functions() -> None:
    x = np.array([-800.0, -1.0, 0.0, 3.0, 800.0])
    with np.errstate(over="ignore"):
        check(lambda b, x: e.sigmoid(b, x), [x], 1 / (1 + np.exp(-x)), exact=False)
    check(lambda b, x: e.relu(b, x), [x], np.maximum(x, 0))
    check(lambda b, x: e.square(b, x), [x], x * x)
    check(lambda b, x: e.reciprocal(b, x), [x[:2]], 1 / x[:2])
    check(lambda b, x: e.zeros_like(b, x), [x > 0], np.zeros(5, bool))
    check(lambda b, x: e.full(b, 2, I64, (2, 1)), [x], np.full((2, 1), 2))


def test_reshapes_with_a_size_that_is_left() -> None:
    b = Builder("f")
    x = b.parameter("x", TensorType(F32, (N, 4, M)))
    assert e.reshape(b, x, (-1, M)).type.shape == (N * 4, M)
    assert e.reshape(b, x, (N, 2, -1)).type.shape == (N, 2, M * 2)
    assert e.expand_dims(b, x, (0, -1)).type.shape == (1, N, 4, M, 1)
    assert e.squeeze(b, e.expand_dims(b, x, 1)).type.shape == x.type.shape
    for shape in ((-1, -1), (Size.of("k"), -1)):
        with pytest.raises(OperatorError, match="-1"):
            e.reshape(b, x, shape)
    with pytest.raises(OperatorError, match="size 1"):
        e.squeeze(b, x, 1)


def test_parts_and_joins() -> None:
    x = normal(2, 5, 3)
    check(lambda b, x: e.concat(b, e.split(b, x, (2, 3), -2), 1), [x], x)
    check(lambda b, x: e.split(b, x, (2, 3), 1)[1], [x], x[:, 2:])
    check(lambda b, x: e.stack(b, [x, x], -1), [x], np.stack([x, x], -1))
    check(lambda b, x: e.slice_axis(b, x, -1, 2, -1, -1), [x], x[..., ::-1])
    check(
        lambda b, x: e.pad_or_cut(b, x, (0, -1, 2), (1, -2, 0)),
        [x],
        np.pad(x[:, 1:3], ((0, 1), (0, 0), (2, 0))),
    )
    check(
        lambda b, x: e.pad(b, x, (0, 1, 0), (0, 0, 0), 7.5),
        [x],
        np.pad(x, ((0, 0), (1, 0), (0, 0)), constant_values=7.5),
    )
    check(lambda b, x: e.transpose(b, x), [x], x.T)


@pytest.mark.parametrize(
    "shapes",
    [
        ((3,), (3,)),
        ((3,), (3, 2)),
        ((3,), (4, 3, 2)),
        ((2, 3), (3,)),
        ((5, 2, 3), (3,)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 1, 2, 3), (6, 3, 4)),
    ],
)
def test_matmul(shapes: Any) -> None:
    x, y = normal(*shapes[0]), normal(*shapes[1])
    check(lambda b, x, y: e.matmul(b, x, y), [x, y], x @ y, exact=False)


def test_matmul_assumes_that_symbolic_sizes_agree() -> None:
    function = traced(lambda b, x, y: e.matmul(b, x, y), TensorType(F64, (2, N)), TensorType(F64, (M, 3)))
    np.testing.assert_allclose(run(function, normal(2, 4), normal(4, 3))[0], normal(2, 4) @ normal(4, 3))
    with pytest.raises(EvaluationError):
        run(function, normal(2, 4), normal(5, 3))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("axes", [None, 1, -1, (0, 2), ()])
def test_reductions(axes: Any, keep: bool) -> None:
    x = normal(2, 3, 4)
    pairs = (
        (e.reduce_sum, np.sum),
        (e.reduce_prod, np.prod),
        (e.reduce_max, np.max),
        (e.reduce_min, np.min),
        (e.mean, np.mean),
    )
    for own, numpy in pairs:
        check(
            lambda b, x, own=own: own(b, x, axes, keep), [x], numpy(x, axis=axes, keepdims=keep), exact=False
        )


def test_mean_of_symbolic_sizes() -> None:
    function = traced(lambda b, x: e.mean(b, x, 0), TensorType(F64, (N, 3)))
    np.testing.assert_allclose(run(function, normal(5, 3))[0], normal(5, 3).mean(0))


@pytest.mark.parametrize("last", [False, True])
def test_argmax(last: bool) -> None:
    x = np.array([[1.0, 3.0, 3.0, 0.0], [np.nan, 1.0, np.nan, 5.0]])
    expected = [2, 2] if last else [1, 0]
    check(lambda b, x: e.argmax(b, x, -1, last), [x], np.array(expected))


@given(st.integers(0, 2), st.integers(0, 2), st.integers(0, 9))
def test_parts_by_coordinates(batch: int, coordinates: int, seed: int) -> None:
    x = normal(2, 3, 4, 2)
    rng = np.random.default_rng(seed)
    places = (*x.shape[:batch], 3)
    sizes = x.shape[batch : batch + coordinates]
    indices = (
        rng.integers([-s for s in sizes], sizes, (*places, coordinates))
        if sizes
        else np.zeros((*places, 0), int)
    )
    expected = np.stack([x[(*place[:batch], *indices[place])] for place in np.ndindex(*places)])
    expected = expected.reshape(*places, *x.shape[batch + coordinates :])
    check(lambda b, x, i: e.gather_nd(b, x, i, batch), [x, indices], expected)


@pytest.mark.parametrize("reduction", ["none", "add", "max"])
def test_scatter_by_coordinates(reduction: str) -> None:
    x, indices = normal(3, 4, 2), np.array([[0, 1], [-1, 3], [2, 0]])
    updates = normal(3, 2)
    expected = x.copy()
    for (i, j), row in zip(indices, updates, strict=True):
        expected[i, j] = {"none": row, "add": x[i, j] + row, "max": np.maximum(x[i, j], row)}[reduction]
    check(lambda b, x, i, u: e.scatter_nd(b, x, i, u, reduction), [x, indices, updates], expected)


def test_branches() -> None:
    def body(b: Any, x: Any, c: Any) -> Any:
        return e.if_(b, c, lambda b: [e.neg(b, x), e.slice_axis(b, x, 0, 0, 1)], lambda b: [x, x])

    function = traced(body, TensorType(F64, (2,)), TensorType(BOOL, ()))
    assert function.result_types[0].shape == (2,)
    assert not function.result_types[1].is_known
    x = normal(2)
    assert [y.tolist() for y in run(function, x, np.asarray(True))] == [(-x).tolist(), x[:1].tolist()]
    assert [y.tolist() for y in run(function, x, np.asarray(False))] == [x.tolist()] * 2
    with pytest.raises(OperatorError, match="as many results"):
        computed(lambda b, x, c: e.if_(b, c, lambda b: [x], lambda b: [x, x]), x, np.asarray(True))


def test_loops() -> None:
    def body(b: Any, n: Any) -> Any:
        def step(b: Any, i: Any) -> Any:
            new = e.add(b, i, 1)
            return [e.less(b, new, n), new, e.mul(b, i, i)]

        return e.while_(b, e.less(b, 0, n), [e.full(b, 0, I64, ())], step)

    for count in (0, 1, 5):
        last, squares = computed(body, np.asarray(count))
        assert last == count
        np.testing.assert_array_equal(squares, np.arange(count) ** 2)


@pytest.mark.parametrize("reverse", [False, True])
def test_scans(reverse: bool) -> None:
    def body(b: Any, x: Any, y: Any) -> Any:
        return e.scan(
            b,
            [e.full(b, 0, F64, (3,))],
            [x, y],
            lambda b, s, x, y: [e.add(b, s, e.mul(b, x, y))] * 2,
            reverse,
        )

    x, y = normal(4, 3), normal(4, 1)
    last, sums = computed(body, x, y)
    terms = (x * y)[::-1] if reverse else x * y
    expected = np.cumsum(terms, 0)
    np.testing.assert_allclose(last, expected[-1])
    np.testing.assert_allclose(sums, expected[::-1] if reverse else expected)
    assert computed(body, x[:0], y[:0])[1].shape == (0, 3)


def test_a_carried_value_must_keep_its_type() -> None:
    with pytest.raises(OperatorError, match="keep its type"):
        computed(lambda b, x: e.scan(b, [x], [x], lambda b, s, y: [y]), normal(3))


def test_windows_and_convolutions_by_default_have_no_border() -> None:
    x, w = normal(1, 2, 5), normal(3, 2, 2)
    view = np.lib.stride_tricks.sliding_window_view(x, 2, -1)
    check(lambda b, x: e.window(b, x, "max", (2,)), [x], view.max(-1))
    check(lambda b, x, w: e.conv(b, x, w), [x, w], np.einsum("ncpk,ock->nop", view, w), exact=False)
