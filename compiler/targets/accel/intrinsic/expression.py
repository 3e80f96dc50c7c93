"""The value of a vector instruction, taken apart (docs/machine.md, Meaning, vector).

    result   int8, or table[int8 + 128, lane]; or y as int32
    int8     y, clamped by min and max with constants and converted
    y        requantise(t, scale) [+ zero point]  |  t
    t        saturating_add(reduced, bias)  |  reduced
    reduced  an item  |  a lane that reduces items by +, min or max
    item     a | a + b | a − b | min | max | a · b | a + b · factor

a lies in activation or accumulator memory, b there, in parameter memory or is a constant; bias, scale and
factor lie in parameter memory. Factors of a product must be what the machine makes of them: within int16 the
left one (a; the factor), within int8 the right one (b), by their type or by a saturating call. int8 elements
are converted to int32 before arithmetic; minimum and maximum may be of int8. A lane that is no reduction
stands for its value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

from tilewright.compiler.dtype import DType
from tilewright.compiler.targets.accel.intrinsic.affine import split
from tilewright.compiler.targets.accel.intrinsic.error import MatchProgress, MismatchError
from tilewright.compiler.targets.accel.intrinsic.nest import Loop, Nest, Statement
from tilewright.compiler.tir.affine import Affine
from tilewright.compiler.tir.buffer import MemoryScope
from tilewright.compiler.tir.expr import (
    Binary,
    BinaryOp,
    BufferLoad,
    Cast,
    Const,
    ElementCall,
    ElementFunction,
    Expr,
    Var,
)
from tilewright.compiler.tir.walk import substitute, variables
from tilewright.isa.instruction import ReduceMode, VectorOp
from tilewright.numerics.table import FIRST


@dataclass(frozen=True)
class VectorItem:
    """An operation and its operands; b is an element or a constant."""

    op: VectorOp
    a: BufferLoad
    b: BufferLoad | int = 0
    factor: BufferLoad | None = None


@dataclass(frozen=True)
class VectorValue:
    """The value that a vector instruction computes.

    Members:
        item: before the reduction.
        loops: of the loop nest, results and items.
        reduce: how items are reduced.
        bias, scale: parameter elements.
        zero_point, lo, hi: as in the instruction.
        is_looked_up: whether the result is what the table has for the clamped value.
    """

    item: VectorItem
    loops: tuple[Loop, ...]
    reduce: ReduceMode = ReduceMode.NONE
    bias: BufferLoad | None = None
    scale: BufferLoad | None = None
    zero_point: int = 0
    lo: int = -128
    hi: int = 127
    is_looked_up: bool = False


def value_of(nest: Nest) -> VectorValue:
    """The value that the last statement of a loop nest assigns, with the lanes before it.

    Raises:
        MismatchError: if it is not of the form above.
    """
    return _Matcher(nest).value()


class _Matcher:
    def __init__(self, nest: Nest) -> None:
        self._last = nest.last
        self._lanes = {statement.store.buffer.name: statement for statement in nest.statements[:-1]}
        self._loops = self._last.loops

    def value(self) -> VectorValue:
        if _is_reduction(self._last):
            return self._reduced_statement(self._last)
        value = self._last.store.value
        if value.dtype is DType.INT8:
            inner = self._plain(value)
            is_looked_up = isinstance(inner, BufferLoad) and inner.buffer.scope is MemoryScope.TABLE
            return self._looked_up(inner) if is_looked_up else self._clamped(value)
        return self._after_reduction(self._plain(value))

    # --- int8 results ---

    def _looked_up(self, value: Expr) -> VectorValue:
        """The value whose entry of its lane's table is the result."""
        assert isinstance(value, BufferLoad)
        entry, lane = value.indices
        if lane != self._last.store.indices[-1]:
            raise MismatchError("each lane must look up in its own table", MatchProgress.LANES)
        match self._plain(entry):
            case Binary(op=BinaryOp.ADD, a=inner, b=Const(value=constant)):
                inner = self._plain(inner)
                if constant == -FIRST and _is_within(inner, DType.INT8):
                    return replace(self._with_clamp(inner, *_type_bounds(DType.INT8)), is_looked_up=True)
        text = f"an entry of a table must be that of an int8 value: the value + {-FIRST}"
        raise MismatchError(text, MatchProgress.EXPRESSION)

    def _clamped(self, value: Expr) -> VectorValue:
        if isinstance(value, Cast) and not _keeps(value):
            low, high = _bounds(value.value)
            text = f"an int8 result must be clamped before it is converted: it is within {low} … {high}"
            raise MismatchError(text, MatchProgress.EXPRESSION)
        return self._with_clamp(value, *_type_bounds(DType.INT8))

    def _with_clamp(self, value: Expr, low: float, high: float) -> VectorValue:
        """y of min and max with constants, outermost first; low and high are what stands around."""
        value = self._plain(value)
        found = _clamp(value)
        if found is None:
            return replace(self._after_reduction(value), lo=int(low), hi=int(high))
        inner, *ends = found
        low, high = (min(max(end, low), high) for end in ends)
        return self._with_clamp(inner, low, high)

    # --- after the reduction ---

    def _after_reduction(self, y: Expr) -> VectorValue:
        match y:
            case Binary(op=BinaryOp.ADD | BinaryOp.SUB as op, a=a, b=Const(value=int(constant))):
                inner = self._plain(a)
                if _is_call(inner, ElementFunction.REQUANTISE):
                    zero_point = constant if op is BinaryOp.ADD else -constant
                    return replace(self._requantised(inner), zero_point=zero_point)
        if _is_call(y, ElementFunction.REQUANTISE):
            return self._requantised(y)
        return self._biased(y)

    def _requantised(self, y: Expr) -> VectorValue:
        assert isinstance(y, ElementCall)
        t, scale = y.arguments
        return replace(self._biased(self._plain(t)), scale=_parameter(self._plain(scale), "the scale"))

    def _biased(self, t: Expr) -> VectorValue:
        if not _is_call(t, ElementFunction.SATURATING_ADD):
            return self._reduced(t)
        assert isinstance(t, ElementCall)
        for inner, bias in (t.arguments, t.arguments[::-1]):
            bias = self._plain(bias)
            if isinstance(bias, BufferLoad) and bias.buffer.scope is MemoryScope.PARAMETER:
                return replace(self._reduced(self._plain(inner)), bias=bias)
        raise MismatchError(
            "one side of a saturating_add must be a parameter: the bias", MatchProgress.EXPRESSION
        )

    def _reduced(self, t: Expr) -> VectorValue:
        if isinstance(t, BufferLoad) and t.buffer.scope is MemoryScope.LANE:
            return self._reduced_statement(self._definition(t))
        return VectorValue(self._item(t), self._loops)

    def _reduced_statement(self, statement: Statement) -> VectorValue:
        added = statement.added()
        reduce = None if added is None else _REDUCES.get(added[0].op)
        if added is None or reduce is None:
            text = "a reduction must combine the old value and an item by +, min or max"
            raise MismatchError(text, MatchProgress.EXPRESSION)
        operation, item = added
        if operation.op is BinaryOp.ADD:
            _check_int32(operation)
        _check_whole(statement)
        _check_start(statement, reduce, item)
        self._loops += tuple(loop for loop in statement.loops if loop not in self._loops)
        return VectorValue(self._item(self._plain(item)), self._loops, reduce)

    # --- items ---

    def _item(self, value: Expr) -> VectorItem:
        if isinstance(value, Binary):
            if value.op not in (BinaryOp.MIN, BinaryOp.MAX):
                _check_int32(value)
            return self._operation(value.op, self._plain(value.a), self._plain(value.b))
        return VectorItem(VectorOp.PASS, self._first(value))

    def _operation(self, op: BinaryOp, a: Expr, b: Expr) -> VectorItem:
        if op is BinaryOp.MUL:
            return self._product(a, b)
        if op not in _OPERATIONS:
            raise MismatchError(f"no vector operation is {op!r}", MatchProgress.EXPRESSION)
        if op is BinaryOp.ADD:
            for one, other in ((a, b), (b, a)):
                if isinstance(other, Binary) and other.op is BinaryOp.MUL:
                    return self._multiply_add(one, other)
        if op is not BinaryOp.SUB and not _can_be_first(a):
            a, b = b, a
        return VectorItem(_OPERATIONS[op], self._first(a), self._second(b))

    def _product(self, a: Expr, b: Expr) -> VectorItem:
        """a · b, in the order in which both are as narrow as the machine makes them."""
        for left, right in ((a, b), (b, a)):
            first, second = self._narrow(left, 16), self._narrow(right, 8)
            if first is not None and second is not None and _can_be_first(first):
                return VectorItem(VectorOp.MULTIPLY, self._first(first), self._second(second))
        text = _WIDE.format("a product", "one from activations or accumulators")
        raise MismatchError(text, MatchProgress.EXPRESSION)

    def _multiply_add(self, a: Expr, product: Binary) -> VectorItem:
        _check_int32(product)
        sides = self._plain(product.a), self._plain(product.b)
        for left, right in (sides, sides[::-1]):
            factor, second = self._narrow(left, 16), self._narrow(right, 8)
            if factor is not None and second is not None and _is_parameter(factor):
                load = _parameter(factor, "the factor")
                return VectorItem(VectorOp.MULTIPLY_ADD, self._first(a), self._second(second), load)
        text = _WIDE.format("a + b · factor", "the factor, a parameter")
        raise MismatchError(text, MatchProgress.EXPRESSION)

    def _narrow(self, value: Expr, bits: int) -> Expr | None:
        """The operand of a saturation to `bits`, or a value that is as narrow already."""
        if _is_call(value, _SATURATE[bits]):
            assert isinstance(value, ElementCall)
            return self._plain(value.arguments[0])
        low, high = _bounds(value)
        return value if -(1 << bits - 1) <= low and high < 1 << bits - 1 else None

    def _first(self, value: Expr) -> BufferLoad:
        if isinstance(value, BufferLoad) and _can_be_first(value):
            return value
        text = "the first operand must be an element of activation or accumulator memory, not"
        raise MismatchError(f"{text} {_named(value)}", MatchProgress.EXPRESSION)

    def _second(self, value: Expr) -> BufferLoad | int:
        if isinstance(value, Const) and isinstance(value.value, int):
            return value.value
        if isinstance(value, BufferLoad) and (_can_be_first(value) or _is_parameter(value)):
            return value
        text = "the second operand must be an element on the chip or a constant, not"
        raise MismatchError(f"{text} {_named(value)}", MatchProgress.EXPRESSION)

    # --- lanes and conversions ---

    def _plain(self, value: Expr) -> Expr:
        """The value without conversions that keep it, and with lanes that reduce nothing replaced."""
        while True:
            if isinstance(value, Cast) and _keeps(value):
                value = value.value
            elif isinstance(value, BufferLoad) and value.buffer.scope is MemoryScope.LANE:
                definition = self._definition(value)
                if _is_reduction(definition):
                    return value
                value = definition.store.value
            else:
                return value

    def _definition(self, load: BufferLoad) -> Statement:
        """The statement that sets a lane, in the loop variables of where it is read."""
        statement = self._lanes.get(load.buffer.name)
        if statement is None:
            text = f"lane buffer {load.buffer.name!r} is read and never written in the nest"
            raise MismatchError(text, MatchProgress.EXPRESSION)
        return _renamed(statement, load, self._loops)


