"""How calibration becomes ranges: by a method that the user names, or by the best one, measured."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tilewright.compiler.ir.function import Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.network.calibrated import CalibratedNetwork
from tilewright.compiler.quantise.calibration import Samples
from tilewright.compiler.quantise.distance import noise_share
from tilewright.compiler.quantise.range_method import CANDIDATES, METHODS, RangeMethod, all_seen
from tilewright.compiler.quantise.recipe import Recipe
from tilewright.compiler.targets.cpu.network import HostNetwork, Kernels
from tilewright.numerics.error import TilewrightError
from tilewright.numerics.progress import Progress

_MOST_TRIALS = 64
"""Networks of integers that are measured while parts take methods of their own."""
_WORTH_WHILE = 0.9
"""Of the noise, what another method must leave at most: half a decibel less."""
_BETTER = 0.97
"""Of the noise, what corrected biases must leave at most."""
_ALL = slice(None)
Recipes = Mapping[Value, Recipe]
"""How each part becomes integers."""


@dataclass(frozen=True)
class IntegerParts:
    """A network's parts in integers.

    Members:
        integers: of each part.
        refused: why others cannot become such.
        recipes: how they became integers.
        noise: at the ends of the network on all samples, as a share of the signal; None: not measured.
    """

    integers: dict[Value, NamedFunction]
    refused: dict[Value, str]
    recipes: Recipes
    noise: float | None = None


def integer_parts(
    network: CalibratedNetwork, method: RangeMethod, progress: Progress, kernels: Kernels | None = None
) -> IntegerParts:
    """Each part of a network in integers; the reasons, where one cannot be.

    With `AUTO`, the method is the one whose integers make the ends of the network nearest to those of the
    floats: those of one half of the samples on the other half, and the reverse, if there are enough; and
    never farther than those of `MIN_MAX` on all of them.
    """
    trial = _Trial(network, {} if kernels is None else kernels)
    choose = all_seen if method is RangeMethod.AUTO else METHODS[method]
    plain = dict.fromkeys(network.parts, Recipe(choose))
    found, refused = trial.integers(plain)
    if method is not RangeMethod.AUTO or refused or not network.ends:
        return IntegerParts(found, refused, plain)
    chosen = _best_recipes(trial, plain, progress)
    as_it_is = IntegerParts(found, {}, plain, trial.share(found))
    if chosen == plain:
        return as_it_is
    progress("comparing with the whole range")
    better, problems = trial.integers(chosen)
    if problems or as_it_is.noise is None or (noise := trial.share(better)) >= as_it_is.noise:
        return as_it_is
    return IntegerParts(better, {}, chosen, noise)


def _best_recipes(trial: "_Trial", plain: Recipes, progress: Progress) -> Recipes:
    """The recipes of least noise: one for all parts, then ranges part by part, then corrected biases.

    Ranges and sizes of channels that gain next to nothing are not taken: the next samples may see it the
    other way round.
    """
    tried, shares = trial.candidates(), list[float]()
    for number, recipe in enumerate(tried):
        progress("choosing ranges", number / len(tried))
        shares.append(trial.judged(dict.fromkeys(plain, recipe)))
    least, best = shares[0], plain
    if min(shares) < _WORTH_WHILE * least:
        least = min(shares)
        best = dict.fromkeys(plain, tried[shares.index(least)])
    others = [(part, choose) for part in plain for choose in CANDIDATES] if len(plain) > 1 else []
    for part, choose in others[:_MOST_TRIALS]:
        recipes = {**best, part: replace(best[part], choose=choose)}
        if recipes != best and (share := trial.judged(recipes)) < _WORTH_WHILE * least:
            best, least = recipes, share
    progress("correcting biases")
    recipes = {part: replace(recipe, is_corrected=True) for part, recipe in best.items()}
    return recipes if trial.judged(recipes) < _BETTER * least else best


@dataclass
class _Trial:
    """Measures networks of integers on the host, which has the accelerator's bytes.

    Members:
        network: in floats, on samples.
        kernels: what was compiled for others.
    """

    network: CalibratedNetwork
    kernels: Kernels = field(default_factory=dict)

    def candidates(self) -> list[Recipe]:
        """What is tried for all parts alike, the plainest first: each method, also with like channels."""
        plain = [Recipe(choose) for choose in CANDIDATES]
        has_pairs = any(each.channels for part in self.network.parts.values() for each in part.halves)
        return [*plain, *(replace(each, is_equalised=True) for each in plain if has_pairs)]

    def judged(self, recipes: Recipes) -> float:
        """The noise of each half's ranges on the other, as a share of the signal; infinite if one fails."""
        halves, found = self.network.halves, 0.0
        for half in range(len(halves)):
            parts, refused = self.integers(recipes, half)
            if refused:
                return math.inf
            found += self.share(parts, halves[half - 1]) / len(halves)
        return found

    def share(self, parts: Mapping[Value, NamedFunction], places: slice = _ALL) -> float:
        """The noise of given parts, as a share of the signal."""
        hosts = {value: HostNetwork(part, kernels=self.kernels) for value, part in parts.items()}

        def run_part(value: Value, samples: Samples) -> Samples:
            return hosts[value].run(samples)

        found = self.network.run(run_part, places)
        expected = {name: array[places] for name, array in self.network.ends.items()}
        return noise_share(expected, found)

    def integers(
        self, recipes: Recipes, half: int | None = None
    ) -> tuple[dict[Value, NamedFunction], dict[Value, str]]:
        """The parts in integers, by what a half of the samples shows, or all of them."""
        found: dict[Value, NamedFunction] = {}
        refused: dict[Value, str] = {}
        for value, part in self.network.parts.items():
            try:
                found[value] = part.prepared(recipes[value], half).integers()
            except TilewrightError as error:
                refused[value] = str(error)
        return found, refused
