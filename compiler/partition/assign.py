"""Which target runs which equation."""

from collections.abc import Sequence
from dataclasses import dataclass

from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Function
from tilewright.compiler.partition.dependence import Dependence
from tilewright.compiler.partition.level import best_levels, programs
from tilewright.compiler.partition.target import Target

_MOST_VISITS = 400_000
"""The number of equations visited while other sides are tried: about a second."""


@dataclass(frozen=True)
class Refusal:
    """The reason why a target cannot run an equation.

    Members:
        label: of the equation.
        operator: its name.
        target: its name.
        reason: in the target's words.
    """

    label: str
    operator: str
    target: str
    reason: str

    def __str__(self) -> str:
        return f"{self.label} ({self.operator}) cannot run on {self.target}: {self.reason}"


@dataclass(frozen=True)
class Offers:
    """The numbers of the targets that can run each equation, and the reasons why others cannot."""

    sides: tuple[tuple[int, ...], ...]
    refusals: tuple[Refusal, ...]


def offers(function: Function, targets: Sequence[Target], dependence: Dependence) -> Offers:
    """The targets of each equation, and the reasons of the others.

    Raises:
        IrError: with all equations that no target runs, and every reason.
    """
    sides: list[tuple[int, ...]] = [()] * len(function.equations)
    refusals: list[Refusal] = []
    nowhere: list[str] = []
    for number in dependence.steps:
        equation = function.equations[number]
        reasons = [target.refusal(equation, function) for target in targets]
        sides[number] = tuple(index for index, reason in enumerate(reasons) if reason is None)
        found = [
            Refusal(equation.label, equation.operator.name, target.name, reason)
            for target, reason in zip(targets, reasons, strict=True)
            if reason is not None
        ]
        refusals += found
        nowhere += [] if sides[number] else [str(each) for each in found]
    if nowhere or not targets:
        raise IrError(f"each equation of {function.name!r} must have a target: {'; '.join(nowhere)}")
    return Offers(tuple(sides), tuple(refusals))


def assigned(dependence: Dependence, offered: Offers) -> list[int]:
    """The side of each equation: most products on the first target, then fewest programs there, then bytes.

    Equations that multiply matrices run on the first target that can; the rest moves to where it saves a
    program, or bytes between sides.
    """
    sides = [each[0] if each else 0 for each in offered.sides]
    free = [
        number
        for number in dependence.steps
        if len(offered.sides[number]) > 1 and not dependence.has_macs[number]
    ]
    sides = _without_idle_groups(dependence, offered, sides, free)
    trials = _MOST_VISITS // max(1, len(dependence.steps))
    sides = _without_idle_chains(dependence, offered, sides, free, trials)
    cost = _cost(dependence, sides)
    is_better = True
    while is_better:
        is_better = False
        for number in free:
            for side in offered.sides[number]:
                if side == sides[number] or trials <= 0:
                    continue
                trials -= 1
                other = [*sides[:number], side, *sides[number + 1 :]]
                other_cost = _cost(dependence, other)
                if other_cost < cost:
                    sides, cost, is_better = other, other_cost, True
    return sides


def _without_idle_groups(
    dependence: Dependence, offered: Offers, sides: list[int], free: list[int]
) -> list[int]:
    """Groups on the first side that multiply nothing leave it together, if that costs less."""
    levels = best_levels(dependence, sides)
    for level in sorted(set(levels.values())):
        group = [number for number in dependence.steps if levels[number] == level and sides[number] == 0]
        if not group or any(number not in free for number in group):
            continue
        other = list(sides)
        for number in group:
            other[number] = offered.sides[number][1]
        if _cost(dependence, other) < _cost(dependence, sides):
            sides = other
    return sides


def _without_idle_chains(
    dependence: Dependence, offered: Offers, sides: list[int], free: list[int], trials: int
) -> list[int]:
    """Neighbours on the first side that multiply nothing leave it together, if that costs less.

    One by one they would not: what is between two of them would have to pass, such as of a mask's arithmetic.
    """
    cost = _cost(dependence, sides)
    for chain in _chains(dependence, [number for number in free if sides[number] == 0])[:trials]:
        other = list(sides)
        for number in chain:
            other[number] = offered.sides[number][1]
        if (other_cost := _cost(dependence, other)) < cost:
            sides, cost = other, other_cost
    return sides


def _chains(dependence: Dependence, numbers: Sequence[int]) -> list[list[int]]:
    """Equations that read each other, directly or through others of these; those of two at least."""
    heads = {number: number for number in numbers}

    def head(number: int) -> int:
        while heads[number] != number:
            number = heads[number]
        return number

    for number in numbers:
        for each in dependence.before[number]:
            if each in heads:
                heads[head(number)] = head(each)
    found: dict[int, list[int]] = {}
    for number in numbers:
        found.setdefault(head(number), []).append(number)
    return [chain for chain in found.values() if len(chain) > 1]


def _cost(dependence: Dependence, sides: Sequence[int]) -> tuple[int, int, int]:
    """Programs of the first side, of all, and bytes between sides."""
    first, total = programs(best_levels(dependence, sides), sides)
    return first, dependence.crossing_bytes(sides), total