# --- lanes -------------------------------------------------------------------------------------------------


def _renamed(statement: Statement, load: BufferLoad, loops: tuple[Loop, ...]) -> Statement:
    """The statement with those of its loops that run over results renamed to the loops at the load."""
    shared = {loop.name for loop in loops}
    own = {loop.name: loop for loop in statement.loops if loop.name not in shared}
    names: dict[str, Expr] = {}
    for written, read in zip(statement.store.indices, load.indices, strict=True):
        difference = Affine.of(written) - Affine.of(read)
        inner = [atom for atom, _ in Affine.of(written).terms if isinstance(atom, Var) and atom.name in own]
        if inner:
            names |= _paired(inner[0], difference, own, {loop.name: loop for loop in loops})
        elif not difference.is_constant or difference.constant:
            raise _lane_error(load)
    if any(variables(index) & own.keys() - names.keys() for index in statement.store.indices):
        raise _lane_error(load)
    left = tuple(loop for loop in statement.loops if loop.name not in names)
    if not _is_reduction(statement) and any(loop.name not in shared for loop in left):
        raise _lane_error(load)
    indices = tuple(substitute(index, names) for index in statement.store.indices)
    store = replace(statement.store, indices=indices, value=substitute(statement.store.value, names))
    return replace(statement, loops=left, store=store)


