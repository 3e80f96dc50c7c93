"""Random tensor programs under random schedules: the interpreter and the host's code against numpy.

    python -m tests.schedules.fuzz --seed 1 --cases 10000

A case is a function of its seed; the seeds are SEED, SEED + 1, …. On the first difference the schedule, made
as short as leaving out steps can, and the program are printed; the exit code is then 1.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence

from tests.schedules.case import Arrays, Case, Runner, draw_case
from tests.schedules.program import PROGRAMS

from tilewright.compiler.targets.cpu.kernel import compile_function
from tilewright.compiler.tir import interpret
from tilewright.compiler.tir.stmt import PrimFunc

_PROGRESS_CASES = 500


def _host(function: PrimFunc, arrays: Mapping[str, object]) -> Arrays:
    return compile_function(function).run(dict(arrays))


RUNNERS: dict[str, Runner] = {"interpreter": interpret.run, "host": _host}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 if all numbers are right."""
    options = _options(arguments)
    runners = {name: RUNNERS[name] for name in options.target or RUNNERS}
    tally: Counter[str] = Counter()
    begin = time.monotonic()
    for number in range(1, options.cases + 1):
        case = draw_case(options.seed + number - 1, options.program)
        for name, runner in runners.items():
            failure = case.failure(runner)
            if failure is not None:
                print(f"{_report(case, options.seed + number - 1, name, runner)}")
                return 1
        tally.update([case.name, *(step.verb() for step in case.steps)])
        if number % _PROGRESS_CASES == 0:
            print(f"{number} cases, {time.monotonic() - begin:.0f} s", flush=True)
    seconds = time.monotonic() - begin
    print(f"{options.cases} cases on {' and '.join(runners)}, no difference, {seconds:.0f} s")
    print(", ".join(f"{name} {count}" for name, count in sorted(tally.items())))
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.schedules.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first case")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--program", choices=list(PROGRAMS), help="one kind of program; default: all")
    parser.add_argument("--target", action="append", choices=list(RUNNERS), help="default: all")
    return parser.parse_args(arguments)


def _report(case: Case, seed: int, name: str, runner: Runner) -> str:
    small = case.smaller(runner)
    return f"seed {seed}, {name}: {small.failure(runner)}\n\n{small.text()}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="schedules-") as folder:
        # Code of cases is of no use to anybody later.
        os.environ["XDG_CACHE_HOME"] = folder
        sys.exit(main())
