"""Enumerate: run the loops outside of intrinsics, with numbers; what is left is a list of tasks.

Each execution of an `Allocate` takes one of the buffer's versions that are not in use: that whose last use
ended longest ago; the instance that was there is gone. If loads of memory that nobody writes are all that
fills a buffer, an instance is the same wherever these loads are the same: one that is still there is taken as
it is, and its loads are left out.

Iterations of a virtual-thread loop take turns: a turn ends with an iteration of a loop inside that is not the
last. They share what they would fill alike.
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
        most: after so many tasks it stops; None: at the end.

    Raises:
        EnumerateError: if a block is outside of intrinsics, an intrinsic is not one instruction with its
            numbers, or more instances of a buffer are in use at a time than it has versions.
    """
    shapes = {
        buffer.name: tuple(compiled(extent)({}) for extent in buffer.shape) for buffer in function.parameters
    }
    root = _Planner(function, Limits.of(config)).step(function.body, {})
    found = (task for task in root.run(_State(layer), _Frame({}, shapes, {})) if task is not None)
    return list(islice(found, most))


# --- what runs ---------------------------------------------------------------------------------------------


@dataclass
class _Version:
    """One of a buffer's places on the chip.

    Members:
        instance: what is there; None at first.
        contents: what its loads are, if they alone make it.
        waiting: those of its loads that are not among the tasks yet.
        users: executions of the `Allocate` that it serves.
    """

    instance: Instance | None = None
    contents: object = None
    waiting: deque[Task] = field(default_factory=deque)
    users: int = 0


class _Versions:
    """All versions of a buffer."""

    def __init__(self, buffer: Buffer) -> None:
        self._buffer = buffer
        # Those that nobody uses, by identity: the one whose last use ended longest ago first.
        self._free = OrderedDict((id(each), each) for each in (_Version() for _ in range(buffer.depth)))
        self._by_contents: dict[object, _Version] = {}

    def use(self, contents: object) -> tuple[_Version, bool]:
        """The version with the contents, or the oldest one, and whether it has them already."""
        version = None if contents is None else self._by_contents.get(contents)
        found = version is not None
        if version is None:
            version = self._replaced(contents)
        if not version.users:
            del self._free[id(version)]
        version.users += 1
        return version, found

    def leave(self, version: _Version) -> None:
        """A use ended."""
        version.users -= 1
        if not version.users:
            self._free[id(version)] = version

    def _replaced(self, contents: object) -> _Version:
        """The oldest version, for other contents."""
        if not self._free:
            text = f"buffer {self._buffer.name!r} needs more than {self._buffer.depth} versions: so many are"
            raise EnumerateError(f"{text} in use at a time; give it one for each virtual thread")
        version = next(iter(self._free.values()))
        if version.contents is not None:
            del self._by_contents[version.contents]
        version.contents = contents
        if contents is not None:
            self._by_contents[contents] = version
        return version


class _State:
    """What all parts of one enumeration share."""

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.numbers = count()
        self.versions: dict[str, _Versions] = {}
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
class _Frame:
    """Where a thread is: values of loop variables, extents and instances of the buffers, by name."""

    env: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    versions: dict[str, _Version]

    def copy(self) -> "_Frame":
        return _Frame(dict(self.env), dict(self.shapes), dict(self.versions))


Turn = None
"""Stands among tasks where a thread's turn ends."""


class _Step:
    """A statement made ready to run."""

    def run(self, state: _State, frame: _Frame) -> Iterator[Task | None]:
        raise NotImplementedError


@dataclass
class _Sequence(_Step):
    parts: Sequence[_Step]

    def run(self, state: _State, frame: _Frame) -> Iterator[Task | None]:
        for part in self.parts:
            yield from part.run(state, frame)


@dataclass
class _Loop(_Step):
    name: str
    extent: Number
    body: _Step

    def run(self, state: _State, frame: _Frame) -> Iterator[Task | None]:
        for value in range(self.extent(frame.env)):
            if value:
                yield Turn
            frame.env[self.name] = value
            yield from self.body.run(state, frame)


