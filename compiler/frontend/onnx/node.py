"""A node while it is converted, and the table of what converts which."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import onnx

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import UnsupportedError, require
from tilewright.compiler.frontend.onnx.element import inner_dtype, read_sparse, read_tensor
from tilewright.compiler.frontend.onnx.error import ValueNeededError
from tilewright.compiler.frontend.onnx.scope import Item, Scope
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.size import AnySize
from tilewright.compiler.ir.type import TensorType

Result = Any
"""Of a converter: a value, an array known at import, an item, None if absent, or a sequence of these."""
Converter = Callable[["Node"], Result]
_Types = onnx.AttributeProto
_REQUIRED: Any = object()
_LARGEST = 1 << 40
"""Of an integer attribute that counts elements."""

CONVERTERS: dict[str, list[tuple[int, Converter]]] = {}
"""By operator: the opsets from which each converter holds, ascending."""
C = TypeVar("C", bound=Converter)


def converter(*operators: str, since: int = 1) -> Callable[[C], C]:
    """Registers a converter for operators, from a version of the opset on."""

    def register(convert: C) -> C:
        for operator in operators:
            entries = CONVERTERS.setdefault(operator, [])
            entries.append((since, convert))
            entries.sort(key=lambda entry: entry[0])
        return convert

    return register


def find_converter(operator: str, opset: int) -> Converter | None:
    """What converts an operator of that version, if anything does."""
    found = [convert for since, convert in CONVERTERS.get(operator, ()) if since <= opset]
    return found[-1] if found else None


@dataclass(frozen=True)
class Node:
    """A node of the model, with its operands where it is converted.

    Members:
        proto: as read, references to attributes of a function resolved.
        operator: with the domain in front, unless it is the standard one.
        opset: version of its domain.
        opsets: versions of all domains.
        scope: where its operands are looked up.
        b: where its equations go.
        name: for messages and labels.
    """

    proto: Any
    operator: str
    opset: int
    opsets: dict[str, int]
    scope: Scope
    b: Builder
    name: str
    attributes: dict[str, Any] = field(default_factory=dict)

    # --- operands --------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Of operands, absent ones at the end apart."""
        names = list(self.proto.input)
        while names and not names[-1]:
            names.pop()
        return len(names)

    @property
    def outputs(self) -> int:
        """Number of results that the node names."""
        return len(self.proto.output)

    def wants(self, index: int) -> bool:
        """Whether the node names that result."""
        return index < len(self.proto.output) and bool(self.proto.output[index])

    def has(self, index: int) -> bool:
        """Whether the operand is there."""
        return index < len(self.proto.input) and bool(self.proto.input[index])

    def item(self, index: int) -> Item:
        """An operand with all that is known of it."""
        require(self.has(index), f"must have operand {index}, and has {self.count}")
        return self.scope.find(self.proto.input[index])

    def x(self, index: int) -> Value:
        """An operand."""
        return self.item(index).emitted(self.b)

    def optional(self, index: int) -> Value | None:
        """An operand, or None if it is absent."""
        return self.x(index) if self.has(index) else None

    def all(self) -> list[Value]:
        """The operands, none of which may be absent."""
        return [self.x(index) for index in range(self.count)]

    def type(self, index: int) -> TensorType:
        """Of an operand."""
        return self.item(index).type

    def rank(self, index: int) -> int:
        """Of an operand."""
        return self.type(index).rank

    def sizes(self, index: int) -> list[AnySize]:
        """An operand of integers that says sizes: symbolic or numbers.

        Raises:
            ValueNeededError: if its elements are not known at import.
        """
        item = self.item(index)
        known = item.known
        if known is None:
            raise ValueNeededError(item.origins, f"operand {self.proto.input[index]!r}")
        require(known.ndim <= 1, f"operand {index} must be a list of integers, not of shape {known.shape}")
        return [each if not isinstance(each, np.generic) else each.item() for each in known.reshape(-1)]

    def numbers(self, index: int) -> list[int]:
        """An operand of integers, all known.

        Raises:
            ValueNeededError: if it is not known at import.
        """
        sizes = self.sizes(index)
        require(
            all(isinstance(size, (int, bool)) for size in sizes),
            f"operand {index} must be numbers, not {sizes}",
        )
        return [int(size) for size in sizes if isinstance(size, int)]

    def array(self, index: int) -> Array:
        """An operand that is known.

        Raises:
            ValueNeededError: if it is not.
        """
        item = self.item(index)
        if item.array is None:
            raise ValueNeededError(item.origins, f"operand {self.proto.input[index]!r}")
        return item.array

    # --- attributes ------------------------------------------------------------------------------------

    def given(self, name: str) -> bool:
        """Whether an attribute is there."""
        return name in self.attributes

    def integer(self, name: str, default: int = _REQUIRED) -> int:
        """An integer attribute."""
        found = self._attribute(name, _Types.INT, "an integer", default)
        return default if found is None else int(found.i)

    def integers(self, name: str, default: Sequence[int] = _REQUIRED) -> tuple[int, ...]:
        """An attribute of integers."""
        found = self._attribute(name, _Types.INTS, "integers", default)
        values = tuple(default) if found is None else tuple(int(value) for value in found.ints)
        require(all(abs(value) < _LARGEST for value in values), f"{name} must be smaller than {_LARGEST}")
        return values

    def number(self, name: str, default: float = _REQUIRED) -> float:
        """A float attribute."""
        found = self._attribute(name, _Types.FLOAT, "a float", default)
        return default if found is None else float(found.f)

    def floats(self, name: str, default: Sequence[float] = _REQUIRED) -> tuple[float, ...]:
        """An attribute of floats."""
        found = self._attribute(name, _Types.FLOATS, "floats", default)
        return tuple(default) if found is None else tuple(float(value) for value in found.floats)

    def string(self, name: str, default: str = _REQUIRED) -> str:
        """A text attribute."""
        found = self._attribute(name, _Types.STRING, "a text", default)
        return default if found is None else _text(found.s)

    def strings(self, name: str, default: Sequence[str] = _REQUIRED) -> tuple[str, ...]:
        """An attribute of texts."""
        found = self._attribute(name, _Types.STRINGS, "texts", default)
        return tuple(default) if found is None else tuple(_text(value) for value in found.strings)

    def tensor(self, name: str) -> Array:
        """An attribute that is an array."""
        return read_tensor(self._attribute(name, _Types.TENSOR, "a tensor", _REQUIRED).t)

    def sparse(self, name: str) -> Array:
        """An attribute that is a sparse array, made dense."""
        return read_sparse(
            self._attribute(name, _Types.SPARSE_TENSOR, "a sparse tensor", _REQUIRED).sparse_tensor
        )

    def graph(self, name: str) -> Any:
        """An attribute that is a graph."""
        return self._attribute(name, _Types.GRAPH, "a graph", _REQUIRED).g

    def dtype(self, name: str, default: DType = _REQUIRED) -> DType:
        """An attribute that is an element type; float16 becomes float32."""
        if default is not _REQUIRED and not self.given(name):
            return default
        return inner_dtype(self.integer(name), f"attribute {name!r}")

    def axis(self, name: str, rank: int, default: int = _REQUIRED) -> int:
        """An attribute that is an axis, counted from 0."""
        return normal_axis(self.integer(name, default), rank, name)

    def choice(self, name: str, default: str, allowed: Sequence[str]) -> str:
        """A text attribute that is one of some."""
        value = self.string(name, default)
        require(value in allowed, f"{name} must be {' or '.join(allowed)}, not {value!r}")
        return value

    def _attribute(self, name: str, kind: int, what: str, default: object) -> Any:
        found = self.attributes.get(name)
        if found is None:
            require(default is not _REQUIRED, f"must have the attribute {name!r}")
            return None
        require(
            not found.ref_attr_name,
            f"attribute {name!r} must have a value, not refer to {found.ref_attr_name!r}",
        )
        require(
            found.type == kind,
            f"attribute {name!r} must be {what}, not {_Types.AttributeType.Name(found.type)}",
        )
        return found


def normal_axis(axis: int, rank: int, name: str = "axis") -> int:
    """An axis counted from 0.

    Raises:
        UnsupportedError: if there is no such axis.
    """
    if not -rank <= axis < rank:
        raise UnsupportedError(f"{name} must be from {-rank} to {rank - 1}, not {axis}")
    return axis % rank if rank else 0


def normal_axes(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """Axes counted from 0, ascending.

    Raises:
        UnsupportedError: if one is missing or named twice.
    """
    found = sorted(normal_axis(axis, rank, "axes") for axis in axes)
    require(len(set(found)) == len(found), f"axes must differ, not {list(axes)}")
    return tuple(found)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UnsupportedError(f"a text must be UTF-8, not {data!r}") from None
