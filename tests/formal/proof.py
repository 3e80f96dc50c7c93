"""A proof of a unit in gates, and the mistakes that it must find."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import ModuleType

import pytest

from formal.proof_bench import ProofBench
from formal.solver import (
    Question,
    SolverAnswer,
    ask,
    compile_tools,
    missing_tools,
    write_formulas,
    write_netlist,
)
from formal.trace import broken_claims, read_waves, trace_table

_PROCESSES = 2
"""As many solvers at once."""


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
        is_slow: it takes more than five seconds.
    """

    name: str
    unit: ModuleType
    bench: Callable[[ModuleType], ProofBench]
    method: Method
    cycles: int
    bugs: tuple[SeededBug, ...]
    reach_cycles: int = 0
    map_memories: bool = True
    is_slow: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class ProofReport:
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


def run_proof(proof: Proof) -> ProofReport:
    """Prove the claims, reach the goals, find the bugs.

    Raises:
        AssertionError: with the claim, its source line and the cycles that lead there.
    """
    compile_tools()
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="proof-") as folder:
        attempts = [
            _Attempt(proof, bug, Path(folder) / str(place)) for place, bug in enumerate((None, *proof.bugs))
        ]
        with ThreadPoolExecutor(_PROCESSES) as pool:
            for done in [pool.submit(attempt.prepare) for attempt in attempts]:
                done.result()
            questions = [(attempt, question) for attempt in attempts for question in attempt.questions()]
            answers = [pool.submit(ask, attempt.folder, *question) for attempt, question in questions]
            for (attempt, (question, cycles)), answer in zip(questions, answers, strict=True):
                attempt.judge(question, cycles, answer.result())
    sound, *seeded = attempts
    found = {attempt.bug.name: attempt.broken for attempt in seeded if attempt.bug is not None}
    return ProofReport(tuple(sound.bench.claims.values()), found, time.perf_counter() - begun)


def check(proof: Proof) -> None:
    """As a test: skipped, with the reason, where tools are missing.

    In continuous integration they are there, or the proofs fail.
    """
    if missing_tools() and not os.environ.get("CI"):
        pytest.skip(f"{', '.join(missing_tools())} missing: pip install 'tilewright[test]'")
    run_proof(proof)


def cases(proofs: Sequence[Proof]) -> list[object]:
    """The proofs as parameters of a test, those that take long with the marker."""
    return [
        pytest.param(proof, id=proof.name, marks=[pytest.mark.slow] if proof.is_slow else [])
        for proof in proofs
    ]


class _Attempt:
    """A proof of the unit as it is, or of the unit with a bug.

    Members:
        broken: the claim that the bug breaks.
    """

    def __init__(self, proof: Proof, bug: SeededBug | None, folder: Path) -> None:
        self.proof, self.bug, self.folder, self.broken = proof, bug, folder, ""
        folder.mkdir()
        self.bench = proof.bench(copy_of(proof.unit, bug))
        write_netlist(self.bench, folder)

    def prepare(self) -> None:
        write_formulas(self.folder, map_memories=self.proof.map_memories)

    def questions(self) -> list[tuple[Question, int]]:
        """What is asked, and of how many cycles."""
        proof, first = self.proof, Question.FROM_POWER_UP
        if proof.method is Method.ANY_STATE:
            first = Question.FROM_ANY_STATE
        if self.bug is not None:
            return [(first, self.bug.cycles)]
        asked = [(first, proof.cycles + (proof.method is Method.INDUCTION))]
        if proof.method is Method.INDUCTION:
            asked.append((Question.INDUCTION, proof.cycles))
        if proof.reach_cycles:
            asked.append((Question.REACH, proof.reach_cycles))
        return asked

    def judge(self, question: Question, cycles: int, answer: SolverAnswer) -> None:
        """Whether the answer is the one that the proof needs.

        Raises:
            AssertionError: if it is not.
        """
        name, claims = self.proof.name, self.bench.claims
        if self.bug is not None:
            assert answer.found, f"{name}: no claim breaks in {cycles} cycles with the bug {self.bug.name!r}"
            self.broken = broken_claims(read_waves(answer.waves.read_text()), claims)[0]
        elif question is Question.REACH:
            goals = "\n".join(self.bench.goals)
            assert answer.found, f"{name}: not all reached in {cycles} cycles:\n{goals}\n{answer.log}"
        else:
            table = trace_table(answer.waves, claims) if answer.found else ""
            assert not answer.found, f"{name}: {question}\n{table}"