def _paired(
    inner: Var, difference: Affine, own: Mapping[str, Loop], loops: Mapping[str, Loop]
) -> dict[str, Expr]:
    """The variable of the reader that stands where `inner` does: the only other term of the difference."""
    others = difference.without(inner)
    if difference.coefficient(inner.name) == 1 and not others.constant:
        match others.terms:
            case ((Var(name=name) as other, -1),) if name in loops:
                if own[inner.name].extent == loops[name].extent:
                    return {inner.name: other}
    raise MismatchError(f"loop {inner.name!r} sets lanes that are not read one by one", MatchProgress.ACCESS)


def _lane_error(load: BufferLoad) -> MismatchError:
    text = f"lane buffer {load.buffer.name!r} is not read where it was written in the same step"
    return MismatchError(text, MatchProgress.ACCESS)


def _is_reduction(statement: Statement) -> bool:
    return statement.init is not None


def _check_whole(statement: Statement) -> None:
    """A reduction is one instruction's: none of its steps lies outside."""
    names = [loop.name for loop in statement.loops]
    for index in statement.reduced:
        parts = split(index, names)
        if parts is None or not parts[1].is_constant or parts[1].constant:
            text = (
                "a reduction must lie in one instruction with all of its steps; some loops of it are outside"
            )
            raise MismatchError(text, MatchProgress.LOOPS)


