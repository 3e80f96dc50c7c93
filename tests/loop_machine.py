"""Runs tensorised loops one iteration at a time: what their tasks are, told as simply as can be."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tilewright.compiler.targets.accel.intrinsic.iteration import Iterations
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.table import matched
from tilewright.compiler.tir.expr import Binary, BinaryOp, Const, Expr, Select, Var
from tilewright.compiler.tir.stmt import Allocate, For, IntrinsicStmt, LoopKind, Seq, Stmt
from tilewright.compiler.tir.walk import statements

_MEANINGS = {
    BinaryOp.ADD: lambda a, b: a + b,
    BinaryOp.SUB: lambda a, b: a - b,
    BinaryOp.MUL: lambda a, b: a * b,
    BinaryOp.FLOORDIV: lambda a, b: a // b,
    BinaryOp.MOD: lambda a, b: a % b,
    BinaryOp.MIN: min,
    BinaryOp.MAX: max,
    BinaryOp.LT: lambda a, b: int(a < b),
    BinaryOp.LE: lambda a, b: int(a <= b),
    BinaryOp.EQ: lambda a, b: int(a == b),
    BinaryOp.NE: lambda a, b: int(a != b),
    BinaryOp.AND: lambda a, b: int(a != 0 and b != 0),
    BinaryOp.OR: lambda a, b: int(a != 0 or b != 0),
}


def number(expr: Expr, variables: Mapping[str, int]) -> int:
    """The value of an index expression."""
    match expr:
        case Const(value=value):
            return int(value)
        case Var(name=name):
            return variables[name]
        case Binary(op=op, a=a, b=b):
            return _MEANINGS[op](number(a, variables), number(b, variables))
        case Select(condition=condition, then=then, otherwise=otherwise):
            return number(then if number(condition, variables) else otherwise, variables)
    raise TypeError(expr)


@dataclass
class Slot:
    """Where an instance lies: what it was filled with, the loads that are still due, and who uses it."""

    contents: object = None
    due: list = field(default_factory=list)
    users: int = 0
    instance: int = -1


Env = Mapping[str, object]
"""Variables, extents of loops and slots of buffers, by name."""


class LoopMachine:
    """Tasks are (field values, source, instance by field); None stands where a virtual thread yields.

    Loads that are the first of two statements in an `Allocate` are what alone fills its buffer.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._slots: dict[str, list[Slot]] = {}
        self._instances = 0

    def run(self, stmt: Stmt, env: Env, domain: Mapping[str, Expr]) -> Iterator[tuple | None]:
        match stmt:
            case Seq(body=body):
                for part in body:
                    yield from self.run(part, env, domain)
            case For(kind=LoopKind.VIRTUAL_THREAD):
                yield from self._by_turns(deque(self._iterations(stmt, env, domain)))
            case For():
                for value, iteration in enumerate(self._iterations(stmt, env, domain)):
                    if value:
                        yield None
                    yield from iteration
            case Allocate():
                yield from self._allocate(stmt, env, domain)
            case IntrinsicStmt():
                yield from self._task(stmt, env, domain)

    def _iterations(self, loop: For, env: Env, domain: Mapping[str, Expr]) -> list[Iterator]:
        name = loop.var.name
        inside = {**domain, name: loop.extent}
        count = number(loop.extent, env)
        return [self.run(loop.body, {**env, name: value}, inside) for value in range(count)]

    def _by_turns(self, threads: deque) -> Iterator[tuple | None]:
        while threads:
            thread = threads.popleft()
            for task in thread:
                yield task
                if task is None:
                    threads.append(thread)
                    break

    def _allocate(self, stmt: Allocate, env: Env, domain: Mapping[str, Expr]) -> Iterator[tuple | None]:
        name, body = stmt.buffer.name, stmt.body
        fill, rest = body.body if _is_filled(body) else (None, body)
        slots = self._slots.setdefault(name, [Slot() for _ in range(stmt.buffer.depth)])
        shape = tuple(number(extent, env) for extent in stmt.buffer.shape)
        loads = (
            [] if fill is None else [task for task in self.run(fill, {**env, name: Slot()}, domain) if task]
        )
        contents = (shape, [fields for fields, *_ in loads]) if loads else None
        slot = next((each for each in slots if contents and each.contents == contents), None)
        if slot is None:
            slot = next(each for each in slots if not each.users)
            slot.contents, slot.due, slot.instance = contents, loads, self._instances
        self._instances += 1
        slot.users += 1
        for fields, memory, _ in slot.due:
            yield fields, memory, {"address": slot.instance}
        slot.due = []
        yield from self.run(rest, {**env, name: slot}, domain)
        slot.users -= 1
        if not slot.users:
            # The last of those that are free.
            slots.sort(key=lambda each: each is slot)

    def _task(self, stmt: IntrinsicStmt, env: Env, domain: Mapping[str, Expr]) -> Iterator[tuple]:
        loops = [each for each in statements(stmt.body) if isinstance(each, For)]
        if any(number(loop.extent, env) <= 0 for loop in loops):
            return
        intrinsic = matched(stmt.name, stmt.body, domain, self._limits)
        here = {name: np.array([value]) for name, value in env.items() if isinstance(value, int)}
        (fields,) = intrinsic.instructions(Iterations(1, here)).tolist()
        instances = {field: env[buffer.name].instance for field, buffer in intrinsic.operands.items()}
        yield fields, intrinsic.memory, instances


def _is_filled(body: Stmt) -> bool:
    if not isinstance(body, Seq):
        return False
    return all(each.name == "load" for each in statements(body.body[0]) if isinstance(each, IntrinsicStmt))


def tasks_of(stmt: Stmt, limits: Limits) -> Sequence[tuple]:
    """The tasks of tensorised loops: field values, source, instance by field."""
    return [task for task in LoopMachine(limits).run(stmt, {}, {}) if task is not None]
