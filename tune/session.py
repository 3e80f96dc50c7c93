"""Measuring with a memory: nothing twice, and every outcome is kept the moment it arrives."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from typing import Self

from tilewright.compiler.space.point import Point
from tilewright.tune.error import TuneError
from tilewright.tune.measure import Job, Measure
from tilewright.tune.outcome import Outcome
from tilewright.tune.record import Key, Record
from tilewright.tune.record_file import RecordFile
from tilewright.tune.record_index import Records
from tilewright.tune.record_line import AnyRecord

KeyedJob = tuple[Key, Job]
KeyedOutcome = tuple[Key, Job, Outcome]


class Session:
    """Outcomes that were measured before, and those that come; a context manager.

    Whatever ends a run, what it had yielded is in its file, and a later run goes on from there: points with a
    final outcome are not measured again, those that were lost are.

    Members:
        records: all that is known.
        notes: on lines of the file that are no records, for the user.

    Args:
        path: of the file of records; None: they are kept in memory alone.

    Raises:
        TuneError: if the file is one of something else.
        OSError: if it cannot be read.
    """

    def __init__(self, path: str | PathLike[str] | None = None) -> None:
        self._file = None if path is None else RecordFile(path)
        self.records = Records()
        self.notes: tuple[str, ...] = ()
        if self._file is not None:
            reading = self._file.read()
            self.records, self.notes = Records(reading.records), reading.notes

    def __call__(self, measure: Measure, jobs: Iterable[KeyedJob]) -> Iterator[KeyedOutcome]:
        """Each job with its outcome, known ones without measuring, others as they arrive.

        Jobs are taken from `jobs` no earlier than `measure` has a slot for them. A job whose key and point
        are on their way already shares that outcome.

        Args:
            measure: measures what is not known.
            jobs: under the key of their costs.

        Raises:
            OSError: if the file has no room.
        """
        yield from _Run(self, measure, jobs)

    def keep(self, record: AnyRecord) -> None:
        """Take a record in, and write it."""
        if self._file is not None:
            self._file.append(record)
        self.records.add(record)

    def close(self) -> None:
        """Give the file back."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Run:
    """One stream of jobs through a session."""

    def __init__(self, session: Session, measure: Measure, jobs: Iterable[KeyedJob]) -> None:
        self._session = session
        self._measure = measure
        self._jobs = iter(jobs)
        self._is_exhausted = False
        self._known: deque[KeyedOutcome] = deque()
        self._flights: dict[int, tuple[Key, Job]] = {}
        self._sharers: dict[tuple[Key, Point], list[Job]] = {}

    def __iter__(self) -> Iterator[KeyedOutcome]:
        while not self._is_exhausted:
            with _closing(self._measure(self._unknown())) as arriving:
                for job, outcome in arriving:
                    yield from self._arrived(job, outcome)
            if self._flights:
                raise TuneError(f"{len(self._flights)} jobs were measured without an outcome")
            while self._known:
                yield self._known.popleft()

    def _unknown(self) -> Iterator[Job]:
        """The jobs to measure.

        It ends early when too many were not: whoever gives jobs may wait for the outcomes of these.
        """
        passed = 0
        for key, job in self._jobs:
            if self._is_to_measure(key, job):
                passed = 0
                # A job may be given twice, as the same object.
                flight = replace(job)
                self._flights[id(flight)] = key, flight
                yield flight
                continue
            passed += 1
            if passed >= self._measure.slots:
                return
        self._is_exhausted = True

    def _is_to_measure(self, key: Key, job: Job) -> bool:
        known = self._session.records.known(key, job.point)
        if known is not None:
            self._known.append((key, job, known))
            return False
        sharers = self._sharers.setdefault((key, job.point), [])
        sharers.append(job)
        return len(sharers) == 1

    def _arrived(self, flight: Job, outcome: Outcome) -> Iterator[KeyedOutcome]:
        key, _ = self._flights.pop(id(flight))
        self._session.keep(Record(key=key, point=flight.point, outcome=outcome))
        for job in self._sharers.pop((key, flight.point)):
            yield key, job, outcome
        while self._known:
            yield self._known.popleft()


@contextmanager
def _closing(arriving: Iterator[tuple[Job, Outcome]]) -> Iterator[Iterator[tuple[Job, Outcome]]]:
    """End what is measured when nobody asks for it any more."""
    try:
        yield arriving
    finally:
        if isinstance(arriving, Generator):
            arriving.close()
