"""What runs in a process that measures: told runners and points through a pipe, it says outcomes."""

import os
import pickle
import resource
import select
import signal
import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import Enum
from multiprocessing.connection import Connection

from tilewright.compiler.space.point import Point
from tilewright.tune.attempt import attempt, described
from tilewright.tune.board import hold
from tilewright.tune.error import TuneError
from tilewright.tune.measure import Runner
from tilewright.tune.outcome import Kind, Outcome


@dataclass(frozen=True, kw_only=True)
class Teach:
    """A runner, for the tasks to come.

    Members:
        number: by which tasks name it.
        data: the runner, pickled.
    """

    number: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Task:
    """A point to measure.

    Members:
        runner: its number.
        point: what.
        timeout_seconds: after which this process ends itself.
        board: which must be free first; empty: none.
        patience_seconds: to wait for the board.
    """

    runner: int
    point: Point
    timeout_seconds: float
    board: str
    patience_seconds: float


class Sign(Enum):
    """What a worker says besides outcomes.

    Members:
        READY: it has started.
        BEGUN: the runner is called now, from when the timeout counts.
        FORGET: said to it: no runner taught so far comes again.
    """

    READY = 0
    BEGUN = 1
    FORGET = 2


def main(descriptor: int, memory_bytes: int) -> None:
    """Serve until the other end of the pipe closes.

    Args:
        descriptor: of our end of the pipe.
        memory_bytes: of addresses that this process may have; 0: no limit.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    threading.Thread(target=_end_with_the_other_end, args=(descriptor,), daemon=True).start()
    with Connection(descriptor) as pipe:
        pipe.send(Sign.READY)
        _serve(pipe)


def _end_with_the_other_end(descriptor: int) -> None:
    """End this process and all that it started when nobody is left to hear of it."""
    poll = select.poll()
    # No event is asked for: that the other end closed is always told.
    poll.register(descriptor, 0)
    poll.poll()
    os.killpg(0, signal.SIGKILL)


def _serve(pipe: "Connection") -> None:
    runners: dict[int, Runner] = {}
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return
        if isinstance(message, Teach):
            runners[message.number] = _runner(message.data)
        elif isinstance(message, Task):
            pipe.send(_measured(pipe, runners[message.runner], message))
        else:
            runners.clear()


@dataclass(frozen=True)
class _Unreadable:
    """Stands for a runner that this process cannot read."""

    reason: str

    def __call__(self, point: Point) -> Outcome:
        detail = f"a runner must be of a module that workers can import: {self.reason}"
        return Outcome(kind=Kind.CRASHED, detail=detail)


def _runner(data: bytes) -> Runner:
    try:
        runner: Runner = pickle.loads(data)
    except Exception as error:  # noqa: BLE001  # it surfaces: as the outcome of each point
        return _Unreadable(described(error))
    return runner


def _measured(pipe: "Connection", runner: Runner, task: Task) -> Outcome:
    try:
        with _board(task):
            pipe.send(Sign.BEGUN)
            return _in_time(runner, task)
    except TuneError as error:
        return Outcome(kind=Kind.LOST, detail=str(error))


def _board(task: Task) -> AbstractContextManager[None]:
    return hold(task.board, task.patience_seconds) if task.board else nullcontext()


def _in_time(runner: Runner, task: Task) -> Outcome:
    # The kernel ends this process at the timeout, even if whoever started it has stopped or is gone.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(task.timeout_seconds, 1e-3))
    try:
        return attempt(runner, task.point)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
