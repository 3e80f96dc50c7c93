"""Fusion: which values of a function are materialised in memory, one kernel for each.

A kernel computes one value, its *root*. What only this value reads is part of its expression. A reduction
(reduction, window, product, convolution) may be, too, if all between the two works element by element.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ops.primitive.assume import Assume
from tilewright.compiler.ops.primitive.broadcast import Broadcast
from tilewright.compiler.ops.primitive.cast import Cast
from tilewright.compiler.ops.primitive.concat import Concat
from tilewright.compiler.ops.primitive.conv import Conv
from tilewright.compiler.ops.primitive.dot import Dot
from tilewright.compiler.ops.primitive.gather import Gather
from tilewright.compiler.ops.primitive.gather_elements import GatherElements
from tilewright.compiler.ops.primitive.iota import Iota
from tilewright.compiler.ops.primitive.map import Map
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reduce import Reduce
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.slice import Slice
from tilewright.compiler.ops.primitive.transpose import Transpose
from tilewright.compiler.ops.primitive.window import ReduceWindow
from tilewright.compiler.targets.cpu.host.express import is_expressible, is_plain_reshape

REDUCTIONS = (Reduce, ReduceWindow, Dot, Conv)
"""Operators that a kernel has one of at most."""
UNIFORM_ELEMENTS = 1 << 14
"""The largest number of elements of a constant of equal elements that becomes one number in the code."""
COSTS_MAXIMUM = 40
"""The largest cost of a kernel's expression, in which a value read twice is written out twice."""
REPEATED_COST = 3
"""The largest cost, for an element, of a value that is computed repeatedly instead of materialised."""
_VIEWS = (Transpose, Slice, Broadcast, Assume, Reshape)
_HEAVY = frozenset(("exp", "log", "tanh", "erf", "pow", "sin", "cos", "tan", "sqrt", "div", "mod", "fmod"))


@dataclass(frozen=True)
class ComputeSite:
    """Where an element is computed: in the kernel of a root, at the root's own indices or at others."""

    root: Value
    is_aligned: bool


