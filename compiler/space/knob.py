"""One thing that may vary, and the values it may take."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.error import SpaceError

KnobValue = int | str


@dataclass(frozen=True)
class Knob:
    """A name and its values, all of them numbers or all of them words; neighbours in this order are alike.

    Raises:
        SpaceError: if there is no value, one comes twice, or numbers and words are mixed.
    """

    name: str
    values: tuple[KnobValue, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise SpaceError(f"knob {self.name!r} must have values, each once, not {self.values!r}")
        if len({type(value) for value in self.values}) > 1:
            raise SpaceError(f"knob {self.name!r} must have numbers or words alone, not {self.values!r}")

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers."""
        return isinstance(self.values[0], int)

    def column(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """The values at these positions; of words the positions themselves."""
        return np.asarray(self.values, np.int64)[positions] if self.is_number else positions

    def position(self, value: KnobValue) -> int:
        """The position of a value.

        Raises:
            SpaceError: if the knob does not have it.
        """
        # True counts as 1 in a tuple.
        if type(value) is not type(self.values[0]) or value not in self.values:
            shown = ", ".join(map(str, self.values[:20])) + (", …" if len(self.values) > 20 else "")
            raise SpaceError(f"{self.name} must be one of {shown}, not {value!r}")
        return self.values.index(value)
