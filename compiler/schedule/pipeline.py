"""pipeline: the work of a loop's iterations issued in another order, so that its stages overlap."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from tilewright.compiler.schedule.loop_nest import (
    BodyScope,
    Path,
    edit,
    find_free_loop,
    find_loop,
    read_buffers,
    stored_buffers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.tir.buffer import Buffer, MemoryScope
from tilewright.compiler.tir.stmt import (
    Allocate,
    Block,
    For,
    LoopKind,
    Opaque,
    PipelineStage,
    Pipelining,
    PrimFunc,
    Stmt,
)
from tilewright.compiler.tir.walk import statements


@dataclass(frozen=True)
class Pipeline(Primitive):
    """Each loop nest in a loop's body is a stage: that of iteration t is issued in step t + its offset.

    In a step the stages run in the order in which they are named here, each by a block in it. Steps go on
    over the iterations of the loops from `across` to the loop. What stands before the loop, in these, is
    issued before the step of its first iteration; what stands behind, `drain` steps behind that of its last.
    Buffers need a depth for each iteration that is under way.
    """

    loop: str
    across: str
    stages: tuple[str, ...]
    offsets: tuple[int, ...]
    drain: int

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function whose loop is pipelined.

        Raises:
            ScheduleError: if the stages are not the loop nests in the loop, each once, with an offset each;
                if one would run before another one that it needs, or what is around them share a buffer
                between iterations; or if `across` is no loop around.
        """
        find_free_loop(self, function, self.loop)
        path = find_loop(self, function, self.loop)
        loop = path[-1]
        assert isinstance(loop, For)
        start = self._start(function, path)
        body_scope = BodyScope.of(loop.body)
        order = self._order(function, body_scope)
        self._check_numbers(function)
        for pair in combinations(range(len(body_scope.nests)), 2):
            self._check_pair(function, body_scope, pair, order)
        self._check_around(function, path, start)
        stages = tuple(map(PipelineStage, self.stages, self.offsets))
        return edit(
            function, {id(loop): replace(loop, pipelining=Pipelining(self.across, stages, self.drain))}
        )

    def _start(self, function: PrimFunc, path: Path) -> int:
        """The position of the loop `across` on the path."""
        loops = {stmt.var.name: position for position, stmt in enumerate(path) if isinstance(stmt, For)}
        if self.across not in loops:
            raise self.refusal(
                function, f"across must be {self.loop} or a loop around it: one of {', '.join(loops)}"
            )
        start = loops[self.across]
        for stmt in statements(path[start]):
            if isinstance(stmt, For) and _has_order(stmt, path[-1]):
                raise self.refusal(
                    function,
                    f"loop {stmt.var.name}, {stmt.kind}, must not have an order of its own: "
                    f"pipeline {self.loop} alone",
                )
        return start

    def _order(self, function: PrimFunc, body_scope: BodyScope) -> list[int]:
        """The position of each loop nest of the body among the stages."""
        names = [_blocks(nest) for nest in body_scope.nests]
        found = [[position for position, name in enumerate(self.stages) if name in own] for own in names]
        if any(len(each) != 1 for each in found) or len(found) != len(self.stages):
            known = ", ".join(" or ".join(own) for own in names)
            raise self.refusal(
                function, f"stages must name each loop nest in {self.loop} once: those of blocks {known}"
            )
        return [each for (each,) in found]

    def _check_numbers(self, function: PrimFunc) -> None:
        if len(self.offsets) != len(self.stages) or min(self.offsets, default=0) < 0:
            raise self.refusal(
                function,
                f"offsets must be {len(self.stages)} numbers of at least 0, one for each stage, "
                f"not {', '.join(map(str, self.offsets)) or 'none'}",
            )
        if self.drain < max(self.offsets):
            raise self.refusal(
                function,
                f"drain must be at least the largest offset, {max(self.offsets)}, not {self.drain}: "
                "what follows needs all iterations",
            )

    def _check_pair(
        self, function: PrimFunc, body_scope: BodyScope, pair: tuple[int, int], order: Sequence[int]
    ) -> None:
        """Refuse two stages that would run in the wrong order."""
        first, second = (body_scope.nests[position] for position in pair)
        own = {buffer.name for buffer in body_scope.buffers}
        shared = [buffer.name for buffer in _shared(first, second)]
        one, other = ((self.offsets[order[position]], order[position]) for position in pair)
        names = [self.stages[order[position]] for position in pair]
        for name in shared:
            if name not in own:
                raise self.refusal(
                    function,
                    f"{name}, of {names[0]} and {names[1]}, must be allocated in {self.loop}: "
                    "its iterations share it",
                )
            if one > other:
                raise self.refusal(
                    function,
                    f"{names[1]} needs {name} after {names[0]}: give it a larger offset, or name it later",
                )

    def _check_around(self, function: PrimFunc, path: Path, start: int) -> None:
        """Refuse buffers that iterations of the loops around share."""
        loops = [position for position in range(start, len(path)) if isinstance(path[position], For)]
        if len(loops) == 1:
            return
        own = {stmt.buffer.name for stmt in statements(path[start]) if isinstance(stmt, Allocate)}
        # The iterations of the innermost loop around have what is allocated in it for themselves.
        own -= {stmt.buffer.name for stmt in path[start : loops[-2]] if isinstance(stmt, Allocate)}
        read = {buffer.name for part in _parts(path[start]) for buffer in read_buffers(part)}
        written = [buffer for part in _parts(path[start]) for buffer in stored_buffers(part)]
        for buffer in written:
            is_only_left = buffer.scope is MemoryScope.GLOBAL and buffer.name not in read
            if buffer.name not in own and not (is_only_left and written.count(buffer) == 1):
                raise self.refusal(
                    function,
                    f"{buffer.name} must be allocated in the loop around {self.loop}, where its iterations "
                    f"have one each: attach its stage there, or name a loop inside for {self.across}",
                )


def check_pipelines(function: PrimFunc) -> None:
    """Refuse pipelined loops that later steps changed so that they could not be pipelined any more.

    Raises:
        ScheduleError: naming the first such pipeline, and why.
    """
    for loop in statements(function.body):
        if isinstance(loop, For) and loop.pipelining is not None:
            stages = loop.pipelining.stages
            names, offsets = tuple(each.block for each in stages), tuple(each.offset for each in stages)
            across, drain = loop.pipelining.across, loop.pipelining.drain
            Pipeline(loop.var.name, across, names, offsets, drain).apply(function)


def _has_order(loop: For, pipelined: Stmt) -> bool:
    return loop.kind is LoopKind.VIRTUAL_THREAD or (loop.pipelining is not None and loop is not pipelined)


def _parts(stmt: Stmt) -> Iterator[Block | Opaque]:
    return (part for part in statements(stmt) if isinstance(part, Block | Opaque))


def _blocks(nest: Stmt) -> list[str]:
    return [part.name for part in _parts(nest)]


def _names(part: Block | Opaque) -> set[str]:
    return {buffer.name for buffer in (*stored_buffers(part), *read_buffers(part))}


def _shared(first: Stmt, second: Stmt) -> list[Buffer]:
    """The buffers that both use, and one of them writes."""
    found = []
    for writing, other in ((first, second), (second, first)):
        used = {name for part in _parts(other) for name in _names(part)}
        found += [b for part in _parts(writing) for b in stored_buffers(part) if b.name in used]
    return found
