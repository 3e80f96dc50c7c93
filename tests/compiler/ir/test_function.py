from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ir_operator import OPERATORS, Apply, Fill, Flattened, Plus, Positive, Thrice
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder, trace
from tilewright.compiler.ir.error import EvaluationError, IrError, OperatorError
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.parse import parse_function, parse_module
from tilewright.compiler.ir.print import print_function, print_module, tensors_of
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.size import Size, SizeName
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ir.verify import verify

F32 = DType.FLOAT32
N = Size.of("n")
VECTOR = TensorType(F32, (N,))
DEEP = 10_000


def reread(function):
    """The function that its text means."""
    return parse_function(print_function(function), OPERATORS, tensors_of(function))


TYPES = (VECTOR, TensorType(F32, (2, N)), TensorType(DType.INT8, (3,)))


@st.composite
def functions(draw):
    """Any function over the operators of these tests, regions inside of regions too."""
    b = Builder(draw(st.sampled_from(["main", "f"])))
    values = [
        b.parameter(f"p{index}", draw(st.sampled_from(TYPES))) for index in range(draw(st.integers(1, 3)))
    ]
    grow(draw, b, values, 3)
    chosen = draw(st.lists(st.sampled_from(values), min_size=0, max_size=3))
    return b.function(*chosen)


