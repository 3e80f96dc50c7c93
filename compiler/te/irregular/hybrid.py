"""hybrid: a Python function that runs on arrays, and is an operator of tensors."""

import ast
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tilewright.compiler.te.irregular.scope import (
    Definition,
    KnownError,
    ProgramBuilder,
    RetypeError,
    sequence,
)
from tilewright.compiler.te.irregular.statement import write
from tilewright.compiler.te.irregular.unsupported import Report, UnsupportedConstructError
from tilewright.compiler.te.irregular.value import PythonValue, Static, TensorValue
from tilewright.compiler.te.stage import Stage, Tensor, checked_name
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.stmt import Allocate, Stmt

NAME = "name"
"""The keyword of the stage's name."""


@dataclass(frozen=True, eq=False)
class HybridOp(Stage):
    """Tensors that statements fill.

    Members:
        arguments: the arguments of the call: tensors and constants.
        function: its meaning on arrays.
        body: the same as statements, on the buffers of the tensors.
    """

    arguments: tuple[object, ...]
    function: Callable[..., object]
    body: Stmt

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that it reads, each once."""
        return tuple(dict.fromkeys(given for given in self.arguments if isinstance(given, Tensor)))


class Hybrid(Definition):
    """A Python function for arrays and tensors alike; see `hybrid`."""

    def __call__(self, *arguments: object, name: str | None = None) -> Any:
        """The function itself on arrays; an operator if one of the arguments is a tensor.

        Args:
            arguments: as the function takes them; those that are no tensors are constants of the operator.
            name: of the stage, where it is one; else the function's. Outputs are named {name}_0, {name}_1, …,
                or `name` if there is one.

        Raises:
            TirError: if the source holds what has no meaning in a loop program: each place with file, line,
                and what would work.
        """
        if not any(isinstance(argument, Tensor) for argument in arguments):
            return self.function(*arguments)
        stage = _stage(self, arguments, checked_name(self.name if name is None else name))
        return stage.tensors if len(stage.buffers) > 1 else stage.tensors[0]


def hybrid(function: Callable[..., object]) -> Hybrid:
    """Make a Python function one that is called on arrays or on tensors (a decorator).

    On tensors its source is read: loops over `range`, `te.serial`, `te.unroll`, `te.parallel` and
    `te.vectorise`; `while`, `break`, `continue`; `if`, conditional expressions, chained comparisons; numbers
    in variables; elements of tensors; `te.allocate` and `te.output`; `min`, `max`, `abs`, `int`, `float`,
    `len`, functions of `math` and `numpy`, types of numpy; calls of other hybrid functions; captured numbers.
    Outputs are returned at the end. Types meet as in numpy: Python's numbers take the type of an element;
    elements of two types are converted by the one who writes, with np.float32(…) and the like. Indices are
    not negative, but for known ones, which count from the end.

    Raises:
        TirError: if it has a parameter called `name`, which is the stage's.
    """
    if NAME in inspect.signature(function).parameters:
        raise TirError(
            f"{function.__name__} must not have a parameter `name`, which is the stage's: rename it"
        )
    return Hybrid(function)


def _stage(definition: Definition, arguments: Sequence[object], name: str) -> HybridOp:
    program = _written(definition, arguments, name)
    body = sequence(program.finished)
    for buffer in reversed(program.buffers):
        body = Allocate(buffer, body)
    outputs = tuple(program.outputs[returned] for returned in program.returned)
    return HybridOp(name, outputs, tuple(arguments), definition.function, body)


def _written(definition: Definition, arguments: Sequence[object], name: str) -> ProgramBuilder:
    """The program, written until the types of all variables are wide enough."""
    values = [_value(argument) for argument in arguments]
    inputs = frozenset(value.buffer.name for value in values if isinstance(value, TensorValue))
    types: dict[str, Any] = {}
    while True:
        program = ProgramBuilder(name, types, inputs, _returned(definition))
        try:
            write(definition, values, program)
        except RetypeError:
            continue
        except KnownError:
            pass
        except UnsupportedConstructError as error:
            raise TirError(f"{name}: {error}") from None
        _check_outputs(program, definition)
        program.report.check(name)
        return program


def _value(argument: object) -> PythonValue:
    return TensorValue(argument.buffer) if isinstance(argument, Tensor) else Static(argument)


def _returned(definition: Definition) -> tuple[str, ...]:
    """The names behind the last return.

    Raises:
        TirError: if it does not return names.
    """
    source = definition.source
    last = source.body[-1]
    value = last.value if isinstance(last, ast.Return) else None
    parts = value.elts if isinstance(value, ast.Tuple) else [value]
    names = tuple(part.id for part in parts if isinstance(part, ast.Name))
    if len(names) != len(parts) or len(set(names)) != len(names):
        report = Report()
        report.add(source, last, "the last statement must return outputs by name, each made by te.output(…)")
        report.check(definition.name)
    return names


def _check_outputs(program: ProgramBuilder, definition: Definition) -> None:
    """Note what is returned and is no output."""
    missing = [name for name in program.returned if name not in program.outputs]
    if missing and not program.report.locations:
        last = definition.source.body[-1]
        program.report.add(
            definition.source, last, f"{', '.join(missing)} must be made by te.output(…), outside of loops"
        )
