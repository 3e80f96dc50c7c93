"""What the machine's own models say of a task's points, and the search that asks nobody else."""

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.space import Positions
from tilewright.tune.search.move import distinct, offspring
from tilewright.tune.search.search import Search
from tilewright.tune.task import Task

_ENUMERATED = 1 << 17
"""The largest space of which every point is estimated."""
_DRAWN = 1 << 13
_GENERATIONS, _PARENTS, _CHILDREN = 12, 256, 1024
REFINED = 512
"""How many points are refined at a time at most."""
_ALIKE = 8
"""How many points with one estimate, which are alike to it, come before it is the turn of those behind."""
_AT_FIRST, _REFINED_PARENTS, _REFINED_GENERATIONS = REFINED // 2, 64, 4
"""Points that are refined by their estimate; generations, of as many in all, that descend from the best."""


class Prior:
    """A task's estimate and its refinement, each point refined once.

    Args:
        task: whose.
        rng: draws points of spaces that are too large to be listed.
    """

    def __init__(self, task: Task, rng: np.random.Generator) -> None:
        self._task, self._rng = task, rng
        self._refined: dict[int, float] = {}
        self._ranking: Positions | None = None

    @property
    def says_something(self) -> bool:
        """Whether the task has an estimate or a refinement."""
        return self._task.estimate is not None or self._task.refine is not None

    def estimated(self, positions: Positions) -> NDArray[np.float64]:
        """Of points [n], in the task's unit; all alike where the task has no estimate."""
        if self._task.estimate is None or not len(positions):
            return np.ones(len(positions))
        return np.asarray(self._task.estimate(self._task.space.columns(positions)), np.float64)

    def is_refined(self, positions: Positions) -> NDArray[np.bool_]:
        """Which points [n] cost nothing to refine, since they were."""
        numbers = self._task.space.numbers(positions).tolist()
        return np.array([number in self._refined for number in numbers], np.bool_)

    def refined(self, positions: Positions) -> NDArray[np.float64] | None:
        """Of points [n], in the task's unit; None where the task has no refinement."""
        if self._task.refine is None:
            return None
        new = positions[~self.is_refined(positions)]
        for first in range(0, len(new), REFINED):
            part = new[first : first + REFINED]
            costs = np.asarray(self._task.refine(part), np.float64).tolist()
            self._refined.update(zip(self._task.space.numbers(part).tolist(), costs, strict=True))
        numbers = self._task.space.numbers(positions).tolist()
        return np.array([self._refined[number] for number in numbers], np.float64)

    def ranking(self) -> Positions:
        """Points by what is foretold of them, the best first: the first ones by their refinement.

        The estimate knows not all that matters, so the best may be beside what it likes: of what is refined,
        half descends from the best of the other half.
        """
        if self._ranking is None:
            pool = self._pool()
            ordered = pool[_by_turns(self.estimated(pool))]
            if self._task.refine is not None:
                first = self._refined_first(ordered[:_AT_FIRST])
                ordered = distinct(self._task.space, np.concatenate([first, ordered]))
            self._ranking = ordered
        return self._ranking

    def _refined_first(self, pool: Positions) -> Positions:
        """The best by their refinement, of points and of what descends from them."""
        space, count = self._task.space, _AT_FIRST // _REFINED_GENERATIONS
        for _ in range(_REFINED_GENERATIONS if len(pool) else 0):
            costs = self._refined_costs(pool)
            order = np.argsort(costs, kind="stable")[:_REFINED_PARENTS]
            born = offspring(self._rng, space, pool[order], costs[order], count)
            pool = distinct(space, np.concatenate([pool, space.that_fit(born)]))
        return pool[np.argsort(self._refined_costs(pool), kind="stable")]

    def _refined_costs(self, pool: Positions) -> NDArray[np.float64]:
        costs = self.refined(pool)
        assert costs is not None, "the task has a refinement"
        return costs

    def _pool(self) -> Positions:
        """Every point that fits, or as many as evolution finds good by their estimate."""
        space = self._task.space
        if space.size <= _ENUMERATED:
            return space.all_that_fit()
        pool = space.sample(self._rng, _DRAWN)
        for _ in range(_GENERATIONS if self._task.estimate is not None and len(pool) else 0):
            costs = self.estimated(pool)
            order = _by_turns(costs)[:_PARENTS]
            born = offspring(self._rng, space, pool[order], costs[order], _CHILDREN)
            pool = distinct(space, np.concatenate([pool, space.that_fit(born)]))
        return pool


def _by_turns(costs: NDArray[np.float64]) -> NDArray[np.int64]:
    """The order of costs, rising in turns: of equal ones, `_ALIKE` come in a turn."""
    order = np.argsort(costs, kind="stable")
    rising = costs[order]
    turns = (np.arange(len(order)) - np.searchsorted(rising, rising)) // _ALIKE
    found: NDArray[np.int64] = order[np.argsort(turns, kind="stable")]
    return found


class PriorSearch(Search):
    """Goes down the list of what the machine's own models say; by chance where they say nothing."""

    def __init__(self, task: Task, seed: int = 0) -> None:
        super().__init__(task, seed)
        self._prior = Prior(task, self.rng)
        self._at = 0

    def _propose(self, count: int) -> Positions:
        if not self._prior.says_something:
            return self.task.space.sample(self.rng, count)
        found = self._prior.ranking()[self._at : self._at + count]
        self._at += len(found)
        return found

    def predict(self, positions: Positions) -> NDArray[np.float64] | None:
        """What the better of the models foretells, in the task's unit."""
        if not self._prior.says_something:
            return None
        refined = self._prior.refined(positions)
        return self._prior.estimated(positions) if refined is None else refined