def _check_start(statement: Statement, reduce: ReduceMode, item: Expr) -> None:
    """The value that a reduction starts from must not change it."""
    start = statement.init.value if isinstance(statement.init, Const) else None
    low, high = _bounds(item)
    neutral = {
        ReduceMode.ADD: start == 0,
        ReduceMode.MAXIMUM: start is not None and start <= low,
        ReduceMode.MINIMUM: start is not None and start >= high,
    }
    if not neutral[reduce]:
        name = reduce.name.lower()
        text = f"a reduction by {name} must start from a value that does not change it, not {start}"
        raise MismatchError(text, MatchProgress.EXPRESSION)


# --- forms of expressions ----------------------------------------------------------------------------------

_OPERATIONS = {
    BinaryOp.ADD: VectorOp.ADD,
    BinaryOp.SUB: VectorOp.SUBTRACT,
    BinaryOp.MAX: VectorOp.MAXIMUM,
    BinaryOp.MIN: VectorOp.MINIMUM,
}
_REDUCES = {BinaryOp.ADD: ReduceMode.ADD, BinaryOp.MAX: ReduceMode.MAXIMUM, BinaryOp.MIN: ReduceMode.MINIMUM}
_SATURATE = {8: ElementFunction.SATURATE_INT8, 16: ElementFunction.SATURATE_INT16}
_WIDE = (
    "{} must have one factor within int16 ({}) and one within int8: saturate_int16 and saturate_int8 make "
    "them so, as the machine does"
)


