"""Measuring in this process, one job after the other: for tests, and spaces of a few points."""

from collections.abc import Iterable, Iterator

from tilewright.tune.attempt import attempt
from tilewright.tune.measure import Job
from tilewright.tune.outcome import Outcome


class Inline:
    """Measures without workers: what ends a runner's process ends this one, and no timeout is kept."""

    slots = 1

    def __call__(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Outcome]]:
        """The jobs with their outcomes, in their order."""
        for job in jobs:
            yield job, attempt(job.runner, job.point)

    def close(self) -> None:
        """Nothing is open."""
