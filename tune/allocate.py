"""Trials to tasks: each gets a few, then whoever's next batch shortens the whole the most."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.tune.error import TuneError
from tilewright.tune.harness import Budget

_EXPLORED = 0.05
"""The share of batches that go to tasks by their share of time alone, whatever they gained."""
_MEMORY = 0.5
"""How much of what was gained before counts, a batch later."""
_HOPE = 0.01
"""The share that a batch of a task is hoped to gain besides, divided by how many it had: where nothing gains
any more, trials go by time."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Whose batch is next.

    Members:
        task: its index.
        count: how many points.
    """

    task: int
    count: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What a turn came to.

    Members:
        best_cost: the best of the task so far, in any unit; infinite if nothing was right yet.
        measured: how many points were measured.
        seconds: that it took.
        is_over: whether the task has no more points.
    """

    best_cost: float
    measured: int
    seconds: float = 0.0
    is_over: bool = False


@dataclass
class _State:
    """A task while trials are given to it.

    Members:
        weight: the time of all its uses before tuning.
        first_cost: of its first batch: the default is in it.
        best_cost: so far.
        trials, batches, seconds: so far.
        gain: what a batch shortened its time by of late, as a share of it.
        is_over: no more points.
    """

    weight: float
    first_cost: float = np.inf
    best_cost: float = np.inf
    trials: int = 0
    batches: int = 0
    seconds: float = 0.0
    gain: float = 1.0
    is_over: bool = False

    @property
    def time(self) -> float:
        """Of all its uses, as it stands."""
        known = np.isfinite(self.first_cost)
        return self.weight * (self.best_cost / self.first_cost if known else 1.0)

    def worth(self, is_by_seconds: bool) -> float:
        """The time that a trial, or a second, is expected to gain."""
        price = self.seconds / max(1, self.trials) if is_by_seconds else 1.0
        return self.time * (self.gain + _HOPE / max(1, self.batches)) / max(price, 1e-9)

    def tell(self, progress: Progress) -> None:
        before, self.best_cost = self.best_cost, min(self.best_cost, progress.best_cost)
        if np.isinf(before):
            self.first_cost = self.best_cost
        if np.isfinite(before) or np.isinf(self.best_cost):
            gained = 1 - self.best_cost / before if np.isfinite(before) else 0.0
            self.gain = _MEMORY * self.gain + (1 - _MEMORY) * gained
        self.trials += progress.measured
        self.batches += 1
        self.seconds += progress.seconds
        # A turn without a point would come again for ever.
        self.is_over = progress.is_over or not progress.measured


def turns(
    weights: Sequence[float], budget: Budget, *, batch: int = 16, minimum: int = 32, seed: int = 0
) -> Generator[Turn, Progress, None]:
    """Say whose batch is next, and be told what it came to; it ends with the budget or the points.

    First each task gets `minimum`, the longest first, or an even part where trials are too few for that. Then
    the next batch goes where the most time is expected to be gained: the time of a task × the share that its
    last batches took off it, the earlier ones halved with each. So a task of a thousandth of the time gets
    its minimum and little more, however well it does. Without a budget of trials what counts is the gain of
    a second, so that points that are slow to measure are dear.

    Args:
        weights: [n] the time of all uses of each task, in one unit; equal tasks are one (see `merged`).
        budget: of all tasks together.
        batch: points of a turn.
        minimum: points of each task before any is preferred.
        seed: of the share of turns that goes to tasks by their time alone.

    Raises:
        TuneError: if a weight or a number is not above 0.
    """
    _hold(weights, batch, minimum)
    states, rng = [_State(weight=weight) for weight in weights], np.random.default_rng(seed)
    least = minimum if budget.trials is None else max(1, min(minimum, budget.trials // len(weights)))
    done, seconds = 0, 0.0
    while (count := budget.batch(done, seconds, batch)) and not all(state.is_over for state in states):
        task = _next(states, least, rng, budget.trials is None)
        missing = least - states[task].trials
        progress = yield Turn(task=task, count=min(count, missing) if missing > 0 else count)
        states[task].tell(progress)
        done, seconds = done + progress.measured, seconds + progress.seconds


def _next(states: list[_State], least: int, rng: np.random.Generator, is_by_seconds: bool) -> int:
    remaining = [n for n, state in enumerate(states) if not state.is_over]
    first = [n for n in remaining if states[n].trials < least]
    if first:
        return max(first, key=lambda n: states[n].weight)
    if rng.random() < _EXPLORED:
        times = np.array([states[n].time for n in remaining])
        return int(rng.choice(remaining, p=times / times.sum()))
    return max(remaining, key=lambda n: states[n].worth(is_by_seconds))


def _hold(weights: Sequence[float], batch: int, minimum: int) -> None:
    problems = [f"weights must be above 0, not {weight!r}" for weight in weights if not weight > 0]
    if not weights:
        problems.append("there must be a task")
    for name, value in (("batch", batch), ("minimum", minimum)):
        if value < 1:
            problems.append(f"{name} must be at least 1, not {value!r}")
    if problems:
        raise TuneError("; ".join(problems))
