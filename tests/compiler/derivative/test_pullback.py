"""The pullback of every primitive agrees with central differences, once and twice."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.compiler.derivative.central import check, traced

from tilewright.compiler.derivative.pullback import gradient, pullback
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import trace
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.primitive.scalar import SCALARS

F64, I64 = DType.FLOAT64, DType.INT64
RNG = np.random.default_rng(7)


def normal(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def distinct(*shape: int) -> Any:
    count = int(np.prod(shape))
    return np.random.default_rng(3).permutation(count).reshape(shape) * 0.37 - 2.0


RANGES = {
    "log": (0.5, 2),
    "sqrt": (0.5, 2),
    "asin": (-0.8, 0.8),
    "acos": (-0.8, 0.8),
    "pow": (0.5, 2),
    "div": (0.5, 2),
}


@pytest.mark.parametrize(
    "name", [row.name for row in SCALARS.values() if row.partials and row.name != "select"]
)
def test_scalar_functions(name: str) -> None:
    low, high = RANGES.get(name, (0.3, 2.9))
    rng = np.random.default_rng(len(name))
    arrays = [rng.uniform(low, high, (2, 3)) for _ in range(SCALARS[name].arity)]
    if name in ("mod", "fmod"):
        arrays[0] = arrays[0] * 3 * np.array([1, -1, 1])
    check(traced(lambda b, *xs: e.apply(b, name, *xs), *arrays), *arrays, order=2)


@pytest.mark.parametrize("name", ["neg", "abs", "mul", "tanh", "atan", "max", "erf"])
def test_scalar_functions_of_negatives(name: str) -> None:
    arrays = [normal(5, index + 1) for index in range(SCALARS[name].arity)]
    check(traced(lambda b, *xs: e.apply(b, name, *xs), *arrays), *arrays)


INDICES = np.array([[2, 0], [2, 1]])
CASES: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "select": (
        lambda b, x, y: e.select(b, e.less(b, x, y), e.mul(b, x, x), y),
        [normal(3, 4), normal(3, 5)[:, 1:].copy()],
    ),
    "cast": (lambda b, x: e.cast(b, e.mul(b, x, x), F64), [normal(3)]),
    "broadcast": (lambda b, x, y: e.mul(b, x, y), [normal(2, 1, 3), normal(4, 1)]),
    "reshape": (lambda b, x: e.mul(b, e.reshape(b, x, (3, -1)), 2), [normal(2, 6)]),
    "transpose": (lambda b, x: e.square(b, e.transpose(b, x, (2, 0, 1))), [normal(2, 3, 4)]),
    "slice": (lambda b, x: e.square(b, e.slice(b, x, (1, 6), (5, -1), (2, -3))), [normal(6, 7)]),
    "slice unevenly": (lambda b, x: e.slice(b, x, (0, 5), (6, 0), (4, -2)), [normal(6, 7)]),
    "empty slice": (lambda b, x: [e.slice(b, x, (2,), (2,)), e.neg(b, x)], [normal(3)]),
    "dilate": (lambda b, x: e.square(b, e.dilate(b, x, 1, 3)), [normal(2, 3)]),
    "pad": (lambda b, x, v: e.square(b, e.pad(b, x, (1, 0), (0, 2), v)), [normal(2, 3), np.asarray(0.7)]),
    "concat": (lambda b, x, y: e.square(b, e.concat(b, [x, y, x], 1)), [normal(2, 3), normal(2, 2)]),
    "gather": (lambda b, x: e.square(b, e.gather(b, x, b.constant(INDICES), 1)), [normal(2, 3, 2)]),
    "scatter_add": (
        lambda b, x, u: e.square(b, e.scatter_add(b, x, b.constant(INDICES), u, 1)),
        [normal(2, 3), normal(2, 2, 2)],
    ),
    "gather_elements": (
        lambda b, x: e.square(b, e.gather_elements(b, x, b.constant(INDICES), 0)),
        [normal(3, 2)],
    ),
    "scatter_elements": (
        lambda b, x, u: e.square(b, e.scatter_elements(b, x, b.constant(INDICES[::-1].copy()), u, 1)),
        [normal(2, 3), normal(2, 2)],
    ),
    "scatter_elements add": (
        lambda b, x, u: e.square(b, e.scatter_elements(b, x, b.constant(INDICES), u, 0, "add")),
        [normal(3, 2), normal(2, 2)],
    ),
    "gather_nd": (
        lambda b, x: e.square(b, e.gather_nd(b, x, b.constant(INDICES * 0 + 1))),
        [normal(3, 2, 2)],
    ),
    "sum": (lambda b, x: e.square(b, e.reduce_sum(b, x, (0, 2))), [normal(2, 3, 2)]),
    "mean": (lambda b, x: e.square(b, e.mean(b, x, -1, keep=True)), [normal(2, 3)]),
    "prod": (lambda b, x: e.reduce_prod(b, x, 1), [normal(2, 3)]),
    "max": (lambda b, x: e.square(b, e.reduce_max(b, x, (0, 1))), [distinct(2, 3, 2)]),
    "min": (lambda b, x: e.square(b, e.reduce_min(b, x, 1)), [distinct(2, 3, 2)]),
    "cumulative_sum": (
        lambda b, x: e.square(b, e.cumulative_sum(b, x, 1, exclusive=True, reverse=True)),
        [normal(2, 4)],
    ),
    "sort": (
        lambda b, x: e.square(b, e.gather_elements(b, x, e.argsort(b, x, 0), 0)),
        [distinct(5)],
    ),
    "dot": (
        lambda b, x, y: e.dot(b, x, y, (3, 1), (0, 2), (0,), (3,)),
        [normal(2, 3, 2, 4), normal(4, 2, 3, 2)],
    ),
    "matmul": (lambda b, x, y: e.matmul(b, x, y), [normal(2, 1, 3, 4), normal(3, 4, 2)]),
    "conv": (
        lambda b, x, w: e.conv(b, x, w, (2, 1), (1, 0, 2, 1), (1, 2), 2),
        [normal(2, 4, 6, 6), normal(4, 2, 3, 2)],
    ),
    "conv along a line": (lambda b, x, w: e.conv(b, x, w, (3,), (2, 0)), [normal(1, 2, 9), normal(3, 2, 2)]),
    "conv with a wide border": (
        lambda b, x, w: e.conv(b, x, w, None, (2, 2)),
        [normal(1, 1, 4), normal(1, 1, 2)],
    ),
    "depthwise conv": (lambda b, x, w: e.conv(b, x, w, groups=3), [normal(1, 3, 4, 4), normal(3, 1, 2, 2)]),
    "window sum": (
        lambda b, x: e.square(b, e.window(b, x, "sum", (3, 2), (2, 1), (1, 0, 0, 1), (1, 2))),
        [normal(1, 2, 6, 5)],
    ),
    "window max": (
        lambda b, x: e.square(b, e.window(b, x, "max", (3, 2), (2, 1), (1, 0, 0, 1), (1, 2))),
        [distinct(1, 6, 5)],
    ),
    "window min": (lambda b, x: e.square(b, e.window(b, x, "min", (2,), (2,), (1, 1))), [distinct(2, 5)]),
    "iota": (lambda b, x: e.mul(b, x, e.iota(b, F64, (2, 3), 1)), [normal(2, 3)]),
    "sigmoid": (lambda b, x: e.sigmoid(b, x), [normal(4)]),
    "a result twice": (lambda b, x: [x, e.mul(b, x, x), x], [normal(4)]),
    "nonzero": (
        lambda b, x: e.square(b, e.gather(b, x, e.reshape(b, e.nonzero(b, e.less(b, x, 0)), (-1,)), 0)),
        [normal(6)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_primitives(name: str) -> None:
    body, arrays = CASES[name]
    check(traced(body, *arrays), *arrays, order=2)


def test_product_with_zeros() -> None:
    x = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 1.0], [1.0, 2.0, 4.0]])
    check(traced(lambda b, x: e.reduce_prod(b, x, 1), x), x)


def test_ties_of_a_maximum_share_the_cotangent() -> None:
    x = np.array([1.0, 1.0, 0.0])
    for body in (
        lambda b, x: e.reduce_max(b, x, 0),
        lambda b, x: e.reshape(b, e.window(b, x, "max", (3,)), ()),
    ):
        (found,) = run(pullback(traced(body, x)), x, np.asarray(2.0))
        np.testing.assert_array_equal(found, [1.0, 1.0, 0.0])
    (one, other) = run(pullback(traced(lambda b, x, y: e.maximum(b, x, y), x, x)), x, x, np.ones(3))
    np.testing.assert_array_equal(one + other, [1.0, 1.0, 1.0])


def test_roots_and_powers_at_zero_have_finite_derivatives() -> None:
    x = np.zeros(3)
    norm = traced(lambda b, x: e.sqrt(b, e.reduce_sum(b, e.square(b, x), 0)), x)
    assert np.all(run(pullback(norm), x, np.asarray(1.0))[0] == 0)
    power = traced(lambda b, x, y: e.pow(b, x, y), x, x)
    for found in run(pullback(power), x, np.array([0.5, 1.0, 2.0]), np.ones(3)):
        assert np.isfinite(found).all()


def test_only_chosen_parameters_are_differentiated_by() -> None:
    x, y = normal(2, 3), normal(3, 4)
    function = traced(lambda b, x, y: e.matmul(b, e.exp(b, x), y), x, y)
    back = pullback(function, [1])
    assert len(back.results) == 1
    # Of the product only the one for y is there, and no forward product: nobody needs it.
    assert sum(each.operator.name == "dot" for each in back.equations) == 1


def test_symbolic_sizes_are_kept() -> None:
    n = Size.of("n")
    types = [TensorType(F64, (n, 3, 9)), TensorType(F64, (4, 3, 3))]
    function = trace("f", types, lambda b, x, w: [e.mean(b, e.conv(b, x, w, (2,), (1, 1)), (0, 2))])
    back = pullback(function)
    assert back.result_types == tuple(types)
    check(function, normal(2, 3, 9), normal(4, 3, 3))


def test_symbolic_image_sizes() -> None:
    h = Size.of("h")
    types = [TensorType(F64, (1, 2, h)), TensorType(F64, (2, 2, 3))]
    body = lambda b, x, w: [e.window(b, e.conv(b, x, w, (2,), (1, 1)), "max", (2,), (2,))]  # noqa: E731
    check(trace("f", types, body), normal(1, 2, 11), normal(2, 2, 3))


def test_missing_rules_are_listed_all_at_once() -> None:
    x = normal(3)

    def body(b: Any, x: Any) -> Any:
        one = e.scatter_elements(b, x, b.constant(np.zeros(3, np.int64)), x, 0, "mul")
        return e.scatter_elements(b, one, b.constant(np.zeros(3, np.int64)), x, 0, "max")

    with pytest.raises(IrError, match="scatter_elements"):
        pullback(traced(body, x))


def test_a_parameter_that_is_no_float_is_refused() -> None:
    with pytest.raises(IrError, match="floats"):
        pullback(traced(lambda b, x: e.neg(b, x), np.arange(3)), [0])


def test_integers_carry_no_cotangent() -> None:
    x = normal(3)
    (found,) = run(pullback(traced(lambda b, x: e.cast(b, e.cast(b, x, I64), F64), x)), x, x)
    assert not found.any()


def test_gradient_of_a_loss() -> None:
    x = normal(4)
    (found,) = run(gradient(traced(lambda b, x: e.reduce_sum(b, e.square(b, x), 0), x)), x)
    np.testing.assert_array_equal(found, 2 * x)
