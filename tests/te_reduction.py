"""Reductions and scans to schedule, and their numbers."""

import numpy as np

from tilewright.compiler import te
from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.stmt import PrimFunc


def _first_or_larger(a: tuple[Expr, ...], b: tuple[Expr, ...]) -> tuple[Expr, ...]:
    same = te.both([a[1].equal(b[1]), a[0] < b[0]])
    return te.select(te.either([b[1] < a[1], same]), a[0], b[0]), te.maximum(a[1], b[1])


FIRST_MAXIMUM = te.reducer(
    _first_or_larger,
    lambda place, value: (int(np.iinfo(place.numpy).max), int(np.iinfo(value.numpy).min)),
)
"""(place, value) of a maximum; of several the first, so that the order does not matter."""
OPERATORS = {"sum": te.sum_of, "product": te.prod_of, "minimum": te.min_of, "maximum": te.max_of}


def reduction(kind: str, rows: int, columns: int, guarded: bool, started: bool) -> PrimFunc:
    """Rows of x, one more each, reduced from `start` on where they are odd; and twice the results.

    Args:
        kind: of OPERATORS, or "place" for FIRST_MAXIMUM.
        rows: of x.
        columns: of x.
        guarded: whether only odd elements count.
        started: whether a reduction starts at an element of `start`.
    """
    x = te.placeholder((rows, columns), DType.INT32, "x")
    start = te.placeholder((rows,), DType.INT32, "start")
    more = te.compute((rows, columns), lambda i, j: x[i, j] + 1, "more")
    k = te.reduce_axis(columns, "k")

    def at(i: Expr) -> Expr | tuple[Expr, ...]:
        where = (more[i, k] % 2).equal(1) if guarded else None
        if kind != "place":
            return OPERATORS[kind](more[i, k], k, where=where, init=start[i] if started else None)
        init = (te.cast(i, DType.INT32), start[i]) if started else None
        return FIRST_MAXIMUM((te.cast(k, DType.INT32), more[i, k]), k, where=where, init=init)

    made = te.compute((rows,), at, "reduction")
    results = made if isinstance(made, tuple) else (made,)
    twice = [_twice(result, f"twice_{number}") for number, result in enumerate(results)]
    return te.lower("reduction", [x, start], twice)


def _twice(result: te.Tensor, name: str) -> te.Tensor:
    return te.compute(result.shape, lambda i: result[i] * 2, name)


def scan(steps: int, width: int, back: int) -> PrimFunc:
    """Each row is made of those before, by a stage between and one that sums a row; then one more."""
    return te.lower("scan", *scan_tensors(steps, width, back))


def scan_tensors(steps: int, width: int, back: int) -> tuple[tuple[te.Tensor, ...], tuple[te.Tensor, ...]]:
    """The inputs and the outputs of `scan`."""
    x = te.placeholder((steps + back, width), DType.INT32, "x")
    start = te.placeholder((1,), DType.INT32, "start")
    state = te.placeholder((steps + back, width), DType.INT32, "state")
    k = te.reduce_axis(width, "k")
    shape = (steps + back, width)
    first = te.compute((back, width), lambda t, i: x[t, i] + start[0], "first")
    near = te.compute(shape, lambda t, i: x[t, i] * 3, "near")
    moved = te.compute(shape, lambda t, i: state[t - back, width - 1 - i] + near[t, i], "moved")
    whole = te.compute((steps + back,), lambda t: te.sum_of(state[t - 1, k] * moved[t, k], k), "whole")
    update = te.compute(shape, lambda t, i: moved[t, i] - whole[t], "next")
    (found,) = te.scan(first, update, state, "s")
    return (x, start), (te.compute(shape, lambda t, i: found[t, i] + 1, "plus"),)


def random_inputs(function: PrimFunc) -> dict[str, np.ndarray]:
    """Small numbers for x and start, some of them equal."""
    rng = np.random.default_rng(5)
    buffers = function.parameters[: len(function.parameters) - function.outputs]
    shapes = {buffer.name: tuple(int(extent.value) for extent in buffer.shape) for buffer in buffers}
    return {name: rng.integers(-5, 6, shape).astype(np.int32) for name, shape in shapes.items()}
