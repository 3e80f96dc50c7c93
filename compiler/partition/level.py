"""Groups of equations: as many as possible of one side that can run without another side between them.

An equation's level is the number of changes of side before it, so that equations of one side and one level
depend on each other through none of another side: such a group is convex, and groups in the order of their
levels depend on earlier ones alone.
"""

from collections.abc import Sequence
from itertools import permutations

from tilewright.compiler.partition.dependence import Dependence

Levels = dict[int, int]
"""The level of each step."""
_MOST_SIDES = 3
"""The largest number of sides whose orders are tried."""


def levels(dependence: Dependence, sides: Sequence[int], order: Sequence[int] = ()) -> Levels:
    """The least level of each step.

    Args:
        dependence: of the function.
        sides: of each equation.
        order: of the sides, if they take the levels in turn: an equation that could be earlier then joins a
            larger group. Without an order, a level begins at each change of side.
    """
    found: Levels = {}
    for number in dependence.steps:
        own = max(
            (found[each] + (sides[each] != sides[number]) for each in dependence.before[number]), default=0
        )
        if order:
            own += (order.index(sides[number]) - own) % len(order)
        found[number] = own
    return found


def best_levels(dependence: Dependence, sides: Sequence[int]) -> Levels:
    """The levels with the fewest groups on the first side, then on all."""
    used = sorted({sides[number] for number in dependence.steps})
    orders = list(permutations(used)) if len(used) <= _MOST_SIDES else []
    choices = [levels(dependence, sides, order) for order in ((), *orders)]
    return min(choices, key=lambda each: programs(each, sides))


def programs(found: Levels, sides: Sequence[int]) -> tuple[int, int]:
    """The number of groups on the first side, and on all."""
    groups = {(sides[number], level) for number, level in found.items()}
    return sum(side == 0 for side, _ in groups), len(groups)
