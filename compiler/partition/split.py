"""Functions with kernels."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.kernel import Kernel, shown_names
from tilewright.compiler.ir.prune import pruned, sizes_of
from tilewright.compiler.ir.size import SizeName
from tilewright.compiler.partition.assign import Refusal, assigned, offers
from tilewright.compiler.partition.dependence import Dependence
from tilewright.compiler.partition.level import best_levels
from tilewright.compiler.partition.target import Target


@dataclass(frozen=True)
class Partition:
    """A function split between targets.

    Members:
        function: the same function, of kernels, and of constants that are results.
        refusals: of all targets, equation by equation.
    """

    function: Function
    refusals: tuple[Refusal, ...]


def partition(function: Function, targets: Sequence[Target]) -> Partition:
    """A function whose equations are in kernels, each once; constants are in each kernel that reads them.

    Most products of matrices run on the first target, then there are the fewest programs on it, then the
    fewest bytes between targets.

    Args:
        function: as it is after the passes; its regions are not split.
        targets: the first one is preferred; the last one usually runs everything.

    Raises:
        IrError: with all equations that no target runs.
    """
    function = pruned(function)
    dependence = Dependence(function)
    offered = offers(function, targets, dependence)
    sides = assigned(dependence, offered)
    levels = best_levels(dependence, sides)
    groups: dict[tuple[int, int], list[Equation]] = {}
    for number in dependence.steps:
        groups.setdefault((levels[number], sides[number]), []).append(function.equations[number])
    kernels = [
        _kernel(dependence, groups[key], targets[key[1]].name, index)
        for index, key in enumerate(sorted(groups))
    ]
    kept = _sources(dependence, function.results)
    split = Function(function.name, function.parameters, (*kept, *kernels), function.results)
    return Partition(split, offered.refusals)


def _kernel(dependence: Dependence, group: list[Equation], target: str, index: int) -> Equation:
    """The equation that applies a group as a kernel."""
    body = _body(dependence, group, f"{target}_{index}")
    sizes = tuple(SizeName(name) for name in shown_names(body))
    labels = tuple(dict.fromkeys(label for each in group for label in each.labels))
    return Equation(body.results, Kernel(target, body, sizes), body.parameters, labels)


def _body(dependence: Dependence, group: list[Equation], name: str) -> Function:
    own = {value for each in group for value in each.results}
    read = dict.fromkeys(value for each in group for value in each.operands if value not in own)
    sources = _sources(dependence, read)
    copied = {value for each in sources for value in each.results}
    given = tuple(value for value in read if value not in copied)
    return Function(name, given, (*sources, *group), tuple(_results(dependence.function, group)))


def _sources(dependence: Dependence, values: Iterable[Value]) -> list[Equation]:
    """The equations that make those of the values that follow from constants alone, in their order."""
    needed = set(values)
    found = []
    for each in reversed(dependence.function.equations):
        if each in dependence.sources and not needed.isdisjoint(each.results):
            found.append(each)
            needed.update(each.operands)
    return found[::-1]


def _results(function: Function, group: list[Equation]) -> list[Value]:
    """The values of a group that others read, and those that show them a size."""
    inside = set(group)
    others = [each for each in function.equations if each not in inside]
    wanted = {*function.results, *(value for each in others for value in each.operands)}
    sizes = set[str]().union(*map(sizes_of, others), *(value.type.names for value in function.results))
    made = [value for each in group for value in each.results if value in wanted]
    sizes.update(name for value in made for name in value.type.names)
    binders = [each for each in group if not sizes.isdisjoint(each.operator.bound_names)]
    return list(dict.fromkeys([*made, *(value for each in binders for value in each.results)]))
