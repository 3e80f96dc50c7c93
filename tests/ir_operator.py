"""Operators for tests of the IR alone, which knows their protocol and none of them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.composite import Composite
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Function
from tilewright.compiler.ir.operator import Operator, expect, expect_operands
from tilewright.compiler.ir.size import Size, SizeName
from tilewright.compiler.ir.type import TensorType


@dataclass(frozen=True)
class Plus(Operator):
    """The sum of two tensors of one type."""

    name: ClassVar[str] = "plus"

    def infer(self, *types):
        expect_operands(types, "a", "b")
        expect(types[0] == types[1], f"b must be {types[0]}, not {types[1]}")
        return types[:1]

    def run(self, *arrays):
        return (arrays[0] + arrays[1],)


@dataclass(frozen=True)
class Fill(Operator):
    """A tensor of one number."""

    name: ClassVar[str] = "fill"
    value: float
    type: tuple

    def infer(self, *types):
        dtype, shape = self.type
        return (TensorType(dtype, shape),)

    def run(self, *arrays):
        dtype, shape = self.type
        return (np.full(shape, self.value, dtype.numpy),)


@dataclass(frozen=True)
class Flattened(Operator):
    """All elements on one axis."""

    name: ClassVar[str] = "flattened"

    def infer(self, *types):
        size = 1
        for each in types[0].shape:
            size = size * each
        return (types[0].with_shape((size,)),)

    def run(self, *arrays):
        return (arrays[0].reshape(-1),)


@dataclass(frozen=True)
class Positive(Operator):
    """The elements above 0: so many that only the data tell."""

    name: ClassVar[str] = "positive"
    length: SizeName

    def __post_init__(self):
        object.__setattr__(self, "length", SizeName(self.length))

    def infer(self, *types):
        return (types[0].with_shape((Size.of(self.length),)),)

    def run(self, *arrays):
        return (arrays[0][arrays[0] > 0],)


@dataclass(frozen=True)
class Apply(Operator):
    """A region, applied."""

    name: ClassVar[str] = "apply"
    body: Function

    def infer(self, *types):
        return self.body.result_types

    def run_regions(self, evaluate, *arrays):
        return evaluate(self.body, arrays)


@dataclass(frozen=True)
class Thrice(Composite):
    """x + x + x, by definition."""

    name: ClassVar[str] = "thrice"

    def define(self, b, *operands):
        (x,) = operands
        return (b.emit(Plus(), b.emit(Plus(), x, x), x),)


OPERATORS = {each.name: each for each in (Plus, Fill, Flattened, Positive, Apply, Thrice, Constant, Call)}
