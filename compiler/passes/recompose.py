"""Composites found in the equations that models write them as.

The pattern of a composite is its own definition, on operands of the types that fit the result; both are
compared as terms (`term.py`), so that the order and form of arithmetic do not count. What matches is checked:
the definition on the operands that were found must be the very term that stands there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

from tilewright.compiler.ir.build import Builder, trace
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.deep import deeply
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.inline import emit, inline
from tilewright.compiler.ir.operator import Operator
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops import emit as e
from tilewright.compiler.ops.nn.activation import Gelu, HardSwish, LogSoftmax, Softmax, Swish, clip
from tilewright.compiler.ops.nn.norm import BatchNorm, LayerNorm, RmsNorm
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.passes.match import SENTINEL, Found, Hole, Matcher
from tilewright.compiler.passes.run import each_function
from tilewright.compiler.passes.term import Term, Terms

Make = Callable[[int, float], Composite]
Operands = Callable[[TensorType, int], Sequence[TensorType] | None]


@dataclass(frozen=True)
class Listing:
    """A composite to look for; its first result has the shape of x.

    Members:
        make: the operator, for an axis and a number.
        operands: types of its operands, for that of the result and an axis; None if it has none there.
        has_axis: whether it has an axis, of which each is tried.
        form: another definition that means the same; None for the composite's own.
    """

    make: Make
    operands: Operands
    has_axis: bool = False
    form: Callable[..., Sequence[Value]] | None = None


def _alone(x: TensorType, axis: int) -> Sequence[TensorType]:
    return (x,)


def _scaled(x: TensorType, axis: int) -> Sequence[TensorType]:
    return (x, x.with_shape(x.shape[axis:]))


def _scaled_and_moved(x: TensorType, axis: int) -> Sequence[TensorType]:
    return (x, *[x.with_shape(x.shape[axis:])] * 2)


def _by_channel(x: TensorType, axis: int) -> Sequence[TensorType] | None:
    return (x, *[x.with_shape(x.shape[1:2])] * 4) if x.rank >= 2 else None


def _relu6_swish(b: Builder, x: Value) -> Sequence[Value]:
    """x·relu6(x + 3) / 6."""
    return [e.div(b, e.mul(b, x, clip(b, e.add(b, x, 3.0), 0.0, 6.0)), 6.0)]


LISTINGS = (
    Listing(lambda axis, number: Gelu(), _alone),
    Listing(lambda axis, number: Gelu(by_tanh=True), _alone),
    Listing(lambda axis, number: Swish(), _alone),
    Listing(lambda axis, number: HardSwish(), _alone),
    Listing(lambda axis, number: HardSwish(), _alone, form=_relu6_swish),
    Listing(lambda axis, number: Softmax(axis), _alone, has_axis=True),
    Listing(lambda axis, number: LogSoftmax(axis), _alone, has_axis=True),
    Listing(LayerNorm, _scaled_and_moved, has_axis=True),
    Listing(LayerNorm, _scaled, has_axis=True),
    Listing(RmsNorm, _scaled, has_axis=True),
    Listing(lambda axis, number: BatchNorm(number), _by_channel),
)
"""All composites that are looked for; of two that match, the first one is taken."""


@dataclass(frozen=True)
class Recompose:
    """Puts composites in place of the equations that define them, up to the order of float arithmetic.

    Members:
        listings: the composites to look for.
    """

    name: ClassVar[str] = "recompose"
    listings: tuple[Listing, ...] = LISTINGS

    def apply(self, module: Module) -> Module:
        """The module with composites."""
        return each_function(module, lambda each: deeply(each.depth, lambda: self._function(each)))

    def _function(self, function: Function) -> Function:
        equations = tuple(replace(each, operator=self._regions(each.operator)) for each in function.equations)
        search = _Search(replace(function, equations=equations), self.listings)
        return search.result()

    def _regions(self, operator: Operator) -> Operator:
        if not operator.regions:
            return operator
        return operator.mapped(lambda leaf: self._function(leaf) if isinstance(leaf, Function) else leaf)


class _Search:
    """Looks for composites in one function."""

    def __init__(self, function: Function, listings: Sequence[Listing]) -> None:
        self._function, self._listings = function, listings
        self._terms = Terms()
        self._of = self._terms.of(function)
        self._values: dict[Term, Value] = {}
        for value, term in self._of.items():
            self._values.setdefault(term, value)
        order = [value for each in function.equations for value in each.results]
        self._position = {value: position for position, value in enumerate((*function.parameters, *order))}
        self._patterns = lru_cache(maxsize=None)(self._pattern)

    def result(self) -> Function:
        """The function with what was found; itself, if nothing was."""
        matches = {}
        for equation in self._function.equations:
            found = self._composite(equation)
            if found is not None:
                matches[equation.result] = found
        return self._with(matches) if matches else self._function

    def _with(self, matches: dict[Value, tuple[Composite, tuple[Value, ...]]]) -> Function:
        b = Builder(self._function.name)
        parameters = [b.parameter(value.name, value.type) for value in self._function.parameters]
        new = dict(zip(self._function.parameters, parameters, strict=True))

        def each(
            b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
        ) -> Sequence[Value]:
            match = matches.get(equation.results[0]) if equation.results else None
            if match is None:
                results = emit(b, equation, operator, operands)
            else:
                with b.label(*equation.labels):
                    names = [equation.results[0].name]
                    results = b.apply(match[0], *(new[value] for value in match[1]), names=names)[:1]
            new.update(zip(equation.results, results, strict=True))
            return results

        return pruned(b.function(*inline(b, self._function, parameters, each)))

    def _composite(self, equation: Equation) -> tuple[Composite, tuple[Value, ...]] | None:
        """The composite that gives an equation's result, and its operands."""
        if not isinstance(equation.operator, Map) or not equation.result.type.dtype.is_float:
            return None
        root = self._of[equation.result]
        for position, listing in enumerate(self._listings):
            for axis in range(equation.result.type.rank if listing.has_axis else 1):
                pattern = self._patterns(position, equation.result.type, axis)
                if pattern is None or pattern.kind != root.kind:
                    continue
                for found in Matcher(self._terms).match(pattern, root, {}):
                    made = self._made(listing, axis, found, equation.result)
                    if made is not None:
                        return made
        return None

    def _pattern(self, position: int, result: TensorType, axis: int) -> Term | None:
        """The term of a listed composite with holes for its operands."""
        listing = self._listings[position]
        types = listing.operands(result, axis)
        try:
            if types is None or not types[-1].rank >= 0:
                return None
            function = _definition(listing, listing.make(axis, SENTINEL), types)
        except IrError:
            return None
        holes = [self._terms.leaf(Hole(index)) for index in range(len(types))]
        return self._terms.of(function, holes)[function.results[0]]

    def _made(
        self, listing: Listing, axis: int, found: Found, result: Value
    ) -> tuple[Composite, tuple[Value, ...]] | None:
        """The composite on what was found, if that is what stands there."""
        number = found.get(None, 0.0)
        operands = list(self._operands(found, result))
        assert isinstance(number, float)
        composite = listing.make(axis, number)
        types = [value.type for value in operands]
        if len(operands) != sum(isinstance(key, Hole) for key in found):
            return None
        try:
            function = _definition(listing, composite, types)
        except IrError:
            return None
        if function.results[0].type != result.type:
            return None
        terms = self._terms.of(function, [self._of[value] for value in operands])
        return (composite, tuple(operands)) if terms[function.results[0]] is self._of[result] else None

    def _operands(self, found: Found, result: Value) -> Iterator[Value]:
        """The values in the holes, in order, as far as they are there before the result."""
        for hole in sorted((key for key in found if key is not None), key=lambda hole: hole.index):
            value = self._values.get(found[hole])  # type: ignore[arg-type]
            if value is not None and self._position[value] < self._position[result]:
                yield value


def _definition(listing: Listing, composite: Composite, types: Sequence[TensorType]) -> Function:
    return composite.expanded(*types) if listing.form is None else trace("form", types, listing.form)
