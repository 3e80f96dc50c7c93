"""Measuring on this machine: warm processes that are ended by force, and started anew."""

import pickle
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from math import inf
from multiprocessing.connection import wait
from time import monotonic
from types import TracebackType
from typing import Self

from tilewright.tune.attempt import described
from tilewright.tune.board import PREFIX
from tilewright.tune.error import TuneError
from tilewright.tune.intake import Intake, Ticket
from tilewright.tune.measure import Job, Runner
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.worker_process import Packed, Patience, WorkerProcess

_TRIES = 3
"""Workers that end before a job began, or before they were ready, one after the other."""
_RUNNERS_KEPT = 32


class Packer:
    """Pickles each runner once."""

    def __init__(self) -> None:
        self._numbers = count()
        self._packed: dict[int, tuple[Runner, Packed]] = {}

    def __call__(self, runner: Runner) -> Packed:
        """The runner as it goes to workers.

        Raises:
            TuneError: if it cannot be pickled.
        """
        # The runner is kept with its number, so that no other takes its place in memory.
        known = self._packed.get(id(runner))
        if known is None:
            if len(self._packed) >= _RUNNERS_KEPT:
                self._packed.clear()
            known = self._packed[id(runner)] = runner, Packed(next(self._numbers), _pickled(runner))
        return known[1]


