"""Kinds of loops: the same bits for each, vectors where lanes are neighbours, order kept elsewhere."""

import numpy as np
import pytest
from tests.compiler.targets.cpu.host_kernel import assert_same, interpreted, run_compiled

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import (
    ComputeAt,
    Fuse,
    Inline,
    Parallel,
    Reorder,
    Split,
    StorageAlign,
    Unroll,
    Vectorise,
)
from tilewright.compiler.targets.cpu.codegen import emit_module
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.targets.cpu.outline import POOL_FUNCTION
from tilewright.compiler.targets.cpu.scratch import ALLOCATE_FUNCTION
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Const, Var, minimum
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.stmt import Block, BufferStore, For, Iter, IterKind, LoopKind, PrimFunc, Seq

M, N, K = 5, 11, 7


def product(dtype=DType.FLOAT32):
    a, b = te.placeholder((M, K), dtype, "a"), te.placeholder((K, N), dtype, "b")
    k = te.reduce_axis(K, "k")
    c = te.compute((M, N), lambda i, j: te.sum_of(a[i, k] * b[k, j], k), "c")
    return te.lower("product", [a, b], [c])


def operands(dtype=DType.FLOAT32):
    rng = np.random.default_rng(0)
    shapes = {"a": (M, K), "b": (K, N)}
    return {name: (100 * rng.standard_normal(shape)).astype(dtype.numpy) for name, shape in shapes.items()}


TILED = [Split("c_i", 2, "io", "ii"), Split("c_j", 4, "jo", "ji"), Reorder(("io", "jo", "c_k", "ii", "ji"))]
SCHEDULES = {
    "plain": [],
    "vector": [Vectorise("c_j")],
    "rows": [Vectorise("c_i")],
    "unrolled": [Unroll("c_k"), Unroll("c_i")],
    "parallel": [Parallel("c_i"), Vectorise("c_j")],
    "tiled": [*TILED, Unroll("ii"), Vectorise("ji")],
    "parts of the sum": [
        Split("c_k", 3, "ko", "ki"),
        Reorder(("ko", "c_i", "ki")),
        Unroll("ki"),
        Vectorise("c_j"),
    ],
}


@pytest.mark.parametrize("steps", SCHEDULES.values(), ids=SCHEDULES)
def test_floats_are_added_in_the_order_of_the_loops(steps, monkeypatch):
    function = schedule.apply(product(), steps)
    assert_same(run_compiled(function, operands()), interpreted(function, operands(), monkeypatch))


@pytest.mark.parametrize("dtype", [DType.INT8, DType.UINT8, DType.FLOAT64])
@pytest.mark.parametrize("name", ["vector", "tiled"])
def test_other_types_give_the_same_bits(dtype, name, monkeypatch):
    function = schedule.apply(product(dtype), SCHEDULES[name])
    inputs = {key: np.abs(array) for key, array in operands(dtype).items()}
    assert_same(run_compiled(function, inputs), interpreted(function, inputs, monkeypatch))


def test_products_and_sums_are_rounded_once_only_if_asked():
    function = schedule.apply(product(), SCHEDULES["tiled"])
    assert "contract" not in str(emit_module([function]))
    assert "fmul contract <4 x float>" in str(emit_module([function], contract=True))
    expected = {name: array.astype(np.float64) for name, array in operands().items()}
    found = run_compiled(function, operands(), contract=True)["c"]
    np.testing.assert_allclose(found, expected["a"] @ expected["b"], rtol=1e-3)


def test_neighbours_become_vectors_and_edges_stay_loops():
    text = str(emit_module([schedule.apply(product(), SCHEDULES["tiled"])]))
    assert "load <4 x float>" in text
    assert "store <4 x float>" in text
    assert "store float" in text


def test_long_vectors_are_cut():
    a = te.placeholder((150,), DType.INT32, "a")
    function = te.lower("shifted", [a], [te.compute((150,), lambda i: a[149 - i] + 1, "out")])
    function = schedule.apply(function, [Vectorise("out_i")])
    inputs = {"a": np.arange(150, dtype=np.int32)}
    assert_same(run_compiled(function, inputs), run(function, inputs))


def test_a_guarded_element_is_not_read():
    """Rows and columns around a feature map: reading there would leave the buffer."""
    a = te.placeholder((3, 9), DType.INT8, "a")

    def at(i, j):
        inside = te.both([i >= 1, i < 4, j >= 2, j < 11])
        return te.select(inside, a[i - 1, j - 2], -7)

    function = te.lower("padded", [a], [te.compute((5, 13), at, "out")])
    inputs = {"a": np.arange(27, dtype=np.int8).reshape(3, 9)}
    for steps in ([], [Vectorise("out_j")], [Vectorise("out_i")]):
        scheduled = schedule.apply(function, steps)
        assert_same(run_compiled(scheduled, inputs), run(scheduled, inputs))


