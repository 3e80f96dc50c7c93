"""A function of integers as the machine sees it: what the host hands over, layers, and what it takes back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from numpy.typing import NDArray

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.constant import Constant
from tilewright.compiler.ir.function import Equation, Function, Value
from tilewright.compiler.ir.named import NamedFunction
from tilewright.compiler.ir.type import TensorType
from tilewright.compiler.ops.primitive.pad import Pad
from tilewright.compiler.ops.primitive.reshape import Reshape
from tilewright.compiler.ops.primitive.transpose import Transpose, inverse
from tilewright.compiler.ops.quantised.dequantise import Dequantise
from tilewright.compiler.ops.quantised.heads import HEADS
from tilewright.compiler.ops.quantised.operator import QuantisedOperator
from tilewright.compiler.ops.quantised.quantise import Quantise
from tilewright.compiler.targets.accel.operator.lower import OPERATORS
from tilewright.compiler.targets.accel.view import MemoryView, is_view, views
from tilewright.isa.config import Config
from tilewright.isa.model import HostView
from tilewright.numerics.error import TilewrightError

_VIEWS = (Reshape, Transpose)
"""Views that the host computes where it hands over a value or takes it back."""
CHAIN = "chain"
"""The operator's name of a unit of several layers."""


class NetworkError(TilewrightError):
    """A function of which the machine can do a part only, with everything that it cannot do."""


@dataclass(frozen=True)
class TensorPort:
    """A tensor that passes between host and machine.

    Members:
        name: of the function's parameter or result, as its user knows it.
        shape: that the user sees, without the batch axis.
        value: int8 [1, channels, height, width].
        scale, zero_point: of its elements; 1 and 0 where the user has int8 as well.
        views: what the host does to the order of its elements, from the user's to the value's.
    """

    name: str
    shape: tuple[int, ...]
    value: Value
    scale: float = 1.0
    zero_point: int = 0
    views: tuple[HostView, ...] = ()


@dataclass(frozen=True)
class Unit:
    """An equation that is a layer, or a chain of some, by a name that no other one has.

    Members:
        name: of a chain those of its layers, joined.
        equation: whose result it makes.
        before: of a chain the equations before, each of which reads the one before it.
    """

    name: str
    equation: Equation
    before: tuple[Equation, ...] = ()

    @property
    def equations(self) -> tuple[Equation, ...]:
        """All of them, in order."""
        return (*self.before, self.equation)

    @property
    def operator(self) -> QuantisedOperator:
        """The operator that it computes; of a chain the last one."""
        return _operator(self.equation)

    @property
    def operator_name(self) -> str:
        """As reports have it."""
        return CHAIN if self.before else self.operator.name

    @property
    def operands(self) -> tuple[Value, ...]:
        """What it reads: the operands of its equations, but for what is between."""
        between = {equation.result for equation in self.before}
        return tuple(value for each in self.equations for value in each.operands if value not in between)

    @property
    def types(self) -> list[TensorType]:
        """The types of its operands."""
        return [value.type for value in self.operands]

    @property
    def macs(self) -> int:
        """Multiply-accumulates for one sample."""
        return sum(_operator(each).macs(*(value.type for value in each.operands)) for each in self.equations)


def _operator(equation: Equation) -> QuantisedOperator:
    operator = equation.operator
    assert isinstance(operator, QuantisedOperator), "network_of takes no others"
    return operator


@dataclass(frozen=True)
class AccelNetwork:
    """The layers that the machine runs for a function.

    Members:
        function: all of it, for one sample.
        inputs, outputs: what passes between host and machine.
        layers: in order.
        views: values that lie in the memory of others.
    """

    function: Function
    inputs: tuple[TensorPort, ...]
    outputs: tuple[TensorPort, ...]
    layers: tuple[Unit, ...]
    views: Mapping[Value, MemoryView] = field(default_factory=dict)

    def whole(self, value: Value) -> Value:
        """The value with memory of its own of which a value is a part; or the value."""
        while (view := self.views.get(value)) is not None:
            value = view.whole
        return value

    def constants_of(self, unit: Unit) -> list[NDArray[Any] | None]:
        """The operands of a layer that are constants; None for the others."""
        return [self.constant(value) for value in unit.operands]

    def constant(self, value: Value) -> NDArray[Any] | None:
        """The array of a value, if it is a constant."""
        producer = self.function.producers.get(value)
        is_constant = producer is not None and isinstance(producer.operator, Constant)
        return producer.operator.value.array if is_constant else None  # type: ignore[union-attr]


def network_of(named: NamedFunction, config: Config) -> AccelNetwork:
    """The network of a function of integers.

    Args:
        named: for one sample, legalised.
        config: the machine.

    Raises:
        NetworkError: listing every equation that neither host nor machine can do where it stands.
    """
    function = named.function
    inputs, seen = _inputs(named)
    outputs = tuple(map(_Outputs(function, seen).port, named.outputs, function.results))
    layers = tuple(each for each in function.equations if isinstance(each.operator, OPERATORS))
    parts = [each for each in layers if is_view(each.operator, config)]
    found = {value: view for each in parts for value, view in views(each, config).items()}
    found |= {
        each.result: MemoryView(each.operands[0], 0) for each in function.equations if _is_row_view(each)
    }
    seen |= {*(each.result for each in layers), *found}
    others = [each for each in function.equations if not isinstance(each.operator, Constant)]
    rejected = [each for each in others if seen.isdisjoint(each.results)]
    if rejected:
        listed = ", ".join(f"{each.label!r} ({each.operator.name})" for each in rejected)
        raise NetworkError(f"the accelerator must be able to run every operator, and cannot run {listed}")
    return AccelNetwork(
        function, inputs, outputs, _units([each for each in layers if each not in parts]), found
    )


