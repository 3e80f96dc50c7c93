"""What is known of a task's points at one price: a description, a prior, and models that learn from it."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.space import Positions
from tilewright.tune.feature import Table, based_on
from tilewright.tune.model import CostModel, Objective, RefusalModel, Samples

Describe = Callable[[Positions], Table]

_ENOUGH = 8
"""Points with a cost, before a model is made of them."""
_ENOUGH_REFUSED = 3
_TRANSFERRED = "log cost learned elsewhere"


class Level:
    """Scores points by the best that is known: the prior, what was learned elsewhere, what is learned here.

    Each corrects the one before it as a residual, and believes it as far as it holds.

    Args:
        describe: the features of points, with a prior.
        portable: the same without what only this task has.
        knows: whether the prior says something.
        transferred: learned from other tasks.

    Raises:
        TuneError: if the transferred model has learned from other features.
    """

    def __init__(
        self, describe: Describe, portable: Describe, knows: bool, transferred: CostModel | None
    ) -> None:
        self._describe, self._portable, self._transferred = describe, portable, transferred
        self._cost: CostModel | None = None
        self._refusal: RefusalModel | None = None
        self._spread = 0.0
        self.knows_something = knows or transferred is not None

    def table(self, positions: Positions) -> Table:
        """Features and prior of points, with what was learned elsewhere."""
        table = self._describe(positions)
        if self._transferred is None:
            return table
        return based_on(table, _TRANSFERRED, self._transferred.predict(self._portable(positions)))

    def learn(self, positions: Positions, costs: NDArray[np.float64], refused: NDArray[np.bool_]) -> None:
        """Make models anew from all points whose outcome is known; costs are infinite where there is none."""
        table, has_cost = self.table(positions), np.isfinite(costs)
        if has_cost.sum() >= _ENOUGH:
            samples = Samples(table=table.rows(has_cost), costs=costs[has_cost])
            self._cost = CostModel.fit([samples], objective=Objective.ORDER)
            self._spread = float(np.log(costs[has_cost]).std())
            self.knows_something = True
        judged = has_cost | refused
        if refused.sum() >= _ENOUGH_REFUSED and has_cost.any():
            self._refusal = RefusalModel.fit(table.rows(judged), refused[judged])

    def cost(self, positions: Positions) -> NDArray[np.float64]:
        """The logarithm of the cost of points [n], as far as it is known."""
        return self._cost_of(self.table(positions))

    def score(self, positions: Positions) -> NDArray[np.float64]:
        """The same, worse for points that are more likely refused than not."""
        table = self.table(positions)
        cost = self._cost_of(table)
        if self._refusal is None or not len(positions):
            return cost
        # By how much worse a point is than one whose chances are even: the best ones lie beside the refused.
        likely = np.clip(self._refusal.predict(table), 0.0, 0.999)
        return cost + self._spread * np.maximum(0.0, np.log(likely / (1 - likely) + 1e-9))

    def _cost_of(self, table: Table) -> NDArray[np.float64]:
        return table.prior if self._cost is None else self._cost.predict(table)
