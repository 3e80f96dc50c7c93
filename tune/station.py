"""What a machine of a cluster does with jobs: each is measured in a process that can be ended by force."""

import platform
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pickle import loads

from tilewright.compiler.space.point import Point
from tilewright.tune.measure import Job, Runner
from tilewright.tune.outcome import Outcome
from tilewright.tune.pool import ProcessPool
from tilewright.tune.worker_process import Patience

_RUNNERS_KEPT = 32


def version() -> str:
    """What must be the same on all machines of a cluster."""
    found = "unknown"
    with suppress(metadata.PackageNotFoundError):
        found = metadata.version("tilewright")
    return f"tilewright {found} on Python {'.'.join(platform.python_version_tuple()[:2])}"


@dataclass(frozen=True, kw_only=True)
class Order:
    """A job as it travels.

    Members:
        digest: of the pickled runner.
        runner: pickled; None: it was sent before.
        point: what to measure.
        timeout_seconds: as of the job.
        resource: as of the job.
    """

    digest: str
    runner: bytes | None
    point: Point
    timeout_seconds: float
    resource: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What becomes of an order.

    Members:
        station: who answers.
        outcome: None if there is none yet, for one of the reasons below.
        lacks_runner: the runner must be sent again.
        version: of a station that measures nothing because of it; else empty.
    """

    station: str
    outcome: Outcome | None = None
    lacks_runner: bool = False
    version: str = ""


@dataclass(frozen=True)
class _Sealed:
    """A runner that only the process that measures reads: this one must survive it."""

    data: bytes

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return loads, (self.data,)

    def __call__(self, point: Point) -> Outcome:
        runner: Runner = loads(self.data)
        return runner(point)


class Station:
    """Measures orders, as many at a time as there are threads that bring them.

    Args:
        name: in outcomes.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._idle: list[ProcessPool] = []
        self._runners: dict[str, _Sealed] = {}

    def __call__(self, order: Order) -> Answer:
        """What becomes of an order; it takes the time that measuring takes."""
        runner = self._runner(order)
        if runner is None:
            return Answer(station=self._name, lacks_runner=True)
        job = Job(
            runner=runner,
            point=order.point,
            timeout_seconds=order.timeout_seconds,
            resource=order.resource,
        )
        pool = self._take()
        try:
            ((_, outcome),) = pool([job])
        finally:
            self._give_back(pool)
        return Answer(station=self._name, outcome=outcome)

    def _runner(self, order: Order) -> _Sealed | None:
        with self._lock:
            if order.runner is not None and order.digest not in self._runners:
                if len(self._runners) >= _RUNNERS_KEPT:
                    self._runners.clear()
                self._runners[order.digest] = _Sealed(order.runner)
            return self._runners.get(order.digest)

    def _take(self) -> ProcessPool:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return ProcessPool(workers=1, patience=Patience(board_seconds=30), name=self._name)

    def _give_back(self, pool: ProcessPool) -> None:
        with self._lock:
            self._idle.append(pool)

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()
