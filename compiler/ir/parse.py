"""Functions from their text."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from tilewright.compiler.dtype import SHORT_NAMES
from tilewright.compiler.ir.array import Literal
from tilewright.compiler.ir.deep import deeply
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.size import AnySize, Size
from tilewright.compiler.ir.type import TensorType
from tilewright.numerics.error import TilewrightError

T = TypeVar("T")

_TOKEN = re.compile(
    r"""\s*(?:\#[^\n]*\s*)*(?:
        (?P<string>"(?:[^"\\]|\\.)*")
      | (?P<value>%\w+)
      | (?P<digest>@[0-9a-f]{16})
      | (?P<float>-?(?:\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+|inf|Infinity|nan|NaN)\b)
      | (?P<int>\d+)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<mark>//|[][(){}=:,+*-])
      | (?P<end>$)
      | (?P<strange>.)
    )""",
    re.VERBOSE,
)
_WORDS: Mapping[str, Any] = {"True": True, "False": False, "None": None, "true": True, "false": False}
_DIGITS = 40
"""The most digits of an integer: attributes are 64 bits wide."""


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    line: int


def parse_module(
    text: str, operators: Mapping[str, type[Operator]], tensors: Mapping[str, Literal] | None = None
) -> Module:
    """The module that `print_module` prints as that text.

    Args:
        text: functions one after the other; what stands behind # is skipped.
        operators: the classes by name.
        tensors: literals by digest, at least those that the text names.

    Raises:
        IrError: with the line, if the text cannot be read.
    """
    tokens = _tokens(text)
    depth = _depth(tokens)
    return deeply(depth, lambda: _Parser(tokens, operators, tensors or {}).module())


def parse_function(
    text: str, operators: Mapping[str, type[Operator]], tensors: Mapping[str, Literal] | None = None
) -> Function:
    """The only function of a text; as `parse_module`."""
    functions = list(parse_module(text, operators, tensors))
    if len(functions) != 1:
        raise IrError(f"the text must hold one function, not {len(functions)}")
    return functions[0]


def _tokens(text: str) -> list[_Token]:
    found, line, position = [], 1, 0
    while True:
        match = _TOKEN.match(text, position)
        assert match is not None, "anything is a token, if a strange one"
        assert match.lastgroup is not None
        line += text.count("\n", position, match.start(match.lastgroup))
        token = _Token(match.lastgroup, match[match.lastgroup], line)
        if token.kind == "strange":
            raise IrError(f"line {line}: text must be a function, and {token.text!r} is in none")
        found.append(token)
        if token.kind == "end":
            return found
        position = match.end()


def _depth(tokens: list[_Token]) -> int:
    depth = deepest = 0
    for token in tokens:
        depth += (token.text in "({" and token.kind == "mark") - (token.text in ")}" and token.kind == "mark")
        deepest = max(deepest, depth)
    return deepest


class _Parser:
    """Reads tokens from left to right."""

    def __init__(
        self,
        tokens: list[_Token],
        operators: Mapping[str, type[Operator]],
        tensors: Mapping[str, Literal],
    ) -> None:
        self._tokens, self._operators, self._tensors = tokens, operators, tensors
        self._position = 0

    # --- functions -------------------------------------------------------------------------------------

    def module(self) -> Module:
        functions: dict[str, Function] = {}
        while self._next.kind != "end":
            function = self._function()
            if function.name in functions:
                raise self._error(f"a function must be there once, and {function.name!r} is there again")
            functions[function.name] = function
        return Module(functions)

    def _function(self) -> Function:
        self._take("function")
        name = self._name()
        values: dict[str, Value] = {}
        self._take("(")
        parameters = self._list(")", lambda: self._parameter(values))
        self._take("{")
        equations = []
        while self._next.text != "return":
            equations.append(self._equation(values))
        self._take("return")
        results = [] if self._next.text == "}" else self._several(lambda: self._operand(values))
        self._take("}")
        return Function(name, tuple(parameters), tuple(equations), tuple(results))

    def _parameter(self, values: dict[str, Value]) -> Value:
        name = self._value_name()
        self._take(":")
        return self._define(values, name, self._type())

    def _equation(self, values: dict[str, Value]) -> Equation:
        names = [] if self._next.text == "=" else self._several(self._value_name)
        self._take("=")
        line = self._next.line
        operator_name = self._name()
        self._take("(")
        operands = self._list(")", lambda: self._operand(values))
        attributes: dict[str, Any] = {}
        if self._accept("{"):
            attributes = dict(self._list("}", self._attribute))
        self._take(":")
        types = self._several(self._type) if names else []
        if len(types) != len(names):
            raise self._error(f"there must be a type for each of {len(names)} results, not {len(types)}")
        labels = self._several(self._string) if self._accept("as") else []
        operator = self._operator(operator_name, attributes, line)
        results = [self._define(values, name, tensor) for name, tensor in zip(names, types, strict=True)]
        return Equation(tuple(results), operator, tuple(operands), tuple(labels))

    def _operator(self, name: str, attributes: dict[str, Any], line: int) -> Operator:
        if name not in self._operators:
            known = ", ".join(sorted(self._operators))
            raise IrError(f"line {line}: the operator must be one of {known}, not {name!r}")
        kind = self._operators[name]
        wanted = [each.name for each in fields(kind)]
        if set(attributes) - set(wanted):
            strange = ", ".join(sorted(set(attributes) - set(wanted)))
            raise IrError(f"line {line}: attributes of {name} must be {', '.join(wanted)}, not {strange}")
        try:
            return kind(**attributes)
        except (TypeError, TilewrightError) as error:
            raise IrError(f"line {line}: {name}: {error}") from error

    def _define(self, values: dict[str, Value], name: str, tensor: TensorType) -> Value:
        if name in values:
            raise self._error(f"a value must be defined once, and %{name} is defined again")
        values[name] = Value(name, tensor)
        return values[name]

    def _operand(self, values: dict[str, Value]) -> Value:
        name = self._value_name()
        if name not in values:
            raise self._error(f"an operand must be defined before, and %{name} is not")
        return values[name]

    # --- types and attributes --------------------------------------------------------------------------

    def _type(self) -> TensorType:
        name = self._name()
        if name not in SHORT_NAMES:
            raise self._error(f"an element type must be one of {', '.join(SHORT_NAMES)}, not {name!r}")
        self._take("[")
        return TensorType(SHORT_NAMES[name], tuple(self._list("]", self._size)))

    def _size(self) -> AnySize:
        total = self._product()
        while self._next.text in "+-" and self._next.kind == "mark":
            sign = 1 if self._advance().text == "+" else -1
            total = total + sign * self._product()
        return total

    def _product(self) -> AnySize:
        product: AnySize = -1 if self._accept("-") else 1
        product = product * self._quotient()
        while self._accept("*"):
            product = product * self._quotient()
        return product

    def _quotient(self) -> AnySize:
        size = self._factor()
        while self._accept("//"):
            by = self._factor()
            if not isinstance(by, int):
                raise self._error(f"a size must be divided by a number, not by {by}")
            size = size // by
        return size

    def _factor(self) -> AnySize:
        if self._accept("("):
            size = self._size()
            self._take(")")
            return size
        token = self._advance()
        if token.kind == "int":
            return self._integer(token)
        if token.kind == "name":
            return Size.of(token.text)
        raise self._error(f"a size must be a number or a name, not {token.text!r}", token)

    def _integer(self, token: _Token) -> int:
        if len(token.text) > _DIGITS:
            raise self._error(f"an integer must have at most {_DIGITS} digits, not {len(token.text)}", token)
        return int(token.text)

    def _attribute(self) -> tuple[str, Any]:
        name = self._name()
        self._take("=")
        return name, self._attribute_value()

    def _attribute_value(self) -> Any:
        token, following = self._next, self._tokens[min(self._position + 1, len(self._tokens) - 1)]
        if token.kind == "string":
            return self._string()
        if token.kind == "float":
            return float(self._advance().text)
        if token.text == "function":
            return self._function()
        if token.text in _WORDS:
            return _WORDS[self._advance().text]
        if token.text in SHORT_NAMES:
            return self._literal() if following.text == "[" else SHORT_NAMES[self._advance().text]
        if token.text == "(" and token.kind == "mark" and self._is_tuple():
            self._advance()
            return tuple(self._list(")", self._attribute_value))
        return self._size()

    def _is_tuple(self) -> bool:
        """Whether a parenthesis opens a tuple, which is empty or has a comma, and not a size."""
        depth = 0
        for position in range(self._position, len(self._tokens)):
            token = self._tokens[position]
            if token.kind != "mark":
                continue
            depth += (token.text in "([{") - (token.text in ")]}")
            if depth == 1 and token.text == ",":
                return True
            if depth == 0:
                return position == self._position + 1
        return False

    def _literal(self) -> Literal:
        tensor = self._type()
        if self._next.kind == "digest":
            digest = self._advance().text[1:]
            if digest not in self._tensors:
                raise self._error(f"the tensors must hold {digest}, which the text names")
            return self._tensors[digest]
        self._take("[")
        numbers = self._list("]", self._number)
        try:
            return Literal(np.array(numbers, tensor.dtype.numpy).reshape(tensor.numbers))
        except (ValueError, OverflowError) as error:
            raise self._error(f"a literal must be of {tensor}: {error}") from error

    def _number(self) -> Any:
        sign = -1 if self._accept("-") else 1
        token = self._advance()
        if token.text in _WORDS:
            return _WORDS[token.text]
        if token.kind == "int":
            return sign * self._integer(token)
        if token.kind == "float" or token.text in ("Infinity", "NaN"):
            return sign * float(token.text)
        raise self._error(f"an element must be a number, not {token.text!r}", token)

    # --- tokens ----------------------------------------------------------------------------------------

    @property
    def _next(self) -> _Token:
        return self._tokens[self._position]

    def _advance(self) -> _Token:
        token = self._next
        self._position = min(self._position + 1, len(self._tokens) - 1)
        return token

    def _accept(self, text: str) -> bool:
        if self._next.text != text or self._next.kind == "string":
            return False
        self._advance()
        return True

    def _take(self, text: str) -> None:
        if not self._accept(text):
            raise self._error(f"{text!r} must stand here, not {self._next.text or 'the end'!r}")

    def _name(self) -> str:
        if self._next.kind != "name":
            raise self._error(f"a name must stand here, not {self._next.text or 'the end'!r}")
        return self._advance().text

    def _value_name(self) -> str:
        if self._next.kind != "value":
            raise self._error(f"a value like %x must stand here, not {self._next.text or 'the end'!r}")
        return self._advance().text[1:]

    def _string(self) -> str:
        if self._next.kind != "string":
            raise self._error(f"a string must stand here, not {self._next.text or 'the end'!r}")
        try:
            text: str = json.loads(self._advance().text)
        except ValueError as error:
            raise self._error(f"a string must be as JSON writes it: {error}") from error
        return text

    def _several(self, read: Callable[[], T]) -> list[T]:
        found = [read()]
        while self._accept(","):
            found.append(read())
        return found

    def _list(self, end: str, read: Callable[[], T]) -> list[T]:
        found: list[T] = []
        while not self._accept(end):
            found.append(read())
            if not self._accept(","):
                self._take(end)
                break
        return found

    def _error(self, message: str, token: _Token | None = None) -> IrError:
        return IrError(f"line {(token or self._next).line}: {message}")
