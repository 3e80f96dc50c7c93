"""Searches that learn nothing: what others are compared with."""

from math import gcd

import numpy as np

from tilewright.compiler.space.space import Positions
from tilewright.tune.search.search import Search
from tilewright.tune.task import Task

_LOOKED_AT = 1 << 16
"""How many points of a grid are looked at for a batch, whether they fit or not."""
_GOLDEN = 0.6180339887498949


class RandomSearch(Search):
    """Draws evenly from the points that fit."""

    def _propose(self, count: int) -> Positions:
        return self.task.space.sample(self.rng, count)


class GridSearch(Search):
    """Strides evenly through the space, each point once: however soon it ends, what it saw lies evenly.

    The stride is the golden section of the size, made coprime to it: a Weyl sequence.
    """

    def __init__(self, task: Task, seed: int = 0) -> None:
        super().__init__(task, seed)
        self._size = task.space.size
        self._stride = _stride(self._size)
        self._at = int(self.rng.integers(self._size))
        self._seen = 0

    def _propose(self, count: int) -> Positions:
        found: list[Positions] = []
        looked, wanted = 0, count
        while wanted > 0 and looked < _LOOKED_AT and self._seen < self._size:
            # No more than is missing, so that nothing is passed over.
            fitting = self.task.space.that_fit(self._next(min(wanted, self._size - self._seen)))
            found.append(fitting)
            looked += wanted
            wanted -= len(fitting)
        return np.concatenate(found) if found else self.measured[:0]

    def _next(self, count: int) -> Positions:
        numbers = [(self._at + step * self._stride) % self._size for step in range(count)]
        self._at = (self._at + count * self._stride) % self._size
        self._seen += count
        return self.task.space.positions(np.array(numbers, np.int64))


def _stride(size: int) -> int:
    """The coprime of the size that is next to its golden section."""
    stride = max(1, round(size * _GOLDEN))
    while gcd(stride, size) != 1:
        stride += 1
    return stride
