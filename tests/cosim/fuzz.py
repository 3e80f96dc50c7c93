"""Random programs on random machines, simulator against gates, cycle by cycle.

    python -m tests.cosim.fuzz --seed 1 --programs 500

draws configurations (or takes `--config`), builds the gates of each once, and runs programs of all kinds on
both. Large machines (arrays up to 128 x 128, bursts up to 4,096 bytes, 16 banks) are drawn with
`--large-share` alone: their gates take minutes to compile. A difference is shrunk to a few instructions and
printed as assembler text; the exit code is then 1.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
from tests.cosim.case import Case
from tests.cosim.compare import Observation, Pair
from tests.cosim.generate import random_case
from tests.cosim.shrink import shrink

from tilewright.isa.checker import ProblemKind, check
from tilewright.isa.config import Config, load_config
from tilewright.isa.random_program import random_config
from tilewright.runtime.rtl_build import Optimise
from tilewright.runtime.rtl_machine import RtlMachine

_RACES = frozenset({ProblemKind.HAZARD, ProblemKind.IN_PLACE})
"""Problems that leave a program's result to chance: no case may have them."""


class Difference(Exception):
    """Simulator and gates disagree: the case, and the first difference."""


def fuzz_config(
    config: Config, *, seed: int, programs: int, tally: Counter[str], shrinks: bool = True
) -> None:
    """Run `programs` programs on one configuration.

    Args:
        config: the machine.
        seed: the cases are a function of it and the configuration.
        programs: how many, at least.
        tally: counts programs, cycles and causes of faults.
        shrinks: whether a case that differs is made small first.

    Raises:
        Difference: with the case.
    """
    pair = Pair(RtlMachine(config, optimise=Optimise.BUILD))
    rng = np.random.default_rng(seed)
    target = tally["programs"] + programs
    while tally["programs"] < target:
        case = random_case(rng, config)
        difference = pair.first_difference(case)
        if difference is not None:
            raise Difference(_report(pair, case, shrinks))
        _count(pair.seen[: len(case.runs)], tally)


def _report(pair: Pair, case: Case, shrinks: bool) -> str:
    wrong = _problem_kinds(case)

    def fails(candidate: Case) -> bool:
        return _problem_kinds(candidate) <= wrong - _RACES and pair.first_difference(candidate) is not None

    small = shrink(case, fails) if shrinks else case
    return f"{small.text()}\n# first difference: {pair.first_difference(small)}"


def _problem_kinds(case: Case) -> frozenset[ProblemKind]:
    """What the checker finds wrong with the programs: a smaller case must not be wrong in new ways."""
    reports = [check(run.program, case.config) for run in case.runs]
    return frozenset(problem.kind for report in reports for problem in report.problems)


def _count(seen: Sequence[Observation], tally: Counter[str]) -> None:
    for program in seen:
        tally["programs"] += 1
        tally["instructions"] += sum(map(len, program.starts))
        tally["cycles"] += program.cycles
        tally[program.fault.cause.name if program.fault else "finished"] += 1


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 if everything was equal."""
    parser = argparse.ArgumentParser(prog="python -m tests.cosim.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="what all is drawn from")
    parser.add_argument("--programs", type=int, default=500, help="programs to run, at least")
    parser.add_argument("--per-config", type=int, default=250, help="programs on each configuration")
    parser.add_argument(
        "--large-share", type=float, default=0, help="part of the machines that are large, 0 to 1"
    )
    parser.add_argument("--config", action="append", help="preset or TOML file instead of random ones")
    parser.add_argument("--no-shrink", action="store_true", help="print the case that differs as it is")
    options = parser.parse_args(arguments)
    rng = np.random.default_rng(options.seed)
    named = [load_config(name) for name in options.config or ()]
    tally: Counter[str] = Counter()
    begun, number = time.perf_counter(), 0
    while tally["programs"] < options.programs:
        drawn = random_config(rng, large_share=options.large_share)
        config = named[number % len(named)] if named else drawn
        count = min(options.per_config, options.programs - tally["programs"])
        try:
            seed = int(rng.integers(1 << 62))
            fuzz_config(config, seed=seed, programs=count, tally=tally, shrinks=not options.no_shrink)
        except Difference as difference:
            print(difference)
            return 1
        number += 1
        print(_progress(tally, number, time.perf_counter() - begun), file=sys.stderr)
    print(_progress(tally, number, time.perf_counter() - begun))
    return 0


def _progress(tally: Counter[str], configs: int, seconds: float) -> str:
    shown = ", ".join(f"{name} {count}" for name, count in sorted(tally.items()) if name != "programs")
    return f"{tally['programs']} programs on {configs} machines equal in {seconds:.0f} s ({shown})"


if __name__ == "__main__":
    sys.exit(main())
