"""The search by models: evolution on what is learned over the machine's own model, with exploration."""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.space import Positions
from tilewright.tune.feature import Table, describe
from tilewright.tune.model import CostModel
from tilewright.tune.search.level import Level
from tilewright.tune.search.move import all_neighbours, distinct, diverse, offspring
from tilewright.tune.search.prior import Prior
from tilewright.tune.search.search import Search
from tilewright.tune.task import Task

_EXPLORED = 0.1
_FROM_PRIOR, _BEST, _DRAWN = 256, 16, 256
_GENERATIONS, _PARENTS, _CHILDREN = 3, 64, 256
_SHORTLIST = 128
"""Points of a batch's pool that are refined, if they were not."""


class GuidedSearch(Search):
    """Measures what a model thinks best of a pool, and learns.

    The pool: the best by the machine's own models, neighbours of the best measured, points by chance, and the
    offspring of the best of these by score. A task's refinement scores a shortlist. A share of each batch is
    drawn by chance, so that a model that misleads is found out.

    Args:
        task: whose points.
        seed: of all chance.
        transferred: learned from other tasks of the same kind, from portable features.
        explored: the share drawn by chance.

    Raises:
        TuneError: if the transferred model has learned from other features.
    """

    def __init__(
        self, task: Task, seed: int = 0, *, transferred: CostModel | None = None, explored: float = _EXPLORED
    ) -> None:
        super().__init__(task, seed)
        self._explored = explored
        self._prior = Prior(task, self.rng)
        self._cheap = Level(
            partial(describe, task),
            partial(describe, task, portable=True),
            task.estimate is not None,
            transferred,
        )
        self._dear = Level(self._described, self._described, True, None) if task.refine is not None else None
        # Else it would be found out after the first batch.
        self._cheap.table(self.measured)

    def _described(self, positions: Positions) -> Table:
        return describe(self.task, positions, refined=self._prior.refined(positions))

    # --- ask and tell --------------------------------------------------------------------------------------

    def _propose(self, count: int) -> Positions:
        if not (self._cheap.knows_something or self._dear is not None):
            return self.task.space.sample(self.rng, count)
        by_chance = min(count, int(count * self._explored + self.rng.random()))
        chosen = diverse(self._ranked(), count - by_chance)
        return np.concatenate([chosen, self.task.space.sample(self.rng, count - len(chosen))])

    def _learn(self, positions: Positions, costs: NDArray[np.float64]) -> None:
        for level in (self._cheap, self._dear):
            if level is not None:
                level.learn(self.measured, self.costs, self.refused)

    def predict(self, positions: Positions) -> NDArray[np.float64] | None:
        """The logarithm of the cost, as the model stands."""
        if self._dear is not None:
            return self._dear.cost(positions)
        return self._cheap.cost(positions) if self._cheap.knows_something else None

    # --- the pool ------------------------------------------------------------------------------------------

    def _ranked(self) -> Positions:
        """Points of the pool that are not taken, the best first."""
        pool = self._pool()
        scores = self._cheap.score(pool)
        if self._dear is not None:
            worth = self._prior.is_refined(pool)
            worth[np.argsort(scores, kind="stable")[:_SHORTLIST]] = True
            pool = pool[worth]
            scores = self._dear.score(pool)
        ranked: Positions = pool[np.argsort(scores, kind="stable")]
        return ranked

    def _pool(self) -> Positions:
        space = self.task.space
        best = self._best(_BEST)
        pool = np.concatenate([best, all_neighbours(space, best), space.sample(self.rng, _DRAWN)])
        if self._prior.says_something:
            ranking = self._prior.ranking()[: len(self._taken) + _FROM_PRIOR]
            free = ranking[~self._is_taken(ranking)]
            pool = np.concatenate([free[:_FROM_PRIOR], pool])
        pool = distinct(space, pool)
        for _ in range(_GENERATIONS):
            pool = self._evolved(pool)
        return pool[~self._is_taken(pool)]

    def _evolved(self, pool: Positions) -> Positions:
        """The pool with offspring of its best; those that are measured are parents too."""
        scores = self._cheap.score(pool)
        order = np.argsort(scores, kind="stable")[:_PARENTS]
        born = offspring(self.rng, self.task.space, pool[order], scores[order], _CHILDREN)
        return distinct(self.task.space, np.concatenate([pool, self.task.space.that_fit(born)]))
