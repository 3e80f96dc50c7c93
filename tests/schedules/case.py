"""One random case: a program, a schedule, and the numbers that both must give."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.schedules.program import PROGRAMS, Program
from tests.schedules.step import draw_step

from tilewright.compiler import schedule, te
from tilewright.compiler.schedule import Primitive, ScheduleError
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.interpret import run
from tilewright.compiler.tir.printer import print_function
from tilewright.compiler.tir.stmt import PrimFunc

Arrays = dict[str, NDArray[Any]]
Runner = Callable[[PrimFunc, Mapping[str, NDArray[Any]]], Arrays]

STEPS = 9
"""Drawn for a case; those that are refused leave the program as it is."""


@dataclass(frozen=True)
class Case:
    """A program with its inputs and what numpy makes of them, and the steps that could be applied.

    Members:
        name: of the kind of program.
        program: tensors and inputs.
        function: the loops before the schedule.
        expected: the outputs by name, from the expressions.
        steps: of the schedule.
        drawn: kinds of all steps, those that were refused too.
    """

    name: str
    program: Program
    function: PrimFunc
    expected: Arrays
    steps: tuple[Primitive, ...]
    drawn: frozenset[type[Primitive]]

    def text(self) -> str:
        """The case to read: the schedule, then the program."""
        return f"{schedule.print_schedule(self.steps)}\n\n{print_function(self.function)}"

    def scheduled(self) -> PrimFunc:
        """The loops after the schedule."""
        return schedule.apply(self.function, self.steps)

    def failure(self, runner: Runner = run) -> str | None:
        """How the numbers of the scheduled program are wrong; None if they are not."""
        try:
            found = runner(self.scheduled(), self.program.arrays)
        except TirError as error:
            return str(error).splitlines()[0]
        for name, array in self.expected.items():
            if found[name].dtype != array.dtype or not np.array_equal(found[name], array):
                return f"{name}: {found[name].tolist()} must be {array.tolist()}"
        return None

    def smaller(self, runner: Runner = run) -> "Case":
        """A case that fails with as few of the steps as leaving one out at a time can reach."""
        for position in range(len(self.steps)):
            steps = self.steps[:position] + self.steps[position + 1 :]
            fewer = Case(self.name, self.program, self.function, self.expected, steps, self.drawn)
            if fewer._fails(runner):
                return fewer.smaller(runner)
        return self

    def _fails(self, runner: Runner) -> bool:
        try:
            return self.failure(runner) is not None
        except ScheduleError:
            return False


def draw_case(seed: int, name: str | None = None) -> Case:
    """The case of a seed; of one kind of program, if that is given."""
    random = Random(seed)
    kind = (
        random.choices(list(PROGRAMS), [weight for _, weight in PROGRAMS.values()])[0]
        if name is None
        else name
    )
    program = PROGRAMS[kind][0](random)
    function = te.lower(kind, program.inputs, program.outputs)
    given = {tensor: program.arrays[tensor.name] for tensor in program.inputs}
    values = te.evaluate(program.outputs, given)
    expected = {tensor.name: value for tensor, value in zip(program.outputs, values, strict=True)}
    steps, drawn = _draw_schedule(random, function)
    return Case(kind, program, function, expected, steps, drawn)


def _draw_schedule(
    random: Random, function: PrimFunc
) -> tuple[tuple[Primitive, ...], frozenset[type[Primitive]]]:
    done: list[Primitive] = []
    drawn: set[type[Primitive]] = set()
    for number in range(STEPS):
        step = draw_step(random, function, number)
        drawn.add(type(step))
        try:
            function = schedule.apply(function, [step])
        except ScheduleError:
            continue
        except Exception as error:
            error.add_note(f"{schedule.print_schedule((*done, step))}\n\n{print_function(function)}")
            raise
        done.append(step)
    return tuple(done), frozenset(drawn)
