from dataclasses import replace

import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import (
    Binary,
    BinaryOp,
    BufferLoad,
    Cast,
    Const,
    ElementCall,
    ElementFunction,
    Select,
    Var,
)
from tilewright.compiler.tir.printer import print_expr, print_function
from tilewright.compiler.tir.stmt import Allocate, Block, BufferStore, For, Iter, IterKind, PrimFunc, Seq
from tilewright.compiler.tir.verify import verify

Y, J, V, W = Var("i"), Var("j"), Var("v"), Var("w")
ONE = Const(1, DType.INT8)
A = Buffer("a", (Const(4), Const(3)), DType.INT8)
B = Buffer("b", (Const(4),), DType.INT8)
T = Buffer("t", (Const(4),), DType.INT8, MemoryScope.LANE)
BOTH = (Iter(V, IterKind.SPATIAL, Y), Iter(W, IterKind.REDUCE, J))


def loops(block):
    return For(Y, Const(4), For(J, Const(3), block))


def store(value, *indices):
    return BufferStore(B, indices or (V,), value)


def reduced(value):
    return loops(Block("s", BOTH, store(BufferLoad(B, (V,)) + value), store(Const(0, DType.INT8))))


def function(body):
    return PrimFunc("f", (A, B), 1, body)


GOOD = reduced(BufferLoad(A, (V, W)))
TWICE = Seq((For(Y, Const(4), store(ONE, Y)), For(Y, Const(4), store(ONE, Y))))
BLOCK = Block("s", BOTH, store(ONE))
ALONE = Block("s", (), store(ONE, Const(0)))


def test_what_obeys_the_rules_is_accepted():
    verify(function(GOOD))
    verify(function(Allocate(T, For(Y, Const(4), BufferStore(T, (Y,), ONE)))))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (TWICE, "the name of variable i must be unique"),
        (Seq((ALONE, ALONE)), "the name of block s must be unique"),
        (Allocate(T, Allocate(T, GOOD)), "the name of buffer t must be unique"),
        (Allocate(replace(T, depth=0), GOOD), "the depth of t must be at least 1"),
        (For(Y, Y + 1, store(ONE, Const(0))), "variable i must be bound"),
        (For(Y, Const(4, DType.INT32), store(ONE, Y)), "the extent of loop i must be int64, not int32"),
        (reduced(BufferLoad(A, (V, Y + J + Var("k")))), "variable k must be bound"),
        (reduced(BufferLoad(A, (V,))), "a must have 2 indices, not 1"),
        (reduced(BufferLoad(A, (V, Const(3)))), r"index 3 of a must be from 0 to 3 - 1"),
        (reduced(BufferLoad(A, (V, Const(-1)))), r"index -1 of a must be from 0"),
        (reduced(BufferLoad(A, (V, Cast(DType.INT32, W)))), r"index int32\(w\) of a must be int64"),
        (
            reduced(BufferLoad(replace(A, dtype=DType.UINT8), (V, W))),
            "buffer a must be used as it is declared",
        ),
        (reduced(BufferLoad(T, (V,))), "buffer t must be allocated around"),
        (reduced(Const(1, DType.INT16)), r"the second operand of b\[v\] \+ 1 must be int8, not int16"),
        (reduced(Select(ONE, ONE, ONE)), "the condition 1 must be bool, not int8"),
        (reduced(Select(V < 2, ONE, Const(2))), "the second side of .* must be int8, not int64"),
        (loops(Block("s", BOTH, store(V))), "v, assigned to b, must be int8, not int64"),
        (loops(Block("s", BOTH, store(ONE, W))), "reduced index w of block s must not be in the stored"),
        (loops(replace(BLOCK, init=store(ONE, Const(0)))), "the init of block s must store to the element"),
        (For(Y, Const(3), BufferStore(A, (Y, Y), ONE)), "input a must not be written"),
        (reduced(Binary(BinaryOp.AND, ONE, ONE)), "an operand of 1 and 1 must be bool"),
        (
            reduced(ElementCall(ElementFunction.SATURATE_INT8, (ONE,), DType.INT8)),
            r"saturate_int8\(1\) must not be int8 of \(int8\)",
        ),
    ],
)
def test_broken_rule_is_named_above_the_loops(body, text):
    with pytest.raises(TirError, match=text) as caught:
        verify(function(body))
    assert print_function(function(body)) in str(caught.value)


def test_unused_side_of_a_select_may_index_outside():
    verify(function(reduced(Select(V < 4, BufferLoad(A, (V, W)), BufferLoad(A, (V, Const(7)))))))


def test_operators_print_with_no_more_parentheses_than_they_need():
    assert print_expr((Y + J) * 2 - (Y - J)) == "(i + j) * 2 - (i - j)"
    assert print_expr(Y + J * 2 - J) == "i + j * 2 - j"
    assert print_expr(Y // (J * 2) % 3) == "i // (j * 2) % 3"
    assert (
        print_expr(Binary(BinaryOp.AND, Y < J + 1, (Y <= 3).equal(J < 2)))
        == "i < j + 1 and (i <= 3) == (j < 2)"
    )
