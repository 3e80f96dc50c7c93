"""Fourier transforms agree with numpy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.build import trace
from tilewright.compiler.ir.interpret import run
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.nn.fourier import Transform, dft


def transformed(x, axis, what):
    function = trace("f", [TensorType(DType.FLOAT64, x.shape)], lambda b, x: [dft(b, x, axis, what)])
    return run(function, x)[0]


@pytest.mark.parametrize("inverse", [False, True])
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 1), st.sampled_from([1, 2]))
def test_a_transform_of_any_length(inverse, size, length, axis, parts):
    shape = (size, 3) if axis == 0 else (3, size)
    x = np.random.default_rng(size).standard_normal((*shape, parts))
    signal = x[..., 0] + (1j * x[..., 1] if parts == 2 else 0)
    expected = (np.fft.ifft if inverse else np.fft.fft)(signal, length, axis)
    found = transformed(x, axis, Transform(size, length, inverse, False))
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, atol=1e-12)


@given(st.integers(2, 12), st.integers(1, 12))
def test_half_of_the_frequencies(size, length):
    x = np.random.default_rng(size).standard_normal((2, size, 1))
    found = transformed(x, 1, Transform(size, length, False, True))
    expected = np.fft.rfft(x[..., 0], length, 1)
    np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, atol=1e-12)
    back = transformed(found, 1, Transform(found.shape[1], length, True, True))
    np.testing.assert_allclose(back[..., 0], np.fft.irfft(expected, length, 1), atol=1e-12)
