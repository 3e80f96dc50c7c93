"""Every reason for which a primitive refuses: said by a test, with the step, the loops and a remedy."""

import ast
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.compiler.schedule import (
    test_pipeline,
    test_primitives,
    test_reduction,
    test_split_select,
    test_tuple,
)

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    CacheRead,
    CacheWrite,
    ComputeAt,
    DecomposeReduction,
    Fuse,
    Inline,
    Parallel,
    Prefetch,
    Primitive,
    Reorder,
    ReverseComputeAt,
    ReverseInline,
    RFactor,
    ScheduleError,
    Split,
    SplitFirst,
    SplitParts,
    StorageAlign,
    UnitLoop,
)
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import BufferLoad, Const, Var
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import Allocate, Block, BufferStore, For, Iter, IterKind, PrimFunc, Seq

A = te.placeholder((6, 5), DType.INT32, "a")


def lowered(*outputs):
    return te.lower("f", [A], outputs)


def elementwise(shape, at, name):
    return te.compute(shape, lambda i, j: at(i, j), name)


B = elementwise((6, 5), lambda i, j: A[i, j] + 1, "b")
C = elementwise((6, 5), lambda i, j: B[i, j] * 2, "c")
CHAIN = lowered(elementwise((6, 5), lambda i, j: C[i, j] - 3, "d"))
APART = lowered(B, elementwise((6, 5), lambda i, j: A[i, j] * 3, "e"))
NEIGHBOURS = lowered(elementwise((5, 5), lambda i, j: B[i, j] + B[i + 1, j], "c"))
TURNED = lowered(te.compute((5, 5), lambda i, j: B[i, j] + B[j, i], "c"))
PART = lowered(elementwise((4, 5), lambda i, j: B[i, j] * 2, "c"))
E = elementwise((6, 5), lambda i, j: A[i, j] * 3, "e")
BETWEEN = te.lower("f", [A], [elementwise((6, 5), lambda i, j: B[i, j] + E[i, j], "c")])
BORDERED = lowered(
    elementwise((8, 5), lambda i, j: te.select(te.both([i >= 1, i <= 6]), B[i - 1, j], 0), "c")
)

K = te.reduce_axis(5, "k")
STARTED = lowered(te.compute((6,), lambda i: te.sum_of(E[i, K], K, init=A[i, 0]), "t"))


@te.hybrid
def counted(x):
    out = te.output(x.shape, np.int32)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = i
            if x[i, j] > 3:
                break
    return out


HYBRID = lowered(elementwise((6, 5), lambda i, j: counted(B, name="run")[i, j] + 1, "c"))


@te.hybrid
def never(x):
    out = te.output(x.shape, np.int32)
    for i in range(x.shape[0]):
        for j in range(7, x.shape[1]):
            out[i, j] = i
    return out


NEVER = lowered(never(A, name="run"))

Y, J, V, W = Var("i"), Var("j"), Var("v"), Var("w")
T, U = (Buffer(name, (Const(12),), DType.INT32) for name in "tu")
LENGTH = Buffer("length", (), DType.INT64)


def made(body, *outputs):
    """A program that no expressions give."""
    return PrimFunc("f", (LENGTH, *outputs), len(outputs), body)


def spatial(name, store, loop=Y, extent=6):
    var = Var(f"v_{name}")
    return For(loop, Const(extent), Block(name, (Iter(var, IterKind.SPATIAL, loop),), store(var)))


COPY = spatial("copy", lambda v: BufferStore(U, (v,), BufferLoad(T, (v * 2,))), Var("n"))
SPACED = made(
    Allocate(T, Seq((spatial("w", lambda v: BufferStore(T, (v * 2,), Const(1, DType.INT32))), COPY))), U
)
ONCE = Block("w", (Iter(V, IterKind.SPATIAL, Y),), BufferStore(T, (Const(0),), Const(1, DType.INT32)))
REPEATED = made(Allocate(T, Seq((For(Y, Const(6), ONCE), COPY))), U)
UNREAD = made(
    Allocate(
        T,
        Seq(
            (
                spatial("w", lambda v: BufferStore(T, (v,), Const(1, DType.INT32))),
                spatial("z", lambda v: BufferStore(U, (v,), Const(1, DType.INT32)), J),
            )
        ),
    ),
    U,
)