def test_elements_found_by_a_table_are_gathered():
    a, table = te.placeholder((10,), DType.FLOAT32, "a"), te.placeholder((16,), DType.INT32, "table")
    out = te.compute((16,), lambda i: a[te.cast(table[i], DType.INT64)], "out")
    function = schedule.apply(te.lower("taken", [a, table], [out]), [Vectorise("out_i")])
    rng = np.random.default_rng(0)
    inputs = {"a": rng.random(10, np.float32), "table": rng.integers(0, 10, 16, np.int32)}
    assert_same(run_compiled(function, inputs), run(function, inputs))


def chain(kind):
    """out[i + 1] = out[i] + a[i]: an iteration reads what the one before wrote."""
    n, i, v = Const(9), Var("i"), Var("v")
    a, out = Buffer("a", (n,), DType.INT32), Buffer("out", (Const(10),), DType.INT32)
    zero = Block("first", (), BufferStore(out, (Const(0),), Const(0, DType.INT32)))
    step = BufferStore(out, (v + 1,), BufferLoad(out, (v,)) + BufferLoad(a, (v,)))
    loop = For(i, n, Block("step", (Iter(v, IterKind.SPATIAL, i),), step), kind)
    return PrimFunc("chain", (a, out), 1, Seq((zero, loop)))


@pytest.mark.parametrize("kind", [LoopKind.VECTORISE, LoopKind.PARALLEL])
def test_a_chain_of_iterations_stays_in_order(kind):
    inputs = {"a": np.arange(9, dtype=np.int32)}
    expected = run(chain(LoopKind.SERIAL), inputs)
    assert_same(run_compiled(chain(kind), inputs), expected)
    assert POOL_FUNCTION not in str(emit_module([chain(kind)]))


def test_parallel_loops_share_only_what_is_theirs_one_by_one():
    """A buffer of each iteration, or no buffer at all: either runs on threads."""
    a = te.placeholder((8, 4), DType.INT32, "a")
    twice = te.compute((8, 4), lambda i, j: a[i, j] * 2, "twice")
    out = te.compute((8, 4), lambda i, j: twice[i, j] + 1, "out")
    function = te.lower("stages", [a], [out])
    attached = schedule.apply(function, [ComputeAt("twice", "out_i"), Parallel("out_i")])
    fused = schedule.apply(function, [Inline("twice"), Fuse("out_i", "out_j", "both"), Parallel("both")])
    inputs = {"a": np.arange(32, dtype=np.int32).reshape(8, 4)}
    for scheduled in (attached, fused):
        assert POOL_FUNCTION in str(emit_module([scheduled]))
        assert POOL_FUNCTION not in str(emit_module([scheduled], parallel=False))
        assert_same(run_compiled(scheduled, inputs), run(scheduled, inputs))


def two_stores(row, column):
    """out[i, 0] = a[i], then out[i + row, column] = -a[i], on threads if that is allowed."""
    i, v, w = Var("i"), Var("v"), Var("w")
    a, out = Buffer("a", (Const(8),), DType.INT32), Buffer("out", (Const(9), Const(2)), DType.INT32)
    first = BufferStore(out, (v, Const(0)), BufferLoad(a, (v,)))
    second = BufferStore(out, (w + row if row else w, Const(column)), 0 - BufferLoad(a, (w,)))
    blocks = [
        Block(name, (Iter(at, IterKind.SPATIAL, i),), store)
        for name, at, store in (("first", v, first), ("second", w, second))
    ]
    return PrimFunc("two", (a, out), 1, For(i, Const(8), Seq(tuple(blocks)), LoopKind.PARALLEL))


@pytest.mark.parametrize(("row", "column", "runs_on_threads"), [(0, 1, True), (1, 0, False), (1, 1, False)])
def test_stores_of_a_parallel_loop_share_a_buffer_by_one_index(row, column, runs_on_threads):
    function = two_stores(row, column)
    assert (POOL_FUNCTION in str(emit_module([function]))) is runs_on_threads
    a, out = np.arange(1, 9, dtype=np.int32), np.zeros((9, 2), np.int32)
    expected = out.copy()
    for i in range(8):
        expected[i, 0] = a[i]
        expected[i + row, column] = -a[i]
    compile_function(function)(a, out)
    assert np.array_equal(out, expected)


def test_stores_askew_run_in_order():
    """out[i + j, i] = a[i], then out[i + j, i + 1] = -a[i]: iteration 1 stores where iteration 0 has."""
    i, j = Var("i"), Var("j")
    a, out = Buffer("a", (Const(8),), DType.INT32), Buffer("out", (Const(11), Const(9)), DType.INT32)
    blocks = []
    for name, right, sign in (("first", 0, 1), ("second", 1, -1)):
        v, w = Var(f"{name}_v"), Var(f"{name}_w")
        store = BufferStore(out, (v + w, v + right if right else v), BufferLoad(a, (v,)) * sign)
        blocks.append(Block(name, (Iter(v, IterKind.SPATIAL, i), Iter(w, IterKind.SPATIAL, j)), store))
    nest = For(i, Const(8), For(j, Const(4), Seq(tuple(blocks))), LoopKind.PARALLEL)
    assert POOL_FUNCTION not in str(emit_module([PrimFunc("askew", (a, out), 1, nest)]))


