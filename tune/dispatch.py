"""Jobs to the machines of a cluster and outcomes back, whatever becomes of machines and scheduler."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from tilewright.tune.error import TuneError
from tilewright.tune.fleet import Fleet, Machine
from tilewright.tune.intake import Intake, Ticket
from tilewright.tune.measure import Job
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.pool import Packer
from tilewright.tune.station import Answer, Order, version

TRIES = 3
"""Machines that go away, or fall silent, with one job."""
_TURN_SECONDS = 0.2
"""Between two looks at what nobody tells: deadlines, and whether the scheduler is there."""
_LOOK_SECONDS = 1.0
"""Between two looks at which machines there are."""
_SCHEDULER = ""
"""Among what may be missing, which else are resources."""
_SMALL_BYTES = 1 << 14
"""A runner up to this is sent with every job."""


@dataclass(frozen=True)
class Trouble:
    """In place of an answer: a job that came to nothing.

    Members:
        reason: why, in one line.
        may_retry: whether another try may help.
    """

    reason: str
    may_retry: bool


class Handle(Protocol):
    """A job that was sent."""

    def poll(self) -> Answer | Trouble | None:
        """What became of it; None: nothing yet. It does not wait."""

    def holder(self) -> str:
        """The address of the machine that has it; empty if nobody says."""

    def release(self) -> None:
        """Forget it."""


class Link(Protocol):
    """A way to a scheduler; nothing of it raises or waits without end."""

    address: str

    def is_up(self) -> bool:
        """Whether the scheduler is there."""

    def restore(self, patience_seconds: float) -> bool:
        """Wait until the scheduler is there again; whether it is."""

    def machines(self) -> Mapping[str, Machine] | None:
        """The machines by address; None if the scheduler does not say."""

    def send(self, order: Order, machines: Sequence[str] | None) -> Handle:
        """Have an order measured by one of these machines; None: by any."""

    def wait(self, seconds: float) -> None:
        """Return when something may have happened, or after this time."""

    def close(self) -> None:
        """Leave the scheduler."""


@dataclass(frozen=True)
class _Flight:
    """A job on its way.

    Members:
        ticket: the job.
        handle: what was sent.
        deadline: when it is given up, in time.monotonic().
    """

    ticket: Ticket
    handle: Handle
    deadline: float


class Dispatch:
    """Measures on the machines that a link leads to; a context manager.

    A job whose machine goes away or falls silent is given to another, and is LOST after three. While the
    scheduler is away, or no machine offers what a job needs, jobs wait for `patience_seconds`; what is still
    missing then is not waited for again in the same call.

    Args:
        link: to the scheduler.
        patience_seconds: for what may come back, and for an answer over twice the timeout of its job.
        tell: is given notes for the user, a line each.
    """

    def __init__(
        self, link: Link, *, patience_seconds: float, tell: Callable[[str], None] | None = None
    ) -> None:
        self._link = link
        self._patience_seconds = patience_seconds
        self._tell = tell
        self._fleet = Fleet()
        self._looked_at = float("-inf")
        self._pack = Packer()
        self._sent: set[str] = set()
        self._flights: list[_Flight] = []
        self._missing_since: dict[str, float] = {}
        self._is_heard = True
        self._is_gone = False
        self._is_measuring = False

    @property
    def slots(self) -> int:
        """How many jobs run at a time; it changes as machines come and go."""
        self._look()
        return max(1, self._fleet.slots)

    def __call__(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Outcome]]:
        """The jobs with their outcomes, in the order in which they arrive.

        Raises:
            TuneError: if an earlier call is neither finished nor closed.
        """
        if self._is_measuring:
            raise TuneError(
                "a cluster must finish its jobs, or have their iterator closed, before it takes others"
            )
        self._is_measuring = True
        self._forget_what_is_missing()
        intake = Intake(jobs, slots=lambda: self.slots, limit=self._fleet.capacity)
        try:
            while not intake.is_empty:
                for ticket, outcome in self._turn(intake):
                    yield ticket.job, outcome
        finally:
            self._is_measuring = False
            for flight in self._flights:
                flight.handle.release()
            self._flights.clear()

    def close(self) -> None:
        """Leave the scheduler; the machines stay as they are."""
        self._link.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- one turn ------------------------------------------------------------------------------------------

    def _turn(self, intake: Intake) -> list[tuple[Ticket, Outcome]]:
        self._look()
        found = [*self._send(intake), *self._give_up(intake), *self._collect(intake)]
        if not found:
            self._link.wait(_TURN_SECONDS)
        return found

    def _look(self) -> None:
        """See which machines there are, now and then, and wait for the scheduler where it is not there."""
        if self._link.is_up() and monotonic() < self._looked_at + _LOOK_SECONDS:
            return
        is_up = self._link.is_up() or self._link.restore(self._left(_SCHEDULER))
        machines = self._link.machines() if is_up else None
        self._looked_at = monotonic()
        self._fleet.update(machines or {})
        self._is_heard = machines is not None
        if self._is_heard:
            self._missing_since.pop(_SCHEDULER, None)
        self._is_gone = not self._is_heard and not self._left(_SCHEDULER)

    def _forget_what_is_missing(self) -> None:
        self._missing_since.clear()
        self._looked_at = float("-inf")
        self._is_gone = False

    def _left(self, name: str) -> float:
        """How long to wait yet for something that is missing."""
        since = self._missing_since.setdefault(name, monotonic())
        return max(0.0, since + self._patience_seconds - monotonic())

    # --- out -----------------------------------------------------------------------------------------------

    def _send(self, intake: Intake) -> Iterator[tuple[Ticket, Outcome]]:
        while (ticket := intake.start()) is not None:
            self._missing_since.pop(ticket.job.resource, None)
            try:
                self._launch(ticket)
            except TuneError as error:
                intake.finish(ticket)
                yield ticket, Outcome(kind=Kind.CRASHED, detail=str(error))

    def _launch(self, ticket: Ticket, station: str = "") -> None:
        """Send a job to any machine, or, with its runner, to one that lacks this."""
        job = ticket.job
        packed = self._pack(job.runner)
        is_sent = station != "" or len(packed.data) <= _SMALL_BYTES or packed.digest not in self._sent
        self._sent.add(packed.digest)
        order = Order(
            digest=packed.digest,
            runner=packed.data if is_sent else None,
            point=job.point,
            timeout_seconds=job.timeout_seconds,
            resource=job.resource,
        )
        fit = sorted(self._fleet.fit(job.resource)) if self._fleet.excludes(job.resource) else None
        handle = self._link.send(order, [station] if station else fit)
        self._flights.append(_Flight(ticket, handle, monotonic() + self._limit_seconds(job)))

    def _limit_seconds(self, job: Job) -> float:
        """For an answer: it may have to wait for jobs of other clients."""
        return 2 * job.timeout_seconds + self._patience_seconds

    def _give_up(self, intake: Intake) -> Iterator[tuple[Ticket, Outcome]]:
        """Jobs that wait for what no machine offers, and has not for long enough."""
        for ticket in intake.waiting:
            resource = ticket.job.resource
            if self._fleet.capacity(resource):
                continue
            reason = self._fleet.why_none(resource)
            if reason or self._is_gone or not self._left(resource):
                intake.drop(ticket)
                yield ticket, Outcome(kind=Kind.LOST, detail=reason or self._absence(resource))

    def _absence(self, resource: str) -> str:
        if not self._is_heard:
            return f"the scheduler at {self._link.address} is gone"
        return (
            f"no machine offers {resource}: start one with "
            f'`dask worker {self._link.address} --resources "{resource}=1"`'
        )

    # --- back ----------------------------------------------------------------------------------------------

    def _collect(self, intake: Intake) -> Iterator[tuple[Ticket, Outcome]]:
        for flight in list(self._flights):
            reply = flight.handle.poll()
            if reply is None and monotonic() > flight.deadline:
                reply = self._silence(flight)
            if reply is None:
                continue
            self._flights.remove(flight)
            flight.handle.release()
            outcome = self._outcome(flight.ticket, reply)
            if outcome is not None:
                intake.finish(flight.ticket)
                yield flight.ticket, outcome
            elif not (isinstance(reply, Answer) and reply.lacks_runner):
                intake.give_back(flight.ticket)

    def _silence(self, flight: _Flight) -> Trouble:
        holder = flight.handle.holder()
        self._fleet.fall_silent(holder)
        who = holder or "the cluster"
        seconds = self._limit_seconds(flight.ticket.job)
        return Trouble(f"{who} did not answer for {seconds:g} s", may_retry=True)

    def _outcome(self, ticket: Ticket, reply: Answer | Trouble) -> Outcome | None:
        """The end of a job; None if it is tried again."""
        if isinstance(reply, Trouble):
            ticket.tries += 1
            if reply.may_retry and ticket.tries < TRIES:
                return None
            tries = f" ({ticket.tries} tries)" if ticket.tries > 1 else ""
            return Outcome(kind=Kind.LOST, detail=reply.reason + tries)
        if reply.version:
            self._refuse(reply)
        elif reply.lacks_runner:
            self._launch(ticket, reply.station)
        return reply.outcome

    def _refuse(self, answer: Answer) -> None:
        reason = f"{answer.station} has {answer.version}, and here is {version()}: install the same on both"
        if answer.station not in self._fleet.unfit and self._tell is not None:
            self._tell(reason)
        self._fleet.unfit[answer.station] = reason
