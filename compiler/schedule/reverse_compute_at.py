"""reverse_compute_at: a consumer computed inside the loops of its producer, as far as that has come."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.schedule.fit import LoopIndex, clipped, fitted, loop_indices, rebased
from tilewright.compiler.schedule.loop_nest import (
    BodyScope,
    Path,
    allocation_of,
    contains,
    domain_of,
    edit,
    find_block,
    find_loop,
    path_to,
    readers,
    reduces_over,
    simplified,
    stored_at,
    stored_buffers,
    writers,
)
from tilewright.compiler.schedule.primitive import Primitive
from tilewright.compiler.schedule.region import Span, index_bounds, stored_span
from tilewright.compiler.tir.bound import Domain, lower, upper
from tilewright.compiler.tir.buffer import Buffer
from tilewright.compiler.tir.expr import Const, Expr
from tilewright.compiler.tir.printer import print_expr
from tilewright.compiler.tir.simplify import is_zero
from tilewright.compiler.tir.stmt import Allocate, Block, For, IterKind, PrimFunc, Seq, Stmt
from tilewright.compiler.tir.walk import block_indices, blocks, loads, substitute, variables


@dataclass(frozen=True)
class ReverseComputeAt(Primitive):
    """The loop nest of a block moves to the end of the body of a loop of what it reads.

    Its loops shrink to the box of what one iteration produces; a buffer between them that nothing else needs
    is then allocated there, of that box.
    """

    block: str
    loop: str

    def apply(self, function: PrimFunc) -> PrimFunc:
        """The function with the block in the loop, behind what it reads.

        Raises:
            ScheduleError: if the block runs in order, is not alone in its loops or not behind the loop,
                or does not read element by element what one iteration of the loop completes.
        """
        block_path = find_block(self, function, self.block)
        loop_path = find_loop(self, function, self.loop)
        block, loop = block_path[-1], loop_path[-1]
        assert isinstance(block, Block)
        assert isinstance(loop, For)
        seq, nest, produced = self._meeting(function, block_path, loop_path)
        if any(it.kind is IterKind.ORDERED for it in block.iters):
            raise self.refusal(
                function, f"{self.block} runs in order and must stay where it is: attach its sources to it"
            )
        sources = self._sources(function, seq, produced, block, loop)
        outer = domain_of(loop_path)
        spans = {
            source.name: self._produced_spans(function, produced, loop, source, outer) for source in sources
        }
        around = domain_of(block_path[: block_path.index(seq)])
        for source in sources:
            self._check_covered(function, nest, block, produced, source, around)
        fit = self._fit(function, nest, block, spans, around, outer)
        body_scope = BodyScope.of(loop.body)
        body = BodyScope(body_scope.buffers, (*body_scope.nests, fit)).stmt
        unwrap = set()
        for source in sources:
            allocation = self._local_allocation(function, source, block, loop, spans[source.name], outer)
            if allocation is not None:
                unwrap.add(id(allocation))
                body, small = rebased(body, source, spans[source.name])
                body = Allocate(small, body)
        return simplified(edit(function, {id(nest): None, id(loop): replace(loop, body=body)}, unwrap))

    def _meeting(self, function: PrimFunc, block_path: Path, loop_path: Path) -> tuple[Seq, Stmt, Stmt]:
        """The body that contains both, the loop nest of the block in it, and the loop nest of the loop."""
        common = [a for a, b in zip(block_path, loop_path, strict=False) if a is b]
        seq = common[-1] if common else None
        if not isinstance(seq, Seq) or len(common) == len(loop_path):
            raise self.refusal(
                function, f"{self.block} must lie behind {self.loop}, not in it: name another loop"
            )
        nest, produced = block_path[len(common)], loop_path[len(common)]
        if BodyScope((), seq.body).position(nest) < BodyScope((), seq.body).position(produced):
            raise self.refusal(
                function, f"{self.block} must come behind {self.loop}: use compute_at for a producer"
            )
        if len(list(blocks(nest))) > 1:
            raise self.refusal(
                function,
                f"{self.block} must be alone in its loops: apply this before others are attached to it",
            )
        return seq, nest, produced

    def _sources(self, function: PrimFunc, seq: Seq, produced: Stmt, block: Block, loop: For) -> list[Buffer]:
        """The buffers that the block reads and the loop writes; all others must be there before the loop."""
        own = {buffer.name for buffer in stored_buffers(block)}
        read = {load.buffer.name: load.buffer for load in loads(block) if load.buffer.name not in own}
        found = []
        position = BodyScope((), seq.body).position(produced)
        for name, buffer in read.items():
            late = [writer for nest in seq.body[position:] for writer in writers(nest, name)]
            inside = [writer for writer in late if contains(loop, writer)]
            complete = len(writers(function.body, name)) == 1
            seen = all(isinstance(writer, Block) for writer in inside)
            if (inside and not (complete and seen)) or len(inside) != len(late):
                raise self.refusal(
                    function,
                    f"{name}, which {self.block} reads, must be written by one block inside of {self.loop} "
                    "or be there before: name a loop around its writer, or attach that first",
                )
            found += [buffer] if inside else []
        if not found:
            raise self.refusal(
                function, f"{self.block} must read what {self.loop} computes: name a loop of a producer"
            )
        return found

    def _produced_spans(
        self, function: PrimFunc, produced: Stmt, loop: For, source: Buffer, outer: Domain
    ) -> tuple[Span, ...]:
        (writer,) = writers(loop, source.name)
        assert isinstance(writer, Block)
        for around in domain_of(path_to(produced, loop)):
            if reduces_over(writer, around):
                raise self.refusal(
                    function,
                    f"{writer.name} is not complete inside of {around}, which it reduces over: "
                    "name a loop outside of it",
                )
        inside = domain_of(path_to(loop.body, writer))
        result: list[Span] = []
        seen: set[str] = set()
        for dimension, index in enumerate(stored_at(writer, source.name)):
            item = stored_span(index, list(inside), {**outer, **inside})
            mine = variables(index) & set(inside)
            if item is None or mine & seen:
                raise self.refusal(
                    function,
                    f"dimension {dimension} of {source.name} is stored at {print_expr(index)}: what one "
                    f"iteration of {self.loop} writes must be a box: name a loop outside of these",
                )
            seen |= mine
            result.append(item)
        return tuple(result)

    def _fit(
        self,
        function: PrimFunc,
        nest: Stmt,
        block: Block,
        spans: dict[str, tuple[Span, ...]],
        around: dict[str, Expr],
        outer: Domain,
    ) -> Stmt:
        chosen: dict[str, Span] = {}
        bases: dict[str, Expr] = {}
        for load in loads(block):
            if load.buffer.name not in spans:
                continue
            found = loop_indices(nest, block, load.indices, around)
            for loop_index, item in zip(found, spans[load.buffer.name], strict=True):
                self._check_loop_index(function, block, loop_index, item, outer)
                assert isinstance(loop_index, LoopIndex)
                if loop_index.loop is None:
                    continue
                if (
                    chosen.setdefault(loop_index.loop, item) != item
                    or bases.setdefault(loop_index.loop, loop_index.base) != loop_index.base
                ):
                    raise self.refusal(
                        function,
                        f"{self.block} must read all its sources at the same elements: "
                        f"loop {loop_index.loop} runs over different ones",
                    )
        own = domain_of(path_to(nest, block))
        inside = {name: clipped(item, Span(bases[name], own[name]), outer) for name, item in chosen.items()}
        return fitted(nest, inside, bases)

    def _check_covered(
        self,
        function: PrimFunc,
        nest: Stmt,
        block: Block,
        produced: Stmt,
        source: Buffer,
        around: dict[str, Expr],
    ) -> None:
        """Refuse a block that runs for elements that are never produced: it would not run for them."""
        (writer,) = writers(produced, source.name)
        assert isinstance(writer, Block)
        inside = domain_of(path_to(produced, writer))
        own = domain_of(path_to(nest, block))
        wholes = [
            stored_span(index, list(inside), {**around, **inside}) or Span(Const(0), size)
            for index, size in zip(stored_at(writer, source.name), source.shape, strict=True)
        ]
        for load in loads(block):
            if load.buffer.name != source.name:
                continue
            for loop_index, whole in zip(
                loop_indices(nest, block, load.indices, around), wholes, strict=True
            ):
                if isinstance(loop_index, str) or loop_index.loop is None:
                    continue
                before = loop_index.base - whole.low
                behind = before + own[loop_index.loop] - whole.extent
                if lower(before, around) < 0 or upper(behind, {**around, **own}) > 0:
                    raise self.refusal(
                        function,
                        f"{loop_index.loop} must run over elements of {source.name} that {writer.name} "
                        "stores, and no others: leave it behind its producer, or use compute_at "
                        "for the producer",
                    )

    def _check_loop_index(
        self, function: PrimFunc, block: Block, loop_index: LoopIndex | str, item: Span, outer: Domain
    ) -> None:
        if isinstance(loop_index, str):
            text = loop_index
        elif loop_index.loop is None:
            text = "" if is_zero(loop_index.base - item.low, outer) else print_expr(loop_index.base)
        else:
            reduced = [
                it
                for it in block.iters
                if it.kind is IterKind.REDUCE and loop_index.loop in variables(it.value)
            ]
            text = f"{loop_index.loop}, which it reduces over," if reduced else ""
        if text:
            raise self.refusal(
                function,
                f"{self.block} reads at {text} where it must read element by element: "
                "leave it behind its producer, or use compute_at for the producer",
            )

    def _local_allocation(
        self,
        function: PrimFunc,
        source: Buffer,
        block: Block,
        loop: For,
        spans: Sequence[Span],
        outer: Domain,
    ) -> Allocate | None:
        """The allocation of a buffer that one iteration writes and reads alone; else None."""
        path = allocation_of(function, source.name)
        if path is None:
            return None
        others = [reader for reader in readers(function.body, source.name) if reader is not block]
        if not all(
            isinstance(reader, Block)
            and contains(loop, reader)
            and _reads_inside(reader, loop, source, spans, outer)
            for reader in others
        ):
            return None
        allocation = path[-1]
        assert isinstance(allocation, Allocate)
        return allocation


def _reads_inside(reader: Block, loop: For, source: Buffer, spans: Sequence[Span], outer: Domain) -> bool:
    """Whether a block in the loop reads no more of a buffer than the spans."""
    inside = domain_of(path_to(loop.body, reader))
    domain = {**outer, **inside}
    values = block_indices(reader)
    for load in loads(reader):
        if load.buffer.name != source.name:
            continue
        for index, item in zip(load.indices, spans, strict=True):
            ends = index_bounds(substitute(index, values), list(inside), domain)
            if ends is None or lower(ends[0] - item.low, outer) < 0:
                return False
            if upper(ends[1] - item.low - item.extent, outer) >= 0:
                return False
    return True
