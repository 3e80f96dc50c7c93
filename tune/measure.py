"""How points are measured, whoever does it: the protocol between searches, workers and clusters."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tilewright.compiler.space.point import Point
from tilewright.tune.outcome import Outcome


class Runner(Protocol):
    """Measures a point, in whatever process it is called; it must be picklable.

    It compiles, runs, compares the answer with the meaning, and counts. What the compiler refuses is an
    outcome; an exception that nobody foresaw is made one (CRASHED) by who calls.
    """

    def __call__(self, point: Point) -> Outcome:
        """The outcome of a point."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One point to measure.

    Members:
        runner: how.
        point: what.
        timeout_seconds: after which it is stopped, by force where need be.
        resource: what a worker must have to take it: `sim`, `cpu`, `board:NAME`.
    """

    runner: Runner
    point: Point
    timeout_seconds: float = 60.0
    resource: str = "sim"


class Measure(Protocol):
    """Measures jobs, several at a time, and says each outcome as it arrives.

    Every job has exactly one outcome; none raises.
    """

    @property
    def slots(self) -> int:
        """How many jobs run at a time."""

    def __call__(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Outcome]]:
        """The jobs with their outcomes, in the order in which they arrive."""

    def close(self) -> None:
        """End the workers."""
