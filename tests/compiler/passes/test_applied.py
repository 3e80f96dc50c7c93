"""Passes do what they promise: known results are constants, what changes nothing goes, calls are inlined."""

from dataclasses import dataclass

import numpy as np
import pytest

from tilewright.compiler.derivative.pullback import pullback
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder, trace
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Function, Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.size import Size
from tilewright.compiler.ir.specialise import specialise
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.passes.fold import Fold
from tilewright.compiler.passes.inline import InlineCalls
from tilewright.compiler.passes.run import run_passes
from tilewright.compiler.passes.simplify import Simplify

F32, F64, I8, I32, I64, BOOL = (
    DType.FLOAT32, DType.FLOAT64, DType.INT8, DType.INT32, DType.INT64, DType.BOOL,
)  # fmt: skip
N = Size.of("n")
X = TensorType(F32, (2, 3))


def after(passes, body, *types):
    """Operators of the main function behind passes, and the function."""
    function = trace("main", types, lambda b, *xs: [body(b, *xs)])
    main = run_passes(Module.of(function), passes).main
    return [each.operator.name for each in main.equations], main


def plain(b, function, *values):
    """An equation that no builder function would leave away."""
    return b.emit(Map(function), *values)


def test_large_constants_are_folded_through_moves():
    weights = np.arange(200_000, dtype=np.int8).reshape(400, 500)

    def body(b, x):
        w = e.transpose(b, b.constant(weights), (1, 0))
        return e.matmul(b, x, e.cast(b, e.reshape(b, w, (400, 500)), F32))

    names, main = after([Fold()], body, TensorType(F32, (2, 400)))
    assert names == ["constant", "dot"]
    (constant, _) = main.equations
    np.testing.assert_array_equal(constant.operator.value.array, weights.T.reshape(400, 500))


def test_a_constant_does_not_grow_beyond_its_bound():
    def body(b, x):
        wide = b.emit(Broadcast((1000, 1000), ()), b.constant(2.0, F32))
        return e.add(b, x, plain(b, "mul", wide, wide))

    names, _ = after([Fold()], body, TensorType(F32, (1000, 1000)))
    assert names == ["constant", "broadcast", "map", "map"]
    few = Fold(most_elements=3)
    names, _ = after(
        [few], lambda b, x: e.add(b, x, b.emit(Cast(F32), b.constant([1, 2]))), TensorType(F32, (2,))
    )
    assert names == ["constant", "map"]
    names, _ = after(
        [few], lambda b, x: e.add(b, x, b.emit(Cast(F32), b.constant([1] * 4))), TensorType(F32, (4,))
    )
    assert names == ["constant", "cast", "map"]


def test_what_machines_compute_differently_is_not_folded():
    names, _ = after([Fold()], lambda b: plain(b, "sin", b.constant(1.0, F32)))
    assert names == ["constant", "map"]
    names, _ = after([Fold()], lambda b: plain(b, "exp", b.constant(1.0, F32)))
    assert names == ["constant"]
    names, _ = after([Fold()], lambda b: plain(b, "exp", b.constant(1.0, F64)))
    assert names == ["constant", "map"]


def test_known_branches_are_taken_and_known_sizes_are_numbers():
    def body(b, x):
        size = b.emit(Cast(I32), e.extent(b, x, 0))
        return e.if_(b, e.less(b, size, 5), lambda b: [e.neg(b, x)], lambda b: [e.exp(b, x)])[0]

    names, _ = after([Fold()], body, TensorType(F32, (N,)))
    assert "if" in names
    names, _ = after([Fold(), Simplify()], body, TensorType(F32, (4,)))
    assert names == ["map"]


@pytest.mark.parametrize(
    "body",
    [
        lambda b, x: b.emit(Transpose((1, 0)), b.emit(Transpose((1, 0)), x)),
        lambda b, x: b.emit(Reshape((2, 3)), b.emit(Reshape((6,)), x)),
        lambda b, x: b.emit(Cast(F32), b.emit(Cast(F64), x)),
        lambda b, x: b.emit(Broadcast((2, 3), (0, 1)), x),
        lambda b, x: plain(b, "neg", plain(b, "neg", x)),
        lambda b, x: plain(b, "mul", b.emit(Broadcast((2, 3), ()), b.constant(1.0, F32)), x),
        lambda b, x: plain(b, "sub", x, b.emit(Broadcast((2, 3), ()), b.constant(0.0, F32))),
        lambda b, x: plain(b, "select", plain(b, "less", x, x), x, x),
    ],
)
def test_what_changes_nothing_goes(body):
    names, main = after([Simplify()], body, X)
    assert names == []
    assert main.results == main.parameters


def test_floats_keep_what_only_looks_neutral():
    zero = lambda b: b.emit(Broadcast((2, 3), ()), b.constant(0.0, F32))  # noqa: E731
    assert "map" in after([Simplify()], lambda b, x: plain(b, "add", x, zero(b)), X)[0]
    assert "map" in after([Simplify()], lambda b, x: plain(b, "sub", zero(b), x), X)[0]
    integers = TensorType(I32, (2, 3))
    one = lambda b: b.emit(Broadcast((2, 3), ()), b.constant(0, I32))  # noqa: E731
    assert after([Simplify()], lambda b, x: plain(b, "add", one(b), x), integers)[0] == []


