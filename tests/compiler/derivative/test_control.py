"""Pullbacks of loops, choices and calls agree with central differences, once and twice."""

from typing import Any

import numpy as np
import pytest
from tests.compiler.derivative.central import check, traced

from tilewright.compiler.derivative.pullback import pullback
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e

F64, I64 = DType.FLOAT64, DType.INT64


def normal(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(size=shape)


def recurrence(reverse: bool) -> Any:
    """h' = tanh(x w + h), outputs h' and h' · x; w is captured."""

    def body(b: Any, x: Any, w: Any, h: Any) -> Any:
        def step(b: Any, h: Any, x: Any) -> Any:
            new = e.tanh(b, e.add(b, e.matmul(b, x, w), h))
            return [new, new, e.mul(b, new, x)]

        return e.scan(b, [h], [x], step, reverse)

    return body


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse: bool) -> None:
    arrays = [normal(4, 3), normal(3, 3), normal(3)]
    check(traced(recurrence(reverse), *arrays), *arrays, order=2)


def test_scan_runs_forward_once() -> None:
    arrays = [normal(4, 3), normal(3, 3), normal(3)]
    back = pullback(traced(recurrence(False), *arrays))
    assert [each.operator.name for each in back.equations].count("scan") == 2


def test_scan_that_carries_integers_and_does_not_use_a_carried_value() -> None:
    def body(b: Any, x: Any) -> Any:
        def step(b: Any, i: Any, s: Any, x: Any) -> Any:
            return [e.add(b, i, 1), e.add(b, s, e.mul(b, x, e.cast(b, i, F64)))]

        return e.scan(b, [e.full(b, 0, I64, ()), e.full(b, 0, F64, ())], [x], step)

    check(traced(body, normal(5)), normal(5))


def test_scan_of_no_step() -> None:
    check(
        traced(recurrence(False), np.zeros((0, 3)), normal(3, 3), normal(3)),
        np.zeros((0, 3)),
        normal(3, 3),
        normal(3),
    )


def root(b: Any, a: Any, start: Any) -> Any:
    """Newton's square root, until it is good."""

    def body(b: Any, y: Any) -> Any:
        new = e.mul(b, e.add(b, y, e.div(b, a, y)), 0.5)
        more = e.less(b, 1e-3, e.abs(b, e.sub(b, e.square(b, new), a)))
        return [more, new, e.square(b, new)]

    return e.while_(b, b.constant(True), [start], body)


def test_while() -> None:
    check(traced(root, np.asarray(2.0), np.asarray(1.3)), np.asarray(2.0), np.asarray(1.3), order=2)


@pytest.mark.parametrize("value", [2.0, -2.0])
def test_if(value: float) -> None:
    def body(b: Any, x: Any, y: Any) -> Any:
        is_positive = e.less(b, 0, e.reduce_sum(b, x, 0))
        return e.if_(b, is_positive, lambda b: [e.mul(b, x, e.sin(b, y))], lambda b: [e.exp(b, x)])

    arrays = [np.array([value, 0.5]), normal(2)]
    check(traced(body, *arrays), *arrays, order=2)


@pytest.mark.parametrize("value", [2.0, -2.0])
def test_if_with_sizes_that_differ(value: float) -> None:
    def body(b: Any, x: Any) -> Any:
        is_positive = e.less(b, 0, e.reduce_sum(b, x, 0))
        return e.if_(b, is_positive, lambda b: [e.slice_axis(b, x, 0, 0, 1)], lambda b: [e.square(b, x)])

    check(traced(body, np.array([value, 0.5])), np.array([value, 0.5]))


def test_scan_inside_of_if_inside_of_scan() -> None:
    def body(b: Any, x: Any, w: Any) -> Any:
        def inner(b: Any, h: Any, x: Any) -> Any:
            return [e.sin(b, e.add(b, e.mul(b, h, x), w))]

        def step(b: Any, h: Any, x: Any) -> Any:
            start = e.less(b, 0, h)
            (new,) = e.if_(b, start, lambda b: e.scan(b, [h], [x], inner), lambda b: [e.mul(b, h, w)])
            return [new, new]

        return e.scan(b, [w], [x], step)

    check(traced(body, normal(3, 2), np.asarray(0.4)), normal(3, 2), np.asarray(0.4))


def power_module() -> Module:
    """f(x, n) = x · sin(f(x, n - 1)), f(x, 0) = x: it calls itself."""
    b = Builder("f")
    x, n = b.parameter("x", TensorType(F64, (2,))), b.parameter("n", TensorType(I64, ()))

    def again(b: Any) -> Any:
        inner = b.emit(Call("f", ("float64",), ((2,),)), x, e.sub(b, n, 1))
        return [e.mul(b, x, e.sin(b, inner))]

    function = b.function(*e.if_(b, e.less(b, 0, n), again, lambda b: [x]))
    main = Builder("main")
    x, n = main.parameter("x", TensorType(F64, (2,))), main.parameter("n", TensorType(I64, ()))
    result = main.emit(Call("f", ("float64",), ((2,),)), e.square(main, x), n)
    return Module({"main": main.function(result), "f": function})


def test_recursion() -> None:
    check(power_module(), normal(2), np.asarray(3), order=2)


def test_rules_missing_inside_of_a_loop_are_named() -> None:
    def body(b: Any, x: Any) -> Any:
        places = b.constant(np.zeros(3, np.int64))
        return e.scan(b, [x], [x], lambda b, h, s: [e.scatter_elements(b, h, places, h, 0, "min")])

    with pytest.raises(IrError, match="scatter_elements"):
        pullback(traced(body, normal(3)))


def test_a_size_is_not_differentiated() -> None:
    x = normal(3)
    (found,) = run(pullback(traced(lambda b, x: e.mean(b, x, 0), x)), x, np.asarray(3.0))
    np.testing.assert_allclose(found, 1.0)
