"""Python expressions as expressions of loop programs."""

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import INDEX, DType
from tilewright.compiler.te.irregular.function import FUNCTIONS, quotient, truth
from tilewright.compiler.te.irregular.scope import Definition, FunctionScope, ProgramBuilder, element
from tilewright.compiler.te.irregular.unsupported import UnsupportedConstructError
from tilewright.compiler.te.irregular.value import (
    PythonValue,
    RuntimeNumber,
    Static,
    TensorValue,
    joined,
    number_of,
)
from tilewright.compiler.tir.expr import Binary, BinaryOp, Cast, Const, Expr, Select

Inline = Callable[[Definition, Sequence[PythonValue]], PythonValue]

_YES, _NO = Const(True, DType.BOOL), Const(False, DType.BOOL)
_ARITHMETIC = {
    ast.Add: (BinaryOp.ADD, operator.add),
    ast.Sub: (BinaryOp.SUB, operator.sub),
    ast.Mult: (BinaryOp.MUL, operator.mul),
    ast.FloorDiv: (BinaryOp.FLOORDIV, operator.floordiv),
    ast.Mod: (BinaryOp.MOD, operator.mod),
}
_OF_KNOWN: dict[type[ast.operator], Callable[..., object]] = {
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
}
_COMPARISONS = {
    ast.Lt: (BinaryOp.LT, False),
    ast.LtE: (BinaryOp.LE, False),
    ast.Gt: (BinaryOp.LT, True),
    ast.GtE: (BinaryOp.LE, True),
    ast.Eq: (BinaryOp.EQ, False),
    ast.NotEq: (BinaryOp.NE, False),
}
"""The operator, and whether the sides change places."""
_OF_NUMBERS: dict[BinaryOp, Callable[[float, float], bool]] = {
    BinaryOp.LT: operator.lt,
    BinaryOp.LE: operator.le,
    BinaryOp.EQ: operator.eq,
    BinaryOp.NE: operator.ne,
}
_DIVISIONS = (BinaryOp.FLOORDIV, BinaryOp.MOD)
_INDEXED = (tuple, np.ndarray)