def reduction(extent):
    """A sum over both loops."""
    value = BufferLoad(U, (Const(0),)) + Const(1, DType.INT32)
    iters = (Iter(V, IterKind.REDUCE, Y), Iter(W, IterKind.REDUCE, J))
    init = BufferStore(U, (Const(0),), Const(0, DType.INT32))
    block = Block("w", iters, BufferStore(U, (Const(0),), value), init)
    return made(For(Y, Const(4), For(J, extent, block)), U)


RISING = reduction(Y + 1)
ENDLESS = reduction(BufferLoad(LENGTH, ()))

REFUSED = [
    (
        test_reduction.SCAN,
        [],
        CacheRead("moved", "s", MemoryScope.LANE, "n"),
        "s is written in the loops of moved: use cache_write on its writer",
    ),
    (
        test_tuple.FIRST_ONLY,
        [UnitLoop("part", "u"), Reorder(("u", "part_j", "part_i")), ReverseComputeAt("twice", "u")],
        CacheWrite("part", MemoryScope.LANE, "n"),
        "part_0 and part_1, which part stores to, must be allocated at one place",
    ),
    (
        test_tuple.FIRST_ONLY,
        [UnitLoop("part", "u"), Reorder(("u", "part_j", "part_i")), ReverseComputeAt("twice", "u")],
        ComputeAt("part", "twice_i"),
        "part_. and part_., which part stores to, must be allocated at one place",
    ),
    (CHAIN, [ComputeAt("c", "d_i")], ComputeAt("c", "d_i"), "d_i must be inside of where c is allocated"),
    (UNREAD, [], ComputeAt("w", "j"), "no block reads t: there is nothing to attach w to: leave it"),
    (
        test_reduction.SCAN,
        [Inline("moved")],
        ComputeAt("s_init", "plus_t"),
        "block next shares its loops or buffer: attach s_init before it",
    ),
    (
        test_primitives.PROGRAM,
        [ComputeAt("row", "out_i")],
        DecomposeReduction("row", "out_i", "z"),
        "row must be allocated around out_i: name a loop inside",
    ),
    (
        CHAIN,
        [CacheRead("b", "a", MemoryScope.LANE, "n"), ComputeAt("n", "b_i")],
        Inline("b"),
        "b must have loops of its own: inline it before it is attached to",
    ),
    (SPACED, [], Inline("w"), r"w must store by one index a dimension, not 2 \* v_w|v_w \* 2"),
    (REPEATED, [], Inline("w"), "every index of w must be in the element that it stores: use compute_at"),
    (
        RISING,
        [],
        RFactor("w", "j", "p"),
        "the extent of j must be largest where the other reduced loops begin",
    ),
    (ENDLESS, [], RFactor("w", "j", "p"), "the extent of j must be bounded: split it first"),
    (
        CHAIN,
        [ComputeAt("c", "d_i")],
        ReverseComputeAt("d", "b_i"),
        "d must be alone in its loops: apply this before others are attached to it",
    ),
    (APART, [], ReverseComputeAt("e", "b_i"), "e must read what b_i computes: name a loop of a producer"),
    (
        CHAIN,
        [Fuse("b_i", "b_j", "f"), Split("f", 4, "o", "n")],
        ReverseComputeAt("c", "o"),
        "dimension 0 of b is stored at .*: what one iteration of o writes must be a box",
    ),
    (
        NEIGHBOURS,
        [],
        ReverseComputeAt("c", "b_i"),
        "c must read all its sources at the same elements: loop c_i",
    ),
    (
        BORDERED,
        [],
        ReverseComputeAt("c", "b_i"),
        "c_i must run over elements of b that b stores, and no others: leave it behind its producer",
    ),
    (TURNED, [], ReverseInline("c", "b"), "c must read b at one index a dimension, in loops of its own"),
    (PART, [], ReverseInline("c", "b"), "c must read all of b once: use reverse_compute_at"),
    (
        CHAIN,
        [ComputeAt("c", "d_i")],
        ReverseInline("c", "b"),
        "c must be allocated around b too: use reverse_compute_at",
    ),
    (BETWEEN, [], ReverseInline("c", "b"), "c must not run before e, which is behind b: use reverse_comp"),
    (
        STARTED,
        [CacheRead("t", "a", MemoryScope.LANE, "n"), ComputeAt("n", "t_i")],
        DecomposeReduction("t", "t_i", "z"),
        "n, which the init reads, must be there before t_i: name a loop inside, or attach it after this",
    ),
    (HYBRID, [], Parallel("run_i"), "run_i runs in the order of procedure run: change it there"),
    (HYBRID, [], Split("run_j", 2, "x", "y"), "run_j must run to its end, and a break leaves it: unroll it"),
    (HYBRID, [], Inline("run"), "run is opaque, not a block: schedule what it reads and what reads it"),
    (NEVER, [], Fuse("run_i", "run_j", "f"), "the extent of run_j must be constant, at least 1"),
    (CHAIN, [], Prefetch("b", "b_i", 1), "the distance must be at least 1, not 1, and b_i read b, allocated"),
    (CHAIN, [], SplitFirst("b_i", 0, 1, "x", "x", "y"), "factor and first must be at least 1, not 0 and 1"),
    (CHAIN, [], SplitFirst("b_i", 2, 1, "c_i", "x", "y"), "at must be the new outer loop or one around b_i"),
    (
        ENDLESS,
        [],
        SplitFirst("j", 2, 1, "i", "x", "y"),
        "j must have an extent with a known upper bound: use split by a factor",
    ),
    (CHAIN, [], SplitParts("b_i", 0, "x", "y"), "b_i must have a constant extent and parts be at least 1"),
    (
        CHAIN,
        [],
        StorageAlign("b", 2, 4, 1),
        "axis must be from 0 to 1 and offset from 0 to factor - 1, not 2",
    ),
]
OTHERS = [
    *((test_primitives.PROGRAM, *case) for case in test_primitives.REFUSED),
    *test_reduction.REFUSED,
    *test_tuple.REFUSED,
    *test_pipeline.REFUSED,
    *test_split_select.REFUSED,
]


