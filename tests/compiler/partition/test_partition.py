"""Split functions mean what they meant: each equation runs once, where a target takes it."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_function import SIZES, arrays_for, functions
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import trace
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Equation, Function, Module
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.parse import parse_function
from tilewright.compiler.ir.print import print_function, tensors_of
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ir.verify import verify
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn import activation
from tilewright.compiler.ops.registry import operators
from tilewright.compiler.partition.assign import Refusal
from tilewright.compiler.partition.dependence import Dependence
from tilewright.compiler.partition.level import best_levels, programs
from tilewright.compiler.partition.split import partition
from tilewright.compiler.passes.fold import Fold
from tilewright.compiler.passes.run import run_passes
from tilewright.compiler.passes.simplify import Simplify
from tilewright.compiler.passes.specialise import Specialise

F32 = DType.FLOAT32
X = TensorType(F32, (4, 4))


@dataclass(frozen=True)
class Refusing:
    """A target that refuses results by name."""

    name: str
    refused: frozenset = frozenset()

    def refusal(self, equation: Equation, function: Function) -> str | None:
        assert equation in function.equations
        return "it does not like it" if equation.results[0].name in self.refused else None


@dataclass(frozen=True)
class Only:
    """A target that runs some operators."""

    name: str
    operators: tuple

    def refusal(self, equation: Equation, function: Function) -> str | None:
        return None if equation.operator.name in self.operators else "no such engine"


HOST = Refusing("host")


@st.composite
def split_functions(draw):
    """A function and two or three targets, the last of which takes everything."""
    function = pruned(draw(functions(symbolic=draw(st.booleans()), steps=20)))
    names = [each.results[0].name for each in function.equations]
    some = st.frozensets(st.sampled_from(names)) if names else st.just(frozenset())
    targets = [Refusing(f"t{number}", draw(some)) for number in range(draw(st.integers(1, 2)))]
    return function, [*targets, HOST]


def kernels(function):
    return [each for each in function.equations if each.operator.name == "kernel"]


@given(split_functions(), st.integers(0, 1 << 30))
def test_the_meaning_stays(given_function, seed):
    function, targets = given_function
    split = partition(function, targets).function
    verify(split)
    arrays = arrays_for(function, seed)
    with np.errstate(all="ignore"):
        for one, other in zip(run(function, *arrays), run(split, *arrays), strict=True):
            np.testing.assert_array_equal(one, other)
    assert parse_function(print_function(split), operators(), tensors_of(split)) == split


@given(split_functions())
def test_every_equation_runs_once_where_it_is_taken(given_function):
    function, targets = given_function
    found = partition(function, targets)
    by_name, sources = {each.name: each for each in targets}, Dependence(pruned(function)).sources
    inner = []
    for kernel in kernels(found.function):
        steps = [each for each in kernel.operator.body.equations if each not in sources]
        assert all(by_name[kernel.operator.target].refusal(each, function) is None for each in steps)
        inner += steps
    wanted = [each for each in function.equations if each not in sources]
    assert sorted(map(repr, inner)) == sorted(map(repr, wanted))
    outside = [each for each in found.function.equations if each.operator.name != "kernel"]
    assert all(each in sources for each in outside)
    refused = [(each.label, target.name) for each in wanted for target in targets
               if target.refusal(each, function)]  # fmt: skip
    assert [(each.label, each.target) for each in found.refusals] == refused


@given(split_functions(), st.integers(0, 1 << 30))
def test_passes_go_through_kernels(given_function, seed):
    function, targets = given_function
    split = partition(function, targets).function
    sizes = {name: SIZES[name] for name in split.size_names}
    after = run_passes(Module.of(split), [Fold(), Simplify(), Specialise(sizes), Fold(), Simplify()])
    arrays = arrays_for(function, seed)
    with np.errstate(all="ignore"):
        for one, other in zip(run(function, *arrays), run(after, *arrays), strict=True):
            np.testing.assert_array_equal(one, other)


def phases(function, sides, first):
    """Groups of side 0, if each side in turn runs all that it can: for two sides the fewest."""
    dependence = Dependence(function)
    done, count, side = set(), 0, first
    while len(done) < len(dependence.steps):
        progress = True
        ran = False
        while progress:
            ready = [
                number
                for number in dependence.steps
                if number not in done and sides[number] == side and set(dependence.before[number]) <= done
            ]
            progress = bool(ready)
            ran = ran or progress
            done.update(ready)
        count += ran and side == 0
        side = 1 - side
    return count


@given(functions(steps=25), st.randoms(use_true_random=False))
def test_there_are_no_more_programs_than_sides_in_turn_need(function, random):
    sides = [random.randint(0, 1) for _ in function.equations]
    least = min(phases(function, sides, first) for first in (0, 1))
    dependence = Dependence(function)
    assert programs(best_levels(dependence, sides), sides)[0] == least


def test_labels_and_reasons_are_data():
    def body(b, x, w):
        with b.label("layer"):
            y = e.matmul(b, x, w)
        with b.label("activation"):
            return [e.tanh(b, y)]

    found = partition(trace("main", [X, X], body), [Only("array", ("dot",)), HOST])
    assert found.refusals == (Refusal("activation", "map", "array", "no such engine"),)
    assert str(found.refusals[0]) == "activation (map) cannot run on array: no such engine"
    assert [(each.operator.target, each.labels) for each in kernels(found.function)] == [
        ("array", ("layer",)),
        ("host", ("activation",)),
    ]


def test_what_no_target_runs_is_told_at_once():
    function = trace("main", [X], lambda b, x: [e.tanh(b, e.reduce_sum(b, x, 0))])
    with pytest.raises(IrError, match=r"cannot run on array: no such engine; .*\(map\) cannot run"):
        partition(function, [Only("array", ("dot",))])


def test_branches_wait_for_each_other_so_that_programs_are_few():
    def body(b, x, w):
        one = e.matmul(b, e.tanh(b, e.matmul(b, x, w)), w)
        other = e.matmul(b, e.tanh(b, x), w)
        return [e.add(b, one, other)]

    split = partition(trace("main", [X, X], body), [Only("array", ("dot",)), HOST]).function
    assert [each.operator.target for each in kernels(split)].count("array") == 2


def test_an_attention_layer_takes_three_programs():
    def body(b, x, w):
        q, k, v = (e.matmul(b, x, e.mul(b, w, float(i))) for i in (2, 3, 4))
        scores = activation.softmax(b, e.matmul(b, q, e.transpose(b, k)), 1)
        y = e.matmul(b, e.matmul(b, scores, v), w)
        y = e.div(b, y, e.reduce_max(b, y, (1,), keep=True))
        return [e.matmul(b, e.maximum(b, e.matmul(b, y, w), 0.0), w)]

    array = Only("array", ("dot", "transpose", "map", "broadcast", "constant"))
    split = partition(trace("main", [X, X], body), [array, HOST]).function
    assert [each.operator.target for each in kernels(split)].count("array") == 3


def test_what_multiplies_nothing_makes_no_program_of_its_own():
    def body(b, x):
        return [e.exp(b, e.reduce_sum(b, e.tanh(b, e.reduce_sum(b, x, (1,))), 0))]

    split = partition(trace("main", [X], body), [Only("array", ("map",)), HOST]).function
    assert [each.operator.target for each in kernels(split)] == ["host"]


def test_values_cross_where_they_are_small():
    def body(b, x, w):
        y = e.matmul(b, x, w)
        # Either side may reduce it: sixteen numbers, or four, go to the host.
        return [e.argsort(b, e.reduce_sum(b, y, (1,)), 0)]

    split = partition(trace("main", [X, X], body), [Only("array", ("dot", "reduce")), HOST]).function
    first, second = kernels(split)
    assert [each.operator.name for each in first.operator.body.equations] == ["dot", "reduce"]
    assert second.operator.target == "host"


def test_each_kernel_has_the_constants_that_it_reads():
    def body(b, x):
        w = b.constant(np.eye(4, dtype=np.float32))
        return [e.add(b, e.tanh(b, e.matmul(b, x, w)), w)]

    split = partition(trace("main", [X], body), [Only("array", ("dot",)), HOST]).function
    assert [
        [each.operator.name for each in kernel.operator.body.equations] for kernel in split.equations
    ] == [
        ["constant", "dot"],
        ["constant", "map", "map"],
    ]


def test_a_size_that_another_kernel_needs_is_shown_to_it():
    def body(b, x):
        size = e.nonzero(b, x).type.shape[1]
        return [e.cast(b, e.iota(b, DType.INT64, (size,), 0), F32)]

    function = trace("main", [X], body)
    split = partition(function, [Only("finder", ("nonzero",)), Only("host", ("iota", "cast"))]).function
    verify(split)
    assert [each.operator.target for each in kernels(split)] == ["finder", "host"]
    (found,) = run(split, np.eye(4, dtype=np.float32))
    assert found.tolist() == [0, 1, 2, 3]


def test_a_chain_that_multiplies_nothing_leaves_together():
    """Its first and its last equation are read and made on the host: one alone would save nothing."""

    def build(b, m, x, w):
        between = e.abs(b, e.neg(b, e.floor(b, m)))
        return [e.floor(b, e.add(b, e.floor(b, e.dot(b, x, w, (1,), (0,))), between))]

    function = trace("f", [X, X, X], build)
    maps = [each for each in function.equations if each.operator.name == "map"]
    ends = frozenset(each.results[0].name for each in maps if each.operator.function in ("floor", "add"))
    found = partition(function, [Refusing("array", ends), HOST])
    (on_array,) = (each for each in kernels(found.function) if each.operator.target == "array")
    assert [each.operator.name for each in on_array.operator.body.equations] == ["dot"]
