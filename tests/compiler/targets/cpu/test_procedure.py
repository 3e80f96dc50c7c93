"""Procedures as code of the host: the numbers of numpy and of Python."""

import numpy as np
import pytest
from tests.compiler.targets.cpu.host_kernel import assert_same, run_compiled
from tests.compiler.te import test_hybrid as hybrid

from tilewright.compiler import schedule, te
from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.expr import Const
from tilewright.compiler.tir.stmt import Break, IfThenElse, PrimFunc, Procedure, Seq, While

RNG = np.random.default_rng(3)
NUMBERS = np.array([1, 2, 7, 6, 27, 3], np.int32)
LOW = RNG.random((9, 2), dtype=np.float32) * 3
BOXES = np.concatenate([LOW, LOW + 1 + RNG.random((9, 2), dtype=np.float32)], axis=1)
MATRIX = RNG.standard_normal((3, 5)).astype(np.float32)

CALLS = {
    "suppress": (hybrid.suppress, (BOXES, RNG.random(9, dtype=np.float32), 0.3)),
    "collatz": (hybrid.collatz, (NUMBERS,)),
    "every_construct": (hybrid.every_construct, (MATRIX, np.array([3, 2, 1, 2, 5], np.int8), 2)),
    "reversed_twice": (hybrid.reversed_twice, (NUMBERS,)),
    "outer_variable": (hybrid.outer_variable, (NUMBERS,)),
    "first_that_reaches": (hybrid.first_that_reaches, (NUMBERS, 8)),
    "running": (hybrid.running, (np.arange(12, dtype=np.int32).reshape(4, 3) * 3,)),
}


@pytest.mark.parametrize("name", CALLS)
def test_python_functions_compile(name):
    function, arguments = CALLS[name]
    tensors = [
        te.placeholder(a.shape, DType.of(a.dtype), f"in{n}") if isinstance(a, np.ndarray) else a
        for n, a in enumerate(arguments)
    ]
    given = {t: a for t, a in zip(tensors, arguments, strict=True) if isinstance(t, te.Tensor)}
    outputs = function(*tensors, name="stage")
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    values = te.evaluate(outputs, given)
    expected = {output.name: value for output, value in zip(outputs, values, strict=True)}
    lowered = te.lower("f", list(given), outputs)
    assert_same(run_compiled(lowered, {t.name: a for t, a in given.items()}), expected)


def test_scheduled_loops_of_a_procedure_compile():
    function = hybrid.between()
    steps = schedule.parse_schedule(
        "split loop=run_i factor=3 outer=o inner=i\nunroll loop=run_j\n"
        "vectorise loop=out_j\nparallel loop=out_i"
    )
    arrays = {"x": hybrid.VALUES}
    assert_same(run_compiled(schedule.apply(function, steps), arrays), run_compiled(function, arrays))


def test_statements_behind_a_break_are_left_out():
    leave = Seq((Break(), Break(), IfThenElse(Const(True, DType.BOOL), Break())))
    once = While(Const(True, DType.BOOL), IfThenElse(Const(False, DType.BOOL), Seq(()), leave))
    assert run_compiled(PrimFunc("f", (), 0, Procedure("p", (), (), once)), {}) == {}
