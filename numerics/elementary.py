"""exp, log, tanh and erf of float32: one algorithm each, in operations that round alike everywhere.

Each is written once, over an `Arithmetic`: on numpy arrays here, as machine code where a compiler implements
the protocol. Sums, products and quotients are rounded one by one, so the bits are the same on every machine;
no mathematical library is asked.

The polynomials are those of Cephes (`expf`, `logf`, `tanhf`), the quotient for erf that of Eigen (`perf`).
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float32Array = NDArray[np.float32]
T = TypeVar("T")
"""A float32, or many: whatever an `Arithmetic` works on."""


class Arithmetic(Protocol[T]):
    """Operations on float32, each rounded to the nearest even; comparisons give what `select` takes."""

    def number(self, value: float) -> T:
        """A constant, rounded to float32."""

    def add(self, a: T, b: T) -> T:
        """a + b."""

    def mul(self, a: T, b: T) -> T:
        """a · b."""

    def div(self, a: T, b: T) -> T:
        """a ÷ b."""

    def round(self, a: T) -> T:
        """The nearest integer, of two the even one."""

    def less(self, a: T, b: T) -> Any:
        """a < b; false for NaN."""

    def equal(self, a: T, b: T) -> Any:
        """a = b; false for NaN."""

    def select(self, condition: Any, a: T, b: T) -> T:
        """a where the condition holds, else b."""

    def power_of_two(self, n: T) -> T:
        """2ⁿ for integers n from −126 to 127."""

    def split(self, a: T) -> tuple[T, T]:
        """(m, e) with a = m · 2ᵉ and m from 0.5 to 1, for normal positive numbers."""


LOG2_E = 1.44269504088896341
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
"""Their sum is ln 2; products of the high part with small integers are exact."""
EXP_LOWEST, EXP_HIGHEST = -104.0, 89.0
"""Beyond, the result is 0 or infinite."""
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_SQRT_HALF = 0.707106781186547524
_SMALLEST_NORMAL = 2.0**-126
_TANH = (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
_TANH_SMALL = 0.625
"""Below, tanh x is an odd polynomial."""
_ERF_LIMIT = 4.0
_ERF_OVER = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_UNDER = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


def exp_of(o: Arithmetic[T], x: T) -> T:
    """eˣ: 2ⁿ · e^r with r = x − n · ln 2, below half of ln 2."""
    near = _within(o, x, EXP_LOWEST, EXP_HIGHEST)
    n = o.round(o.mul(near, o.number(LOG2_E)))
    r = o.add(near, o.mul(n, o.number(-LN2_HIGH)))
    r = o.add(r, o.mul(n, o.number(-LN2_LOW)))
    y = o.mul(_polynomial(o, r, _EXP), o.mul(r, r))
    y = o.add(o.add(y, r), o.number(1.0))
    # In two factors: n reaches beyond the exponents of normal numbers.
    half = o.round(o.mul(n, o.number(0.5)))
    y = o.mul(o.mul(y, o.power_of_two(half)), o.power_of_two(o.add(n, o.mul(half, o.number(-1.0)))))
    return _unless_nan(o, x, y)


def log_of(o: Arithmetic[T], x: T) -> T:
    """The natural logarithm: of the mantissa, near 1, and of the power of two; NaN below 0."""
    zero = o.number(0.0)
    is_small = o.less(x, o.number(_SMALLEST_NORMAL))
    normal = o.select(is_small, o.mul(x, o.number(2.0**24)), x)
    m, e = o.split(normal)
    e = o.add(e, o.select(is_small, o.number(-24.0), zero))
    is_low = o.less(m, o.number(_SQRT_HALF))
    e = o.add(e, o.select(is_low, o.number(-1.0), zero))
    m = o.add(o.add(m, o.select(is_low, m, zero)), o.number(-1.0))
    square = o.mul(m, m)
    y = o.mul(o.mul(_polynomial(o, m, _LOG), m), square)
    y = o.add(y, o.mul(e, o.number(LN2_LOW)))
    y = o.add(y, o.mul(square, o.number(-0.5)))
    y = o.add(o.add(m, y), o.mul(e, o.number(LN2_HIGH)))
    infinity = o.number(float("inf"))
    y = o.select(o.equal(x, infinity), infinity, y)
    y = o.select(o.less(x, zero), o.number(float("nan")), y)
    return _unless_nan(o, x, o.select(o.equal(x, zero), o.number(-float("inf")), y))


def tanh_of(o: Arithmetic[T], x: T) -> T:
    """The hyperbolic tangent: an odd polynomial near 0, else 1 − 2 ÷ (e^(2|x|) + 1) with the sign of x."""
    minus = o.number(-1.0)
    size = o.select(o.less(x, o.number(0.0)), o.mul(x, minus), x)
    power = exp_of(o, o.add(size, size))
    y = o.add(o.number(1.0), o.div(o.number(-2.0), o.add(power, o.number(1.0))))
    y = o.select(o.less(x, o.number(0.0)), o.mul(y, minus), y)
    square = o.mul(x, x)
    # As a product, so that −0 stays what it is.
    small = o.mul(o.add(o.mul(_polynomial(o, square, _TANH), square), o.number(1.0)), x)
    return _unless_nan(o, x, o.select(o.less(size, o.number(_TANH_SMALL)), small, y))


def erf_of(o: Arithmetic[T], x: T) -> T:
    """The error function: an odd polynomial by an even one."""
    y = _odd_quotient(o, _within(o, x, -_ERF_LIMIT, _ERF_LIMIT), _ERF_OVER, _ERF_UNDER)
    return _unless_nan(o, x, _within(o, y, -1.0, 1.0))


def exp(x: ArrayLike) -> Float32Array:
    """eˣ of float32, within 2 units in the last place; any shape."""
    return _on_arrays(exp_of, x)


def log(x: ArrayLike) -> Float32Array:
    """The natural logarithm of float32, within 2 units in the last place; −∞ at 0, NaN below."""
    return _on_arrays(log_of, x)


def tanh(x: ArrayLike) -> Float32Array:
    """The hyperbolic tangent of float32, within 2 units in the last place."""
    return _on_arrays(tanh_of, x)


def erf(x: ArrayLike) -> Float32Array:
    """The error function of float32, within 7 units in the last place."""
    return _on_arrays(erf_of, x)


class NumpyArithmetic:
    """Float32 arrays of numpy; members as in `Arithmetic`."""

    def number(self, value: float) -> Any:
        return np.float32(value)

    def add(self, a: Any, b: Any) -> Any:
        return np.add(a, b)

    def mul(self, a: Any, b: Any) -> Any:
        return np.multiply(a, b)

    def div(self, a: Any, b: Any) -> Any:
        return np.divide(a, b)

    def round(self, a: Any) -> Any:
        return np.rint(a)

    def less(self, a: Any, b: Any) -> Any:
        return np.less(a, b)

    def equal(self, a: Any, b: Any) -> Any:
        return np.equal(a, b)

    def select(self, condition: Any, a: Any, b: Any) -> Any:
        return np.where(condition, a, b)

    def power_of_two(self, n: Any) -> Any:
        return ((n.astype(np.int32) + np.int32(127)) << np.int32(23)).view(np.float32)

    def split(self, a: Any) -> tuple[Any, Any]:
        bits = a.view(np.int32)
        exponent = ((bits >> np.int32(23)) - np.int32(126)).astype(np.float32)
        mantissa = (bits & np.int32(0x007FFFFF)) | np.int32(0x3F000000)
        return mantissa.view(np.float32), exponent


def number_bits(value: float) -> int:
    """The bits of a constant in float32, as a signed integer."""
    return int(np.asarray(value, np.float32).view(np.int32))


def _on_arrays(function: Callable[[Arithmetic[Any], Any], Any], x: ArrayLike) -> Float32Array:
    given = np.asarray(x, np.float32)
    # What is computed beside infinities and NaN is not used.
    with np.errstate(all="ignore"):
        return np.asarray(function(NumpyArithmetic(), np.atleast_1d(given)), np.float32).reshape(given.shape)


def _polynomial(o: Arithmetic[T], x: T, coefficients: Sequence[float]) -> T:
    """By Horner's rule, the highest power first."""
    y = o.number(coefficients[0])
    for coefficient in coefficients[1:]:
        y = o.add(o.mul(y, x), o.number(coefficient))
    return y


def _odd_quotient(o: Arithmetic[T], x: T, over: Sequence[float], under: Sequence[float]) -> T:
    square = o.mul(x, x)
    return o.div(o.mul(_polynomial(o, square, over), x), _polynomial(o, square, under))


def _within(o: Arithmetic[T], x: T, low: float, high: float) -> T:
    x = o.select(o.less(x, o.number(low)), o.number(low), x)
    return o.select(o.less(o.number(high), x), o.number(high), x)


def _unless_nan(o: Arithmetic[T], x: T, y: T) -> T:
    return o.select(o.equal(x, x), y, x)