def test_casts_that_lose_something_stay():
    assert len(after([Simplify()], lambda b, x: b.emit(Cast(F32), b.emit(Cast(I8), x)), X)[0]) == 2
    # By a float it saturates, at once it would wrap.
    small = TensorType(I8, (2,))
    names, _ = after([Simplify()], lambda b, x: b.emit(Cast(DType.UINT8), b.emit(Cast(F32), x)), small)
    assert names == ["cast", "cast"]
    wide = TensorType(I64, (2,))
    names, _ = after([Simplify()], lambda b, x: b.emit(Cast(I64), b.emit(Cast(F64), x)), wide)
    assert names == ["cast", "cast"]


def test_equal_equations_merge_and_keep_both_labels():
    b = Builder("main")
    x = b.parameter("x", X)
    function = b.function(e.exp(b, x))
    (equation,) = function.equations
    twin = type(equation)((type(x)("twin", X),), equation.operator, equation.operands, ("two",))
    first = type(equation)(equation.results, equation.operator, equation.operands, ("one",))
    module = Module.of(Function("main", function.parameters, (first, twin), (first.result, twin.result)))
    (only,) = run_passes(module, [Simplify()]).main.equations
    assert only.labels == ("one", "two")


def test_a_size_that_is_needed_keeps_what_shows_it():
    b = Builder("main")
    x = b.parameter("x", X)
    found = e.nonzero(b, x)
    count = b.emit(Iota(I64, (found.type.shape[1],), 0))
    function = b.function(count)
    verify(pruned(function))
    verify(run_passes(Module.of(function), [Simplify(), Fold()]))
    assert len(pruned(b.function(x)).equations) == 0
    y = e.mul(b, x, e.cast(b, e.reduce_sum(b, count, 0), F32))
    verify(pullback(b.function(y)))


def test_calls_are_inlined_but_for_recursion():
    square = trace("square", [TensorType(F32, (N,))], lambda b, x: [e.mul(b, x, x)])
    again = trace("again", [TensorType(F32, ())], lambda b, x: [b.emit(Call.of("again", x.type), x)])
    b = Builder("main")
    x = b.parameter("x", TensorType(F32, (3,)))
    (y,) = b.apply(Call.of("square", x.type), x)
    (z,) = b.apply(Call.of("square", y.type), y)
    (never,) = b.apply(Call.of("again", TensorType(F32, ())), e.reduce_sum(b, x, 0))
    module = Module.of(b.function(z), square, again)
    verify(module)
    inlined = InlineCalls().apply(module)
    assert [each.operator.name for each in inlined.main.equations] == ["map", "map"]
    assert list(inlined.functions) == ["main"]
    kept = InlineCalls().apply(Module.of(b.function(z, never), square, again))
    verify(kept)
    assert list(kept.functions) == ["main", "again"]


def test_a_specialised_choice_loses_the_sizes_that_are_no_choice_any_more():
    b = Builder("main")
    x = b.parameter("x", TensorType(F32, (N, 3)))
    (y,) = e.if_(
        b, e.less(b, e.reduce_sum(b, x, None), 0.0),
        lambda b: [e.slice_axis(b, x, 1, 0, 2)], lambda b: [e.slice_axis(b, x, 0, 0, 2)],
    )  # fmt: skip
    function = b.function(e.neg(b, y))
    verify(function)
    special = specialise(function, {"n": 2})
    verify(special)
    (choice,) = [each.operator for each in special.equations if each.operator.name == "if"]
    assert len(choice.sizes) == 1
    array = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(run(function, array)[0], run(special, array)[0])


def test_what_specialise_cannot_take_is_told():
    function = trace("f", [TensorType(F32, (N,))], lambda b, x: [x])
    with pytest.raises(IrError, match="one of n, not 'm'"):
        specialise(function, {"m": 3})
    with pytest.raises(IrError, match="from 0, not -1"):
        specialise(function, {"n": -1})


def test_the_observer_sees_every_text_and_a_wrong_pass_is_named():
    @dataclass(frozen=True)
    class Broken:
        name = "broken"

        def apply(self, module):
            main = module.main
            return Module.of(Function("main", (), main.equations, main.results))

    module = Module.of(trace("main", [X], lambda b, x: [e.neg(b, x)]))
    seen = []
    run_passes(module, [Simplify()], lambda name, text: seen.append((name, text.splitlines()[0])))
    assert seen == [("simplify", "function main(%x0: f32[2, 3]) {")]
    with pytest.raises(IrError, match="pass 'broken' must leave a valid module"):
        run_passes(module, [Broken()])


def test_moves_of_moves_are_one():
    x = TensorType(F32, (2, 3, 4))
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for body, name in (
        (lambda b, x: b.emit(Transpose((1, 2, 0)), b.emit(Transpose((0, 2, 1)), x)), "transpose"),
        (
            lambda b, x: b.emit(
                Broadcast((2, 3, 4, 5, 6), (0, 1, 2, 4)), b.emit(Broadcast((2, 3, 4, 6), (0, 1, 2)), x)
            ),
            "broadcast",
        ),
        (lambda b, x: b.emit(Reshape((6, 4)), b.emit(Reshape((4, 6)), x)), "reshape"),
    ):
        names, main = after([Simplify()], body, x)
        assert names == [name]
        plain_function = trace("f", [x], lambda b, x, body=body: [body(b, x)])
        np.testing.assert_array_equal(run(main, array)[0], run(plain_function, array)[0])
