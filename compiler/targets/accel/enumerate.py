"""Enumerate: run the loops outside of intrinsics, with numbers; what is left is a list of tasks.

Each execution of an `Allocate` takes one of the buffer's slots that are not in use: that whose last use
ended longest ago; the instance that was there is gone. If loads of memory that nobody writes are all that
fills a buffer, an instance is the same wherever these loads are the same: one that is still there is taken as
it is, and its loads are left out.

Iterations of a virtual-thread loop are interleaved: a thread yields after each iteration of a loop inside but
the last. Threads share what they would fill alike.

A pipelined loop runs in order, too, and each task notes the step in which it is issued: by that, tasks are
sorted in the end.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from operator import itemgetter

from tilewright.compiler.targets.accel.buffer_slot import BufferSlot, BufferSlots, EnumerateError
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
from tilewright.compiler.tir.issue_order import IssuePlace, loops_across, stage_places
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
    state = _State(layer)
    found = (task for task in root.run(state, _Environment({}, shapes, {})) if task is not None)
    # The place is that of the task which was made last.
    placed = [(state.place, task) for task in islice(found, most)]
    return [task for _, task in sorted(placed, key=itemgetter(0))]


# --- what runs ---------------------------------------------------------------------------------------------


class _State:
    """The state that all parts of one enumeration share.

    Members:
        place: of what is made now.
        step: of the next iteration of the pipelined loop.
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.place = IssuePlace()
        self.step = 0
        self.numbers = count()
        self.slots: dict[str, BufferSlots] = {}
        # Equal instructions have one number; most are one object.
        self._by_value: dict[Instruction, int] = {}
        self._by_identity: dict[int, int] = {}

    def begin_pipeline(self) -> None:
        """What follows is issued behind all that was made so far."""
        self.place = IssuePlace(self.place.pipeline + 1)
        self.step = 0

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
    slots: dict[str, BufferSlot]

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
class _Across(_Loop):
    """A loop around a pipelined one, whose iterations the steps go on over: those of the outermost are anew.

    Members:
        is_outermost: whether it is that.
    """

    is_outermost: bool = False

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        if self.is_outermost:
            state.begin_pipeline()
        for value in range(self.extent(environment.variables)):
            state.place = IssuePlace(state.place.pipeline, state.step)
            environment.variables[self.name] = value
            yield from self.body.run(state, environment)
        if self.is_outermost:
            state.begin_pipeline()


@dataclass
class _Pipelined(_Across):
    """A pipelined loop.

    Members:
        drain: steps from that of its last iteration to what stands behind it.
    """

    drain: int = 0

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        if self.is_outermost:
            state.begin_pipeline()
        for value in range(self.extent(environment.variables)):
            environment.variables[self.name] = value
            yield from self.body.run(state, environment)
            state.step += 1
        state.place = state.place.behind(state.step, self.drain)
        if self.is_outermost:
            state.begin_pipeline()


@dataclass
class _Stage(_Step):
    """A stage of a pipelined loop.

    Members:
        offset: steps behind that of its iteration.
        position: in the step.
        body: what it does.
    """

    offset: int
    position: int
    body: _Step

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        state.place = IssuePlace(state.place.pipeline, state.step + self.offset, self.position)
        yield from self.body.run(state, environment)


@dataclass
class _Work(_Step):
    """An intrinsic.

    Members:
        intrinsic: what it is.
        statement: its loop nest.
        values: of the loop variables that it depends on, from those of all.
        buffers: whose extents it depends on.
        is_empty: whether a loop of it has no iteration.
        made: its instruction, by both.
    """

    intrinsic: Intrinsic
    statement: Stmt
    values: Callable[[Mapping[str, int]], object]
    buffers: Sequence[str]
    is_empty: Callable[[Mapping[str, int]], bool]
    made: dict[object, Instruction] = field(default_factory=dict)

    def run(self, state: _State, environment: _Environment) -> Iterator[Task | None]:
        if not self.is_empty(environment.variables):
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
            slots = state.slots[name] = BufferSlots(self.buffer)
        slot = self._slot(state, environment, slots)
        environment.slots[name] = slot
        yield from self.body.run(state, environment)
        slots.leave(slot)

    def _slot(self, state: _State, environment: _Environment, slots: BufferSlots) -> BufferSlot:
        """A slot with an instance, filled or to be filled."""
        shape = environment.shapes[self.buffer.name]
        fresh = BufferSlot(Instance(self.buffer, next(state.numbers), shape))
        loads = self._loads(state, environment, fresh) if self.fills else []
        contents = None
        if loads:
            contents = shape, *[(state.number(task.instruction), id(task.memory)) for task in loads]
        slot, found = slots.use(contents)
        if not found:
            slot.instance, slot.waiting = fresh.instance, deque(loads)
        return slot

    def _loads(self, state: _State, environment: _Environment, fresh: BufferSlot) -> list[Task]:
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
        # Of stages of pipelined loops: offset and position in a step.
        self._stages: dict[int, tuple[int, int]] = {}
        self._across = loops_across(function.body)

    def step(self, stmt: Stmt, domain: Domain) -> _Step:
        """The statement, below the loops of `domain`."""
        step = self._step(stmt, domain)
        buffer = self._fills.get(id(stmt))
        if buffer is not None:
            step = _Fill(buffer, step)
        return _Stage(*self._stages[id(stmt)], step) if id(stmt) in self._stages else step

    def _step(self, stmt: Stmt, domain: Domain) -> _Step:
        match stmt:
            case Seq(body=body):
                return _Sequence([self.step(part, domain) for part in body])
            case For():
                return self._loop(stmt, domain)
            case Allocate(buffer=buffer, body=body):
                return self._allocation(buffer, body, domain)
            case IntrinsicStmt(name=name, body=body):
                return self._work(name, body, domain)
        raise EnumerateError(
            f"outside of intrinsics, only loops can run; tensorise first:\n{print_stmt(stmt)}"
        )

    def _loop(self, loop: For, domain: Domain) -> _Step:
        if loop.pipelining is not None:
            self._stages |= stage_places(loop)
        name, extent = loop.var.name, compiled(loop.extent)
        inner = self.step(loop.body, {**domain, name: loop.extent})
        if loop.pipelining is not None:
            return _Pipelined(name, extent, inner, self._across[name], loop.pipelining.drain)
        if name in self._across:
            return _Across(name, extent, inner, self._across[name])
        kind = _Threads if loop.kind is LoopKind.VIRTUAL_THREAD else _Loop
        return kind(name, extent, inner)

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
            nest = parse(body, domain)
            intrinsic = INTRINSICS[name](nest, self._limits)
        except MismatchError as error:
            raise EnumerateError(f"intrinsic {name!r} does not stand for its body: {error}") from error
        read = _variables(body)
        names = [name for name in domain if name in read]
        buffers = {buffer.name for buffer in _accessed(body) if buffer.scope is not MemoryScope.LANE}
        values = itemgetter(*names) if names else lambda _: None
        return _Work(intrinsic, body, values, sorted(buffers), nest.emptiness())


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
        case _Allocation(body=body) | _Stage(body=body):
            yield from _steps(body)
        case _:
            yield step
