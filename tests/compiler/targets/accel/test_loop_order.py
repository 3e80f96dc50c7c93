"""Loops that run in columns are the loops that run one iteration after the other."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from loop_machine import number, tasks_of
from task_machine import machine
from task_program import allocated, assign, at, buffer, copy, fresh, nest
from tilewright.compiler.targets.accel.enumerate import enumerated
from tilewright.compiler.targets.accel.intrinsic.affine import compiled
from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations, distinct
from tilewright.compiler.targets.accel.tensorise import limits_of, tensorise
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import Binary, BinaryOp, Const, Select, Var, as_expr, minimum
from tilewright.compiler.tir.stmt import For, LoopKind, PrimFunc, Seq
from tilewright.isa.instruction import specs

MACHINE = machine()
NAMES = ("i", "j", "k")
_ARITHMETIC = (BinaryOp.ADD, BinaryOp.SUB, BinaryOp.MUL, BinaryOp.MIN, BinaryOp.MAX)
_CONDITIONS = (BinaryOp.LT, BinaryOp.LE, BinaryOp.EQ, BinaryOp.NE)


def expressions(names):
    """Index expressions in some variables."""
    leaves = st.one_of(st.integers(-4, 9).map(Const), st.sampled_from(names).map(Var))

    def larger(inner):
        plain = st.builds(Binary, st.sampled_from(_ARITHMETIC), inner, inner)
        divided = st.builds(
            Binary, st.sampled_from((BinaryOp.FLOORDIV, BinaryOp.MOD)), inner, st.integers(1, 4).map(Const)
        )
        condition = st.builds(Binary, st.sampled_from(_CONDITIONS), inner, inner)
        both = st.builds(Binary, st.sampled_from((BinaryOp.AND, BinaryOp.OR)), condition, condition)
        return st.one_of(plain, divided, st.builds(Select, st.one_of(condition, both), inner, inner))

    return st.recursive(leaves, larger, max_leaves=8)


@settings(max_examples=100)
@given(expressions(NAMES[:1]), expressions(NAMES[:2]), expressions(NAMES))
def test_columns_hold_what_expressions_are_in_each_iteration(second, third, value):
    extents = [Const(3), second, Binary(BinaryOp.MIN, third, Const(5))]
    extents[1] = Binary(BinaryOp.MIN, second, Const(5))
    rows = Iterations(1, {})
    for name, extent in zip(NAMES, extents, strict=True):
        rows = rows.inside(name, compiled(extent)(rows))
    expected = [
        {"i": i, "j": j, "k": k}
        for i in range(3)
        for j in range(number(extents[1], {"i": i}))
        for k in range(number(extents[2], {"i": i, "j": j}))
    ]
    assert [rows.at(place) for place in range(rows.count)] == expected
    column = np.broadcast_to(compiled(value)(rows), rows.count)
    assert column.tolist() == [number(value, variables) for variables in expected]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.just(7)), min_size=1))
def test_each_row_of_columns_has_the_number_of_its_own(rows):
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    found, which = distinct([*columns, np.array(5)], len(rows))
    assert len(set(found)) == len(found)
    assert [found[number] for number in which.tolist()] == [(*row, 5) for row in rows]


class Programs:
    """Draws loops around copies: x to a buffer on the chip, and from there, or through another, to y."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.x, self.y = buffer("x", (4096, 4)), buffer("y", (4096, 4))

    def statement(self, variables, depth, threads):
        if depth and self.draw(st.integers(0, 3)):
            return self.loop(variables, depth, threads)
        return self.allocation(variables, depth, threads)

    def loop(self, variables, depth, threads):
        is_threads = self.draw(st.booleans())
        kind = LoopKind.VIRTUAL_THREAD if is_threads else LoopKind.SERIAL
        extent = as_expr(self.draw(st.integers(1, 3)))
        if variables and self.draw(st.booleans()):
            # A tail: shorter in some iterations, or nothing.
            extent = minimum(extent, 2 - self.draw(st.sampled_from(variables)))
        var = Var(fresh("i"))
        parts = [
            self.statement([*variables, var], depth - 1, threads * (3 if is_threads else 1))
            for _ in range(self.draw(st.integers(1, 2)))
        ]
        return For(var, extent, Seq(tuple(parts)) if len(parts) > 1 else parts[0], kind)

    def index(self, variables, scale):
        """Where something is in memory: variables that are left out make it the same again."""
        total = as_expr(self.draw(st.integers(0, 3)))
        for var in variables:
            total = total + var * (scale * self.draw(st.integers(0, 3)))
        return total

    def allocation(self, variables, depth, threads):
        size = as_expr(self.draw(st.integers(1, 3)))
        if variables and self.draw(st.booleans()):
            size = minimum(size, 1 + variables[-1])
        spare = self.draw(st.integers(0, 2))
        chip = buffer(fresh("a"), (size, 4), MemoryScope.ACTIVATION, threads + spare)
        first = self.index(variables, 1)
        rows = self.draw(st.sampled_from((size, minimum(size, 2 - (variables or [as_expr(0)])[0]))))
        fill = copy(chip, (rows, as_expr(4)), lambda v, lane: at(self.x, first + v, lane))
        return allocated([chip], fill, self.use(chip, size, variables, depth, threads))

    def use(self, chip, size, variables, depth, threads):
        inside = [Var(fresh("i")) for _ in range(self.draw(st.integers(1, 2)))]
        target = self.index([*variables, *inside], 4)
        through = self.draw(st.booleans())
        other = buffer(fresh("b"), (size, 4), MemoryScope.ACTIVATION, threads)
        source = other if through else chip
        store = nest((size, 4), lambda v, lane: assign(at(self.y, target + v, lane), at(source, v, lane)))
        if through:
            work = copy(other, (size, as_expr(4)), lambda v, lane: at(chip, v, lane))
            store = allocated([other], Seq((work, store)))
        for var in inside:
            store = For(var, as_expr(self.draw(st.integers(1, 2))), store)
        return store


@st.composite
def programs(draw):
    made = Programs(draw)
    return PrimFunc("f", (made.x, made.y), 1, made.statement([], 3, 1))


def normal(tasks):
    """With instances by number, in the order in which they are met."""
    numbers = {}
    return [
        (
            fields,
            memory,
            {field: numbers.setdefault(each, len(numbers)) for field, each in operands.items()},
        )
        for fields, memory, operands in tasks
    ]


@settings(max_examples=80)
@given(programs())
def test_tasks_are_those_of_loops_that_run_one_by_one(function):
    tensorised = tensorise(function, limits_of(MACHINE))
    found = [
        (
            [getattr(task.instruction, name) for name in specs(type(task.instruction))],
            task.memory,
            {field: each.number for field, each in task.operands.items()},
        )
        for task in enumerated(tensorised, "layer", MACHINE).tasks()
    ]
    assert normal(found) == normal(tasks_of(tensorised.body, limits_of(MACHINE)))