def _is_row_view(equation: Equation) -> bool:
    """Whether feature maps get other rows, with all their pixels in order, or heads become rows."""
    if isinstance(equation.operator, HEADS):
        return True
    if not isinstance(equation.operator, Reshape):
        return False
    before, after = equation.operands[0].type, equation.result.type
    return after.dtype is DType.INT8 and feature_map_shape(before)[0] == feature_map_shape(after)[0]


def _units(layers: Sequence[Equation]) -> tuple[Unit, ...]:
    taken: set[str] = set()
    found = []
    for equation in layers:
        wished = equation.labels[0] if equation.labels else equation.result.name
        names = chain((wished,), (f"{wished}.{number}" for number in count(1)))
        name = next(each for each in names if each not in taken)
        taken.add(name)
        found.append(Unit(name, equation))
    return tuple(found)


def _inputs(named: NamedFunction) -> tuple[tuple[TensorPort, ...], set[Value]]:
    """Parameters behind their quantisation, and results of equations that the host does for them."""
    function = named.function
    ports: list[TensorPort] = []
    seen: set[Value] = set()
    for name, value in zip(named.inputs, function.parameters, strict=True):
        shape = value.type.numbers[1:]
        if value.type.dtype is DType.INT8:
            ports.append(TensorPort(name, shape, value))
            continue
        for equation, passed in _quantised(function, value):
            assert isinstance(equation.operator, Quantise), "found by its class"
            seen |= {*(each.result for each in passed), equation.result}
            scale, zero_point = float(equation.operator.scale), int(equation.operator.zero_point)
            ports.append(TensorPort(name, shape, equation.result, scale, zero_point, _views(passed)))
    names = {port.name for port in ports}
    bad = [name for name in named.inputs if name not in names]
    if bad:
        raise NetworkError(f"each input must be quantised, and {', '.join(map(repr, bad))} is not")
    return tuple(ports), seen


def _quantised(function: Function, value: Value) -> list[tuple[Equation, list[Equation]]]:
    """The quantisations that a value reaches through views, each with the views before it."""
    found: list[tuple[Equation, list[Equation]]] = []
    for equation in function.consumers.get(value, ()):
        if isinstance(equation.operator, Quantise):
            found.append((equation, []))
        elif isinstance(equation.operator, (*_VIEWS, Pad)):
            behind = _quantised(function, equation.result)
            found += [(last, [equation, *passed]) for last, passed in behind]
    return found


def _views(passed: Sequence[Equation]) -> tuple[HostView, ...]:
    """What views of the host do, first to last; none where the order of all elements stays."""
    found = []
    for equation in passed:
        before, operator = equation.operands[0].type.numbers, equation.operator
        order = operator.permutation if isinstance(operator, Transpose) else tuple(range(len(before)))
        padded = equation.result.type.numbers if isinstance(operator, Pad) else before
        found.append(HostView(before, padded, order))
    return tuple(found) if any(isinstance(each.operator, Transpose | Pad) for each in passed) else ()


def _views_back(passed: Sequence[Equation]) -> tuple[HostView, ...]:
    """The inverse of what views of the host do, last to first, from the result to the value."""
    found = []
    for equation in passed:
        after, operator = equation.result.type.numbers, equation.operator
        order = inverse(operator.permutation) if isinstance(operator, Transpose) else tuple(range(len(after)))
        found.append(HostView(after, after, order))
    return tuple(found) if any(isinstance(each.operator, Transpose) for each in passed) else ()


@dataclass(frozen=True)
class _Outputs:
    """Finds what the machine hands back.

    Members:
        function: of the results.
        seen: results of equations that the host does; added to.
    """

    function: Function
    seen: set[Value]

    def port(self, name: str, result: Value) -> TensorPort:
        """A result before its dequantisation; one of int8 is handed back as it is."""
        value, dequantise, passed = result, None, list[Equation]()
        while (equation := self.function.producers.get(value)) is not None:
            if isinstance(equation.operator, Dequantise) and dequantise is None:
                dequantise = equation.operator
            elif isinstance(equation.operator, _VIEWS):
                passed.append(equation)
            else:
                break
            self.seen.add(value)
            value = equation.operands[0]
        shape, views = result.type.numbers[1:], _views_back(passed)
        if result.type.dtype is DType.INT8:
            return TensorPort(name, shape, value, views=views)
        if dequantise is None:
            raise NetworkError(f"output {name!r} must be the dequantised result of an integer operator")
        return TensorPort(name, shape, value, float(dequantise.scale), int(dequantise.zero_point), views)


def feature_map_shape(tensor: TensorType) -> tuple[int, int, int]:
    """Channels, height and width of a value."""
    channels, height, width = (*tensor.numbers[1:], 1, 1)[:3]
    return channels, height, width
