"""Makes a failing case small: fewer programs, fewer instructions, smaller fields, plainer memory."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.cosim.case import Case, Run, replaced

from tilewright.isa.instruction import Finish, Instruction, Nop, specs

Fails = Callable[[Case], bool]


def shrink(case: Case, fails: Fails, *, budget: int = 600) -> Case:
    """The smallest case found that still fails, in at most `budget` tries.

    A candidate must be as legal as the original; `fails` decides that.
    """
    for _ in range(budget):
        smaller = next(
            (candidate for candidate in _limited(_smaller(case), budget) if fails(candidate)), None
        )
        if smaller is None:
            return case
        case = smaller
    return case


def _limited(candidates: Iterator[Case], limit: int) -> Iterator[Case]:
    for _, candidate in zip(range(limit), candidates, strict=False):
        yield candidate


def _smaller(case: Case) -> Iterator[Case]:
    """Simpler cases, the biggest steps first."""
    for index in range(len(case.runs)):
        if len(case.runs) > 1:
            yield replace(case, runs=case.runs[:index] + case.runs[index + 1 :])
    for index, run in enumerate(case.runs):
        for program in _smaller_programs(run.program):
            yield replaced(case, index, program)
        for plainer in _plainer(run):
            yield replace(case, runs=(*case.runs[:index], plainer, *case.runs[index + 1 :]))


def _smaller_programs(program: tuple[Instruction, ...]) -> Iterator[tuple[Instruction, ...]]:
    """Blocks removed, then instructions made nops that keep their tokens, then tokens, then fields."""
    size = len(program) // 2
    while size:
        for first in range(0, len(program) - 1, size):
            yield (*program[:first], *program[min(first + size, len(program) - 1) :])
        size //= 2
    for place, item in enumerate(program):
        for simpler in _simpler(item):
            yield (*program[:place], simpler, *program[place + 1 :])


def _simpler(item: Instruction) -> Iterator[Instruction]:
    if isinstance(item, Finish):
        return
    if not isinstance(item, Nop) and item.engine is not None:
        yield Nop(runs_on=item.engine, wait=item.wait, signal=item.signal)
    for name in specs(type(item)):
        default = type(item).__dataclass_fields__[name].default
        value = getattr(item, name)
        for smaller in dict.fromkeys((default, value // 2, value - 1)):
            if name != "runs_on" and smaller != value and abs(smaller) <= abs(value):
                yield replace(item, **{name: smaller})


def _plainer(run: Run) -> Iterator[Run]:
    for name in ("patches", "cut_bytes", "silent_from", "timeout", "wrong_config", "empty"):
        default = Run.__dataclass_fields__[name].default
        if getattr(run, name) != default:
            yield replace(run, **{name: default})
    for name in ("latency", "outstanding"):
        if getattr(run, name) > 1:
            yield replace(run, **{name: getattr(run, name) // 2})
