from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tilewright.compiler.schedule.region import index_bounds, span, stored_span
from tilewright.compiler.tir.bound import UNBOUNDED, lower, upper
from tilewright.compiler.tir.evaluate import evaluate
from tilewright.compiler.tir.expr import Binary, BinaryOp, Const, Select, Var, both, either, maximum, minimum
from tilewright.compiler.tir.printer import print_expr
from tilewright.compiler.tir.simplify import simplify

OUT, Y, K = Var("o"), Var("i"), Var("k")
DOMAIN = {"o": Const(3), "i": minimum(4, 10 - 4 * OUT), "k": Const(5)}
POINTS = [(o, i, k) for o, i, k in product(range(3), range(4), range(5)) if 4 * o + i < 10]


@lru_cache
def indices():
    """Index expressions in three variables, the extent of one of which depends on another."""
    leaf = st.sampled_from([OUT, Y, K, 4 * OUT + Y]) | st.integers(-9, 9).map(Const)
    return st.recursive(leaf, _combined, max_leaves=6)


def _combined(inner):
    small = st.integers(-4, 4)
    positive = st.integers(1, 6)
    return st.one_of(
        st.builds(lambda a, b: a + b, inner, inner),
        st.builds(lambda a, b: a - b, inner, inner),
        st.builds(lambda a, b: a * b, inner, small),
        st.builds(lambda a, b: a // b, inner, positive),
        st.builds(lambda a, b: a % b, inner, positive),
        st.builds(minimum, inner, inner),
        st.builds(maximum, inner, inner),
    )


def values(expr):
    """At all points of the domain."""
    columns = np.array(POINTS, np.int64).T
    points = dict(zip("oik", columns, strict=True))
    return np.broadcast_to(evaluate(expr, points, {}), len(POINTS))


@given(indices())
def test_simple_form_has_the_same_values(expr):
    np.testing.assert_array_equal(values(simplify(expr, DOMAIN)), values(expr))


@given(indices())
def test_bounds_hold(expr):
    found = values(expr)
    assert lower(expr, DOMAIN) <= found.min()
    assert upper(expr, DOMAIN) >= found.max()


@given(indices(), st.sampled_from([["k"], ["i", "k"], ["o", "i", "k"], ["i"]]))
def test_touched_range_holds_what_inner_loops_reach(expr, inner):
    ends = index_bounds(expr, inner, DOMAIN)
    if ends is not None:
        assert (values(ends[0]) <= values(expr)).all()
        assert (values(ends[1]) >= values(expr)).all()


@given(indices(), st.sampled_from([["k"], ["i", "k"], ["o", "i"], ["o", "i", "k"]]))
def test_stored_span_is_exact(expr, inner):
    item = stored_span(expr, inner, DOMAIN)
    if item is None:
        return
    found = values(expr)
    low, extent = values(item.low), values(item.extent)
    outer = [tuple(v for v, name in zip(point, "oik", strict=True) if name not in inner) for point in POINTS]
    for key in set(outer):
        here = [position for position, other in enumerate(outer) if other == key]
        start = low[here[0]]
        assert set(found[here]) == set(range(start, start + extent[here[0]]))


@st.composite
def nests(draw):
    """Loops as splits and fusions leave them: constant, tails of tails, and some that do not run at all."""
    size, factor, inner = draw(st.integers(0, 9)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    trips = Const(-(-size // factor)) if draw(st.booleans()) else (Const(size) + (factor - 1)) // factor
    tail = minimum(factor, size - factor * OUT)
    domain = {"o": trips, "i": (tail + (inner - 1)) // inner, "k": minimum(inner, tail - inner * Y)}
    return domain, factor * OUT + inner * Y + K, size


def points_of(domain):
    """All values of the variables of a nest, in order."""
    found = [{}]
    for name, extent in domain.items():
        trips = [int(evaluate(extent, {n: np.asarray(v) for n, v in point.items()}, {})) for point in found]
        pairs = zip(found, trips, strict=True)
        found = [{**point, name: value} for point, count in pairs for value in range(count)]
    return found


def at_all(expr, points):
    return [int(evaluate(expr, {n: np.asarray(v) for n, v in point.items()}, {})) for point in points]


@settings(max_examples=60)
@given(nests(), indices())
def test_simple_form_and_bounds_hold_in_any_nest(nest, expr):
    domain, position, size = nest
    points = points_of(domain)
    assert at_all(position, points) == list(range(size))
    found = at_all(expr, points)
    assert at_all(simplify(expr, domain), points) == found
    if points:
        assert lower(expr, domain) <= min(found)
        assert upper(expr, domain) >= max(found)


COMPARISONS = [BinaryOp.LT, BinaryOp.LE, BinaryOp.EQ, BinaryOp.NE]


def conditions():
    """Comparisons of indices, joined."""
    side = st.builds(Binary, st.sampled_from(COMPARISONS), indices(), indices())
    pairs = st.lists(side, min_size=2, max_size=2)
    return st.one_of(side, pairs.map(both), pairs.map(either))


@given(conditions(), indices(), indices())
def test_condition_is_decided_only_where_all_points_agree(condition, then, otherwise):
    np.testing.assert_array_equal(values(simplify(condition, DOMAIN)), values(condition))
    chosen = Select(condition, then, otherwise)
    np.testing.assert_array_equal(values(simplify(chosen, DOMAIN)), values(chosen))


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        ((K * 2 + 3) // 2, "k + 1"),
        ((K * 4 + Y) // 4, "k"),
        ((K * 4 + Y) % 4, "i"),
        ((K * 2 + Y % 2) // 4, "k // 2"),
        ((K * 2 + Y % 2) % 4, "2 * (k % 2) + i % 2"),
        ((K // 3) * 3 + K % 3, "k"),
        ((K // 3) * 6 + K % 3, "6 * (k // 3) + k % 3"),
        (minimum(4 * OUT + Y, 9), "4 * o + i"),
        (maximum(K - 1, 0), "max(k - 1, 0)"),
        (minimum(K + 1, K), "k"),
        (60 - 8 * OUT, "60 - 8 * o"),
        (K // 1, "k"),
        (K % 1, "0"),
        (Const(-7) // 2, "-4"),
    ],
)
def test_simple_form_reads_as(expr, text):
    assert print_expr(simplify(expr, DOMAIN)) == text


def test_tail_of_a_split_stays_within_its_whole():
    assert upper(4 * OUT + Y, DOMAIN) == 9
    ends = index_bounds(2 * (4 * OUT + Y) + K, ["o", "i", "k"], DOMAIN)
    assert [print_expr(end) for end in ends] == ["0", "22"]


def test_variable_of_no_loop_has_no_bounds():
    assert lower(Var("x"), DOMAIN) <= -UNBOUNDED // 2
    assert simplify(minimum(Var("x"), 3), DOMAIN) == minimum(Var("x"), 3)


def test_span_is_clipped_to_the_dimension_where_a_halo_leaves_it():
    item = span([(K - 1, K + 1)], Const(5), DOMAIN)
    assert (print_expr(item.low), print_expr(item.extent)) == (
        "max(k - 1, 0)",
        "min(k + 1, 4) - max(k - 1, 0) + 1",
    )


def test_span_beyond_the_dimension_is_empty_not_negative():
    item = span([(K + 5, K + 6)], Const(6), DOMAIN)
    assert (values(item.extent)[[0, 1, 2, 3, 4]] == [1, 0, 0, 0, 0]).all()