def _pickled(runner: Runner) -> bytes:
    try:
        return pickle.dumps(runner, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001  # a runner's own code runs here; the error surfaces
        raise TuneError(f"a runner must be one that can be pickled: {described(error)}") from None


class ProcessPool:
    """Measures in processes of this machine; a context manager.

    A job that ends its process, stops it, or takes too long costs that process: another takes its place, and
    the other jobs go on. A process that ends before its job began is not the job's fault: the job is given to
    another, and is LOST after three.

    Args:
        workers: processes, which are started when first needed and kept for later calls.
        limits: of resources, how many jobs may use one at a time; boards are used by one at a time always.
        memory_bytes: of addresses that a process may have; None: no limit.
        patience: for starts and boards.
        name: of workers in outcomes, before their number.

    Raises:
        TuneError: if there are no workers.
    """

    def __init__(
        self,
        *,
        workers: int,
        limits: Mapping[str, int] | None = None,
        memory_bytes: int | None = None,
        patience: Patience | None = None,
        name: str = "process",
    ) -> None:
        if workers < 1:
            raise TuneError(f"a pool must have 1 worker or more, not {workers!r}")
        # Times of the host's own code are spoilt by others beside.
        self._limits = {"cpu": 1} if limits is None else dict(limits)
        self._size = workers
        self._memory_bytes = memory_bytes or 0
        self._patience = patience or Patience()
        self._name = name
        self._numbers = count()
        self._workers: list[WorkerProcess] = []
        self._tickets: dict[WorkerProcess, Ticket] = {}
        self._pack = Packer()
        self._failed_starts: list[str] = []
        self._is_measuring = False

    @property
    def slots(self) -> int:
        """How many jobs run at a time."""
        return self._size

    def __call__(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Outcome]]:
        """The jobs with their outcomes, in the order in which they arrive.

        Raises:
            TuneError: if an earlier call is neither finished nor closed.
        """
        if self._is_measuring:
            raise TuneError(
                "a pool must finish its jobs, or have their iterator closed, before it takes others"
            )
        self._is_measuring = True
        self._failed_starts.clear()
        try:
            yield from self._measure(Intake(jobs, slots=lambda: self._size, limit=self._limit))
        finally:
            self._is_measuring = False
            for worker in list(self._tickets):
                self._end(worker)

    def close(self) -> None:
        """End the workers."""
        for worker in list(self._workers):
            self._end(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- one turn ------------------------------------------------------------------------------------------

    def _limit(self, resource: str) -> int:
        return 1 if resource.startswith(PREFIX) else self._limits.get(resource, self._size)

    def _measure(self, intake: Intake) -> Iterator[tuple[Job, Outcome]]:
        while not intake.is_empty:
            # A worker may still be free after a job that nobody could be given.
            for ticket, outcome in list(self._assign(intake)) or list(self._listen(intake)):
                yield ticket.job, outcome

    def _assign(self, intake: Intake) -> Iterator[tuple[Ticket, Outcome]]:
        """Give jobs to workers that are ready, and start workers for those that wait."""
        for worker in [worker for worker in self._workers if worker.is_ready and worker not in self._tickets]:
            ticket = intake.start()
            if ticket is None:
                return
            try:
                self._tickets[worker] = ticket
                if not worker.begin(ticket.job, self._pack(ticket.job.runner)):
                    yield from self._ended(worker, intake, is_overdue=False)
            except TuneError as error:
                del self._tickets[worker]
                intake.finish(ticket)
                yield ticket, Outcome(kind=Kind.CRASHED, detail=str(error))
        yield from self._hire(intake)

    def _hire(self, intake: Intake) -> Iterator[tuple[Ticket, Outcome]]:
        if len(self._failed_starts) >= _TRIES:
            if self._workers:
                return
            detail = f"no process to measure in could be started: {self._failed_starts[-1]}"
            for ticket in intake.waiting:
                intake.drop(ticket)
                yield ticket, Outcome(kind=Kind.LOST, detail=detail)
            return
        starting = len(self._workers) - len(self._tickets)
        for _ in range(min(len(intake.waiting) - starting, self._size - len(self._workers))):
            self._start()

    def _start(self) -> None:
        name = f"{self._name} {next(self._numbers)}"
        try:
            worker = WorkerProcess(name, memory_bytes=self._memory_bytes, patience=self._patience)
        except OSError as error:
            self._failed_starts.append(described(error))
        else:
            self._workers.append(worker)

    # --- listening -----------------------------------------------------------------------------------------

    def _listen(self, intake: Intake) -> Iterator[tuple[Ticket, Outcome]]:
        """Wait until a worker says something or is overdue, and see to it."""
        if not self._workers:
            return
        deadline = min(worker.deadline for worker in self._workers)
        pipes = {worker.pipe: worker for worker in self._workers}
        outputs = {worker.output: worker for worker in self._workers if worker.prints}
        timeout = None if deadline == inf else max(0.0, deadline - monotonic())
        heard = set(wait([*pipes, *outputs], timeout))
        for output, worker in outputs.items():
            if output in heard:
                worker.drain()
        for pipe, worker in pipes.items():
            if pipe in heard:
                yield from self._hear(worker, intake)
            elif monotonic() > worker.deadline:
                yield from self._ended(worker, intake, is_overdue=True)

    def _hear(self, worker: WorkerProcess, intake: Intake) -> Iterator[tuple[Ticket, Outcome]]:
        try:
            outcome = worker.hear()
        except EOFError:
            yield from self._ended(worker, intake, is_overdue=False)
            return
        if worker.is_ready:
            self._failed_starts.clear()
        if outcome is not None:
            ticket = self._tickets.pop(worker)
            intake.finish(ticket)
            yield ticket, outcome

    def _ended(
        self, worker: WorkerProcess, intake: Intake, *, is_overdue: bool
    ) -> Iterator[tuple[Ticket, Outcome]]:
        """A worker that has ended, or must: what becomes of its job."""
        ticket = self._tickets.get(worker)
        if ticket is not None and worker.has_begun:
            outcome = worker.outcome_of_end(is_overdue=is_overdue)
            self._end(worker)
            intake.finish(ticket)
            yield ticket, outcome
            return
        how = self._end(worker)
        if ticket is None:
            if not worker.is_ready:
                self._failed_starts.append(how)
            return
        ticket.tries += 1
        if ticket.tries < _TRIES:
            intake.give_back(ticket)
            return
        intake.finish(ticket)
        detail = f"{_TRIES} processes ended before they began with it; the last {how}"
        yield ticket, Outcome(kind=Kind.LOST, detail=detail, worker=worker.name)

    def _end(self, worker: WorkerProcess) -> str:
        self._tickets.pop(worker, None)
        self._workers.remove(worker)
        return worker.end()