def refused(function, before, step):
    function = schedule.apply(function, before)
    with pytest.raises(ScheduleError) as caught:
        schedule.apply(function, [step])
    return str(caught.value), function


@pytest.mark.parametrize(
    ("function", "before", "step", "reason"),
    [*REFUSED, *test_pipeline.REFUSED, *test_split_select.REFUSED],
)
def test_refusal_names_step_reason_and_loops(function, before, step, reason):
    with pytest.raises(ScheduleError, match=reason):
        schedule.apply(schedule.apply(function, before), [step])


def sites():
    """File and lines of every place where a primitive refuses."""
    for path in sorted(Path(schedule.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and called.attr == "refusal":
                yield path.name, range(node.lineno, node.end_lineno + 1)


def test_every_place_that_refuses_has_a_case_and_every_refusal_shows_step_remedy_and_loops(monkeypatch):
    seen, original = set(), Primitive.refusal

    def refusal(self, function, reason):
        caller = sys._getframe(1)
        seen.add((Path(caller.f_code.co_filename).name, caller.f_lineno))
        return original(self, function, reason)

    monkeypatch.setattr(Primitive, "refusal", refusal)
    for function, before, step, _ in (*REFUSED, *OTHERS):
        text, function = refused(function, before, step)
        assert text.startswith(f"{step}: ")
        assert text.endswith(f"\n{print_function(function)}")
        reason = text.removesuffix(print_function(function)).removeprefix(f"{step}: ")
        assert ": " in reason or "must" in reason
    missing = [f"{name}:{lines[0]}" for name, lines in sites() if not any((name, n) in seen for n in lines)]
    assert missing == []
