"""Sums of products with the same bits on every machine, whatever order and threads BLAS adds in.

Operands are cut into slices of few bits, relative to the largest element of each row or column. Sums of
products of slices are whole numbers below 2^53, so that float64 holds them exactly in any order; what is
rounded is rounded in one fixed order (the scheme of Ozaki, Ogita, Oishi and Rump, 2012).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SLICE_BITS = 21
"""Of each slice of an operand."""
BLOCK = 1 << (53 - 2 * SLICE_BITS)
"""Products that are added exactly: the sum of so many has at most 53 bits."""


def matmul(a: Array, b: Array) -> Array:
    """The product of matrices, exact for integers up to wrapping, and reproducible for floats.

    The error of a float is at most about 2^-40 (float64: 2^-53) of the sum's length times the largest
    elements of the row and the column, before the one rounding to the element type. What a row or column with
    an element that is not finite gives is not finite: it is numpy's.

    Args:
        a: (.., M, K), of the same element type as b.
        b: (.., K, N), with the same leading axes.
    """
    if a.dtype.kind != "f":
        return _integer_matmul(a, b)
    is_row, is_column = np.isfinite(a).all(-1, keepdims=True), np.isfinite(b).all(-2, keepdims=True)
    if is_row.all() and is_column.all():
        return _float_matmul(a, b)
    finite = _float_matmul(np.where(is_row, a, 0), np.where(is_column, b, 0))
    with np.errstate(all="ignore"):
        return np.where(is_row & is_column, finite, np.matmul(a, b))


def total(x: Array, axes: Sequence[int]) -> Array:
    """The sum over axes, which are dropped; integers wrap, floats have the same bits in any order.

    The error of a float is at most K·2^-(62 - log2 K), or K·2^-53, of the largest of K elements.
    """
    axes = tuple(axes)
    if x.dtype.kind != "f":
        return np.asarray(x.sum(axis=axes, dtype=x.dtype))
    if not x.size or not axes:
        return np.asarray(x.sum(axis=axes, dtype=x.dtype))
    is_finite = np.isfinite(x)
    if not is_finite.all():
        with np.errstate(all="ignore"):
            plain, finite = (
                x.sum(axis=axes, dtype=x.dtype),
                total(np.where(is_finite, x, 0).astype(x.dtype), axes),
            )
        return np.where(is_finite.all(axis=axes), finite, plain)
    count = int(np.prod([x.shape[axis] for axis in axes]))
    bits = min(53, 62 - max(count - 1, 0).bit_length())
    exponents = _exponents(x, axes)
    parts = np.rint(_scaled(x, bits - exponents)).astype(np.int64)
    whole = parts.sum(axis=axes).astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(whole, np.squeeze(exponents, axes) - bits).astype(x.dtype))


def _float_matmul(a: Array, b: Array) -> Array:
    slices = 3 if a.dtype == np.float64 else 2
    rows, columns = _exponents(a, (-1,)), _exponents(b, (-2,))
    left, right = _slices(a, rows, slices), _slices(b, columns, slices)
    result = np.zeros((*a.shape[:-1], b.shape[-1]))
    # Blocks and slices in one order: small ones first.
    for start in range(0, a.shape[-1], BLOCK):
        stop = start + BLOCK
        block = np.zeros_like(result)
        for rank in reversed(range(slices)):
            products = [
                np.matmul(left[i][..., start:stop], right[rank - i][..., start:stop, :])
                for i in range(rank + 1)
            ]
            level = products[0]
            for product in products[1:]:
                level = level + product
            block = block * 2.0**-SLICE_BITS + level
        result = result + block
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(result, rows + columns - 2 * SLICE_BITS).astype(a.dtype))


def _exponents(x: Array, axes: Sequence[int]) -> NDArray[np.int64]:
    """Such that no element along the axes, which are kept, is above 2 to that power."""
    largest = np.max(np.abs(x), axis=tuple(axes), keepdims=True, initial=0.0)
    return np.asarray(np.frexp(largest.astype(np.float64))[1], np.int64)


def _scaled(x: Array, exponents: NDArray[np.int64]) -> Array:
    """x times 2 to that power, in float64."""
    wide = x.astype(np.float64)
    if x.dtype == np.float64:
        return np.ldexp(wide, exponents)
    # Far faster; a power that takes a narrow float to 1 is a float64, too.
    return wide * np.ldexp(1.0, exponents)


def _slices(x: Array, exponents: NDArray[np.int64], count: int) -> list[Array]:
    """Whole numbers of at most SLICE_BITS bits, the first of highest weight."""
    rest = _scaled(x, -exponents)
    found = []
    for _ in range(count):
        rest = rest * 2.0**SLICE_BITS
        found.append(np.rint(rest))
        rest = rest - found[-1]
    return found


def _integer_matmul(a: Array, b: Array) -> Array:
    if _largest(a) * _largest(b) * a.shape[-1] < 1 << 53:
        # Exact in float64, and far faster than numpy's integer product.
        return np.asarray(
            np.matmul(a.astype(np.float64), b.astype(np.float64)).astype(np.int64).astype(a.dtype)
        )
    wide = np.uint64 if a.dtype == np.uint64 else np.int64
    return np.asarray(np.matmul(a.astype(wide), b.astype(wide)).astype(a.dtype))


def _largest(x: Array) -> int:
    return max(int(x.max(initial=0)), -int(x.min(initial=0)))