@dataclass
class ExpressionParser:
    """Writes expressions of one function.

    Members:
        program: the program that is written.
        scope: the names.
        inline: writes the call of another function.
    """

    program: ProgramBuilder
    scope: FunctionScope
    inline: Inline

    def number(self, node: ast.expr) -> RuntimeNumber:
        """An expression that is a number."""
        return number_of(self.value(node))

    def condition(self, node: ast.expr) -> Expr:
        """An expression that is a truth value."""
        return truth(self.number(node))

    def value(self, node: ast.expr) -> PythonValue:
        """The value of an expression.

        Raises:
            UnsupportedConstructError: if it has no meaning here.
        """
        match node:
            case ast.Constant(value=value):
                return Static(value)
            case ast.Name(id=name):
                return self.scope.value(name)
            case ast.Tuple(elts=parts) | ast.List(elts=parts):
                return self._tuple([self.value(part) for part in parts])
            case ast.BinOp():
                return self.operation(node.op, self.value(node.left), self.value(node.right))
            case ast.UnaryOp():
                return self._unary(node.op, self.value(node.operand))
            case ast.Compare():
                return self._comparison(node)
            case ast.BoolOp():
                return self._logic(node)
            case ast.IfExp():
                return self._choice(node)
            case ast.Attribute():
                return self._attribute(node)
            case ast.Subscript():
                return self._subscript(node)
            case ast.Call():
                return self._call(node)
            case _:
                raise UnsupportedConstructError(
                    "this has no meaning in a loop program: use numbers, elements and functions of them"
                )

    def _tuple(self, parts: list[PythonValue]) -> PythonValue:
        known = [part.value for part in parts if isinstance(part, Static)]
        return Static(tuple(known)) if len(known) == len(parts) else tuple(parts)

    def operation(self, op: ast.operator, left: PythonValue, right: PythonValue) -> PythonValue:
        """An operator of two operands."""
        if isinstance(op, ast.Div):
            return quotient(left, right)
        if isinstance(op, ast.BitAnd | ast.BitOr):
            a, b = truth(number_of(left)), truth(number_of(right))
            return RuntimeNumber(Binary(BinaryOp.AND if isinstance(op, ast.BitAnd) else BinaryOp.OR, a, b))
        if type(op) in _OF_KNOWN and isinstance(left, Static) and isinstance(right, Static):
            return Static(_computed(_OF_KNOWN[type(op)], left.value, right.value))
        if type(op) not in _ARITHMETIC:
            raise UnsupportedConstructError(
                "the operator must be one of + - * / // %: write others with these"
            )
        known, compute = _ARITHMETIC[type(op)]
        if isinstance(left, Static) and isinstance(right, Static):
            return Static(_computed(compute, left.value, right.value))
        x, y = joined(number_of(left), number_of(right))
        if x.dtype is DType.BOOL:
            raise UnsupportedConstructError(
                "truth values are no numbers: choose between two with `a if … else b`"
            )
        if known in _DIVISIONS and y.expr == Const(0, y.dtype):
            raise UnsupportedConstructError("this divides by 0: test with if before")
        return RuntimeNumber(Binary(known, x.expr, y.expr), x.weak)

    def _unary(self, op: ast.unaryop, operand: PythonValue) -> PythonValue:
        if isinstance(op, ast.Not):
            return RuntimeNumber(_chosen(truth(number_of(operand)), _NO, _YES), weak=True)
        if isinstance(op, ast.Invert):
            raise UnsupportedConstructError("use `not` for a truth value; there are no operators on bits")
        if isinstance(op, ast.UAdd):
            return operand
        if isinstance(operand, Static):
            return Static(_computed(operator.mul, -1, operand.value))
        number = number_of(operand)
        if number.dtype.is_float:
            return RuntimeNumber(number.expr * Const(-1.0, number.dtype), number.weak)
        return RuntimeNumber(-number.expr, number.weak)

    def _comparison(self, node: ast.Compare) -> PythonValue:
        """a < b < c: each operand is computed once, the later ones where they are needed."""
        sides = [self.number(node.left), *(self.number(side) for side in node.comparators[:1])]
        result = _compared(node.ops[0], *sides)
        last = sides[1]
        for op, side in zip(node.ops[1:], node.comparators[1:], strict=True):
            following = self._where_needed(side)
            result = _chosen(result, _compared(op, last, following), _NO)
            last = following
        return RuntimeNumber(result, weak=True)

    def _logic(self, node: ast.BoolOp) -> PythonValue:
        """`and` or `or`: operands behind one that is known to decide are not read."""
        result, ends = self.condition(node.values[0]), isinstance(node.op, ast.Or)
        for part in node.values[1:]:
            if isinstance(result, Const) and bool(result.value) == ends:
                break
            further = truth(self._where_needed(part))
            result = _chosen(result, _YES, further) if ends else _chosen(result, further, _NO)
        return RuntimeNumber(result, weak=True)

    def _choice(self, node: ast.IfExp) -> PythonValue:
        condition = self.condition(node.test)
        if isinstance(condition, Const):
            return self.value(node.body if condition.value else node.orelse)
        then, otherwise = joined(self._where_needed(node.body), self._where_needed(node.orelse))
        return RuntimeNumber(Select(condition, then.expr, otherwise.expr), then.weak)

    def _where_needed(self, node: ast.expr) -> RuntimeNumber:
        """A number of an expression that is not always computed: it must need no statements."""
        before = self.program.length
        result = self.number(node)
        if self.program.length > before:
            raise UnsupportedConstructError(
                f"{ast.unparse(node)} is not always computed: write it in a statement before, or with if"
            )
        return result

    def _attribute(self, node: ast.Attribute) -> PythonValue:
        owner = self.value(node.value)
        if isinstance(owner, TensorValue):
            if node.attr == "shape":
                return Static(owner.shape)
            if node.attr == "dtype":
                return Static(owner.buffer.dtype.numpy)
            raise UnsupportedConstructError("of a tensor there are elements, .shape and .dtype: write a loop")
        if isinstance(owner, Static) and hasattr(owner.value, node.attr):
            return Static(getattr(owner.value, node.attr))
        raise UnsupportedConstructError(
            f"there is no {node.attr} here: use elements, .shape, and functions of math and numpy"
        )

    def _subscript(self, node: ast.Subscript) -> PythonValue:
        owner = self.value(node.value)
        if isinstance(owner, TensorValue):
            return element(owner, self.indices(owner, node.slice))
        index = self.value(node.slice)
        if (
            isinstance(owner, Static)
            and isinstance(owner.value, np.ndarray)
            and not isinstance(index, Static)
        ):
            number_of(owner)
        if isinstance(owner, Static) and isinstance(owner.value, _INDEXED) and isinstance(index, Static):
            return Static(_computed(operator.getitem, owner.value, index.value))
        if isinstance(owner, tuple) and isinstance(index, Static) and isinstance(index.value, int):
            return owner[index.value]
        raise UnsupportedConstructError(
            "only tensors are indexed, all of their dimensions at once, and tuples by known numbers"
        )

    def indices(self, array: TensorValue, node: ast.expr) -> tuple[Expr, ...]:
        """The indices of an element; a known one below 0 counts from the end, as in Python."""
        parts = node.elts if isinstance(node, ast.Tuple) else [node]
        if len(parts) != len(array.shape):
            raise UnsupportedConstructError(
                f"{array.buffer.name}{list(array.shape)} must have {len(array.shape)} indices, one for "
                f"each dimension at once, not {len(parts)}"
            )
        found = [self._index(self.number(part)) for part in parts]
        return tuple(
            Const(index.value + extent) if isinstance(index, Const) and -extent <= index.value < 0 else index
            for index, extent in zip(found, array.shape, strict=True)
        )

    def _index(self, number: RuntimeNumber) -> Expr:
        if number.dtype.is_float or number.dtype is DType.BOOL:
            raise UnsupportedConstructError(f"an index must be an integer, not {number.dtype}: use int(…)")
        return number.expr if number.dtype is INDEX else Cast(INDEX, number.expr)

    def _call(self, node: ast.Call) -> PythonValue:
        if node.keywords:
            raise UnsupportedConstructError("arguments must be given by position")
        called = self.value(node.func)
        arguments = [self.value(argument) for argument in node.args]
        function = called.value if isinstance(called, Static) else called
        if isinstance(function, Definition):
            return self.inline(function, arguments)
        if isinstance(function, type) and issubclass(function, np.generic):
            known = FUNCTIONS.get(np.generic)
            assert known is not None
            return known(Static(function), *arguments)
        known = FUNCTIONS.get(function) if callable(function) else None
        if known is None:
            raise UnsupportedConstructError(
                f"{ast.unparse(node.func)} is not known: use hybrid functions, min, max, abs, int, float, "
                "len, functions of math or numpy (exp, sqrt, tanh, …), and types of numpy"
            )
        try:
            return known(*arguments)
        except TypeError:
            raise UnsupportedConstructError(
                f"{ast.unparse(node.func)} must be given other arguments, not {len(arguments)}"
            ) from None


def _computed(compute: Callable[..., object], *operands: object) -> object:
    """A value known now."""
    try:
        return compute(*operands)
    except (TypeError, ValueError, ArithmeticError, IndexError) as error:
        raise UnsupportedConstructError(f"this cannot be computed ({error})") from None


def _chosen(condition: Expr, then: Expr, otherwise: Expr) -> Expr:
    if isinstance(condition, Const):
        return then if condition.value else otherwise
    return Select(condition, then, otherwise)


def _compared(op: ast.cmpop, left: RuntimeNumber, right: RuntimeNumber) -> Expr:
    if type(op) not in _COMPARISONS:
        raise UnsupportedConstructError("the comparison must be one of < <= > >= == !=")
    known, swapped = _COMPARISONS[type(op)]
    a, b = joined(right, left) if swapped else joined(left, right)
    if isinstance(a.expr, Const) and isinstance(b.expr, Const):
        return Const(bool(_OF_NUMBERS[known](a.expr.value, b.expr.value)), DType.BOOL)
    return Binary(known, a.expr, b.expr)
