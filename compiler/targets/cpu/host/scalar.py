"""The scalar functions of maps as expressions of elements, with numpy's meaning."""

from collections.abc import Callable

from tilewright.compiler.dtype import DType
from tilewright.compiler.te import call, cast, constant, select
from tilewright.compiler.tir.expr import Binary, BinaryOp, ElementFunction, Expr, both

Rule = Callable[..., Expr]

_HALF_FREE = frozenset({"select"})
"""Functions that move float16 elements and compute nothing with them."""


def scalar(function: str, *operands: Expr) -> Expr:
    """A function of the table of maps on elements; float16 is computed in float32, and rounded."""
    dtype = operands[-1].dtype
    if dtype is DType.FLOAT16 and function not in _HALF_FREE:
        result = _RULES[function](*(cast(operand, DType.FLOAT32) for operand in operands))
        return result if result.dtype is DType.BOOL else cast(result, DType.FLOAT16)
    return _RULES[function](*operands)


def _called(function: ElementFunction) -> Rule:
    return lambda *operands: call(function, *operands)


def _binary(op: BinaryOp) -> Rule:
    return lambda a, b: Binary(op, a, b)


def _negative(x: Expr) -> Expr:
    return x * constant(-1.0, x.dtype) if x.dtype.is_float else -x


def _absolute(x: Expr) -> Expr:
    if x.dtype.is_float:
        return call(ElementFunction.ABSOLUTE, x)
    return Binary(BinaryOp.MAX, x, -x) if x.dtype.is_signed else x


def _sign(x: Expr) -> Expr:
    # What is neither above nor below 0 is 0 or NaN, and stays.
    if not (x.dtype.is_float or x.dtype.is_signed):
        return Binary(BinaryOp.MIN, x, constant(1, x.dtype))
    return select(x > 0, constant(1, x.dtype), select(x < 0, constant(-1, x.dtype), x))


def _divide(a: Expr, b: Expr) -> Expr:
    """Of integers toward zero."""
    if a.dtype.is_float:
        return call(ElementFunction.DIVIDE, a, b)
    quotient = a // b
    if not a.dtype.is_signed:
        return quotient
    is_uneven = both(
        [Binary(BinaryOp.NE, a % b, constant(0, a.dtype)), Binary(BinaryOp.NE, _below(a), _below(b))]
    )
    return quotient + cast(is_uneven, a.dtype)


def _below(x: Expr) -> Expr:
    return x < 0


def _remainder(a: Expr, b: Expr) -> Expr:
    """With the sign of the first."""
    if a.dtype.is_float:
        return call(ElementFunction.FMOD, a, b)
    is_zero = b.equal(0)
    return select(is_zero, constant(0, a.dtype), a - _divide(a, b) * b)


def _is_infinite(x: Expr) -> Expr:
    return call(ElementFunction.ABSOLUTE, x).equal(constant(float("inf"), x.dtype))


def _not(x: Expr) -> Expr:
    if x.dtype is DType.BOOL:
        return x.equal(constant(False, DType.BOOL))
    ones = -1 if x.dtype.is_signed else (1 << 8 * x.dtype.size_bytes) - 1
    return call(ElementFunction.BIT_XOR, x, constant(ones, x.dtype))


def _logical(logical: BinaryOp, bitwise: ElementFunction) -> Rule:
    def rule(a: Expr, b: Expr) -> Expr:
        return Binary(logical, a, b) if a.dtype is DType.BOOL else call(bitwise, a, b)

    return rule


def _select(condition: Expr, then: Expr, otherwise: Expr) -> Expr:
    return select(condition, then, otherwise)


_RULES: dict[str, Rule] = {
    "neg": _negative,
    "abs": _absolute,
    "sign": _sign,
    "isnan": lambda x: Binary(BinaryOp.NE, x, x),
    "isinf": _is_infinite,
    "not": _not,
    "div": _divide,
    "mod": _binary(BinaryOp.MOD),
    "fmod": _remainder,
    "pow": _called(ElementFunction.POWER),
    "add": _binary(BinaryOp.ADD),
    "sub": _binary(BinaryOp.SUB),
    "mul": _binary(BinaryOp.MUL),
    "max": _binary(BinaryOp.MAX),
    "min": _binary(BinaryOp.MIN),
    "equal": _binary(BinaryOp.EQ),
    "less": _binary(BinaryOp.LT),
    "and": _logical(BinaryOp.AND, ElementFunction.BIT_AND),
    "or": _logical(BinaryOp.OR, ElementFunction.BIT_OR),
    "xor": _logical(BinaryOp.NE, ElementFunction.BIT_XOR),
    "shift_left": _called(ElementFunction.SHIFT_LEFT),
    "shift_right": _called(ElementFunction.SHIFT_RIGHT),
    "select": _select,
    **{
        function.value: _called(function)
        for function in (
            *(
                ElementFunction.EXP,
                ElementFunction.LOG,
                ElementFunction.TANH,
                ElementFunction.ERF,
                ElementFunction.SQRT,
                ElementFunction.ROUND,
            ),
            *(
                ElementFunction.FLOOR,
                ElementFunction.CEIL,
                ElementFunction.SIN,
                ElementFunction.COS,
                ElementFunction.TAN,
                ElementFunction.ASIN,
            ),
            *(ElementFunction.ACOS, ElementFunction.ATAN, ElementFunction.SINH, ElementFunction.COSH),
        )
    },
}
