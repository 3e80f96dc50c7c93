"""The interpreter of functions, in numpy."""

from collections.abc import Callable, Mapping, Sequence

from tilewright.compiler.dtype import DType
from tilewright.compiler.ir.array import Array
from tilewright.compiler.ir.call import Call
from tilewright.compiler.ir.deep import deeply
from tilewright.compiler.ir.error import EvaluationError
from tilewright.compiler.ir.function import Equation, Function, Module, Value
from tilewright.compiler.ir.size import AnySize, evaluate, solve
from tilewright.compiler.ir.type import TensorType
from tilewright.numerics.error import TilewrightError

Bindings = dict[str, AnySize]
"""Numbers of sizes by name."""
Observe = Callable[[Equation, Value, Array], None]
"""Is called with each result of an equation of the outermost function."""


def run(program: Function | Module, *arrays: Array, observe: Observe | None = None) -> tuple[Array, ...]:
    """The results of a function on arrays.

    Args:
        program: a function, or a module, whose main function is run.
        arrays: one for each parameter, of its element type and shape; equal sizes must be equal numbers.
        observe: is called with each intermediate result.

    Raises:
        EvaluationError: if arrays and parameters do not fit, or an operator has no value: with its label.
    """
    module = program if isinstance(program, Module) else Module({})
    function = program.main if isinstance(program, Module) else program
    return deeply(function.depth, lambda: _Evaluation(module).function(function, arrays, {}, observe))


class _Evaluation:
    """The functions that can be called, while one is run."""

    def __init__(self, module: Module) -> None:
        self._module = module

    def function(
        self,
        function: Function,
        arrays: Sequence[Array],
        around: Mapping[str, AnySize],
        observe: Observe | None = None,
    ) -> tuple[Array, ...]:
        """The results of a function; `around` has the sizes that hold where it stands."""
        if len(arrays) != len(function.parameters):
            raise EvaluationError(
                f"{function.name!r} must be given {len(function.parameters)} arrays, not {len(arrays)}"
            )
        bindings: Bindings = dict(around)
        values: dict[Value, Array] = {}
        bind(function.parameters, arrays, bindings, f"a parameter of {function.name!r}")
        values.update(zip(function.parameters, arrays, strict=True))
        last, kept = last_reads(function), set(function.results)
        for position, equation in enumerate(function.equations):
            operands = [values[value] for value in equation.operands]
            results = self._equation(equation, operands, bindings)
            bind(equation.results, results, bindings, equation.label)
            values.update(zip(equation.results, results, strict=True))
            if observe is not None:
                for value in equation.results:
                    observe(equation, value, values[value])
            for value in (*equation.operands, *equation.results):
                if last.get(value, -1) <= position and value in values and value not in kept:
                    del values[value]
        return tuple(values[value] for value in function.results)

    def _equation(
        self, equation: Equation, operands: Sequence[Array], bindings: Bindings
    ) -> tuple[Array, ...]:
        operator = equation.operator.evaluated(bindings)
        try:
            if isinstance(operator, Call):
                return self.function(self._module.functions[operator.function], operands, {})
            return operator.run_regions(
                lambda region, arrays: self.function(region, arrays, bindings), *operands
            )
        except TilewrightError as error:
            raise EvaluationError(f"{equation.label} ({operator.name}): {error}") from error


def last_reads(function: Function) -> dict[Value, int]:
    """The position of the last equation that reads each value; −1 for those that none reads."""
    found = dict.fromkeys(function.parameters, -1)
    for position, equation in enumerate(function.equations):
        found.update(dict.fromkeys(equation.operands, position))
    return found


def bind(values: Sequence[Value], arrays: Sequence[Array], bindings: Bindings, what: str) -> None:
    """Checks arrays against types, and adds the numbers of sizes that they show first.

    Raises:
        EvaluationError: if one has another type.
    """
    for value, array in zip(values, arrays, strict=True):
        expected = value.type
        if array.dtype != expected.dtype.numpy or array.ndim != expected.rank:
            raise EvaluationError(
                f"{value} ({what}) must be {expected.evaluate(bindings)}, not {_type_of(array)}"
            )
        _bind_sizes(value, array, bindings, what)


def _bind_sizes(value: Value, array: Array, bindings: Bindings, what: str) -> None:
    # Names first: 2·n is known once n is.
    for size, number in zip(value.type.shape, array.shape, strict=True):
        if not isinstance(size, int) and (size.name or "") not in bindings:
            found = solve(evaluate(size, bindings), number)
            if found is not None:
                bindings.setdefault(*found)
    for size, number in zip(value.type.shape, array.shape, strict=True):
        if evaluate(size, bindings) != number:
            raise EvaluationError(
                f"{value} ({what}) must be {value.type.evaluate(bindings)}, not {_type_of(array)}"
            )


def _type_of(array: Array) -> str:
    try:
        return str(TensorType(DType.of(array.dtype), array.shape))
    except ValueError:
        return f"{array.dtype}{list(array.shape)}"