@dataclass
class _Threads(_Loop):
    def run(self, state: _State, frame: _Frame) -> Iterator[Task | None]:
        waiting = deque(self._thread(state, frame.copy(), value) for value in range(self.extent(frame.env)))
        while waiting:
            thread = waiting.popleft()
            for task in thread:
                yield task
                if task is Turn:
                    waiting.append(thread)
                    break

    def _thread(self, state: _State, frame: _Frame, value: int) -> Iterator[Task | None]:
        frame.env[self.name] = value
        yield from self.body.run(state, frame)


@dataclass
class _Work(_Step):
    """An intrinsic.

    Members:
        intrinsic: what it is.
        statement: its nest.
        values: of the loop variables that it depends on, from those of all.
        buffers: whose extents it depends on.
        made: its instruction, by both.
    """

    intrinsic: Intrinsic
    statement: Stmt
    values: Callable[[Mapping[str, int]], object]
    buffers: Sequence[str]
    made: dict[object, Instruction] = field(default_factory=dict)

    def run(self, state: _State, frame: _Frame) -> Iterator[Task | None]:
        yield self.task(state, frame)

    def task(self, state: _State, frame: _Frame) -> Task:
        operands = {}
        for name, buffer in self.intrinsic.operands.items():
            instance = frame.versions[buffer.name].instance
            assert instance is not None
            operands[name] = instance
        shapes = frame.shapes
        key = self.values(frame.env), *[shapes[name] for name in self.buffers]
        instruction = self.made.get(key)
        if instruction is None:
            instruction = self.made[key] = self.instruction(frame)
        return Task(state.layer, instruction, operands, self.intrinsic.memory)

    def instruction(self, frame: _Frame) -> Instruction:
        try:
            return self.intrinsic.fold(frame.env, frame.shapes)
        except MismatchError as error:
            text = f"a {self.intrinsic.name} intrinsic is no instruction at {frame.env}: {error}"
            raise EnumerateError(f"{text}\n{print_stmt(self.statement)}") from error


@dataclass
class _Fill(_Step):
    """Loads that alone make an instance: run where it is allocated, if they are needed; told here."""

    buffer: str
    loads: _Step

    def run(self, state: _State, frame: _Frame) -> Iterator[Task | None]:
        waiting = frame.versions[self.buffer].waiting
        while waiting:
            yield waiting.popleft()


@dataclass
class _Allocation(_Step):
    buffer: Buffer
    shape: Sequence[Number]
    fills: Sequence[_Fill]
    body: _Step

    def run(self, state: _State, frame: _Frame) -> Iterator[Task | None]:
        name = self.buffer.name
        frame.shapes[name] = tuple([extent(frame.env) for extent in self.shape])
        versions = state.versions.get(name)
        if versions is None:
            versions = state.versions[name] = _Versions(self.buffer)
        version = self._version(state, frame, versions)
        frame.versions[name] = version
        yield from self.body.run(state, frame)
        versions.leave(version)

    def _version(self, state: _State, frame: _Frame, versions: _Versions) -> _Version:
        """A version with an instance, filled or to be filled."""
        shape = frame.shapes[self.buffer.name]
        fresh = _Version(Instance(self.buffer, next(state.numbers), shape))
        loads = self._loads(state, frame, fresh) if self.fills else []
        contents = None
        if loads:
            contents = shape, *[(state.number(task.instruction), id(task.memory)) for task in loads]
        version, found = versions.use(contents)
        if not found:
            version.instance, version.waiting = fresh.instance, deque(loads)
        return version

    def _loads(self, state: _State, frame: _Frame, fresh: _Version) -> list[Task]:
        """The loads that would make the instance, if they alone do."""
        frame.versions[self.buffer.name] = fresh
        found = (task for fill in self.fills for task in fill.loads.run(state, frame))
        return [task for task in found if task is not Turn]


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
