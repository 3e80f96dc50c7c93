"""Enumerate: run the loops outside of intrinsics, with numbers; what is left is a list of tasks.

Each execution of an `Allocate` takes one of the buffer's slots that are not in use: that whose last use
ended longest ago; the instance that was there is gone. If loads of memory that nobody writes are all that
fills a buffer, an instance is the same wherever these loads are the same: one that is still there is taken as
it is, and its loads are left out.

Iterations of a virtual-thread loop are interleaved: a thread yields after each iteration of a loop inside but
the last. Threads share what they would fill alike.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from operator import itemgetter

from tilewright.compiler.targets.accel.intrinsic.affine import Number, compiled
from tilewright.compiler.targets.accel.intrinsic.error import MismatchError
from tilewright.compiler.targets.accel.intrinsic.intrinsic import Intrinsic
from tilewright.compiler.targets.accel.intrinsic.limits import Limits
from tilewright.compiler.targets.accel.intrinsic.nest import parse
from tilewright.compiler.targets.accel.intrinsic.table import INTRINSICS
from tilewright.compiler.targets.accel.task import Instance, Task
from tilewright.compiler.tir.bound import Domain
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.expr import BufferLoad, Expr
from tilewright.compiler.tir.printer import print_stmt
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    BufferStore,
    For,
    IntrinsicStmt,
    LoopKind,
    PrimFunc,
    Seq,
    Stmt,
)
from tilewright.compiler.tir.walk import children, map_exprs, nodes, statements, variables
from tilewright.isa.config import Config
from tilewright.isa.instruction import Instruction
from tilewright.numerics.error import TilewrightError


class EnumerateError(TilewrightError):
    """A tensorised function that has no list of tasks."""


def tasks(function: PrimFunc, layer: str, config: Config, most: int | None = None) -> list[Task]:
    """The tasks of a tensorised function, in the order in which they may run.

    Args:
        function: every block is inside of an intrinsic.
        layer: the name that the tasks carry.
        config: the machine.
        most: the number of tasks after which it stops; None: at the end.

    Raises:
        EnumerateError: if a block is outside of intrinsics, an intrinsic is not one instruction with its
            numbers, or more instances of a buffer are in use at a time than its depth.
    """
    shapes = {
        buffer.name: tuple(compiled(extent)({}) for extent in buffer.shape) for buffer in function.parameters
    }
    root = _Planner(function, Limits.of(config)).step(function.body, {})
    found = (task for task in root.run(_State(layer), _Environment({}, shapes, {})) if task is not None)
    return list(islice(found, most))


# --- what runs ---------------------------------------------------------------------------------------------


@dataclass
class _BufferSlot:
    """Room for one instance of a buffer on the chip.

    Members:
        instance: what lies there; None at first.
        contents: what its loads are, if they alone make it.
        waiting: those of its loads that are not among the tasks yet.
        users: executions of the `Allocate` that it serves.
    """

    instance: Instance | None = None
    contents: object = None
    waiting: deque[Task] = field(default_factory=deque)
    users: int = 0


class _BufferSlots:
    """The slots of a buffer, as many as its depth."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        # Those that nobody uses, by identity: the one whose last use ended longest ago first.
        self._free = OrderedDict((id(each), each) for each in (_BufferSlot() for _ in range(buffer.depth)))
        self._by_contents: dict[object, _BufferSlot] = {}

    def use(self, contents: object) -> tuple[_BufferSlot, bool]:
        """The slot with the contents, or the oldest one, and whether it has them already."""
        slot = None if contents is None else self._by_contents.get(contents)
        found = slot is not None
        if slot is None:
            slot = self._replaced(contents)
        if not slot.users:
            del self._free[id(slot)]
        slot.users += 1
        return slot, found

    def leave(self, slot: _BufferSlot) -> None:
        """A use ended."""
        slot.users -= 1
        if not slot.users:
            self._free[id(slot)] = slot

    def _replaced(self, contents: object) -> _BufferSlot:
        """The oldest slot, for other contents."""
        if not self._free:
            text = f"buffer {self._buffer.name!r} needs a depth of more than {self._buffer.depth}"
            raise EnumerateError(f"{text}: give it an instance for each virtual thread")
        slot = next(iter(self._free.values()))
        if slot.contents is not None:
            del self._by_contents[slot.contents]
        slot.contents = contents
        if contents is not None:
            self._by_contents[contents] = slot
        return slot


