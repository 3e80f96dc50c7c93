"""Immutable nodes, compared by structure; they keep what follows from them alone: their hash first."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, TypeVar, dataclass_transform

_T = TypeVar("_T")
_R = TypeVar("_R")
_HASH = "_hash"


@dataclass_transform(frozen_default=True)
def value(cls: type[_T]) -> type[_T]:
    """A frozen dataclass that keeps its hash: trees of them are keys of caches."""
    made = dataclass(frozen=True)(cls)
    compute, names = made.__hash__, [each.name for each in fields(made)]  # type: ignore[arg-type]

    def kept_hash(self: Any) -> int:
        # Past the dataclass, which refuses every assignment; a field of this name does not exist.
        found: int | None = self.__dict__.get(_HASH)
        if found is None:
            found = self.__dict__[_HASH] = compute(self)
        return found

    def state(self: Any) -> dict[str, Any]:
        # Hashes of text differ from process to process: what is kept is not sent.
        return {name: self.__dict__[name] for name in names}

    made.__hash__ = kept_hash  # type: ignore[method-assign]  # it takes what the old one takes
    made.__getstate__ = state  # type: ignore[method-assign]  # the same
    return made


def kept(function: Callable[[_T], _R]) -> Callable[[_T], _R]:
    """A function of one node, whose result (not None) stays with the node: no table has to find it again."""
    name = f"_{function.__name__}"

    @wraps(function)
    def found(node: _T) -> _R:
        result: _R | None = node.__dict__.get(name)
        if result is None:
            result = node.__dict__[name] = function(node)
        return result

    return found
