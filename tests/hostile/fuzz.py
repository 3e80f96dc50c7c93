"""Damaged files of every kind, given to the commands: each is answered, or refused in one line.

    python -m tests.hostile.fuzz --kind executable --count 2000 --seed 1

A case is a function of kind, seed and number. No case may raise, hang, or take more than 4 GiB. Failing cases
are printed, one of each place where they come from, and their files saved; the exit code is then 1.
"""

import argparse
import contextlib
import io
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.hostile.kind import KINDS, make_samples
from tests.hostile.runner import Failure, run_cases

_PROGRESS_CASES = 200


def fuzz(kind: str, seed: int, count: int, seconds: float, progress: bool = False) -> list[Failure]:
    """The failures of `count` cases; samples must be in the current folder."""
    failures, begin = [], time.monotonic()
    for number, failure in enumerate(run_cases(kind, seed, count, seconds), 1):
        if failure is not None:
            failures.append(failure)
        if progress and number % _PROGRESS_CASES == 0:
            seconds_so_far = time.monotonic() - begin
            print(f"{kind}: {number} cases, {len(failures)} failures, {seconds_so_far:.0f} s", flush=True)
    return failures


def place(failure: Failure) -> str:
    """Where a failure comes from: failures of one place are likely the same mistake."""
    lines = failure.text.strip().splitlines()
    frames = [line.strip() for line in lines if line.lstrip().startswith("File ")]
    return f"{lines[-1].split(':')[0][:80]} {frames[-1] if frames else ''}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 if every case is answered or refused."""
    options = _options(arguments)
    folder = Path(options.save or tempfile.mkdtemp(prefix="hostile-")).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    failed = 0
    with tempfile.TemporaryDirectory() as samples, contextlib.chdir(samples):
        with contextlib.redirect_stdout(io.StringIO()):
            make_samples()
        for kind in options.kind or KINDS:
            failures = fuzz(kind, options.seed, options.count, options.seconds, progress=True)
            _report(failures, folder)
            print(f"{kind}: {options.count} cases, {len(failures)} failures", flush=True)
            failed += len(failures)
    if failed:
        print(f"the files are in {folder}")
    return 1 if failed else 0


def _report(failures: Sequence[Failure], folder: Path) -> None:
    """Print one failure of each place, and save its file."""
    tally = Counter(map(place, failures))
    first = {place(failure): failure for failure in reversed(failures)}
    for where, count in tally.most_common():
        failure = first[where]
        name, data, _ = failure.case.draw()
        saved = folder / f"{failure.case.kind}-{failure.case.seed}-{failure.case.number}{Path(name).suffix}"
        saved.write_bytes(data)
        print(f"--- {count} like {failure.case}: {failure.command}, saved as {saved.name}\n{failure.text}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz", description=__doc__)
    parser.add_argument("--kind", action="append", choices=list(KINDS), help="default: all")
    parser.add_argument("--count", type=int, default=2000, help="cases of each kind (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--seconds", type=float, default=20, help="that a case may take (default: %(default)s)"
    )
    parser.add_argument("--save", metavar="FOLDER", help="for failing files (default: a new folder)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    os.environ.setdefault("AMARANTH_USE_YOSYS", "builtin")
    sys.exit(main())
