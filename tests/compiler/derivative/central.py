"""Derivatives by central differences, to compare with."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.derivative.pullback import pullback, pullback_module
from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import trace
from tilewright.compiler.ir.function import Function, Module, Value
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType

Array = NDArray[Any]
STEP = 1e-5


def traced(body: Callable[..., Sequence[Value] | Value], *arrays: Array) -> Function:
    def listed(*values: Any) -> Sequence[Value]:
        results = body(*values)
        return [results] if isinstance(results, Value) else results

    return trace("f", [TensorType(DType.of(x.dtype), x.shape) for x in arrays], listed)


def check(program: Function | Module, *arrays: Array, seed: int = 0, order: int = 1) -> None:
    """Compares the pullback with central differences; for order 2 the pullback of the pullback, too."""
    rng = np.random.default_rng(seed)
    is_float = [x.dtype == np.float64 for x in arrays]
    weights = [rng.normal(size=y.shape) for y in run(program, *arrays) if y.dtype == np.float64]
    back = pullback_module(program) if isinstance(program, Module) else pullback(program)
    found = run(back, *arrays, *weights)
    expected = [_slopes(program, list(arrays), place, weights) for place in np.flatnonzero(is_float)]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)
    if order > 1:
        check(back, *arrays, *weights, seed=seed + 1, order=order - 1)


def _slopes(program: Function | Module, arrays: list[Array], place: int, weights: list[Array]) -> Array:
    result = np.zeros_like(arrays[place])
    for index in np.ndindex(result.shape):
        sums = []
        for step in (STEP, -STEP):
            moved = arrays[place].copy()
            moved[index] += step
            results = run(program, *arrays[:place], moved, *arrays[place + 1 :])
            chosen = [y for y in results if y.dtype == np.float64]
            sums.append([(y, w) for y, w in zip(chosen, weights, strict=True)])
        # Differences first: what is equal cancels exactly.
        result[index] = sum(float(((y - z) * w).sum()) for (y, w), (z, _) in zip(*sums, strict=True)) / (
            2 * STEP
        )
    return result
