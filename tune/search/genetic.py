"""A genetic search."""

import numpy as np

from tilewright.compiler.space.space import Positions
from tilewright.tune.search.move import offspring
from tilewright.tune.search.search import Search

_POPULATION = 32


class GeneticSearch(Search):
    """The best points measured so far, paired by tournament: uniform crossover, then mutation."""

    def _propose(self, count: int) -> Positions:
        parents = self._best(_POPULATION)
        if len(self.measured) < _POPULATION or len(parents) < 2:
            return self.task.space.sample(self.rng, count)
        # They are in order.
        scores = np.arange(len(parents), dtype=np.float64)
        return offspring(self.rng, self.task.space, parents, scores, 2 * count)
