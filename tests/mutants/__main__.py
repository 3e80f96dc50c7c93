"""Small mistakes, put into a copy of the tree one at a time: each must turn its check red.

    python -m tests.mutants [--only NAME ...] [--list] [--sound]

prints a table; the exit code is 1 if a mutant survived, is broken (its tree does not even run) or is stale
(its text has changed). A unit's own test takes seconds; where only random programs can tell, the gates are
compiled anew, which takes a minute.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

from tests.mutants import (
    accel,
    accel_chain,
    accel_columns,
    accel_intrinsic,
    attention,
    calibration,
    compiler,
    driver,
    finetune,
    gates,
    gates_control,
    gates_window,
    host,
    meaning,
    report,
    runtime,
    schedule,
    simulator,
    tuning,
)
from tests.mutants.mutant import Mutant
from tests.mutants.tree import ROOT, StaleError, Tree, mutated
from tests.mutants.verdict import Outcome, judge, run_check

MUTANTS = (
    *gates.MUTANTS,
    *gates_control.MUTANTS,
    *gates_window.MUTANTS,
    *simulator.MUTANTS,
    *meaning.MUTANTS,
    *compiler.MUTANTS,
    *attention.MUTANTS,
    *calibration.MUTANTS,
    *finetune.MUTANTS,
    *schedule.MUTANTS,
    *accel.MUTANTS,
    *accel_chain.MUTANTS,
    *accel_columns.MUTANTS,
    *accel_intrinsic.MUTANTS,
    *host.MUTANTS,
    *runtime.MUTANTS,
    *driver.MUTANTS,
    *report.MUTANTS,
    *tuning.MUTANTS,
)
_REASON_CHARACTERS = 160


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 if all that was asked for is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="these mutants; * stands for anything"
    )
    parser.add_argument("--list", action="store_true", help="print the table and run nothing")
    parser.add_argument(
        "--sound", action="store_true", help="run the checks without mutants: all must be green"
    )
    options = parser.parse_args(arguments)
    chosen = [mutant for mutant in MUTANTS if _wanted(mutant, options.only)]
    if not chosen:
        parser.error(f"--only must name a mutant (see --list), not {options.only}")
    if options.list:
        return _list(chosen)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tree = Tree(Path(folder))
        return _sound(tree, chosen) if options.sound else _judge_all(tree, chosen)


def _wanted(mutant: Mutant, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(fnmatch(mutant.name, pattern) for pattern in patterns)


def _list(mutants: Sequence[Mutant]) -> int:
    stale = 0
    for mutant in mutants:
        try:
            mutated((ROOT / mutant.file).read_text(), mutant)
            note = ""
        except StaleError as error:
            note, stale = f"  STALE: {error}", stale + 1
        print(f"{mutant.name:34} {mutant.file:22} {mutant.check}{note}")
    print(f"{len(mutants)} mutants, {stale} stale")
    return 1 if stale else 0


def _sound(tree: Tree, mutants: Sequence[Mutant]) -> int:
    """Without a mistake every check must be green, else its red says nothing."""
    red = 0
    for check in dict.fromkeys(mutant.check for mutant in mutants):
        outcome, reason = run_check(tree, check)
        green = outcome is Outcome.SURVIVED
        red += not green
        print(f"{'green' if green else 'RED':8} {check}  {reason[:_REASON_CHARACTERS]}", flush=True)
    return 1 if red else 0


def _judge_all(tree: Tree, mutants: Sequence[Mutant]) -> int:
    tally: Counter[Outcome] = Counter()
    for mutant in mutants:
        verdict = judge(tree, mutant)
        tally[verdict.outcome] += 1
        line = f"{verdict.outcome:8} {verdict.seconds:4.0f} s  {mutant.name:34} {mutant.check}"
        print(f"{line}\n{'':17}{verdict.reason[:_REASON_CHARACTERS]}", flush=True)
    print(", ".join(f"{tally[outcome]} {outcome}" for outcome in Outcome))
    return 0 if tally[Outcome.KILLED] == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main())
