"""Compiled functions against the interpreter of the IR."""

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.targets.cpu.host import compile_host

NEAR = {2: 2e-3, 4: 1e-5, 8: 1e-12}
"""How far floats may be from the interpreter's, by bytes, relative to the largest and to themselves."""


def assert_near(found, expected):
    """Integers to the bit; floats relative to the largest element, since sums may cancel."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        if other.dtype.kind != "f":
            np.testing.assert_array_equal(one, other)
            continue
        finite = other[np.isfinite(other)].astype(np.float64)
        near = NEAR[other.dtype.itemsize]
        largest = np.abs(finite).max(initial=0)
        np.testing.assert_allclose(one, other, rtol=near, atol=near * largest, equal_nan=True)


def check(function, *arrays):
    """Compiles a function or module and runs it as the interpreter does; returns the program."""
    with np.errstate(all="ignore"):
        expected = run(function, *arrays)
        program = compile_host(function)
        assert_near(program.run(*arrays), expected)
        # Memory of the first run is used again.
        assert_near(program.run(*arrays), expected)
    return program


def type_of(array):
    return TensorType(DType.of(array.dtype), array.shape)


def check_operator(operator, *arrays):
    b = Builder("alone")
    operands = [b.parameter(f"x{number}", type_of(array)) for number, array in enumerate(arrays)]
    return check(b.function(*b.apply(operator, *operands)), *arrays)


def values(rng, dtype, *shape):
    """Small numbers of a type."""
    if dtype is DType.BOOL:
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.is_float:
        return (rng.normal(size=shape) * 3).astype(dtype.numpy)
    return rng.integers(-5 if dtype.is_signed else 0, 9, shape).astype(dtype.numpy)
