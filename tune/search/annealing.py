"""Simulated annealing."""

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.space import Positions
from tilewright.tune.search.search import Search
from tilewright.tune.task import Task

_CHAINS = 16
_HOTTEST, _COOLING = 0.3, 0.99
"""Temperatures: differences of the logarithm of the cost; the share that a measured point leaves."""
_WALK = 64
"""Steps that a chain goes over points that are known, to find one that is not."""


class AnnealingSearch(Search):
    """Chains that step to neighbours: always to better ones, to worse ones the less the colder it is."""

    def __init__(self, task: Task, seed: int = 0) -> None:
        super().__init__(task, seed)
        self._chains: list[tuple[NDArray[np.int64], float]] = []
        """Where each is, and the logarithm of its cost."""
        self._known: dict[int, float] = {}
        self._asked: dict[int, int] = {}
        """The chain that asked for a point."""
        self._turn = 0

    @property
    def temperature(self) -> float:
        """It falls with each measured point."""
        return float(_HOTTEST * _COOLING ** len(self.measured))

    def _propose(self, count: int) -> Positions:
        if len(self._chains) < _CHAINS:
            return self.task.space.sample(self.rng, count)
        rows = []
        for _ in range(count):
            row = self._step(self._turn)
            if row is not None:
                rows.append(row)
                self._asked[self._number(row)] = self._turn
            self._turn = (self._turn + 1) % _CHAINS
        return np.array(rows, np.int64).reshape(-1, len(self.task.space.knobs))

    def _step(self, chain: int) -> NDArray[np.int64] | None:
        """An unknown neighbour of where the chain comes over known ones; None if it meets none."""
        for _ in range(_WALK):
            near = self.task.space.neighbours(self._chains[chain][0])
            if not len(near):
                return None
            row: NDArray[np.int64] = near[self.rng.integers(len(near))]
            number = self._number(row)
            if number in self._known:
                self._accept(chain, row, self._known[number])
            elif number not in self._taken:
                return row
        return None

    def _learn(self, positions: Positions, costs: NDArray[np.float64]) -> None:
        for row, cost in zip(positions, np.log(costs).tolist(), strict=True):
            number = self._number(row)
            self._known[number] = cost
            chain = self._asked.pop(number, None)
            if chain is not None:
                self._accept(chain, row, cost)
            elif len(self._chains) < _CHAINS and np.isfinite(cost):
                self._chains.append((row, cost))

    def _accept(self, chain: int, row: NDArray[np.int64], cost: float) -> None:
        worse = cost - self._chains[chain][1]
        if worse <= 0 or self.rng.random() < np.exp(-worse / self.temperature):
            self._chains[chain] = row, cost

    def _number(self, row: NDArray[np.int64]) -> int:
        return int(self.task.space.numbers(row[None])[0])
