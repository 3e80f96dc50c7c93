"""Passes keep what functions mean, to the bit, leave them valid, and change nothing the second time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_function import SIZES, arrays_for, functions
from tilewright.compiler.ir.function import Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.parse import parse_module
from tilewright.compiler.ir.print import print_module, tensors_of
from tilewright.compiler.ops.registry import operators
from tilewright.compiler.passes.fold import Fold
from tilewright.compiler.passes.inline import InlineCalls
from tilewright.compiler.passes.recompose import Recompose
from tilewright.compiler.passes.run import run_passes
from tilewright.compiler.passes.simplify import Simplify
from tilewright.compiler.passes.specialise import Specialise

SEEDS = st.integers(0, 1 << 30)
EXACT = [Fold(), Simplify(), InlineCalls()]


def same(before, after, arrays):
    with np.errstate(all="ignore"):
        for one, other in zip(run(before, *arrays), run(after, *arrays), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)
            if one.dtype.kind == "f":
                np.testing.assert_array_equal(np.signbit(one), np.signbit(other))


@pytest.mark.parametrize("each", EXACT, ids=lambda each: each.name)
@pytest.mark.parametrize("symbolic", [False, True])
@given(data=st.data(), seed=SEEDS)
def test_a_pass_keeps_the_meaning(each, symbolic, data, seed):
    module = Module.of(data.draw(functions(symbolic=symbolic)))
    once = run_passes(module, [each])
    same(module, once, arrays_for(module.main, seed))
    assert each.apply(once) == once
    assert parse_module(print_module(once), operators(), tensors_of(once)) == once


@given(functions(symbolic=True), SEEDS)
def test_specialised_functions_keep_the_meaning(function, seed):
    module = Module.of(function)
    partly = run_passes(module, [Specialise({"n": SIZES["n"]})])
    wholly = run_passes(partly, [Specialise({"m": SIZES["m"]})])
    arrays = arrays_for(function, seed)
    same(module, partly, arrays)
    same(module, wholly, arrays)
    assert wholly.main.size_names == ()
    names = [each.operator.name for each in wholly.main.equations]
    assert not {"extent", "assume"} & set(names)


@given(functions(symbolic=True), SEEDS)
def test_all_passes_in_a_row_keep_the_meaning(function, seed):
    module = Module.of(function)
    passes = [InlineCalls(), Specialise(SIZES), Fold(), Simplify(), Fold(), Simplify()]
    after = run_passes(module, passes)
    same(module, after, arrays_for(function, seed))


@given(functions(symbolic=True), SEEDS)
def test_where_nothing_is_composed_nothing_changes(function, seed):
    module = Module.of(function)
    after = run_passes(module, [Recompose()])
    same(module, after, arrays_for(function, seed))
