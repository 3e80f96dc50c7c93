"""A linear layer that is read in parts becomes one for each; all others stay."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.passes.part_linear import PartLinear

INPUTS, OUTPUTS = 4, 9
RNG = np.random.default_rng(9)


def real(*shape):
    return RNG.normal(0, 1, shape).astype(np.float32)


def linear(
    spans=((0, 3), (3, 7), (7, 9)),
    bias=(OUTPUTS,),
    axis=2,
    steps=1,
    by_rows=False,
    shown=False,
    constant=True,
):
    """Slices of x · W + b, x (1, 5, inputs); `by_rows` says whether W is (outputs, inputs)."""
    b = Builder("main")
    x = b.parameter("x", TensorType(DType.FLOAT32, (1, 5, INPUTS)))
    shape = (OUTPUTS, INPUTS) if by_rows else (INPUTS, OUTPUTS)
    w = b.constant(real(*shape)) if constant else b.parameter("w", TensorType(DType.FLOAT32, shape))
    with b.label("product"):
        y = e.dot(b, x, w, (2,), (1 if by_rows else 0,))
    with b.label("bias"):
        y = y if bias is None else e.add(b, y, b.constant(real(*bias)))
    parts = []
    for number, (first, last) in enumerate(spans):
        with b.label(f"part{number}"):
            parts.append(e.exp(b, e.slice_axis(b, y, axis, first, last, steps)))
    return b.function(*parts, *([y] if shown else []))


def parted(function):
    return PartLinear().apply(Module.of(function)).main


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": None}, {"by_rows": True}, {"spans": ((5, 9), (0, 2))}],
    ids=["with-a-bias", "without", "rows", "some"],
)
def test_each_part_is_a_layer(options):
    function = linear(**options)
    after = parted(function)
    names = [each.operator.name for each in after.equations]
    assert "slice" not in names
    assert names.count("dot") == len(function.results)
    x = real(1, 5, INPUTS)
    for one, other in zip(run(after, x), run(function, x), strict=True):
        np.testing.assert_array_equal(one, other)
    labels = {label for each in after.equations for label in each.labels}
    assert labels >= {label for each in function.equations for label in each.labels} - {"bias"}


@pytest.mark.parametrize(
    "options",
    [
        {"spans": ((0, 9),)},
        {"spans": ((0, 5), (4, 9))},
        {"axis": 1, "spans": ((0, 2), (2, 5))},
        {"steps": 2, "spans": ((0, 4), (4, 9))},
        {"shown": True},
        {"constant": False},
        {"bias": (5, OUTPUTS)},
    ],
    ids=["whole", "in-common", "of-tokens", "every-other", "read-whole", "no-constant", "bias-of-tokens"],
)
def test_others_stay(options):
    function = linear(**options)
    assert parted(function) == function
