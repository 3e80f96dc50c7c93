"""Blocks with several elements, opaque code, hints and alignment: what they mean, print as, and must be."""

from dataclasses import replace

import numpy as np
import pytest

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Align, Buffer
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import BufferLoad, Const, Var
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_buffer, print_function
from tilewright.compiler.tir.stmt import (
    Block,
    BufferStore,
    Extern,
    For,
    Iter,
    IterKind,
    PrefetchHint,
    PrimFunc,
    Seq,
)
from tilewright.compiler.tir.verify import verify

Y = Var("i")
A = Buffer("a", (Const(4),), DType.INT32)
B = Buffer("b", (Const(4),), DType.INT32)
C = Buffer("c", (Const(4),), DType.INT32)
ARRAY = np.array([5, 6, 7, 8], np.int32)
EXCHANGE = Block(
    "x",
    (Iter(Var("v"), IterKind.SPATIAL, Y),),
    BufferStore(B, (Y,), BufferLoad(C, (Y,))),
    more=(BufferStore(C, (Y,), BufferLoad(B, (Y,))),),
)


def function(body, outputs=2):
    return PrimFunc("f", (A, B, C), outputs, body)


def fill(a, b, c):
    b[:], c[:] = a, 2 * a


def test_values_of_a_block_are_taken_before_any_is_stored():
    filled = Extern("fill", (A,), (B, C), fill)
    found = run(function(Seq((filled, For(Y, Const(4), EXCHANGE)))), {"a": ARRAY})
    assert found["b"].tolist() == [10, 12, 14, 16]
    assert found["c"].tolist() == [5, 6, 7, 8]


def test_extern_cannot_write_what_it_reads():
    def spoil(a, b, c):
        a[0] = 1

    with pytest.raises(ValueError, match="read-only"):
        run(function(Extern("spoil", (A,), (B, C), spoil)), {"a": ARRAY})


def test_text_of_the_rarer_statements():
    loop = For(Y, Const(4), EXCHANGE, prefetch=(PrefetchHint("b", 2),))
    assert (
        print_function(function(loop))
        == """\
function f(a: int32[4]) -> (b: int32[4], c: int32[4]):
    for i in range(4): prefetch(b, 2)
        block x(v = i):
            b[i], c[i] = c[i], b[i]"""
    )
    assert print_function(function(Extern("e", (A,), (B, C), fill))).endswith("extern e(a) -> (b, c)")


def test_strides_grow_to_their_alignment():
    aligned = replace(A, shape=(Const(2), Const(3), Const(5)), align=(Align(1, 8, 0), Align(0, 8, 4)))
    assert aligned.strides((2, 3, 5)) == (28, 8, 1)
    assert print_buffer(aligned) == "a: int32[2, 3, 5] align(1, 8, 0) align(0, 8, 4)"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (replace(EXCHANGE, more=(EXCHANGE.body,)), "block x must store to each buffer once"),
        (
            replace(EXCHANGE, init=BufferStore(B, (Y,), Const(0, DType.INT32))),
            "the init of block x must store",
        ),
        (replace(EXCHANGE, more=(BufferStore(A, (Y,), BufferLoad(B, (Y,))),)), "input a must not be written"),
        (Extern("e", (), (A,), fill), "input a must not be written"),
        (Extern("e", (replace(A, name="t"),), (B,), fill), "buffer t: int32\\[4\\] must be allocated"),
    ],
)
def test_broken_rule_is_named(body, text):
    with pytest.raises(TirError, match=text):
        verify(function(For(Y, Const(4), body)))


def test_hint_of_no_distance_is_refused():
    with pytest.raises(TirError, match="distance of prefetching b in loop i must be at least 1"):
        verify(function(For(Y, Const(4), EXCHANGE, prefetch=(PrefetchHint("b", 0),))))