class _State:
    """The state that all parts of one enumeration share."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.numbers = count()
        self.slots: dict[str, _BufferSlots] = {}
        # Equal instructions have one number; most are one object.
        self._by_value: dict[Instruction, int] = {}
        self._by_identity: dict[int, int] = {}

    def number(self, instruction: Instruction) -> int:
        """The same for equal instructions, which must be kept while the enumeration runs."""
        number = self._by_identity.get(id(instruction))
        if number is None:
            number = self._by_value.setdefault(instruction, len(self._by_value))
            self._by_identity[id(instruction)] = number
        return number


@dataclass
class _Environment:
    """The environment of a thread: values of loop variables, extents and slots of the buffers, by name."""

    variables: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    slots: dict[str, _BufferSlot]

    def copy(self) -> "_Environment":
        return _Environment(dict(self.variables), dict(self.shapes), dict(self.slots))


YieldPoint = None
"""Stands among tasks where a thread yields."""


class _Step:
    """A statement, compiled to run."""

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        raise NotImplementedError


@dataclass
class _Sequence(_Step):
    parts: Sequence[_Step]

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        for part in self.parts:
            yield from part.run(state, environment)


@dataclass
class _Loop(_Step):
    name: str
    extent: Number
    body: _Step

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        for value in range(self.extent(environment.variables)):
            if value:
                yield YieldPoint
            environment.variables[self.name] = value
            yield from self.body.run(state, environment)


@dataclass
class _Threads(_Loop):
    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        waiting = deque(
            self._thread(state, environment.copy(), value)
            for value in range(self.extent(environment.variables))
        )
        while waiting:
            thread = waiting.popleft()
            for task in thread:
                yield task
                if task is YieldPoint:
                    waiting.append(thread)
                    break

    def _thread(self, state: _State, environment: _Environment, value: int) -> Iterator[Task | None]:
        environment.variables[self.name] = value
        yield from self.body.run(state, environment)


@dataclass
class _Work(_Step):
    """An intrinsic.

    Members:
        intrinsic: what it is.
        statement: its loop nest.
        values: of the loop variables that it depends on, from those of all.
        buffers: whose extents it depends on.
        made: its instruction, by both.
    """

    intrinsic: Intrinsic
    statement: Stmt
    values: Callable[[Mapping[str, int]], object]
    buffers: Sequence[str]
    made: dict[object, Instruction] = field(default_factory=dict)

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        yield self.task(state, environment)

    def task(self, state: _State, environment: _Environment) -> Task:
        operands = {}
        for name, buffer in self.intrinsic.operands.items():
            instance = environment.slots[buffer.name].instance
            assert instance is not None
            operands[name] = instance
        shapes = environment.shapes
        key = self.values(environment.variables), *[shapes[name] for name in self.buffers]
        instruction = self.made.get(key)
        if instruction is None:
            instruction = self.made[key] = self.instruction(environment)
        return Task(state.layer, instruction, operands, self.intrinsic.memory)

    def instruction(self, environment: _Environment) -> Instruction:
        try:
            return self.intrinsic.instruction(environment.variables, environment.shapes)
        except MismatchError as error:
            text = f"a {self.intrinsic.name} intrinsic is no instruction at {environment.variables}: {error}"
            raise EnumerateError(f"{text}\n{print_stmt(self.statement)}") from error


@dataclass
class _Fill(_Step):
    """Loads that alone make an instance: run where it is allocated, if they are needed; told here."""

    buffer: str
    loads: _Step

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        waiting = environment.slots[self.buffer].waiting
        while waiting:
            yield waiting.popleft()


@dataclass
class _Allocation(_Step):
    buffer: Buffer
    shape: Sequence[Number]
    fills: Sequence[_Fill]
    body: _Step

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        name = self.buffer.name
        environment.shapes[name] = tuple([extent(environment.variables) for extent in self.shape])
        slots = state.slots.get(name)
        if slots is None:
            slots = state.slots[name] = _BufferSlots(self.buffer)
        slot = self._slot(state, environment, slots)
        environment.slots[name] = slot
        yield from self.body.run(state, environment)
        slots.leave(slot)

    def _slot(self, state: _State, environment: _Environment, slots: _BufferSlots) -> _BufferSlot:
        """A slot with an instance, filled or to be filled."""
        shape = environment.shapes[self.buffer.name]
        fresh = _BufferSlot(Instance(self.buffer, next(state.numbers), shape))
        loads = self._loads(state, environment, fresh) if self.fills else []
        contents = None
        if loads:
            contents = shape, *[(state.number(task.instruction), id(task.memory)) for task in loads]
        slot, found = slots.use(contents)
        if not found:
            slot.instance, slot.waiting = fresh.instance, deque(loads)
        return slot

    def _loads(self, state: _State, environment: _Environment, fresh: _BufferSlot) -> list[Task]:
        """The loads that would make the instance, if they alone do."""
        environment.slots[self.buffer.name] = fresh
        found = (task for fill in self.fills for task in fill.loads.run(state, environment))
        return [task for task in found if task is not YieldPoint]


# --- making it ready ---------------------------------------------------------------------------------------


class _Planner:
    """Turns statements into steps: matches every intrinsic once, finds what fills each buffer."""

    def __init__(self, function: PrimFunc, limits: Limits) -> None:
        self._limits = limits
        self._written = {_written(s).name for s in statements(function.body) if isinstance(s, Block)}
        self._fills: dict[int, str] = {}

    def step(self, stmt: Stmt, domain: Domain) -> _Step:
        """The statement, below the loops of `domain`."""
        step = self._step(stmt, domain)
        buffer = self._fills.get(id(stmt))
        return step if buffer is None else _Fill(buffer, step)

    def _step(self, stmt: Stmt, domain: Domain) -> _Step:
        match stmt:
            case Seq(body=body):
                return _Sequence([self.step(part, domain) for part in body])
            case For(var=var, extent=extent, body=body, kind=kind):
                inner = self.step(body, {**domain, var.name: extent})
                loop = _Threads if kind is LoopKind.VIRTUAL_THREAD else _Loop
                return loop(var.name, compiled(extent), inner)
            case Allocate(buffer=buffer, body=body):
                return self._allocation(buffer, body, domain)
            case IntrinsicStmt(name=name, body=body):
                return self._work(name, body, domain)
        raise EnumerateError(
            f"outside of intrinsics, only loops can run; tensorise first:\n{print_stmt(stmt)}"
        )

    def _allocation(self, buffer: Buffer, body: Stmt, domain: Domain) -> _Allocation:
        self._fills |= {id(stmt): buffer.name for stmt in self._filling(buffer, body)}
        step = self.step(body, domain)
        shape = [compiled(extent) for extent in buffer.shape]
        fills = [found for found in _steps(step) if isinstance(found, _Fill) and found.buffer == buffer.name]
        return _Allocation(buffer, shape, fills, step)

    def _filling(self, buffer: Buffer, body: Stmt) -> list[Stmt]:
        """The statements that alone write a buffer, from memory that nobody writes; else none."""
        found = [stmt for stmt in _straight(body) if self._is_fill(buffer, stmt)]
        writes = sum(_writes(stmt, buffer) for stmt in found)
        return found if writes and writes == _writes(body, buffer) else []

    def _is_fill(self, buffer: Buffer, stmt: Stmt) -> bool:
        blocks = [s for s in statements(stmt) if isinstance(s, Block)]
        plain = not any(isinstance(s, Allocate) for s in statements(stmt))
        return plain and all(self._is_load(buffer, block) for block in blocks)

    def _is_load(self, buffer: Buffer, block: Block) -> bool:
        sources = [load.buffer for load in _loads(block)]
        constant = all(
            source.scope is MemoryScope.GLOBAL and source.name not in self._written for source in sources
        )
        return _written(block) == buffer and bool(sources) and constant

    def _work(self, name: str, body: Stmt, domain: Domain) -> _Work:
        if name not in INTRINSICS:
            raise EnumerateError(f"intrinsic must be one of {', '.join(INTRINSICS)}, not {name!r}")
        try:
            intrinsic = INTRINSICS[name](parse(body, domain), self._limits)
        except MismatchError as error:
            raise EnumerateError(f"intrinsic {name!r} does not stand for its body: {error}") from error
        read = _variables(body)
        names = [name for name in domain if name in read]
        buffers = {buffer.name for buffer in _accessed(body) if buffer.scope is not MemoryScope.LANE}
        return _Work(intrinsic, body, itemgetter(*names) if names else lambda _: None, sorted(buffers))


def _variables(stmt: Stmt) -> set[str]:
    """The names of all variables in a statement."""
    found = set[str]()

    def note(expr: Expr) -> Expr:
        found.update(variables(expr))
        return expr

    map_exprs(stmt, note)
    return found


def _accessed(stmt: Stmt) -> Iterator[Buffer]:
    """The buffers that the blocks of a statement write and read."""
    for block in statements(stmt):
        if isinstance(block, Block | BufferStore):
            yield _written(block)
            yield from (load.buffer for load in _loads(block))


def _written(block: Block | BufferStore) -> Buffer:
    return block.body.buffer if isinstance(block, Block) else block.buffer


def _loads(block: Block | BufferStore) -> list[BufferLoad]:
    store = block.body if isinstance(block, Block) else block
    return [
        node for expr in (store.value, *store.indices) for node in nodes(expr) if isinstance(node, BufferLoad)
    ]


def _writes(stmt: Stmt, buffer: Buffer) -> int:
    """How many blocks of a statement write a buffer."""
    blocks = (s for s in statements(stmt) if isinstance(s, Block))
    return sum(_written(block).name == buffer.name for block in blocks)


def _straight(stmt: Stmt) -> Iterator[Stmt]:
    """The statements that run once where a statement does."""
    if isinstance(stmt, Seq | Allocate):
        for child in children(stmt):
            yield from _straight(child)
    else:
        yield stmt


def _steps(step: _Step) -> Iterator[_Step]:
    """The steps that `_straight` statements became."""
    match step:
        case _Sequence(parts=parts):
            for part in parts:
                yield from _steps(part)
        case _Allocation(body=body):
            yield from _steps(body)
        case _:
            yield step
