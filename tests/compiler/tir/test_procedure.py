"""Procedures: flow that depends on elements, run, printed and held to the rules."""

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import BufferLoad, Const, Var
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    Break,
    BufferStore,
    Continue,
    For,
    IfThenElse,
    PrimFunc,
    Procedure,
    Seq,
    While,
)
from tilewright.compiler.tir.verify import verify

Y, J = Var("i"), Var("j")
A = Buffer("a", (Const(5),), DType.INT64)
B = Buffer("b", (Const(5),), DType.INT64)
N = Buffer("n", (), DType.INT64)
HERE, COUNT = BufferLoad(A, (Y,)), BufferLoad(N, ())


def function(body):
    return PrimFunc("f", (A, B), 1, Procedure("p", (A,), (B,), Allocate(N, body)))


def loop(*body, extent=5, var=Y):
    return For(var, Const(extent), Seq(body))


def store(value, at=Y):
    return BufferStore(B, (at,), value)


def count(value):
    return BufferStore(N, (), value)


ZERO = loop(store(Const(0), J), var=J)


def result(body):
    program = function(body)
    verify(program)
    return run(program, {"a": np.array([3, -1, 4, -1, 5])})["b"].tolist()


def test_break_and_continue_are_of_the_innermost_loop():
    some = loop(IfThenElse(HERE < 0, Continue()), IfThenElse(HERE.equal(5), Break()), store(HERE))
    assert result(Seq((ZERO, some))) == [3, 0, 4, 0, 0]
    inner = loop(IfThenElse(J < Y, Break()), BufferStore(N, (), COUNT + HERE))
    sums = For(J, Const(5), Seq((count(Const(0)), inner, store(COUNT, J))))
    assert result(sums) == [3, 2, 6, 5, 10]


def test_while_tests_before_each_iteration():
    body = Seq((store(COUNT * COUNT, COUNT), count(COUNT + 2)))
    assert result(Seq((ZERO, count(Const(1)), While(COUNT < 5, body)))) == [0, 1, 0, 9, 0]
    assert result(Seq((ZERO, count(Const(7)), While(COUNT < 5, body)))) == [0] * 5


def test_if_runs_one_side():
    either = IfThenElse(HERE > 0, store(HERE), Seq((count(HERE * 10), store(COUNT))))
    assert result(loop(either)) == [3, -10, 4, -10, 5]


def test_procedure_prints_like_python():
    text = print_function(
        function(loop(IfThenElse(HERE < 0, Continue(), store(HERE)), While(HERE < Y, Break())))
    )
    assert text.splitlines()[1:] == [
        "    procedure p(a) -> (b):",
        "        allocate n: int64[]",
        "        for i in range(5):",
        "            if a[i] < 0:",
        "                continue",
        "            else:",
        "                b[i] = a[i]",
        "            while a[i] < i:",
        "                break",
    ]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (Break(), "break must be in a loop of procedure p"),
        (IfThenElse(Y < 2, Break()), "variable i must be bound"),
        (While(COUNT, Break()), r"the condition n\[\] must be bool, not int64"),
        (loop(BufferStore(A, (Y,), Y)), "input a must not be written"),
        (Block("q", (), store(Const(1), Const(0))), "q must not be in procedure p, which holds no blocks"),
        (Procedure("q", (), (), Seq(())), "q must not be in procedure p"),
        (loop(BufferStore(Buffer("c", (), DType.INT64), (), Y)), "buffer c must be allocated around its use"),
    ],
)
def test_procedure_obeys_rules_of_its_own(body, text):
    with pytest.raises(TirError, match=text):
        verify(function(body))


@pytest.mark.parametrize("stmt", [Break(), Continue(), IfThenElse(Const(True, DType.BOOL), Seq(()))])
def test_flow_outside_of_a_procedure_is_refused(stmt):
    with pytest.raises(TirError, match="must be in a procedure: schedules do not see it"):
        verify(PrimFunc("f", (A, B), 1, loop(stmt)))


def test_procedure_sees_what_it_names_only():
    unseen = PrimFunc("f", (A, B), 1, Procedure("p", (), (B,), loop(store(HERE))))
    with pytest.raises(TirError, match="buffer a must be allocated around its use"):
        verify(unseen)
