"""Runs a check in the copy and says what became of the mutant."""

import re
import subprocess
import time
from dataclasses import dataclass
from enum import StrEnum

from tests.cosim.test_cosim import MACHINES
from tests.mutants.mutant import SEED, Check, Mutant, Suite
from tests.mutants.tree import StaleError, Tree

LIMIT_SECONDS = 900
"""After this long a check is taken to hang, which is red too."""

_CRASH = re.compile(
    r"\b(Syntax|Name|Type|Attribute|Import|ModuleNotFound|Index|Indentation|Unbound\w*)Error\b"
)
_RAN_ON = re.compile(r"\b(GatesError|NeverEndsError)\b")


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    SURVIVED = "SURVIVED"
    BROKEN = "broken"
    STALE = "stale"


@dataclass(frozen=True)
class Verdict:
    """The outcome, what showed it, and how long that took."""

    outcome: Outcome
    reason: str
    seconds: float


def judge(tree: Tree, mutant: Mutant) -> Verdict:
    """Put the mutant into the copy and run its check there."""
    begun = time.perf_counter()
    try:
        with tree.mutant(mutant):
            outcome, reason = run_check(tree, mutant.check)
    except StaleError as error:
        outcome, reason = Outcome.STALE, str(error)
    return Verdict(outcome, reason, time.perf_counter() - begun)


def run_check(tree: Tree, check: Check) -> tuple[Outcome, str]:
    """Run a check in the copy as it is: the outcome, and what showed it."""
    read = _read_suite if isinstance(check, Suite) else _read_fuzz
    try:
        return read(tree.python(*_arguments(tree, check), seconds=LIMIT_SECONDS))
    except subprocess.TimeoutExpired:
        return Outcome.KILLED, f"did not end in {LIMIT_SECONDS} s"


def _arguments(tree: Tree, check: Check) -> tuple[str, ...]:
    if isinstance(check, Suite):
        options = ("-x", "-q", "--tb=line", "-p", "no:cacheprovider", "--hypothesis-profile=mutants")
        return ("-m", "pytest", *options, *check.names)
    config = tree.folder / f"{check.machine}.toml"
    config.write_text(MACHINES[check.machine].to_toml())
    size = ("--programs", str(check.programs), "--seed", str(SEED))
    return ("-m", "tests.cosim.fuzz", "--config", str(config), "--no-shrink", *size)


def _read_suite(run: subprocess.CompletedProcess[str]) -> tuple[Outcome, str]:
    if run.returncode == 0:
        return Outcome.SURVIVED, "all tests pass"
    red = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if run.returncode != 1 or not red or _CRASH.search(red[0]):
        return Outcome.BROKEN, red[0] if red else _last_line(run)
    return Outcome.KILLED, red[0].removeprefix("FAILED ")


def _read_fuzz(run: subprocess.CompletedProcess[str]) -> tuple[Outcome, str]:
    if run.returncode == 0:
        return Outcome.SURVIVED, run.stdout.strip()
    differences = [line for line in run.stdout.splitlines() if line.startswith("# first difference: ")]
    if differences:
        return Outcome.KILLED, differences[-1].removeprefix("# first difference: ")
    last = _last_line(run)
    return Outcome.KILLED if _RAN_ON.search(last) else Outcome.BROKEN, last


def _last_line(run: subprocess.CompletedProcess[str]) -> str:
    lines = (run.stdout + run.stderr).strip().splitlines()
    return lines[-1] if lines else "no output"
