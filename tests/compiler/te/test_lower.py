import numpy as np
import pytest

from te_convolution import Convolution, random_inputs, reference, tensors
from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function

SIZES = [
    Convolution(),
    Convolution(blocks_in=2, rows=2, stride=(2, 1), kernel=(3, 2), dilation=(1, 2)),
    Convolution(kernel=(1, 1), pad=(0, 0), stride=(2, 2)),
]


@pytest.mark.parametrize("conv", SIZES)
def test_convolution_is_the_same_by_expressions_and_by_loops(conv):
    inputs, out = tensors(conv)
    arrays = random_inputs(conv)
    expected = reference(conv, arrays)
    assert expected.std() > 20
    (by_te,) = te.evaluate([out], {tensor: arrays[tensor.name] for tensor in inputs})
    np.testing.assert_array_equal(by_te, expected)
    by_loops = run(te.lower("conv", inputs, [out]), arrays)["out"]
    np.testing.assert_array_equal(by_loops, expected)


def test_lowered_function_prints_a_nest_a_stage():
    a = te.placeholder((2, 3), DType.INT8, "a")
    k = te.reduce_axis(3, "k")
    total = te.compute((2,), lambda i: te.sum_of(te.cast(a[i, k], DType.INT32), k), "total")
    twice = te.compute((2,), lambda i: total[i] * 2, "twice")
    assert (
        print_function(te.lower("f", [a], [twice]))
        == """\
function f(a: int8[2, 3]) -> (twice: int32[2]):
    allocate total: int32[2]
    for total_i in range(2):
        for total_k in range(3):
            block total(v_total_i = total_i, reduce v_total_k = total_k):
                init total[v_total_i] = int32(0)
                total[v_total_i] = total[v_total_i] + int32(a[v_total_i, v_total_k])
    for twice_i in range(2):
        block twice(v_twice_i = twice_i):
            twice[v_twice_i] = total[v_twice_i] * 2"""
    )


def test_missing_placeholder_is_named():
    a = te.placeholder((2,), DType.INT8, "a")
    with pytest.raises(TirError, match="add a"):
        te.lower("f", [], [te.compute((2,), lambda i: a[i], "b")])
