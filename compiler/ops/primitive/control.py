"""Choice and repetition: operators with functions inside of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Function
from tilewright.compiler.ir.interpret import bind
from tilewright.compiler.ir.operator import Evaluate, Operator, expect
from tilewright.compiler.ir.size import AnySize, Size, SizeName
from tilewright.compiler.ir.size import evaluate as evaluate_size
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class If(Operator):
    """The results of one of two functions.

    Operands: the condition (bool, a scalar), what `then` is given, what `orelse` is given.

    Members:
        then, orelse: the functions; results have equal element types and ranks.
        sizes: names of the results' sizes in which they differ, in order.
    """

    name: ClassVar[str] = "if"
    then: Function
    orelse: Function
    sizes: tuple[SizeName, ...] = ()

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        expect(
            len(types) > 0 and types[0] == TensorType(DType.BOOL, ()), "the condition must be a bool scalar"
        )
        count = len(self.then.parameters)
        _expect_given("then", self.then, types[1 : 1 + count])
        _expect_given("else", self.orelse, types[1 + count :])
        results = joined(self.then, self.orelse)
        free = [place for result in results for place in result.shape if place is None]
        expect(
            len(free) == len(self.sizes),
            f"branches differ in {len(free)} sizes, and {len(self.sizes)} have names",
        )
        names = iter(self.sizes)
        return tuple(
            TensorType(
                each.dtype, tuple(Size.of(next(names)) if size is None else size for size in each.shape)
            )
            for each in results
        )

    def settled(self, before: Operator) -> tuple[Operator, Mapping[str, AnySize]]:
        """Sizes in which the branches no longer differ lose their names."""
        assert isinstance(before, If)
        was = [size for each in joined(before.then, before.orelse) for size in each.shape]
        now = [size for each in joined(self.then, self.orelse) for size in each.shape]
        named = [size for size, old in zip(now, was, strict=True) if old is None]
        known = {str(name): size for name, size in zip(self.sizes, named, strict=True) if size is not None}
        kept = tuple(name for name in self.sizes if name not in known)
        return replace(self, sizes=kept), known

    def run_regions(self, evaluate: Evaluate, *arrays: Array) -> tuple[Array, ...]:
        count = len(self.then.parameters)
        if arrays[0]:
            return evaluate(self.then, arrays[1 : 1 + count])
        return evaluate(self.orelse, arrays[1 + count :])


@dataclass(frozen=True)
class Joined:
    """The type of a result of two branches; None for a size in which they differ."""

    dtype: DType
    shape: tuple[AnySize | None, ...]


def joined(then: Function, orelse: Function) -> list[Joined]:
    """What the results of both branches have in common.

    Raises:
        OperatorError: if they differ in number, element type or rank.
    """
    expect(
        len(then.results) == len(orelse.results),
        f"branches must have as many results, not {len(then.results)} and {len(orelse.results)}",
    )
    inner = inner_names(then) | inner_names(orelse)
    found = []
    for one, other in zip(then.result_types, orelse.result_types, strict=True):
        is_alike = one.dtype is other.dtype and one.rank == other.rank
        expect(is_alike, f"results of branches must have one element type and rank, not {one} and {other}")
        found.append(
            Joined(
                one.dtype, tuple(_joined(s, t, inner) for s, t in zip(one.shape, other.shape, strict=True))
            )
        )
    return found


def _joined(size: AnySize, other: AnySize, inner: frozenset[str]) -> AnySize | None:
    is_inner = isinstance(size, Size) and not size.names.isdisjoint(inner)
    return size if size == other and not is_inner else None


def inner_names(function: Function) -> frozenset[str]:
    """Names of sizes that equations of the function show first."""
    return frozenset(name for each in function.equations for name in each.operator.bound_names)


@dataclass(frozen=True)
class While(Operator):
    """A function again and again, while it says so.

    Operands: whether to begin (bool, a scalar), captured values, carried values. The body is given captured,
    then carried values, and returns whether to go on, the carried values, and outputs.
    Results: the carried values at the end, then outputs, stacked along a new leading axis.

    Members:
        captured: how many values each round is given alike.
        body: the function.
        length: the name of the number of rounds.
    """

    name: ClassVar[str] = "while"
    captured: int
    body: Function
    length: SizeName

    @property
    def carried(self) -> int:
        """How many values go from round to round."""
        return len(self.body.parameters) - self.captured

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        flag = TensorType(DType.BOOL, ())
        expect(
            len(types) > 0 and types[0] == flag, "the first operand must be a bool scalar: whether to begin"
        )
        _expect_given("body", self.body, types[1:])
        results = self.body.result_types
        expect(
            len(results) > self.carried,
            f"the body must return {self.carried + 1} results or more, not {len(results)}",
        )
        expect(results[0] == flag, f"the body's first result must be a bool scalar, not {results[0]}")
        carried = results[1 : 1 + self.carried]
        _expect_carried(types[1 + self.captured :], carried)
        length = Size.of(self.length)
        return (
            *carried,
            *(each.with_shape((length, *each.shape)) for each in _outer(self.body, 1 + self.carried)),
        )

    def run_regions(self, evaluate: Evaluate, *arrays: Array) -> tuple[Array, ...]:
        go, captured, carried = arrays[0], arrays[1 : 1 + self.captured], arrays[1 + self.captured :]
        outputs: list[tuple[Array, ...]] = []
        while go:
            go, *rest = evaluate(self.body, (*captured, *carried))
            carried, output = tuple(rest[: self.carried]), tuple(rest[self.carried :])
            outputs.append(output)
        types = self.body.result_types[1 + self.carried :]
        return (*carried, *stacked(outputs, types, self.body, arrays[1:]))


@dataclass(frozen=True)
class Scan(Operator):
    """A function for each element of the leading axis of slices, one after the other.

    Operands: captured values, carried values, slices (at least one). The body is given captured and carried
    values and an element of each slice, and returns the carried values and outputs.
    Results: the carried values at the end, then outputs, stacked in the order of the slices.

    Members:
        captured: how many values each step is given alike.
        carried: how many go from step to step.
        body: the function.
        reverse: from the last element to the first.
    """

    name: ClassVar[str] = "scan"
    captured: int
    carried: int
    body: Function
    reverse: bool = False

    def infer(self, *types: TensorType) -> tuple[TensorType, ...]:
        first = self.captured + self.carried
        slices = types[first:]
        expect(
            len(slices) > 0 and all(each.rank > 0 for each in slices),
            "must have at least one slice, none a scalar",
        )
        length = slices[0].shape[0]
        expect(
            all(each.shape[0] == length for each in slices),
            f"slices must be equally long, not {', '.join(map(str, slices))}",
        )
        _expect_given(
            "body", self.body, (*types[:first], *(each.with_shape(each.shape[1:]) for each in slices))
        )
        results = self.body.result_types
        expect(
            len(results) >= self.carried,
            f"the body must return {self.carried} results or more, not {len(results)}",
        )
        _expect_carried(types[self.captured : first], results[: self.carried])
        outputs = (each.with_shape((length, *each.shape)) for each in _outer(self.body, self.carried))
        return (*results[: self.carried], *outputs)

    def macs(self, *types: TensorType) -> AnySize:
        total: AnySize = 0
        for each in self.body.equations:
            total = total + each.operator.macs(*(value.type for value in each.operands))
        return total * types[-1].shape[0]

    def run_regions(self, evaluate: Evaluate, *arrays: Array) -> tuple[Array, ...]:
        first = self.captured + self.carried
        captured, carried, slices = arrays[: self.captured], arrays[self.captured : first], arrays[first:]
        outputs: list[tuple[Array, ...]] = []
        steps = range(len(slices[0]))
        for step in reversed(steps) if self.reverse else steps:
            results = evaluate(self.body, (*captured, *carried, *(np.asarray(each[step]) for each in slices)))
            carried = results[: self.carried]
            outputs.append(results[self.carried :])
        given = (*arrays[:first], *(np.zeros(each.shape[1:], each.dtype) for each in slices))
        types = self.body.result_types[self.carried :]
        return (*carried, *stacked(outputs[:: -1 if self.reverse else 1], types, self.body, given))


def stacked(
    outputs: Sequence[Sequence[Array]], types: Sequence[TensorType], body: Function, given: Sequence[Array]
) -> list[Array]:
    """Outputs of all rounds, along a new leading axis; without a round, of shapes that follow."""
    if outputs:
        try:
            return [np.stack(each) for each in zip(*outputs, strict=True)]
        except ValueError:
            raise EvaluationError("outputs of a loop must have one shape in all rounds") from None
    numbers: dict[str, AnySize] = {}
    bind(body.parameters, given, numbers, "of a loop")
    shapes = [[evaluate_size(size, numbers) for size in each.shape] for each in types]
    return [
        np.zeros((0, *(size if isinstance(size, int) else 0 for size in shape)), each.dtype.numpy)
        for shape, each in zip(shapes, types, strict=True)
    ]


def _expect_given(what: str, function: Function, types: Sequence[TensorType]) -> None:
    given, expected = list(types), list(function.parameter_types)
    expect(
        given == expected,
        f"{what} takes {', '.join(map(str, expected))}, and is given {', '.join(map(str, given))}",
    )


def _expect_carried(before: Sequence[TensorType], after: Sequence[TensorType]) -> None:
    for one, other in zip(before, after, strict=True):
        expect(one == other, f"a carried value must keep its type {one}, and becomes {other}")


def _outer(body: Function, first: int) -> Sequence[TensorType]:
    """Types of the outputs of a body; their sizes must be known outside of it."""
    inner = inner_names(body)
    for each in body.result_types[first:]:
        expect(
            each.names.isdisjoint(inner),
            f"an output must have the same shape in each round, not {each}: pad it",
        )
    return body.result_types[first:]
