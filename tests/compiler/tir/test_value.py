import os
import pickle
import subprocess
import sys

from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule.loop_nest import simplified
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Const, Var
from tilewright.compiler.tir.simplify import simplify_stmt
from tilewright.compiler.tir.stmt import Block, BufferStore, For, PrimFunc
from tilewright.compiler.tir.walk import loads_of, map_exprs, rewrite_stmt, variables

X = Buffer("x", (Const(8),), DType.INT8)


def node():
    return BufferLoad(X, (Var("i") + 1,))


def test_what_a_node_keeps_does_not_make_it_another():
    asked, other = node(), node()
    assert variables(asked) == {"i"}
    assert loads_of(asked) == (asked,)
    assert Affine.of(asked.indices[0]).constant == 1
    assert hash(asked) == hash(other)
    assert asked == other
    assert repr(asked) == repr(other)
    assert len({asked, other}) == 1


def test_what_a_node_keeps_stays_in_its_process():
    """Hashes of text are another process's own: a node that is sent there must be found among its equals."""
    made = node()
    hash(made)
    assert variables(made) == {"i"}
    code = (
        "import pickle, sys; from tilewright.compiler.tir.expr import BufferLoad, Var\n"
        "node = pickle.loads(sys.stdin.buffer.read())\n"
        "assert node in {BufferLoad(node.buffer, (Var('i') + 1,))}\n"
    )
    # One of these seeds is not this process's.
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code], input=pickle.dumps(made), env=environment, check=True)


def test_statements_that_nothing_changes_stay_the_same_objects():
    store = BufferStore(X, (Var("i"),), BufferLoad(X, (Var("i"),)))
    loops = For(Var("i"), Const(8), For(Var("j"), Const(2), Block("copy", (), store)))
    assert simplify_stmt(loops) is loops
    assert map_exprs(loops, lambda expr: expr) is loops
    assert rewrite_stmt(loops, lambda stmt: stmt) is loops
    assert simplified(PrimFunc("f", (X,), 1, loops)).body is loops