def test_a_loop_of_no_iterations_does_nothing():
    """The inner extent falls from 3 to 0; the loop's first iteration is written apart for the init."""
    i, k = Var("i"), Var("k")
    a, out = Buffer("a", (Const(4),), DType.INT32), Buffer("out", (Const(4),), DType.INT32)
    vi, vk = Var("vi"), Var("vk")
    body = BufferStore(out, (vi,), BufferLoad(out, (vi,)) + BufferLoad(a, (vk,)))
    iters = (Iter(vi, IterKind.SPATIAL, i), Iter(vk, IterKind.REDUCE, k))
    block = Block("sum", iters, body, BufferStore(out, (vi,), Const(0, DType.INT32)))
    function = PrimFunc("falling", (a, out), 1, For(i, Const(4), For(k, minimum(3, 3 - i), block)))
    inputs = {"a": np.array([5, 6, 7, 8], np.int32)}
    assert run_compiled(function, inputs)["out"][:3].tolist() == [18, 11, 5]


def test_large_buffers_between_stages_lie_on_the_heap():
    shape = (3, 20000)
    a = te.placeholder(shape, DType.INT32, "a")
    twice = te.compute(shape, lambda i, j: a[i, j] * 2, "twice")
    out = te.compute(shape, lambda i, j: twice[2 - i, j] + 1, "out")
    function = te.lower("staged", [a], [out])
    assert ALLOCATE_FUNCTION in str(emit_module([function]))
    inputs = {"a": np.arange(60000, dtype=np.int32).reshape(shape)}
    assert_same(run_compiled(function, inputs), run(function, inputs))


def test_a_place_of_a_maximum_is_a_pair_that_is_stored_at_once():
    a = te.placeholder((4, 9), DType.INT32, "a")
    k = te.reduce_axis(9, "k")

    def later(left, right):
        first = te.either([left[1] > right[1], te.both([left[1].equal(right[1]), left[0] <= right[0]])])
        return te.select(first, left[0], right[0]), te.select(first, left[1], right[1])

    argmax = te.reducer(later, lambda i, v: (0, -(2**31)))
    outputs = te.compute((4,), lambda i: argmax((te.cast(k, DType.INT32), a[i, k]), k), "place")
    function = te.lower("argmax", [a], outputs)
    inputs = {"a": np.random.default_rng(0).integers(-9, 9, (4, 9), np.int32)}
    for steps in ([], [Vectorise("place_i")]):
        scheduled = schedule.apply(function, steps)
        found = run_compiled(scheduled, inputs)
        assert_same(found, run(scheduled, inputs))
        assert next(iter(found.values())).tolist() == inputs["a"].argmax(axis=1).tolist()


def test_an_ordered_axis_runs_in_order():
    x, state = (te.placeholder((6, 8), DType.INT32, name) for name in ("x", "state"))
    start = te.compute((1, 8), lambda t, i: x[t, i], "start")
    update = te.compute((6, 8), lambda t, i: state[t - 1, 7 - i] + x[t, i], "next")
    function = te.lower("running", [x], te.scan(start, update, state, "total"))
    inputs = {"x": np.arange(48, dtype=np.int32).reshape(6, 8)}
    for steps in ([], [Vectorise("next_i")]):
        scheduled = schedule.apply(function, steps)
        assert_same(run_compiled(scheduled, inputs), run(scheduled, inputs))


def test_opaque_code_is_refused():
    x = te.placeholder((4,), DType.INT32, "x")

    def copy(given, taken):
        taken[...] = given

    function = te.lower("opaque", [x], te.extern([((4,), DType.INT32)], [x], copy, "copied"))
    with pytest.raises(CpuError, match="extern copied must be run by the interpreter"):
        emit_module([function])


def test_aligned_buffers_hold_the_same():
    a = te.placeholder((4, 6), DType.INT32, "a")
    twice = te.compute((4, 6), lambda i, j: a[i, j] * 2, "twice")
    function = te.lower("aligned", [a], [te.compute((4, 6), lambda i, j: twice[i, 5 - j] + 1, "out")])
    function = schedule.apply(function, [StorageAlign("twice", 0, 16, 1)])
    assert "alloca [272 x i8]" in str(emit_module([function]))
    inputs = {"a": np.arange(24, dtype=np.int32).reshape(4, 6)}
    assert_same(run_compiled(function, inputs), run(function, inputs))
