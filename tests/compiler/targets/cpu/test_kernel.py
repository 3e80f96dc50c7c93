"""Calls from numpy: what a kernel takes and refuses, and that code is compiled once."""

import re
import threading

import numpy as np
import pytest
from tests.compiler.targets.cpu.host_kernel import assert_same

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.schedule import Parallel
from tilewright.compiler.targets.cpu import kernel, machine
from tilewright.compiler.targets.cpu.codegen import emit_module
from tilewright.compiler.targets.cpu.error import CpuError
from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.tir.interpret import run


def added(name="added", shape=(6, 4)):
    a, b = (te.placeholder(shape, DType.INT32, letter) for letter in "ab")
    return te.lower(name, [a, b], [te.compute(shape, lambda i, j: a[i, j] + b[i, j], "sum")])


def arrays(shape=(6, 4)):
    a = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    return a, a * 1000, np.zeros(shape, np.int32)


def test_a_call_writes_its_outputs():
    a, b, out = arrays()
    compile_function(added())(a, b, out)
    np.testing.assert_array_equal(out, a + b)


def test_run_is_that_of_the_interpreter():
    a, b, _ = arrays()
    assert_same(compile_function(added()).run({"a": a, "b": b}), run(added(), {"a": a, "b": b}))


def test_run_takes_arrays_of_any_strides():
    a, b, _ = arrays()
    found = compile_function(added()).run({"a": a[::-1], "b": b[:, ::-1]})["sum"]
    np.testing.assert_array_equal(found, a[::-1] + b[:, ::-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a, b, out: (a, b),
            "added must be called with a: int32[6, 4], b: int32[6, 4], sum: int32[6, 4]",
        ),
        (lambda a, b, out: (a.tolist(), b, out), "argument a: int32[6, 4] must be a numpy array, not list"),
        (
            lambda a, b, out: (a, b.astype(np.int64), out),
            "b: int32[6, 4] must be of this type, not int64[6, 4]",
        ),
        (lambda a, b, out: (a[:5], b, out), "a: int32[6, 4] must be of this type, not int32[5, 4]"),
        (
            lambda a, b, out: (a, b[:, ::-1], out),
            "must be dense, row by row: pass numpy.ascontiguousarray(b)",
        ),
        (lambda a, b, out: (a, b, a), "output sum must not overlap a: give it memory of its own"),
        (lambda a, b, out: (a, b, fixed(out)), "argument sum: int32[6, 4] must be writeable: pass a copy"),
    ],
)
def test_other_arguments_are_refused(change, message):
    with pytest.raises(CpuError, match=re.escape(message)):
        compile_function(added())(*change(*arrays()))


def fixed(array):
    array.flags.writeable = False
    return array


def test_one_array_may_be_two_inputs():
    a, _, out = arrays()
    compile_function(added())(a, a, out)
    np.testing.assert_array_equal(out, 2 * a)


def test_a_missing_input_is_named():
    with pytest.raises(CpuError, match=re.escape("inputs must hold b: int32[6, 4], not only ['a']")):
        compile_function(added()).run({"a": arrays()[0]})


@pytest.mark.parametrize("name", ["malloc_größe", "tanh", "main"])
def test_names_that_c_cannot_call_are_refused(name):
    with pytest.raises(CpuError, match="the name of a function must be"):
        emit_module([added(name)])


def test_code_is_compiled_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compile_function(added(), parallel=False)
    monkeypatch.setattr(kernel, "object_code", None)
    a, b, out = arrays()
    compile_function(added(), parallel=False)(a, b, out)
    np.testing.assert_array_equal(out, a + b)
    assert len(list((tmp_path / "tilewright" / "cpu").iterdir())) == 1


def test_parallel_loops_are_called_from_several_threads_at_a_time():
    shape = (64, 4)
    compiled = compile_function(schedule.apply(added(shape=shape), [Parallel("sum_i")]))
    wrong = []

    def work(number):
        a, b, out = arrays(shape)
        for turn in range(50):
            compiled(a + turn, b + number, out)
            if not (out == a + b + turn + number).all():
                wrong.append((number, turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_workers_that_wake_late_take_nothing_of_the_next_call():
    """Short calls of different extents, one right after the other: each answers for all of its iterations."""
    shapes = [(count, 4) for count in (2, 3, 7, 64)]
    kernels = [compile_function(schedule.apply(added(shape=shape), [Parallel("sum_i")])) for shape in shapes]
    wrong = []
    for turn in range(4000):
        compiled, shape = kernels[turn % 4], shapes[turn % 4]
        a, out = np.full(shape, turn, np.int32), np.zeros(shape, np.int32)
        compiled(a, a, out)
        if not (out == 2 * turn).all():
            wrong.append(turn)
    assert wrong == []


def test_code_that_llvm_spoils_is_made_with_fewer_passes(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    answers = iter([False, True])
    monkeypatch.setattr(machine, "_is_sound", lambda module: next(answers))
    a, b, out = arrays()
    compile_function(added(), parallel=False)(a, b, out)
    np.testing.assert_array_equal(out, a + b)
    monkeypatch.setattr(machine, "_is_sound", lambda module: False)
    with pytest.raises(CpuError, match="LLVM must keep its own rules"):
        compile_function(added("other"), parallel=False)
