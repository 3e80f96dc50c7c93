"""How dense good points lie in a space, by a model of their cost: what a search has to find."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.tune.error import TuneError
from tilewright.tune.task import Task

SHARES = (0.99, 0.9, 0.5)
"""Of the best speed: for these the density is told."""
_TRIED = 4096
"""Points drawn from the whole space, for the share of those that fit."""


@dataclass(frozen=True, kw_only=True)
class Density:
    """What a sample says of a space.

    Members:
        knobs: how many values each has, by name.
        size: points, whether they fit or not.
        fitting: the share of them that fits, estimated.
        sample: how many that fit were looked at.
        good: by `SHARES`, the share of these that is at least so fast as the best one of sample and default.
        median: the median cost over the best.
        default: the best speed's share that the default has; None if there is none.
    """

    knobs: dict[str, int]
    size: int
    fitting: float
    sample: int
    good: dict[float, float]
    median: float
    default: float | None


def density(task: Task, *, sample: int = 256, seed: int = 0) -> Density:
    """The density of a task's space, by its own best model; nothing is measured.

    Raises:
        TuneError: if the task has no model of its cost.
    """
    if task.refine is None and task.estimate is None:
        raise TuneError(
            f"task {task.key!r} must have a model of its cost to tell the density: measure instead"
        )
    rng, space = np.random.default_rng(seed), task.space
    drawn = space.positions(rng.integers(0, space.size, _TRIED))
    positions = space.sample(rng, sample)
    costs = _costs(task, positions)
    default = None
    if task.default is not None:
        default = float(_costs(task, space.positions_of([task.default]))[0])
    best = min(float(costs.min()), np.inf if default is None else default)
    return Density(
        knobs={knob.name: len(knob.values) for knob in space.knobs},
        size=space.size,
        fitting=len(space.that_fit(drawn)) / _TRIED,
        sample=len(positions),
        good={share: float(np.mean(costs <= best / share)) for share in SHARES},
        median=float(np.median(costs)) / best,
        default=None if default is None else best / default,
    )


def _costs(task: Task, positions: NDArray[np.int64]) -> NDArray[np.float64]:
    if task.refine is not None:
        return task.refine(positions)
    assert task.estimate is not None, "checked by who calls"
    return task.estimate(task.space.columns(positions))
