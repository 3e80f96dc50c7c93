"""The discrete Fourier transform along an axis, as products with matrices of cosines and sines."""

from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ops import emit as e


@dataclass(frozen=True)
class Transform:
    """What is transformed: ONNX' attributes of DFT.

    Members:
        size: elements of the operand along the axis.
        length: of the signal, which is cut or filled with zeros.
        inverse: from frequencies to the signal, over its length.
        onesided: frequencies up to the middle alone, of a real signal.
    """

    size: int
    length: int
    inverse: bool
    onesided: bool

    @property
    def matrices(self) -> tuple[Array, Array]:
        """Cosines and sines: (elements that are read, elements of the result), float64."""
        half = self.length // 2 + 1
        given = min(self.size, half if self.inverse and self.onesided else self.length)
        results = half if self.onesided and not self.inverse else self.length
        # Whole turns are taken off first: the angle stays small and exact.
        turns = np.outer(np.arange(given), np.arange(results)) % self.length
        angle = 2 * np.pi * turns / self.length
        weights = np.ones((given, 1))
        if self.inverse:
            weights /= self.length
        if self.inverse and self.onesided:
            # Each frequency stands for its mirror image too, but for the first and the middle one.
            mirrored = np.arange(given) * 2 % self.length != 0
            weights[mirrored] *= 2
        return np.cos(angle) * weights, np.sin(angle) * weights


def dft(b: Builder, x: Value, axis: int, what: Transform) -> Value:
    """x (…, 1 or 2: real and imaginary part) transformed along an axis that is not the last one."""
    last = x.type.rank - 1
    # In float64: what cancels in a sum of float32 products would not.
    dtype, x = x.type.dtype, e.cast(b, x, DType.FLOAT64)
    cosines, sines = (b.constant(each) for each in what.matrices)
    x = e.slice_axis(b, x, axis, 0, len(what.matrices[0]))
    real = e.squeeze(b, e.slice_axis(b, x, last, 0, 1), (last,))
    re, im = _along(b, real, cosines, axis), _along(b, real, sines, axis)
    im = im if what.inverse else e.neg(b, im)
    if x.type.shape[last] == 2:
        imaginary = e.squeeze(b, e.slice_axis(b, x, last, 1, 2), (last,))
        turned, along = _along(b, imaginary, sines, axis), _along(b, imaginary, cosines, axis)
        re = e.sub(b, re, turned) if what.inverse else e.add(b, re, turned)
        im = e.add(b, im, along)
    if what.inverse and what.onesided:
        return e.cast(b, e.expand_dims(b, re, (last,)), dtype)
    return e.cast(b, e.stack(b, [re, im], last), dtype)


def _along(b: Builder, x: Value, matrix: Value, axis: int) -> Value:
    """The product with a matrix along an axis, which stays where it is."""
    order = [each for each in range(x.type.rank) if each != axis]
    product = e.dot(b, x, matrix, (axis,), (0,))
    return e.transpose(b, product, tuple([*order, axis].index(each) for each in range(x.type.rank)))
