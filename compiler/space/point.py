"""One choice for each knob."""

from collections.abc import Iterator, Mapping

from tilewright.compiler.space.error import SpaceError
from tilewright.compiler.space.knob import KnobValue


class Point(Mapping[str, KnobValue]):
    """The values of knobs by name, in the order of the knobs; immutable, and equal whatever the order."""

    __slots__ = ("_hash", "_values")

    def __init__(self, values: Mapping[str, KnobValue]) -> None:
        self._values = dict(values)
        self._hash = hash(frozenset(self._values.items()))

    def __getitem__(self, name: str) -> KnobValue:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and self._values == other._values

    def __repr__(self) -> str:
        return f"Point({self})"

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.items())

    def number(self, name: str) -> int:
        """The value of a knob of numbers.

        Raises:
            SpaceError: if it is a word.
        """
        value = self._values[name]
        if not isinstance(value, int):
            raise SpaceError(f"{name} must be a number, not {value!r}")
        return value

    def word(self, name: str) -> str:
        """The value of a knob of words.

        Raises:
            SpaceError: if it is a number.
        """
        value = self._values[name]
        if not isinstance(value, str):
            raise SpaceError(f"{name} must be a word, not {value!r}")
        return value

    def __reduce__(self) -> tuple[type["Point"], tuple[dict[str, KnobValue]]]:
        return Point, (self._values,)
