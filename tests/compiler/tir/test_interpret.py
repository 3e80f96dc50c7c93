import numpy as np
import pytest

from te_convolution import Convolution, random_inputs, reference, tensors
from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.compiler.tir import interpret
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.expr import BufferLoad, Cast, Const, Var
from tilewright.compiler.tir.stmt import Allocate, Block, BufferStore, For, Iter, IterKind, PrimFunc, Seq

Y, J = Var("i"), Var("j")
A = Buffer("a", (Const(4),), DType.INT8)
B = Buffer("b", (Const(4),), DType.INT8)


def loop(stmt, extent=4, var=Y):
    return For(var, Const(extent), stmt)


def block(name, store, init=None, reduce=()):
    iters = tuple(Iter(Var(f"v_{name}_{v.name}"), IterKind.REDUCE, v) for v in reduce)
    return Block(name, iters, store, init)


def run(body, **inputs):
    parameters = (*([A] if "a" in inputs else []), B)
    return interpret.run(PrimFunc("f", parameters, 1, body), inputs)["b"]


@pytest.mark.parametrize("limit", [0, 7, 50, interpret.GRID_LIMIT])
def test_result_does_not_depend_on_how_much_runs_at_once(monkeypatch, limit):
    conv = Convolution(height=3, width=2, blocks_out=1, lanes=2, rows=2, pad=(1, 0), kernel=(3, 1))
    inputs, out = tensors(conv)
    arrays = random_inputs(conv)
    monkeypatch.setattr(interpret, "GRID_LIMIT", limit)
    result = interpret.run(te.lower("conv", inputs, [out]), arrays)["out"]
    np.testing.assert_array_equal(result, reference(conv, arrays))


def test_what_is_never_written_is_poison():
    half = loop(BufferStore(B, (Y,), Const(1, DType.INT8)), 2)
    assert run(half).tolist() == [1, 1, -91, -91]


def test_each_instance_of_a_buffer_is_new():
    t = Buffer("t", (Const(1),), DType.INT8)
    first = Block("w", (), BufferStore(t, (Const(0),), Const(3, DType.INT8)))
    only_first = For(J, 1 - Y, first)
    read = block("r", BufferStore(B, (Y,), BufferLoad(t, (Const(0),))))
    assert run(loop(Allocate(t, Seq((only_first, read))), 2)).tolist()[:2] == [3, -91]


def test_integers_wrap_in_their_type():
    twice = block("d", BufferStore(B, (Y,), BufferLoad(A, (Y,)) * 2))
    assert run(loop(twice), a=np.array([100, -100, 1, -1], np.int8)).tolist() == [-56, 56, 2, -2]


def test_narrowing_takes_the_low_bits():
    narrow = block("n", BufferStore(B, (Y,), Cast(DType.INT8, Cast(DType.INT32, BufferLoad(A, (Y,))) * 3)))
    assert run(loop(narrow), a=np.array([100, 1, 2, 3], np.int8)).tolist() == [44, 3, 6, 9]


def test_last_of_several_stores_to_one_element_stays():
    stores = loop(block("s", BufferStore(B, (Y // 2,), BufferLoad(A, (Y,)))))
    assert run(stores, a=np.array([1, 2, 3, 4], np.int8)).tolist() == [2, 4, -91, -91]


def test_all_that_is_added_to_one_element_counts():
    total = BufferStore(B, (Y // 2,), BufferLoad(B, (Y // 2,)) + BufferLoad(A, (Y,)))
    ones = loop(BufferStore(B, (Y,), Const(1, DType.INT8)))
    assert run(Seq((ones, loop(block("s", total)))), a=np.array([1, 2, 3, 4], np.int8)).tolist() == [
        4,
        8,
        1,
        1,
    ]


def test_element_that_depends_on_the_one_before_runs_in_order():
    first = BufferStore(B, (Const(0),), Const(1, DType.INT8))
    sums = loop(block("s", BufferStore(B, (Y + 1,), BufferLoad(B, (Y,)) + BufferLoad(A, (Y,)))), 3)
    assert run(Seq((first, sums)), a=np.array([5, 6, 7, 8], np.int8)).tolist() == [1, 6, 12, 19]


@pytest.mark.parametrize("limit", [0, interpret.GRID_LIMIT])
def test_init_runs_where_all_reduced_indices_are_zero(monkeypatch, limit):
    monkeypatch.setattr(interpret, "GRID_LIMIT", limit)
    at = (Y,)
    update = BufferStore(B, at, BufferLoad(B, at) + BufferLoad(A, (2 * J + Var("k"),)))
    total = block("s", update, BufferStore(B, at, Const(10, DType.INT8)), reduce=(J, Var("k")))
    body = loop(loop(loop(total, 2, Var("k")), 2, J))
    assert run(body, a=np.array([1, 2, 3, 4], np.int8)).tolist() == [20] * 4


@pytest.mark.parametrize("limit", [0, interpret.GRID_LIMIT])
@pytest.mark.parametrize("index", [Y + 1, Y - 1])
def test_index_beyond_a_buffer_is_refused(monkeypatch, limit, index):
    monkeypatch.setattr(interpret, "GRID_LIMIT", limit)
    a = np.zeros(4, np.int8)
    with pytest.raises(TirError, match=r"index 0 of a\[.*\] must be from 0 to 3"):
        run(loop(block("r", BufferStore(B, (Y,), BufferLoad(A, (index,))))), a=a)
    with pytest.raises(TirError, match=r"index 0 of b\[.*\] must be from 0 to 3"):
        run(loop(block("r", BufferStore(B, (index,), BufferLoad(A, (Y,))))), a=a)


def test_inputs_of_another_type_are_refused():
    copy = PrimFunc("f", (A, B), 1, loop(block("c", BufferStore(B, (Y,), BufferLoad(A, (Y,))))))
    with pytest.raises(TirError, match=r"a: int8\[4\] must have this type, not int16"):
        interpret.run(copy, {"a": np.zeros(4, np.int16)})
    with pytest.raises(TirError, match=r"inputs must hold a: int8\[4\]"):
        interpret.run(copy, {})
