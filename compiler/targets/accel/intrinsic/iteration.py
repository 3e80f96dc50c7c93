"""Iterations of nested loops in columns: each variable an array of its values, an element an iteration."""

from collections.abc import Mapping, Sequence

import numpy as np

from tilewright.isa.encoding import IntArray


class Iterations:
    """Iterations of loops, in the order in which they run.

    A column is looked up in the loops around and spread over these only where it is asked for.

    Members:
        count: how many there are.
        outer: those that these were made of; None outside of all loops.
        which: int64[count], the one of `outer` that each belongs to.
    """

    def __init__(
        self,
        count: int,
        values: Mapping[str, IntArray],
        outer: "Iterations | None" = None,
        which: IntArray | None = None,
    ) -> None:
        self.count, self.outer = count, outer
        self.which = np.arange(count) if which is None else which
        self._values = dict(values)

    def __getitem__(self, name: str) -> IntArray:
        """The values of a variable, int64[count]."""
        found = self._values.get(name)
        if found is None:
            if self.outer is None:
                raise KeyError(name)
            found = self._values[name] = self.outer[name][self.which]
        return found

    def inside(self, name: str, extents: IntArray) -> "Iterations":
        """Those of a loop inside; `extents` are one number or int64[count], below 1 where it does not run."""
        counts = np.maximum(np.broadcast_to(extents, self.count), 0)
        which = np.repeat(np.arange(self.count), counts)
        firsts = np.cumsum(counts) - counts
        return Iterations(len(which), {name: np.arange(len(which)) - firsts[which]}, self, which)

    def taken(self, which: IntArray) -> "Iterations":
        """Some of them, int64[k], ascending."""
        return Iterations(len(which), {}, self, which)

    def within(self, outer: "Iterations") -> IntArray:
        """Of iterations that these were made of, directly or not, the one that each belongs to."""
        if self is outer:
            return np.arange(self.count)
        assert self.outer is not None, "asked of iterations around"
        return self.which if self.outer is outer else self.outer.within(outer)[self.which]

    def at(self, place: int) -> dict[str, int]:
        """The values of all variables in one iteration, the outermost first."""
        around = {} if self.outer is None else self.outer.at(int(self.which[place]))
        return {**around, **{name: int(column[place]) for name, column in self._values.items()}}


def distinct(columns: Sequence[IntArray], count: int) -> tuple[list[tuple[int, ...]], IntArray]:
    """The different rows of columns.

    Args:
        columns: int64[count], or one number for all rows.
        count: of rows, at least 1.

    Returns:
        The different rows, and the number of its own for each, int64[count].
    """
    numbers = np.zeros(count, np.int64)
    for column in columns:
        if column.ndim and (column != column[0]).any():
            values, ranks = np.unique(column, return_inverse=True)
            # Numbered anew each time, so that products stay small.
            numbers = np.unique(numbers * len(values) + ranks, return_inverse=True)[1]
    firsts = np.unique(numbers, return_index=True)[1].tolist()
    return [tuple(int(c[first] if c.ndim else c) for c in columns) for first in firsts], numbers
