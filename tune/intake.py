"""Which job next: taken from the caller no earlier than a slot is free, and as resources allow."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tilewright.tune.measure import Job


@dataclass(eq=False)
class Ticket:
    """A job on its way.

    Members:
        job: itself.
        tries: how often it was given to a worker that went away with it.
    """

    job: Job
    tries: int = 0


class Intake:
    """Jobs that wait and jobs that run.

    Args:
        jobs: read one by one, as slots become free.
        slots: says how many jobs may be on their way.
        limit: of a resource: how many jobs may use it at a time.
    """

    def __init__(self, jobs: Iterable[Job], *, slots: Callable[[], int], limit: Callable[[str], int]) -> None:
        self._jobs = iter(jobs)
        self._slots = slots
        self._limit = limit
        self._is_exhausted = False
        self._waiting: deque[Ticket] = deque()
        self._running: Counter[str] = Counter()

    @property
    def is_empty(self) -> bool:
        """Whether every job is done; asking may take one from the caller."""
        self._fill()
        return not self._waiting and not self._running.total()

    @property
    def waiting(self) -> tuple[Ticket, ...]:
        """The jobs that do not run yet."""
        return tuple(self._waiting)

    def start(self) -> Ticket | None:
        """A job that may run now and from now on counts as running; None: none may."""
        self._fill()
        for ticket in self._waiting:
            resource = ticket.job.resource
            if self._running[resource] < self._limit(resource):
                self._waiting.remove(ticket)
                self._running[resource] += 1
                return ticket
        return None

    def give_back(self, ticket: Ticket) -> None:
        """A running job waits again, before the others."""
        self._running[ticket.job.resource] -= 1
        self._waiting.appendleft(ticket)

    def finish(self, ticket: Ticket) -> None:
        """A running job has its outcome."""
        self._running[ticket.job.resource] -= 1

    def drop(self, ticket: Ticket) -> None:
        """A waiting job has its outcome."""
        self._waiting.remove(ticket)

    def _fill(self) -> None:
        while not self._is_exhausted and len(self._waiting) + self._running.total() < self._slots():
            try:
                self._waiting.append(Ticket(next(self._jobs)))
            except StopIteration:
                self._is_exhausted = True
