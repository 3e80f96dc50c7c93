"""A proof of a unit in gates, and the mistakes that it must find."""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType

import pytest

from formal.proof_bench import ProofBench
from formal.solver import Question, ask, missing_tools, write_formulas
from formal.trace import broken_claims, read_waves, trace_table


class Method(StrEnum):
    """How claims are proven."""

    INDUCTION = "k-induction"
    """They hold in the first k cycles, and in any cycle if in the k before: for ever."""
    POWER_UP = "bounded"
    """They hold in the first k cycles from power-up."""
    ANY_STATE = "any state"
    """They hold in k cycles from any state of the registers: for ever, where none matters longer."""


@dataclass(frozen=True, kw_only=True)
class SeededBug:
    """A mistake in the unit's source: `old`, which is there once, becomes `new`.

    Members:
        name: what is wrong.
        cycles: in as many from power-up (`ANY_STATE`: from any state) a claim breaks.
    """

    name: str
    old: str
    new: str
    cycles: int


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What is proven of a unit.

    Members:
        name: in tables and of the test.
        unit: the module of `tilewright.hw` that is proven.
        bench: makes the bench of the unit, or of the unit with a mistake.
        method, cycles: how, and k.
        bugs: each must break a claim in a run that really can happen.
        reach_cycles: in as many every goal of the bench is reached.
        map_memories: memories are registers; else arrays.
    """

    name: str
    unit: ModuleType
    bench: Callable[[ModuleType], ProofBench]
    method: Method
    cycles: int
    bugs: tuple[SeededBug, ...]
    reach_cycles: int = 0
    map_memories: bool = True

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Report:
    """What became of a proof: its claims, the bugs found and the claims they broke, and the time it took."""

    claims: tuple[str, ...]
    found: dict[str, str]
    seconds: float


def copy_of(unit: ModuleType, bug: SeededBug | None = None) -> ModuleType:
    """The module once more, beside the one that is imported, if asked for with a mistake in it.

    Raises:
        ValueError: if the text to replace is gone or not unique.
    """
    path = Path(unit.__file__ or "")
    text = path.read_text()
    if bug is not None:
        if text.count(bug.old) != 1:
            raise ValueError(f"{path.name} must have {bug.old!r} once, not {text.count(bug.old)} times")
        text = text.replace(bug.old, bug.new)
    module = ModuleType(unit.__name__)
    module.__file__ = str(path)
    exec(compile(text, path, "exec"), module.__dict__)
    return module


def run_proof(proof: Proof) -> Report:
    """Prove the claims, reach the goals, find the bugs.

    Raises:
        AssertionError: with the claim, its source line and the cycles that lead there.
    """
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="proof-") as folder:
        claims = _prove(proof, Path(folder))
        found = {bug.name: _find_bug(proof, bug, Path(folder)) for bug in proof.bugs}
    return Report(claims, found, time.perf_counter() - begun)


def check(proof: Proof) -> None:
    """As a test: skipped, with the reason, where tools are missing."""
    if missing_tools():
        pytest.skip(f"{', '.join(missing_tools())} missing: pip install 'tilewright[test]'")
    run_proof(proof)


def _prove(proof: Proof, folder: Path) -> tuple[str, ...]:
    bench = proof.bench(copy_of(proof.unit))
    write_formulas(bench, folder, map_memories=proof.map_memories)
    questions = {
        Method.INDUCTION: ((Question.FROM_POWER_UP, proof.cycles + 1), (Question.INDUCTION, proof.cycles)),
        Method.POWER_UP: ((Question.FROM_POWER_UP, proof.cycles),),
        Method.ANY_STATE: ((Question.FROM_ANY_STATE, proof.cycles),),
    }
    for question, cycles in questions[proof.method]:
        answer = ask(folder, question, cycles)
        table = trace_table(answer.waves, bench.claims) if answer.found else ""
        assert not answer.found, f"{proof.name}: {question}\n{table}"
    if bench.goals:
        reached = ask(folder, Question.REACH, proof.reach_cycles)
        goals = "\n".join(bench.goals)
        assert reached.found, (
            f"{proof.name}: not all reached in {proof.reach_cycles} cycles:\n{goals}\n{reached.log}"
        )
    return tuple(bench.claims.values())


def _find_bug(proof: Proof, bug: SeededBug, folder: Path) -> str:
    """The first claim that the bug breaks."""
    bench = proof.bench(copy_of(proof.unit, bug))
    write_formulas(bench, folder, map_memories=proof.map_memories)
    any_state = proof.method is Method.ANY_STATE
    question = Question.FROM_ANY_STATE if any_state else Question.FROM_POWER_UP
    answer = ask(folder, question, bug.cycles)
    assert answer.found, f"{proof.name}: no claim breaks in {bug.cycles} cycles with {bug.name}: {bug.new!r}"
    return broken_claims(read_waves(answer.waves.read_text()), bench.claims)[0]
