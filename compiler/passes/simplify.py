"""Removal of equations that change nothing, or are there twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.inline import emit
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.rewrite import rewritten
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.passes.run import each_function

_ROUNDS = 8
"""In practice one round settles a function, and a second one shows it."""


@dataclass(frozen=True)
class Simplify:
    """Removes equations that nobody needs, that are there twice, or that change no bit.

    Moves (cast, reshape, transpose, broadcast) of moves become one; x + 0, x · 1 and the like become x where
    that holds for every x, NaN and −0 included.
    """

    name: ClassVar[str] = "simplify"

    def apply(self, module: Module) -> Module:
        """The simplified module."""
        return each_function(module, _settled)


def _settled(function: Function) -> Function:
    for _ in range(_ROUNDS):
        simpler = rewritten(function, _Simplification())
        if simpler == function:
            break
        function = simpler
    return function


class _Simplification:
    """Simplifies equations of one function and its regions; knows what made each value."""

    def __init__(self) -> None:
        self._made: dict[Value, tuple[Builder, Operator, tuple[Value, ...]]] = {}

    def __call__(
        self, b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        with b.label(*equation.labels):
            trivial = operator.known_results(*(value.type for value in operands))
            if trivial is not None:
                return [b.constant(each) if isinstance(each, Literal) else operands[each] for each in trivial]
            rule = _RULES.get(type(operator))
            simpler = rule(self, b, operator, operands) if rule is not None else None
            if simpler is not None:
                return [simpler]
        results = emit(b, equation, operator, operands)
        self._made.update(dict.fromkeys(results, (b, operator, operands)))
        return results

    def _again(self, b: Builder, operator: Operator, *operands: Value) -> Value:
        """The result of another operator in place of the one that stands there, simplified as well."""
        equation = Equation((), operator, operands)
        (result,) = self(b, equation, operator, operands)
        return result

    def made(self, b: Builder, value: Value) -> tuple[Operator | None, tuple[Value, ...]]:
        """The operator that made a value of this function, and its operands."""
        builder, operator, operands = self._made.get(value, (b, None, ()))
        return (operator, operands) if builder is b else (None, ())

    def transpose(self, b: Builder, operator: Transpose, operands: tuple[Value, ...]) -> Value | None:
        """Two permutations are one."""
        inner, (*source,) = self.made(b, operands[0])
        if not isinstance(inner, Transpose):
            return None
        joint = tuple(inner.permutation[axis] for axis in operator.permutation)
        return self._again(b, Transpose(joint), *source)

    def reshape(self, b: Builder, operator: Reshape, operands: tuple[Value, ...]) -> Value | None:
        """Only the last shape counts."""
        inner, (*source,) = self.made(b, operands[0])
        return self._again(b, operator, *source) if isinstance(inner, Reshape) else None

    def broadcast(self, b: Builder, operator: Broadcast, operands: tuple[Value, ...]) -> Value | None:
        """Two repetitions are one, where axes of the first that were made so stay as long."""
        inner, (*source,) = self.made(b, operands[0])
        if not isinstance(inner, Broadcast):
            return None
        joint = tuple(operator.axes[axis] for axis in inner.axes)
        return self._again(b, Broadcast(operator.shape, joint), *source)

    def cast(self, b: Builder, operator: Cast, operands: tuple[Value, ...]) -> Value | None:
        """A type between that holds every element is not needed."""
        inner, (*source,) = self.made(b, operands[0])
        if not isinstance(inner, Cast) or not _is_needless(source[0].type.dtype, inner.dtype, operator.dtype):
            return None
        return self._again(b, operator, *source)

    def map(self, b: Builder, operator: Map, operands: tuple[Value, ...]) -> Value | None:
        """One of the operands, where the others change nothing."""
        if operator.function == "select":
            return operands[1] if operands[1] == operands[2] else None
        if operator.function in _INVOLUTIONS:
            inner, (*source,) = self.made(b, operands[0])
            is_same = isinstance(inner, Map) and inner.function == operator.function
            return source[0] if is_same else None
        neutral = _neutral(operator.function, operands[0].type.dtype)
        if neutral is None or len(operands) != 2:
            return None
        for position in (1, 0) if operator.function in _SYMMETRIC else (1,):
            number = self._uniform(b, operands[position])
            # −0 is equal to 0, and adding it to −0 is not.
            if number is not None and number == neutral and not np.signbit(number):
                return operands[1 - position]
        return None

    def _uniform(self, b: Builder, value: Value) -> float | None:
        """The number that all elements of a constant, or of a broadcast one, are."""
        operator, operands = self.made(b, value)
        if isinstance(operator, Broadcast):
            return self._uniform(b, operands[0])
        if not isinstance(operator, Constant) or operator.value.array.size != 1:
            return None
        return float(operator.value.array.reshape(-1)[0])


_INVOLUTIONS = frozenset(["neg", "not"])
_SYMMETRIC = frozenset(["add", "mul", "or", "xor"])
_Rule = Callable[[_Simplification, Builder, Operator, tuple[Value, ...]], Value | None]
_RULES: dict[type[Operator], _Rule] = {
    Transpose: _Simplification.transpose,  # type: ignore[dict-item]
    Reshape: _Simplification.reshape,  # type: ignore[dict-item]
    Broadcast: _Simplification.broadcast,  # type: ignore[dict-item]
    Cast: _Simplification.cast,  # type: ignore[dict-item]
    Map: _Simplification.map,  # type: ignore[dict-item]
}


def _neutral(function: str, dtype: DType) -> int | None:
    """The second operand that changes no first one."""
    if function in ("mul", "div"):
        return 1
    if function == "add":
        # −0 + 0 is 0.
        return None if dtype.is_float else 0
    return 0 if function in ("sub", "or", "xor", "shift_left", "shift_right") else None


def _is_needless(before: DType, between: DType, after: DType) -> bool:
    """Whether a cast by a type between gives what one cast gives."""
    if before.is_integer and between.is_float and after.is_integer:
        # Floats saturate, integers wrap.
        return _holds(between, before) and _holds(after, before)
    return _holds(between, before)


def _holds(wide: DType, narrow: DType) -> bool:
    """Whether every element of a type is one of the other, and comes back as it was."""
    if wide is DType.BOOL or narrow is DType.BOOL:
        return narrow is DType.BOOL
    return bool(np.can_cast(narrow.numpy, wide.numpy, "safe")) and not _is_rounded(wide, narrow)


def _is_rounded(wide: DType, narrow: DType) -> bool:
    """numpy takes float64 to hold 64-bit integers, which it does not."""
    return wide.is_float and narrow.is_integer and narrow.size_bytes >= wide.size_bytes
