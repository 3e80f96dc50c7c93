import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.size import Size, evaluate, solve

N, M = Size.of("n"), Size.of("m")
BINDINGS = st.fixed_dictionaries({"n": st.integers(0, 50), "m": st.integers(0, 50)})


@st.composite
def sizes(draw):
    """An expression over two names, as a size and as a function of numbers."""
    size, meaning = draw(st.sampled_from([(N, lambda n, m: n), (M, lambda n, m: m)]))
    for _ in range(draw(st.integers(0, 5))):
        kind, number = draw(st.sampled_from("+-*/c")), draw(st.integers(1, 6))
        other, other_meaning = draw(
            st.sampled_from([(N, lambda n, m: n), (M, lambda n, m: m), (number, lambda n, m, k=number: k)])
        )
        if kind == "+":
            size, meaning = size + other, lambda n, m, f=meaning, g=other_meaning: f(n, m) + g(n, m)
        elif kind == "-":
            size, meaning = size - other, lambda n, m, f=meaning, g=other_meaning: f(n, m) - g(n, m)
        elif kind == "*":
            size, meaning = size * other, lambda n, m, f=meaning, g=other_meaning: f(n, m) * g(n, m)
        else:
            size, meaning = size // number, lambda n, m, f=meaning, k=number: f(n, m) // k
    return size, meaning


@given(sizes(), BINDINGS)
def test_a_size_means_what_its_expression_says(drawn, bindings):
    size, meaning = drawn
    assert evaluate(size, bindings) == meaning(**bindings)


@given(sizes(), BINDINGS)
def test_names_can_be_replaced_one_after_the_other(drawn, bindings):
    size, meaning = drawn
    half = evaluate(size, {"n": bindings["n"]})
    assert evaluate(half, {"m": bindings["m"]}) == meaning(**bindings)


def test_equal_sizes_are_equal_however_they_arise():
    assert (N + 1) * (N - 1) == N * N - 1
    assert N + M == M + N
    assert (4 * N + 6) // 2 == 2 * N + 3
    assert (N + 4) // 4 == N // 4 + 1
    assert N - N == 0
    assert (N * M) // 2 != (N // 2) * M


def test_a_number_tells_the_name_of_a_linear_size():
    assert solve(3 * N + 2, 14) == ("n", 4)
    assert solve(N * N, 16) is None
    assert solve(N + M, 16) is None
    with pytest.raises(IrError, match="whole n"):
        solve(2 * N, 7)


@pytest.mark.parametrize("name", ["", "a b", "1n", "n-1"])
def test_a_name_is_an_identifier(name):
    with pytest.raises(IrError, match="identifier"):
        Size.of(name)


def test_a_size_is_divided_by_positive_numbers_only():
    with pytest.raises(IrError, match="positive"):
        N // 0
