"""The program that a Python function becomes, while it is written, and the names of one function in it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.te.irregular.unsupported import Report, Source, UnsupportedConstructError
from tilewright.compiler.te.irregular.value import (
    Local,
    PythonValue,
    RuntimeNumber,
    Static,
    TensorValue,
    converted,
    number_of,
)
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import BufferLoad, Const, Expr
from tilewright.compiler.tir.stmt import BufferStore, Seq, Stmt


@dataclass(frozen=True, eq=False)
class Definition:
    """A Python function that can be parsed."""

    function: Callable[..., object]

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    @cached_property
    def source(self) -> Source:
        """Its text; refused if there is none."""
        return Source.of(self.function)


class RetypeError(Exception):
    """A variable must have another type than its first value: the program is written anew."""


class Broken:
    """The value of a name whose assignment was refused: reading it reports no second error."""


class KnownError(Exception):
    """An error that follows from a construct refused before; it is not reported again."""


@dataclass
class ProgramBuilder:
    """Statements under construction.

    Members:
        name: of the stage, which all names begin with.
        types: of variables that are wider than their first value, by the buffer's name: type and weakness.
        inputs: names of the buffers that are given.
        returned: the names that the function returns, in order.
        report: the unsupported constructs.
        outputs: the buffers of these, once they are made.
        buffers: those of variables and allocated tensors.
        inlining: the functions that are being written, outer first.
        written: of buffers that are stored to.
    """

    name: str
    types: dict[str, tuple[DType, bool]]
    inputs: frozenset[str]
    returned: tuple[str, ...]
    report: Report = field(default_factory=Report)
    outputs: dict[str, Buffer] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)
    inlining: list[Definition] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    _taken: Counter[str] = field(default_factory=Counter)
    _bodies: list[list[Stmt]] = field(default_factory=lambda: [[]])

    @property
    def finished(self) -> list[Stmt]:
        """The statements, all written."""
        return self._bodies[0]

    @property
    def length(self) -> int:
        """The number of statements of the innermost body so far."""
        return len(self._bodies[-1])

    def fresh(self, name: str) -> str:
        """A name for a loop or a buffer: {stage}_{name}, with a number behind it where that is taken."""
        self._taken[name] += 1
        count = self._taken[name]
        return f"{self.name}_{name}" if count == 1 else self.fresh(f"{name}{count}")

    def emit(self, stmt: Stmt) -> None:
        """One more statement."""
        self._bodies[-1].append(stmt)

    def store(self, buffer: Buffer, indices: tuple[Expr, ...], value: Expr) -> None:
        """An assignment."""
        self.written.add(buffer.name)
        self.emit(BufferStore(buffer, indices, value))

    @contextmanager
    def body(self) -> Iterator[list[Stmt]]:
        """Statements of a body of their own."""
        self._bodies.append([])
        try:
            yield self._bodies[-1]
        finally:
            self._bodies.pop()

    def variable(self, name: str, number: RuntimeNumber) -> Local:
        """A new variable for values like this one."""
        unique = self.fresh(name)
        dtype, weak = self.types.get(unique, (number.dtype, number.weak))
        local = Local(Buffer(unique, (), dtype), weak)
        self.buffers.append(local.buffer)
        return local

    def assign(self, local: Local, number: RuntimeNumber) -> None:
        """A variable gets a value, and a wider type if it must.

        Raises:
            UnsupportedConstructError: if the types do not meet.
            RetypeError: if all is to be written anew.
        """
        name, dtype = local.buffer.name, local.buffer.dtype
        if local.weak and not number.weak:
            self._retype(name, number.dtype, weak=False)
        if local.weak and number.dtype.is_float and not dtype.is_float and dtype is not DType.BOOL:
            self._retype(name, number.dtype, weak=True)
        self.store(local.buffer, (), converted(number, dtype).expr)

    def _retype(self, name: str, dtype: DType, weak: bool) -> None:
        self.types[name] = dtype, weak
        raise RetypeError

    def kept(self, number: RuntimeNumber, name: str) -> RuntimeNumber:
        """A number as it is now, whatever is assigned later."""
        if isinstance(number.expr, Const):
            return number
        local = self.variable(name, number)
        self.assign(local, number)
        return local.number

    def pinned(self, value: PythonValue, name: str) -> PythonValue:
        """Each number of a value as it is now."""
        if isinstance(value, tuple):
            return tuple(self.pinned(part, name) for part in value)
        return self.kept(value, name) if isinstance(value, RuntimeNumber) else value


@dataclass
class FunctionScope:
    """The names of one function.

    Members:
        definition: the function.
        names: the values of the names so far.
        counts: the number of assignments to each name in the function.
        loops: variables of the loops around.
    """

    definition: Definition
    names: dict[str, PythonValue | Local | Broken]
    counts: Counter[str]
    captured: dict[str, object]
    loops: set[str] = field(default_factory=set)

    def value(self, name: str) -> PythonValue:
        """The value of a name.

        Raises:
            UnsupportedConstructError: if it is not assigned before.
            KnownError: if its assignment was refused.
        """
        found = self.names.get(name)
        if isinstance(found, Broken):
            raise KnownError
        if isinstance(found, Local):
            return found.number
        if found is not None:
            return found
        if self.counts[name] or name not in self.captured:
            raise UnsupportedConstructError(
                f"{name} must be assigned before; the variable of a loop ends with it"
            )
        return Static(self.captured[name])

    def bind(self, name: str, value: PythonValue, program: ProgramBuilder) -> None:
        """An assignment to a name: numbers known now, and tensors, are only named if it is the only one.

        Raises:
            UnsupportedConstructError: if the name is a loop's, or of several tensors.
        """
        if name in self.loops:
            raise UnsupportedConstructError(
                f"{name} is the variable of a loop around: assign to another name"
            )
        if isinstance(value, RuntimeNumber) or (self.counts[name] > 1 and _is_number(value)):
            local = self.names.get(name)
            number = number_of(value)
            if not isinstance(local, Local):
                self.names[name] = local = program.variable(name, number)
            program.assign(local, number)
        elif self.counts[name] > 1:
            raise UnsupportedConstructError(
                f"{name} must be the name of one thing: what is no number is not assigned anew"
            )
        else:
            self.names[name] = value


def _is_number(value: PythonValue) -> bool:
    return isinstance(value, Static) and isinstance(value.value, int | float | np.generic)


def sequence(body: Sequence[Stmt]) -> Stmt:
    """Statements as one."""
    return body[0] if len(body) == 1 else Seq(tuple(body))


def element(array: TensorValue, indices: tuple[Expr, ...]) -> RuntimeNumber:
    """An element of a tensor."""
    return RuntimeNumber(BufferLoad(array.buffer, indices))
