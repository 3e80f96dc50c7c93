"""Which values of a function lie in memory, and what is computed along with them: one kernel for each.

A kernel computes one value, its *root*. What only this value reads is part of its expression. A fold
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
from tilewright.compiler.ops.primitive.window import Window
from tilewright.compiler.targets.cpu.host.express import is_expressible, is_plain_reshape

FOLDS = (Reduce, Window, Dot, Conv)
"""Operators that a kernel has one of at most."""
UNIFORM_ELEMENTS = 1 << 14
"""Constants of up to so many equal elements are one number in the code."""
COSTS_MAXIMUM = 40
"""Of a kernel's expression: what is read twice is written out twice."""
REPEATED_COST = 3
"""What is repeated may cost, element by element, before it is computed once."""
_VIEWS = (Transpose, Slice, Broadcast, Assume, Reshape)
_HEAVY = frozenset(("exp", "log", "tanh", "erf", "pow", "sin", "cos", "tan", "sqrt", "div", "mod", "fmod"))


@dataclass(frozen=True)
class Home:
    """Where an element is computed: in the kernel of a root, at the root's own place or at another one."""

    root: Value
    is_aligned: bool


@dataclass
class Fusion:
    """The choice for a function.

    Members:
        function: of primitives, all sizes known.
        placed: values that lie in memory.
        aliases: placed values that are the memory of another one.
        folds: of a root, the fold that its kernel has, where that is not the root itself.
    """

    function: Function
    placed: set[Value] = field(default_factory=set)
    aliases: dict[Value, Value] = field(default_factory=dict)
    folds: dict[Value, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.placed |= {*self.function.parameters, *self.function.results}
        for equation in self.function.equations:
            self._require(equation)
        # What is repeated ends a kernel: folds before it may be part of that.
        self._limit()
        self._alias()
        while self._settle():
            pass

    def is_inline(self, value: Value) -> bool:
        """Whether the value is part of expressions."""
        return value not in self.placed

    def _require(self, equation: Equation) -> None:
        """What must lie in memory whatever else does."""
        operator = equation.operator
        if isinstance(operator, Reshape) and not _is_plain(equation):
            self.placed.add(equation.result)
        elif isinstance(operator, Constant):
            if uniform(operator.value.array) is None:
                self.placed.add(equation.result)
        elif isinstance(operator, Conv | Dot | Window):
            self.placed.update(equation.operands)
        elif not is_expressible(operator) and not isinstance(operator, Reduce):
            self.placed |= {*equation.operands, *equation.results}

    def _settle(self) -> bool:
        """One more choice; whether there was any to make."""
        before = len(self.placed)
        homes: dict[Value, Home | None] = {}
        self.folds = {}
        for equation in reversed(self.function.equations):
            for value in equation.results:
                self._choose(equation, value, homes)
        self._limit()
        self._alias()
        return len(self.placed) > before

    def _choose(self, equation: Equation, value: Value, homes: dict[Value, Home | None]) -> None:
        if value in self.placed:
            homes[value] = None
            return
        found = list(self._homes(value, homes))
        is_one = len(set(found)) == 1 and (len(found) == 1 or found[0].is_aligned)
        if isinstance(equation.operator, FOLDS):
            is_free = is_one and found[0].is_aligned and found[0].root not in self.folds
            is_free = is_free and not isinstance(self.function.producers[found[0].root].operator, FOLDS)
            if is_free:
                self.folds[found[0].root] = value
                homes[value] = found[0]
            else:
                self._place(value, homes)
        elif not is_one and not self._is_view(equation):
            self._place(value, homes)
        else:
            homes[value] = found[0] if is_one else Home(value, is_aligned=False)

    def _place(self, value: Value, homes: dict[Value, Home | None]) -> None:
        self.placed.add(value)
        homes[value] = None

    def _homes(self, value: Value, homes: dict[Value, Home | None]) -> Iterator[Home]:
        """Of each reading of a value, where."""
        for equation in self.function.consumers.get(value, ()):
            for operand in equation.operands:
                if operand == value:
                    yield self._home(equation, homes)

    def _home(self, equation: Equation, homes: dict[Value, Home | None]) -> Home:
        result = equation.results[0]
        outer = homes[result]
        own = Home(result, is_aligned=True) if outer is None else outer
        is_alike = isinstance(equation.operator, Reshape) and _is_plain(equation)
        if is_alike or isinstance(equation.operator, Map | Cast | Assume):
            return own
        return Home(result if isinstance(equation.operator, FOLDS) else own.root, is_aligned=False)

    def _is_view(self, equation: Equation) -> bool:
        """Whether an element is one of another value, or known by its place: to read it again is free."""
        operator = equation.operator
        if isinstance(operator, Iota | Constant):
            return True
        if not isinstance(operator, _VIEWS):
            return False
        (x,) = equation.operands
        producer = self.function.producers.get(x)
        return x in self.placed or (producer is not None and self._is_view(producer))

    def _alias(self) -> None:
        """A reshaped value that must lie in memory lies where the one before does."""
        for equation in self.function.equations:
            if isinstance(equation.operator, Reshape) and equation.result in self.placed:
                self.aliases[equation.result] = equation.operands[0]
                self.placed.add(equation.operands[0])

    def _limit(self) -> None:
        """Place what makes expressions too large, or would be computed again and again."""
        costs: dict[Value, int] = {}
        for equation in self.function.equations:
            operator = equation.operator
            if isinstance(operator, FOLDS) or not is_expressible(operator):
                costs.update(dict.fromkeys(equation.results, 1))
                continue
            if _repeats(equation):
                x = self._reshaped(equation.operands[0])
                if x not in self.placed and costs[x] > REPEATED_COST:
                    self.placed.add(x)
            own = _cost(equation)
            while own + self._sum(equation, costs) > COSTS_MAXIMUM:
                open_values = [value for value in equation.operands if value not in self.placed]
                largest = max(open_values, key=lambda value: costs[value], default=None)
                if largest is None or costs[largest] <= 1:
                    break
                self.placed.add(largest)
            costs[equation.result] = own + self._sum(equation, costs)

    def _reshaped(self, value: Value) -> Value:
        """What a value is another view of, where axes of one element alone come or go."""
        while value not in self.placed and value in self.function.producers:
            equation = self.function.producers[value]
            if not (isinstance(equation.operator, Reshape) and _is_plain(equation)):
                break
            value = equation.operands[0]
        return value

    def _sum(self, equation: Equation, costs: dict[Value, int]) -> int:
        return sum(0 if value in self.placed else costs.get(value, 0) for value in equation.operands)


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
    """Operations of an element."""
    match equation.operator:
        case Map(function=function):
            return 4 if function in _HEAVY else 1
        case Cast():
            return 1
        case Concat() | Pad() | Gather() | GatherElements():
            return 2 * len(equation.operands)
        case _:
            return 0
