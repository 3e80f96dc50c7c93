"""The meaning of loop programs: runs them on numpy arrays.

A loop nest around one block runs as one numpy evaluation where its instances do not depend on each other,
or only as the sum, product, minimum or maximum of a reduction; all else runs an instance at a time, in the
order that is written, or of pipelined loops in that in which it is issued. Integers are exact either way. A
sum or product of floats that runs as one evaluation is numpy's: of pairs of parts (sums), then added to what
the element held before; its last bits may differ from those of the written order, which `GRID_LIMIT = 0`
gives everywhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter

import numpy as np

from tilewright.compiler.dtype import DType
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.error import TirError
from tilewright.compiler.tir.evaluate import Array, check_inside, element_index, evaluate
from tilewright.compiler.tir.expr import Expr
from tilewright.compiler.tir.grid import RectangularNest, run_loop_nest
from tilewright.compiler.tir.issue_order import IssuePlace, loops_across, stage_places
from tilewright.compiler.tir.printer import print_buffer
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    Break,
    BufferStore,
    Continue,
    Extern,
    For,
    IfThenElse,
    IntrinsicStmt,
    IterKind,
    PrimFunc,
    Procedure,
    Seq,
    Stmt,
    While,
)

POISON_BYTE = 0xA5
"""Each byte of a new buffer: a value that no program computes by chance, so that unwritten elements show."""
GRID_LIMIT = 1 << 21
"""Points that one numpy evaluation takes: some tens of megabytes."""


def run(function: PrimFunc, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """The outputs of a function, by name.

    Args:
        function: a verified loop program.
        inputs: an array for each parameter that is no output, by name: exactly of its shape and dtype.

    Raises:
        TirError: if an array is missing, of another shape or dtype, or if an index leaves its buffer.
    """
    count = len(function.parameters) - function.outputs
    arrays = {buffer.name: _checked(buffer, inputs) for buffer in function.parameters[:count]}
    outputs = function.parameters[count:]
    for buffer in outputs:
        arrays[buffer.name] = poisoned(buffer.dtype, _constant_shape(buffer))
    # Integers wrap, and poison may be any float: neither is a mistake of the interpreter.
    with np.errstate(all="ignore"):
        _Run(arrays, {}, {}, loops_across(function.body)).statement(function.body)
    return {buffer.name: arrays[buffer.name] for buffer in outputs}


class _Break(Exception):
    """The innermost loop ends."""


class _Continue(Exception):
    """The innermost loop's iteration ends."""


@dataclass
class _Run:
    """One execution: the contents of the buffers and the values of the loop variables."""

    arrays: dict[str, Array]
    points: dict[str, Array]
    nests: dict[int, RectangularNest | None]
    """By identity of the outer loop; None where the loop must run in Python."""
    across: dict[str, bool]
    """`loops_across` of the function."""

    def statement(self, stmt: Stmt) -> None:
        match stmt:
            case For():
                self._loop(stmt)
            case Seq(body=body):
                for child in body:
                    self.statement(child)
            case Allocate(buffer=buffer, body=body):
                self.arrays[buffer.name] = self.allocated(buffer)
                self.statement(body)
                del self.arrays[buffer.name]
            case IntrinsicStmt(body=body) | Procedure(body=body):
                self.statement(body)
            case IfThenElse() | While() | Break() | Continue():
                self._flow(stmt)
            case Block():
                self._block(stmt)
            case BufferStore():
                self._assign((stmt,))
            case Extern():
                self._extern(stmt)
            case _:
                raise TypeError(f"stmt must be a statement of loop programs, not {stmt!r}")

    def allocated(self, buffer: Buffer) -> Array:
        """A new array for a buffer, of the extents that it has here."""
        return poisoned(buffer.dtype, tuple(max(0, self.number(extent)) for extent in buffer.shape))

    def _loop(self, loop: For) -> None:
        if self.across.get(loop.var.name):
            self._pipeline(loop)
            return
        if id(loop) not in self.nests:
            self.nests[id(loop)] = RectangularNest.of(loop)
        nest = self.nests[id(loop)]
        if nest is not None and self._whole(nest):
            return
        for value in range(self.number(loop.extent)):
            self.points[loop.var.name] = np.asarray(value, np.int64)
            if not self._iteration(loop.body):
                break
        self.points.pop(loop.var.name, None)

    def _pipeline(self, loop: For) -> None:
        """Run what is in a loop in the order in which it is issued."""
        outside = self.arrays, self.points
        issued = list(_Issues(self).of(loop))
        for _, stmt, self.arrays, self.points in sorted(issued, key=itemgetter(0)):
            self.statement(stmt)
        self.arrays, self.points = outside

    def _iteration(self, body: Stmt) -> bool:
        """Run a loop's body once; whether the loop goes on."""
        try:
            self.statement(body)
        except _Break:
            return False
        except _Continue:
            return True
        return True

    def _flow(self, stmt: Stmt) -> None:
        match stmt:
            case IfThenElse(condition=condition, then=then, otherwise=otherwise):
                chosen = then if self._holds(condition) else otherwise
                if chosen is not None:
                    self.statement(chosen)
            case While(condition=condition, body=body):
                while self._holds(condition) and self._iteration(body):
                    pass
            case Break():
                raise _Break
            case Continue():
                raise _Continue

    def _holds(self, condition: Expr) -> bool:
        return bool(evaluate(condition, self.points, self.arrays))

    def _whole(self, nest: RectangularNest) -> bool:
        """Whether the loop nest could be run in one evaluation, and was."""
        extents = [max(0, self.number(loop.extent)) for loop in nest.loops]
        if int(np.prod(extents, dtype=np.int64)) > GRID_LIMIT:
            return False
        return 0 in extents or run_loop_nest(nest, extents, self.points, self.arrays)

    def number(self, expr: Expr) -> int:
        """The value of an index expression here."""
        return int(evaluate(expr, self.points, self.arrays))

    def _block(self, block: Block) -> None:
        inside = {it.var.name: evaluate(it.value, self.points, self.arrays) for it in block.iters}
        outer = self.points
        self.points = {**outer, **inside}
        first = all(not inside[it.var.name] for it in block.iters if it.kind is IterKind.REDUCE)
        if block.init is not None and first:
            self._assign(block.inits)
        self._assign(block.stores)
        self.points = outer

    def _assign(self, stores: tuple[BufferStore, ...]) -> None:
        """All values first: none of the stores is seen by another."""
        values = [evaluate(store.value, self.points, self.arrays) for store in stores]
        for store, value in zip(stores, values, strict=True):
            array = self.arrays[store.buffer.name]
            index = element_index(store.indices, self.points, self.arrays)
            check_inside(store.buffer, store.indices, index, array.shape)
            array[index] = value

    def _extern(self, stmt: Extern) -> None:
        given = [self.arrays[buffer.name].view() for buffer in stmt.reads]
        for array in given:
            array.flags.writeable = False
        stmt.function(*given, *(self.arrays[buffer.name] for buffer in stmt.writes))


