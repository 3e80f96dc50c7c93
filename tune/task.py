"""One thing to tune: a space of points, what is known of their cost, and what of it other tasks can use."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.space.point import Point
from tilewright.compiler.space.space import Columns, Positions, Space
from tilewright.tune.error import TuneError

Estimate = Callable[[Columns], NDArray[np.float64]]
Refine = Callable[[Positions], NDArray[np.float64]]
Features = Callable[[Columns], NDArray[np.float32]]

UNITS = ("cycles", "seconds")


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is tuned, without the device that measures it.

    Members:
        key: the structure that is tuned, as canonical text: tasks of equal keys are the same work.
        target: what runs it, by name.
        machine: which machine of that target: a digest of its configuration, or features of a host.
        environment: what else the cost depends on, by name: the latency of memory.
        space: the points.
        default: the point that is taken without tuning; it is measured first. None if nobody knows one.
        unit: of costs: `cycles` or `seconds`.
        estimate: the machine's own model of the cost, cheap: of any number of points at once, float64 [n] in
            `unit`, above 0. None where nothing is known.
        refine: a better and dearer model of the same, asked for hundreds of points at a time at most.
        features: of points, float32 [n, len(feature_names)]: what tasks of one kind have in common, so that
            costs of one say something of another.
        feature_names: equal for all tasks of a kind.
        weight: the time of all its uses, as a share of the network's or in any unit that tasks tuned together
            have in common; above 0.

    Raises:
        TuneError: with all that is wrong.
    """

    key: str
    target: str
    machine: str
    environment: tuple[tuple[str, float], ...] = ()
    space: Space
    default: Point | None = None
    unit: str
    estimate: Estimate | None = None
    refine: Refine | None = None
    features: Features | None = None
    feature_names: tuple[str, ...] = ()
    weight: float = 1.0

    def __post_init__(self) -> None:
        if problems := [problem for problem in self._problems() if problem]:
            raise TuneError(f"task {self.key!r}: " + "; ".join(problems))

    def _problems(self) -> Iterable[str]:
        if self.unit not in UNITS:
            yield f"the unit must be one of {', '.join(UNITS)}, not {self.unit!r}"
        if not self.weight > 0:
            yield f"the weight must be above 0, not {self.weight!r}"
        if (self.features is None) != (not self.feature_names):
            yield f"features must have names, and names features, not {self.feature_names!r}"
        if len(set(self.feature_names)) != len(self.feature_names):
            yield f"names of features must come once each, not {self.feature_names!r}"
        if self.default is not None and (why := self.space.refuse(self.default)) is not None:
            yield f"the default must fit, but {why}"

    @property
    def identity(self) -> tuple[str, str, str, tuple[tuple[str, float], ...]]:
        """What makes two tasks the same: key, target, machine and environment."""
        return self.key, self.target, self.machine, self.environment


def merged(tasks: Iterable[Task]) -> list[Task]:
    """Each task once, in the order in which they come first, with the weight of all that are equal to it."""
    found: dict[object, Task] = {}
    for task in tasks:
        first = found.get(task.identity)
        found[task.identity] = replace(first, weight=first.weight + task.weight) if first else task
    return list(found.values())
