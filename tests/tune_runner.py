"""Runners for the tests of measuring: right ones, and each in its own way not."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tilewright.compiler.space.point import Point
from tilewright.tune.measure import Job
from tilewright.tune.outcome import Kind, Outcome


@dataclass(frozen=True)
class Cost:
    """The cost is the point's own; what the point says is done first."""

    def __call__(self, point: Point) -> Outcome:
        deed = point.get("do", "answer")
        if isinstance(deed, str) and (outcome := DEEDS[deed](point)) is not None:
            return outcome
        return Outcome(kind=Kind.OK, cost=point.number("n") + 1)


def wait(point: Point) -> None:
    time.sleep(point.number("ms") / 1000)


def loop(point: Point) -> None:
    while True:
        pass


def loop_deaf(point: Point) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    loop(point)


def loop_below(point: Point) -> None:
    """An endless process below ours, whose number is told."""
    child = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    Path(point.word("path")).write_text(str(child.pid))
    loop(point)


def stop(point: Point) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def kill(point: Point) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault(point: Point) -> None:
    ctypes.string_at(0)


def abort(point: Point) -> None:
    print("first words")
    print("LLVM ERROR: out of registers", file=sys.stderr, flush=True)
    os.abort()


def leave(point: Point) -> None:
    sys.exit(3)


def leave_at_once(point: Point) -> None:
    os._exit(4)


def fail(point: Point) -> None:
    raise ArithmeticError("no such number\nand more about it")


def say_much(point: Point) -> None:
    for _ in range(4000):
        print("x" * 1000)


def return_nothing(point: Point) -> Outcome:
    return 7  # type: ignore[return-value]


def answer_wrongly(point: Point) -> Outcome:
    return Outcome(kind=Kind.WRONG, detail="output 0 differs")


def eat(point: Point) -> None:
    bytearray(1 << 33)


def use(point: Point) -> None:
    """Something that only one may use at a time: its beginning and end are noted."""
    with open(point.word("path"), "a") as log:
        log.write(f"begin {time.monotonic()}\n")
        log.flush()
        wait(point)
        log.write(f"end {time.monotonic()}\n")


def tell(point: Point) -> None:
    """The process is named, and then waited for."""
    Path(point.word("path")).write_text(str(os.getpid()))
    wait(point)


def tell_first(point: Point) -> None:
    """Whoever comes first is named and waited for."""
    if not Path(point.word("path")).exists():
        tell(point)


DEEDS = {
    "answer": lambda point: None,
    "wait": wait,
    "loop": loop,
    "loop deaf": loop_deaf,
    "loop below": loop_below,
    "stop": stop,
    "kill": kill,
    "segfault": segfault,
    "abort": abort,
    "leave": leave,
    "leave at once": leave_at_once,
    "fail": fail,
    "say much": say_much,
    "return nothing": return_nothing,
    "answer wrongly": answer_wrongly,
    "eat": eat,
    "use": use,
    "tell": tell,
    "tell first": tell_first,
}


@dataclass(frozen=True)
class Large:
    """A runner that is much to send."""

    data: bytes

    def __call__(self, point: Point) -> Outcome:
        return Outcome(kind=Kind.OK, cost=len(self.data))


class Unreadable:
    """It can be pickled, but not read by anybody else."""

    def __reduce__(self):
        return kill_reader, (os.getpid(),)

    def __call__(self, point: Point) -> Outcome:
        raise NotImplementedError


def kill_reader(writer: int) -> None:
    if os.getpid() != writer:
        os.kill(os.getpid(), signal.SIGKILL)


def job(
    n: int, do: str = "answer", *, timeout: float = 30, resource: str = "sim", runner=None, **knobs
) -> Job:
    """A job that says how it wants to be treated."""
    point = Point({"n": n, "do": do, **knobs})
    return Job(runner=runner or Cost(), point=point, timeout_seconds=timeout, resource=resource)


def overlaps(path: Path) -> list[tuple[str, str]]:
    """Of a log of `use`: lines that show two at a time."""
    lines = sorted(path.read_text().splitlines(), key=lambda line: float(line.split()[1]))
    verbs = [line.split()[0] for line in lines]
    return [pair for pair in zip(verbs[::2], verbs[1::2], strict=True) if pair != ("begin", "end")]


def is_alive(process: int) -> bool:
    """Whether a process runs: a dead one that nobody waited for does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, seconds: float = 20) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.02)