_Issue = tuple[IssuePlace, Stmt, dict[str, Array], dict[str, Array]]
"""A statement, the place at which it is issued, and the arrays and points that it runs with."""


class _Issues:
    """What is in loops across which steps go on, each iteration with buffers of its own."""

    def __init__(self, run: _Run) -> None:
        self._run, self._place, self._step = run, IssuePlace(), 0
        self._stages: dict[int, tuple[int, int]] = {}

    def of(self, stmt: Stmt) -> Iterator[_Issue]:
        """The work of a statement, in the order of the program."""
        run = self._run
        if id(stmt) in self._stages:
            offset, position = self._stages[id(stmt)]
            self._place = IssuePlace(0, self._step + offset, position)
            yield self._place, stmt, dict(run.arrays), dict(run.points)
            return
        match stmt:
            case For() if stmt.var.name in run.across:
                yield from self._loop(stmt)
            case Allocate(buffer=buffer, body=body):
                run.arrays = {**run.arrays, buffer.name: run.allocated(buffer)}
                yield from self.of(body)
            case Seq(body=parts):
                for part in parts:
                    yield from self.of(part)
            case _:
                yield self._place, stmt, dict(run.arrays), dict(run.points)

    def _loop(self, loop: For) -> Iterator[_Issue]:
        run, arrays, pipelining = self._run, self._run.arrays, loop.pipelining
        if pipelining is not None:
            self._stages |= stage_places(loop)
        for value in range(run.number(loop.extent)):
            run.arrays, run.points = arrays, {**run.points, loop.var.name: np.asarray(value, np.int64)}
            if pipelining is None:
                self._place = IssuePlace(0, self._step)
            yield from self.of(loop.body)
            self._step += pipelining is not None
        run.arrays = arrays
        if pipelining is not None:
            self._place = self._place.behind(self._step, pipelining.drain)


def _checked(buffer: Buffer, inputs: Mapping[str, Array]) -> Array:
    if buffer.name not in inputs:
        raise TirError(f"inputs must hold {print_buffer(buffer)}, not only {sorted(inputs)}")
    array, shape = inputs[buffer.name], _constant_shape(buffer)
    if array.shape != shape or array.dtype != buffer.dtype.numpy:
        raise TirError(f"input {print_buffer(buffer)} must have this type, not {array.dtype}{array.shape}")
    return array


def _constant_shape(buffer: Buffer) -> tuple[int, ...]:
    return tuple(int(evaluate(extent, {}, {})) for extent in buffer.shape)


def poisoned(dtype: DType, shape: tuple[int, ...]) -> Array:
    """A new array with contents that no program computes by chance."""
    if dtype is DType.BOOL:
        return np.ones(shape, np.bool_)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.size_bytes
    return np.full(size, POISON_BYTE, np.uint8).view(dtype.numpy).reshape(shape)
