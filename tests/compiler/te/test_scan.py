"""Scans and opaque code: the same by expressions and by loops."""

import numpy as np
import pytest

from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.compiler.te.evaluate import evaluate
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function

X = te.placeholder((6, 3), DType.INT32, "x")
VALUES = np.arange(18, dtype=np.int32).reshape(6, 3) % 7 - 2
STATE = te.placeholder((6, 3), DType.INT32, "state")


def start(rows=1, name="start"):
    return te.compute((rows, 3), lambda t, i: X[t, i], name)


def sums(state=STATE):
    return te.compute((6, 3), lambda t, i: state[t - 1, i] + X[t, i], "next")


def both_ways(*outputs):
    found = evaluate(outputs, {X: VALUES})
    by_loops = run(te.lower("f", [X], outputs), {"x": VALUES})
    for output, array in zip(outputs, found, strict=True):
        np.testing.assert_array_equal(by_loops[output.name], array)
    return found


def test_running_sum_and_its_loops():
    (total,) = te.scan(start(), sums(), STATE, "total")
    np.testing.assert_array_equal(both_ways(total)[0], VALUES.cumsum(axis=0))
    assert print_function(te.lower("f", [X], [total])).splitlines()[-8:] == [
        "    for total_init_0 in range(1):",
        "        for total_init_1 in range(3):",
        "            block total_init(v_total_init_0 = total_init_0, v_total_init_1 = total_init_1):",
        "                total[v_total_init_0, v_total_init_1] = start[v_total_init_0, v_total_init_1]",
        "    for total_t in range(5):",
        "        for next_i in range(3):",
        "            block next(ordered v_next_t = total_t + 1, v_next_i = next_i):",
        "                total[v_next_t, v_next_i] = total[v_next_t - 1, v_next_i] + x[v_next_t, v_next_i]",
    ]


def test_update_reads_as_far_back_as_init_is_long():
    update = te.compute((6, 3), lambda t, i: STATE[t - 1, i] + STATE[t - 2, 2 - i], "next")
    (found,) = both_ways(*te.scan(start(2), update, STATE, "fibonacci"))
    expected = VALUES[:2].tolist()
    for _ in range(4):
        expected.append([expected[-1][i] + expected[-2][2 - i] for i in range(3)])
    assert found.tolist() == expected


def test_states_depend_on_each_other_and_on_stages_between():
    """Two states, and a reduction over one of them that runs at each step."""
    long = te.placeholder((6, 3), DType.INT32, "long")
    k = te.reduce_axis(3, "k")
    whole = te.compute((6,), lambda t: te.sum_of(STATE[t - 1, k], k), "whole")
    gate = te.compute((6, 3), lambda t, i: (whole[t] + X[t, i]) % 5 - long[t - 1, i], "gate")
    kept = te.compute((6, 3), lambda t, i: long[t - 1, i] + gate[t, i], "kept")
    shown = te.compute((6, 3), lambda t, i: kept[t, i] * gate[t, i], "shown")
    starts = (start(), start(name="begin"))
    found = both_ways(*te.scan(starts, (kept, shown), (long, STATE), "cell"))
    kept_now = shown_now = VALUES[0].astype(int)
    for t in range(1, 6):
        gated = (shown_now.sum() + VALUES[t]) % 5 - kept_now
        kept_now, shown_now = kept_now + gated, (kept_now + gated) * gated
        assert [found[0][t].tolist(), found[1][t].tolist()] == [kept_now.tolist(), shown_now.tolist()]


def test_opaque_code_fills_tensors_between_stages():
    twice = te.compute((6, 3), lambda i, j: X[i, j] * 2, "twice")

    def sort(a, ascending, order):
        ascending[:], order[:] = np.sort(a, axis=0), np.argsort(a, axis=0, kind="stable")

    rows, order = te.extern([((6, 3), DType.INT32), ((6, 3), DType.INT64)], [twice], sort, "sort")
    half = te.compute((6, 3), lambda i, j: rows[i, j] // 2, "half")
    found = both_ways(half, order)
    np.testing.assert_array_equal(found[0], np.sort(VALUES, axis=0))
    np.testing.assert_array_equal(found[1], np.argsort(VALUES, axis=0, kind="stable"))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: te.scan(start(), sums(), (STATE, STATE), "s"), "as many inits as updates and states, not 1"),
        (lambda: te.scan(start(), sums(X), start(), "s"), "state start must be a placeholder"),
        (lambda: te.scan(start(), X, STATE, "s"), "update x must be a compute"),
        (lambda: te.scan(start(6), sums(), STATE, "s"), "updates of one that is larger, not 6 and 6"),
        (
            lambda: te.scan(te.compute((1, 2), lambda t, i: X[t, i], "c"), sums(), STATE, "s"),
            r"c must be int32\[6, 3\] but for its first extent, not int32\[1, 2\]",
        ),
        (
            lambda: te.scan(start(), te.compute((6, 3), lambda t, i: STATE[t - 2, i], "u"), STATE, "s"),
            "must read state state from t - 1 to t - 1, as many as init has",
        ),
        (
            lambda: te.scan(start(), te.compute((6, 3), lambda t, i: STATE[t, i], "u"), STATE, "s"),
            "must read state state from t - 1",
        ),
        (
            lambda: te.scan(start(), te.compute((6, 3), lambda t, i: STATE[i, i], "u"), STATE, "s"),
            "must read state state from t - 1",
        ),
        (lambda: te.extern([], [X], print, "e"), "outputs must hold a shape"),
    ],
)
def test_scan_that_means_nothing_is_refused(make, text):
    with pytest.raises(TirError, match=text):
        make()


def test_stage_of_the_same_step_is_read_at_that_step():
    whole = te.compute((6, 3), lambda t, i: STATE[t - 1, i] + 1, "whole")
    update = te.compute((6, 3), lambda t, i: whole[t - 1, i], "u")
    with pytest.raises(TirError, match="u must read whole at t: only states keep what was before"):
        te.scan(start(), update, STATE, "s")
