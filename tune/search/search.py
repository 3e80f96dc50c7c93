"""What searches have in common: no point comes twice, the default comes first, outcomes are remembered."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.space import Positions
from tilewright.tune.error import TuneError
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.task import Task

_ATTEMPTS = 4
"""How often a search is asked for points before chance fills what is missing."""


class Search(ABC):
    """Proposes points of a task and learns from their outcomes.

    The task's default is proposed first: whatever follows, the best is never worse than it. What was measured
    before is learned at the start, by `learn`, and not proposed again. Equal seeds and outcomes give equal
    proposals.

    Args:
        task: whose points.
        seed: of all chance.
    """

    def __init__(self, task: Task, seed: int = 0) -> None:
        self.task = task
        self.rng = np.random.default_rng(seed)
        self._taken: set[int] = set()
        self.measured: Positions = np.empty((0, len(task.space.knobs)), np.int64)
        """Points whose outcome is known [n, knobs], in the order in which they were learned."""
        self.costs: NDArray[np.float64] = np.empty(0)
        """Of these, float64 [n]; infinite where there is none."""
        self.refused: NDArray[np.bool_] = np.empty(0, np.bool_)
        """Whether they were refused or wrong, which says something of the points near them."""

    # --- ask and tell --------------------------------------------------------------------------------------

    def propose(self, count: int) -> Positions:
        """Up to `count` points that fit and were never proposed; fewer only where no more are found."""
        found = self._first()[:count]
        for _ in range(_ATTEMPTS):
            if len(found) == count:
                return found
            wanted = self._take(self._propose(count - len(found)), count - len(found))
            found = np.concatenate([found, wanted])
        return np.concatenate([found, self._by_chance(count - len(found))])

    def learn(self, positions: Positions, outcomes: Sequence[Outcome]) -> None:
        """Take note of the outcomes of points, proposed here or measured before.

        Raises:
            TuneError: if there is not one outcome for each point.
        """
        if len(positions) != len(outcomes):
            raise TuneError(f"{len(positions)} points must have as many outcomes, not {len(outcomes)}")
        final = np.array([outcome.is_final for outcome in outcomes], np.bool_)
        numbers = self.task.space.numbers(positions)
        self._taken.update(numbers[final].tolist())
        # Those may be proposed again.
        self._taken.difference_update(numbers[~final].tolist())
        kept = [outcome for outcome in outcomes if outcome.is_final]
        costs = np.array([np.inf if each.cost is None else each.cost for each in kept], np.float64)
        refused = np.array([each.kind in (Kind.REFUSED, Kind.WRONG) for each in kept], np.bool_)
        self.measured = np.concatenate([self.measured, positions[final]])
        self.costs = np.concatenate([self.costs, costs])
        self.refused = np.concatenate([self.refused, refused])
        self._learn(positions[final], costs)

    def predict(self, positions: Positions) -> NDArray[np.float64] | None:
        """What is expected of the order of points [n], smaller for better; None if nothing is."""
        return None

    # --- for searches --------------------------------------------------------------------------------------

    @abstractmethod
    def _propose(self, count: int) -> Positions:
        """Points worth measuring, the best first; who calls leaves out what does not fit or is taken."""

    def _learn(self, positions: Positions, costs: NDArray[np.float64]) -> None:  # noqa: B027
        """Take note of costs; of the points that have none they are infinite."""

    def _best(self, count: int) -> Positions:
        """The best measured points that have a cost, the best first."""
        order = np.argsort(self.costs, kind="stable")[:count]
        best: Positions = self.measured[order[np.isfinite(self.costs[order])]]
        return best

    def _is_taken(self, positions: Positions) -> NDArray[np.bool_]:
        numbers = self.task.space.numbers(positions).tolist()
        return np.array([number in self._taken for number in numbers], np.bool_)

    # --- inside --------------------------------------------------------------------------------------------

    def _first(self) -> Positions:
        """The default, if it was never proposed."""
        default = [] if self.task.default is None else [self.task.default]
        return self._take(self.task.space.positions_of(default), 1)

    def _take(self, positions: Positions, count: int) -> Positions:
        """The first of these that fit and are not taken, each once; they are taken now."""
        fitting = self.task.space.that_fit(positions)
        kept: list[int] = []
        for row, number in enumerate(self.task.space.numbers(fitting).tolist()):
            if number not in self._taken and len(kept) < count:
                self._taken.add(number)
                kept.append(row)
        taken: Positions = fitting[np.array(kept, np.int64)]
        return taken

    def _by_chance(self, count: int) -> Positions:
        """Points drawn evenly from those that are left."""
        if not count:
            return self.measured[:0]
        found = self._take(self.task.space.sample(self.rng, 2 * count), count)
        if len(found) == count:
            return found
        # As many as this hold enough that are new, if there are enough.
        rest = self.task.space.sample(self.rng, count + len(self._taken))
        return np.concatenate([found, self._take(rest, count - len(found))])
