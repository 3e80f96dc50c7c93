"""Random programs on random machines, simulator against gates, cycle by cycle.

    python -m tests.cosim.fuzz --seed 1 --programs 500

draws configurations (or takes `--config`), builds the gates of each once, and runs programs of all kinds on
both. Large machines (arrays up to 128 x 128, bursts up to 4,096 bytes, 16 banks) are drawn with
`--large-share` alone: their gates take minutes to compile. A difference is shrunk to a few instructions and
printed as assembler text; the exit code is then 1. The end shows what the programs reached of what there is
(`tests.cosim.coverage`). With `--journal FILE` what was run is kept, machine by machine, and a stopped run
goes on behind it.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tests.cosim.case import Case
from tests.cosim.compare import Observation, Pair
from tests.cosim.coverage import Coverage
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
    config: Config,
    *,
    seed: int,
    programs: int,
    tally: Counter[str],
    coverage: Coverage | None = None,
    shrinks: bool = True,
) -> None:
    """Run `programs` programs on one configuration.

    Args:
        config: the machine.
        seed: the cases are a function of it and the configuration.
        programs: how many, at least.
        tally: counts programs, cycles and causes of faults.
        coverage: takes what they reach.
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
        if coverage is not None:
            _cover(case, pair.seen, coverage)


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


def _cover(case: Case, seen: Sequence[Observation], coverage: Coverage) -> None:
    coverage.add_config(case.config)
    for run, program in zip(case.runs, seen, strict=False):
        assert program.result is not None, "the simulator's"
        coverage.add(run, program.result, case.config)


class Journal:
    """What was run, a line for each machine; nothing is kept without a file.

    Args:
        path: of the file, or None.
        options: what all is drawn from: lines of others are passed over.
    """

    def __init__(self, path: Path | None, options: Mapping[str, object]) -> None:
        self._path, self._options = path, dict(options)
        self._known: dict[int, dict[str, Any]] = {}
        for text in path.read_text().splitlines() if path is not None and path.is_file() else ():
            line = _line_of(text)
            if line.get("options") == self._options:
                self._known[line["machine"]] = line

    def goes_on_behind(self, machine: int, tally: Counter[str], coverage: Coverage) -> bool:
        """Whether a machine was done before: then what was found is added."""
        line = self._known.get(machine)
        if line is not None:
            tally.update(line["tally"])
            coverage.merge(line["coverage"])
        return line is not None

    def add(self, machine: int, tally: Counter[str], coverage: Coverage) -> None:
        """A machine is done."""
        if self._path is None:
            return
        found = {"tally": tally, "coverage": coverage.to_json()}
        with self._path.open("a") as file:
            file.write(json.dumps({"options": self._options, "machine": machine, **found}) + "\n")


def _line_of(text: str) -> dict[str, Any]:
    """A line; nothing if it was cut off when the run was stopped."""
    try:
        line = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return line if isinstance(line, dict) else {}


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
    parser.add_argument("--journal", type=Path, help="file that keeps what was run")
    options = parser.parse_args(arguments)
    drawn_from = ("seed", "programs", "per_config", "large_share", "config")
    journal = Journal(options.journal, {name: getattr(options, name) for name in drawn_from})
    try:
        coverage = _run_all(options, journal)
    except Difference as difference:
        print(difference)
        return 1
    print("\n".join(coverage.lines()))
    return 0


def _run_all(options: argparse.Namespace, journal: Journal) -> Coverage:
    """All machines, one after the other."""
    rng = np.random.default_rng(options.seed)
    named = [load_config(name) for name in options.config or ()]
    tally, coverage = Counter[str](), Coverage()
    begun, machine = time.perf_counter(), 0
    while tally["programs"] < options.programs:
        drawn = random_config(rng, large_share=options.large_share)
        config, seed = named[machine % len(named)] if named else drawn, int(rng.integers(1 << 62))
        count = min(options.per_config, options.programs - tally["programs"])
        if not journal.goes_on_behind(machine, tally, coverage):
            found, reached = Counter[str](), Coverage()
            fuzz_config(
                config,
                seed=seed,
                programs=count,
                tally=found,
                coverage=reached,
                shrinks=not options.no_shrink,
            )
            journal.add(machine, found, reached)
            tally.update(found)
            coverage.merge(reached.to_json())
        machine += 1
        print(_progress(tally, machine, time.perf_counter() - begun), file=sys.stderr)
    print(_progress(tally, machine, time.perf_counter() - begun))
    return coverage


def _progress(tally: Counter[str], configs: int, seconds: float) -> str:
    shown = ", ".join(f"{name} {count}" for name, count in sorted(tally.items()) if name != "programs")
    return f"{tally['programs']} programs on {configs} machines equal in {seconds:.0f} s ({shown})"


if __name__ == "__main__":
    sys.exit(main())
