"""Tensor programs print as what they compute, a tensor a line."""

import numpy as np

from te_convolution import Convolution, random_inputs, reference, tensors
from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function

A = te.placeholder((2, 3), DType.INT32, "a")


def shown(*outputs, inputs=(A,)):
    return te.print_program(te.TensorProgram.of("f", inputs, outputs)).splitlines()


def test_a_program_prints_what_it_computes_in_order():
    k = te.reduce_axis(3, "k")
    total = te.compute((2,), lambda i: te.sum_of(A[i, k], k), "total")
    twice = te.compute((2,), lambda i: te.maximum(total[i] * 2, 0), "twice")
    assert shown(twice) == [
        "tensors f(a: int32[2, 3]) -> (twice: int32[2]):",
        "    total: int32[2]",
        "    total[i] = sum(a[i, k] for k < 3)",
        "    twice: int32[2]",
        "    twice[i] = max(total[i] * 2, 0)",
    ]


def test_reductions_show_where_they_start_and_what_counts():
    k = te.reduce_axis(3, "k")
    most = te.compute(
        (2,), lambda i: te.max_of(A[i, k], k, where=k < i, init=te.cast(i + 7, DType.INT32)), "most"
    )
    assert shown(most)[2] == (
        "    most[i] = max(select(k < i, a[i, k], -2147483648) for k < 3; from int32(i + 7))"
    )


def test_reductions_of_users_show_how_two_combine():
    k = te.reduce_axis(3, "k")
    both = te.reducer(
        lambda a, b: (te.maximum(a[0], b[0]), a[1] + b[1]),
        lambda *types: (te.constant(-9, types[0]), te.constant(0, types[1])),
    )
    high, total = te.compute((2,), lambda i: both((A[i, k], A[i, k]), k), "both")
    text = shown(high, total)
    assert text[1] == "    both_0: int32[2], both_1: int32[2]"
    assert text[2].startswith("    both_0[i], both_1[i] = reduce[")
    assert "-> (max(" in text[2]
    assert text[2].endswith("((a[i, k], a[i, k]) for k < 3)")


def test_scans_functions_and_opaque_code_show_what_they_read():
    state = te.placeholder((2, 3), DType.INT32, "state")
    first = te.compute((1, 3), lambda t, i: A[0, i], "first")
    step = te.compute((2, 3), lambda t, i: state[t - 1, i] + A[t, i], "step")
    (run_of,) = te.scan(first, step, state, "sums")
    assert shown(run_of)[3:] == [
        "    sums: int32[2, 3] = scan(first | state -> step):",
        "        step: int32[2, 3]",
        "        step[t, i] = state[t - 1, i] + a[t, i]",
    ]
    (filled,) = te.extern([((2, 3), DType.INT32)], [A], lambda a, out: None, "filled")
    assert shown(filled)[1] == "    filled: int32[2, 3] = extern(a)"


def test_a_program_lowers_to_the_loops_of_its_tensors():
    inputs, out = tensors(Convolution())
    program = te.TensorProgram.of("conv", inputs, [out])
    assert print_function(program.lower()) == print_function(te.lower("conv", inputs, [out]))
    arrays = random_inputs(Convolution())
    np.testing.assert_array_equal(run(program.lower(), arrays)["out"], reference(Convolution(), arrays))
