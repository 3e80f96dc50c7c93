"""Sums of floats have the same bits in any order, and are as near to the truth as they say."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tilewright.numerics import exact_sum
from tilewright.numerics.exact_sum import matmul, total

FLOATS = [np.float32, np.float64]


def operands(seed: int, depth: int, dtype: Any, spread: float = 3.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-spread, spread, depth)
    a = rng.normal(size=(5, depth)) * scale
    return a.astype(dtype), (rng.normal(size=(depth, 4)) / scale[:, None]).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@given(seed=st.integers(0, 1000), depth=st.integers(1, 2048))
def test_a_product_has_the_same_bits_in_any_order_of_its_terms(dtype: Any, seed: int, depth: int) -> None:
    # Within a block of 2,048, in which BLAS may add as it likes.
    a, b = operands(seed, depth, dtype)
    order = np.random.default_rng(seed + 1).permutation(depth)
    expected = matmul(a, b).tobytes()
    assert matmul(a[:, order], b[order]).tobytes() == expected


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("elements", [1, 7000])
def test_rows_that_are_sliced_at_once_do_not_matter(
    dtype: Any, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = operands(4, 2500, dtype)
    a[2, 7], b[9, 1] = np.nan, np.inf
    stacked = np.stack([a, a[::-1]]), np.stack([b, b])
    expected = [matmul(a, b), matmul(*stacked)]
    monkeypatch.setattr(exact_sum, "_CACHED_ELEMENTS", elements)
    np.testing.assert_array_equal(matmul(a, b), expected[0])
    np.testing.assert_array_equal(matmul(*stacked), expected[1])


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_product_does_not_depend_on_the_shapes_that_blas_sees(dtype: Any) -> None:
    a, b = operands(3, 5000, dtype)
    whole = matmul(a, b)
    for row in range(5):
        for column in range(4):
            one = matmul(a[row : row + 1], np.ascontiguousarray(b[:, column : column + 1]))
            assert one.tobytes() == whole[row, column].tobytes()


def test_plain_products_do_depend_on_the_order() -> None:
    # Else the tests above would promise nothing.
    a, b = operands(3, 2000, np.float32)
    order = np.random.default_rng(0).permutation(2000)
    assert (a @ b).tobytes() != (a[:, order] @ b[order]).tobytes()


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2.0**-23), (np.float64, 2.0**-50)])
@given(seed=st.integers(0, 1000), depth=st.integers(1, 3000))
def test_a_product_is_near_the_exact_one(dtype: Any, bound: float, seed: int, depth: int) -> None:
    a, b = operands(seed, depth, dtype, spread=1.0)
    result = matmul(a, b)
    for row in range(0, 5, 2):
        for column in range(0, 4, 3):
            terms = [float(x) * float(y) for x, y in zip(a[row], b[:, column], strict=True)]
            size = math.fsum(map(abs, terms))
            assert abs(float(result[row, column]) - math.fsum(terms)) <= bound * size


@pytest.mark.parametrize("dtype", FLOATS)
def test_values_that_are_not_finite_and_zeros_are_as_in_numpy(dtype: Any) -> None:
    a, b = operands(0, 7, dtype)
    a[0, 2], a[1, 1], a[2] = np.inf, np.nan, 0
    result = matmul(a, b)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(result, a @ b, rtol=1e-4)
    assert not result[2].any()
    assert total(np.array([1, np.inf], dtype), (0,)) == np.inf
    assert np.isnan(total(np.array([np.inf, -np.inf], dtype), (0,)))


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_largest_and_the_smallest_floats(dtype: Any) -> None:
    info = np.finfo(dtype)
    x = np.array([info.max, info.max, -info.max], dtype)
    assert total(x, (0,)) == info.max
    assert matmul(x[None], np.ones((3, 1), dtype))[0, 0] == info.max
    tiny = np.array([info.smallest_subnormal, info.smallest_subnormal], dtype)
    assert total(tiny, (0,)) == 2 * info.smallest_subnormal
    assert matmul(tiny[None], np.ones((2, 1), dtype))[0, 0] == 2 * info.smallest_subnormal
    assert np.isinf(total(x[:2], (0,)))


@pytest.mark.parametrize("dtype", [np.float16, *FLOATS])
@given(seed=st.integers(0, 1000), count=st.integers(1, 5000))
def test_a_sum_has_the_same_bits_in_any_order_and_is_right(dtype: Any, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, count)).astype(dtype)
    result = total(x, (1,))
    assert total(x[:, rng.permutation(count)], (1,)).tobytes() == result.tobytes()
    for row in range(2):
        size = math.fsum(map(abs, x[row].tolist()))
        bound = float(np.finfo(dtype).eps) * (1 if dtype != np.float64 else 64)
        assert abs(float(result[row]) - math.fsum(x[row].tolist())) <= bound * size


def test_sums_over_axes_and_over_nothing() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(total(x, (0, 2)), x.sum((0, 2)))
    np.testing.assert_array_equal(total(x, ()), x)
    np.testing.assert_array_equal(total(x[:, :0], (1,)), np.zeros((2, 4)))
    assert matmul(np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)).tolist() == [[0] * 3] * 2


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
@given(seed=st.integers(0, 1000))
def test_integers_are_exact_and_wrap(dtype: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    a, b = (rng.integers(limits.min, limits.max, shape, dtype, endpoint=True) for shape in ((3, 50), (50, 2)))
    expected = a.astype(object) @ b.astype(object)
    wrapped = [(int(each) - int(limits.min)) % (1 << limits.bits) + int(limits.min) for each in expected.flat]
    assert matmul(a, b).reshape(-1).tolist() == wrapped


@pytest.mark.parametrize("dtype", FLOATS)
def test_rows_beside_one_that_is_not_finite_keep_their_bits(dtype: Any) -> None:
    a, b = operands(1, 3000, dtype)
    whole, sums = matmul(a, b), total(a, (1,))
    a[1, 5] = np.nan
    assert matmul(a, b)[2:].tobytes() == whole[2:].tobytes()
    assert np.isnan(matmul(a, b)[1]).all()
    assert total(a, (1,))[2:].tobytes() == sums[2:].tobytes()


def test_blocks_are_short_enough_for_the_largest_values() -> None:
    # All alike in size and sign: sums of slices come as near to 2^53 as they can.
    rng = np.random.default_rng(5)
    blocks, depth = 32, 2048
    a, b = rng.uniform(0.9, 1, (4, blocks, depth)), rng.uniform(0.9, 1, (blocks, depth, 4))
    order = rng.permutation(depth)
    moved = matmul(a[:, :, order].reshape(4, -1), b[:, order].reshape(-1, 4))
    assert moved.tobytes() == matmul(a.reshape(4, -1), b.reshape(-1, 4)).tobytes()


def test_integers_whose_products_no_float64_holds() -> None:
    odd = np.array([[(1 << 28) + 1]])
    assert matmul(odd, odd).item() == ((1 << 28) + 1) ** 2
