"""Immutable nodes that are compared by structure, and whose hash is computed once."""

from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

_T = TypeVar("_T")
_HASH = "_hash"


@dataclass_transform(frozen_default=True)
def value(cls: type[_T]) -> type[_T]:
    """A frozen dataclass that keeps its hash: trees of them are keys of caches."""
    made = dataclass(frozen=True)(cls)
    compute = made.__hash__

    def kept(self: Any) -> int:
        # Past the dataclass, which refuses every assignment; a field of this name does not exist.
        found: int | None = self.__dict__.get(_HASH)
        if found is None:
            found = self.__dict__[_HASH] = compute(self)
        return found

    made.__hash__ = kept  # type: ignore[method-assign]  # it takes what the old one takes
    return made