def _is_call(value: Expr, function: ElementFunction) -> bool:
    return isinstance(value, ElementCall) and value.function is function


def _can_be_first(value: Expr) -> bool:
    return isinstance(value, BufferLoad) and value.buffer.scope in (
        MemoryScope.ACTIVATION,
        MemoryScope.ACCUMULATOR,
    )


def _is_parameter(value: Expr) -> bool:
    return isinstance(value, BufferLoad) and value.buffer.scope is MemoryScope.PARAMETER


def _parameter(value: Expr, what: str) -> BufferLoad:
    if isinstance(value, BufferLoad) and _is_parameter(value):
        return value
    text = f"{what} must be an element of parameter memory, not {_named(value)}"
    raise MismatchError(text, MatchProgress.EXPRESSION)


def _check_int32(value: Binary) -> None:
    if value.dtype is not DType.INT32:
        text = f"{value.op!r} of {value.dtype} wraps where the machine does not: convert to int32 before"
        raise MismatchError(text, MatchProgress.EXPRESSION)


def _clamp(value: Expr) -> tuple[Expr, float, float] | None:
    """min or max with a constant, or a saturation to int8: of what, to which ends."""
    match value:
        case ElementCall(function=ElementFunction.SATURATE_INT8, arguments=(inner,)):
            return inner, *_type_bounds(DType.INT8)
        case (
            Binary(op=BinaryOp.MAX, a=inner, b=Const(value=end))
            | Binary(op=BinaryOp.MAX, a=Const(value=end), b=inner)
        ):
            return inner, end, inf
        case (
            Binary(op=BinaryOp.MIN, a=inner, b=Const(value=end))
            | Binary(op=BinaryOp.MIN, a=Const(value=end), b=inner)
        ):
            return inner, -inf, end
    return None


def _named(value: Expr) -> str:
    match value:
        case BufferLoad(buffer=buffer):
            return f"one of {buffer.scope} buffer {buffer.name!r}"
        case Const(value=constant):
            return f"the constant {constant}"
        case ElementCall(function=function):
            return f"a {function}"
        case Binary(op=op):
            return f"an expression with {op!r}"
    return type(value).__name__.lower()


def _keeps(cast: Cast) -> bool:
    """Whether a conversion keeps every value."""
    return not cast.type.is_float and _is_within(cast.value, cast.type)


def _is_within(value: Expr, dtype: DType) -> bool:
    """Whether an element type surely holds a value."""
    least, most = _type_bounds(dtype)
    low, high = _bounds(value)
    return least <= low and high <= most


def _type_bounds(dtype: DType) -> tuple[float, float]:
    if dtype.is_float:
        return -inf, inf
    signed = dtype.numpy.kind == "i"
    bits = 8 * dtype.size_bytes - signed
    return -(1 << bits) if signed else 0, (1 << bits) - 1


def _bounds(value: Expr) -> tuple[float, float]:
    """Bounds of an expression, both ends included."""
    low, high = _unwrapped(value)
    least, most = _type_bounds(value.dtype)
    return (low, high) if least <= low and high <= most else (least, most)


def _unwrapped(value: Expr) -> tuple[float, float]:
    match value:
        case Const(value=constant):
            return constant, constant
        case Cast(value=inner):
            return _bounds(inner)
        case Binary(op=op, a=a, b=b) if op in _OF_ENDS:
            return _OF_ENDS[op](_bounds(a), _bounds(b))
    return _type_bounds(value.dtype)


_OF_ENDS = {
    BinaryOp.ADD: lambda a, b: (a[0] + b[0], a[1] + b[1]),
    BinaryOp.SUB: lambda a, b: (a[0] - b[1], a[1] - b[0]),
    BinaryOp.MIN: lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    BinaryOp.MAX: lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
}
