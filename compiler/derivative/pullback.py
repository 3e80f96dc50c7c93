"""Reverse-mode derivatives: a function that pulls cotangents of results back to parameters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.derivative.activity import active, flattened, floats, missing_rules
from tilewright.compiler.derivative.control import BACK, save, vjp
from tilewright.compiler.ir.build import Builder
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.error import IrError
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.inline import inline
from tilewright.compiler.ir.operator import Kept, Operator
from tilewright.compiler.ir.prune import pruned
from tilewright.compiler.ops import emit as e


def pullback(function: Function, wrt: Sequence[int] | None = None) -> Function:
    """A function of the parameters and of a cotangent for each float result.

    It returns the cotangent of each chosen parameter: the derivative of the sum of results times cotangents.
    It is a function like any other; applied to it once more, this gives second derivatives. What it calls
    needs a pullback as well: `pullback_module` makes them all.

    Args:
        function: the function to differentiate.
        wrt: numbers of parameters, which are floats; None for all that are.

    Raises:
        IrError: naming all operators that would need a rule and have none, or a parameter that is no float.
    """
    chosen = _chosen(function, wrt)
    flat = flattened(function)
    missing = sorted(set(missing_rules(flat, chosen)))
    if missing:
        raise IrError(f"{function.name!r} has no derivative: {', '.join(missing)} must have a rule for it")
    return pruned(_Pullback(flat, chosen).function())


def pullback_module(module: Module, wrt: Sequence[int] | None = None) -> Module:
    """The module whose main function is the pullback of main; it has the pullbacks of all that is called.

    Raises:
        IrError: naming operators without a rule, or a parameter that is no float.
    """
    backs = {"main": replace(pullback(module.main, wrt), name="main")}
    for name in _called(module, module.main):
        backs[name + BACK] = pullback(module.functions[name])
    return Module({**module.functions, **backs})


def _chosen(function: Function, wrt: Sequence[int] | None) -> list[int]:
    indices = floats(function.parameters)
    chosen = indices if wrt is None else list(wrt)
    for index in chosen:
        if index not in indices:
            raise IrError(
                f"a parameter to differentiate by must be one of {indices}, the floats, not {index}"
            )
    return chosen


def _called(module: Module, function: Function) -> list[str]:
    found: dict[str, None] = {}
    pending = [function]
    while pending:
        for equation in pending.pop().equations:
            pending.extend(equation.operator.regions)
            if isinstance(equation.operator, Call) and equation.operator.function not in found:
                found[equation.operator.function] = None
                pending.append(module.functions[equation.operator.function])
    return list(found)


@dataclass(frozen=True)
class _Record:
    """An equation that a derivative runs through, forward; `wrt` are numbers of its active operands."""

    operator: Operator
    operands: tuple[Value, ...]
    results: tuple[Value, ...]
    kept: Kept
    wrt: tuple[int, ...]
    labels: tuple[str, ...]


class _Pullback:
    """Builds the pullback of a flattened function: the forward equations, then the backward ones."""

    def __init__(self, function: Function, wrt: Sequence[int]) -> None:
        self._flat, self._wrt = function, wrt
        self._active = active(function, wrt)
        self._b = Builder(function.name + BACK)
        self._records: list[_Record] = []
        self._cotangents: dict[Value, Value] = {}

    def function(self) -> Function:
        """The pullback."""
        b, flat = self._b, self._flat
        parameters = [b.parameter(value.name, value.type) for value in flat.parameters]
        indices = floats(flat.results)
        given = [b.parameter(f"d_{flat.results[i].name}", flat.results[i].type) for i in indices]
        results = inline(b, flat, parameters, self._forward)
        for index, cotangent in zip(indices, given, strict=True):
            self._add(results[index], cotangent)
        for record in reversed(self._records):
            self._backward(record)
        return b.function(*(self._of(parameters[index]) for index in self._wrt))

    def _forward(
        self, b: Builder, equation: Equation, operator: Operator, operands: tuple[Value, ...]
    ) -> Sequence[Value]:
        with b.label(*equation.labels):
            if self._active.isdisjoint(equation.results):
                return b.apply(operator, *operands)
            results, kept = save(b, operator, operands)
        wrt = tuple(i for i, value in enumerate(equation.operands) if value in self._active)
        self._records.append(_Record(operator, operands, results, kept, wrt, equation.labels))
        return results

    def _backward(self, record: _Record) -> None:
        cotangents = [self._cotangents.get(value) for value in record.results]
        if all(each is None for each in cotangents):
            return
        with self._b.label(*record.labels):
            found = vjp(self._b, record.operator, record.kept, cotangents, record.wrt, pullback)
            for index in record.wrt:
                cotangent = found[index]
                if cotangent is not None:
                    self._add(record.operands[index], cotangent)

    def _add(self, value: Value, cotangent: Value) -> None:
        if not value.type.dtype.is_float:
            return
        own = e.assume(self._b, cotangent, value.type.shape)
        before = self._cotangents.get(value)
        self._cotangents[value] = own if before is None else e.add(self._b, before, own)

    def _of(self, parameter: Value) -> Value:
        return self._cotangents.get(parameter) or e.zeros_like(self._b, parameter)


def gradient(function: Function, wrt: Iterable[int] | None = None) -> Function:
    """The derivative of a function whose only float result is a scalar: its pullback at the cotangent 1."""
    pulled = pullback(function, None if wrt is None else list(wrt))
    b = Builder(f"{function.name}.gradient")
    parameters = [b.parameter(value.name, value.type) for value in function.parameters]
    (cotangent,) = pulled.parameters[len(parameters) :]
    one = e.full(b, 1, cotangent.type.dtype, cotangent.type.shape)
    return b.function(*inline(b, pulled, [*parameters, one]))
