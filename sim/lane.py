"""Sixteen lanes at a time, as vectors of LLVM: what a compiled executor computes with.

A value of `Lanes` is sixteen int32, one of `Pairs` sixteen pairs of int16. Both live in registers and become
the vector instructions of the machine at hand: `add_products` is a vpmaddwd, or a vpdpwssd.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from tilewright.numerics.requantise import X_MAXIMUM, X_MINIMUM

LANES = 16

_cgutils: Any = cgutils
ir = _cgutils.ir
"""The library that numba builds its code with: it takes values and types of no other."""

_BYTE, _SHORT, _WORD, _DOUBLE = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.DoubleType()
_BYTES, _WORDS, _DOUBLES = (ir.VectorType(element, LANES) for element in (_BYTE, _WORD, _DOUBLE))
_SHORTS, _PRODUCTS = (ir.VectorType(element, 2 * LANES) for element in (_SHORT, _WORD))
_POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
_INT32_LIMITS = (-(2.0**31), 2.0**31 - 1)

Emit = Callable[..., Any]
"""Emits code at a builder for LLVM values, and returns a value."""


class _Vector(types.Type):
    """A type of values in vector registers."""

    def __init__(self, name: str, vector: Any) -> None:
        super().__init__(name)
        self.vector = vector


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: _Vector) -> None:
        super().__init__(manager, kind, kind.vector)  # type: ignore[no-untyped-call]


Lanes = _Vector("Lanes", _WORDS)
Pairs = _Vector("Pairs", _SHORTS)


def _operation(result: Any, emit: Emit) -> Any:
    """A function of compiled code, which takes arrays as pointers to their first element."""

    def typed(_context: Any, *arguments: Any) -> Any:
        return result(*arguments), generate

    # numba takes what a function is called with from its signature.
    given = list(inspect.signature(result).parameters.values())
    typed.__signature__ = inspect.Signature([inspect.Parameter("_context", _POSITIONAL), *given])  # type: ignore[attr-defined]

    def generate(context: Any, builder: Any, signature: Any, values: Sequence[Any]) -> Any:
        given = zip(signature.args, values, strict=True)
        return emit(builder, *(_plain(context, builder, kind, value) for kind, value in given))

    return typed


def _plain(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    if isinstance(kind, types.Array):
        return context.make_array(kind)(context, builder, value).data
    return value


def _at(builder: Any, data: Any, index: Any, kind: Any) -> Any:
    """A pointer to a value of `kind` at an element of an array."""
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _load(builder: Any, data: Any, index: Any, kind: Any) -> Any:
    return builder.load(_at(builder, data, index, kind), align=1)


def _store(builder: Any, data: Any, index: Any, value: Any) -> Any:
    builder.store(value, _at(builder, data, index, value.type), align=1)
    return None


def _order(indices: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(_WORD, len(indices)), list(indices))


def _spread(builder: Any, value: Any, count: int) -> Any:
    one = builder.insert_element(ir.Constant(ir.VectorType(value.type, 1), None), value, _WORD(0))
    return builder.shuffle_vector(one, one, _order([0] * count))


def _intrinsic(result: Any, emit: Emit) -> Any:
    return intrinsic(_operation(result, emit))


# --- memory -------------------------------------------------------------------------------------------------


def _words_of_bytes(builder: Any, data: Any, index: Any) -> Any:
    return builder.sext(_load(builder, data, index, _BYTES), _WORDS)


def _weight_pairs(builder: Any, data: Any, index: Any, step: Any) -> Any:
    first, second = (_load(builder, data, place, _BYTES) for place in (index, builder.add(index, step)))
    order = [lane + half for lane in range(LANES) for half in (0, LANES)]
    return builder.sext(builder.shuffle_vector(first, second, _order(order)), _SHORTS)


def _spread_pair(builder: Any, data: Any, index: Any) -> Any:
    return builder.bitcast(_spread(builder, _load(builder, data, index, _WORD), LANES), _SHORTS)


def _copy(builder: Any, target: Any, place: Any, source: Any, origin: Any, length: Any) -> Any:
    _cgutils.raw_memcpy(builder, builder.gep(target, [place]), builder.gep(source, [origin]), length, 1)
    return None


copy_bytes = _intrinsic(
    lambda target, place, source, origin, length: types.void(target, place, source, origin, length), _copy
)
"""target[place + k] = source[origin + k] for k < length, of arrays of bytes that are apart."""
load_bytes = _intrinsic(lambda data, index: Lanes(data, index), _words_of_bytes)
"""Lanes from the int8 at a byte of an array."""
load_words = _intrinsic(
    lambda data, index: Lanes(data, index), lambda builder, data, index: _load(builder, data, index, _WORDS)
)
"""Lanes from the int32 at a byte of an array."""
store_bytes = _intrinsic(
    lambda data, index, lanes: types.void(data, index, lanes),
    lambda builder, data, index, lanes: _store(builder, data, index, builder.trunc(lanes, _BYTES)),
)
"""The low bytes of lanes to a byte of an array."""
store_words = _intrinsic(lambda data, index, lanes: types.void(data, index, lanes), _store)
"""Lanes as int32 to a byte of an array."""
load_pairs = _intrinsic(lambda data, index, step: Pairs(data, index, step), _weight_pairs)
"""For each lane the int8 at a byte of an array, and that `step` bytes further."""
spread_pair = _intrinsic(lambda data, index: Pairs(data, index), _spread_pair)
"""Two neighbours of an int16 array, in all lanes."""

# --- arithmetic ---------------------------------------------------------------------------------------------


def _select(compare: str) -> Emit:
    return lambda builder, a, b: builder.select(builder.icmp_signed(compare, a, b), a, b)


def _neighbours_added(builder: Any, products: Any) -> Any:
    even, odd = (
        builder.shuffle_vector(products, products, _order(range(half, 2 * LANES, 2))) for half in (0, 1)
    )
    return builder.add(even, odd)


def _add_products(builder: Any, total: Any, a: Any, b: Any) -> Any:
    products = builder.mul(builder.sext(a, _PRODUCTS), builder.sext(b, _PRODUCTS))
    return builder.add(total, _neighbours_added(builder, products))


def _binary(emit: Emit) -> Any:
    return _intrinsic(lambda a, b: Lanes(a, b), emit)


spread = _intrinsic(
    lambda _value: Lanes(types.int64),
    lambda builder, value: _spread(builder, builder.trunc(value, _WORD), LANES),
)
"""The low 32 bits of a number in all lanes."""
add = _binary(lambda builder, a, b: builder.add(a, b))
subtract = _binary(lambda builder, a, b: builder.sub(a, b))
multiply = _binary(lambda builder, a, b: builder.mul(a, b))
maximum = _binary(_select(">"))
minimum = _binary(_select("<"))
add_products = _intrinsic(lambda total, a, b: Lanes(total, a, b), _add_products)
"""total + a[0] · b[0] + a[1] · b[1] in each lane."""

# --- rounding, in float64 as `numerics.requantise` ----------------------------------------------------------


def _clamped(builder: Any, x: Any, low: float, high: float) -> Any:
    for limit, compare in ((low, ">"), (high, "<")):
        bound = ir.Constant(_DOUBLES, [limit] * LANES)
        x = builder.select(builder.fcmp_ordered(compare, x, bound), x, bound)
    return x


def _rounded(builder: Any, x: Any) -> Any:
    """Half up."""
    kind = ir.FunctionType(_DOUBLES, [_DOUBLES])
    floor = _cgutils.get_or_insert_function(builder.module, kind, f"llvm.floor.v{LANES}f64")
    return builder.call(floor, [builder.fadd(x, ir.Constant(_DOUBLES, [0.5] * LANES))])


def _saturating_add(builder: Any, a: Any, b: Any) -> Any:
    total = builder.fadd(builder.sitofp(a, _DOUBLES), builder.sitofp(b, _DOUBLES))
    return builder.fptosi(_clamped(builder, total, *_INT32_LIMITS), _WORDS)


def _requantised(builder: Any, t: Any, before: Any, after: Any, index: Any) -> Any:
    x = builder.fmul(builder.sitofp(t, _DOUBLES), _load(builder, before, index, _DOUBLES))
    x = _clamped(builder, _rounded(builder, x), float(X_MINIMUM), float(X_MAXIMUM))
    y = _rounded(builder, builder.fmul(x, _load(builder, after, index, _DOUBLES)))
    return builder.fptosi(y, _WORDS)


saturating_add = _binary(_saturating_add)
"""a + b, saturated to int32."""
requantised = _intrinsic(lambda t, before, after, index: Lanes(t, before, after, index), _requantised)
"""`requantise` of t, whose factors lie from an element of two float64 arrays on."""