def grow(draw, b, values, levels):
    """Adds equations that read these values, and their results to them."""
    for _ in range(draw(st.integers(0, 5))):
        x = draw(st.sampled_from(values))
        alike = [value for value in values if value.type == x.type]
        kind = draw(st.sampled_from(["plus", "fill", "constant", "flattened", "positive", "apply", "thrice"]))
        with b.label(*draw(st.lists(st.sampled_from(["conv1", 'a "b"', "ü/é"]), max_size=2, unique=True))):
            if kind == "plus":
                values.append(b.emit(Plus(), x, draw(st.sampled_from(alike))))
            elif kind == "fill":
                number = draw(st.floats(width=32))
                shape = draw(st.sampled_from([(2, 3), (N, 1), ((N + 1) // 2, 2 * N), ()]))
                if all(isinstance(size, int) for size in shape) or any(
                    "n" in v.type.names for v in values[:3]
                ):
                    values.append(b.emit(Fill(number, (F32, shape))))
            elif kind == "constant":
                dtype = draw(st.sampled_from(list(DType)))
                shape = draw(st.sampled_from([(), (3,), (0, 2), (5, 5)]))
                values.append(b.constant(np.arange(np.prod(shape, dtype=int)).reshape(shape), dtype))
            elif kind == "flattened":
                values.append(b.emit(Flattened(), x))
            elif kind == "positive":
                values.append(b.emit(Positive(b.size_name("length")), x))
            elif kind == "thrice":
                values.append(b.emit(Thrice(), x))
            elif levels:
                region = b.region("body", [x.type], partial(body, draw, around=values, levels=levels))
                values += b.apply(Apply(region.function), *region.captured, x)


def body(draw, inner, own, *, around, levels):
    values = [own, *around]
    grow(draw, inner, values, levels - 1)
    return draw(st.lists(st.sampled_from(values), min_size=1, max_size=2))


@given(functions())
def test_text_is_read_back_equal(function):
    verify(function)
    again = reread(function)
    verify(again)
    assert print_function(again) == print_function(function)
    # NaN is not equal to itself, and the text says both.
    assert again == function or "nan" in print_function(function)


@given(functions(), st.integers(1, 4))
def test_a_function_inlined_twice_gives_its_results_twice(function, n):
    def twice(b, *given):
        first = inline(b, function, given)
        return (*first, *inline(b, function, given))

    doubled = trace("twice", function.parameter_types, twice)
    verify(doubled)
    arrays = [
        np.arange(value.type.evaluate({"n": n}).elements, dtype=value.type.dtype.numpy).reshape(
            value.type.evaluate({"n": n}).numbers
        )
        for value in function.parameters
    ]
    if len({n for value in function.parameters if value.type.names}) == 0 and "n" in print_function(function):
        return
    wanted = run(function, *arrays)
    for got, want in zip(run(doubled, *arrays), (*wanted, *wanted), strict=True):
        np.testing.assert_array_equal(got, want)


def test_equal_equations_are_one_and_keep_all_labels():
    b = Builder("f")
    x = b.parameter("x", VECTOR)
    with b.label("first"):
        y = b.emit(Plus(), x, x)
    with b.label("second"):
        assert b.emit(Plus(), x, x) == y
    assert b.function(y).equations == (Equation((y,), Plus(), (x, x), ("first", "second")),)


def test_a_region_lists_what_it_captures_from_any_level():
    b = Builder("f")
    x, y = b.parameter("x", VECTOR), b.parameter("y", VECTOR)

    def middle(inner, own):
        region = inner.region("inner", [VECTOR], lambda deep, z: [deep.emit(Plus(), z, x)])
        return inner.apply(Apply(region.function), *region.captured, own)

    region = b.region("middle", [VECTOR], middle)
    assert region.captured == (x,)
    (result,) = b.apply(Apply(region.function), *region.captured, y)
    function = b.function(result)
    verify(function)
    (got,) = run(function, np.float32([1, 2]), np.float32([10, 20]))
    np.testing.assert_array_equal(got, np.float32([11, 22]))


def test_a_literal_is_known_inside_of_regions():
    b = Builder("f")
    one = b.constant(1.0, F32)
    seen = []
    b.region("r", [VECTOR], lambda inner, x: [seen.append(inner.literal(one)) or x])
    assert seen == [Literal.of(1.0, F32)]


def chain(count):
    b = Builder("main")
    x = b.parameter("x", VECTOR)
    for _ in range(count):
        x = b.emit(Plus(), x, x)
    return b.function(x)


def nested(count):
    """Regions inside of each other; the innermost adds."""
    y = Value("y", VECTOR)
    function = Function("r", (Value("x", VECTOR),), (), (Value("x", VECTOR),))
    for _ in range(count):
        function = Function(
            "r",
            (Value("x", VECTOR),),
            (Equation((y,), Apply(function), (Value("x", VECTOR),)),),
            (y,),
        )
    return function


@pytest.mark.slow
@pytest.mark.parametrize("function", [chain(DEEP), nested(DEEP)], ids=["equations", "levels"])
def test_ten_thousand_of_anything_are_no_problem(function):
    verify(function)
    text = print_function(function)
    again = reread(function)
    assert hash(again) == hash(function)
    assert print_function(again) == text
    (got,) = run(function, np.zeros(3, np.float32))
    np.testing.assert_array_equal(got, np.zeros(3))


def test_a_function_may_call_another_and_itself():
    text = """
    function main(%x: f32[n]) {
        %y = call(%x) {function="twice", dtypes=(f32,), shapes=((n,),), sizes=()}: f32[n]
        return %y
    }
    function twice(%x: f32[n]) {
        %y = plus(%x, %x): f32[n]
        return %y
    }
    """
    module = parse_module(text, OPERATORS)
    verify(module)
    assert parse_module(print_module(module), OPERATORS) == module
    (got,) = run(module, np.float32([1, 2]))
    np.testing.assert_array_equal(got, [2, 4])
    for old, new, message in (
        ('function="twice"', 'function="thrice"', "must be of a function of the module"),
        ("%y = call(%x)", "%y = call(%x, %x)", r"operands of a call of 'twice' must be f32\[n\]"),
        (
            "dtypes=(f32,), shapes=((n,),), sizes=()}: f32[n]",
            "dtypes=(i8,), shapes=((n,),), sizes=()}: i8[n]",
            "results",
        ),
        (
            "dtypes=(f32,), shapes=((n,),), sizes=()}: f32[n]",
            "dtypes=(f32,), shapes=((n, 1),), sizes=()}: f32[n, 1]",
            "results",
        ),
    ):
        with pytest.raises(IrError, match=message):
            verify(parse_module(text.replace(old, new), OPERATORS))


X, Y = Value("x", VECTOR), Value("y", VECTOR)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (Function("f", (X, X), (), ()), "defined once"),
        (Function("f", (X,), (), (Y,)), "result must be a value"),
        (Function("f", (X,), (Equation((Y,), Plus(), (X, Y)),), ()), "defined before"),
        (Function("f", (X,), (Equation((Y,), Plus(), (X,)),), ()), "2 operands"),
        (Function("f", (X,), (Equation((X,), Plus(), (X, X)),), ()), "defined once"),
        (
            Function("f", (X,), (Equation((Value("y", TensorType(F32, (3,))),), Plus(), (X, X)),), ()),
            r"must be f32\[n\], not f32\[3\]",
        ),
        (Function("f", (), (Equation((Y,), Fill(1.0, (F32, (N,))), ()),), ()), "size must be bound"),
        (Function("f", (X,), (Equation((Y,), Positive(SizeName("n")), (X,)),), ()), "bound already"),
        (Function("f", (Value("x", TensorType(F32, (N * Size.of("m"),))),), (), ()), "must be bound before"),
    ],
)
def test_what_is_wrong_is_said(function, message):
    with pytest.raises(IrError, match=message):
        verify(function)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("function f() { return", "value like %x must stand"),
        ("function f() {\n%x = nothing(): f32[]\nreturn }", "line 2: the operator must be one of"),
        ("function f() {\n%x = fill() {what=1}: f32[]\nreturn }", "attributes of fill must be value, type"),
        ("function f() {\n%x = fill(): f32[]\nreturn }", "line 2: fill: "),
        ("function f(%x: f99[2]) { return }", "element type must be one of"),
        ("function f(%x: f32[2]) { return %y }", "%y is not"),
        ("function f(%x: f32[2], %x: f32[2]) { return }", "defined again"),
        ("function f(%x: f32[n//m]) { return }", "divided by a number"),
        ("function f(%x: f32[n//0]) { return }", "positive"),
        (f"function f(%x: f32[{'9' * 5000}]) {{ return }}", "digits"),
        ("function f() {\n%x = constant() {value=f32[2] @0123456789abcdef}: f32[2]\nreturn }", "must hold"),
        ("function f() {\n%x = constant() {value=i8[2] [1, 300]}: i8[2]\nreturn }", "literal must be"),
        ("function f() {\n%x = constant() {value=i8[2] [1]}: i8[2]\nreturn }", "literal must be"),
        ("?", "strange|is in none"),
        ('function f() { return } "', "is in none"),
        ("function f() { return } function f() { return }", "there once"),
        ("(" * 20_000, "'function' must stand"),
    ],
)
def test_text_that_is_none_is_refused_with_its_line(text, message):
    with pytest.raises(IrError, match=message):
        parse_module(text, OPERATORS)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([np.zeros(3, np.float32)], "2 arrays"),
        ([np.zeros(3, np.float32), np.zeros(4, np.float32)], r"must be f32\[3\], not f32\[4\]"),
        ([np.zeros(3, np.float32), np.zeros(3)], "must be f32"),
        ([np.zeros((3, 1), np.float32)] * 2, r"not f32\[3, 1\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays, message):
    function = trace("f", [VECTOR, VECTOR], lambda b, x, y: [b.emit(Plus(), x, y)])
    with pytest.raises(EvaluationError, match=message):
        run(function, *arrays)


def test_operands_of_other_types_are_refused_with_the_name_of_the_operator():
    b = Builder("f")
    x, y = b.parameter("x", VECTOR), b.parameter("y", TensorType(F32, (2,)))
    with pytest.raises(OperatorError, match="plus: b must be"):
        b.emit(Plus(), x, y)


def test_values_are_freed_at_their_last_use():
    # 10,000 arrays of 4 MB would not fit otherwise.
    (got,) = run(chain(3000), np.zeros(1 << 20, np.float32))
    assert got.shape == (1 << 20,)


def test_what_no_result_needs_is_pruned():
    b = Builder("f")
    x, y = b.parameter("x", VECTOR), b.parameter("y", VECTOR)
    needed = b.emit(Plus(), x, x)
    b.emit(Plus(), b.emit(Plus(), y, y), y)
    function = pruned(b.function(needed))
    assert [each.result for each in function.equations] == [needed]
    assert function.parameters == (x, y)
