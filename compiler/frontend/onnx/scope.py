"""Names of a graph while it is imported, and what is known of their values."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.frontend.error import UnsupportedError
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.type import TensorType


class RefusedError(UnsupportedError):
    """A value of a node that was refused: the node that reads it is not to blame."""


@dataclass(frozen=True)
class Item:
    """What a name stands for: a value, and what is known of its elements at import.

    Members:
        value: None if the elements are known, or its node was refused.
        array: the elements, if they are known.
        sizes: elements that may be symbolic, an array of objects; only for integers.
        origins: inputs of the model that its elements depend on.
        elements: of a sequence, None for tensors.
    """

    value: Value | None = None
    array: Array | None = None
    sizes: Array | None = None
    origins: frozenset[str] = frozenset()
    elements: "tuple[Item, ...] | None" = None

    @property
    def known(self) -> Array | None:
        """The elements, numbers or symbolic, if they are known."""
        return self.array if self.array is not None else self.sizes

    @property
    def type(self) -> TensorType:
        """Of the tensor."""
        if self.value is not None:
            return self.value.type
        if self.array is None:
            self._refuse()
        return TensorType(DType.of(self.array.dtype), self.array.shape)  # type: ignore[union-attr]

    def emitted(self, b: Builder) -> Value:
        """The value where `b` builds."""
        if self.array is not None:
            return b.constant(np.asarray(self.array))
        if self.value is None:
            self._refuse()
        assert self.value is not None
        return self.value

    def _refuse(self) -> None:
        if self.elements is not None:
            raise UnsupportedError("an operand must be a tensor, not a sequence or an optional")
        raise RefusedError("it reads a value that is not supported")


REFUSED = Item()
"""A result of a node that is not supported."""


class Scope:
    """Names of one graph; those of the graphs around it are seen as well.

    Args:
        around: the scope outside.
    """

    def __init__(self, around: "Scope | None" = None, items: Mapping[str, Item] | None = None) -> None:
        self._around = around
        self._items: dict[str, Item] = dict(items or {})

    def find(self, name: str) -> Item:
        """What a name stands for.

        Raises:
            UnsupportedError: if there is no such name.
        """
        if name in self._items:
            return self._items[name]
        if self._around is None:
            raise UnsupportedError(
                f"must read an input or the result of a node before it, and {name!r} is neither"
            )
        return self._around.find(name)

    def define(self, name: str, item: Item) -> None:
        """Gives a name; an empty one is nobody's."""
        if name:
            self._items[name] = item
