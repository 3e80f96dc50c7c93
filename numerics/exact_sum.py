"""Sums of products with the same bits on every machine, whatever order and threads BLAS adds in.

Operands are cut into slices of few bits, relative to the largest element of each row or column. Sums of
products of slices are whole numbers below 2^53, so that float64 holds them exactly in any order; what is
rounded is rounded in one fixed order (the scheme of Ozaki, Ogita, Oishi and Rump, 2012).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SLICE_BITS = 21
"""Of each slice of an operand."""
_CACHED_ELEMENTS = 1 << 18
"""Of rows that are sliced at once: what is made of them stays near the processor."""
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
    columns = _Columns.of(b)
    # Rows are independent: as many at once as stay in a cache while they are sliced.
    step = max(1, _CACHED_ELEMENTS // max(1, a.shape[-1] * math.prod(a.shape[:-2])))
    if a.shape[-2] <= step:
        return _float_matmul(a, columns)
    result = np.empty((*a.shape[:-1], b.shape[-1]), a.dtype)
    for start in range(0, a.shape[-2], step):
        result[..., start : start + step, :] = _float_matmul(a[..., start : start + step, :], columns)
    return result


@dataclass(frozen=True)
class _Columns:
    """The second operand of a product, sliced once.

    Members:
        array: as given.
        slices: whole numbers, the first of highest weight; 0 where a column is not finite.
        exponents: of each column.
        is_finite: whether a column is.
    """

    array: Array
    slices: Sequence[Array]
    exponents: NDArray[np.int64]
    is_finite: Array

    @staticmethod
    def of(b: Array) -> "_Columns":
        largest = _largest_along(b, (-2,))
        is_finite = np.isfinite(largest)
        finite = b if is_finite.all() else np.where(is_finite, b, 0)
        exponents = _exponents(np.where(is_finite, largest, 0))
        count = 3 if b.dtype == np.float64 else 2
        return _Columns(b, _slices(finite, exponents, count), exponents, is_finite)


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
    exponents = _exponents(_largest_along(x, axes))
    parts = np.rint(_scaled(x, bits - exponents)).astype(np.int64)
    whole = parts.sum(axis=axes).astype(np.float64)
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(whole, np.squeeze(exponents, axes) - bits).astype(x.dtype))


def _float_matmul(a: Array, columns: _Columns) -> Array:
    largest = _largest_along(a, (-1,))
    is_row = np.isfinite(largest)
    if is_row.all() and columns.is_finite.all():
        return _finite_matmul(a, _exponents(largest), columns)
    finite = np.where(is_row, a, 0).astype(a.dtype)
    found = _finite_matmul(finite, _exponents(np.where(is_row, largest, 0)), columns)
    with np.errstate(all="ignore"):
        return np.where(is_row & columns.is_finite, found, np.matmul(a, columns.array))


def _finite_matmul(a: Array, rows: NDArray[np.int64], columns: _Columns) -> Array:
    right, count = columns.slices, len(columns.slices)
    left = _slices(a, rows, count)
    result: Array | None = None
    # Blocks and slices in one order: small ones first.
    for start in range(0, a.shape[-1], BLOCK):
        stop = start + BLOCK
        block: Array | None = None
        for rank in reversed(range(count)):
            level = np.matmul(left[0][..., start:stop], right[rank][..., start:stop, :])
            for i in range(1, rank + 1):
                level += np.matmul(left[i][..., start:stop], right[rank - i][..., start:stop, :])
            if block is not None:
                block *= 2.0**-SLICE_BITS
                level += block
            block = level
        result = block if result is None else result + block
    if result is None:
        return np.zeros((*a.shape[:-1], columns.array.shape[-1]), a.dtype)
    return _scaled_back(result, rows + columns.exponents - 2 * SLICE_BITS, a.dtype)


def _scaled_back(x: Array, exponents: NDArray[np.int64], dtype: np.dtype[Any]) -> Array:
    """x times 2 to that power, rounded once."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.ldexp(x, exponents).astype(dtype))


def _largest_along(x: Array, axes: Sequence[int]) -> Array:
    """The largest magnitude along axes, which are kept; NaN where there is one."""
    return np.asarray(np.max(np.abs(x), axis=tuple(axes), keepdims=True, initial=0.0))


def _exponents(largest: Array) -> NDArray[np.int64]:
    """Such that no element of that magnitude is above 2 to that power."""
    return np.asarray(np.frexp(largest.astype(np.float64))[1], np.int64)


def _scaled(x: Array, exponents: NDArray[np.int64]) -> Array:
    """x times 2 to that power, in float64."""
    wide = x.astype(np.float64)
    if x.dtype == np.float64:
        return np.ldexp(wide, exponents)
    # Far faster; a power that takes a narrow float to 1 is a float64, too.
    wide *= np.ldexp(1.0, exponents)
    return wide


def _slices(x: Array, exponents: NDArray[np.int64], count: int) -> list[Array]:
    """Whole numbers of at most SLICE_BITS bits, the first of highest weight."""
    rest = _scaled(x, -exponents)
    found = []
    for number in range(count):
        rest *= 2.0**SLICE_BITS
        found.append(np.rint(rest))
        if number + 1 < count:
            rest -= found[-1]
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
