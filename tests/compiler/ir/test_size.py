import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.size import Size, evaluate, linear_name, quotient, solve

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


def test_quotients_are_sizes_where_that_is_certain():
    assert quotient(N * M * 6, M * 2) == N * 3
    assert quotient(N * M + N, N) == M + 1
    assert quotient((N + 1) * (M + N) * 4, M + N) == 4 * N + 4
    assert quotient(N, M) is None
    assert quotient(N + 1, N) is None
    assert quotient(24, 6) == 4
    assert quotient(24, 5) is None
    assert quotient(0, N) == 0
    assert quotient(3, N) is None
    assert quotient(N * 3, M * 0 + 3) == N


@given(sizes(), sizes())
def test_a_quotient_times_its_divisor_is_the_whole(one, other):
    whole, part = one[0] * other[0], other[0]
    if isinstance(part, Size):
        assert quotient(whole, part) == one[0]


def test_a_name_alone_in_a_size_is_told_by_its_number():
    assert linear_name(2 * N + 1) == "n"
    assert linear_name(N * N) is None
    assert linear_name(N + M) is None
    assert linear_name(N // 2) is None
    assert linear_name(7) is None