@dataclass
class Fusion:
    """The choice for a function.

    Members:
        function: of primitives, all sizes known.
        materialised: values that lie in memory.
        aliases: materialised values that are the memory of another one.
        reductions: of a root, the reduction that its kernel has, where that is not the root itself.
    """

    function: Function
    materialised: set[Value] = field(default_factory=set)
    aliases: dict[Value, Value] = field(default_factory=dict)
    reductions: dict[Value, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.materialised |= {*self.function.parameters, *self.function.results}
        for equation in self.function.equations:
            self._require(equation)
        # What is repeated ends a kernel: reductions before it may be part of that.
        self._limit()
        self._alias()
        while self._settle():
            pass

    def _require(self, equation: Equation) -> None:
        """Materialise the values that must lie in memory in any case."""
        operator = equation.operator
        if isinstance(operator, Reshape) and not _is_plain(equation):
            self.materialised.add(equation.result)
        elif isinstance(operator, Constant):
            if uniform(operator.value.array) is None:
                self.materialised.add(equation.result)
        elif isinstance(operator, Conv | Dot | ReduceWindow):
            self.materialised.update(equation.operands)
        elif not is_expressible(operator) and not isinstance(operator, Reduce):
            self.materialised |= {*equation.operands, *equation.results}

    def _settle(self) -> bool:
        """One more round of choices; whether it materialised a value."""
        before = len(self.materialised)
        sites: dict[Value, ComputeSite | None] = {}
        self.reductions = {}
        for equation in reversed(self.function.equations):
            for value in equation.results:
                self._choose(equation, value, sites)
        self._limit()
        self._alias()
        return len(self.materialised) > before

    def _choose(self, equation: Equation, value: Value, sites: dict[Value, ComputeSite | None]) -> None:
        if value in self.materialised:
            sites[value] = None
            return
        found = list(self._sites(value, sites))
        is_one = len(set(found)) == 1 and (len(found) == 1 or found[0].is_aligned)
        if isinstance(equation.operator, REDUCTIONS):
            is_free = is_one and found[0].is_aligned and found[0].root not in self.reductions
            is_free = is_free and not isinstance(self.function.producers[found[0].root].operator, REDUCTIONS)
            if is_free:
                self.reductions[found[0].root] = value
                sites[value] = found[0]
            else:
                self._materialise(value, sites)
        elif not is_one and not self._is_view(equation):
            self._materialise(value, sites)
        else:
            sites[value] = found[0] if is_one else ComputeSite(value, is_aligned=False)

    def _materialise(self, value: Value, sites: dict[Value, ComputeSite | None]) -> None:
        self.materialised.add(value)
        sites[value] = None

    def _sites(self, value: Value, sites: dict[Value, ComputeSite | None]) -> Iterator[ComputeSite]:
        """The compute site of each read of a value."""
        for equation in self.function.consumers.get(value, ()):
            for operand in equation.operands:
                if operand == value:
                    yield self._site(equation, sites)

    def _site(self, equation: Equation, sites: dict[Value, ComputeSite | None]) -> ComputeSite:
        result = equation.results[0]
        outer = sites[result]
        own = ComputeSite(result, is_aligned=True) if outer is None else outer
        is_alike = isinstance(equation.operator, Reshape) and _is_plain(equation)
        if is_alike or isinstance(equation.operator, Map | Cast | Assume):
            return own
        return ComputeSite(
            result if isinstance(equation.operator, REDUCTIONS) else own.root, is_aligned=False
        )

    def _is_view(self, equation: Equation) -> bool:
        """Whether an element is one of another value, or follows from its indices: rereading it is free."""
        operator = equation.operator
        if isinstance(operator, Iota | Constant):
            return True
        if not isinstance(operator, _VIEWS):
            return False
        (x,) = equation.operands
        producer = self.function.producers.get(x)
        return x in self.materialised or (producer is not None and self._is_view(producer))

    def _alias(self) -> None:
        """A reshaped value that must lie in memory lies where the one before does."""
        for equation in self.function.equations:
            if isinstance(equation.operator, Reshape) and equation.result in self.materialised:
                self.aliases[equation.result] = equation.operands[0]
                self.materialised.add(equation.operands[0])

    def _limit(self) -> None:
        """Materialise values that make expressions too large, or would be computed repeatedly."""
        costs: dict[Value, int] = {}
        for equation in self.function.equations:
            operator = equation.operator
            if isinstance(operator, REDUCTIONS) or not is_expressible(operator):
                costs.update(dict.fromkeys(equation.results, 1))
                continue
            if _repeats(equation):
                x = self._reshaped(equation.operands[0])
                if x not in self.materialised and costs[x] > REPEATED_COST:
                    self.materialised.add(x)
            own = _cost(equation)
            while own + self._sum(equation, costs) > COSTS_MAXIMUM:
                open_values = [value for value in equation.operands if value not in self.materialised]
                largest = max(open_values, key=lambda value: costs[value], default=None)
                if largest is None or costs[largest] <= 1:
                    break
                self.materialised.add(largest)
            costs[equation.result] = own + self._sum(equation, costs)

    def _reshaped(self, value: Value) -> Value:
        """The value that a value is a view of, where only axes of one element are added or removed."""
        while value not in self.materialised and value in self.function.producers:
            equation = self.function.producers[value]
            if not (isinstance(equation.operator, Reshape) and _is_plain(equation)):
                break
            value = equation.operands[0]
        return value

    def _sum(self, equation: Equation, costs: dict[Value, int]) -> int:
        return sum(0 if value in self.materialised else costs.get(value, 0) for value in equation.operands)


def uniform(array: Array) -> int | float | None:
    """The number that all elements are; None if they are many, or differ."""
    if not 0 < array.size <= UNIFORM_ELEMENTS:
        return None
    line = array.reshape(-1).view(f"V{array.itemsize}")
    return array.flat[0].item() if (line == line[0]).all() else None


def _is_plain(equation: Equation) -> bool:
    return is_plain_reshape(equation.operands[0].type.numbers, equation.result.type.numbers)


def _repeats(equation: Equation) -> bool:
    """Whether an element of the first operand may be read for many elements of the result."""
    operator = equation.operator
    if isinstance(operator, Gather | GatherElements):
        return True
    return isinstance(operator, Broadcast) and (
        equation.result.type.elements > equation.operands[0].type.elements
    )


def _cost(equation: Equation) -> int:
    """The number of operations for an element."""
    match equation.operator:
        case Map(function=function):
            return 4 if function in _HEAVY else 1
        case Cast():
            return 1
        case Concat() | Pad() | Gather() | GatherElements():
            return 2 * len(equation.operands)
        case _:
            return 0
