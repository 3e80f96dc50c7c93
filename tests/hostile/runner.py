"""Runs cases in a child process with bounded memory, and ends it where one takes too long."""

import contextlib
import io
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.hostile.kind import KINDS, Kind

MEMORY_BYTES = 4 << 30
"""What a case may take beyond what the process had before."""
_ERROR = "tilewright: error: "
_LONGEST_ERROR = 20_000


@dataclass(frozen=True)
class Case:
    """A damaged file and a command; a function of the kind and the number.

    Members:
        kind: of the file.
        seed: of the first case.
        number: of this one, from 0.
    """

    kind: str
    seed: int
    number: int

    def draw(self) -> tuple[str, bytes, str]:
        """Name of the sound file, damaged contents, and command."""
        random = Random(f"{self.kind} {self.seed} {self.number}")
        kind = KINDS[self.kind]
        name = random.choice(kind.files)
        data = kind.damage(random, name, Path(name).read_bytes())
        return name, data, random.choice(kind.commands)


@dataclass(frozen=True)
class Failure:
    """A case that was neither answered nor refused in one line, and what happened instead."""

    case: Case
    command: str
    text: str


def run_cases(kind: str, seed: int, count: int, seconds: float) -> Iterator[Failure | None]:
    """Run cases 0 to count - 1; what each gives, in their order.

    Args:
        kind: of the file.
        seed: of the cases.
        count: of them.
        seconds: that a case may take.
    """
    number = 0
    while number < count:
        for failure in _child(kind, seed, range(number, count), seconds):
            number += 1
            yield failure


def run_case(case: Case) -> Failure | None:
    """Run a case in this process, in the current folder."""
    name, data, command = case.draw()
    path = f"damaged{Path(name).suffix}"
    Path(path).write_bytes(data)
    text = _outcome(command.format(path).split(), KINDS[case.kind])
    return None if text is None else Failure(case, command.format(path), text)


def _outcome(arguments: list[str], kind: Kind) -> str | None:
    """What is wrong with how a command ended; None if nothing is."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = kind.run(arguments)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 (to catch what nobody foresaw is what this is for)
        return traceback.format_exc()
    lines = err.getvalue().splitlines()
    if code == 0:
        return None if all(line.startswith("tilewright: ") for line in lines) else err.getvalue()
    if code != 1:
        return f"exit code {code}"
    if not lines:
        return None if out.getvalue() else "exit code 1 without a word"
    errors = [number for number, line in enumerate(lines) if line.startswith(_ERROR)]
    notes = errors[0] if errors else 0
    if len(errors) != 1 or (len(lines) - notes > 1 and not kind.many_lines):
        return f"not one line of error: {err.getvalue()}"
    return f"an error of {len(err.getvalue())} characters" if len(err.getvalue()) > _LONGEST_ERROR else None


def _child(kind: str, seed: int, numbers: range, seconds: float) -> Iterator[Failure | None]:
    """Outcomes from one child process, up to the first case that ends it."""
    read, write = os.pipe()
    sys.stdout.flush()
    process = os.fork()
    if process == 0:
        os.close(read)
        _serve(kind, seed, numbers, write)
    os.close(write)
    try:
        with open(read, "rb", buffering=0) as pipe:
            for number in numbers:
                line = _line(pipe, seconds)
                case = Case(kind, seed, number)
                if line is None or not line.endswith(b"\n"):
                    reason = f"no answer in {seconds} s" if line is None else "the process ended"
                    yield Failure(case, case.draw()[2], reason)
                    return
                text = json.loads(line)
                yield None if text is None else Failure(case, *text)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)


def _line(pipe: io.FileIO, seconds: float) -> bytes | None:
    """A line; None if it does not come in time; a part of one if the writer ends."""
    line = b""
    while not line.endswith(b"\n"):
        if not select.select([pipe], [], [], seconds)[0]:
            return None
        part = pipe.read(1)
        if not part:
            return line
        line += part
    return line


def _serve(kind: str, seed: int, numbers: range, write: int) -> None:
    """The child: never returns."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with contextlib.suppress(BaseException), open(write, "w", encoding="ascii") as pipe:
        for number in numbers:
            failure = run_case(Case(kind, seed, number))
            print(json.dumps(failure and (failure.command, failure.text)), file=pipe, flush=True)
    os._exit(0)
