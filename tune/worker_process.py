"""A process that measures, from outside: started, asked, listened to, and ended by force."""

import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from math import inf
from multiprocessing.connection import Connection
from time import monotonic

from tilewright.tune.attempt import short
from tilewright.tune.board import PREFIX
from tilewright.tune.measure import Job
from tilewright.tune.outcome import Kind, Outcome
from tilewright.tune.worker import Sign, Task, Teach

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from tilewright.tune.worker import main; main(int(sys.argv[2]), int(sys.argv[3]))"
)
_GRACE_SECONDS = 0.5
"""After its timeout, for a worker to end by itself."""
_TALK_SECONDS = 10
"""For a worker that stopped in the middle of a message: the kernel's buffers take any other at once."""
_RUNNERS_KEPT = 32
_NO_MESSAGE = (
    OSError,
    pickle.UnpicklingError,
    AttributeError,
    ImportError,
    IndexError,
    TypeError,
    ValueError,
)
"""What reading raises of bytes that no worker sends by itself."""
_TAIL_BYTES = 4096


@dataclass(frozen=True)
class Packed:
    """A runner as it goes to workers.

    Members:
        number: its own.
        data: pickled.
    """

    number: int
    data: bytes

    @cached_property
    def digest(self) -> str:
        """Names it among machines."""
        return sha256(self.data).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long is waited for what is no measurement.

    Members:
        start_seconds: for a process to start, and to read a runner.
        board_seconds: for a board that another process has.
    """

    start_seconds: float = 60.0
    board_seconds: float = 600.0


class WorkerProcess:
    """One process that measures; a fresh interpreter, with the paths of this one and nothing else of it.

    It leads a group of its own, so that what a runner starts ends with it, and a Ctrl-C in a terminal
    reaches us alone.

    Members:
        name: in outcomes.
        is_ready: whether it has started.
        job: what it has to measure; None: nothing.
        has_begun: whether it measures it.
        deadline: when it is overdue, in time.monotonic().
        pipe: to it; readable if there is something to hear.
        output: what it prints; readable if there is something to drain.
        prints: whether more may come of that.
    """

    def __init__(self, name: str, *, memory_bytes: int, patience: Patience) -> None:
        self.name = name
        self.is_ready = self.has_begun = False
        self.prints = True
        self.job: Job | None = None
        self.deadline = monotonic() + patience.start_seconds
        self._patience = patience
        self._taught: set[int] = set()
        self._tail = b""
        self._begun_at = 0.0
        self._end = ""
        ours, theirs = _pair()
        self.pipe = Connection(ours.detach())
        with theirs:
            self._process = _started(theirs.fileno(), memory_bytes)
        assert self._process.stdout is not None
        self.output = self._process.stdout.fileno()
        os.set_blocking(self.output, False)

    # --- asking --------------------------------------------------------------------------------------------

    def begin(self, job: Job, runner: Packed) -> bool:
        """Give it a job; false if it does not take it, and has to be ended."""
        self.job, self.has_begun = job, False
        board = job.resource.removeprefix(PREFIX) if job.resource.startswith(PREFIX) else ""
        wait_seconds = self._patience.board_seconds if board else 0.0
        self.deadline = monotonic() + self._patience.start_seconds + wait_seconds
        task = Task(
            runner=runner.number,
            point=job.point,
            timeout_seconds=job.timeout_seconds,
            board=board,
            patience_seconds=wait_seconds,
        )
        try:
            self._teach(runner)
            self.pipe.send(task)
        except OSError:
            return False
        return True

    def _teach(self, runner: Packed) -> None:
        if runner.number in self._taught:
            return
        if len(self._taught) >= _RUNNERS_KEPT:
            self.pipe.send(Sign.FORGET)
            self._taught.clear()
        self.pipe.send(Teach(number=runner.number, data=runner.data))
        self._taught.add(runner.number)

    # --- listening -----------------------------------------------------------------------------------------

    def hear(self) -> Outcome | None:
        """Take what it says: the outcome of its job, or None if that is still to come.

        Raises:
            EOFError: if it has ended, or says what no worker says.
        """
        try:
            message = self.pipe.recv()
        except _NO_MESSAGE as error:
            raise EOFError from error
        if message is Sign.READY:
            self.is_ready, self.deadline = True, inf
        elif message is Sign.BEGUN and self.job is not None:
            self.has_begun, self._begun_at = True, monotonic()
            self.deadline = self._begun_at + self.job.timeout_seconds + _GRACE_SECONDS
        elif isinstance(message, Outcome):
            self.job, self.deadline = None, inf
            return replace(message, worker=self.name)
        return None

    def drain(self) -> None:
        """Take what it prints, so that it never waits for us, and keep the end."""
        with suppress(BlockingIOError):
            data = os.read(self.output, 1 << 16)
            self._tail = (self._tail + data)[-_TAIL_BYTES:]
            self.prints = bool(data)

    # --- ending --------------------------------------------------------------------------------------------

    def end(self) -> str:
        """End it and what it started, at once; how it had ended if it had, with the last line it printed."""
        if self._end:
            return self._end
        # Before its number can be another's: it is not yet waited for.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        assert self._process.stdout is not None
        self.drain()
        self._process.stdout.close()
        self.pipe.close()
        said = self._tail.decode(errors="replace").strip().rpartition("\n")[2].strip()
        self._end = short(_ending(code) + (f"; its last words: {said}" if said else ""))
        return self._end

    def outcome_of_end(self, *, is_overdue: bool) -> Outcome:
        """End it; what the job that had begun came to by that."""
        assert self.job is not None
        how = self.end()
        # The first is that it could not end itself.
        if is_overdue or self._process.returncode == -signal.SIGALRM:
            kind, detail = Kind.TIMEOUT, f"stopped after {self.job.timeout_seconds:g} s"
        else:
            kind, detail = Kind.CRASHED, f"the process {how}"
        return Outcome(kind=kind, detail=detail, seconds=monotonic() - self._begun_at, worker=self.name)


def _pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a pipe; reads and writes of the first fail rather than wait for ever."""
    ours, theirs = socket.socketpair()
    limit = struct.pack("@ll", _TALK_SECONDS, 0)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
    return ours, theirs


def _started(descriptor: int, memory_bytes: int) -> subprocess.Popen[bytes]:
    paths = json.dumps([path for path in sys.path if isinstance(path, str)])
    return subprocess.Popen(
        [sys.executable, "-c", _BOOT, paths, str(descriptor), str(memory_bytes)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        pass_fds=[descriptor],
        start_new_session=True,
    )


def _ending(code: int) -> str:
    if code >= 0:
        return f"exited with {code}"
    with suppress(ValueError):
        return f"was killed by {signal.Signals(-code).name}"
    return f"was killed by signal {-code}"
