"""Mixed precision: the fewest layers that stay in floats, such that outputs are within a budget."""

from collections.abc import Callable, Sequence

from tilewright.compiler.ir.function import Function
from tilewright.compiler.network.budget import AccuracyBudget, Agreement
from tilewright.compiler.network.layer_noise import LayerNoise
from tilewright.compiler.quantise.judge import Verdicts

Measure = Callable[[Sequence[str]], Agreement]
"""The agreement of the outputs where layers of these labels stay in floats."""


def layers_in_floats(
    layers: Sequence[LayerNoise], budget: AccuracyBudget, before: Agreement, measure: Measure
) -> tuple[str, ...]:
    """Labels of layers that stay in floats: as few of the noisiest as the budget allows.

    Layers are ordered by the noise that each adds alone. How many of them it takes is searched: first twice
    as many, from the number that would do if noise of layers adds up, until the budget holds; then half way
    back. Measured is the network that results, each time.

    Args:
        layers: of the network with all of them in integers.
        budget: of the outputs.
        before: of that network.
        measure: measures others.
    """
    order = noisiest(layers)
    low, high = 0, max(1, _expected(layers, order, budget, before))
    while high < len(order) and not budget.holds(measure(order[:high])):
        low, high = high, 2 * high
    high = min(high, len(order))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if budget.holds(measure(order[:middle])) else (middle, high)
    return tuple(order[:high])


def noisiest(layers: Sequence[LayerNoise]) -> list[str]:
    """Labels of all layers, that of the most noise first, each once."""
    ordered = sorted(layers, key=lambda each: (-each.alone, each.macs))
    return list(dict.fromkeys(each.label for each in ordered))


def refused_layers(function: Function, labels: Sequence[str], reason: str) -> Verdicts:
    """The equations of those layers, with the reason, by their first results."""
    wanted = set(labels)
    return {
        each.results[0]: reason
        for each in function.equations
        if each.operands and not wanted.isdisjoint((*each.labels, each.label))
    }


def _expected(
    layers: Sequence[LayerNoise], order: Sequence[str], budget: AccuracyBudget, before: Agreement
) -> int:
    """How many layers it takes if the noise of layers adds up; 1 for a budget of answers."""
    if budget.most_other < 1:
        return 1
    allowed = 10 ** ((before.decibels - budget.least_decibels) / 10)
    own: dict[str, float] = {}
    for each in layers:
        own[each.label] = own.get(each.label, 0.0) + each.alone
    total = rest = sum(own.values()) or 1.0
    for number, label in enumerate(order):
        if rest <= allowed * total:
            return number
        rest -= own[label]
    return len(order)
